/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* conmon outlives its run, since it stays until its exit command has ended, and so does a conbus-stream whose clients read on. Their control group goes when they go, whether or not there still is a container then. */

#include "operation/internal.h"
#include "runtime/cgroup.h"
#include <sys/epoll.h>

struct Monitor {
        Engine *engine;
        char *id;
        PidRef pid;
        sd_event_source *source;
};

void monitor_free(void *data) {
        struct Monitor *monitor = data;

        g_clear_pointer(&monitor->source, sd_event_source_disable_unref);
        pidref_clear(&monitor->pid);
        g_free(monitor->id);
        g_free(monitor);
}

static int on_ended(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct Monitor *monitor = userdata;

        cgroup_remove_monitor(monitor->id);
        g_ptr_array_remove_fast(monitor->engine->monitors, monitor);
        return 0;
}

void monitors_watch(Engine *engine, const char *id, PidRef *pid) {
        struct Monitor *monitor = g_new0(struct Monitor, 1);

        *monitor = (struct Monitor) {.engine = engine, .id = g_strdup(id), .pid = pidref_steal(pid)};
        int r = sd_event_add_io(engine->event, &monitor->source, monitor->pid.fd, EPOLLIN, on_ended, monitor);
        g_assert(r >= 0);
        g_ptr_array_add(engine->monitors, monitor);
}

static bool is_watched(const Engine *engine, pid_t pid) {
        for (guint i = 0; i < engine->monitors->len; i++) {
                const struct Monitor *monitor = engine->monitors->pdata[i];
                if (monitor->pid.pid == pid && !pidref_has_ended(&monitor->pid))
                        return true;
        }
        return false;
}

void monitors_watch_group(Engine *engine, const char *id) {
        g_autofree char *cgroup = cgroup_path_for_monitor(id);
        g_autoptr(GPtrArray) processes = cgroup_list(cgroup);

        for (guint i = 0; i < processes->len; i++) {
                pid_t number = ((CgroupProcess *) processes->pdata[i])->pid;
                PidRef pid = PIDREF_NULL;
                if (!is_watched(engine, number) && pidref_open(number, &pid, NULL))
                        monitors_watch(engine, id, &pid);
        }
        if (processes->len == 0)
                cgroup_remove_monitor(id);
}

void monitors_adopt(Engine *engine) {
        g_autoptr(GPtrArray) ids = cgroup_list_monitors();

        for (guint i = 0; i < ids->len; i++) {
                const Container *container = registry_get(engine->registry, ids->pdata[i]);
                if (!container || !container->life.run_open)
                        monitors_watch_group(engine, ids->pdata[i]);
        }
}
