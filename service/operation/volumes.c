/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One volume after the other: is it there, else make a directory beside it, let cp(1) fill it, publish it. A service that dies in between leaves that directory, which the container's next run, or its removal, takes away. */

#include "operation/internal.h"
#include "operation/volumes.h"
#include "base/log.h"
#include "runtime/account.h"
#include "storage/new-volume.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct VolumeWork {
        guint i; /* entry of the configuration */
        Volume volume;
        char *data, *copy; /* where it is to be, and what is being made */
        int source;
        uid_t uid;
        gid_t gid;
        mode_t mode;
        GError *error; /* while what was half-made is removed */
};

static void clear(struct VolumeWork *work) {
        volume_clear(&work->volume);
        g_clear_pointer(&work->data, g_free);
        g_clear_pointer(&work->copy, g_free);
        work->source = close_fd(work->source);
        g_clear_error(&work->error);
}

void volumes_work_free(struct VolumeWork *work) {
        if (!work)
                return;
        clear(work);
        g_free(work);
}

static char *directory_of(const Paths *paths, const char *id, const Volume *volume) {
        g_autofree char *anonymous = volume->name ? NULL : volume_anonymous_name(id, volume->target);

        return g_build_filename(paths->state, "volumes", volume->name ? volume->name : anonymous, NULL);
}

char *volumes_path(const Paths *paths, const char *id, const Volume *volume) {
        g_autofree char *directory = directory_of(paths, id, volume);

        return g_build_filename(directory, "data", NULL);
}

static char *copy_path(const Paths *paths, const char *id, const Volume *volume) {
        g_autofree char *directory = directory_of(paths, id, volume), *name = g_strconcat("new-", id, NULL);

        return g_build_filename(directory, name, NULL);
}

void volumes_add_removed(const Paths *paths, const Container *container, bool anonymous, GPtrArray *to) {
        g_autofree const char **entries = config_strv(container->config, "volumes");

        for (gsize i = 0; entries && entries[i]; i++) {
                g_auto(Volume) volume = {0};
                if (!volume_parse(entries[i], &volume, NULL))
                        continue;
                g_ptr_array_add(to, anonymous && !volume.name ? directory_of(paths, container->id, &volume) : copy_path(paths, container->id, &volume));
        }
}

/* --- making --- */

static void next(Operation *operation);

static void finish(Operation *operation) {
        g_clear_pointer(&operation->volume_work, volumes_work_free);
        operation_continue(operation);
}

static void on_given_up(Operation *operation) {
        g_autofree char *directory = g_path_get_dirname(operation->volume_work->copy);

        if (operation->step_error)
                log_warning("remove a volume that could not be made: %s", operation->step_error->message);
        g_clear_error(&operation->step_error);
        (void) rmdir(directory); /* it may have been made for this one */
        operation->step_error = g_steal_pointer(&operation->volume_work->error);
        finish(operation);
}

static void remove_copy(Operation *operation, Step then) {
        const char *const argv[] = {"rm", "-rf", "--one-file-system", "--", operation->volume_work->copy, NULL};

        operation_then(operation, then);
        operation_process(operation, argv);
}

static void give_up(Operation *operation, GError *error) {
        operation->volume_work->error = error;
        g_prefix_error(&operation->volume_work->error, "start %s: the volume at %s: ", container_title(operation->container), operation->volume_work->volume.target);
        remove_copy(operation, on_given_up);
}

static void on_lost(Operation *operation) {
        g_clear_error(&operation->step_error); /* the removal of the container tries again */
        operation->volume_work->i++;
        next(operation);
}

static void publish(Operation *operation) {
        struct VolumeWork *work = operation->volume_work;
        GError *error = NULL;
        bool lost;

        if (!new_volume_publish(work->copy, work->data, work->uid, work->gid, work->mode, &lost, &error))
                give_up(operation, error);
        else if (lost)
                remove_copy(operation, on_lost);
        else {
                work->i++;
                next(operation);
        }
}

