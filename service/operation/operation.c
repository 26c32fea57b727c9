/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Queues of operations: one per container, a global cap on how many run, one answer each. What the verbs do is in their own files; here is only their order.
 *
 * An operation is accepted (counted against operations_queued_max), waits in its container's queue, then for one of operations_max slots, runs its steps, and is answered.
 * Kill does not queue: it runs at once beside whatever runs. An operation that waits for other containers (recursive start, removal with dependents) gives its slot back meanwhile, so that the cap cannot make two of them wait for each other. */

#include "operation/operation.h"
#include "operation/crash-point.h"
#include "operation/internal.h"
#include "operation/quota.h"
#include "operation/volumes.h"
#include "base/log.h"
#include "runtime/services.h"

static void pump(Engine *engine);

Operation *operation_ref(Operation *operation) {
        operation->n_references++;
        return operation;
}

static void operation_free(Operation *operation) {
        if (operation->free_data)
                operation->free_data(operation->data);
        if (operation->process)
                process_detach(operation->process);
        g_clear_pointer(&operation->timer, sd_event_source_disable_unref);
        g_clear_error(&operation->error);
        g_clear_error(&operation->step_error);
        g_clear_pointer(&operation->options, g_variant_unref);
        g_clear_pointer(&operation->result, g_variant_unref);
        g_clear_pointer(&operation->actor, actor_unref);
        g_array_unref(operation->steps);
        volumes_work_free(operation->volume_work);
        g_free(operation->job);
        g_free(operation->rootfs);
        g_free(operation->output);
        pidref_clear(&operation->main);
        container_unref(operation->container);
        g_free(operation);
}

void operation_unref(Operation *operation) {
        if (operation && --operation->n_references == 0)
                operation_free(operation);
}

void operations_forget(Container *container) {
        for (Operation *operation = g_queue_pop_head(&container->operations); operation; operation = g_queue_pop_head(&container->operations)) {
                operation->done = NULL;
                scope_forget(operation);
                g_clear_pointer(&operation->question, service_question_forget);
                g_clear_pointer(&operation->conmon, conmon_free);
                operation_unref(operation);
        }
}

static void notify_busy(Engine *engine) {
        if (engine->busy_changed)
                engine->busy_changed(engine->busy_userdata);
}

/* The property Operation changes without a commit: nothing of it is stored. */
static void set_current(Container *container, Operation *operation) {
        const char *word = operation ? verb_to_string(operation->verb) : "";

        if (g_str_equal(container->operation, word))
                return;
        container->operation = word;
        if (container->registry && !container->removed)
                registry_notify_operation(container->registry, container);
}

static void answer(Operation *operation) {
        OperationDone done = operation->done;

        operation->done = NULL;
        if (done)
                done(operation, operation->error ? NULL : operation->result, operation->error, operation->userdata);
}

void operation_answer(Operation *operation, const GError *error) {
        OperationDone done = operation->done;

        operation->done = NULL;
        if (done)
                done(operation, NULL, error, operation->userdata);
}

/* Start with wait=ready or healthy: the effect is complete and the queue goes on, only the answer waits. */
static void on_awaited(const WaitAnswer *wait, const GError *error, void *userdata) {
        Operation *operation = userdata;

        operation->await = NULL;
        if (error)
                operation_fail(operation, g_error_copy(error));
        else if (g_str_equal(wait->condition, "unhealthy"))
                readiness_fail_unhealthy(operation);
        else if (!g_str_equal(wait->condition, operation->await_condition))
                operation_fail(operation, g_error_new(CONBUS_ERROR, CONBUS_ERROR_NOT_RUNNING, "start %s: run %" G_GUINT64_FORMAT " ended (%s, exit code %d) before it was %s",
                                                      container_title(operation->container), wait->run, result_to_string(wait->result), wait->exit_code, operation->await_condition));
        else if (operation->verb == VERB_START)
                start_set_result(operation); /* it may be ready by now */
        answer(operation);
        operation_unref(operation);
}

