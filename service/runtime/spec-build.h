/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files that write an OCI configuration share. Nothing else includes it. */

#include "runtime/account.h"
#include "runtime/document.h"
#include "runtime/spec.h"

#define SPEC_INIT_PATH "/run/conbus-init" /* in the container */

typedef struct SpecBuild {
        const SpecInput *input;
        GVariant *config;
        JsonObject *root, *process, *os; /* os: the object "linux"; both belong to root */
        Account *account;
        guint64 capabilities; /* bounding set, a bit each */
        bool privileged;
        bool has_user_namespace;
} SpecBuild;

/* spec-process.c: the process and its user. Fills account and capabilities. */
bool spec_process_add(SpecBuild *build, GError **error) G_GNUC_WARN_UNUSED_RESULT;
guint64 spec_own_capabilities(void); /* what this service can hand on, a bit each */
void spec_set_capabilities(JsonObject *to, const char *member, guint64 set); /* as an array of names */
void spec_process_unset_env(JsonObject *process, const char *name);
void spec_process_set_env(JsonObject *process, const char *name, const char *value); /* replaces */
void spec_process_clamp_rlimits(JsonObject *process, const char *id); /* to what this service may set; logged */

/* spec-linux.c: namespaces, limits, devices, hidden paths, seccomp. After the process. */
bool spec_linux_add(SpecBuild *build, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void spec_linux_join(JsonObject *os, const SpecInput *input); /* namespaces of the input in place of new ones */
bool spec_linux_has_namespace(JsonObject *os, const char *type);

/* spec-mounts.c */
bool spec_mounts_add(SpecBuild *build, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void spec_mounts_add_notify(JsonObject *root, const SpecInput *input); /* the mount and NOTIFY_SOCKET, or nothing */
