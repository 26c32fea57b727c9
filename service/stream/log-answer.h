/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The answer of ReadLog: lines that fit into one message. */

#include "stream/log-source.h"

#define LOG_ANSWER_TYPE "(a(tss)s)"
#define LOG_ANSWER_LINES 1000
#define LOG_ANSWER_BYTES (1024 * 1024)

/* Of what the source has: with a limit as many lines from the beginning on, else the last ones that fit. Floating, LOG_ANSWER_TYPE: time, stream and text of each line, and the position to go on from. What is no UTF-8 is replaced; a line that is unfinished
 * is shown only without a limit, and the position is before it. */
GVariant *log_answer_read(LogSource *source, guint64 limit);