static bool begin_await(Operation *operation) {
        g_autoptr(GError) error = NULL;
        bool healthy = g_strcmp0(operation->await_condition, "healthy") == 0 || (g_strcmp0(operation->await_condition, "ready") == 0 && g_str_equal(config_string(operation->container->config, "notify", ""), "healthy"));
        const char *const conditions[] = {operation->await_condition, healthy ? "unhealthy" : NULL, NULL};
        WaitOptions options = {.conditions = conditions, .has_run = true, .run = operation->run, .timeout_usec = UINT64_MAX};

        if (!operation->await_condition || operation->error || !operation->done)
                return false;
        operation->await = wait_begin(operation->engine->waits, operation->container->id, &options, on_awaited, operation, &error);
        if (!operation->await) {
                operation_fail(operation, g_steal_pointer(&error));
                return false;
        }
        operation_ref(operation);
        return true;
}

static void release_slot(Operation *operation) {
        if (operation->has_slot)
                operation->engine->n_running--;
        operation->has_slot = false;
        pace_leave(operation);
}

void operation_leave_queue(Operation *operation) {
        Engine *engine = operation->engine;
        Container *container = operation->container;

        release_slot(operation);
        g_queue_remove(&container->operations, operation);
        set_current(container, g_queue_peek_head(&container->operations));
        if (container->operations.head)
                g_queue_push_tail(&engine->ready, container_ref(container));
        pump(engine);
}

void operation_give_slot_back(Operation *operation) {
        release_slot(operation);
        pump(operation->engine);
}

/* Waits for the last end have waited for this. */
static void restart_is_over(Operation *operation) {
        operation->container->n_restarts--;
        waits_look_again(operation->engine->waits, operation->container);
}

static void finish(Operation *operation) {
        Engine *engine = operation->engine;
        Container *container = operation->container;
        GList *link = g_queue_find(&container->operations, operation);
        bool was_first = link && link == container->operations.head;

        operation->finished = true;
        operation->running = false;
        release_slot(operation);
        if (link)
                g_queue_delete_link(&container->operations, link);
        engine->n_accepted--;
        quota_give(engine, operation->actor);
        failure_remember(operation);
        if (was_first && operation->verb == VERB_RESTART)
                set_current(container, NULL);
        else if (!link || !container->operations.head)
                set_current(container, g_queue_peek_head(&container->operations));
        if (operation->verb == VERB_RESTART)
                restart_is_over(operation);
        /* An end that came while this operation ran still wants its cleanup, before anything that waits. */
        lifecycle_ensure_cleanup(engine, container);
        if (operation->verb != VERB_REMOVE)
                removal_ensure(engine, container);
        else if (operation->error)
                removal_failed(operation);
        if (!begin_await(operation))
                answer(operation);
        if (container->operations.head)
                g_queue_push_tail(&engine->ready, container_ref(container));
        operation_unref(operation);
        pump(engine);
        notify_busy(engine);
}

void operation_then(Operation *operation, Step step) {
        g_array_append_val(operation->steps, step);
}

void operation_continue(Operation *operation) {
        crash_point();
        operation->cancel = NULL;
        if (operation->steps->len == 0) {
                finish(operation);
                return;
        }
        Step step = g_array_index(operation->steps, Step, operation->steps->len - 1);
        g_array_set_size(operation->steps, operation->steps->len - 1);
        step(operation);
}

void operation_fail(Operation *operation, GError *error) {
        if (!operation->error) {
                operation->error = error;
                return;
        }
        log_warning("%s of %s, after its failure: %s", verb_to_string(operation->verb), container_title(operation->container), error->message);
        g_error_free(error);
}

