/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Seccomp profiles: from the format of the distribution's file (conditions on capabilities and architectures) to LinuxSeccomp of the OCI specification, as podman reads it. */

#include "runtime/document.h"

#define SECCOMP_DEFAULT_PROFILE "/usr/share/containers/seccomp.json"

/* capabilities: the bounding set of the container, names. InvalidConfig, NoSuchPath. */
JsonObject *seccomp_read(const char *path, JsonArray *capabilities, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The same for a reader that changes nothing in it: while the file and the capabilities are those of the last call, so is the object, and so is *ret_number, by which the next two know it. */
JsonObject *seccomp_share(const char *path, JsonArray *capabilities, unsigned *ret_number, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The annotation by which crun takes a compiled filter instead of compiling the profile, which stays in the configuration for what does not know it (crun(1)). */
#define SECCOMP_FILTER_ANNOTATION "run.oci.seccomp_bpf_data"
/* Its value for the profile of that number, valid until the next seccomp_share; NULL while it is not known. */
const char *seccomp_filter(unsigned number);
/* Takes the filter from what crun has compiled for the container (CRUN-ROOT/ID/seccomp.bpf); nothing when that cannot be, or when this crun keeps filters itself. */
void seccomp_learn(unsigned number, const char *crun_root, const char *id);
