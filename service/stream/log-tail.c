/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A region before the end is read as every reader reads; if it does not hold enough whole lines, one four times as long is. Lines are counted by where they end; one whose beginning lies before the region is not known well enough. */

#include "stream/log-tail.h"
#include "base/auto.h"
#include "stream/log-files.h"
#include "stream/log-lines.h"
#include "stream/log-reader.h"

#define REGION_MIN (256 * 1024)

/* A line that may be among the last. */
typedef struct Candidate {
        guint8 stream;
        LogCursor at;
        bool known; /* where it begins is */
} Candidate;

typedef struct Tail {
        GArray *ring; /* of Candidate, n at most; next is the oldest once it is full */
        guint64 n, next;
        bool from_start;
        bool seen[STREAM_STDERR + 1]; /* a line of the stream has ended in the region */
        bool going_on[STREAM_STDERR + 1]; /* the next one is another piece of the last */
} Tail;

static void on_line(const LogLine *line, void *userdata) {
        Tail *tail = userdata;
        Candidate candidate = {.stream = line->stream, .at = line->at, .known = tail->from_start || tail->seen[line->stream]};
        bool continues = tail->going_on[line->stream];

        tail->going_on[line->stream] = line->end == LOG_LINE_GOES_ON;
        if (line->end == LOG_LINE_WHOLE)
                tail->seen[line->stream] = true;
        if (continues) /* counted by its first piece */
                return;
        if (tail->ring->len < tail->n)
                g_array_append_val(tail->ring, candidate);
        else {
                g_array_index(tail->ring, Candidate, tail->next) = candidate;
                tail->next = (tail->next + 1) % tail->n;
        }
}

/* The place that lies this many bytes before the end, or the first there is. */
static LogCursor go_back(const char *path, const LogCursor *end, guint64 bytes, bool *ret_is_start) {
        LogCursor place = *end;

        while (place.offset < bytes) {
                guint64 number = 0;
                struct stat st;
                bytes -= place.offset;
                place.offset = 0;
                autofd int fd = place.number > 1 ? log_files_open(path, place.number - 1, &number, &st) : -1;
                if (fd < 0) {
                        *ret_is_start = true;
                        return place;
                }
                place = (LogCursor) {.number = number, .offset = (guint64) st.st_size};
        }
        place.offset -= bytes;
        *ret_is_start = false;
        return place;
}

static bool read_region(const char *path, const LogFilter *filter, const LogCursor *start, const LogCursor *end, bool is_start, Tail *tail, GError **error) {
        const LogPosition from = log_position_at(start);
        g_autoptr(LogReader) reader = log_reader_new(path, start, NULL);
        g_autoptr(LogLines) lines = log_lines_new(&from, on_line, tail);
        LogFilter mine = *filter;
        LogCursor at, after;
        LogRecord record;

        if (!reader) { /* its file has been removed since */
                reader = log_reader_new(path, &(LogCursor) {0}, error);
                tail->from_start = is_start = true;
        }
        if (!reader)
                return false;
        if (!is_start)
                log_reader_align(reader);
        log_reader_set_filter(reader, &mine);
        log_reader_end_at(reader, end);
        while (log_reader_next(reader, &record, &at, &after))
                log_lines_feed(lines, &record, 0, &at, &after);
        log_lines_finish(lines);
        return true;
}

static bool is_enough(const Tail *tail) {
        for (guint i = 0; i < tail->ring->len; i++)
                if (!g_array_index(tail->ring, Candidate, i).known)
                        return false;
        return tail->from_start || tail->ring->len == tail->n;
}

/* Each stream goes on from its first line in the ring; one that has none there is wanted from the end on. */
static LogPosition position_of(const Tail *tail, const LogCursor *end) {
        LogPosition position = log_position_at(end);

        for (guint i = tail->ring->len; i-- > 0;) {
                guint at = (guint) ((tail->next + i) % tail->ring->len);
                const Candidate *candidate = &g_array_index(tail->ring, Candidate, at);
                position.of[candidate->stream] = candidate->at;
        }
        return position;
}

bool log_tail_find(const char *path, const LogFilter *filter, const LogCursor *end, guint64 n, LogPosition *ret, GError **error) {
        const LogCursor *first = log_position_first(&filter->from);
        for (guint64 bytes = REGION_MIN; n > 0; bytes *= 4) {
                g_autoptr(GArray) ring = g_array_new(FALSE, FALSE, sizeof(Candidate));
                Tail tail = {.ring = ring, .n = n};
                LogCursor start = go_back(path, end, bytes, &tail.from_start);
                if (first->number > 0 && log_cursor_compare(&start, first) <= 0) {
                        start = *first;
                        tail.from_start = true;
                }
                if (!read_region(path, filter, &start, end, tail.from_start, &tail, error))
                        return false;
                if (is_enough(&tail)) {
                        *ret = position_of(&tail, end);
                        return true;
                }
        }
        *ret = log_position_at(end);
        return true;
}
