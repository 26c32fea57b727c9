/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What tables are made of. */

#include "conbus-names.h"
#include "output.h"
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

static bool has_colours(void) {
        const char *no = getenv("NO_COLOR");

        return isatty(STDOUT_FILENO) && !(no && *no);
}

const char *output_bold(void) {
        return has_colours() ? "\033[1m" : "";
}

const char *output_plain(void) {
        return has_colours() ? "\033[0m" : "";
}

const char *output_colour(const char *word) {
        static const char *const good[] = {CONBUS_CONTAINER_STATE_RUNNING, CONBUS_HEALTH_STATUS_HEALTHY, CONBUS_CONTAINER_RESULT_SUCCESS, CONBUS_JOB_STATE_DONE, NULL};
        static const char *const waiting[] = {CONBUS_CONTAINER_STATE_INITIALIZED, CONBUS_CONTAINER_STATE_PAUSED, CONBUS_CONTAINER_STATE_STOPPING, CONBUS_CONTAINER_STATE_REMOVING, CONBUS_HEALTH_STATUS_STARTING, CONBUS_HEALTH_STATUS_SUSPENDED, CONBUS_JOB_STATE_QUEUED,
                                             CONBUS_JOB_STATE_CANCELLING, NULL};
        static const char *const bad[] = {CONBUS_CONTAINER_STATE_UNKNOWN, CONBUS_HEALTH_STATUS_UNHEALTHY, CONBUS_JOB_STATE_FAILED, CONBUS_CONTAINER_RESULT_LOST, CONBUS_CONTAINER_RESULT_OOM_KILL, CONBUS_CONTAINER_RESULT_CORE_DUMP, CONBUS_CONTAINER_RESULT_START_FAILED,
                                         CONBUS_CONTAINER_RESULT_TIMEOUT, NULL};

        if (!has_colours())
                return "";
        return g_strv_contains(good, word) ? "\033[32m" : g_strv_contains(waiting, word) ? "\033[33m" : g_strv_contains(bad, word) ? "\033[31m" : "";
}

char *output_time(guint64 usec) {
        g_autoptr(GDateTime) time = usec ? g_date_time_new_from_unix_local((gint64) (usec / G_USEC_PER_SEC)) : NULL;

        return time ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S") : g_strdup("-");
}

char *output_until(guint64 usec) {
        guint64 now = (guint64) g_get_real_time();

        return usec <= now ? g_strdup("now") : g_strdup_printf("in %.1f s", (double) (usec - now) / G_USEC_PER_SEC);
}
