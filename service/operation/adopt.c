/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* After a start of the service: every row is matched with what lives (behaviour.md section 14).
 *
 * Same boot. A run that reached `initialized`: its PID 1 is found by pid and start time and watched again; if it has ended meanwhile, the exit file and the kernel say how, and the end is committed like any other. A launch that never reached its commit
 * (run open, state still created, stopped or exited) is undone: its conmon is killed, its container deleted, its run ends as start-failed. Then what was in progress goes on: a stop with its remaining grace (lifecycle_attach arms it), a cleanup, a removal, a pending restart.
 * The crash may have come between crun start and the commit of `running`, or between the freezer and the commit of `paused`: an `initialized` container, and one that is frozen though it should not be or the reverse, gets a Sync at the head of its queue.
 * A removal may have been answered, though after a power cut no more than its beginning is in the store: it is finished before anybody is told of the container (engine_when_adopted).
 *
 * New boot. Nothing lives: open runs are lost with reason `boot`, and the boot rule of the policies applies once: the commit that makes life.boot_id the present one says in life.boot_due that a start is due, and the commits of that start take it back. */

#include "operation/crash-point.h"
#include "operation/internal.h"
#include "operation/kept.h"
#include "operation/messages.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/cgroup.h"
#include "storage/rootfs.h"
#include <string.h>

#define ADOPTED_USEC (3 * G_USEC_PER_SEC)

/* --- the boot changed --- */

static bool boot_rule_applies(Container *container, const Life *old) {
        switch (container_policy(container)) {
        case POLICY_ALWAYS:
                return old->ever_started || container_auto_start(container);
        case POLICY_UNLESS_STOPPED:
                return (old->ever_started && !old->stopped_by_user) || container_auto_start(container);
        default:
                return container_auto_start(container);
        }
}

/* Also by a later service of the same boot, when one has died in the middle of it. */
static void start_at_boot(Engine *engine, Container *container) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) options = g_variant_ref_sink(g_variant_new_parsed("{'recursive': <true>}"));
        Operation *operation = operation_submit(engine, container, VERB_START, options, NULL, NULL, NULL, &error);

        if (!operation)
                log_error("start %s at boot: %s", container_title(container), error->message);
        else
                operation->boot_rule = true;
}

/* The boot has ended the run, of which nothing more will be known. */
static void close_run_at_boot(Commit *commit, State state) {
        if (state == STATE_INITIALIZED)
                lifecycle_close_run(commit, RESULT_NEVER_RAN, REASON_BOOT, -1, 0);
        else if (state_is_active(state) || state == STATE_UNKNOWN)
                lifecycle_close_run(commit, RESULT_LOST, REASON_BOOT, -1, 0);
        else
                lifecycle_close_run(commit, RESULT_START_FAILED, REASON_BOOT, 125, 0);
}

static bool adopt_after_boot(Engine *engine, Container *container, GError **error) {
        State state = container->life.state;
        bool was_open = container->life.run_open;
        g_autoptr(Commit) commit = commit_new(container, NULL);
        Life *life = &commit->life;

        if (was_open)
                close_run_at_boot(commit, state);
        life->boot_due = state != STATE_REMOVING && boot_rule_applies(container, &container->life);
        life->health_action = "";
        if (container_has_health(container))
                life_set_string(&life->health, "stopped");
        life->mounted = false;
        life->restart_count = 0;
        life->next_restart_usec = 0;
        life->backoff_usec = 0;
        life_set_string(&life->cgroup, "");
        life_set_string(&life->managed_by, "");
        life_set_string(&life->status_text, "");
        if (state == STATE_INITIALIZED || (state == STATE_UNKNOWN && !was_open))
                commit_enter(commit, STATE_CREATED, REASON_BOOT);
        else if (state != STATE_CREATED && state != STATE_EXITED && state != STATE_REMOVING)
                commit_enter(commit, STATE_EXITED, REASON_BOOT);
        bool done = commit_apply(commit, error);
        crash_point();
        return done;
}

/* --- the same boot --- */

/* A conmon whose launch was never committed; PID 1, if crun made one, goes with crun delete --force (undo_step). */
static void kill_monitor(Container *container) {
        g_auto(PidRef) monitor = PIDREF_NULL;
        g_autoptr(GError) error = NULL;

        if (!pidref_find(container->life.monitor.pid, container->life.monitor.start_time, &monitor))
                return;
        if (!pidref_signal(&monitor, SIGKILL, NULL, &error))
                log_error("undo the launch of %s: %s", container_title(container), error->message);
}

static bool undo_launch(Engine *engine, Container *container, GError **error) {
        g_autoptr(Commit) commit = NULL;

        kill_monitor(container);
        launch_kill(engine, container);
        commit = commit_new(container, NULL);
        lifecycle_close_run(commit, RESULT_START_FAILED, REASON_START_FAILED, 125, 0);
        /* Through `stopped`, so that the cleanup empties the runtime of what crun may have made. */
        if (container->life.state != STATE_STOPPED)
                commit_enter(commit, STATE_STOPPED, REASON_START_FAILED);
        return commit_apply(commit, error);
}

static bool restore_processes(Container *container) {
        const Life *life = &container->life;

        if (!descriptors_restore(container, "monitor", &life->monitor, &container->monitor))
                container->monitor = PIDREF_NULL;
        return descriptors_restore(container, "main", &life->main, &container->main);
}

/* The crash may have come between what crun did and its commit; nothing else begins before that is known. */
static bool needs_sync(Container *container) {
        State state = container->life.state;

        return state == STATE_INITIALIZED || ((state == STATE_RUNNING || state == STATE_PAUSED) && cgroup_is_frozen(container->life.cgroup) != (state == STATE_PAUSED));
}

