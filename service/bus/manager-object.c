/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The manager: find, create, read records and events. Verbs on one container are the container's own. */

#include "bus/discreet.h"
#include "bus/events.h"
#include "bus/inspect.h"
#include "bus/query.h"
#include "bus/wait-calls.h"
#include "conbus-features.h"
#include "container-interface.h"
#include "manager-interface.h"
#include "runtime/cgroup.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* --- properties --- */

int manager_property_version(Bus *bus, sd_bus_message *reply) {
        return sd_bus_message_append_basic(reply, 's', CONBUS_VERSION);
}

int manager_property_features(Bus *bus, sd_bus_message *reply) {
        return sd_bus_message_append_strv(reply, (char **) conbus_features);
}

int manager_property_mode(Bus *bus, sd_bus_message *reply) {
        return sd_bus_message_append_basic(reply, 's', "system");
}

int manager_property_runtime(Bus *bus, sd_bus_message *reply) {
        return sd_bus_message_append_basic(reply, 's', "crun");
}

int manager_property_runtime_version(Bus *bus, sd_bus_message *reply) {
        return sd_bus_message_append_basic(reply, 's', bus->runtime_version ? bus->runtime_version : "");
}

int manager_property_monitor_version(Bus *bus, sd_bus_message *reply) {
        return sd_bus_message_append_basic(reply, 's', bus->monitor_version ? bus->monitor_version : "");
}

static int append_count(sd_bus_message *reply, guint32 count) {
        return sd_bus_message_append_basic(reply, 'u', &count);
}

int manager_property_ncontainers(Bus *bus, sd_bus_message *reply) {
        return append_count(reply, registry_count(bus->registry, N_STATES));
}

int manager_property_nrunning(Bus *bus, sd_bus_message *reply) {
        return append_count(reply, registry_count(bus->registry, STATE_RUNNING));
}

int manager_property_nunhealthy(Bus *bus, sd_bus_message *reply) {
        g_autoptr(GPtrArray) containers = registry_list(bus->registry);
        guint32 n = 0;

        for (guint i = 0; i < containers->len; i++)
                n += g_str_equal(((Container *) containers->pdata[i])->life.health, "unhealthy");
        return append_count(reply, n);
}

int manager_property_njobs(Bus *bus, sd_bus_message *reply) {
        return append_count(reply, jobs_count(bus->jobs));
}

int manager_property_event_log_id(Bus *bus, sd_bus_message *reply) {
        return sd_bus_message_append_array(reply, 'y', store_get_event_log_id(registry_store(bus->registry)), 16);
}

int manager_property_event_seq(Bus *bus, sd_bus_message *reply) {
        guint64 seq = store_get_event_seq(registry_store(bus->registry));

        return sd_bus_message_append_basic(reply, 't', &seq);
}

int manager_property_degraded(Bus *bus, sd_bus_message *reply) {
        const char *missing[4] = {NULL};
        g_autofree char *init = paths_find_init(bus->engine->paths, NULL);
        size_t n = 0;

        for (size_t i = 0; i < 2; i++) {
                g_autofree char *found = g_find_program_in_path(i == 0 ? bus->engine->paths->crun : bus->engine->paths->conmon);
                if (!found)
                        missing[n++] = i == 0 ? "no-crun" : "no-conmon";
        }
        if (!init)
                missing[n++] = "no-catatonit";
        return sd_bus_message_append_strv(reply, (char **) missing);
}

int manager_property_state_directory(Bus *bus, sd_bus_message *reply) {
        return sd_bus_message_append_basic(reply, 's', bus->engine->paths->state);
}

/* --- finding --- */

bool manager_object_get_container(Call *call, const char *name, GError **error) {
        Container *container = registry_find(call->bus->registry, name, error);

        if (!container)
                return false;
        g_autofree char *path = container_path(container);
        manager_reply_get_container(call, path);
        return true;
}

static Container *find_by_pid(Bus *bus, pid_t pid, GError **error) {
        g_autofree char *cgroup = cgroup_of_pid(pid);
        g_autofree char *id = cgroup ? cgroup_container_id(cgroup) : NULL;
        Container *container = id ? registry_get(bus->registry, id) : NULL;

        if (!container)
                error_set(error, CONBUS_ERROR_NO_SUCH_CONTAINER, "process %d runs in no container of this service", (int) pid);
        return container;
}

