/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors of creations. They are looked at before the creation is accepted, put into their place when its turn comes and before its commit: a container that exists has what it was given. A service that dies in between leaves a directory without a row. */

#include "operation/kept.h"
#include "operation/internal.h"
#include "base/log.h"
#include "operation/crash-point.h"
#include "storage/mounts.h"
#include "storage/secret.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#define MARK "creating"
#define PLACE_SIZE (64 * 1024) /* it holds mount points alone */

typedef struct Descriptor {
        const char *key; /* static */
        gint32 number;
        int fd;
} Descriptor;

struct Kept {
        GArray *descriptors; /* of Descriptor: to be mounted */
        GArray *values; /* the same: to be read and stored */
        guint n_stored;
        Operation *operation; /* while it stores */
};

static void clear_descriptor(void *data) {
        close_fd(((Descriptor *) data)->fd);
}

void kept_free(Kept *kept) {
        if (!kept)
                return;
        g_array_unref(kept->descriptors);
        g_array_unref(kept->values);
        g_free(kept);
}

bool kept_is_empty(const Kept *kept) {
        return kept->descriptors->len + kept->values->len == 0;
}

/* Whether the dictionary has a handle of this name. */
static bool find_handle(GVariant *dict, const char *key, gint32 *ret) {
        return g_variant_lookup(dict, key, "h", ret);
}

static bool add(GArray *to, const char *key, gint32 number, const GArray *fds, bool (*check)(int fd, const char *key, GError **error), GError **error) {
        int fd = fds && number >= 0 && (guint) number < fds->len ? g_array_index(fds, int, number) : -1;
        Descriptor descriptor = {.key = key, .number = number};

        if (fd < 0)
                return error_set(error, CONBUS_ERROR_INVALID_CONFIG, "configuration key \"%s\": there is no descriptor with the number %d; it has to be sent with the call", key, number);
        if (!check(fd, key, error))
                return false;
        descriptor.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (descriptor.fd < 0)
                return error_errno(error, errno, "keep the descriptor of \"%s\"", key);
        g_array_append_val(to, descriptor);
        return true;
}

static bool add_mounts(Kept *kept, GVariant *config, const GArray *fds, GError **error) {
        g_autoptr(GVariant) mounts = config_value(config, "mounts");
        gint32 number;

        for (gsize i = 0; mounts && i < g_variant_n_children(mounts); i++) {
                g_autoptr(GVariant) mount = g_variant_get_child_value(mounts, i);
                if (find_handle(mount, "source-fd", &number) && !add(kept->descriptors, "mounts/source-fd", number, fds, mounts_check_kind, error))
                        return false;
        }
        return true;
}

static bool add_network(Kept *kept, GVariant *config, const GArray *fds, GError **error) {
        gint32 number;

        return !find_handle(config, "netns-fd", &number) || add(kept->descriptors, "netns-fd", number, fds, mounts_check_network_namespace, error);
}

static bool add_secrets(Kept *kept, GVariant *config, const GArray *fds, GError **error) {
        g_autoptr(GVariant) secrets = config_value(config, "secrets");
        gint32 number = -1;

        for (gsize i = 0; secrets && i < g_variant_n_children(secrets); i++) {
                g_autoptr(GVariant) secret = g_variant_get_child_value(secrets, i);
                if (!find_handle(secret, "value-fd", &number) || !add(kept->values, "secrets/value-fd", number, fds, secret_check_descriptor, error))
                        return false;
        }
        return true;
}

static GArray *new_descriptors(void) {
        GArray *descriptors = g_array_new(FALSE, FALSE, sizeof(Descriptor));

        g_array_set_clear_func(descriptors, clear_descriptor);
        return descriptors;
}

Kept *kept_new(GVariant *config, const GArray *fds, GError **error) {
        g_autoptr(Kept) kept = g_new0(Kept, 1);

        kept->descriptors = new_descriptors();
        kept->values = new_descriptors();
        return add_mounts(kept, config, fds, error) && add_network(kept, config, fds, error) && add_secrets(kept, config, fds, error) ? g_steal_pointer(&kept) : NULL;
}

char *kept_network_path(const Paths *paths, const Container *container) {
        g_autofree char *place = kept_path(paths, container);
        gint32 number;

        return find_handle(container->config, "netns-fd", &number) ? g_strdup_printf("%s/%d", place, (int) number) : NULL;
}

char *kept_path(const Paths *paths, const Container *container) {
        return paths_run_of(paths, container->id, "kept");
}

