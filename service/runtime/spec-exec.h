/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes the process of an OCI configuration for `crun exec --process`: the container's own, with what an exec session asks for in its place (behaviour.md section 12). */

#include "base/error.h"
#include <glib.h>

typedef struct ExecSpec {
        const char *config; /* the container's config.json; its root.path is where passwd and group are looked up */
        const char *const *command;
        const char *user; /* USER[:GROUP]; NULL or "": the container's */
        const char *cwd; /* NULL: the container's */
        const char *const *env; /* NAME=VALUE, over the container's; NULL: none */
        bool terminal, privileged;
        guint16 rows, columns; /* 0: unknown */
} ExecSpec;

/* The JSON text, or NULL with InvalidArgs (the user), NoSuchPath, InvalidConfig (config.json is none any more). */
char *spec_exec_write(const ExecSpec *spec, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What OpenShell runs: the login shell of a user, or /bin/sh. InvalidArgs. */
char *spec_exec_shell(const char *config, const char *user, GError **error) G_GNUC_WARN_UNUSED_RESULT;
