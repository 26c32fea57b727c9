/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The object tree (api.md section 2): the manager with the only ObjectManager, one subtree of containers by id, the aliases by name outside of it, and LogControl1.
 *
 * An alias path is looked at by a raw fallback before any vtable: an unknown name is answered there (the find callbacks could only say UnknownObject), and "self" is found by the caller's process, which peers.c knows by then. */

#include "bus/bus.h"
#include "bus/announce.h"
#include "bus/attach-calls.h"
#include "bus/events.h"
#include "bus/gate.h"
#include "bus/log-calls.h"
#include "bus/log-control.h"
#include "bus/peers.h"
#include "bus/polkit.h"
#include "bus/turns.h"
#include "bus/waiting.h"
#include "base/log.h"
#include "container-interface.h"
#include "bus/job-object.h"
#include "health-interface.h"
#include "job-interface.h"
#include "manager-interface.h"
#include "process-interface.h"
#include "runtime/cgroup.h"
#include <errno.h>
#include <string.h>

#define MANAGER_PATH "/io/conbus1"
#define CONTAINERS_PATH "/io/conbus1/container"
#define JOBS_PATH "/io/conbus1/job"
#define ALIASES_PATH "/container"

const char bus_manager_path[] = MANAGER_PATH;
static Bus *the_bus;

Bus *bus_get(void) {
        return the_bus;
}

void bus_activity(Bus *bus) {
        if (bus->activity)
                bus->activity(bus->activity_userdata);
}

int bus_emit(Bus *bus, const char *path, const char *interface, const char *member, GVariant *arguments) {
        g_autoptr(GVariant) sunk = g_variant_ref_sink(arguments);
        g_autoptr(sd_bus_message) message = NULL;

        int r = sd_bus_message_new_signal(bus->connection, &message, path, interface, member);
        for (gsize i = 0; r >= 0 && i < g_variant_n_children(sunk); i++) {
                g_autoptr(GVariant) child = g_variant_get_child_value(sunk, i);
                r = variant_append(message, child);
        }
        if (r >= 0)
                r = sd_bus_send(bus->connection, message, NULL);
        if (r < 0)
                log_error("send the signal %s of %s: %s", member, path, g_strerror(-r));
        return r;
}

/* --- finding --- */

static Container *container_of_path(Bus *bus, const char *path) {
        const char *id = g_str_has_prefix(path, CONTAINERS_PATH "/") ? path + strlen(CONTAINERS_PATH "/") : NULL;

        /* A container that is being announced as gone is found until its last signal is sent (announce.c). */
        if (id && bus->vanishing && g_str_equal(bus->vanishing->id, id))
                return bus->vanishing;
        return id ? registry_get(bus->registry, id) : NULL;
}

static char *alias_of_path(const char *path) {
        char *name = NULL;

        if (sd_bus_path_decode(path, ALIASES_PATH, &name) <= 0)
                return NULL;
        char *copy = g_strdup(name);
        free(name);
        return copy;
}

static Container *container_of_alias(Bus *bus, const char *path) {
        g_autofree char *name = alias_of_path(path);

        if (name && g_str_equal(name, "self"))
                return bus->self;
        return name ? registry_get_by_name(bus->registry, name) : NULL;
}

static Container *find(Bus *bus, const char *path) {
        Container *container = container_of_path(bus, path);

        return container ? container : container_of_alias(bus, path);
}

static int find_container(sd_bus *connection, const char *path, const char *interface, void *userdata, void **ret, sd_bus_error *error) {
        *ret = find(userdata, path);
        return *ret != NULL;
}

static int find_health(sd_bus *connection, const char *path, const char *interface, void *userdata, void **ret, sd_bus_error *error) {
        Container *container = find(userdata, path);

        if (!container || !container_has_health(container))
                return 0;
        *ret = container;
        return 1;
}

static int find_job(sd_bus *connection, const char *path, const char *interface, void *userdata, void **ret, sd_bus_error *error) {
        *ret = jobs_find(((Bus *) userdata)->jobs, path);
        return *ret != NULL;
}

/* PATH/process/NUMBER. */
Session *bus_find_session(Bus *bus, const char *path) {
        const char *word = strstr(path, "/process/");
        g_autofree char *parent = word ? g_strndup(path, (gsize) (word - path)) : NULL, *own = NULL;
        Container *container = parent ? container_of_path(bus, parent) : NULL;
        guint64 number;

        if (!container || !g_ascii_string_to_unsigned(word + strlen("/process/"), 10, 1, G_MAXUINT64, &number, NULL))
                return NULL;
        Session *session = bus->vanishing_session && bus->vanishing_session->number == number ? bus->vanishing_session : container_find_session(container, number);
        own = session ? session_path(session) : NULL;
        return g_strcmp0(own, path) == 0 ? session : NULL;
}

