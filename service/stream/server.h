/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The clients of one container or exec session, and the control connection that adds and removes them. */

#include "base/error.h"
#include <systemd/sd-event.h>

typedef struct ServerPlan {
        int control_fd, directory_fd, monitor_fd; /* taken; monitor -1: none */
        const char *log; /* path of a log file that can be read, NULL: none */
        const char *journal; /* the container's id, when the log is in the journal; NULL: it is not */
        const char *log_start; /* the run's output from its first byte on will be seen, and is in the log from this cursor on ("": nobody knows from where). NULL: it has begun already */
        guint64 stall_usec;
        bool stdin_once, patient;
} ServerPlan;

typedef struct Server Server;

/* The loop is left when nothing remains to be done. */
Server *server_new(sd_event *event, const ServerPlan *plan, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void server_free(Server *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Server, server_free)
