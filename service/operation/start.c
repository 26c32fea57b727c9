/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Start: Init where needed, then crun start. While crun start runs the end of PID 1 is noted but not committed, so that RunStarted always comes before RunFinished. */

#include "operation/internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "operation/attachments.h"

Reason start_reason(const Operation *operation) {
        return operation->internal_restart ? REASON_POLICY : operation->boot_rule ? REASON_BOOT : REASON_USER;
}

static bool commit_running(Operation *operation) {
        Container *container = operation->container;
        g_autoptr(Commit) commit = commit_new(container, operation->actor);

        commit->life.start_usec = clock_realtime_usec();
        commit->life.ever_started = true;
        commit->life.ready = readiness_comes_with_start(container);
        commit->life.boot_due = false;
        commit->life.health_action = "";
        Run *run = commit_edit_run(commit);
        run->start_usec = commit->life.start_usec;
        if (operation->actor) { /* whoever starts it counts, not who has prepared it */
                g_clear_pointer(&run->actor, g_variant_unref);
                run->actor = g_variant_ref_sink(actor_to_variant(operation->actor));
        }
        commit_enter(commit, STATE_RUNNING, start_reason(operation));
        commit_set_run_started(commit);
        commit_event(commit, "start", NULL);
        return operation_commit(operation, commit);
}

/* What is left of a start that failed: the run has ended and is recorded. */
static void on_failed_run_gone(Operation *operation) {
        Container *container = operation->container;
        /* teardown looks at the error only to keep going after a failure of its own; ours is put aside meanwhile. */
        operation->step_error = NULL;
        operation->to_created = operation->from_state == STATE_CREATED;
        if (container->life.state == STATE_STOPPED)
                teardown_begin(operation);
        else
                operation_continue(operation);
}

static void on_teardown_after_failure(Operation *operation) {
        GError *first = operation->data;

        operation->data = NULL;
        operation->free_data = NULL;
        g_clear_error(&operation->error);
        operation->error = first;
        operation_continue(operation);
}

static void free_error(void *error) {
        g_error_free(error);
}

static void take_down(Operation *operation, GError *error) {
        Container *container = operation->container;

        operation->data = error;
        operation->free_data = free_error;
        if (error->code == CONBUS_ERROR_STORAGE_FULL) /* nor can the end be recorded before there is space */
                operation_answer(operation, error);
        operation_then(operation, on_teardown_after_failure);
        operation_then(operation, on_failed_run_gone);
        if (!lifecycle_has_ended(container))
                kill_now(container);
        lifecycle_release(container);
        lifecycle_await_end(operation);
}

static GError *ended_before_start(Operation *operation) {
        return g_error_new(CONBUS_ERROR, CONBUS_ERROR_NOT_RUNNING, "start %s: run %" G_GUINT64_FORMAT " was killed before it was started", container_title(operation->container), operation->run);
}

static void start_failed(Operation *operation, GError *failure) {
        Container *container = operation->container;
        bool killed = lifecycle_has_ended(container) && failure->code == CONBUS_ERROR_RUNTIME_FAILED;

        if (killed) {
                g_error_free(failure);
                failure = ended_before_start(operation);
        } else
                container->failed_start_code = crun_exit_code_of(failure);
        take_down(operation, failure);
}

static void start_succeeded(Operation *operation) {
        Container *container = operation->container;

        container->start_is_doubtful = false;
        if (!commit_running(operation)) {
                /* The payload runs, but nothing may run that is not recorded. */
                container->failed_start_code = 125;
                take_down(operation, g_steal_pointer(&operation->error));
                return;
        }
        readiness_started(operation->engine, container);
        health_started(operation->engine, container);
        lifecycle_release(container);
        operation_continue(operation);
}

/* The crun start of an earlier service was at work beside ours, and was faster: then ours fails, and the payload runs. */
static void on_doubt_settled(Operation *operation) {
        GError *failure = operation->data;
        g_autofree char *status = NULL;
        pid_t pid = 0;

        operation->data = NULL;
        operation->free_data = NULL;
        bool runs = !operation->step_error && crun_parse_state(operation->output, &status, &pid, NULL) && g_str_equal(status, "running");
        g_clear_error(&operation->step_error);
        if (runs) {
                g_error_free(failure);
                start_succeeded(operation);
        } else
                start_failed(operation, failure);
}

