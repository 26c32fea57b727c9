/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Times and the identity of the boot. */

#include "base/clock.h"
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

static guint64 clock_usec(clockid_t clock) {
        struct timespec now;

        clock_gettime(clock, &now);
        return (guint64) now.tv_sec * G_USEC_PER_SEC + (guint64) now.tv_nsec / 1000;
}

guint64 clock_realtime_usec(void) {
        return clock_usec(CLOCK_REALTIME);
}

guint64 clock_boottime_usec(void) {
        return clock_usec(CLOCK_BOOTTIME);
}

guint64 clock_add_usec(guint64 usec, guint64 span) {
        return usec > UINT64_MAX - span ? UINT64_MAX : usec + span;
}

guint64 clock_boottime_in(guint64 span) {
        return clock_add_usec(clock_boottime_usec(), span);
}

const char *clock_boot_id(void) {
        static char *id = NULL;

        if (!id) {
                const char *pretended = getenv("CONBUS_BOOT_ID");
                if (pretended)
                        id = g_strdup(pretended);
                else if (g_file_get_contents("/proc/sys/kernel/random/boot_id", &id, NULL, NULL))
                        g_strstrip(id);
                else
                        g_error("/proc/sys/kernel/random/boot_id cannot be read: is /proc mounted?");
        }
        return id;
}
