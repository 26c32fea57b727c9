/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The results of a container's last checks: in memory, and where log-destination says. */

#include "operation/check.h"
#include "operation/health.h"

#define HEALTH_LOG_CAP (1 << 20) /* bytes of output that are kept for one container, whatever the settings say */

typedef struct HealthLog {
        GQueue entries; /* of HealthEntry, newest first */
        gsize n_bytes;
        unsigned n_appended; /* lines of the file since it was written anew */
} HealthLog;

void health_log_init(HealthLog *log);
void health_log_clear(HealthLog *log);
/* Keeps the result and forgets what is beyond log-count or the cap; writes to a directory or the event log. Failures are logged: a check counts whether or not its result can be written. */
void health_log_add(HealthLog *log, Container *container, const HealthSettings *settings, const CheckResult *result);
/* What the service takes over into its next life: streak and entries, in one file beside the container's own. A crash loses them, and nothing but them. */
void health_log_save(const HealthLog *log, const char *path, guint32 streak);
void health_log_load(HealthLog *log, const char *path, guint32 *ret_streak); /* and removes the file; *ret_streak is untouched without one */
