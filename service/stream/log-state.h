/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a follower of a log must know of the container: a small file in the container's run directory, which conbusd replaces at each change and a follower watches. So neither has to know of the other, and a restart of conbusd is nothing to a follower. */

#include "base/error.h"

#define LOG_STATE_FILE "log-state"

typedef enum LogPhase {
        LOG_PHASE_OPEN, /* the run writes, or may */
        LOG_PHASE_RESTARTING, /* it has ended and all of its output is in the log; another one is planned or under way */
        LOG_PHASE_ENDED, /* nothing comes by itself */
        LOG_PHASE_REMOVED, /* the container goes, or has gone: there is no file */
        N_LOG_PHASES,
} LogPhase;

typedef struct LogState {
        LogPhase phase;
        guint64 run;
        int exit_code; /* of the run, -1 while it is open */
} LogState;

bool log_state_write(const char *directory, const LogState *state, GError **error) G_GNUC_WARN_UNUSED_RESULT;
LogState log_state_read(const char *directory);
bool log_state_has_ended(const LogState *state, guint64 run); /* of this run, 0: of all of them */
