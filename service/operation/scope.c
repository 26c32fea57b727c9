/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where PID 1 is systemd, conmon and its container live in a transient scope, conbus-ID.scope, from before conmon runs until the run has been taken down.
 *
 * The scope is delegated (Delegate=yes), and crun works on plain control group files below it: conmon is in the scope itself (version 1) or in its group `monitor` (version 2, where a group with children holds no processes), the container in its group `container`.
 * So one unit holds a run and shows in systemd-cgls, systemd's properties bound the whole of it, and crun's limits, freezer, counts of OOM kills and groups of health checks work alike in both versions and without systemd; a second scope, which
 * crun --systemd-cgroup would ask for, would end on its own and block crun on the bus.
 *
 * At the end whatever is left in the scope, or without systemd in the group, is killed and waited for (runtime/dying.h) before the scope is stopped: without a release agent (version 1 in a namespace) systemd does not hear of the end of processes that are not its children. */

#include "operation/internal.h"
#include "base/log.h"
#include "runtime/cgroup.h"
#include "runtime/dying.h"
#include <string.h>

#define STOP_MARGIN_USEC (5 * G_USEC_PER_SEC)

/* --- beginning --- */

static void on_scope_started(const GError *error, void *userdata) {
        Operation *operation = userdata;

        operation->unit_job = NULL;
        g_clear_error(&operation->step_error);
        if (error)
                operation->step_error = g_error_copy(error);
        operation_continue(operation);
}

void scope_begin(Operation *operation) {
        Container *container = operation->container;
        Engine *engine = operation->engine;
        g_autofree char *name = cgroup_scope_of(container->id), *description = g_strdup_printf("Container %s", container->name);
        g_autoptr(GVariant) properties = config_value(container->config, "unit-properties");
        g_autofree char *rootfs = paths_run_of(engine->paths, container->id, "rootfs");
        guint64 stop = container_stop_timeout(container);
        ScopePlan plan = {.name = name, .description = description, .slice = config_string(container->config, "slice", engine->settings.slice), .mount = rootfs, .process = conmon_pid(operation->conmon), .properties = properties};

        plan.stop_usec = stop > UINT64_MAX - STOP_MARGIN_USEC ? UINT64_MAX : stop + STOP_MARGIN_USEC;
        operation->unit_job = units_start_scope(engine->units, &plan, on_scope_started, operation);
}

char *scope_group(Engine *engine, const Container *container) {
        g_autofree char *name = cgroup_scope_of(container->id);
        char *found = *container->life.cgroup ? strstr(container->life.cgroup, name) : NULL;

        if (found)
                return g_strndup(container->life.cgroup, (gsize) (found - container->life.cgroup) + strlen(name));
        /* A launch that was undone before it was told: where it was to be. */
        g_autofree char *slice = units_cgroup_of_slice(config_string(container->config, "slice", engine->settings.slice));
        return g_strconcat(slice, "/", name, NULL);
}

/* --- end --- */

typedef struct ScopeEnd {
        Operation *operation;
        Dying *left;
        char *cgroup;
} ScopeEnd;

static void scope_end_free(void *data) {
        ScopeEnd *end = data;

        dying_free(end->left);
        g_free(end->cgroup);
        g_free(end);
}

static void on_scope_stopped(const GError *error, void *userdata) {
        ScopeEnd *end = userdata;
        Operation *operation = end->operation;

        operation->unit_job = NULL;
        operation->scope_end = NULL;
        if (error)
                log_warning("%s: %s", container_title(operation->container), error->message);
        cgroup_remove(end->cgroup); /* hierarchies that systemd does not manage */
        scope_end_free(end);
        operation_continue(operation);
}

static void stop_scope(ScopeEnd *end) {
        Operation *operation = end->operation;
        g_autofree char *name = cgroup_scope_of(operation->container->id);

        if (!operation->engine->units || operation->engine->shutdown) { /* at a shutdown its stop is queued already, behind ours */
                on_scope_stopped(NULL, end);
                return;
        }
        operation->unit_job = units_stop_scope(operation->engine->units, name, on_scope_stopped, end);
}

static void on_left_ended(unsigned n_left, void *userdata) {
        ScopeEnd *end = userdata;

        if (n_left > 0)
                log_warning("%s: %u processes of its scope do not die of SIGKILL", container_title(end->operation->container), n_left);
        stop_scope(end);
}

void scope_end(Operation *operation) {
        Engine *engine = operation->engine;
        ScopeEnd *end = g_new0(ScopeEnd, 1);
        g_autoptr(GError) error = NULL;
        unsigned n = 0;

        end->operation = operation;
        end->left = dying_new(engine->event, on_left_ended, end);
        end->cgroup = engine->units ? scope_group(engine, operation->container) : group_of(engine, operation->container);
        operation->scope_end = end;
        dying_add(end->left, end->cgroup);
        if (operation->undoes_launch && !engine->units) { /* killed too; else conmon goes when its exit command has ended */
                g_autofree char *monitor = cgroup_path_for_monitor(operation->container->id);
                dying_add(end->left, monitor);
        }
        if (!dying_await(end->left, engine->settings.kill_usec)) {
                stop_scope(end);
                return;
        }
        if (!cgroup_signal(end->cgroup, SIGKILL, &n, &error))
                log_warning("kill what is left of %s: %s", container_title(operation->container), error->message);
}

void scope_forget(Operation *operation) {
        g_clear_pointer(&operation->unit_job, unit_job_forget);
        g_clear_pointer(&operation->scope_end, scope_end_free);
}
