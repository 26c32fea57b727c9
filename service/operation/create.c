/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CreateContainer and CreateContainerFromBundle: everything that can be wrong with the request is found before the operation is accepted; what is accepted is one commit, durable across a power cut when it is answered. */

#include "operation/internal.h"
#include "operation/kept.h"
#include "operation/materials.h"
#include "operation/profiles.h"
#include "runtime/spec.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static bool check_directory(const char *what, const char *path, ConbusError unusable, GError **error) {
        struct stat st;

        if (stat(path, &st) < 0)
                return errno == ENOENT || errno == ENOTDIR ? error_set(error, CONBUS_ERROR_NO_SUCH_PATH, "%s %s does not exist", what, path)
                                                           : error_set(error, unusable, "%s %.300s cannot be used: %s", what, path, g_strerror(errno));
        if (!S_ISDIR(st.st_mode))
                return error_set(error, CONBUS_ERROR_NOT_A_DIRECTORY, "%s %s is not a directory", what, path);
        return true;
}

/* A bundle is tried out whole: what spec_from_bundle accepts now it accepts at Init, unless the file changes. */
static bool check_bundle(const char *bundle, GVariant *config, GError **error) {
        SpecInput input = {.id = "", .name = "", .config = config, .cgroups_path = "/", .hostname_default = "", .rootfs = config_string(config, "rootfs", NULL)};

        if (!g_path_is_absolute(bundle))
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "the bundle directory is \"%s\"; it must be an absolute path", bundle);
        if (!check_directory("the bundle directory", bundle, CONBUS_ERROR_INVALID_ARGS, error))
                return false;
        g_autofree char *text = spec_from_bundle(bundle, &input, error);
        return text != NULL;
}

static bool check_source(const char *image, const char *bundle, GVariant *config, GError **error) {
        const char *rootfs = config_string(config, "rootfs", NULL);

        if (image && *image)
                return error_set(error, CONBUS_ERROR_NO_SUCH_IMAGE, "there is no image \"%s\": this build keeps none; name a directory with the key rootfs", image);
        if (rootfs && !check_directory("the root file system", rootfs, CONBUS_ERROR_INVALID_CONFIG, error))
                return false;
        if (bundle)
                return check_bundle(bundle, config, error);
        if (!rootfs)
                return error_set(error, CONBUS_ERROR_INVALID_CONFIG, "neither an image nor the key rootfs is given; a container needs a root file system");
        return config_check_complete(config, error) && spec_check_patch(config, error);
}

/* What the machine has to provide. That it is missing is said now and not at the first start; it may still go until then. */
static bool check_provisions(Engine *engine, GVariant *config, GError **error) {
        g_autofree char *init = config_bool(config, "init", false) ? paths_find_init(engine->paths, error) : g_strdup("");

        return init != NULL && materials_check_credentials(engine->paths, config, error);
}

/* What belongs to a container that is being created, until the commit or until the operation goes without one: its name, and what it was given by descriptor. */
struct Creation {
        Registry *registry;
        char *name;
        Kept *kept;
};

static void creation_free(void *data) {
        struct Creation *creation = data;

        registry_release_name(creation->registry, creation->name);
        g_free(creation->name);
        kept_free(creation->kept);
        g_free(creation);
}

static void set_creation(Operation *operation, Kept *kept) {
        struct Creation *creation = g_new(struct Creation, 1);

        *creation = (struct Creation) {.registry = operation->engine->registry, .name = g_strdup(operation->container->name), .kept = kept};
        operation->data = creation;
        operation->free_data = creation_free;
}

static void on_synced(const GError *error, void *userdata) {
        Operation *operation = userdata;
        g_autofree char *path = container_path(operation->container);

        if (error)
                operation_fail(operation, g_error_copy(error));
        else
                kept_commit(operation->engine->paths, operation->container);
        operation_set_result(operation, g_variant_new("(o)", path));
        operation_continue(operation);
}