static int find_process(sd_bus *connection, const char *path, const char *interface, void *userdata, void **ret, sd_bus_error *error) {
        *ret = bus_find_session(userdata, path);
        return *ret != NULL;
}

/* A list for sd-bus, which frees it with free(). */
static char **paths_below(const char *root, const char *prefix, GPtrArray *paths) {
        bool wanted = g_str_has_prefix(root, prefix) || g_str_has_prefix(prefix, root);
        char **nodes = calloc(paths->len + 1, sizeof(char *));

        for (guint i = 0; nodes && wanted && i < paths->len; i++)
                nodes[i] = strdup(paths->pdata[i]);
        return nodes;
}

static int enumerate_jobs(sd_bus *connection, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error) {
        g_autoptr(GPtrArray) list = jobs_list(((Bus *) userdata)->jobs);

        for (guint i = 0; i < list->len; i++)
                list->pdata[i] = ((Job *) list->pdata[i])->path;
        *ret_nodes = paths_below(JOBS_PATH, prefix, list);
        return *ret_nodes ? 0 : -ENOMEM;
}

static int enumerate(sd_bus *connection, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error) {
        g_autoptr(GPtrArray) containers = registry_list(((Bus *) userdata)->registry), paths = g_ptr_array_new_with_free_func(g_free);

        for (guint i = 0; i < containers->len; i++) {
                const Container *container = containers->pdata[i];
                g_ptr_array_add(paths, container_path(container));
                for (guint j = 0; j < container->sessions->len; j++)
                        g_ptr_array_add(paths, session_path(container->sessions->pdata[j]));
        }
        *ret_nodes = paths_below(CONTAINERS_PATH, prefix, paths);
        return *ret_nodes ? 0 : -ENOMEM;
}

/* --- aliases --- */

/* That there is one makes the root of the aliases an object that can be introspected, as busctl tree does; the aliases themselves are listed nowhere. */
static int enumerate_no_aliases(sd_bus *connection, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error) {
        *ret_nodes = NULL;
        return 0;
}

static Container *container_of_peer(Bus *bus, Peer *peer) {
        g_autofree char *cgroup = peer->actor->pid > 0 ? cgroup_of_pid((pid_t) peer->actor->pid) : NULL;
        g_autofree char *id = cgroup ? cgroup_container_id(cgroup) : NULL;

        return id ? registry_get(bus->registry, id) : NULL;
}

Container *bus_find_container(Bus *bus, Peer *peer, const char *path) {
        g_autofree char *name = alias_of_path(path);

        return name && g_str_equal(name, "self") ? container_of_peer(bus, peer) : find(bus, path);
}

static int on_alias(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Bus *bus = userdata;
        const char *path = sd_bus_message_get_path(message);
        g_autofree char *name = alias_of_path(path);

        if (!name || g_str_equal(path, ALIASES_PATH)) /* the root of the aliases itself */
                return 0;
        if (g_str_equal(name, "self")) {
                Peer *peer = peer_of(bus, message);
                bus->self = peer ? container_of_peer(bus, peer) : NULL;
                return bus->self ? 0 : sd_bus_reply_method_errorf(message, "io.conbus1.Error.NoSuchContainer", "the caller runs in no container");
        }
        if (registry_get_by_name(bus->registry, name))
                return 0;
        g_autofree char *valid = g_utf8_make_valid(name, -1); /* an escaped path can hold any byte */
        return sd_bus_reply_method_errorf(message, "io.conbus1.Error.NoSuchContainer", "no container has the name \"%s\"", valid);
}

/* --- start and end --- */

typedef struct Registration {
        const char *path, *interface;
        const sd_bus_vtable *vtable;
        sd_bus_object_find_t find;
} Registration;

