/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reads a container's log files (stream/log-files.h) as the streams they were written from, from a place on and past their rotation: a file is over when there is another one after it. */

#include "stream/log-filter.h"

typedef struct LogReader LogReader;

/* There need not be a file at the path yet. NULL with InvalidArgs when the cursor's file is gone or shorter, or the cursor is one of the journal. {0, 0} is the beginning of the oldest file. */
LogReader *log_reader_new(const char *path, const LogCursor *from, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void log_reader_free(LogReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LogReader, log_reader_free)

void log_reader_align(LogReader *reader); /* the place lies within a record: begins with the next one */
void log_reader_skip(LogReader *reader, guint64 n_stdout, guint64 n_stderr); /* leaves out that many bytes of each stream first */
void log_reader_set_filter(LogReader *reader, const LogFilter *filter); /* copied; all of both streams when it is not called */
bool log_reader_end_here(LogReader *reader, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* reads no further than the present end */
void log_reader_end_at(LogReader *reader, const LogCursor *end); /* nor than this place */
void log_reader_keep_records(LogReader *reader); /* each record is a frame of its own; else records of one stream are joined */

/* The next frames, at most max; 0: there are no more now. They are valid until the next call. */
unsigned log_reader_read(LogReader *reader, Frame *frames, unsigned max);
/* The next record instead, and the places before and after it; lines before a run too, whatever the filter. False: there is none now. */
bool log_reader_next(LogReader *reader, LogRecord *ret, LogCursor *ret_at, LogCursor *ret_after);
LogCursor log_reader_place(const LogReader *reader); /* behind what has been read */

guint64 log_reader_backlog(const LogReader *reader); /* bytes of the present file that have not been read */
bool log_reader_is_current(const LogReader *reader); /* it reads the file that is being written */
/* To be called when files were renamed: takes hold of those that come next, up to a limit, so that they can be removed. */
void log_reader_notice_files(LogReader *reader);
/* What comes next has been removed before it was read: nothing comes any more, until log_reader_go_past_gap. */
bool log_reader_has_gap(const LogReader *reader);
void log_reader_go_past_gap(LogReader *reader);
