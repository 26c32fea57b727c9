/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Seccomp profiles: from the format of the distribution's file (conditions on capabilities and architectures) to LinuxSeccomp of the OCI specification, as podman reads it. */

#include "runtime/document.h"

#define SECCOMP_DEFAULT_PROFILE "/usr/share/containers/seccomp.json"

/* capabilities: the bounding set of the container, names. InvalidConfig, NoSuchPath. */
JsonObject *seccomp_read(const char *path, JsonArray *capabilities, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The same for a reader that changes nothing in it: while the file and the capabilities are those of the last call, so is the object. */
JsonObject *seccomp_share(const char *path, JsonArray *capabilities, GError **error) G_GNUC_WARN_UNUSED_RESULT;