bool manager_object_get_container_by_pid(Call *call, guint32 pid, GError **error) {
        Container *container = find_by_pid(call->bus, (pid_t) (pid ? pid : call->actor->pid), error);

        if (!container)
                return false;
        g_autofree char *path = container_path(container);
        manager_reply_get_container_by_pid(call, path);
        return true;
}

bool manager_object_get_container_by_unit(Call *call, const char *unit, GError **error) {
        g_autoptr(GPtrArray) containers = registry_list(call->bus->registry);

        for (guint i = 0; i < containers->len; i++) {
                Container *container = containers->pdata[i];
                if (query_is_of_unit(container, unit)) {
                        g_autofree char *path = container_path(container);
                        manager_reply_get_container_by_unit(call, path);
                        return true;
                }
        }
        return error_set(error, CONBUS_ERROR_NO_SUCH_CONTAINER, "no container runs in the unit \"%s\" or is managed by it", unit);
}

static pid_t pid_of_pidfd(int fd) {
        g_autofree char *path = g_strdup_printf("/proc/self/fdinfo/%d", fd);
        g_autofree char *text = NULL;
        const char *line = g_file_get_contents(path, &text, NULL, NULL) ? strstr(text, "\nPid:") : NULL;

        return line ? (pid_t) g_ascii_strtoll(line + strlen("\nPid:"), NULL, 10) : 0;
}

bool manager_object_get_container_by_pidfd(Call *call, int pidfd, GError **error) {
        PidRef ref = {.fd = pidfd, .pid = pid_of_pidfd(pidfd)};

        if (ref.pid == 0)
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "the descriptor is no pidfd of a process that this service can see; see pidfd_open(2)");
        Container *container = ref.pid > 0 ? find_by_pid(call->bus, ref.pid, error) : NULL;
        if (ref.pid < 0 || (container && pidref_has_ended(&ref)))
                return error_set(error, CONBUS_ERROR_NO_SUCH_CONTAINER, "the process has ended");
        if (!container)
                return false;
        g_autofree char *path = container_path(container);
        manager_reply_get_container_by_pidfd(call, path, container->id, container->life.run);
        return true;
}

bool manager_object_get_container_by_invocation(Call *call, GVariant *invocation, GError **error) {
        gsize size;
        const guint8 *bytes = g_variant_get_fixed_array(invocation, &size, 1);
        g_autoptr(Run) run = NULL;

        if (size != INVOCATION_SIZE)
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "an invocation id has 16 bytes, not %zu", size);
        if (!store_find_invocation(registry_store(call->bus->registry), bytes, &run, error))
                return false;
        if (!run)
                return error_set(error, CONBUS_ERROR_NO_SUCH_RUN, "no record has this invocation id");
        Container *container = registry_get(call->bus->registry, run->container);
        if (!container)
                return error_set(error, CONBUS_ERROR_NO_SUCH_CONTAINER, "container %s, which the run belonged to, has been removed", run->container);
        g_autofree char *path = container_path(container);
        manager_reply_get_container_by_invocation(call, path, run->number);
        return true;
}

/* Straight into the message: the list is made for everybody who looks at all containers, and as GVariants first it took three times as long. */
static int append_list(sd_bus_message *answer, void *userdata) {
        g_autoptr(GPtrArray) containers = registry_list(userdata);
        int r = sd_bus_message_open_container(answer, 'a', "(ssssto)");

        for (guint i = 0; r >= 0 && i < containers->len; i++) {
                const Container *container = containers->pdata[i];
                g_autofree char *path = container_path(container);
                r = sd_bus_message_append(answer, "(ssssto)", container->id, container->name, state_to_string(container->life.state), "", container->life.run, path);
        }
        return r < 0 ? r : sd_bus_message_close_container(answer);
}

bool manager_object_list_containers(Call *call, GError **error) {
        call_reply_built(call, append_list, call->bus->registry);
        return true;
}

