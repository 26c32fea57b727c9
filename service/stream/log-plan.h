/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What is to be read of a log. conbusd makes it of a call's options and hands it to the process that reads, as text. */

#include "stream/log-format.h"

typedef struct LogPlan {
        char *id, *name; /* of the container */
        char *path; /* of the log; NULL: it is in the journal */
        char *directory; /* where the container's LOG_STATE_FILE is */
        unsigned streams; /* mask of STREAM_MASK() */
        guint64 since_usec, until_usec; /* from since on, before until; 0 and UINT64_MAX: no limit */
        char *from, *end; /* position, cursor; NULL: no limit */
        gint64 tail; /* lines before the present end; -1: all of them */
        guint64 limit; /* of LOG_FORMAT_ANSWER: lines, from the beginning on */
        guint64 run; /* followed to its end; 0: to the end of all */
        LogFormat format;
        bool follow, timestamps;
        bool from_run; /* from is the beginning of a run: if that has been rotated away, what is left of it will do */
} LogPlan;

void log_plan_clear(LogPlan *plan);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LogPlan, log_plan_clear)
char *log_plan_to_string(const LogPlan *plan) G_GNUC_WARN_UNUSED_RESULT;
bool log_plan_parse(const char *text, LogPlan *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Without the places of its cursors. */
LogFilter log_plan_filter(const LogPlan *plan);
