/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sync: what the store says is compared with the kernel (pidfd, exit file) and with `crun state`, and the state is corrected. A container that was never set up or is being removed is left alone; a living one is never made unusable. */

#include "operation/internal.h"
#include "base/clock.h"
#include "runtime/cgroup.h"

static void done(Operation *operation) {
        operation_set_result(operation, g_variant_new("(ss)", state_to_string(operation->from_state), state_to_string(operation->container->life.state)));
        operation_continue(operation);
}

static void correct(Operation *operation, State state, Reason reason) {
        Container *container = operation->container;
        GVariantDict details;

        if (state == container->life.state || !state_may_follow(container->life.state, state))
                return;
        g_autoptr(Commit) commit = commit_new(container, operation->actor);
        g_variant_dict_init(&details, NULL);
        g_variant_dict_insert(&details, "old-state", "s", state_to_string(container->life.state));
        g_variant_dict_insert(&details, "state", "s", state_to_string(state));
        commit_enter(commit, state, reason);
        commit_event(commit, "sync", g_variant_dict_end(&details));
        if (!operation_commit(operation, commit))
                return;
        if (state == STATE_PAUSED)
                health_paused(container);
        else if (state == STATE_RUNNING)
                health_resumed(container);
}

/* crun start had been called, and the service died before it could say so. */
static void commit_started(Operation *operation) {
        Container *container = operation->container;
        g_autoptr(Commit) commit = commit_new(container, operation->actor);

        commit->life.start_usec = clock_realtime_usec();
        commit->life.ever_started = true;
        commit->life.ready = readiness_comes_with_start(container);
        commit->life.boot_due = false;
        commit->life.health_action = "";
        commit_edit_run(commit)->start_usec = commit->life.start_usec;
        commit_enter(commit, STATE_RUNNING, container->life.reason); /* of `initialized`: who wanted it */
        commit_set_run_started(commit);
        commit_event(commit, "start", NULL);
        if (!operation_commit(operation, commit))
                return;
        readiness_started(operation->engine, container);
        health_started(operation->engine, container);
}

/* PID 1 lives. What crun says decides between the living states; a missing crun state with a living PID 1 is a contradiction. Of a group that is being frozen (v1: FREEZING) crun says running until the last of its processes stands still. */
static void compare_living(Operation *operation, const char *status) {
        State state = operation->container->life.state;
        bool frozen = g_strcmp0(status, "paused") == 0 || (g_strcmp0(status, "running") == 0 && cgroup_is_frozen(operation->container->life.cgroup));

        if (!status)
                correct(operation, STATE_UNKNOWN, REASON_MONITOR_LOST);
        else if (state == STATE_INITIALIZED && (g_str_equal(status, "running") || g_str_equal(status, "paused")))
                commit_started(operation);
        else if (frozen)
                correct(operation, STATE_PAUSED, REASON_USER);
        else if (g_str_equal(status, "running") && state != STATE_STOPPING)
                correct(operation, STATE_RUNNING, REASON_USER);
        else if (g_str_equal(status, "created") && state == STATE_UNKNOWN)
                correct(operation, STATE_INITIALIZED, REASON_USER);
}

static void on_ended(Operation *operation) {
        operation_continue(operation);
}

static void on_state(Operation *operation) {
        Container *container = operation->container;
        g_autofree char *status = NULL;
        g_autoptr(GError) error = NULL;
        pid_t pid = 0;

        /* A crun that is not there says nothing about the container, one that fails has no state for it. */
        if (g_error_matches(operation->step_error, CONBUS_ERROR, CONBUS_ERROR_HELPER_MISSING)) {
                operation_fail(operation, g_steal_pointer(&operation->step_error));
                operation_continue(operation);
                return;
        }
        if (operation->step_error)
                g_clear_error(&operation->step_error);
        else if (!crun_parse_state(operation->output, &status, &pid, &error))
                g_debug("%s", error->message);
        if (container->supervision && lifecycle_has_ended(container)) {
                operation_then(operation, on_ended);
                lifecycle_await_end(operation);
                return;
        }
        if (container->supervision)
                compare_living(operation, status);
        else if (container->life.state == STATE_UNKNOWN && !container->life.run_open)
                correct(operation, container->life.run > 0 ? STATE_EXITED : STATE_CREATED, REASON_MONITOR_LOST);
        operation_continue(operation);
}

void sync_step(Operation *operation) {
        Container *container = operation->container;
        const char *const arguments[] = {"state", container->id, NULL};

        operation->from_state = container->life.state;
        operation_then(operation, done);
        if (container->life.state == STATE_CREATED || container->life.state == STATE_EXITED || container->life.state == STATE_REMOVING) {
                operation_continue(operation);
                return;
        }
        operation_then(operation, on_state);
        operation_crun(operation, arguments);
}
