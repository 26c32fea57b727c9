/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stop and Kill. Stop stores the wish (StoppedByUser, `stopping`, the time of the SIGKILL) before the first signal, so that a restarted service goes on with it; from then on the pidfd ends it.
 * Where nothing lives the wish to stay down is kept all the same and a pending restart is cancelled, though the call says NotRunning. */

#include "operation/crash-point.h"
#include "operation/internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/cgroup.h"

static guint64 grace_of(const Operation *operation) {
        return option_uint64(operation, "timeout-usec", container_stop_timeout(operation->container));
}

bool stop_belongs_to(const Operation *operation) {
        return operation->verb == VERB_STOP || operation->verb == VERB_RESTART || (operation->verb == VERB_REMOVE && option_bool(operation, "force"));
}

/* Of the stop that begins now. A shorter one that already waits in the queue counts as one that comes later does (stop_join): nobody who wants a quick end waits for a slow one. */
static guint64 deadline_of(const Operation *operation) {
        guint64 grace = grace_of(operation);

        for (GList *link = operation->container->operations.head; link; link = link->next) {
                const Operation *queued = link->data;
                if (stop_belongs_to(queued) && !queued->cancelled)
                        grace = MIN(grace, grace_of(queued));
        }
        return clock_boottime_in(grace);
}

/* The stop that is under way ends at the earlier of the two times. That of a restart is no stop to share: the run that follows it is stopped in turn. */
void stop_join(Operation *operation) {
        Container *container = operation->container;
        Operation *head = g_queue_peek_head(&container->operations);
        guint64 deadline = clock_boottime_in(grace_of(operation));
        g_autoptr(GError) error = NULL;

        if (container->life.state != STATE_STOPPING)
                return;
        bool shared = !head || head->verb != VERB_RESTART;
        if (shared)
                operation->joined_run = container->life.run;
        /* The stop of a health action becomes the user's: what was to follow it does not. */
        bool wished = shared && operation->verb == VERB_STOP && !container->life.stopped_by_user, shorter = deadline < container->life.stop_deadline;
        if (!wished && !shorter)
                return;
        g_autoptr(Commit) commit = commit_new(container, operation->actor);
        commit->life.stopped_by_user |= wished;
        if (wished)
                commit->life.health_action = "";
        commit->life.stop_deadline = MIN(deadline, container->life.stop_deadline);
        if (!commit_apply(commit, &error))
                log_warning("join the stop of %s: %s", container_title(container), error->message);
        if (shorter)
                lifecycle_set_kill_deadline(operation->engine, container, deadline);
}

static GVariant *stop_details(Operation *operation) {
        const char *reason = option_string(operation, "reason", NULL);
        GVariantDict details;

        g_variant_dict_init(&details, NULL);
        if (reason)
                g_variant_dict_insert(&details, "reason", "s", reason);
        return g_variant_dict_end(&details);
}

/* 0: nothing that can act on one runs, or it is to be killed at once. */
static int signal_of(Operation *operation) {
        Container *container = operation->container;
        bool at_once = container->life.start_usec == 0 || option_uint64(operation, "timeout-usec", 1) == 0;

        return at_once ? 0 : option_int32(operation, "signal", container_stop_signal(container));
}

static bool enter_stopping(Operation *operation) {
        Container *container = operation->container;
        g_autoptr(Commit) commit = commit_new(container, operation->actor);

        if (!operation->at_shutdown)
                commit->life.stopped_by_user = operation->verb != VERB_RESTART && !operation->not_by_user;
        commit->life.next_restart_usec = 0;
        commit->life.boot_due = false;
        if (!operation->not_by_user) /* else it is the restart that health has ordered */
                commit->life.health_action = "";
        if (container->life.state != STATE_STOPPING) {
                commit->life.stop_signal = signal_of(operation);
                commit->life.stop_deadline = container->life.state == STATE_INITIALIZED ? clock_boottime_usec() : deadline_of(operation);
                commit_enter(commit, STATE_STOPPING, operation->at_shutdown ? REASON_NONE : operation->not_by_user ? REASON_HEALTH : REASON_USER);
                commit_event(commit, "stop", stop_details(operation));
        }
        return operation_commit(operation, commit);
}

static void give_up(Operation *operation, GError *error) {
        g_clear_pointer(&operation->timer, sd_event_source_disable_unref);
        operation_fail(operation, error);
        operation_ref(operation);
        lifecycle_forget(operation);
        operation_continue(operation);
        operation_unref(operation);
}

static int on_record_is_missing(sd_event_source *source, guint64 usec, void *userdata) {
        Operation *operation = userdata;

        give_up(operation, g_error_new(CONBUS_ERROR, CONBUS_ERROR_INTERNAL, "%s %s: it has ended, but that could not be recorded yet; the state stays stopping until it is", verb_to_string(operation->verb), container_title(operation->container)));
        return 0;
}

