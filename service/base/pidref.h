/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A process, identified by a pidfd and, across restarts of the service, by pid and start time (field 22 of proc(5) stat) within one boot.
 * No signal is ever sent to a bare number. */

#include <stdbool.h>
#include <glib.h>
#include <sys/types.h>

typedef struct PidRef {
        pid_t pid; /* 0: none */
        int fd; /* pidfd, -1 if none */
        guint64 start_time; /* clock ticks after boot */
} PidRef;

#define PIDREF_NULL ((PidRef) { .pid = 0, .fd = -1, .start_time = 0 })

static inline bool pidref_is_set(const PidRef *p) {
        return p->pid > 0;
}

/* Fills *ret (which must be PIDREF_NULL or cleared) for a living or unreaped process; the caller must know that the number cannot be reused meanwhile (an unreaped child). */
bool pidref_open(pid_t pid, PidRef *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Finds the process again that once had this pid and start time: identity is checked before pidfd_open and after it. False, without error, if it is gone or the number was reused. */
bool pidref_find(pid_t pid, guint64 start_time, PidRef *ret) G_GNUC_WARN_UNUSED_RESULT;

void pidref_clear(PidRef *p); /* closes the descriptor */
PidRef pidref_steal(PidRef *p);

/* pidfd_send_signal(2). False with *error only for EPERM and the like; ESRCH returns true with *ret_gone (may be NULL) set. */
bool pidref_signal(const PidRef *p, int signal, bool *ret_gone, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* True when the process has ended (its pidfd polls readable), reaped or not. */
bool pidref_has_ended(const PidRef *p) G_GNUC_WARN_UNUSED_RESULT;

/* The raw wait status (as waitpid gives) of a process that has been reaped by anybody, through PIDFD_GET_INFO with the exit flag (Linux 6.15). False where the kernel does not know. */
bool pidref_exit_status(const PidRef *p, int *ret_status) G_GNUC_WARN_UNUSED_RESULT;

/* True when that status will never come: an older kernel, which knows nothing of a process that somebody has reaped, or nothing at all (before 6.13), or no descriptor. */
bool pidref_status_is_lost(const PidRef *p) G_GNUC_WARN_UNUSED_RESULT;

/* Start time of a process, 0 if there is none. */
guint64 pid_start_time(pid_t pid);
/* Its parent, 0 if there is none. */
pid_t pid_parent(pid_t pid);
/* In how many PID namespaces it has a number, from ours on: 1 where it is in ours. 0 if there is no such process. */
unsigned pid_depth(pid_t pid);
/* SIGKILL to each child of an unreaped process: what it has begun would go on without it. */
void pid_kill_children(pid_t parent);

/* It is on its way out, unreaped or gone: what /proc says of its control groups is not true any more (with groups of version 1 it is in the root of each). */
bool pid_is_exiting(pid_t pid) G_GNUC_WARN_UNUSED_RESULT;

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PidRef, pidref_clear)
