/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Writes the OCI runtime configuration (config.json, runtime-spec 1.0.2) from a container's configuration, from safe defaults: podman's default capabilities, masked and read-only paths, the distribution's seccomp profile. */

#include "base/error.h"
#include <glib.h>

/* A bind mount that the service adds. */
typedef struct SpecMount {
        char *target, *source;
        GStrv options;
} SpecMount;
SpecMount *spec_mount_new(const char *target, const char *source, const char *const *options) G_GNUC_WARN_UNUSED_RESULT;
void spec_mount_free(SpecMount *mount);

typedef struct SpecInput {
        const char *id, *name;
        GVariant *config; /* checked, see model/config.h */
        const char *rootfs; /* host path of root.path */
        bool root_readonly;
        const char *cgroups_path;
        const char *notify_directory; /* host directory with the socket "notify", bind-mounted to /run/notify and named in NOTIFY_SOCKET; NULL: none */
        const char *init; /* host path of an init program, bound to /run/conbus-init and put in front of the command; NULL: none */
        const char *kept; /* host directory in which a handle of the configuration is a mount point, by its number */
        const GPtrArray *mounts; /* of SpecMount; NULL: none */
        const char *credentials; /* directory in the container, for CREDENTIALS_DIRECTORY; NULL: none */
        const char *hostname_default; /* the first 12 digits of the id */
        const char *namespaces[8][2]; /* {type, path}: joined namespaces ("network", "/proc/123/ns/net"), ended by {NULL} */
        bool systemd_cgroup;
        unsigned *ret_unfiltered; /* NULL, or where to put the number of a seccomp profile whose filter is not known yet (seccomp_learn) */
} SpecInput;

/* The JSON text, or NULL with InvalidConfig (a user that is not in the container's passwd, a bad patch), NoSuchPath. Reads passwd and group of the container as untrusted data (openat2 RESOLVE_IN_ROOT, regular files, 1 MiB at most). */
char *spec_write(const SpecInput *input, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether oci-spec-patch is a patch that leaves what a specification needs; InvalidConfig. spec_write and spec_from_bundle apply it and say so, too. */
bool spec_check_patch(GVariant *config, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* For CreateContainerFromBundle: reads BUNDLE/config.json (bundle: an absolute path), checks it (InvalidConfig, NoSuchPath), replaces root.path by an absolute one (input->rootfs unless that is NULL), linux.cgroupsPath,
 * process.terminal (by the key terminal, which conmon follows), and adds what conbus needs. Namespaces of the input take the place of the bundle's. */
char *spec_from_bundle(const char *bundle, const SpecInput *input, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The directory that is the base of the root file system: the key rootfs, or root.path of the bundle (InvalidConfig, NoSuchPath when that cannot be read). bundle NULL: none. */
bool spec_find_root(const char *bundle, GVariant *config, char **ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;
