/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A log as a plan wants it, whether it is in files or in the journal. */

#include "stream/log-plan.h"
#include <systemd/sd-event.h>

typedef struct LogSource LogSource;

typedef void (*LogSourceChanged)(void *userdata); /* there may be more now */

/* InvalidArgs: its cursor is none of this log, or its place has been rotated away. */
LogSource *log_source_open(const LogPlan *plan, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void log_source_free(LogSource *source);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LogSource, log_source_free)

/* The place where it begins. */
LogPosition log_source_start(const LogSource *source);
bool log_source_next(LogSource *source, LogRecord *ret, guint64 *ret_usec, LogCursor *ret_at, LogCursor *ret_after);
/* The bytes themselves, in one piece: how many, 0 when there are none now. Not together with log_source_next. */
size_t log_source_read(LogSource *source, const guint8 **ret_bytes);
LogCursor log_source_place(const LogSource *source);

bool log_source_watch(LogSource *source, sd_event *event, LogSourceChanged changed, void *userdata, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void log_source_settle(LogSource *source); /* the run has ended: what it has written can be read after this */
bool log_source_has_gap(const LogSource *source); /* what comes next was rotated away */
void log_source_go_past_gap(LogSource *source);
