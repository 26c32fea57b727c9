/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pause and Resume: the cgroup freezer, by crun. */

#include "operation/internal.h"
#include "base/log.h"
#include "runtime/cgroup.h"

static void done(Operation *operation) {
        operation_set_result(operation, g_variant_new("()"));
        operation_continue(operation);
}

/* The container may have ended meanwhile, which moves its state without us; not yet while conmon is busy with its output, but crun knows already. */
static bool still(Operation *operation, State state) {
        Container *container = operation->container;

        if (container->life.state == state && !(operation->step_error && lifecycle_has_ended(container)))
                return true;
        operation_fail_code(operation, CONBUS_ERROR_NOT_RUNNING, "it ended meanwhile");
        return false;
}

static void commit_state(Operation *operation, State state, const char *action) {
        g_autoptr(Commit) commit = commit_new(operation->container, operation->actor);

        commit_enter(commit, state, REASON_USER);
        commit_event(commit, action, NULL);
        (void) !operation_commit(operation, commit);
}

/* A Kill that came while crun froze the group found the container running: its SIGKILL is delivered by the thaw, as that of a Kill which finds it paused. */
static void thaw_for_kill(Container *container) {
        g_autoptr(GError) error = NULL;

        if (lifecycle_is_awaited(container) && cgroup_is_frozen(container->life.cgroup) && !cgroup_thaw(container->life.cgroup, &error))
                log_warning("thaw %s to kill it: %s", container_title(container), error->message);
}

/* What could not be done or recorded is undone: the freezer must not say anything else than the state. */
static void take_back(Container *container, bool frozen) {
        g_autoptr(GError) error = NULL;

        if (cgroup_is_frozen(container->life.cgroup) != frozen && !cgroup_freeze(container->life.cgroup, frozen, &error))
                log_error("%s: %s", container_title(container), error->message);
}

static void on_paused(Operation *operation) {
        Container *container = operation->container;

        if (operation->error || !still(operation, STATE_RUNNING))
                g_clear_error(&operation->step_error);
        else if (operation->step_error)
                operation_fail(operation, g_steal_pointer(&operation->step_error));
        else {
                commit_state(operation, STATE_PAUSED, "pause");
                if (!operation->error)
                        health_paused(container);
        }
        thaw_for_kill(container);
        if (operation->error && container->life.state == STATE_RUNNING)
                take_back(container, false);
        operation_continue(operation);
}

void pause_step(Operation *operation) {
        Container *container = operation->container;
        const char *const arguments[] = {"pause", container->id, NULL};

        switch (container->life.state) {
        case STATE_RUNNING:
                if (!*container->life.cgroup)
                        operation_fail_code(operation, CONBUS_ERROR_NO_CGROUPS, "it has no control group that could be frozen");
                break;
        case STATE_PAUSED:
                operation_fail_code(operation, CONBUS_ERROR_ALREADY_PAUSED, "it is paused already");
                break;
        case STATE_CREATED:
        case STATE_STOPPED:
        case STATE_EXITED:
                operation_fail_code(operation, CONBUS_ERROR_NOT_RUNNING, "nothing of it runs");
                break;
        default:
                operation_fail_state(operation, "running");
        }
        if (operation->error) {
                operation_continue(operation);
                return;
        }
        operation_then(operation, done);
        operation_then(operation, on_paused);
        operation_crun(operation, arguments);
}

static void on_resumed(Operation *operation) {
        Container *container = operation->container;

        /* A crun that has thawed it and then failed has done what was asked. */
        if (operation->step_error && !cgroup_is_frozen(container->life.cgroup))
                g_clear_error(&operation->step_error);
        if (operation->error || !still(operation, STATE_PAUSED))
                g_clear_error(&operation->step_error);
        else if (operation->step_error)
                operation_fail(operation, g_steal_pointer(&operation->step_error));
        else {
                commit_state(operation, STATE_RUNNING, "resume");
                if (operation->error)
                        take_back(container, true);
                else
                        health_resumed(container);
        }
        operation_continue(operation);
}

void resume_step(Operation *operation) {
        Container *container = operation->container;
        const char *const arguments[] = {"resume", container->id, NULL};

        if (container->life.state == STATE_UNKNOWN)
                operation_fail_state(operation, "paused");
        else if (container->life.state != STATE_PAUSED)
                operation_fail_code(operation, CONBUS_ERROR_NOT_PAUSED, "it is not paused");
        if (operation->error) {
                operation_continue(operation);
                return;
        }
        operation_then(operation, done);
        operation_then(operation, on_resumed);
        operation_crun(operation, arguments);
}
