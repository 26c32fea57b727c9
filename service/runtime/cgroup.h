/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Control groups as this service needs them: where a process is, who is in a group, frozen or not, OOM kills; on cgroup v2 and on a v1-only view. Bounded reads of kernel files only. */

#include "base/error.h"
#include <stdbool.h>
#include <sys/types.h>

bool cgroup_is_unified(void); /* /sys/fs/cgroup is cgroup2 */

/* The cgroup of a process relative to the mount (v2: its "0::" line; v1: the pids or freezer hierarchy, else name=systemd). NULL when the process is gone. */
char *cgroup_of_pid(pid_t pid) G_GNUC_WARN_UNUSED_RESULT;

/* The id (64 hex) in a conbus cgroup path ("…/conbus/<id>[/…]", "…/conbus-<id>.scope[/…]"), or NULL. */
char *cgroup_container_id(const char *cgroup) G_GNUC_WARN_UNUSED_RESULT;

/* cgroupsPath of the OCI spec for a container: "/conbus/<id>" without systemd. */
char *cgroup_path_for(const char *id) G_GNUC_WARN_UNUSED_RESULT;

char *cgroup_path_for_monitor(const char *id) G_GNUC_WARN_UNUSED_RESULT; /* "/conbus/monitor-<id>" */

/* Where a process with one thread writes "0" to enter the monitor's own cgroup (in the v1 hierarchy that stands for membership, or in v2), NULL where there are no control groups. A child of ours does so itself, and makes the group if it is not there (ProcessSpec.cgroup_file):
 * making one waits for the kernel's lock on all of them, which is held for as long as anybody waits for a move, up to 40 ms when many containers start; and moving another process waits for an RCU grace period (cgroup_threadgroup_rwsem), 5 to 50 ms. The loop would stand still.
 * Its own thread moves without (kernel/cgroup/cgroup.c, cgroup_procs_write_start, Linux 5.16), and in v2, which moves whole processes, it is the child that waits. */
char *cgroup_monitor_file(const char *id) G_GNUC_WARN_UNUSED_RESULT;
bool cgroup_kill_monitor(const char *id, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* conmon and what it began: crun create outlives it */
/* The first move of a process between control groups waits for a grace period of the kernel's RCU, 5 to 15 ms; those that come within the next one do not. So whoever is about to need one, as crun create is, is spared most of the wait by a move that began before.
 * The file for cgroup_stay, or NULL where there are no control groups; and what a child does with it, argv[1] (ProcessSpec.call): it moves to where it is. 0 or an errno. */
char *cgroup_own_file(void) G_GNUC_WARN_UNUSED_RESULT;
int cgroup_stay(const char *const *argv);

/* "conbus-<id>.scope" */
char *cgroup_scope_of(const char *id) G_GNUC_WARN_UNUSED_RESULT;
/* Where systemd has put a process (v1: its own hierarchy, name=systemd). NULL when the process is gone. */
char *cgroup_of_unit_process(pid_t pid) G_GNUC_WARN_UNUSED_RESULT;
/* Where a conmon enters a scope that is ours by delegation: the files that it writes "0" to, as for cgroup_monitor_file. v2: that of SCOPE/monitor, which is made, since a group whose children have controllers holds no processes.
 * v1: those of every hierarchy that has the scope. NULL when that cannot be. */
char **cgroup_monitor_files(const char *scope, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void cgroup_remove_monitor(const char *id); /* best effort, when conmon is gone */
GPtrArray *cgroup_list_monitors(void) G_GNUC_WARN_UNUSED_RESULT; /* the ids of which such a group exists */
void cgroup_remove(const char *cgroup); /* leftovers of a container's group, depth first, best effort */

/* Makes CGROUP/name in freezer and pids (v1) or in the one tree (v2), for `crun exec --cgroup`: a child group whose processes can be killed together. */
bool cgroup_make_child(const char *cgroup, const char *name, GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef struct CgroupProcess {
        char *cgroup;
        pid_t pid;
} CgroupProcess;
/* Processes of a group and the groups below it; GPtrArray of CgroupProcess. Empty when there is no such group. */
GPtrArray *cgroup_list(const char *cgroup) G_GNUC_WARN_UNUSED_RESULT;

/* Sends a signal to every process of the group, each through a pidfd whose membership was checked after it was opened; for SIGKILL cgroup.kill is used where it exists, and the walk is repeated until no new process appears. *ret_n: how many got it. */
bool cgroup_signal(const char *cgroup, int signal, unsigned *ret_n, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool cgroup_is_frozen(const char *cgroup); /* or has been told to be: v2 takes its time, as does FREEZING of v1 */
bool cgroup_freeze(const char *cgroup, bool freeze, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* starts it */
/* Starts thawing; frozen v1 processes die by KILL only after it. */
bool cgroup_thaw(const char *cgroup, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* memory.events oom_kill or memory.oom_control oom_kill; 0 when unknown. */
guint64 cgroup_oom_kills(const char *cgroup);