bool manager_object_query_containers(Call *call, GVariant *filter, const char *const *properties, GError **error) {
        GVariant *list = query_containers(call->bus, filter, properties, error);

        if (!list)
                return false;
        manager_reply_query_containers(call, list);
        return true;
}

/* --- creating --- */

typedef struct Creation {
        Call *call;
        Operation *operation;
        Container *container; /* RunContainer: while it is started */
        GError *failure; /* RunContainer: why it is removed again */
        bool run;
} Creation;

static void creation_free(Creation *creation) {
        call_unref(creation->call);
        container_unref(creation->container);
        g_clear_error(&creation->failure);
        g_free(creation);
}

/* A creation that nobody hears of goes on: what was accepted is done. */
static void on_creator_left(Call *call, void *userdata) {
}

static void on_run_removed(Operation *operation, GVariant *result, const GError *error, void *userdata) {
        Creation *creation = userdata;

        call_reply_error(creation->call, creation->failure);
        creation_free(creation);
}

static void on_run_started(Operation *operation, GVariant *result, const GError *error, void *userdata) {
        Creation *creation = userdata;
        g_autofree char *path = container_path(creation->container);
        guint64 run = 0;

        if (!error) {
                g_variant_get_child(result, 0, "t", &run);
                manager_reply_run_container(creation->call, path, run);
                creation_free(creation);
                return;
        }
        /* Nothing stays half-made: what could not be started is removed before the error is told. */
        creation->failure = g_error_copy(error);
        g_autoptr(GError) refused = NULL;
        GVariant *options = g_variant_new_parsed("{'force': <true>, 'volumes': <true>}");
        if (!operation_submit(creation->call->bus->engine, creation->container, VERB_REMOVE, options, creation->call->actor, on_run_removed, creation, &refused))
                on_run_removed(operation, NULL, refused, creation);
}

static void on_created(Operation *operation, GVariant *result, const GError *error, void *userdata) {
        Creation *creation = userdata;
        g_autoptr(GError) refused = NULL;

        if (error)
                call_reply_error(creation->call, error);
        else if (creation->run) {
                creation->container = container_ref(operation->container);
                if (operation_submit(creation->call->bus->engine, creation->container, VERB_START, NULL, creation->call->actor, on_run_started, creation, &refused))
                        return;
                call_reply_error(creation->call, refused);
        } else
                call_reply_variant(creation->call, result);
        creation_free(creation);
}

static bool create(Call *call, const char *name, const char *image, const char *bundle, GVariant *config, bool run, GError **error) {
        Creation *creation = g_new0(Creation, 1);

        creation->run = run;
        creation->operation = operation_create(call->bus->engine, name, image, bundle, config, call->fds, call->actor, on_created, creation, error);
        if (!creation->operation) {
                g_free(creation);
                return false;
        }
        creation->call = call_ref(call);
        call->caller_left = on_creator_left;
        return true;
}

bool manager_object_create_container(Call *call, const char *name, const char *image, GVariant *config, GError **error) {
        return create(call, name, image, NULL, config, false, error);
}

bool manager_object_create_container_from_bundle(Call *call, const char *name, const char *bundle, GVariant *config, GError **error) {
        return create(call, name, NULL, bundle, config, false, error);
}

bool manager_object_run_container(Call *call, const char *name, const char *image, const char *const *command, GVariant *config, GError **error) {
        GVariantDict dict;

        g_variant_dict_init(&dict, config);
        if (command[0])
                g_variant_dict_insert(&dict, "command", "^as", command);
        g_autoptr(GVariant) whole = g_variant_ref_sink(g_variant_dict_end(&dict));
        return create(call, name, image, NULL, whole, true, error);
}

/* --- waits, records, events --- */

bool manager_object_wait_any(Call *call, GVariant *containers, const char *const *conditions, GVariant *options, GError **error) {
        return wait_calls_wait_any(call, containers, conditions, options, error);
}

/* A name or prefix of a container that exists, or the id of one that is gone. */
static char *id_of_word(Bus *bus, const char *word) {
        Container *container = registry_find(bus->registry, word, NULL);

        return g_strdup(container ? container->id : word);
}

