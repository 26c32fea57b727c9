/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How lines of a log are written for a reader.
 *
 * text    the bytes as they came; with timestamps each line begins with its time, RFC 3339 in UTC, and ends with a newline
 * json    an object for each line: time (usec), stream, text (data, in base64, when it is not UTF-8), partial (no newline followed), cursor; and one as the last line: end (why), run, exit-code, cursor
 * export  the journal export format of systemd, with the fields that conmon's journald driver writes; CONBUS_LOG_END in the last entry */

#include "stream/log-lines.h"

typedef enum LogFormat {
        LOG_FORMAT_TEXT,
        LOG_FORMAT_JSON,
        LOG_FORMAT_EXPORT,
        LOG_FORMAT_ANSWER, /* of ReadLog: not written line by line */
        N_LOG_FORMATS,
} LogFormat;
const char *log_format_to_string(LogFormat format) G_GNUC_WARN_UNUSED_RESULT;
bool log_format_from_string(const char *text, LogFormat *ret) G_GNUC_WARN_UNUSED_RESULT; /* of those that a client can ask for */

typedef struct LogWriter {
        LogFormat format;
        bool timestamps;
        const char *id, *name; /* of the container, borrowed */
        guint8 mid_stream; /* 0 at first: the stream whose line goes on */
} LogWriter;

typedef struct LogEnd {
        const char *reason; /* exited, removed, log-end, until */
        guint64 run; /* 0: none */
        bool has_code;
        int exit_code;
        LogPosition position;
} LogEnd;

void log_writer_line(LogWriter *writer, const LogLine *line, GByteArray *out);
void log_writer_gap(LogWriter *writer, const LogPosition *position, GByteArray *out); /* what came next was rotated away before it was read */
void log_writer_end(LogWriter *writer, const LogEnd *end, GByteArray *out); /* nothing for text */