static void on_started(Operation *operation) {
        Container *container = operation->container;
        const char *const arguments[] = {"state", container->id, NULL};

        if (!operation->step_error)
                start_succeeded(operation);
        else if (container->start_is_doubtful && !lifecycle_has_ended(container)) {
                operation->data = g_steal_pointer(&operation->step_error);
                operation->free_data = free_error;
                operation_then(operation, on_doubt_settled);
                operation_crun(operation, arguments);
        } else
                start_failed(operation, g_steal_pointer(&operation->step_error));
}

/* Cancelled between crun create and crun start: an Init that was part of this call goes with it. */
static void undo_init(Operation *operation) {
        if (operation->from_state == STATE_INITIALIZED) {
                operation_continue(operation);
                return;
        }
        lifecycle_hold(operation->container);
        take_down(operation, g_steal_pointer(&operation->error));
}

static void start_payload(Operation *operation) {
        const char *const arguments[] = {"start", operation->container->id, NULL};

        if (operation->step_error) {
                operation_continue(operation);
                return;
        }
        operation_crun(operation, arguments);
}

static void on_attached(Attachment *attachment, const GError *error, void *userdata) {
        Operation *operation = userdata;

        g_clear_error(&operation->step_error);
        if (error)
                operation->step_error = g_error_copy(error);
        operation_continue(operation);
}

/* Whoever is to see the first byte is connected before anything executes. */
static void attach_first(Operation *operation) {
        g_clear_error(&operation->step_error);
        if (operation->attachment)
                attachment_connect(operation->attachment, on_attached, operation);
        else
                attachments_settle(operation);
}

static void on_initialized(Operation *operation) {
        Container *container = operation->container;

        if (operation->error) {
                operation_continue(operation);
                return;
        }
        operation->run = container->life.run;
        if (container->life.state != STATE_INITIALIZED) { /* it ended between two steps, and the record is there */
                operation_fail(operation, ended_before_start(operation));
                operation_continue(operation);
                return;
        }
        if (!operation_check_cancelled(operation)) {
                undo_init(operation);
                return;
        }
        lifecycle_hold(container);
        operation_then(operation, on_started);
        operation_then(operation, start_payload);
        attach_first(operation);
}

void start_begin(Operation *operation) {
        operation_then(operation, on_initialized);
        if (operation->container->life.state == STATE_INITIALIZED) {
                operation->from_state = STATE_INITIALIZED;
                dependencies_step(operation);
        } else
                init_begin(operation);
}

static bool is_ready_by_start(const Operation *operation) {
        return g_str_equal(config_string(operation->container->config, "notify", "started"), "started");
}

/* Where starting is all that it takes, it is ready even if it has ended meanwhile. */
void start_set_result(Operation *operation) {
        const Life *life = &operation->container->life;
        bool ready = is_ready_by_start(operation) || (life->run == operation->run && life->ready);
        GVariantDict result;

        g_variant_dict_init(&result, NULL);
        g_variant_dict_insert(&result, "started", "b", (gboolean) !operation->attach_only);
        g_variant_dict_insert(&result, "ready", "b", (gboolean) ready);
        operation_set_result(operation, g_variant_new("(t@a{sv})", operation->run, g_variant_dict_end(&result)));
}

/* One that failed before it had opened a run. */
static void settle_boot_rule(Operation *operation) {
        g_autoptr(GError) error = NULL;

        if (!operation->boot_rule || !operation->error || !operation->container->life.boot_due)
                return;
        g_autoptr(Commit) commit = commit_new(operation->container, NULL);
        commit->life.boot_due = false;
        if (!commit_apply(commit, &error))
                log_error("the start of %s at boot: %s", container_title(operation->container), error->message);
}

/* What the answer waits for beyond the start itself, or NULL; `ready` is nothing more where readiness comes with the start. */
static const char *awaited_condition(Operation *operation) {
        const char *notify = config_string(operation->container->config, "notify", "started");
        const char *wait = option_string(operation, "wait", g_str_equal(notify, "healthy") ? "healthy" : "started");

        if (g_str_equal(wait, "healthy"))
                return "healthy";
        return g_str_equal(wait, "ready") && !is_ready_by_start(operation) ? "ready" : NULL;
}