/* The service died between crun create and crun start of a policy's restart, which nobody else would finish. If it did start, this Start finds it running. */
static void finish_policy_restart(Engine *engine, Container *container) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) options = g_variant_ref_sink(g_variant_new_parsed("{'recursive': <true>}"));
        Operation *operation = operation_submit(engine, container, VERB_START, options, NULL, NULL, NULL, &error);

        if (!operation) {
                log_error("go on with the restart of %s: %s", container_title(container), error->message);
                return;
        }
        operation->internal_restart = true;
        operation->is_due = true;
}

static void on_settled(Operation *operation, GVariant *result, const GError *error, void *userdata) {
        Engine *engine = userdata;

        engine->n_adopting--;
        adoption_look(engine);
}

static bool adopt_living(Engine *engine, Container *container, GError **error) {
        bool lost_supervision = container->life.supervised && !pidref_is_set(&container->monitor);

        messages_adopted(engine, container);
        lifecycle_attach(engine, container, NULL);
        readiness_attach(engine, container);
        container->start_is_doubtful = container->life.state == STATE_INITIALIZED;
        if (needs_sync(container)) {
                engine->n_adopting++;
                operation_submit_first(engine, container, VERB_SYNC, NULL, on_settled, engine);
        }
        if (container->life.state == STATE_INITIALIZED && container->life.reason == REASON_POLICY)
                finish_policy_restart(engine, container);
        if (container->life.state == STATE_STOPPING)
                stop_resume(container);
        if (container->life.state == STATE_RUNNING || container->life.state == STATE_PAUSED)
                health_adopt(engine, container);
        else if (*container->life.health)
                health_adopt_ended(engine, container);
        if (!lost_supervision)
                return true;
        PidRef none = PIDREF_NULL;
        g_autoptr(Commit) commit = commit_new(container, NULL);
        commit->life.supervised = false;
        commit_set_monitor(commit, &none);
        commit_event(commit, "supervision-lost", NULL);
        return commit_apply(commit, error);
}

/* PID 1 is gone and nobody holds its pidfd any more: the exit file is the source, and conmon may still be about to write it. */
static bool adopt_ended(Engine *engine, Container *container) {
        lifecycle_attach(engine, container, NULL);
        health_adopt_ended(engine, container);
        lifecycle_main_is_gone(container);
        return true;
}

static bool adopt_same_boot(Engine *engine, Container *container, GError **error) {
        State state = container->life.state;

        if (!container->life.run_open) {
                health_adopt_rest(engine, container);
                return true;
        }
        if (!state_is_active(state) && state != STATE_UNKNOWN)
                return undo_launch(engine, container, error);
        return restore_processes(container) ? adopt_living(engine, container, error) : adopt_ended(engine, container);
}

static void resume_removal(Engine *engine, Container *container) {
        g_autoptr(GError) error = NULL;

        if (operation_submit(engine, container, VERB_REMOVE, NULL, NULL, on_settled, engine, &error))
                engine->n_adopting++;
        else
                log_error("go on with the removal of %s: %s", container_title(container), error->message);
}

static void resume(Engine *engine, Container *container) {
        State state = container->life.state;

        if (state == STATE_REMOVING)
                resume_removal(engine, container);
        else if (state == STATE_STOPPED)
                lifecycle_ensure_cleanup(engine, container);
        else if (state == STATE_EXITED && container->life.next_restart_usec != 0)
                policy_arm(engine, container);
        else if (!container->life.boot_due)
                removal_ensure(engine, container);
        if (container->life.boot_due)
                start_at_boot(engine, container);
}

bool engine_adopt(Engine *engine, GError **error) {
        g_autoptr(GPtrArray) containers = registry_list(engine->registry);
        const char *boot_id = clock_boot_id();

        kept_remove_strays(engine);
        monitors_adopt(engine);
        captures_adopt(engine);
        for (guint i = 0; i < containers->len; i++) {
                Container *container = containers->pdata[i];
                bool same_boot = g_str_equal(container->life.boot_id, boot_id);
                bool adopted = same_boot ? adopt_same_boot(engine, container, error) : adopt_after_boot(engine, container, error);
                if (!adopted) {
                        g_prefix_error(error, "adopt %s: ", container_title(container));
                        return false;
                }
                managed_adopt(engine, container);
                if (same_boot)
                        attachments_adopt(engine, container);
                logs_adopt(engine, container);
                if (!sessions_adopt(engine, container, same_boot, error))
                        return false;
                resume(engine, container);
        }
        return true;
}

static void tell_adopted(Engine *engine) {
        void (*adopted)(void *userdata) = engine->adopted;

        engine->adopted = NULL;
        g_clear_pointer(&engine->adopted_timer, sd_event_source_disable_unref);
        if (adopted)
                adopted(engine->adopted_userdata);
}

void adoption_look(Engine *engine) {
        if (engine->adopted && engine->n_adopting == 0 && attachments_are_ready(engine))
                tell_adopted(engine);
}

static int on_late(sd_event_source *source, guint64 usec, void *userdata) {
        log_warning("%u crun and removals and the conbus-streams do not all say what became of their containers; they are not waited for", ((Engine *) userdata)->n_adopting);
        tell_adopted(userdata);
        return 0;
}

void engine_when_adopted(Engine *engine, void (*adopted)(void *userdata), void *userdata) {
        engine->adopted = adopted;
        engine->adopted_userdata = userdata;
        adoption_look(engine);
        if (engine->adopted && sd_event_add_time(engine->event, &engine->adopted_timer, CLOCK_BOOTTIME, clock_boottime_in(ADOPTED_USEC), 10000, on_late, engine) < 0)
                tell_adopted(engine);
}
