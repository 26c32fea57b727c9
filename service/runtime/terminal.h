/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The size of a terminal that conmon holds, set through its ctl FIFO. Of sizes that come while conmon has not read the one before, the last one wins. */

#include "base/error.h"
#include <systemd/sd-event.h>

#define TERMINAL_SIZE_MAX 1000

typedef struct Terminal Terminal;

Terminal *terminal_new(sd_event *event, const char *directory); /* of the FIFO */
void terminal_free(Terminal *terminal);
/* NotRunning: there is no conmon. InvalidArgs: rows and columns go from 1 to TERMINAL_SIZE_MAX. */
bool terminal_resize(Terminal *terminal, unsigned rows, unsigned columns, GError **error) G_GNUC_WARN_UNUSED_RESULT;
