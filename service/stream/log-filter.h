/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which records of a log somebody wants to see. A line is wanted or not as a whole, by its first record. */

#include "stream/log-cursor.h"
#include "stream/log-record.h"
#include <stdint.h>

typedef struct LogFilter {
        unsigned streams; /* mask of STREAM_MASK() */
        guint64 since_usec, until_usec; /* from since on, before until; 0 and UINT64_MAX: no limit */
        LogPosition from; /* nothing of a stream before its cursor */
        bool in_line[STREAM_STDERR + 1], wanted[STREAM_STDERR + 1]; /* 0 at first: of the line that a stream is in */
} LogFilter;

bool log_filter_has_times(const LogFilter *filter);
/* after: the place behind the record. usec counts if the filter has times. */
bool log_filter_takes(LogFilter *filter, const LogRecord *record, guint64 usec, const LogCursor *after);
/* What was unfinished stays so: another run begins. */
void log_filter_begin_run(LogFilter *filter);
