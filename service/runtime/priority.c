/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sched_setattr(2), for which the C library has had no wrapper until 2.41. */

#include "runtime/priority.h"
#include "base/log.h"
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* struct sched_attr in its first version. */
typedef struct Attributes {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
} Attributes;

static bool is_raised;

static bool set(int nice_value, uint64_t slice) {
        const Attributes attributes = {.size = sizeof attributes, .policy = SCHED_OTHER, .nice = nice_value, .runtime = slice};

        return syscall(SYS_sched_setattr, 0, &attributes, 0) == 0;
}

void priority_raise(void) {
        Attributes found = {0};

        if (syscall(SYS_sched_getattr, 0, &found, sizeof found, 0) < 0 || found.policy != SCHED_OTHER || found.nice != 0)
                return;
        is_raised = set(PRIORITY_NICE, PRIORITY_SLICE_NSEC);
        if (is_raised)
                return;
        log_debug("raise the priority: %s", g_strerror(errno));
        is_raised = set(0, PRIORITY_SLICE_NSEC);
        if (!is_raised)
                log_debug("shorten the slice: %s", g_strerror(errno));
}

void priority_restore(void) {
        if (is_raised)
                (void) set(0, 0);
}
