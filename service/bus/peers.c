/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Credentials without blocking: a filter parks the calls of a sender that is not known yet, GetConnectionCredentials is sent, and with its answer they are put back into the connection's queue, so that each object is looked up afresh.
 * Messages that the client sent meanwhile may stand before them in that queue; they are moved behind, so that one client's messages keep their order. The same place keeps what comes before the past is known (peers_welcome). */

#include "bus/gate.h"
#include "bus/turns.h"
#include "base/log.h"
#include "operation/sessions.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-login.h>

static void peer_free(void *data) {
        Peer *peer = data;

        gate_forget(peer);
        g_clear_pointer(&peer->request, sd_bus_slot_unref);
        g_queue_clear_full(&peer->parked, (GDestroyNotify) sd_bus_message_unref);
        user_unref(peer->user);
        for (guint i = 0; i < peer->calls->len; i++)
                ((Call *) peer->calls->pdata[i])->peer = NULL; /* the service leaves before it does */
        g_ptr_array_unref(peer->calls);
        actor_unref(peer->actor);
        g_free(peer->name);
        g_free(peer);
}

Peer *peer_find(Bus *bus, const char *name) {
        return name ? g_hash_table_lookup(bus->peers, name) : NULL;
}

Peer *peer_of(Bus *bus, sd_bus_message *message) {
        return peer_find(bus, sd_bus_message_get_sender(message));
}

static void deliver_again(Peer *peer) {
        for (GList *link = peer->parked.head; link; link = link->next) {
                sd_bus_message *message = link->data;
                int r = sd_bus_message_rewind(message, true);
                if (r >= 0)
                        r = sd_bus_enqueue_for_read(peer->bus->connection, message);
                if (r < 0)
                        log_error("deliver a parked message again: %s", g_strerror(-r));
        }
}

static void clear_fd(void *fd) {
        close_fd(*(int *) fd);
}

static void set_groups(Actor *actor, GVariant *credentials) {
        g_autoptr(GVariant) groups = credentials ? g_variant_lookup_value(credentials, "UnixGroupIDs", G_VARIANT_TYPE("au")) : NULL;
        gsize n;

        if (!groups)
                return;
        const guint32 *ids = g_variant_get_fixed_array(groups, &n, sizeof(guint32));
        actor_set_groups(actor, ids, n);
}

static Actor *read_actor(sd_bus_message *answer, const char *name) {
        g_autoptr(GError) error = NULL;
        /* Newer bus daemons add a descriptor of the process (ProcessFD), which is closed again. */
        g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
        g_array_set_clear_func(fds, clear_fd);
        g_autoptr(GVariant) credentials = variant_read(answer, "a{sv}", fds, &error);
        guint32 uid = UINT32_MAX, pid = 0;
        char path[64];
        g_autofree char *comm = NULL;
        char *unit = NULL;

        if (credentials) {
                (void) g_variant_lookup(credentials, "UnixUserID", "u", &uid);
                (void) g_variant_lookup(credentials, "ProcessID", "u", &pid);
        }
        snprintf(path, sizeof path, "/proc/%u/comm", pid);
        if (pid > 0 && g_file_get_contents(path, &comm, NULL, NULL)) {
                g_strchomp(comm);
                g_autofree char *valid = g_utf8_make_valid(comm, -1);
                g_free(comm);
                comm = g_steal_pointer(&valid);
        }
        if (pid > 0)
                (void) sd_pid_get_unit((pid_t) pid, &unit);
        Actor *actor = actor_new(uid, pid, comm, unit, name);
        free(unit);
        set_groups(actor, credentials);
        return actor;
}

static void set_actor(Peer *peer, Actor *actor) {
        peer->unknown = !actor;
        peer->actor = actor ? actor : actor_new(UINT32_MAX, 0, "", "", peer->name);
        peer->user = user_get(peer->bus, peer->actor->uid);
}

static int on_credentials(sd_bus_message *answer, void *userdata, sd_bus_error *error) {
        Peer *peer = userdata;

        g_clear_pointer(&peer->request, sd_bus_slot_unref);
        if (sd_bus_message_is_method_error(answer, SD_BUS_ERROR_NAME_HAS_NO_OWNER)) {
                /* It left before it was known; its leaving may have been told already, so nothing may stay that waits for that. */
                g_hash_table_remove(peer->bus->peers, peer->name);
                return 1;
        }
        set_actor(peer, sd_bus_message_is_method_error(answer, NULL) ? NULL : read_actor(answer, peer->name));
        if (peer->bus->welcomes)
                deliver_again(peer);
        return 1;
}

