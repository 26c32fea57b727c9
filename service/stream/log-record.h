/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One record of conmon's log file k8s-file: `TIME STREAM P|F TEXT` and a newline. P: the text goes on in the next record of its stream; F: a newline of the stream follows the text. The text may hold every byte but a newline.
 * conbusd writes one of its own before each run, `TIME conbus F run N`: what the run before has left unfinished does not go on in it. */

#include "stream/frame.h"
#include <stdbool.h>

typedef struct LogRecord {
        guint8 stream; /* STREAM_STDOUT, STREAM_STDERR; STREAM_STDIN: a line that is no record of a stream */
        bool partial;
        guint64 run; /* not 0: a run begins here, in a file the one with this number */
        const char *time; /* RFC 3339, borrowed, time_size characters */
        size_t time_size;
        const guint8 *text; /* borrowed; with the newline of a full record */
        size_t size;
} LogRecord;

/* Bytes that the record takes, 0 when it is not complete yet. */
size_t log_record_parse(const guint8 *bytes, size_t size, LogRecord *ret);
/* Moves the texts of the records at the front of the size bytes at *bytes to put, one behind the other, and *bytes behind them: those that are complete, as conmon writes them and of this stream, and only as many as fit into max. put is in front of *bytes
 * in the same memory, or *bytes itself. Returns how many bytes of text there are. For the many records of a log of which each is wanted: it costs a third of taking them one by one. */
size_t log_record_move_texts(const guint8 **bytes, size_t size, guint8 stream, guint8 *put, size_t max);
/* Microseconds since 1970, what is below them cut off; 0 for a time that is none. */
guint64 log_record_usec(const LogRecord *record);
char *log_record_of_run(guint64 run, guint64 usec) G_GNUC_WARN_UNUSED_RESULT; /* the line before a run */
