/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of resource limits. */

#include "model/rlimit.h"
#include <glib.h>
#include <sys/resource.h>

static const char *const rlimit_names[] = {
        [RLIMIT_AS] = "RLIMIT_AS",
        [RLIMIT_CORE] = "RLIMIT_CORE",
        [RLIMIT_CPU] = "RLIMIT_CPU",
        [RLIMIT_DATA] = "RLIMIT_DATA",
        [RLIMIT_FSIZE] = "RLIMIT_FSIZE",
        [RLIMIT_LOCKS] = "RLIMIT_LOCKS",
        [RLIMIT_MEMLOCK] = "RLIMIT_MEMLOCK",
        [RLIMIT_MSGQUEUE] = "RLIMIT_MSGQUEUE",
        [RLIMIT_NICE] = "RLIMIT_NICE",
        [RLIMIT_NOFILE] = "RLIMIT_NOFILE",
        [RLIMIT_NPROC] = "RLIMIT_NPROC",
        [RLIMIT_RSS] = "RLIMIT_RSS",
        [RLIMIT_RTPRIO] = "RLIMIT_RTPRIO",
        [RLIMIT_RTTIME] = "RLIMIT_RTTIME",
        [RLIMIT_SIGPENDING] = "RLIMIT_SIGPENDING",
        [RLIMIT_STACK] = "RLIMIT_STACK",
};

int rlimit_from_name(const char *name) {
        for (unsigned i = 0; i < G_N_ELEMENTS(rlimit_names); i++) {
                g_autofree char *lower = g_ascii_strdown(rlimit_names[i] + strlen("RLIMIT_"), -1);

                if (g_str_equal(rlimit_names[i], name) || g_str_equal(lower, name))
                        return i;
        }
        return -1;
}

const char *rlimit_to_name(int resource) {
        return resource >= 0 && resource < (int) G_N_ELEMENTS(rlimit_names) ? rlimit_names[resource] : NULL;
}
