/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files are counted when they are finished, by a reader that comes behind; a log that is not rotated costs nothing. */

#include "stream/log-marks.h"
#include "stream/log-files.h"

#define RECORDS_AT_ONCE 4096

typedef struct Mark {
        LogCursor place;
        guint64 totals[STREAM_STDERR + 1];
} Mark;

struct LogMarks {
        char *path;
        GArray *marks; /* of Mark, in order */
        LogReader *reader; /* NULL before the first rotation */
        guint64 totals[STREAM_STDERR + 1]; /* before the reader's place */
        guint64 number; /* of the file it was in last */
};

LogMarks *log_marks_new(const char *path, const LogCursor *start) {
        Mark first = {.place = *start};
        LogMarks *marks = g_new0(LogMarks, 1);

        if (first.place.number == 0) /* the oldest file of today, which may not be the oldest one later */
                first.place.number = MAX(log_files_after(path, 0), 1);
        marks->path = g_strdup(path);
        marks->number = first.place.number;
        marks->marks = g_array_new(FALSE, FALSE, sizeof(Mark));
        g_array_append_val(marks->marks, first);
        return marks;
}

void log_marks_free(LogMarks *marks) {
        if (!marks)
                return;
        log_reader_free(marks->reader);
        g_array_unref(marks->marks);
        g_free(marks->path);
        g_free(marks);
}

void log_marks_notice_files(LogMarks *marks) {
        if (!marks->reader)
                marks->reader = log_reader_new(marks->path, &g_array_index(marks->marks, Mark, 0).place, NULL);
        if (marks->reader)
                log_reader_notice_files(marks->reader);
}

static void enter_file(LogMarks *marks, guint64 number) {
        Mark mark = {.place = {.number = number}};

        for (guint8 stream = STREAM_STDOUT; stream <= STREAM_STDERR; stream++)
                mark.totals[stream] = marks->totals[stream];
        marks->number = number;
        g_array_append_val(marks->marks, mark);
}

bool log_marks_count(LogMarks *marks) {
        LogCursor at, after;
        LogRecord record;

        for (unsigned i = 0; marks->reader && !log_reader_is_current(marks->reader); i++) {
                if (i == RECORDS_AT_ONCE)
                        return true;
                bool read = log_reader_next(marks->reader, &record, &at, &after);
                guint64 number = log_reader_place(marks->reader).number;
                if (log_reader_has_gap(marks->reader))
                        g_clear_pointer(&marks->reader, log_reader_free); /* nothing can be said any more */
                else if (number != marks->number)
                        enter_file(marks, number);
                else if (!read)
                        return false;
                if (read && record.stream != STREAM_STDIN)
                        marks->totals[record.stream] += record.size;
        }
        return false;
}

LogReader *log_marks_open(const LogMarks *marks, guint64 n_stdout, guint64 n_stderr) {
        for (guint i = marks->marks->len; i-- > 0;) {
                const Mark *mark = &g_array_index(marks->marks, Mark, i);
                if (mark->totals[STREAM_STDOUT] > n_stdout || mark->totals[STREAM_STDERR] > n_stderr)
                        continue;
                LogReader *reader = log_reader_new(marks->path, &mark->place, NULL);
                if (reader)
                        log_reader_skip(reader, n_stdout - mark->totals[STREAM_STDOUT], n_stderr - mark->totals[STREAM_STDERR]);
                return reader;
        }
        return NULL;
}
