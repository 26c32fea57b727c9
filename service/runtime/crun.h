/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Verbs of crun under conbus's own root (RUN/crun), as child processes, and the meaning of its output. */

#include "runtime/paths.h"
#include "runtime/process.h"

/* error NULL on success. Failures are classed: RuntimePermissionDenied, RuntimeCommandNotFound, RuntimeFailed (crun's sentence inside), HelperMissing (crun is not installed), Timeout never. output is crun's stdout. */
typedef void (*CrunDone)(const char *output, const GError *error, void *userdata);

/* arguments: verb and what follows, NULL-terminated ("start", id, NULL). timeout_usec 0: 60 s. Returns the Process so that the owner can abandon it; NULL with *error. */
Process *crun_begin(sd_event *event, Reaper *reaper, const Paths *paths, const char *const *arguments, guint64 timeout_usec, CrunDone done, void *userdata, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether crun keeps a state of this container, be it of a create that was cut off. One that it has never heard of, or has deleted, need not be deleted. */
bool crun_knows(const Paths *paths, const char *id) G_GNUC_WARN_UNUSED_RESULT;

/* Classifies what crun said (stderr text or the lines of its JSON log): behaviour.md section 17. subject is put in front: `start container "web"`. */
void crun_set_error(GError **error, const char *subject, const char *message);
/* 125, 126 or 127 for an error of a launch. */
int crun_exit_code_of(const GError *error);

/* Output of `crun state`: status word ("created" "running" "paused" "stopped") and pid. */
bool crun_parse_state(const char *output, char **ret_status, pid_t *ret_pid, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The last message of a JSON log file (--log FILE --log-format=json), or NULL. */
char *crun_last_log_message(const char *path) G_GNUC_WARN_UNUSED_RESULT;
