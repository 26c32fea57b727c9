/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One launch of conmon with `crun create`, or with `crun exec` in a container that runs (behaviour.md section 16). The file's head explains the pipes. conmon stays our direct child (--sync) and lives as long as the container or the process. */

#include "base/pidref.h"
#include "runtime/paths.h"
#include "runtime/process.h"

/* What makes a launch one of crun exec. */
typedef struct ConmonExec {
        const char *session; /* a word for conmon's messages */
        const char *process; /* file with the process of an OCI configuration */
        const char *cgroup; /* a group below the container's that exists; NULL: the container's own */
        const char *console; /* listening socket that gets the terminal; NULL: conmon has it, or there is none */
        const int *stdio; /* three descriptors that the process gets as they are (log driver "passthrough"); NULL: conmon's */
        const int *fds; /* what the process gets from 3 on */
        unsigned n_fds; /* at most CONMON_FDS_MAX */
        bool waits; /* for conmon_go_on, once its streams can be attached to (conmon_on_attachable); not with stdio */
} ConmonExec;
#define CONMON_FDS_MAX 32

typedef struct ConmonLaunch {
        const char *id, *name, *bundle, *persist_dir, *exit_dir;
        const char *log_driver; /* "k8s-file" with log_path, "journald", "none" or "passthrough" */
        const char *log_path;
        const char *cgroup_file; /* of the group that conmon enters before it begins (cgroup_monitor_file); NULL where it is moved, or stays */
        bool terminal, stdin_open, stdin_once, systemd_cgroup;
        const char *notify_socket; /* unused by conmon itself; NULL */
        guint64 timeout_usec; /* for crun create or exec; 0: 240 s */
        const ConmonExec *exec; /* NULL: crun create. Else persist_dir is unused, and the exit file in exit_dir bears the id of the container */
} ConmonLaunch;

typedef struct Conmon Conmon;

/* The end of the launch. On success *main is PID 1, or the process of crun exec (owned by the callee's caller: steal it with pidref_steal), and error is NULL. A process of crun exec may have ended by now: its fd is then -1.
 * Errors: RuntimeFailed, RuntimePermissionDenied (126), RuntimeCommandNotFound (127), MonitorFailed; conmon has then been killed and reaped, `crun delete --force` is the caller's step. */
typedef void (*ConmonLaunched)(PidRef *main, const GError *error, void *userdata);
/* conmon itself ended (later, any time after a successful launch, while this service started it). */
typedef void (*ConmonEnded)(int wait_status, void *userdata);

/* Forks conmon, held before exec: store conmon_pid() (and put it into its scope), then call conmon_release. NULL with HelperMissing (no conmon), Internal. */
Conmon *conmon_begin(sd_event *event, Reaper *reaper, const Paths *paths, const ConmonLaunch *launch, ConmonLaunched launched, void *userdata, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* After a successful launch, or before conmon_kill: tells when conmon ends; at most one callback, never before this has returned. */
void conmon_on_end(Conmon *conmon, ConmonEnded ended, void *userdata);
/* Before conmon_release, with exec->waits: called once when the streams can be attached to. Nothing executes before conmon_go_on. */
void conmon_on_attachable(Conmon *conmon, void (*attachable)(void *userdata), void *userdata);
void conmon_go_on(Conmon *conmon);
const PidRef *conmon_pid(const Conmon *conmon); /* NULL once it has been reaped */
void conmon_release(Conmon *conmon, const char *const *cgroup_files); /* process_release_into */
/* Kills a launch in progress; launched is called with Cancelled. */
void conmon_cancel(Conmon *conmon);
/* SIGKILL to a conmon that must not go on, and to a crun exec that it has begun; a launch in progress is not answered any more. */
void conmon_kill(Conmon *conmon);
/* Forgets callbacks; conmon lives on (the service ends, or the container object goes). */
void conmon_free(Conmon *conmon);

/* The contents of an exit file: a decimal number without newline; conmon writes 128+N for signal N and -1 for unknown. False if there is none or it is no such number. */
bool conmon_read_exit_file(const char *directory, const char *id, int *ret_code) G_GNUC_WARN_UNUSED_RESULT;
bool conmon_remove_exit_file(const char *directory, const char *id); /* true if gone afterwards */

/* One packet of the sync pipe, for the tests: {"data": PID} or {"data": -1, "message": "…"}. False when it is neither. */
bool conmon_parse_sync(const char *text, gsize size, int *ret_data, char **ret_message) G_GNUC_WARN_UNUSED_RESULT;
