/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Between this terminal (or pipes) and the streams of a container or a process in one: framing `packets` of OpenAttach. */

#include <gio/gio.h>
#include <stdbool.h>

typedef struct Session {
        const char *path; /* of the container, or of a process in one */
        bool is_process;
        int fd; /* of the attachment; taken */
        bool input; /* standard input goes in */
        bool terminal; /* the container has a terminal */
        bool exited; /* set at the end: the container has ended, and the status is its own */
} Session;

/* The options of an attachment that fits these: streams, framing, detach-keys (NULL: the usual ones at a terminal, none for a pipe), size. Floating a{sv}. */
GVariant *session_options(bool input, bool terminal, const char *detach_keys);

/* Until the container has ended, or the user has left. The exit status: the container's code, 0 after a detach, EXIT_CONBUS after a message. The terminal is as it was before. */
int session_run(Session *session);
