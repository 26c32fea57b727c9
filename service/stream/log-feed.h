/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One reader of a log: what a plan asks for, written into a pipe as fast as it is read there, and, when it follows, as it comes. */

#include "stream/log-plan.h"
#include <systemd/sd-event.h>

#define LOG_FD_OUTPUT 3 /* a pipe */
#define LOG_FD_STATUS 4 /* a pipe: "ok" when the log has been opened, else the name of an error, a newline and a sentence */

/* conbus-stream log PLAN: opens the log, says so, serves it and returns an exit status. LOG_FORMAT_ANSWER goes to standard output, its error to standard error. */
int log_feed_main(const char *plan);
