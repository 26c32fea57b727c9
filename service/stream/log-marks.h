/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How many bytes of each stream lie before each file of a log, counted from a run's first byte on: so a client whose place is known by counting can go on from the log, also when the file that the run began in has been rotated away. */

#include "stream/log-reader.h"

typedef struct LogMarks LogMarks;

LogMarks *log_marks_new(const char *path, const LogCursor *start) G_GNUC_WARN_UNUSED_RESULT;
void log_marks_free(LogMarks *marks);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LogMarks, log_marks_free)

void log_marks_notice_files(LogMarks *marks); /* files were renamed; then log_marks_count is to be called */
bool log_marks_count(LogMarks *marks); /* does a part of the counting; false: there is none left */
/* A reader that begins behind that many bytes of each stream; NULL when they are not there any more. */
LogReader *log_marks_open(const LogMarks *marks, guint64 n_stdout, guint64 n_stderr) G_GNUC_WARN_UNUSED_RESULT;
