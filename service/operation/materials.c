/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Values are copied inside the kernel from where they are durable to where one run finds them. */

#include "operation/materials.h"
#include "operation/kept.h"
#include "model/secret.h"
#include "runtime/spec.h"
#include "storage/mounts.h"
#include "storage/secret.h"
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define PLACE_SIZE (64 * 1024 * 1024)

static char *place_of(const Paths *paths, const char *id) {
        return paths_run_of(paths, id, "private");
}

static char *path_of_secret(const char *place, const Secret *secret) {
        return g_strdup_printf("%s/secret-%d", place, (int) secret->number);
}

static bool place_secret(const Paths *paths, Container *container, const char *place, GVariant *entry, GError **error) {
        g_auto(Secret) secret = {0};
        guint32 uid, gid;

        secret_init(&secret, entry);
        g_autofree char *source = kept_secret_path(paths, container->id, secret.number), *target = path_of_secret(place, &secret);
        if (!config_find_host_ids(container->config, secret.uid, secret.gid, &uid, &gid))
                return error_set(error, CONBUS_ERROR_INVALID_CONFIG, "the secret \"%s\" belongs to ids that are not mapped", secret.name);
        if (secret_place(source, target, SECRET_SIZE_MAX, uid, gid, secret.mode, error))
                return true;
        g_prefix_error(error, "give %s the secret \"%s\": ", container_title(container), secret.name);
        return false;
}

static bool make_place(Container *container, const char *place, GError **error) {
        guint32 uid, gid;

        if (!config_find_host_ids(container->config, 0, 0, &uid, &gid))
                uid = gid = 0;
        return mounts_make_place(place, PLACE_SIZE, uid, gid, error);
}

bool materials_prepare(const Paths *paths, Container *container, GError **error) {
        g_autofree char *place = place_of(paths, container->id);
        g_autoptr(GVariant) secrets = config_value(container->config, "secrets");

        if (!secrets || g_variant_n_children(secrets) == 0)
                return true;
        if (!materials_release(paths, container->id, error) || !make_place(container, place, error))
                return false;
        for (gsize i = 0; i < g_variant_n_children(secrets); i++) {
                g_autoptr(GVariant) entry = g_variant_get_child_value(secrets, i);
                if (!place_secret(paths, container, place, entry, error))
                        return false;
        }
        return true;
}

GPtrArray *materials_mounts(const Paths *paths, Container *container) {
        static const char *const closed[] = {"bind", "rprivate", "ro", "nosuid", "nodev", "noexec", NULL};
        g_autoptr(GPtrArray) mounts = g_ptr_array_new_with_free_func((GDestroyNotify) spec_mount_free);
        g_autofree char *place = place_of(paths, container->id);
        g_autoptr(GVariant) secrets = config_value(container->config, "secrets");

        for (gsize i = 0; secrets && i < g_variant_n_children(secrets); i++) {
                g_autoptr(GVariant) entry = g_variant_get_child_value(secrets, i);
                g_auto(Secret) secret = {0};
                secret_init(&secret, entry);
                g_autofree char *source = path_of_secret(place, &secret);
                g_ptr_array_add(mounts, spec_mount_new(secret.target, source, closed));
        }
        return g_steal_pointer(&mounts);
}

bool materials_release(const Paths *paths, const char *id, GError **error) {
        g_autofree char *place = place_of(paths, id);

        return mounts_release(place, error);
}