bool manager_object_get_run(Call *call, const char *id, guint64 number, GError **error) {
        g_autofree char *whole = id_of_word(call->bus, id);
        g_autoptr(Run) run = NULL;

        if (!store_get_run(registry_store(call->bus->registry), whole, number, &run, error))
                return false;
        if (!run)
                return error_set(error, CONBUS_ERROR_NO_SUCH_RUN, "there is no record of run %" G_GUINT64_FORMAT " of \"%s\"", number, id);
        g_autoptr(GVariant) record = discreet(run_to_variant(run), call->actor, call->whole);
        manager_reply_get_run(call, record);
        return true;
}

bool manager_object_list_runs(Call *call, const char *id, guint32 max, GError **error) {
        g_autofree char *whole = id_of_word(call->bus, id);
        GVariant *list = inspect_list_runs(call, whole, max, error);

        if (!list)
                return false;
        manager_reply_list_runs(call, list);
        return true;
}

bool manager_object_get_events(Call *call, guint64 after, guint32 max, GVariant *options, GError **error) {
        g_autoptr(GVariant) answer = events_query(call, after, max, options, error);

        if (!answer)
                return false;
        call_reply_variant(call, answer);
        return true;
}

bool manager_object_open_events(Call *call, guint64 after, GVariant *options, GError **error) {
        autofd int fd = events_open(call, after, options, error);

        if (fd < 0)
                return false;
        manager_reply_open_events(call, fd);
        return true;
}

/* --- sync, dump --- */

typedef struct SyncAll {
        Call *call;
        GVariantBuilder changes;
        unsigned n_left;
} SyncAll;

static void sync_one_done(SyncAll *all) {
        if (--all->n_left > 0)
                return;
        manager_reply_sync(all->call, g_variant_builder_end(&all->changes));
        call_unref(all->call);
        g_free(all);
}

static void on_synced(Operation *operation, GVariant *result, const GError *error, void *userdata) {
        SyncAll *all = userdata;
        const char *old_state, *new_state;

        if (!error) {
                g_autofree char *path = container_path(operation->container);
                g_variant_get(result, "(&s&s)", &old_state, &new_state);
                if (!g_str_equal(old_state, new_state))
                        g_variant_builder_add(&all->changes, "(oss)", path, old_state, new_state);
        }
        sync_one_done(all);
}

static GPtrArray *find_all(Bus *bus, const char *const *names, GError **error) {
        if (!names[0])
                return registry_list(bus->registry);
        g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify) container_unref);
        for (const char *const *name = names; *name; name++) {
                Container *container = registry_find(bus->registry, *name, error);
                if (!container)
                        return NULL;
                g_ptr_array_add(list, container_ref(container));
        }
        return g_steal_pointer(&list);
}

bool manager_object_sync(Call *call, const char *const *names, GError **error) {
        g_autoptr(GPtrArray) containers = find_all(call->bus, names, error);

        if (!containers)
                return false;
        SyncAll *all = g_new0(SyncAll, 1);
        all->call = call_ref(call);
        all->n_left = 1;
        g_variant_builder_init(&all->changes, G_VARIANT_TYPE("a(oss)"));
        for (guint i = 0; i < containers->len; i++)
                if (operation_submit(call->bus->engine, containers->pdata[i], VERB_SYNC, NULL, call->actor, on_synced, all, NULL))
                        all->n_left++;
        sync_one_done(all);
        return true;
}

bool manager_object_dump(Call *call, GError **error) {
        g_autofree char *text = inspect_dump(call->bus);

        manager_reply_dump(call, text);
        return true;
}

bool manager_object_dump_by_file_descriptor(Call *call, GError **error) {
        g_autofree char *text = inspect_dump(call->bus);
        autofd int fd = memfd_create("dump", MFD_CLOEXEC);

        if (fd < 0 || write(fd, text, strlen(text)) < 0 || lseek(fd, 0, SEEK_SET) < 0)
                return error_errno(error, errno, "write the dump");
        manager_reply_dump_by_file_descriptor(call, fd);
        return true;
}
