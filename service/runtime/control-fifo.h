/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* conmon's ctl FIFO. conmon 2.1 looks only at the first message of what one read gives, so a message is written only into an empty FIFO, and nobody but this service writes into it. */

#include "base/error.h"

#define CONTROL_FIFO "ctl" /* in the run's directory */
#define CONTROL_RETRY_USEC (20 * G_TIME_SPAN_MILLISECOND) /* until a FIFO that was not empty is looked at again; there is no event for that */

/* False with *ret_busy and no error: conmon has not read the message before. NotRunning: there is no conmon. */
bool control_fifo_send(const char *path, const char *message, bool *ret_busy, GError **error) G_GNUC_WARN_UNUSED_RESULT;
