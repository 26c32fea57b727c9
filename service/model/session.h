/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Plain data of an exec session: what changes while it lives, and what was asked for. */

#include "base/error.h"
#include "model/life.h"

typedef enum SessionState {
        SESSION_CREATED,
        SESSION_RUNNING,
        SESSION_STOPPED,
        N_SESSION_STATES,
} SessionState;

const char *session_state_to_string(SessionState state) G_GNUC_WARN_UNUSED_RESULT;
bool session_state_from_string(const char *text, SessionState *ret) G_GNUC_WARN_UNUSED_RESULT;

typedef struct SessionLife {
        SessionState state;
        bool launching; /* created: its conmon has been begun, and what came of it is not known yet */
        guint64 run; /* of the container, in which it was started; 0 before */
        StoredProcess monitor, main; /* its conmon and the process */
        guint64 start_usec, finish_usec; /* 0 unset */
        int exit_code; /* -1 before the end */
        int exit_signal;
} SessionLife;

void session_life_init(SessionLife *life);

/* What is asked for is a GVariant a{sv} in normal form: the options of Exec that are no descriptors, and `command` as. Checks keys (UnknownOption), types and values (InvalidArgs). */
bool session_request_check(GVariant *request, GError **error) G_GNUC_WARN_UNUSED_RESULT;