static void on_start_done(Operation *operation) {
        if (operation->internal_restart && operation->error)
                policy_attempt_failed(operation);
        settle_boot_rule(operation);
        if (!operation->error)
                operation->await_condition = awaited_condition(operation);
        start_set_result(operation);
        operation_continue(operation);
}

static void on_attached_only(Operation *operation) {
        if (operation->step_error)
                operation_fail(operation, g_steal_pointer(&operation->step_error));
        operation->run = operation->container->life.run;
        start_set_result(operation);
        operation_continue(operation);
}

static bool check_wait_possible(Operation *operation) {
        if (!g_str_equal(option_string(operation, "wait", ""), "healthy") || container_has_health(operation->container))
                return true;
        operation_fail_code(operation, CONBUS_ERROR_NO_HEALTH_CHECK, "option wait is healthy, but the container has no health check");
        return false;
}

/* Starts of the service itself are answered by nobody; what it may not do any more (the user stopped it meanwhile, or it was started) ends here. */
static bool internal_start_is_due(Operation *operation) {
        Container *container = operation->container;

        if (operation->boot_rule)
                return container->life.boot_due;
        return !operation->internal_restart || (container->life.state == STATE_EXITED && container->life.next_restart_usec != 0 && container->life.next_restart_usec == (guint64) operation->number) || operation->is_due;
}

void start_step(Operation *operation) {
        State state = operation->container->life.state;
        bool managed = option_bool(operation, "managed");

        if (!internal_start_is_due(operation)) {
                operation_continue(operation);
                return;
        }
        if (managed && !operation->asked_unit) {
                operation->asked_unit = true;
                operation_then(operation, start_step);
                managed_claim(operation);
                return;
        }
        if (operation->error || !managed_release(operation)) {
                operation_continue(operation);
                return;
        }
        if (operation->attachment && (state == STATE_RUNNING || state == STATE_PAUSED || state == STATE_STOPPING)) {
                operation->attach_only = true;
                operation_then(operation, on_attached_only);
                attach_first(operation);
                return;
        }
        if (managed && (state == STATE_RUNNING || state == STATE_PAUSED)) { /* the unit has it from now on */
                operation->attach_only = true;
                operation->run = operation->container->life.run;
                on_start_done(operation);
                return;
        }
        if (state == STATE_RUNNING)
                operation_fail_code(operation, CONBUS_ERROR_ALREADY_RUNNING, "it runs already");
        else if (state != STATE_CREATED && state != STATE_INITIALIZED && state != STATE_STOPPED && state != STATE_EXITED)
                operation_fail_state(operation, "created, initialized, stopped or exited");
        if (operation->error || !check_wait_possible(operation)) {
                operation_continue(operation);
                return;
        }
        operation_then(operation, on_start_done);
        start_begin(operation);
}

/* Restart = stop where something lives, then start; the ended run is recorded like any other. */
static void on_restart_done(Operation *operation) {
        g_autoptr(GError) error = NULL;

        if (!operation->error) {
                g_autoptr(Commit) commit = commit_new(operation->container, operation->actor);
                commit_event(commit, "restart", NULL);
                if (!commit_apply(commit, &error)) /* the restart itself is done */
                        log_warning("%s: %s", container_title(operation->container), error->message);
        } else if (operation->stopped_for_restart)
                g_prefix_error(&operation->error, "%s was stopped, but not started again: ", container_title(operation->container));
        on_start_done(operation);
}

static void on_stopped_for_restart(Operation *operation) {
        if (!operation_check_cancelled(operation)) {
                operation_continue(operation);
                return;
        }
        operation->stopped_for_restart = operation->run != 0;
        operation->run = 0;
        start_begin(operation);
}

static void on_restart_dependencies(Operation *operation) {
        if (!operation_check_cancelled(operation)) {
                operation_continue(operation);
                return;
        }
        operation_then(operation, on_stopped_for_restart);
        if (state_is_active(operation->container->life.state))
                stop_begin(operation);
        else
                operation_continue(operation);
}

void restart_step(Operation *operation) {
        State state = operation->container->life.state;

        if (state == STATE_PAUSED || state == STATE_UNKNOWN)
                operation_fail_state(operation, "created, initialized, running, stopping, stopped or exited");
        if (operation->error || !check_wait_possible(operation) || !managed_release(operation)) {
                operation_continue(operation);
                return;
        }
        operation_then(operation, on_restart_done);
        operation_then(operation, on_restart_dependencies);
        dependencies_step(operation);
}
