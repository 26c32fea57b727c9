/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Keeps a log file below a size. conmon is told to begin a new file (stream/log-files.h has how the files are named); what it wrote before stays under a number, and the oldest files are removed. */

#include "base/error.h"
#include <systemd/sd-event.h>

typedef struct LogLimits {
        guint64 size_max; /* bytes of one file */
        unsigned files_max; /* kept, the present one included; 2 at least */
} LogLimits;

typedef struct LogRotation LogRotation;

/* While conmon lives: path is its log, fifo its ctl FIFO. A rotation that an earlier service began is finished. */
LogRotation *log_rotation_new(sd_event *event, const char *path, const char *fifo, const LogLimits *limits) G_GNUC_WARN_UNUSED_RESULT;
void log_rotation_free(LogRotation *rotation);
/* conmon has ended, or makes no new file any more: what has been begun is brought to its end without it. */
void log_rotation_settle(LogRotation *rotation);
/* While there is no conmon, before the next one: rotates the log if it is too large. */
bool log_rotation_between_runs(const char *path, const LogLimits *limits, GError **error) G_GNUC_WARN_UNUSED_RESULT;
