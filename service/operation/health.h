/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Health checks (behaviour.md section 11), as the bus face sees them. */

#include "operation/operation.h"

typedef struct HealthEntry {
        guint64 start_usec, end_usec;
        int code;
        char *output;
} HealthEntry;

/* The settings with their defaults. */
typedef struct HealthSettings {
        guint64 interval_usec, timeout_usec, start_period_usec, startup_interval_usec, startup_timeout_usec;
        guint32 retries, startup_retries, startup_successes, log_count, log_size;
        const char *on_failure, *log_destination;
} HealthSettings;
void health_settings(Container *container, HealthSettings *ret); /* strings live as long as the configuration */

const char *health_status(Container *container); /* starting healthy unhealthy suspended stopped, "" without a check */
guint32 health_streak(Container *container);
guint64 health_last_check_usec(Container *container);
GPtrArray *health_log(Container *container); /* of HealthEntry, newest first, borrowed entries; free the array */

/* One check now; joins one in flight. Exactly one call of done, never before it returns. NotRunning, InvalidState, NoHealthCheck at once; HealthCheckTimeout, Cancelled in done. */
typedef void (*HealthChecked)(Container *container, const HealthEntry *entry, const GError *error, void *userdata);
bool health_check(Engine *engine, Container *container, HealthChecked done, void *userdata, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void health_check_forget(Container *container, void *userdata); /* the caller has left */