static Peer *peer_new(Bus *bus, const char *name) {
        Peer *peer = g_new0(Peer, 1);

        peer->bus = bus;
        peer->name = g_strdup(name);
        peer->calls = g_ptr_array_new();
        g_queue_init(&peer->parked);
        g_queue_init(&peer->checks);
        g_hash_table_insert(bus->peers, peer->name, peer);
        int r = sd_bus_call_method_async(bus->connection, &peer->request, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionCredentials", on_credentials, peer, "s", name);
        if (r < 0) {
                log_error("ask for the credentials of %s: %s", name, g_strerror(-r));
                set_actor(peer, NULL);
        }
        return peer;
}

/* Parks the message, or lets it through when callers are welcome, its sender is known and nothing of the same sender stands before it. */
static bool may_pass(Peer *peer, sd_bus_message *message) {
        sd_bus_message *first = g_queue_peek_head(&peer->parked);
        bool is_known = peer->actor && peer->bus->welcomes;

        if (is_known && !first)
                return true;
        if (is_known && first == message) {
                sd_bus_message_unref(g_queue_pop_head(&peer->parked));
                return true;
        }
        g_queue_push_tail(&peer->parked, sd_bus_message_ref(message));
        if (is_known && (sd_bus_message_rewind(message, true) < 0 || sd_bus_enqueue_for_read(peer->bus->connection, message) < 0))
                log_error("a message of %s is lost", peer->name);
        return false;
}

/* Every message is seen here exactly once for each time it is delivered, before any object. GetManagedObjects is answered by sd-bus itself; who asked for it expects signals. */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Bus *bus = userdata;
        const char *name = sd_bus_message_get_sender(message);
        uint8_t type;

        turns_count(bus->turns);
        if (!name || sd_bus_message_get_type(message, &type) < 0 || type != SD_BUS_MESSAGE_METHOD_CALL)
                return 0;
        Peer *peer = peer_find(bus, name);
        if (!peer)
                peer = peer_new(bus, name);
        if (!may_pass(peer, message))
                return 1;
        gate_see(bus, message);
        if (sd_bus_message_is_method_call(message, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"))
                peer->listed = true;
        bus_activity(bus);
        return 0;
}

static int on_name_owner_changed(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Bus *bus = userdata;
        const char *name = NULL;

        if (sd_bus_message_read(message, "s", &name) < 0)
                return 0;
        sessions_client_left(bus->engine, name); /* which may be a client of a former life of the service */
        Peer *peer = peer_find(bus, name);
        if (!peer)
                return 0;
        g_hash_table_steal(bus->peers, name);
        while (peer->calls->len > 0) {
                Call *call = call_ref(peer->calls->pdata[peer->calls->len - 1]);
                g_ptr_array_set_size(peer->calls, (gint) peer->calls->len - 1);
                call->peer = NULL;
                call->answered = true;
                if (call->caller_left)
                        call->caller_left(call, call->userdata);
                call_unref(call);
        }
        jobs_caller_left(bus->jobs, name);
        peer_free(peer);
        bus_activity(bus);
        return 0;
}

int peers_watch(Bus *bus) {
        sd_bus_slot *slot = NULL;

        bus->peers = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, peer_free);
        int r = sd_bus_add_match_async(bus->connection, &slot,
                                       "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',path='/org/freedesktop/DBus',arg2=''", on_name_owner_changed,
                                       NULL, bus);
        if (r >= 0) {
                g_ptr_array_add(bus->slots, slot);
                r = sd_bus_add_filter(bus->connection, &slot, on_message, bus);
        }
        if (r >= 0)
                g_ptr_array_add(bus->slots, slot);
        return r;
}

void peers_welcome(Bus *bus) {
        GHashTableIter iter;
        void *peer;

        bus->welcomes = true;
        g_hash_table_iter_init(&iter, bus->peers);
        while (g_hash_table_iter_next(&iter, NULL, &peer))
                if (((Peer *) peer)->actor)
                        deliver_again(peer);
}

void peers_free(Bus *bus) {
        g_clear_pointer(&bus->peers, g_hash_table_unref);
}
