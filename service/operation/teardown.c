/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What comes after the end of a run: leftovers killed, the runtime's state deleted, groups and mounts released, then the state `exited`. Each step is tried even if one before it failed. */

#include "operation/internal.h"
#include "operation/materials.h"
#include "base/log.h"
#include "runtime/cgroup.h"
#include "storage/rootfs.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A container made from a bundle may share our PID namespace; then its PID 1 is an ordinary process and only the group holds all of it. */
static bool shares_pid_namespace(Container *container) {
        struct stat own, its;
        char path[64];

        snprintf(path, sizeof path, "/proc/%d/ns/pid", (int) container->main.pid);
        return stat("/proc/self/ns/pid", &own) == 0 && stat(path, &its) == 0 && own.st_ino == its.st_ino && own.st_dev == its.st_dev;
}

bool signal_all(Container *container, int signal, unsigned *ret_n, GError **error) {
        if (!*container->life.cgroup)
                return error_set(error, CONBUS_ERROR_NO_CGROUPS, "signal every process of %s: it has no control group", container_title(container));
        return cgroup_signal(container->life.cgroup, signal, ret_n, error);
}

bool signal_leader(Container *container, int signal, GError **error) {
        unsigned n = 0;

        if (*container->life.cgroup && shares_pid_namespace(container))
                return signal_all(container, signal, &n, error);
        return pidref_signal(&container->main, signal, NULL, error);
}

void kill_now(Container *container) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GError) group_error = NULL;
        unsigned n = 0;

        if (!pidref_signal(&container->main, SIGKILL, NULL, &error))
                log_warning("kill %s: %s", container_title(container), error->message);
        if (!*container->life.cgroup)
                return;
        g_clear_error(&error);
        if (!cgroup_signal(container->life.cgroup, SIGKILL, &n, &error))
                log_warning("kill %s: %s", container_title(container), error->message);
        if (cgroup_is_frozen(container->life.cgroup) && !cgroup_thaw(container->life.cgroup, &group_error))
                log_warning("thaw %s to kill it: %s", container_title(container), group_error->message);
}

static void discard_run_directory(Operation *operation) {
        static const char *const leftovers[] = {"config.json", "pidfile", "attach", "ctl", "winsz", "stream", "crun.log", "persist/exit", "persist/oom", "persist", "notify/notify", "notify", "", NULL};
        Container *container = operation->container;
        char number[32];

        snprintf(number, sizeof number, "%" G_GUINT64_FORMAT, container->life.run);
        for (const char *const *leftover = leftovers; *leftover; leftover++) {
                g_autofree char *directory = paths_run_of(operation->engine->paths, container->id, number);
                g_autofree char *path = **leftover ? g_build_filename(directory, *leftover, NULL) : g_strdup(directory);
                if (remove(path) < 0 && errno != ENOENT && errno != ENOTEMPTY)
                        log_debug("remove %s: %s", path, g_strerror(errno));
        }
}

/* A crun create that was killed may have made the group and PID 1 in it, but not yet the state by which crun delete would know of them. */
char *group_of(Engine *engine, const Container *container) {
        if (*container->life.cgroup)
                return g_strdup(container->life.cgroup);
        return engine->units ? scope_group(engine, container) : cgroup_path_for(container->id);
}

static void on_unmounted(Operation *operation) {
        Container *container = operation->container;
        g_autofree char *merged = paths_run_of(operation->engine->paths, container->id, "rootfs");
        g_autofree char *exits = g_build_filename(operation->engine->paths->run, "exits", NULL);
        GError *error = NULL;

        /* What the child could not do is tried again here, and says what is wrong. */
        g_clear_error(&operation->step_error);
        if (!operation->keep_rootfs && !rootfs_release(merged, &error))
                operation_fail(operation, error);
        error = NULL;
        if (!materials_release(operation->engine->paths, container->id, &error))
                operation_fail(operation, error);
        (void) conmon_remove_exit_file(exits, container->id);
        discard_run_directory(operation);
        operation_continue(operation);
}

static void on_deleted(Operation *operation) {
        Container *container = operation->container;
        g_autofree char *merged = paths_run_of(operation->engine->paths, container->id, "rootfs");
        const char *const unmount[] = {"unmount", merged, NULL};

        if (operation->step_error)
                operation_fail(operation, g_steal_pointer(&operation->step_error));
        g_autofree char *cgroup = group_of(operation->engine, container);
        cgroup_remove(cgroup);
        monitors_watch_group(operation->engine, container->id); /* what is left of a monitor or a streamer may still be on its way out */
        operation_then(operation, on_unmounted);
        if (!operation->keep_rootfs && rootfs_is_mounted(merged))
                operation_call(operation, rootfs_unmount, unmount);
        else
                operation_continue(operation);
}

