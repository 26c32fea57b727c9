/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One pidfd for each process, since control groups of version 1 tell nobody when they are empty. */

#include "runtime/dying.h"
#include "base/clock.h"
#include "base/pidref.h"
#include "runtime/cgroup.h"
#include <sys/epoll.h>

typedef struct One {
        PidRef pid;
        sd_event_source *source;
} One;

struct Dying {
        sd_event *event;
        sd_event_source *timer;
        GPtrArray *processes; /* of One */
        unsigned n_left;
        DyingGone gone;
        void *userdata;
};

static void one_free(void *data) {
        One *one = data;

        g_clear_pointer(&one->source, sd_event_source_disable_unref);
        pidref_clear(&one->pid);
        g_free(one);
}

Dying *dying_new(sd_event *event, DyingGone gone, void *userdata) {
        Dying *dying = g_new0(Dying, 1);

        *dying = (Dying) {.event = sd_event_ref(event), .processes = g_ptr_array_new_with_free_func(one_free), .gone = gone, .userdata = userdata};
        return dying;
}

void dying_free(Dying *dying) {
        if (!dying)
                return;
        g_clear_pointer(&dying->timer, sd_event_source_disable_unref);
        g_ptr_array_unref(dying->processes);
        sd_event_unref(dying->event);
        g_free(dying);
}

/* The owner may free it in the callback. */
static void tell(Dying *dying) {
        unsigned n_left = dying->n_left;

        g_clear_pointer(&dying->timer, sd_event_source_disable_unref);
        g_ptr_array_set_size(dying->processes, 0);
        dying->n_left = 0;
        dying->gone(n_left, dying->userdata);
}

static int on_ended(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Dying *dying = userdata;

        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        if (--dying->n_left == 0)
                tell(dying);
        return 0;
}

static int on_patience_ended(sd_event_source *source, guint64 usec, void *userdata) {
        tell(userdata);
        return 0;
}

static void add_one(Dying *dying, pid_t pid) {
        g_auto(PidRef) ref = PIDREF_NULL;

        if (!pidref_open(pid, &ref, NULL))
                return;
        One *one = g_new0(One, 1);
        one->pid = pidref_steal(&ref);
        g_ptr_array_add(dying->processes, one);
        int r = sd_event_add_io(dying->event, &one->source, one->pid.fd, EPOLLIN, on_ended, dying);
        g_assert(r >= 0);
        dying->n_left++;
}

void dying_add(Dying *dying, const char *cgroup) {
        g_autoptr(GPtrArray) processes = cgroup_list(cgroup);

        for (guint i = 0; i < processes->len; i++)
                add_one(dying, ((CgroupProcess *) processes->pdata[i])->pid);
}

bool dying_await(Dying *dying, guint64 patience_usec) {
        if (dying->n_left == 0)
                return false;
        int r = sd_event_add_time(dying->event, &dying->timer, CLOCK_BOOTTIME, clock_boottime_in(patience_usec), 1000, on_patience_ended, dying);
        g_assert(r >= 0);
        return true;
}
