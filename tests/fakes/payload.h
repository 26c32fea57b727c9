/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* PID 1 of a fake container, or a process that joins it: a real process in its control group, with the root directory as its root (chroot) and, where config.json asks for one, a PID namespace, since what PID 1 of a namespace takes of signals is part of
 * what the service sees. No other namespace, no mounts, no limits, no capabilities. */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct Payload {
        char **argv, **environment;
        char *cwd, *root, *cgroup;
        char *child_cgroup; /* exec: below the container's, or NULL */
        bool own_pids; /* create: a new PID namespace */
        pid_t join; /* exec: PID 1 whose PID namespace is entered, 0: none */
        uid_t uid;
        gid_t gid;
        unsigned n_preserved; /* exec: descriptors from 3 on that it keeps */
        char *fifo; /* create: the command is executed once a byte has been written to it; NULL: at once */
        char *console_socket; /* a new terminal's other side is sent there; NULL: no terminal */
} Payload;

/* Reads process, root, and linux of a config.json. */
Payload *payload_from_bundle(const char *bundle, GError **error);
/* Takes what a process specification says in place of that. */
bool payload_take_process(Payload *payload, const char *path, GError **error);
void payload_free(Payload *payload);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Payload, payload_free)

/* Returns the process once it is ready to execute its command (with fifo: waits for it); 0 with an error whose message is what crun says. */
pid_t payload_start(const Payload *payload, GError **error);