static GError *copy_error(Operation *operation, const ProcessResult *result) {
        g_autofree char *said = g_strchomp(g_strdup(result->errors));
        bool full = strstr(said, g_strerror(ENOSPC)) || strstr(said, g_strerror(EDQUOT));

        if (operation->cancelled)
                return g_error_new(CONBUS_ERROR, CONBUS_ERROR_CANCELLED, "cancelled while it was filled");
        return g_error_new(CONBUS_ERROR, full ? CONBUS_ERROR_STORAGE_FULL : CONBUS_ERROR_INTERNAL, "it could not be filled with what the image has there: %s", *said ? said : "cp was killed");
}

static void on_copied(const ProcessResult *result, void *userdata) {
        Operation *operation = userdata;

        operation->process = NULL;
        operation->cancel = NULL;
        if (result->status == 0)
                publish(operation);
        else
                give_up(operation, copy_error(operation, result));
}

static void on_cancel_copy(Operation *operation) {
        process_kill(operation->process, SIGKILL);
}

static void fill(Operation *operation) {
        struct VolumeWork *work = operation->volume_work;
        const char *const argv[] = {"cp", "-a", "-x", "--", "/proc/self/fd/3/.", work->copy, NULL};
        ProcessSpec spec = PROCESS_SPEC_INIT;
        GError *error = NULL;

        spec.argv = argv;
        spec.fds = &work->source;
        spec.n_fds = 1;
        operation->process = process_begin(operation->engine->event, operation->engine->reaper, &spec, on_copied, operation, &error);
        if (operation->process)
                operation->cancel = on_cancel_copy;
        else
                give_up(operation, error);
}

/* As the image's own directory; where it has none, for the user of the container, who else could not write to it. */
static bool find_owner(Operation *operation, GError **error) {
        struct VolumeWork *work = operation->volume_work;
        GVariant *config = operation->container->config;
        guint32 uid, gid;
        struct stat st;

        work->mode = 0755;
        if (work->source >= 0) {
                if (fstat(work->source, &st) < 0)
                        return error_errno(error, errno, "look at %s of the image", work->volume.target);
                uid = st.st_uid;
                gid = st.st_gid;
                work->mode = st.st_mode & 07777;
        } else {
                g_autoptr(Account) account = account_find(operation->rootfs, config_string(config, "user", "0"), error);
                if (!account)
                        return false;
                uid = account->uid;
                gid = account->gid;
        }
        if (!config_find_host_ids(config, uid, gid, &uid, &gid) && !config_find_host_ids(config, 0, 0, &uid, &gid))
                uid = gid = 0;
        work->uid = uid;
        work->gid = gid;
        return true;
}

static void on_place_clear(Operation *operation) {
        struct VolumeWork *work = operation->volume_work;
        GError *error = g_steal_pointer(&operation->step_error);

        if (!error)
                work->source = new_volume_open_source(operation->rootfs, work->volume.target, &error);
        if (error || !find_owner(operation, &error) || !new_volume_make(work->copy, &error))
                give_up(operation, error);
        else if (work->volume.copy && work->source >= 0)
                fill(operation);
        else
                publish(operation);
}

/* The next volume that is not there yet. */
static bool find_missing(Operation *operation) {
        struct VolumeWork *work = operation->volume_work;
        const Paths *paths = operation->engine->paths;
        const char *id = operation->container->id;
        g_autofree const char **entries = config_strv(operation->container->config, "volumes");

        for (; entries && entries[work->i]; work->i++) {
                clear(work);
                if (!volume_parse(entries[work->i], &work->volume, &operation->step_error))
                        return false;
                work->data = volumes_path(paths, id, &work->volume);
                work->copy = copy_path(paths, id, &work->volume);
                if (access(work->data, F_OK) < 0)
                        return true;
        }
        return false;
}

static void next(Operation *operation) {
        if (operation->step_error || !find_missing(operation))
                finish(operation);
        else if (access(operation->volume_work->copy, F_OK) == 0)
                remove_copy(operation, on_place_clear);
        else
                on_place_clear(operation);
}

void volumes_prepare(Operation *operation) {
        g_clear_error(&operation->step_error);
        operation->volume_work = g_new0(struct VolumeWork, 1);
        operation->volume_work->source = -1;
        next(operation);
}
