/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Following a log file. The file is read in large pieces; the texts of its records are moved together, so that many short lines become few frames. */

#include "stream/log-reader.h"
#include "base/auto.h"
#include "stream/log-files.h"
#include <string.h>

#define PIECE (128 * 1024)
#define HELD_MAX 32 /* files that a reader keeps from going */

/* A file that comes later, held since it may be removed before it is read. */
typedef struct HeldFile {
        guint64 number;
        int fd;
} HeldFile;

struct LogReader {
        char *path;
        int fd; /* -1: there is no file yet */
        guint64 number, offset; /* of the byte after what is in the buffer */
        GArray *held; /* of HeldFile, in order */
        LogCursor end;
        LogFilter filter;
        guint64 skip[STREAM_STDERR + 1];
        bool has_end, has_filter, keep_records, align, gap;
        guint8 *bytes; /* PIECE; read and not parsed: from first, used of them */
        size_t first, used;
};

LogReader *log_reader_new(const char *path, const LogCursor *from, GError **error) {
        guint64 number = 0;
        struct stat st = {0};
        autofd int fd = log_files_open(path, from->number, &number, &st);

        if (from->number != 0 ? fd < 0 || *from->origin || (guint64) st.st_size < from->offset : from->offset != 0) {
                error_set(error, CONBUS_ERROR_INVALID_ARGS, "the log has no such position any more");
                return NULL;
        }
        LogReader *reader = g_new0(LogReader, 1);
        reader->path = g_strdup(path);
        reader->fd = steal_fd(&fd);
        reader->number = reader->fd >= 0 ? number : 0;
        reader->offset = from->offset;
        reader->held = g_array_new(FALSE, FALSE, sizeof(HeldFile));
        reader->bytes = g_malloc(PIECE);
        return reader;
}

void log_reader_free(LogReader *reader) {
        if (!reader)
                return;
        for (guint i = 0; i < reader->held->len; i++)
                close_fd(g_array_index(reader->held, HeldFile, i).fd);
        g_array_unref(reader->held);
        close_fd(reader->fd);
        g_free(reader->path);
        g_free(reader->bytes);
        g_free(reader);
}

void log_reader_align(LogReader *reader) {
        reader->align = reader->offset > 0;
}

void log_reader_skip(LogReader *reader, guint64 n_stdout, guint64 n_stderr) {
        reader->skip[STREAM_STDOUT] = n_stdout;
        reader->skip[STREAM_STDERR] = n_stderr;
}

void log_reader_set_filter(LogReader *reader, const LogFilter *filter) {
        const LogCursor *from = log_position_first(&filter->from), *other = &filter->from.of[STREAM_STDOUT] == from ? &filter->from.of[STREAM_STDERR] : &filter->from.of[STREAM_STDOUT];

        reader->filter = *filter;
        /* A filter that lets everything through costs something for each record. */
        reader->has_filter = filter->streams != (STREAM_MASK(STREAM_STDOUT) | STREAM_MASK(STREAM_STDERR)) || log_filter_has_times(filter) || log_cursor_compare(from, other) != 0;
}

void log_reader_end_at(LogReader *reader, const LogCursor *end) {
        if (!reader->has_end || log_cursor_compare(end, &reader->end) < 0)
                reader->end = *end;
        reader->has_end = true;
}

bool log_reader_end_here(LogReader *reader, GError **error) {
        LogCursor end;

        if (!log_files_end(reader->path, &end, error))
                return false;
        log_reader_end_at(reader, &end);
        return true;
}

void log_reader_keep_records(LogReader *reader) {
        reader->keep_records = true;
}

/* --- files --- */

