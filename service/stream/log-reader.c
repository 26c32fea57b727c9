/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Following a log file. The file is read in large pieces; the texts of its records are put together in a second buffer, so that many short lines become few frames. */

#include "stream/log-reader.h"
#include "base/auto.h"
#include "stream/log-record.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define PIECE (256 * 1024)

struct LogReader {
        char *path;
        int fd; /* -1: there is no file yet */
        guint64 inode, offset; /* of the byte after what is in the buffer */
        guint64 end_inode, end_offset; /* log_reader_end_here */
        guint64 skip[3];
        bool has_end, keep_records;
        guint8 *bytes; /* PIECE; read and not parsed: from first, used of them */
        size_t first, used;
        guint8 *texts; /* PIECE; what the frames point to */
};

/* --- cursors --- */

char *log_cursor_to_string(const LogCursor *cursor) {
        return g_strdup_printf("%" G_GINT64_MODIFIER "x:%" G_GINT64_MODIFIER "x", cursor->inode, cursor->offset);
}

bool log_cursor_parse(const char *text, LogCursor *ret, GError **error) {
        g_auto(GStrv) parts = g_strsplit(text, ":", 3);

        if (g_strv_length(parts) == 2 && g_ascii_string_to_unsigned(parts[0], 16, 0, G_MAXUINT64, &ret->inode, NULL) && g_ascii_string_to_unsigned(parts[1], 16, 0, G_MAXINT64, &ret->offset, NULL))
                return true;
        return error_set(error, CONBUS_ERROR_INVALID_ARGS, "\"%s\" is no position in a log", text);
}

bool log_cursor_of_end(const char *path, LogCursor *ret, GError **error) {
        struct stat st;

        *ret = (LogCursor) {0};
        if (stat(path, &st) < 0)
                return errno == ENOENT || error_errno(error, errno, "look at the log %s", path);
        *ret = (LogCursor) {.inode = st.st_ino, .offset = (guint64) st.st_size};
        return true;
}

/* --- files --- */

static int open_log(const char *path, struct stat *ret_st) {
        autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

        if (fd < 0 || fstat(fd, ret_st) < 0 || !S_ISREG(ret_st->st_mode))
                return -1;
        return steal_fd(&fd);
}

/* The file with this inode: at the path, or beside it under a longer name. */
static int find_log(const char *path, guint64 inode, struct stat *ret_st) {
        g_autofree char *directory = g_path_get_dirname(path), *name = g_path_get_basename(path);
        autofd int fd = open_log(path, ret_st);
        const char *other;

        if (fd >= 0 && (inode == 0 || ret_st->st_ino == inode))
                return steal_fd(&fd);
        g_autoptr(GDir) entries = inode != 0 ? g_dir_open(directory, 0, NULL) : NULL;
        while (entries && (other = g_dir_read_name(entries))) {
                if (!g_str_has_prefix(other, name))
                        continue;
                g_autofree char *candidate = g_build_filename(directory, other, NULL);
                autofd int found = open_log(candidate, ret_st);
                if (found >= 0 && ret_st->st_ino == inode)
                        return steal_fd(&found);
        }
        return -1;
}

LogReader *log_reader_new(const char *path, const LogCursor *from, GError **error) {
        struct stat st = {0};
        autofd int fd = find_log(path, from->inode, &st);

        if (from->inode != 0 && (fd < 0 || (guint64) st.st_size < from->offset)) {
                error_set(error, CONBUS_ERROR_INVALID_ARGS, "the log has no such position any more");
                return NULL;
        }
        LogReader *reader = g_new0(LogReader, 1);
        reader->path = g_strdup(path);
        reader->fd = steal_fd(&fd);
        reader->inode = reader->fd >= 0 ? st.st_ino : 0;
        reader->offset = from->offset;
        reader->bytes = g_malloc(PIECE);
        reader->texts = g_malloc(PIECE);
        return reader;
}

void log_reader_free(LogReader *reader) {
        if (!reader)
                return;
        close_fd(reader->fd);
        g_free(reader->path);
        g_free(reader->bytes);
        g_free(reader->texts);
        g_free(reader);
}

