/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Words for people: colours where standard output is a terminal and NO_COLOR (no-color.org) is not set, times. */

#include <glib.h>

const char *output_bold(void);
const char *output_plain(void);
const char *output_colour(const char *word); /* of a state, a health status, a result of a run or a state of a job; end it with output_plain */
char *output_time(guint64 usec) G_GNUC_WARN_UNUSED_RESULT; /* local time, "-" for 0 */
char *output_until(guint64 usec) G_GNUC_WARN_UNUSED_RESULT; /* "in 3.2 s", "now" */
