/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A process that serves one reader of a log (stream/log-feed.h): conbus-stream in a mode of its own. It outlives the service, and under systemd has a scope of its own for that reason. */

#include "runtime/paths.h"
#include "runtime/process.h"
#include "runtime/units.h"

typedef struct LogProcess LogProcess;

/* Once, never before log_process_start has returned: the log has been opened, or could not be (errors of log_source_open, Internal). After an error the process is gone; free it, but not after success. */
typedef void (*LogProcessOpened)(const GError *error, void *userdata);
/* Once after it was opened: the reader has gone, or all has been read. Free it. */
typedef void (*LogProcessEnded)(void *userdata);

typedef struct LogProcessPlan {
        const char *id, *slice; /* of the container, and where the scope goes */
        const char *text; /* LogPlan */
        int output_fd; /* a pipe to write into; borrowed */
        LogProcessOpened opened;
        LogProcessEnded ended;
        void *userdata;
} LogProcessPlan;

/* units NULL: systemd is not here. HelperMissing, Internal. */
LogProcess *log_process_start(sd_event *event, Reaper *reaper, const Paths *paths, Units *units, const LogProcessPlan *plan, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void log_process_kill(LogProcess *process); /* nobody waits for it any more; frees it */
void log_process_free(LogProcess *process); /* lets go of it; it goes on */