static void arm_timer(Operation *operation, guint64 boottime_usec, sd_event_time_handler_t handler) {
        g_clear_pointer(&operation->timer, sd_event_source_disable_unref);
        int r = sd_event_add_time(operation->engine->event, &operation->timer, CLOCK_BOOTTIME, boottime_usec, 1000, handler, operation);
        g_assert(r >= 0);
}

/* Of what has died only conmon's word may be missing, for which lifecycle.c gives it some time. */
static int on_reply_gives_up(sd_event_source *source, guint64 usec, void *userdata) {
        Operation *operation = userdata;
        Container *container = operation->container;
        g_autoptr(GString) left = g_string_new(NULL);
        g_autoptr(GPtrArray) processes = cgroup_list(container->life.cgroup);

        if (lifecycle_patience(container) > 0) {
                arm_timer(operation, clock_boottime_in(clock_add_usec(lifecycle_patience(container), operation->engine->settings.kill_usec)), on_record_is_missing);
                return 0;
        }
        if (lifecycle_has_ended(container))
                return on_record_is_missing(source, usec, userdata);
        for (guint i = 0; i < processes->len; i++)
                g_string_append_printf(left, "%s%d", i ? ", " : "", (int) ((CgroupProcess *) processes->pdata[i])->pid);
        give_up(operation, g_error_new(CONBUS_ERROR, CONBUS_ERROR_INTERNAL, "%s %s: these processes do not die of SIGKILL: %s; the state stays stopping until the kernel ends them",
                                       verb_to_string(operation->verb), container_title(container), left->len ? left->str : "none is left in the control group"));
        return 0;
}

/* Armed for the time when SIGKILL is due plus what it may take. A shorter stop that joins moves the kill, not this: it is only the latest moment of the reply. */
static void arm_give_up(Operation *operation) {
        guint64 deadline = operation->container->life.stop_deadline, patience = operation->engine->settings.kill_usec;

        if (deadline != UINT64_MAX)
                arm_timer(operation, clock_add_usec(deadline, patience), on_reply_gives_up);
}

static void on_stopped(Operation *operation) {
        g_clear_pointer(&operation->timer, sd_event_source_disable_unref);
        if (operation->error || operation->container->life.state != STATE_STOPPED) {
                operation_continue(operation);
                return;
        }
        teardown_begin(operation);
}

/* That it has been sent is stored afterwards: a service that dies in between sends it again, since twice is better than never. */
void stop_resume(Container *container) {
        g_autoptr(GError) error = NULL;
        int signal = container->life.stop_signal;

        if (signal == 0)
                return;
        if (!signal_leader(container, signal, &error))
                log_warning("stop %s: %s", container_title(container), error->message);
        g_clear_error(&error);
        if (cgroup_is_frozen(container->life.cgroup) && !cgroup_thaw(container->life.cgroup, &error)) {
                log_warning("thaw %s: %s", container_title(container), error->message);
                kill_now(container);
        }
        crash_point();
        g_clear_error(&error);
        g_autoptr(Commit) commit = commit_new(container, NULL);
        commit->life.stop_signal = 0;
        if (!commit_apply(commit, &error))
                log_warning("%s", error->message);
}

static void send_stop_signal(Container *container) {
        if (container->life.stop_signal == 0)
                kill_now(container);
        else
                stop_resume(container);
}

void stop_begin(Operation *operation) {
        Container *container = operation->container;
        State state = container->life.state;

        operation->run = container->life.run;
        if (!enter_stopping(operation)) {
                operation_continue(operation);
                return;
        }
        lifecycle_set_kill_deadline(operation->engine, container, container->life.stop_deadline);
        if (state == STATE_PAUSED)
                health_resumed(container);
        operation_then(operation, on_stopped);
        arm_give_up(operation);
        crash_point();
        if (state != STATE_STOPPING)
                send_stop_signal(container);
        lifecycle_await_end(operation);
}

static void on_stop_done(Operation *operation) {
        operation_set_result(operation, g_variant_new("(t)", operation->run));
        operation_continue(operation);
}

void stop_keep_down(Operation *operation) {
        Container *container = operation->container;

        if (!container->life.stopped_by_user || container->life.next_restart_usec != 0 || container->life.boot_due) {
                g_autoptr(Commit) commit = commit_new(container, operation->actor);
                commit->life.stopped_by_user = true;
                commit->life.next_restart_usec = 0;
                commit->life.health_action = "";
                commit->life.boot_due = false;
                if (!operation_commit(operation, commit))
                        return;
                policy_arm(operation->engine, container);
        }
        operation_fail_code(operation, CONBUS_ERROR_NOT_RUNNING, "nothing of it runs");
}

static void on_unknown_ended(Operation *operation) {
        if (operation->error || operation->container->life.state != STATE_STOPPED)
                operation_continue(operation);
        else
                teardown_begin(operation);
}

