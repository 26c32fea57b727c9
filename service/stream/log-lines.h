/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Puts the records of a log together to lines. */

#include "stream/log-filter.h"

#define LOG_LINE_MAX 65536 /* bytes; what is longer comes in pieces of whole records, cut between two characters where there is such a place */

typedef enum LogLineEnd {
        LOG_LINE_WHOLE, /* a newline followed */
        LOG_LINE_GOES_ON, /* a piece: the next line of this stream goes on with it */
        LOG_LINE_UNFINISHED, /* no newline has come */
} LogLineEnd;

typedef struct LogLine {
        guint64 usec; /* of its first record */
        guint8 stream;
        LogLineEnd end;
        const guint8 *text; /* borrowed, without the newline */
        size_t size;
        LogCursor at; /* before its first record */
        LogPosition after; /* whoever goes on from here misses nothing and sees nothing twice */
} LogLine;

typedef void (*LogLineDone)(const LogLine *line, void *userdata);
typedef struct LogLines LogLines;

LogLines *log_lines_new(const LogPosition *from, LogLineDone done, void *userdata) G_GNUC_WARN_UNUSED_RESULT;
void log_lines_free(LogLines *lines);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LogLines, log_lines_free)

/* May call done, at most three times. The line before a run ends what is unfinished. */
void log_lines_feed(LogLines *lines, const LogRecord *record, guint64 usec, const LogCursor *at, const LogCursor *after);
void log_lines_finish(LogLines *lines); /* what is unfinished as it is */
void log_lines_pass(LogLines *lines, const LogCursor *place); /* all records before this place have been seen, also those that were not fed */
LogPosition log_lines_position(const LogLines *lines); /* before what is unfinished */