static Operation *operation_new(Engine *engine, Container *container, Verb verb, GVariant *options, Actor *actor, OperationDone done, void *userdata) {
        Operation *operation = g_new0(Operation, 1);

        operation->n_references = 1;
        operation->engine = engine;
        operation->container = container_ref(container);
        operation->verb = verb;
        operation->options = g_variant_ref_sink(options ? options : g_variant_new("a{sv}", NULL));
        operation->actor = actor_ref(actor);
        quota_take(engine, actor);
        operation->done = done;
        operation->userdata = userdata;
        operation->main = PIDREF_NULL;
        operation->steps = g_array_new(FALSE, FALSE, sizeof(Step));
        return operation;
}

static bool check_not_removed(Container *container, Verb verb, GError **error) {
        if (!container->removed && (container->life.state != STATE_REMOVING || verb == VERB_SYNC))
                return true;
        return error_set(error, CONBUS_ERROR_REMOVED, "%s %s: it %s", verb_to_string(verb), container_title(container), container->removed ? "has been removed" : "is being removed");
}

static void run(Operation *operation) {
        GError *error = NULL;

        operation->running = true;
        if (operation->begun)
                operation->begun(operation, operation->userdata);
        /* It may have been removed while this waited; a second Remove says so itself. */
        if (operation->verb == VERB_REMOVE || check_not_removed(operation->container, operation->verb, &error))
                operation_then(operation, managed_goes_by_unit(operation) ? managed_step : verb_step(operation->verb));
        else
                operation_fail(operation, error);
        operation_continue(operation);
}

static int on_pump(sd_event_source *source, void *userdata);

/* A new source each time: one that is enabled again is as old as when it was made, and sd-event serves the oldest first: whatever else has come would wait until the queue is empty. */
static void pump(Engine *engine) {
        if (engine->stopping || engine->pump_source || g_queue_is_empty(&engine->ready))
                return;
        int r = sd_event_add_defer(engine->event, &engine->pump_source, on_pump, engine);
        g_assert(r >= 0);
}

/* Begins one operation in a turn of the loop, since its first steps (a commit, mounts, a fork) take milliseconds: a hundred starts that arrive together must not keep a property read waiting for all of them. */
static int on_pump(sd_event_source *source, void *userdata) {
        Engine *engine = userdata;

        g_clear_pointer(&engine->pump_source, sd_event_source_disable_unref);
        while (engine->n_running < engine->settings.operations_max && !engine->stopping) {
                g_autoptr(Container) container = g_queue_pop_head(&engine->ready);
                if (!container)
                        break;
                Operation *operation = g_queue_peek_head(&container->operations);
                if (!operation || operation->running)
                        continue;
                engine->n_running++;
                operation->has_slot = true;
                set_current(container, operation);
                run(operation);
                pump(engine);
                break;
        }
        return 0;
}

static void accept_operation(Engine *engine, Container *container) {
        engine->n_accepted++;
        g_queue_push_tail(&engine->ready, container_ref(container));
        pump(engine);
}

/* What is under way when a call comes counts for it, even if it is over when its turn comes. */
static void join(Operation *operation) {
        const Life *life = &operation->container->life;

        if (operation->verb == VERB_STOP && *life->managed_by && life->run_open)
                operation->run = life->run; /* which may be over before its unit has been asked */
        if (stop_belongs_to(operation))
                stop_join(operation);
        else if (operation->verb == VERB_CLEANUP && (life->state == STATE_STOPPING || life->state == STATE_STOPPED))
                operation->joined_run = life->run;
}