/* What a user namespace has for root must be able to walk through the place. */
static bool make_place(const Paths *paths, Container *container, GError **error) {
        g_autofree char *place = kept_path(paths, container);
        guint32 uid, gid;

        if (!config_find_host_ids(container->config, 0, 0, &uid, &gid))
                gid = 0;
        return mounts_make_place(place, PLACE_SIZE, gid, error);
}

/* Written before anything else and taken away when the row is durable: only what has it may be removed when no row is found, for a database that was lost must not take the files of all containers along. */
static bool mark(const Paths *paths, Container *container, GError **error) {
        g_autofree char *directory = paths_state_of(paths, container->id, NULL), *file = paths_state_of(paths, container->id, MARK);

        if (g_mkdir_with_parents(directory, 0700) < 0)
                return error_errno(error, errno, "make the directory %s", directory);
        autofd int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        return fd >= 0 || error_errno(error, errno, "make %s", file);
}

static bool unmark(const Paths *paths, const char *id) {
        g_autofree char *file = paths_state_of(paths, id, MARK);

        return unlink(file) == 0;
}

static bool keep_all(const Paths *paths, Container *container, Kept *kept, GError **error) {
        g_autofree char *place = kept_path(paths, container);

        if (kept->descriptors->len > 0 && !make_place(paths, container, error))
                return false;
        for (guint i = 0; i < kept->descriptors->len; i++) {
                const Descriptor *descriptor = &g_array_index(kept->descriptors, Descriptor, i);
                if (!mounts_keep(place, descriptor->number, descriptor->fd, descriptor->key, error))
                        return false;
        }
        return true;
}

/* --- values --- */

char *kept_secret_path(const Paths *paths, const char *id, gint32 number) {
        g_autofree char *directory = paths_state_of(paths, id, "secrets");

        return g_strdup_printf("%s/%d", directory, (int) number);
}

/* What the child that stores values says by its status. */
static GError *error_of(const ProcessResult *result) {
        static const ConbusError codes[] = {[SECRET_BAD_VALUE] = CONBUS_ERROR_INVALID_CONFIG, [SECRET_NOT_STORED] = CONBUS_ERROR_INTERNAL, [SECRET_DISK_FULL] = CONBUS_ERROR_STORAGE_FULL};
        g_autofree char *said = g_strchomp(g_strdup(result->errors));
        int status = WIFEXITED(result->status) ? WEXITSTATUS(result->status) : SECRET_NOT_STORED;

        if (result->timed_out)
                return g_error_new(CONBUS_ERROR, CONBUS_ERROR_INVALID_CONFIG, "configuration key \"secrets/value-fd\": the value has no end; close the other side of a pipe when it is written");
        return g_error_new(CONBUS_ERROR, (int) codes[status < (int) G_N_ELEMENTS(codes) ? status : SECRET_NOT_STORED], "configuration key \"secrets/value-fd\": %s", *said ? said : "the value could not be stored");
}

static void store_next(Kept *kept);

static void on_stored(const ProcessResult *result, void *userdata) {
        Kept *kept = userdata;
        Operation *operation = kept->operation;

        operation->process = NULL;
        kept->n_stored++;
        if (result->status == 0)
                store_next(kept);
        else {
                operation_fail(operation, error_of(result));
                operation_continue(operation);
        }
}

/* One after the other, each by a child: what a value is read from may keep silent, or hang. */
static void store_next(Kept *kept) {
        Operation *operation = kept->operation;
        ProcessSpec spec = PROCESS_SPEC_INIT;
        GError *error = NULL;

        crash_point();
        if (kept->n_stored == kept->values->len) {
                operation_continue(operation);
                return;
        }
        const Descriptor *value = &g_array_index(kept->values, Descriptor, kept->n_stored);
        g_autofree char *path = kept_secret_path(operation->engine->paths, operation->container->id, value->number);
        const char *const argv[] = {"/proc/self/exe", "--store-secret", path, NULL};
        spec.argv = argv;
        spec.stdin_fd = value->fd;
        spec.timeout_usec = operation->engine->settings.runtime_usec;
        operation->process = process_begin(operation->engine->event, operation->engine->reaper, &spec, on_stored, kept, &error);
        if (!operation->process) {
                operation_fail(operation, error);
                operation_continue(operation);
        }
}

static bool make_secrets_directory(const Paths *paths, const char *id, GError **error) {
        g_autofree char *directory = paths_state_of(paths, id, "secrets");

        return g_mkdir_with_parents(directory, 0700) == 0 || error_errno(error, errno, "make the directory %s", directory);
}

