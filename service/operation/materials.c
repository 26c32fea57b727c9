/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Values are copied inside the kernel from where they are durable to where one run finds them. */

#include "operation/materials.h"
#include "operation/kept.h"
#include "operation/volumes.h"
#include "base/auto.h"
#include "model/secret.h"
#include "runtime/account.h"
#include "runtime/spec.h"
#include "storage/mounts.h"
#include "storage/secret.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACE_SIZE (64 * 1024 * 1024)
#define CREDENTIAL_SIZE_MAX (1024 * 1024) /* as systemd takes them */

static bool has_any(GVariant *config, const char *key) {
        g_autoptr(GVariant) value = config_value(config, key);

        return value && g_variant_n_children(value) > 0;
}

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
                gid = 0;
        return mounts_make_place(place, PLACE_SIZE, gid, error);
}

static bool place_secrets(const Paths *paths, Container *container, const char *place, GError **error) {
        g_autoptr(GVariant) secrets = config_value(container->config, "secrets");

        for (gsize i = 0; secrets && i < g_variant_n_children(secrets); i++) {
                g_autoptr(GVariant) entry = g_variant_get_child_value(secrets, i);
                if (!place_secret(paths, container, place, entry, error))
                        return false;
        }
        return true;
}

/* --- credentials --- */

bool materials_check_credentials(const Paths *paths, GVariant *config, GError **error) {
        g_autofree const char **names = config_strv(config, "credentials");

        for (gsize i = 0; names && names[i]; i++) {
                g_autofree char *path = paths->credentials ? g_build_filename(paths->credentials, names[i], NULL) : NULL;
                if (!path || access(path, F_OK) < 0)
                        return error_set(error, CONBUS_ERROR_NO_SUCH_PATH, "configuration key \"credentials\": the service has received no credential \"%s\"; give it one with LoadCredential= in a drop-in of conbus.service, and restart it", names[i]);
        }
        return true;
}

static bool place_credential(const Paths *paths, const char *directory, const char *name, uid_t uid, gid_t gid, GError **error) {
        g_autofree char *source = g_build_filename(paths->credentials, name, NULL), *target = g_build_filename(directory, name, NULL);

        if (secret_place(source, target, CREDENTIAL_SIZE_MAX, uid, gid, 0400, error))
                return true;
        g_prefix_error(error, "hand the credential \"%s\" on: ", name);
        return false;
}

/* They are for the payload's own user: it can read them, and nobody but root else. */
static bool place_credentials(const Paths *paths, Container *container, const char *place, const char *rootfs, GError **error) {
        g_autofree const char **names = config_strv(container->config, "credentials");
        g_autofree char *directory = g_build_filename(place, "credentials", NULL);
        guint32 uid, gid;

        if (!names || !names[0])
                return true;
        g_autoptr(Account) account = account_find(rootfs, config_string(container->config, "user", "0"), error);
        if (!account || !materials_check_credentials(paths, container->config, error))
                return false;
        if (!config_find_host_ids(container->config, account->uid, account->gid, &uid, &gid))
                return error_set(error, CONBUS_ERROR_INVALID_CONFIG, "configuration key \"user\": uid-map and gid-map do not map it");
        if (mkdir(directory, 0700) < 0)
                return error_errno(error, errno, "make the directory %s", directory);
        for (gsize i = 0; names[i]; i++)
                if (!place_credential(paths, directory, names[i], uid, gid, error))
                        return false;
        return (chown(directory, uid, gid) == 0 && chmod(directory, 0500) == 0) || error_errno(error, errno, "close %s", directory);
}

/* --- volumes --- */

/* The way to a volume leads through directories that are closed to the user that a user namespace makes its root. */
static bool keep_volume(const Paths *paths, const char *id, const char *place, gint32 number, const char *entry, GError **error) {
        g_auto(Volume) volume = {0};

        if (!volume_parse(entry, &volume, error))
                return false;
        g_autofree char *path = volumes_path(paths, id, &volume);
        autofd int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return error_errno(error, errno, "open the volume %s", path);
        return mounts_keep(place, number, fd, "volumes", error);
}

static bool keep_volumes(const Paths *paths, Container *container, const char *place, GError **error) {
        g_autofree const char **entries = config_strv(container->config, "volumes");

        for (gint32 i = 0; has_any(container->config, "uid-map") && entries && entries[i]; i++)
                if (!keep_volume(paths, container->id, place, i, entries[i], error))
                        return false;
        return true;
}

static void add_volumes(const Paths *paths, Container *container, const char *place, GPtrArray *mounts) {
        g_autofree const char **entries = config_strv(container->config, "volumes");

        for (gint32 i = 0; entries && entries[i]; i++) {
                g_auto(Volume) volume = {0};
                if (!volume_parse(entries[i], &volume, NULL))
                        continue;
                g_autofree char *path = has_any(container->config, "uid-map") ? g_strdup_printf("%s/%d", place, (int) i) : volumes_path(paths, container->id, &volume);
                g_ptr_array_add(mounts, spec_mount_new(volume.target, path, (const char *const *) volume.options->pdata));
        }
}

static bool needs_place(GVariant *config) {
        return has_any(config, "secrets") || has_any(config, "credentials") || (has_any(config, "volumes") && has_any(config, "uid-map"));
}

bool materials_prepare(const Paths *paths, Container *container, const char *rootfs, GError **error) {
        g_autofree char *place = place_of(paths, container->id);

        if (!needs_place(container->config))
                return true;
        return materials_release(paths, container->id, error) && make_place(container, place, error) && place_secrets(paths, container, place, error) && place_credentials(paths, container, place, rootfs, error) &&
               keep_volumes(paths, container, place, error);
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
        if (has_any(container->config, "credentials")) {
                g_autofree char *directory = g_build_filename(place, "credentials", NULL);
                g_ptr_array_add(mounts, spec_mount_new(CREDENTIALS_DIRECTORY, directory, closed));
        }
        add_volumes(paths, container, place, mounts);
        return g_steal_pointer(&mounts);
}

const char *materials_credentials_directory(Container *container) {
        return has_any(container->config, "credentials") ? CREDENTIALS_DIRECTORY : NULL;
}

bool materials_release(const Paths *paths, const char *id, GError **error) {
        g_autofree char *place = place_of(paths, id);

        return mounts_release(place, error);
}
