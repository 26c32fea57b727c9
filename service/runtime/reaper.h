/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All waiting for child processes happens here: one SIGCHLD source, waitid(2) for every child that ended, each given to whoever watches its pid.
 * conbusd is a subreaper (PR_SET_CHILD_SUBREAPER), so PID 1 of a container whose conmon died becomes its child too; orphans nobody watches are reaped silently. */

#include "base/auto.h"
#include <sys/types.h>

typedef struct Reaper Reaper;
typedef void (*ReaperEnded)(pid_t pid, int wait_status, void *userdata); /* raw status as waitpid gives; the watch is gone by then */

Reaper *reaper_new(sd_event *event); /* blocks SIGCHLD in this thread, becomes subreaper */
void reaper_free(Reaper *reaper);
/* One watch per pid; the pid is a child now or may become one (an adopted PID 1). */
void reaper_watch(Reaper *reaper, pid_t pid, ReaperEnded ended, void *userdata);
/* The same for a watcher that lives until then and belongs to nobody else: forget is called with it when the reaper goes first. */
void reaper_watch_owned(Reaper *reaper, pid_t pid, ReaperEnded ended, void (*forget)(void *userdata), void *userdata);
void reaper_unwatch_owner(Reaper *reaper, void *userdata); /* every watch with this userdata */
/* If the child with this pid has already ended: reaps it and calls the watcher. */
void reaper_check(Reaper *reaper, pid_t pid);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Reaper, reaper_free)