static bool read_piece(LogReader *reader) {
        size_t room;

        if (reader->fd < 0)
                return false;
        memmove(reader->bytes, reader->bytes + reader->first, reader->used);
        reader->first = 0;
        if (reader->used == PIECE) /* no record of conmon's is that long */
                reader->used = 0;
        room = PIECE - reader->used;
        if (reader->has_end && reader->number >= reader->end.number)
                room = MIN(room, reader->number == reader->end.number && reader->end.offset > reader->offset ? reader->end.offset - reader->offset : 0);
        ssize_t n = pread(reader->fd, reader->bytes + reader->used, room, (off_t) reader->offset);
        if (n <= 0)
                return false;
        reader->used += (size_t) n;
        reader->offset += (guint64) n;
        return true;
}

static bool is_at_end(const LogReader *reader) {
        return reader->has_end && reader->number >= reader->end.number;
}

bool log_reader_is_current(const LogReader *reader) {
        struct stat mine, other;

        return reader->fd >= 0 && lstat(reader->path, &other) == 0 && fstat(reader->fd, &mine) == 0 && other.st_ino == mine.st_ino && other.st_dev == mine.st_dev;
}

static int open_next(LogReader *reader, guint64 *ret_number) {
        struct stat st;

        if (reader->held->len > 0) {
                HeldFile held = g_array_index(reader->held, HeldFile, 0);
                g_array_remove_index(reader->held, 0);
                *ret_number = held.number;
                return held.fd;
        }
        return log_files_open(reader->path, reader->number == 0 ? 0 : reader->number + 1, ret_number, &st);
}

static void enter(LogReader *reader, int fd, guint64 number) {
        close_fd(reader->fd);
        reader->fd = fd;
        reader->number = number;
        reader->offset = 0;
        reader->first = reader->used = 0;
}

/* At the end of the file: when there is another one after it conmon writes there now. What it wrote here before that comes first. */
static bool go_to_next_file(LogReader *reader) {
        guint64 number = 0;

        if (reader->gap || (reader->held->len == 0 && log_reader_is_current(reader)))
                return false;
        autofd int fd = open_next(reader, &number);
        if (fd < 0) {
                reader->gap = reader->number != 0 && log_files_after(reader->path, reader->number) > reader->number + 1;
                return false;
        }
        if (read_piece(reader)) {
                const HeldFile held = {.number = number, .fd = steal_fd(&fd)};
                g_array_insert_val(reader->held, 0, held);
                return true;
        }
        enter(reader, steal_fd(&fd), number);
        return true;
}

void log_reader_notice_files(LogReader *reader) {
        struct stat st;

        while (reader->fd >= 0 && reader->held->len < HELD_MAX && !log_reader_is_current(reader)) {
                guint64 last = reader->held->len > 0 ? g_array_index(reader->held, HeldFile, reader->held->len - 1).number : reader->number;
                HeldFile held = {.fd = log_files_open(reader->path, last + 1, &held.number, &st)};
                if (held.fd < 0)
                        return;
                g_array_append_val(reader->held, held);
        }
}

bool log_reader_has_gap(const LogReader *reader) {
        return reader->gap;
}

void log_reader_go_past_gap(LogReader *reader) {
        struct stat st;
        guint64 number = 0, next = log_files_after(reader->path, reader->number);
        int fd = next > 0 ? log_files_open(reader->path, next, &number, &st) : -1;

        reader->gap = false;
        if (fd >= 0)
                enter(reader, fd, number);
}

/* --- records --- */

LogCursor log_reader_place(const LogReader *reader) {
        return (LogCursor) {.number = reader->number, .offset = reader->offset - reader->used};
}

static bool drop_to_newline(LogReader *reader) {
        const guint8 *start = reader->bytes + reader->first, *newline = memchr(start, '\n', reader->used);
        size_t n = newline ? (size_t) (newline - start) + 1 : reader->used;

        reader->first += n;
        reader->used -= n;
        reader->align = !newline;
        return !reader->align;
}

/* What is in the buffer; it is taken by take_record. 0: no whole record is. */
static size_t look(LogReader *reader, LogRecord *ret) {
        if (reader->align && !drop_to_newline(reader))
                return 0;
        return reader->used > 0 ? log_record_parse(reader->bytes + reader->first, reader->used, ret) : 0;
}

