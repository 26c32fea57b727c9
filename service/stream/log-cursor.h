/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Places in a log, which stay valid while it is rotated: the files of a log are numbered, and no number is ever used twice. */

#include "base/error.h"
#include "stream/frame.h"

/* Between two records. In a log file: the file's number (0: the first one there is) and the offset in it. In the journal: after the entry with this sequence number and this time, origin being the id that the sequence belongs to. */
typedef struct LogCursor {
        guint64 number, offset;
        char origin[33]; /* "" in a file */
} LogCursor;

/* As text "NUMBER:OFFSET" or "NUMBER:OFFSET:ORIGIN", both numbers in hexadecimal; it is the form of a run's log-cursor. */
char *log_cursor_to_string(const LogCursor *cursor) G_GNUC_WARN_UNUSED_RESULT;
bool log_cursor_parse(const char *text, LogCursor *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* InvalidArgs */
/* Less than, equal to or greater than 0 as a lies before, at or behind b. Places in different journals compare by their time. */
int log_cursor_compare(const LogCursor *a, const LogCursor *b);

/* Where a reader goes on. A line of one stream may have begun before the other stream's last one ended, so each stream has a cursor of its own. As text one cursor where both are the same, else two with a comma between them. */
typedef struct LogPosition {
        LogCursor of[STREAM_STDERR + 1]; /* of STREAM_STDOUT and STREAM_STDERR */
} LogPosition;

char *log_position_to_string(const LogPosition *position) G_GNUC_WARN_UNUSED_RESULT;
bool log_position_parse(const char *text, LogPosition *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* InvalidArgs */
LogPosition log_position_at(const LogCursor *cursor);
const LogCursor *log_position_first(const LogPosition *position); /* the one that lies before the other */
