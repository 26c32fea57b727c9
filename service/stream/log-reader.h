/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads a container's log file as the streams it was written from, from a position on and past its rotation: conmon writes on into a file that was renamed until it has opened a new one at the path, so a file is over when there is another one at the path. */

#include "base/error.h"
#include "stream/frame.h"

/* Where a reader begins. As text it is "INODE:OFFSET" in hexadecimal, the form of a run's log-cursor; the inode finds a file that was renamed. */
typedef struct LogCursor {
        guint64 inode; /* 0: the file at the path */
        guint64 offset;
} LogCursor;

char *log_cursor_to_string(const LogCursor *cursor) G_GNUC_WARN_UNUSED_RESULT;
bool log_cursor_parse(const char *text, LogCursor *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* InvalidArgs */
bool log_cursor_of_end(const char *path, LogCursor *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* the present end; {0, 0} while there is no file */

typedef struct LogReader LogReader;

/* There need not be a file at the path yet. NULL with InvalidArgs when the cursor's file is gone or shorter. */
LogReader *log_reader_new(const char *path, const LogCursor *from, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void log_reader_free(LogReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LogReader, log_reader_free)

void log_reader_skip(LogReader *reader, guint64 n_stdout, guint64 n_stderr); /* leaves out that many bytes of each stream first */
bool log_reader_end_here(LogReader *reader, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* reads no further than the present end */
void log_reader_keep_records(LogReader *reader); /* each record is a frame of its own; else records of one stream are joined */

/* The next frames, at most max; 0: there are no more now. They are valid until the next call. */
unsigned log_reader_read(LogReader *reader, Frame *frames, unsigned max);
guint64 log_reader_backlog(const LogReader *reader); /* bytes of the file that have not been read */