static void stop_unknown(Operation *operation) {
        Container *container = operation->container;

        operation->run = container->life.run;
        operation_then(operation, on_stop_done);
        if (container->supervision) {
                operation_then(operation, on_unknown_ended);
                kill_now(container);
                lifecycle_await_end(operation);
                return;
        }
        g_autoptr(Commit) commit = commit_new(container, operation->actor);
        commit->life.stopped_by_user = true;
        commit_enter(commit, STATE_STOPPED, REASON_MONITOR_LOST);
        if (operation_commit(operation, commit))
                teardown_begin(operation);
        else
                operation_continue(operation);
}

/* A stop that health has ordered is for one run, and for as long as the order stands: a run that is well again before its turn comes goes on. When the run is over by then a restart has nothing left to do, while what was to stay down still is to, unless it was started again. */
static bool is_not_wanted_any_more(const Operation *operation) {
        const Life *life = &operation->container->life;

        if (operation->number == 0 || life->state == STATE_UNKNOWN)
                return false;
        if (state_is_active(life->state) && !*life->health_action)
                return true;
        return life->run != (guint64) operation->number || (operation->not_by_user && !state_is_active(life->state));
}

void stop_step(Operation *operation) {
        Container *container = operation->container;
        State state = container->life.state;

        if (is_not_wanted_any_more(operation)) {
                operation_continue(operation);
                return;
        }
        if (managed_stops_itself(operation)) {
                operation_then(operation, stop_step);
                managed_prepare_stop(operation);
                return;
        }
        if (operation->at_shutdown && !operation->dependencies_seen && shutdown_has_dependents_up(operation->engine, container)) {
                operation->dependencies_seen = true;
                operation_then(operation, stop_step);
                shutdown_stop_dependents(operation);
                return;
        }
        if (operation->joined_run != 0 && operation->joined_run == container->life.run && !state_is_active(state) && state != STATE_STOPPED) {
                operation->run = operation->joined_run;
                on_stop_done(operation);
                return;
        }
        if (state == STATE_UNKNOWN) {
                stop_unknown(operation);
                return;
        }
        if (!state_is_active(state) && operation->at_shutdown) {
                on_stop_done(operation);
                return;
        }
        if (!state_is_active(state)) {
                stop_keep_down(operation);
                operation_continue(operation);
                return;
        }
        operation_then(operation, on_stop_done);
        stop_begin(operation);
}

static void on_kill_done(Operation *operation) {
        operation_set_result(operation, g_variant_new("()"));
        operation_continue(operation);
}

/* Only what ends a payload counts as the user's wish to have it down: KILL, TERM, INT, QUIT and the stop signal. */
static bool is_wish_to_stop(Container *container, int signal) {
        return signal == SIGKILL || signal == SIGTERM || signal == SIGINT || signal == SIGQUIT || signal == container_stop_signal(container);
}

static bool commit_kill(Operation *operation, int signal) {
        Container *container = operation->container;
        GVariantDict details;
        g_autoptr(Commit) commit = commit_new(container, operation->actor);

        if (is_wish_to_stop(container, signal))
                commit->life.stopped_by_user = !operation->not_by_user;
        if (operation->not_by_user) /* it is health's */
                commit->life.health_action = "";
        g_variant_dict_init(&details, NULL);
        g_variant_dict_insert(&details, "signal", "i", signal);
        commit_event(commit, "kill", g_variant_dict_end(&details));
        return operation_commit(operation, commit);
}

/* The end must not be committed before the wish is: it is held meanwhile. */
static bool deliver(Operation *operation, int signal) {
        Container *container = operation->container;
        bool all = g_str_equal(option_string(operation, "whom", "leader"), "all");
        GError *error = NULL;
        unsigned n = 0;

        bool delivered = all ? signal_all(container, signal, &n, &error) : signal_leader(container, signal, &error);
        if (!delivered) {
                operation_fail(operation, error);
                return false;
        }
        if (signal == SIGKILL && container->life.state == STATE_PAUSED && cgroup_is_frozen(container->life.cgroup) && !cgroup_thaw(container->life.cgroup, &error)) {
                operation_fail(operation, error);
                return false;
        }
        return true;
}

void kill_step(Operation *operation) {
        Container *container = operation->container;
        State state = container->life.state;
        int signal = option_int32(operation, "signal", SIGTERM);

        if (state == STATE_INITIALIZED)
                operation_fail_state(operation, "running, paused, stopping or unknown");
        else if ((state != STATE_UNKNOWN && !state_is_active(state)) || !container->supervision)
                operation_fail_code(operation, CONBUS_ERROR_NOT_RUNNING, "nothing of it runs");
        if (operation->error) {
                operation_continue(operation);
                return;
        }
        operation_then(operation, on_kill_done);
        lifecycle_hold(container);
        bool delivered = deliver(operation, signal) && commit_kill(operation, signal);
        lifecycle_release(container);
        if (delivered && signal == SIGKILL)
                lifecycle_await_end(operation);
        else
                operation_continue(operation);
}
