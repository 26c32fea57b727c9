/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A helper program, or one slow system call: the only fork in the tree. An argument vector, never a shell; a clean environment (PATH and what is given); default signal mask and dispositions, own process group (setsid);
 * every descriptor but the mapped ones closed; resource limits as conbusd was started with. Output is captured in a memfd (or two) and read back after the end, up to a limit; nothing is drained while it runs. */

#include "base/error.h"
#include "base/pidref.h"
#include "runtime/reaper.h"

typedef struct Process Process;

typedef struct ProcessResult {
        int status; /* raw wait status */
        bool timed_out; /* the deadline killed it */
        const char *output, *errors; /* captured stdout and stderr, NUL-terminated, never NULL */
        gsize output_size, errors_size;
} ProcessResult;

/* Exactly once, never before process_begin has returned; the Process is freed right after it returns. */
typedef void (*ProcessDone)(const ProcessResult *result, void *userdata);

typedef struct ProcessSpec {
        const char *const *argv; /* argv[0] is looked up in PATH */
        int (*call)(const char *const *argv); /* NULL, or what the child does instead of a program: system calls alone, since it is a copy of the service; 0 or an errno, which is told as a failed exec is. argv[0] is its name */
        bool (*spare)(const char *const *argv); /* NULL, or what the child tries before it executes the program: true: that was all, and nothing is executed */
        int program_fd; /* -1, or what is executed instead of the file (sealed_program); argv[0] is looked up all the same, and is what runs where descriptors cannot be executed (valgrind) */
        const char *const *environment; /* NULL: PATH, LANG=C.UTF-8 and nothing else */
        const char *directory; /* working directory or NULL: / */
        const int *fds; /* mapped to 3, 4, … in the child */
        unsigned n_fds;
        int stdin_fd; /* -1: /dev/null */
        gsize capture_limit; /* bytes read back of each stream; 0: 64 KiB */
        int output_fd, errors_fd; /* instead of the memfd; -1: captured */
        guint64 timeout_usec; /* 0: none. Then SIGTERM, and SIGKILL a second later */
        const char *cgroup_file; /* NULL, or the file of a control group that the child writes itself into before exec: cgroup.procs, or tasks (cgroup_monitor_file). Where the group is known only later: process_release_into */
        void (*forget)(void *userdata); /* in place of done, when the owner lets it go; NULL: the userdata is the owner's */
        bool survives; /* it is not killed when the service dies, for it could not be taken up where it was cut off */
        bool hold; /* the child waits before exec until process_release; if conbusd dies first it ends without exec */
} ProcessSpec;
#define PROCESS_SPEC_INIT { .program_fd = -1, .stdin_fd = -1, .output_fd = -1, .errors_fd = -1 }

/* done may be NULL. NULL with HelperMissing when argv[0] is not found in PATH, else Internal. */
Process *process_begin(sd_event *event, Reaper *reaper, const ProcessSpec *spec, ProcessDone done, void *userdata, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The soft RLIMIT_NOFILE that children get back when the service has raised its own. */
void process_set_nofile_limit(guint64 soft);
void process_release(Process *process); /* lets a held child go on */
void process_release_into(Process *process, const char *const *cgroup_files); /* the same, and it enters these groups first; NULL: none */
const PidRef *process_pid(const Process *process);
void process_kill(Process *process, int signal); /* to its process group leader by pidfd; done is called as usual */
/* Kills (SIGKILL), forgets the callback, frees when reaped. For owners that go away. */
void process_abandon(Process *process);
/* Forgets the callback and lets the process live on; frees when reaped. */
void process_detach(Process *process);
