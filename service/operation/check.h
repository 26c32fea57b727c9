/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One execution of a health check: crun exec in a control group of its own below the container's, so that its whole process tree dies at the timeout. */

#include "operation/operation.h"

typedef struct Check Check;
typedef struct CheckResult {
        guint64 start_usec, end_usec;
        int code; /* 0, 1 for every other exit code, -1 timeout, 125 trouble of conbus or the runtime */
        const char *output; /* stdout and stderr, cut at a character boundary */
} CheckResult;
typedef void (*CheckDone)(const CheckResult *result, void *userdata); /* exactly once, never before check_begin has returned */

/* test: a check's command in its forms (CMD, CMD-SHELL, bare). NULL with *error when it cannot even be begun. */
Check *check_begin(Engine *engine, Container *container, const char *const *test, guint64 timeout_usec, gsize output_max, CheckDone done, void *userdata, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void check_abandon(Check *check); /* kills it without an answer */
