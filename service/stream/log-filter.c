/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Choosing among records. */

#include "stream/log-filter.h"

bool log_filter_has_times(const LogFilter *filter) {
        return filter->since_usec > 0 || filter->until_usec < UINT64_MAX;
}

void log_filter_begin_run(LogFilter *filter) {
        filter->in_line[STREAM_STDOUT] = filter->in_line[STREAM_STDERR] = false;
}

bool log_filter_takes(LogFilter *filter, const LogRecord *record, guint64 usec, const LogCursor *after) {
        guint8 stream = record->stream;

        if (!(filter->streams & STREAM_MASK(stream)) || log_cursor_compare(after, &filter->from.of[stream]) <= 0)
                return false;
        if (!filter->in_line[stream])
                filter->wanted[stream] = !log_filter_has_times(filter) || (usec >= filter->since_usec && usec < filter->until_usec);
        filter->in_line[stream] = record->partial;
        return filter->wanted[stream];
}