/* False: it is not to be seen. */
static bool take_record(LogReader *reader, const LogRecord *record, size_t size) {
        reader->first += size;
        reader->used -= size;
        if (record->run > 0 && reader->has_filter)
                log_filter_begin_run(&reader->filter);
        if (record->stream == STREAM_STDIN)
                return false;
        if (!reader->has_filter)
                return true;
        LogCursor after = log_reader_place(reader);
        return log_filter_takes(&reader->filter, record, log_filter_has_times(&reader->filter) ? log_record_usec(record) : 0, &after);
}

static bool read_on(LogReader *reader) {
        return read_piece(reader) || (!is_at_end(reader) && go_to_next_file(reader));
}

bool log_reader_next(LogReader *reader, LogRecord *ret, LogCursor *ret_at, LogCursor *ret_after) {
        for (;;) {
                size_t size = look(reader, ret);
                if (size == 0) {
                        if (!read_on(reader))
                                return false;
                        continue;
                }
                *ret_at = log_reader_place(reader);
                if (!take_record(reader, ret, size) && ret->run == 0)
                        continue;
                *ret_after = log_reader_place(reader);
                return true;
        }
}

/* --- frames --- */

static void leave_out(LogReader *reader, LogRecord *record) {
        size_t n = (size_t) MIN(reader->skip[record->stream], record->size);

        reader->skip[record->stream] -= n;
        record->text += n;
        record->size -= n;
}

static bool takes_all(const LogReader *reader) {
        return !reader->has_filter && !reader->keep_records && reader->skip[STREAM_STDOUT] == 0 && reader->skip[STREAM_STDERR] == 0;
}

/* What of the same stream follows the record that the frame ends with, as far as there is room in it. */
static size_t extend(LogReader *reader, Frame *frame, guint8 *put) {
        const guint8 *bytes = reader->bytes + reader->first, *at = bytes;
        size_t n = log_record_move_texts(&at, reader->used, frame->stream, put, FRAME_MAX - frame->size);

        reader->first += (size_t) (at - bytes);
        reader->used -= (size_t) (at - bytes);
        frame->size += n;
        return n;
}

/* The texts are moved to the front, over the heads of their records. */
static unsigned parse(LogReader *reader, Frame *frames, unsigned max) {
        guint8 *put = reader->bytes + reader->first;
        LogRecord record;
        unsigned n = 0;
        size_t size;

        while ((size = look(reader, &record)) > 0) {
                Frame *last = n > 0 ? &frames[n - 1] : NULL;
                bool joins = last && !reader->keep_records && last->stream == record.stream && last->size + record.size <= FRAME_MAX;
                if (!joins && n == max)
                        break;
                if (!take_record(reader, &record, size))
                        continue;
                leave_out(reader, &record);
                if (record.size == 0)
                        continue;
                memmove(put, record.text, record.size);
                if (joins)
                        last->size += record.size;
                else
                        frames[n++] = (Frame) {.stream = record.stream, .data = put, .size = record.size};
                put += record.size;
                if (takes_all(reader))
                        put += extend(reader, &frames[n - 1], put);
        }
        return n;
}

/* Frames are no longer than FRAME_MAX: a record of conmon's is 8 KiB at most, and one that is longer is nobody's. */
unsigned log_reader_read(LogReader *reader, Frame *frames, unsigned max) {
        for (;;) {
                unsigned n = parse(reader, frames, max);
                if (n > 0)
                        return n;
                if (!read_on(reader))
                        return 0;
        }
}

guint64 log_reader_backlog(const LogReader *reader) {
        struct stat st;

        if (reader->fd < 0 || fstat(reader->fd, &st) < 0 || (guint64) st.st_size < reader->offset)
                return reader->used;
        return (guint64) st.st_size - reader->offset + reader->used;
}
