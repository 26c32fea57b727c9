/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Exec sessions of a container: they change by commits, are announced with what they were before, and are there again after a restart. */

#include "container/commit.h"
#include "testing.h"
#include <string.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

typedef struct Fixture {
        Store *store;
        Registry *registry;
        Container *container;
        GString *heard;
} Fixture;

static void on_change(const Change *change, void *userdata) {
        Fixture *fixture = userdata;

        if (change->session)
                g_string_append_printf(fixture->heard, "%" G_GUINT64_FORMAT ":%s>%s%s%s ", change->session->number, session_state_to_string(change->session_old->state), session_state_to_string(change->session_now->state),
                                       change->session_appeared ? "+" : "", change->session_vanished ? "-" : "");
}

static void set_up(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) config = testing_parse("{'rootfs': <'/r'>}");

        fixture->store = store_open(NULL, NULL, &error);
        fixture->registry = registry_new(fixture->store);
        fixture->container = container_new(ID, "web", 0, config);
        fixture->heard = g_string_new(NULL);
        g_autoptr(Commit) commit = commit_new(fixture->container, NULL);
        commit_set_create(commit, fixture->registry);
        g_assert_true(commit_apply(commit, &error));
        registry_set_observer(fixture->registry, OBSERVER_ANNOUNCE, on_change, fixture);
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        registry_free(fixture->registry);
        container_unref(fixture->container);
        store_close(fixture->store);
        g_string_free(fixture->heard, TRUE);
}

static Session *new_session(Fixture *fixture, const char *request) {
        g_autoptr(GVariant) asked = testing_parse(request);
        g_autoptr(Actor) actor = actor_new(7, 8, "x", "", ":1.9");

        return session_new(fixture->container, actor, asked, "www");
}

static bool add(Session *session, GError **error) {
        g_autoptr(Commit) commit = commit_new(session->container, NULL);

        commit_set_session(commit, session);
        commit_set_add_session(commit);
        return commit_apply(commit, error);
}

static void test_a_life_in_commits(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Session) session = new_session(fixture, "{'command': <['sleep', '1']>}");

        g_assert_true(add(session, &error));
        g_assert_cmpuint(session->number, ==, 1);
        g_assert_true(container_find_session(fixture->container, 1) == session);
        g_autoptr(Commit) running = commit_new(fixture->container, NULL);
        commit_set_session(running, session);
        running->session_life.state = SESSION_RUNNING;
        g_assert_cmpint(session->life.state, ==, SESSION_CREATED);
        g_assert_true(commit_apply(running, &error));
        g_assert_cmpint(session->life.state, ==, SESSION_RUNNING);
        g_autoptr(Commit) gone = commit_new(fixture->container, NULL);
        commit_set_session(gone, session);
        commit_set_remove_session(gone);
        g_assert_true(commit_apply(gone, &error));
        g_assert_true(session->removed);
        g_assert_null(container_find_session(fixture->container, 1));
        g_assert_cmpstr(fixture->heard->str, ==, "1:created>created+ 1:created>running 1:running>running- ");
}

static void test_a_store_that_refuses_changes_nothing(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Session) session = new_session(fixture, "{'command': <['true']>}");
        guint64 transitions = fixture->container->life.transitions;

        g_assert_true(add(session, &error));
        g_autoptr(Commit) commit = commit_new(fixture->container, NULL);
        commit_set_session(commit, session);
        commit->session_life.state = SESSION_RUNNING;
        commit_set_name(commit, "web2");
        g_assert_true(registry_reserve_name(fixture->registry, "web2", &error));
        g_assert_false(commit_apply(commit, &error));
        g_assert_cmpint(session->life.state, ==, SESSION_CREATED);
        g_assert_cmpuint(fixture->container->life.transitions, ==, transitions);
        g_assert_cmpstr(fixture->heard->str, ==, "1:created>created+ ");
        registry_release_name(fixture->registry, "web2");
}

static void test_it_is_there_again(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Session) session = new_session(fixture, "{'command': <['sleep', '1']>, 'start': <false>}");

        g_assert_false(session_has_input(session));
        session_set_has_input(session, false);
        g_assert_false(session_has_input(session));
        session_set_has_input(session, true);
        g_assert_true(add(session, &error));
        Registry *again = registry_new(fixture->store);
        g_assert_true(registry_load(again, &error));
        Container *container = registry_get(again, ID);
        Session *found = container_find_session(container, 1);
        g_assert_nonnull(found);
        g_assert_cmpstr(found->client, ==, ":1.9");
        g_assert_cmpstr(found->user, ==, "www");
        g_assert_cmpuint(found->owner_uid, ==, 7);
        g_assert_cmpuint(found->created_usec, ==, session->created_usec);
        g_assert_cmpstr(session_command_name(found), ==, "sleep");
        g_assert_true(session_has_input(found));
        registry_free(again);
}

static void test_what_follows_from_the_request(Fixture *fixture, gconstpointer unused) {
        static const struct {
                const char *request;
                bool terminal, goes_by_itself;
        } table[] = {
                {"{'command': <['a']>}", false, true},
                {"{'command': <['a']>, 'start': <true>, 'terminal': <true>}", true, true},
                {"{'command': <['a']>, 'start': <false>}", false, false},
                {"{'command': <['a']>, 'start': <false>, 'auto-remove': <true>}", false, true},
                {"{'command': <['a']>, 'auto-remove': <false>}", false, false},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(Session) session = new_session(fixture, table[i].request);
                g_assert_cmpint(session_has_terminal(session), ==, table[i].terminal);
                g_assert_cmpint(session_goes_by_itself(session), ==, table[i].goes_by_itself);
        }
        g_autoptr(Session) session = new_session(fixture, "{'command': <['a']>}");
        session->number = 3;
        g_autofree char *path = session_path(session), *title = session_title(session);
        g_assert_cmpstr(path, ==, "/io/conbus1/container/" ID "/process/3");
        g_assert_cmpstr(title, ==, "process 3 of container \"web\"");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/session/a-life-in-commits", Fixture, NULL, set_up, test_a_life_in_commits, tear_down);
        g_test_add("/session/a-store-that-refuses-changes-nothing", Fixture, NULL, set_up, test_a_store_that_refuses_changes_nothing, tear_down);
        g_test_add("/session/it-is-there-again", Fixture, NULL, set_up, test_it_is_there_again, tear_down);
        g_test_add("/session/what-follows-from-the-request", Fixture, NULL, set_up, test_what_follows_from_the_request, tear_down);
        return g_test_run();
}