/* Others of the same user may have been created since this one was accepted. */
static bool check_room(Operation *operation) {
        Container *container = operation->container;
        guint most = (guint) operation->number;
        GError *error = NULL;

        if (most == 0 || profiles_check_room(operation->engine->registry, config_string(container->config, "profile", ""), container->owner_uid, most, &error))
                return true;
        operation_fail(operation, error);
        return false;
}

static bool commit_creation(Operation *operation) {
        g_autoptr(Commit) commit = commit_new(operation->container, operation->actor);

        commit_set_create(commit, operation->engine->registry);
        commit_event(commit, "create", NULL);
        return operation_commit(operation, commit);
}

static void on_kept(Operation *operation) {
        struct Creation *creation = operation->data;
        bool made_nothing = kept_is_empty(creation->kept);
        bool may_commit = !operation->error && check_room(operation);

        creation_free(g_steal_pointer(&operation->data));
        operation->free_data = NULL;
        if (may_commit && commit_creation(operation))
                store_sync(operation->engine->store, on_synced, operation);
        else if (made_nothing)
                operation_continue(operation);
        else
                kept_discard(operation);
}

void create_step(Operation *operation) {
        struct Creation *creation = operation->data;

        operation_then(operation, on_kept);
        kept_begin(operation, creation->kept);
}

/* The configuration that counts: what was given, or with a profile what that makes of it. */
static GVariant *whole_config(Engine *engine, const char *image, const char *bundle, GVariant *given, Actor *actor, guint *ret_most, GError **error) {
        const char *profile;

        if (!config_check(given, bundle ? CONFIG_BUNDLE : CONFIG_CREATE, error))
                return NULL;
        profile = config_string(given, "profile", NULL);
        if (!profile)
                return g_variant_ref(given);
        if (image && *image) {
                error_set(error, CONBUS_ERROR_ACCESS_DENIED, "image \"%s\": the profile \"%s\" opens no images", image, profile);
                return NULL;
        }
        g_autoptr(GVariant) whole = profiles_apply(engine->registry, profile, actor, given, ret_most, error);
        return whole && config_check(whole, CONFIG_CREATE, error) ? g_steal_pointer(&whole) : NULL;
}

Operation *operation_create(Engine *engine, const char *name, const char *image, const char *bundle, GVariant *given, const GArray *fds, Actor *actor, OperationDone done, void *userdata, GError **error) {
        g_autofree char *generated = *name ? NULL : registry_new_name(engine->registry);
        guint most = 0;

        if (generated)
                name = generated;
        if (engine->n_accepted >= engine->settings.operations_queued_max) {
                error_set(error, CONBUS_ERROR_BUSY, "create \"%s\": %u operations are queued already; try again later", name, engine->n_accepted);
                return NULL;
        }
        if (!operation_check_quota(engine, actor, "create", error) || !config_check_name(name, error))
                return NULL;
        g_autoptr(GVariant) config = whole_config(engine, image, bundle, given, actor, &most, error);
        if (!config || !check_source(image, bundle, config, error) || !check_provisions(engine, config, error))
                return NULL;
        g_autoptr(Kept) kept = kept_new(config, fds, error);
        if (!kept || !dependencies_check(engine->registry, NULL, config, error) || !registry_reserve_name(engine->registry, name, error))
                return NULL;

        g_autofree char *id = registry_new_id(engine->registry);
        g_autoptr(GVariant) resolved = dependencies_resolve(engine->registry, config);
        g_autoptr(Container) container = container_new(id, name, actor ? actor->uid : 0, resolved);
        if (bundle) {
                g_free(container->bundle);
                container->bundle = g_strdup(bundle);
        }
        Operation *operation = operation_begin_create(engine, container, actor, done, userdata);
        operation->number = most;
        set_creation(operation, g_steal_pointer(&kept));
        return operation;
}