static void on_crun_deleted(Operation *operation) {
        operation_then(operation, on_deleted);
        scope_end(operation);
}

static void delete_container(Operation *operation) {
        const char *const arguments[] = {"delete", "--force", operation->container->id, NULL};

        operation_then(operation, on_crun_deleted);
        if (crun_knows(operation->engine->paths, operation->container->id))
                operation_crun(operation, arguments);
        else
                operation_continue(operation);
}

void runtime_discard(Operation *operation) {
        Container *container = operation->container;
        g_autofree char *cgroup = group_of(operation->engine, container);
        g_autoptr(GPtrArray) left = cgroup_list(cgroup);
        g_autoptr(GError) error = NULL;
        unsigned n = 0;
        if (left->len > 0 && !cgroup_signal(cgroup, SIGKILL, &n, &error))
                log_warning("kill what is left of %s: %s", container_title(container), error->message);
        operation_then(operation, delete_container);
        sessions_await_ends(operation);
}

static void on_discarded(Operation *operation) {
        Container *container = operation->container;

        if (operation->error || container->life.state != STATE_STOPPED) {
                if (container->life.state == STATE_STOPPED)
                        repair_later(operation->engine, container);
                operation_continue(operation);
                return;
        }
        bool to_created = operation->to_created;
        g_autoptr(Commit) commit = commit_new(container, operation->actor);
        commit_enter(commit, to_created ? STATE_CREATED : STATE_EXITED, commit->life.reason);
        commit->life.mounted = operation->keep_rootfs;
        life_set_string(&commit->life.cgroup, "");
        if (operation->verb != VERB_RESTART && operation->verb != VERB_REMOVE)
                policy_plan(operation->engine, container, commit, operation->internal_restart);
        commit_event(commit, "cleanup", NULL);
        if (operation_commit(operation, commit)) {
                repair_forget(container);
                policy_arm(operation->engine, container);
        } else
                repair_later(operation->engine, container);
        operation_continue(operation);
}

void teardown_begin(Operation *operation) {
        const char *why;

        operation->keep_rootfs = operation->verb == VERB_RESTART || (operation->verb == VERB_CLEANUP && policy_should_restart(operation->container, &why));
        operation_then(operation, on_discarded);
        runtime_discard(operation);
}

static void set_unit_result(Operation *operation) {
        operation_set_result(operation, g_variant_new("()"));
        operation_continue(operation);
}

static void on_ended_then_teardown(Operation *operation) {
        if (operation->error)
                operation_continue(operation);
        else
                teardown_begin(operation);
}

/* An unknown container is taken down as if it had ended: nothing that can still be learnt about the run is thrown away, since lifecycle_await_end concludes it first. */
static void cleanup_unknown(Operation *operation) {
        Container *container = operation->container;

        if (!container->life.run_open) {
                g_autoptr(Commit) commit = commit_new(container, operation->actor);
                commit_enter(commit, STATE_STOPPED, REASON_MONITOR_LOST);
                if (!operation_commit(operation, commit)) {
                        operation_continue(operation);
                        return;
                }
                teardown_begin(operation);
                return;
        }
        operation_then(operation, on_ended_then_teardown);
        kill_now(container);
        lifecycle_await_end(operation);
}

/* It was called before the cleanup of a run that is cleaned up by now; what the policy has made of the container since does not concern it. */
static bool has_been_done(Operation *operation) {
        const Life *life = &operation->container->life;

        return operation->joined_run != 0 && (life->run != operation->joined_run || life->state == STATE_EXITED || life->state == STATE_CREATED);
}

void cleanup_step(Operation *operation) {
        Container *container = operation->container;
        bool only_stopped = option_bool(operation, "only-stopped");

        operation_then(operation, set_unit_result);
        if (has_been_done(operation)) {
                operation_continue(operation);
                return;
        }
        switch (container->life.state) {
        case STATE_STOPPED:
                teardown_begin(operation);
                return;
        case STATE_STOPPING: /* a stop that was interrupted by a restart of the service, or one whose reply gave up: wait for it */
                operation_then(operation, on_ended_then_teardown);
                lifecycle_await_end(operation);
                return;
        case STATE_CREATED:
        case STATE_EXITED:
                if (only_stopped)
                        operation_fail_state(operation, "stopped or stopping");
                operation_continue(operation);
                return;
        case STATE_INITIALIZED:
                if (only_stopped)
                        break;
                operation->to_created = true;
                operation_then(operation, on_ended_then_teardown);
                kill_now(container);
                lifecycle_await_end(operation);
                return;
        case STATE_UNKNOWN:
                if (only_stopped)
                        break;
                cleanup_unknown(operation);
                return;
        default:
                break;
        }
        operation_fail_state(operation, only_stopped ? "stopped or stopping" : "created, initialized, stopping, stopped, exited or unknown");
        operation_continue(operation);
}