Operation *operation_submit(Engine *engine, Container *container, Verb verb, GVariant *options, Actor *actor, OperationDone done, void *userdata, GError **error) {
        g_autoptr(GVariant) sunk = options ? g_variant_ref_sink(options) : NULL;

        if (!verb_check_state(verb, container, sunk, error))
                return NULL;
        if (engine->n_accepted >= engine->settings.operations_queued_max) {
                error_set(error, CONBUS_ERROR_BUSY, "%s %s: %u operations are queued already; try again later", verb_to_string(verb), container_title(container), engine->n_accepted);
                return NULL;
        }

        Operation *operation = operation_new(engine, container, verb, sunk, actor, done, userdata);
        if (verb == VERB_KILL || container->life.state == STATE_REMOVING) { /* in which only Remove queues */
                if (verb != VERB_REMOVE) {
                        operation_run_beside(operation);
                        return operation;
                }
        }
        join(operation);
        if (verb == VERB_RESTART)
                container->n_restarts++;
        g_queue_push_tail(&container->operations, operation);
        accept_operation(engine, container);
        return operation;
}

static int on_run_beside(sd_event_source *source, void *userdata) {
        Operation *operation = userdata;

        g_clear_pointer(&operation->timer, sd_event_source_disable_unref);
        if (operation->cancelled) {
                finish(operation);
                return 0;
        }
        run(operation);
        return 0;
}

/* Outside the queue, but not before operation_submit has returned. */
void operation_run_beside(Operation *operation) {
        operation->engine->n_accepted++;
        operation->cancel = NULL;
        int r = sd_event_add_defer(operation->engine->event, &operation->timer, on_run_beside, operation);
        g_assert(r >= 0);
}

Operation *operation_submit_first(Engine *engine, Container *container, Verb verb, GVariant *options, OperationDone done, void *userdata) {
        Operation *operation = operation_new(engine, container, verb, options, NULL, done, userdata);
        Operation *head = g_queue_peek_head(&container->operations);

        g_queue_insert_after(&container->operations, head && head->running ? container->operations.head : NULL, operation);
        if (!head || !head->running) { /* g_queue_insert_after(NULL) appends in GLib: bring it to the head */
                g_queue_remove(&container->operations, operation);
                g_queue_push_head(&container->operations, operation);
        }
        accept_operation(engine, container);
        return operation;
}

void operation_abandon(Operation *operation) {
        operation->done = NULL;
        if (operation->await) {
                wait_cancel(g_steal_pointer(&operation->await));
                operation_unref(operation);
        } else if (!operation->finished && (!operation->running || (pace_is_waiting(operation) && operation->verb != VERB_RESTART))) /* which has stopped something by then */
                operation_cancel(operation);
}

static void cancel_await(Operation *operation) {
        wait_cancel(g_steal_pointer(&operation->await));
        operation_fail(operation, g_error_new(CONBUS_ERROR, CONBUS_ERROR_CANCELLED, "%s %s: cancelled while it was not yet %s; run %" G_GUINT64_FORMAT " goes on", verb_to_string(operation->verb),
                                              container_title(operation->container), operation->await_condition, operation->run));
        answer(operation);
        operation_unref(operation);
}

bool operation_check_cancelled(Operation *operation) {
        if (operation->cancelled && !operation->error)
                operation_fail(operation, g_error_new(CONBUS_ERROR, CONBUS_ERROR_CANCELLED, "%s %s: cancelled", verb_to_string(operation->verb), container_title(operation->container)));
        return !operation->error;
}

void operation_cancel(Operation *operation) {
        if (operation->await) {
                cancel_await(operation);
                return;
        }
        if (operation->finished || operation->cancelled)
                return;
        operation->cancelled = true;
        if (operation->running) {
                if (operation->cancel)
                        operation->cancel(operation);
                return;
        }
        operation_fail(operation, g_error_new(CONBUS_ERROR, CONBUS_ERROR_CANCELLED, "%s %s: cancelled before it began", verb_to_string(operation->verb), container_title(operation->container)));
        if (g_queue_find(&operation->container->operations, operation))
                finish(operation);
}

Operation *operation_begin_create(Engine *engine, Container *container, Actor *actor, OperationDone done, void *userdata) {
        Operation *operation = operation_new(engine, container, VERB_CREATE, NULL, actor, done, userdata);

        g_queue_push_tail(&container->operations, operation);
        accept_operation(engine, container);
        return operation;
}