void log_reader_skip(LogReader *reader, guint64 n_stdout, guint64 n_stderr) {
        reader->skip[STREAM_STDOUT] = n_stdout;
        reader->skip[STREAM_STDERR] = n_stderr;
}

bool log_reader_end_here(LogReader *reader, GError **error) {
        LogCursor end;

        if (!log_cursor_of_end(reader->path, &end, error))
                return false;
        reader->has_end = true;
        reader->end_inode = end.inode;
        reader->end_offset = end.offset;
        return true;
}

void log_reader_keep_records(LogReader *reader) {
        reader->keep_records = true;
}

static bool read_piece(LogReader *reader);

/* At the end of the file: when there is another one at the path conmon writes there now. What it wrote here before that comes first. */
static bool go_to_next_file(LogReader *reader) {
        struct stat st;
        autofd int fd = open_log(reader->path, &st);

        if (fd < 0 || (reader->fd >= 0 && st.st_ino == reader->inode))
                return false;
        if (read_piece(reader))
                return true;
        close_fd(reader->fd);
        reader->fd = steal_fd(&fd);
        reader->inode = st.st_ino;
        reader->offset = 0;
        reader->first = reader->used = 0;
        return true;
}

static bool read_piece(LogReader *reader) {
        size_t room;

        if (reader->fd < 0)
                return false;
        memmove(reader->bytes, reader->bytes + reader->first, reader->used);
        reader->first = 0;
        if (reader->used == PIECE) /* no record of conmon's is that long */
                reader->used = 0;
        room = PIECE - reader->used;
        if (reader->has_end && reader->inode == reader->end_inode)
                room = MIN(room, reader->end_offset > reader->offset ? reader->end_offset - reader->offset : 0);
        ssize_t n = pread(reader->fd, reader->bytes + reader->used, room, (off_t) reader->offset);
        if (n <= 0)
                return false;
        reader->used += (size_t) n;
        reader->offset += (guint64) n;
        return true;
}

static bool is_at_end(const LogReader *reader) {
        return reader->has_end && (reader->inode == reader->end_inode || reader->end_inode == 0);
}

/* --- frames --- */

static void leave_out(LogReader *reader, LogRecord *record) {
        size_t n = (size_t) MIN(reader->skip[record->stream], record->size);

        reader->skip[record->stream] -= n;
        record->text += n;
        record->size -= n;
}

static unsigned parse(LogReader *reader, Frame *frames, unsigned max) {
        size_t put = 0;
        unsigned n = 0;

        while (reader->used > 0) {
                LogRecord record;
                size_t size = log_record_parse(reader->bytes + reader->first, reader->used, &record);
                if (size == 0)
                        break;
                Frame *last = n > 0 ? &frames[n - 1] : NULL;
                bool joins = last && !reader->keep_records && last->stream == record.stream && last->size + record.size <= FRAME_MAX;
                if (!joins && n == max)
                        break;
                reader->first += size;
                reader->used -= size;
                if (record.stream == STREAM_STDIN)
                        continue;
                leave_out(reader, &record);
                if (record.size == 0)
                        continue;
                memcpy(reader->texts + put, record.text, record.size);
                if (joins)
                        last->size += record.size;
                else
                        frames[n++] = (Frame) {.stream = record.stream, .data = reader->texts + put, .size = record.size};
                put += record.size;
        }
        return n;
}

/* Frames are no longer than FRAME_MAX: a record of conmon's is 8 KiB at most, and one that is longer is nobody's. */
unsigned log_reader_read(LogReader *reader, Frame *frames, unsigned max) {
        for (;;) {
                unsigned n = parse(reader, frames, max);
                if (n > 0)
                        return n;
                if (read_piece(reader))
                        continue;
                if (is_at_end(reader) || !go_to_next_file(reader))
                        return 0;
        }
}

guint64 log_reader_backlog(const LogReader *reader) {
        struct stat st;

        if (reader->fd < 0 || fstat(reader->fd, &st) < 0 || (guint64) st.st_size < reader->offset)
                return reader->used;
        return (guint64) st.st_size - reader->offset + reader->used;
}