static int add_objects(Bus *bus) {
        const Registration registrations[] = {
                {CONTAINERS_PATH, CONTAINER_INTERFACE, container_vtable, find_container}, {CONTAINERS_PATH, HEALTH_INTERFACE, health_vtable, find_health},
                {ALIASES_PATH, CONTAINER_INTERFACE, container_vtable, find_container},    {ALIASES_PATH, HEALTH_INTERFACE, health_vtable, find_health},
                {JOBS_PATH, JOB_INTERFACE, job_vtable, find_job},
                {CONTAINERS_PATH, PROCESS_INTERFACE, process_vtable, find_process},
        };
        sd_bus_slot *slot = NULL;
        int r = sd_bus_add_object_vtable(bus->connection, &slot, MANAGER_PATH, MANAGER_INTERFACE, manager_vtable, bus);

        if (r >= 0) {
                g_ptr_array_add(bus->slots, slot);
                r = sd_bus_add_object_manager(bus->connection, &slot, MANAGER_PATH);
        }
        if (r >= 0) {
                g_ptr_array_add(bus->slots, slot);
                r = sd_bus_add_node_enumerator(bus->connection, &slot, MANAGER_PATH, enumerate, bus);
        }
        if (r >= 0) {
                g_ptr_array_add(bus->slots, slot);
                r = sd_bus_add_node_enumerator(bus->connection, &slot, MANAGER_PATH, enumerate_jobs, bus);
        }
        if (r >= 0) {
                g_ptr_array_add(bus->slots, slot);
                r = sd_bus_add_node_enumerator(bus->connection, &slot, ALIASES_PATH, enumerate_no_aliases, bus);
        }
        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(registrations); i++) {
                const Registration *registration = &registrations[i];
                g_ptr_array_add(bus->slots, slot);
                r = sd_bus_add_fallback_vtable(bus->connection, &slot, registration->path, registration->interface, registration->vtable, registration->find, bus);
        }
        if (r >= 0) {
                g_ptr_array_add(bus->slots, slot);
                r = sd_bus_add_fallback(bus->connection, &slot, ALIASES_PATH, on_alias, bus);
        }
        if (r >= 0)
                g_ptr_array_add(bus->slots, slot);
        return r;
}

Bus *bus_new(sd_bus *connection, sd_event *event, Engine *engine, GError **error) {
        g_autoptr(Bus) bus = g_new0(Bus, 1);

        the_bus = bus;
        bus->connection = sd_bus_ref(connection);
        bus->event = sd_event_ref(event);
        bus->engine = engine;
        bus->registry = engine->registry;
        bus->slots = g_ptr_array_new_with_free_func((GDestroyNotify) sd_bus_slot_unref);
        bus->jobs = job_objects_new(bus);
        attach_calls_adopt(bus);
        int r = 0;
        bus->turns = turns_new(connection, event, &r);
        if (r >= 0)
                r = polkit_new(bus);
        if (r >= 0)
                r = peers_watch(bus);
        if (r >= 0)
                r = add_objects(bus);
        if (r >= 0)
                r = log_control_add(bus);
        if (r < 0) {
                error_errno(error, -r, "put the objects on the bus");
                return NULL;
        }
        announce_begin(bus);
        return g_steal_pointer(&bus);
}

void bus_free(Bus *bus) {
        if (!bus)
                return;
        announce_end(bus);
        events_free(bus);
        log_calls_free(bus);
        jobs_free(bus->jobs);
        waitings_free(bus);
        g_ptr_array_unref(bus->slots);
        gate_free(bus);
        peers_free(bus);
        polkit_free(bus);
        users_free(bus);
        turns_free(bus->turns);
        g_free(bus->runtime_version);
        g_free(bus->monitor_version);
        sd_bus_unref(bus->connection);
        sd_event_unref(bus->event);
        g_free(bus);
        the_bus = NULL;
}

bool bus_is_busy(const Bus *bus) {
        GHashTableIter iter;
        void *value;

        if (bus->n_waits > 0 || jobs_count(bus->jobs) > 0 || bus->streams)
                return true;
        g_hash_table_iter_init(&iter, bus->peers);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                Peer *peer = value;
                if (peer->listed || peer->calls->len > 0 || !g_queue_is_empty(&peer->parked) || !g_queue_is_empty(&peer->checks))
                        return true;
        }
        return false;
}

bool bus_owes_answers(const Bus *bus) {
        GHashTableIter iter;
        void *value;

        g_hash_table_iter_init(&iter, bus->peers);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                Peer *peer = value;
                if (!g_queue_is_empty(&peer->parked))
                        return true;
                for (guint i = 0; i < peer->calls->len; i++)
                        if (!((Call *) peer->calls->pdata[i])->waits)
                                return true;
        }
        return false;
}