/* Whoever writes a value may take its time; others need not wait for that. */
static void store_values(Operation *operation, Kept *kept) {
        GError *error = NULL;

        if (!make_secrets_directory(operation->engine->paths, operation->container->id, &error)) {
                operation_fail(operation, error);
                operation_continue(operation);
                return;
        }
        kept->operation = operation;
        operation_give_slot_back(operation);
        store_next(kept);
}

void kept_begin(Operation *operation, Kept *kept) {
        const Paths *paths = operation->engine->paths;
        GError *error = NULL;

        if (!kept_is_empty(kept) && (!mark(paths, operation->container, &error) || !keep_all(paths, operation->container, kept, &error)))
                operation_fail(operation, error);
        if (operation->error || kept->values->len == 0)
                operation_continue(operation);
        else
                store_values(operation, kept);
}

/* --- the end --- */

static bool has_descriptors(GVariant *config) {
        g_autoptr(GVariant) mounts = config_value(config, "mounts");
        gint32 number;
        bool found = find_handle(config, "netns-fd", &number);

        for (gsize i = 0; !found && mounts && i < g_variant_n_children(mounts); i++) {
                g_autoptr(GVariant) mount = g_variant_get_child_value(mounts, i);
                found = find_handle(mount, "source-fd", &number);
        }
        return found;
}

void kept_commit(const Paths *paths, Container *container) {
        g_autoptr(GVariant) secrets = config_value(container->config, "secrets");

        if (secrets || has_descriptors(container->config))
                (void) unmark(paths, container->id);
}

bool kept_release(const Paths *paths, const char *id, GError **error) {
        g_autofree char *place = paths_run_of(paths, id, "kept");

        return mounts_release(place, error);
}

/* The mark goes last: whatever happens in between, what is left has it. */
static GStrv removal(const Paths *paths, const char *id) {
        g_autofree char *secrets = paths_state_of(paths, id, "secrets"), *run = paths_run_of(paths, id, NULL), *state = paths_state_of(paths, id, NULL);
        const char *const argv[] = {"rm", "-rf", "--one-file-system", "--", secrets, run, state, NULL};

        return g_strdupv((char **) argv);
}

static void on_discarded(Operation *operation) {
        if (operation->step_error)
                operation_fail(operation, g_steal_pointer(&operation->step_error));
        operation_continue(operation);
}

void kept_discard(Operation *operation) {
        const Paths *paths = operation->engine->paths;
        const char *id = operation->container->id;
        GError *error = NULL;

        if (!kept_release(paths, id, &error))
                operation_fail(operation, error);
        g_auto(GStrv) argv = removal(paths, id);
        operation_then(operation, on_discarded);
        operation_process(operation, (const char *const *) argv);
}

bool kept_check(const Paths *paths, Container *container, GError **error) {
        g_autofree char *place = kept_path(paths, container);

        if (!has_descriptors(container->config) || mounts_is_mounted(place))
                return true;
        return error_set(error, CONBUS_ERROR_NO_SUCH_PATH, "start %s: the descriptors that it was created with are gone, as they are after a reboot of the machine; remove it, and create it with new ones", container_title(container));
}

/* --- strays --- */

static void on_stray_removed(const ProcessResult *result, void *userdata) {
        if (result->status != 0)
                log_warning("remove what is left of a container: %s", result->errors);
}

static void remove_stray(Engine *engine, const char *id) {
        g_auto(GStrv) argv = removal(engine->paths, id);
        ProcessSpec spec = PROCESS_SPEC_INIT;
        g_autoptr(GError) error = NULL;

        log_notice("removing the directories of %s, whose creation or removal was cut off", id);
        spec.argv = (const char *const *) argv;
        if (!kept_release(engine->paths, id, &error) || !process_begin(engine->event, engine->reaper, &spec, on_stray_removed, NULL, &error))
                log_warning("remove what is left of %s: %s", id, error->message);
}

static bool is_marked(const Paths *paths, const char *id) {
        g_autofree char *file = paths_state_of(paths, id, MARK);

        return access(file, F_OK) == 0;
}

/* A row is gone for good when a removal is answered, the directory perhaps not yet: after a power cut it may be back. */
void kept_remove_strays(Engine *engine) {
        g_autofree char *path = g_build_filename(engine->paths->state, "containers", NULL);
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);

        for (const char *name = directory ? g_dir_read_name(directory) : NULL; name; name = g_dir_read_name(directory))
                if (registry_get(engine->registry, name))
                        (void) unmark(engine->paths, name);
                else if (is_marked(engine->paths, name) || store_knows_removal(engine->store, name))
                        remove_stray(engine, name);
}
