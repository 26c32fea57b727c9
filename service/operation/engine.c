/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engine's own start and end: directories under RUN, the watch on conmon's exit files, settings. */

#include "operation/internal.h"
#include "operation/messages.h"
#include "operation/quota.h"
#include "base/log.h"
#include "runtime/cgroup.h"
#include "runtime/sealed.h"
#include <errno.h>
#include <string.h>
#include <sys/inotify.h>

void settings_init(Settings *settings) {
        *settings = (Settings) {
                .operations_max = 64,
                .operations_queued_max = 1024,
                .exit_file_usec = 5 * G_USEC_PER_SEC,
                .kill_usec = 5 * G_USEC_PER_SEC,
                .create_usec = 240 * G_USEC_PER_SEC,
                .runtime_usec = 60 * G_USEC_PER_SEC,
                .launch_hold_usec = G_USEC_PER_SEC / 10,
                .repair_usec = G_USEC_PER_SEC,
                .repair_max_usec = 60 * G_USEC_PER_SEC,
                .backoff_max_usec = 60 * G_USEC_PER_SEC,
                .backoff_reset_usec = 10 * G_USEC_PER_SEC,
                .idle_exit_usec = 30 * G_USEC_PER_SEC,
                .waits_per_caller = 1024,
                .slice = "machine-conbus.slice",
                .streams_per_user = 16,
                .operations_per_user = 128,
                .checks_per_user = 256,
                .processes_per_user = 256,
                .process_keep_usec = 60 * G_USEC_PER_SEC,
                .jobs = {.unfinished_per_caller = 64, .keep_usec = 5 * G_TIME_SPAN_MINUTE},
                .limits = {.runs_usec = 30 * G_TIME_SPAN_DAY, .runs_count = 10000, .events_usec = 7 * G_TIME_SPAN_DAY, .events_count = 10000},
        };
}

static int on_exit_file(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        if (event->len > 0)
                lifecycle_exit_file(userdata, event->name);
        return 0;
}

static bool make_directories(Engine *engine, GError **error) {
        static const char *const names[] = {"exits", "crun", "containers", "exec", NULL};

        for (const char *const *name = names; *name; name++) {
                g_autofree char *path = g_build_filename(engine->paths->run, *name, NULL);
                if (g_mkdir_with_parents(path, 0700) < 0)
                        return error_errno(error, errno, "make the directory %s", path);
        }
        g_autofree char *containers = g_build_filename(engine->paths->state, "containers", NULL);
        if (g_mkdir_with_parents(containers, 0700) < 0)
                return error_errno(error, errno, "make the directory %s", containers);
        return true;
}

static void on_change(const Change *change, void *userdata) {
        Engine *engine = userdata;

        logs_changed(engine, change);
        if (!change->operation_changed)
                descriptors_follow(change);
        if (change->now->state == change->old->state)
                return;
        shutdown_look_again(engine);
        if (engine->busy_changed)
                engine->busy_changed(engine->busy_userdata);
}

Engine *engine_new(sd_event *event, Reaper *reaper, const Paths *paths, Registry *registry, Waits *waits, const Settings *settings, GError **error) {
        Engine *engine = g_new0(Engine, 1);
        g_autofree char *exits = g_build_filename(paths->run, "exits", NULL);

        engine->event = sd_event_ref(event);
        engine->group_file = cgroup_own_file();
        engine->reaper = reaper;
        engine->paths = paths;
        engine->registry = registry;
        engine->store = registry_store(registry);
        engine->waits = waits;
        engine->settings = *settings;
        g_queue_init(&engine->ready);
        engine->pace = pace_new(engine);
        engine->monitors = g_ptr_array_new_with_free_func(monitor_free);
        engine->attachments = attachments_new();
        engine->logs = logs_new();
        engine->by_unit = g_ptr_array_new();
        if (!make_directories(engine, error)) {
                engine_free(engine);
                return NULL;
        }
        int r = sd_event_add_inotify(event, &engine->exit_watch, exits, IN_MOVED_TO | IN_ONLYDIR, on_exit_file, engine);
        if (r >= 0)
                r = sd_event_source_set_priority(engine->exit_watch, PRIORITY_END);
        if (r < 0) {
                error_errno(error, -r, "watch %s", exits);
                engine_free(engine);
                return NULL;
        }
        registry_set_observer(registry, OBSERVER_ENGINE, on_change, engine);
        registry_set_observer(registry, OBSERVER_JOURNAL, messages_follow, engine);
        return engine;
}

void engine_save(Engine *engine) {
        g_autoptr(GPtrArray) containers = registry_list(engine->registry);

        for (guint i = 0; i < containers->len; i++)
                health_save(containers->pdata[i]);
}

void engine_free(Engine *engine) {
        if (!engine)
                return;
        engine->stopping = true;
        shutdown_free(engine);
        g_clear_pointer(&engine->exit_watch, sd_event_source_disable_unref);
        g_clear_pointer(&engine->pump_source, sd_event_source_disable_unref);
        g_clear_pointer(&engine->adopted_timer, sd_event_source_disable_unref);
        g_queue_clear_full(&engine->ready, (GDestroyNotify) container_unref);
        g_autoptr(GPtrArray) containers = registry_list(engine->registry);
        for (guint i = 0; i < containers->len; i++) {
                Container *container = containers->pdata[i];
                lifecycle_detach(container);
                operations_forget(container);
                sessions_forget(container);
                policy_forget(container);
                repair_forget(container);
                health_forget(container);
                readiness_close(container);
                managed_forget(container);
        }
        managed_forget_operations(engine);
        captures_free(engine);
        g_clear_pointer(&engine->pace, pace_free);
        g_free(engine->group_file);
        sealed_forget();
        g_ptr_array_unref(engine->monitors);
        attachments_free(engine->attachments);
        logs_free(engine->logs);
        registry_set_observer(engine->registry, OBSERVER_ENGINE, NULL, NULL);
        registry_set_observer(engine->registry, OBSERVER_JOURNAL, NULL, NULL);
        quota_free(engine);
        sd_event_unref(engine->event);
        g_free(engine);
}

bool engine_is_busy(const Engine *engine) {
        static const State busy[] = {STATE_INITIALIZED, STATE_RUNNING, STATE_PAUSED, STATE_STOPPING, STATE_STOPPED, STATE_REMOVING};

        if (engine->n_accepted > 0 || engine->n_supervised > 0 || engine->n_sessions_leaving > 0 || registry_count_restarts(engine->registry) > 0)
                return true;
        for (size_t i = 0; i < G_N_ELEMENTS(busy); i++)
                if (registry_count(engine->registry, busy[i]) > 0)
                        return true;
        return false;
}
