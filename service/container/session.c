/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The object of an exec session and what follows from its request. */

#include "container/session.h"
#include "base/clock.h"
#include "container/registry.h"

static Session *make(Container *container, guint64 number, GVariant *request, const char *user, const char *client) {
        Session *session = g_new0(Session, 1);

        *session = (Session) {.n_references = 1, .container = container_ref(container), .number = number, .user = g_strdup(user), .client = g_strdup(client), .request = g_variant_ref_sink(request), .monitor = PIDREF_NULL, .main = PIDREF_NULL};
        session_life_init(&session->life);
        return session;
}

Session *session_new(Container *container, const Actor *actor, GVariant *request, const char *user) {
        Session *session = make(container, store_new_session_number(registry_store(container->registry)), request, user, actor ? actor->bus_name : "");

        session->owner_uid = actor ? actor->uid : 0;
        session->created_usec = clock_realtime_usec();
        return session;
}

Session *session_restore(Container *container, const StoredSession *row) {
        Session *session = make(container, row->number, row->request, row->user, row->client);

        session->owner_uid = row->owner_uid;
        session->created_usec = row->created_usec;
        session->life = row->life;
        return session;
}

Session *session_ref(Session *session) {
        session->n_references++;
        return session;
}

void session_unref(Session *session) {
        if (!session || --session->n_references > 0)
                return;
        container_unref(session->container);
        g_variant_unref(session->request);
        pidref_clear(&session->monitor);
        pidref_clear(&session->main);
        g_free(session->client);
        g_free(session->user);
        g_free(session);
}

char *session_path(const Session *session) {
        return g_strdup_printf("/io/conbus1/container/%s/process/%" G_GUINT64_FORMAT, session->container->id, session->number);
}

char *session_title(const Session *session) {
        return g_strdup_printf("process %" G_GUINT64_FORMAT " of %s", session->number, container_title(session->container));
}

const char *session_command_name(const Session *session) {
        g_autofree const char **command = config_strv(session->request, "command");

        return command && command[0] ? command[0] : "";
}

bool session_has_terminal(const Session *session) {
        return config_bool(session->request, "terminal", false);
}

bool session_has_input(const Session *session) {
        return config_bool(session->request, "has-input", false);
}

void session_set_has_input(Session *session, bool has_input) {
        g_autoptr(GVariant) old = session->request;
        GVariantDict request;

        g_variant_dict_init(&request, old);
        g_variant_dict_insert(&request, "has-input", "b", (gboolean) has_input);
        session->request = g_variant_ref_sink(g_variant_dict_end(&request));
}

bool session_goes_by_itself(const Session *session) {
        return config_bool(session->request, "auto-remove", config_bool(session->request, "start", true));
}

Session *container_find_session(const Container *container, guint64 number) {
        for (guint i = 0; i < container->sessions->len; i++)
                if (((Session *) container->sessions->pdata[i])->number == number)
                        return container->sessions->pdata[i];
        return NULL;
}
