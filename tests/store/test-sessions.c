/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Exec sessions as rows: what is written is read again, numbers are given once, and a container takes its sessions with it. */

#include "store/internal.h"
#include "testing.h"
#include <string.h>

static Store *open_memory(void) {
        g_autoptr(GError) error = NULL;
        Store *store = store_open(NULL, NULL, &error);

        g_assert_no_error(error);
        return store;
}

/* number 0: a new one. */
static guint64 put(Store *store, guint64 number, const char *container, const SessionLife *life) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) request = testing_parse("{'command': <['sh', '-c', 'x']>, 'terminal': <true>}");
        StoredSession row = {.number = number ? number : store_new_session_number(store), .container = container, .owner_uid = 1000, .client = ":1.5", .created_usec = 5, .user = "www", .request = request, .life = *life};

        g_assert_true(store_begin(store, &error));
        g_assert_true(store_put_session(store, &row, &error));
        g_assert_true(store_commit(store, &error));
        return row.number;
}

static void on_session(const StoredSession *row, void *userdata) {
        GString *text = userdata;
        g_autofree char *request = g_variant_print(row->request, FALSE);
        const SessionLife *life = &row->life;

        g_string_append_printf(text, "%" G_GUINT64_FORMAT " %s %u %s %" G_GUINT64_FORMAT " %s %s|%s %d %" G_GUINT64_FORMAT " %d/%" G_GUINT64_FORMAT " %d/%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %d %d\n",
                               row->number, row->container, row->owner_uid, row->client, row->created_usec, row->user, request, session_state_to_string(life->state), life->launching, life->run, life->monitor.pid,
                               life->monitor.start_time, life->main.pid, life->main.start_time, life->start_usec, life->finish_usec, life->exit_code, life->exit_signal);
}

static char *stored(Store *store) {
        g_autoptr(GError) error = NULL;
        GString *text = g_string_new(NULL);

        g_assert_true(store_load_sessions(store, on_session, text, &error));
        return g_string_free(text, FALSE);
}

static void test_what_is_written_is_read_again(void) {
        g_autoptr(Store) store = open_memory();
        SessionLife life = {.state = SESSION_STOPPED, .launching = true, .run = 3, .monitor = {10, 11}, .main = {12, 13}, .start_usec = 14, .finish_usec = 15, .exit_code = 137, .exit_signal = 9};

        g_assert_cmpuint(put(store, 0, "a", &life), ==, 1);
        g_autofree char *text = stored(store);
        g_assert_cmpstr(text, ==, "1 a 1000 :1.5 5 www {'command': <['sh', '-c', 'x']>, 'terminal': <true>}|stopped 1 3 10/11 12/13 14 15 137 9\n");
}

static void test_a_row_is_replaced_and_numbers_are_given_once(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Store) store = open_memory();
        SessionLife life;

        session_life_init(&life);
        g_assert_cmpuint(put(store, 0, "a", &life), ==, 1);
        g_assert_cmpuint(put(store, 0, "a", &life), ==, 2);
        life.state = SESSION_RUNNING;
        g_assert_cmpuint(put(store, 2, "a", &life), ==, 2);
        g_autofree char *text = stored(store);
        g_assert_nonnull(strstr(text, "|created"));
        g_assert_nonnull(strstr(text, "|running"));
        g_assert_true(store_delete_session(store, 2, &error));
        g_assert_cmpuint(put(store, 0, "a", &life), ==, 3);
}

static void test_numbers_are_not_given_again_after_a_restart(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        Store *store = store_open(directory, NULL, &error);
        SessionLife life;

        g_assert_no_error(error);
        session_life_init(&life);
        put(store, 0, "a", &life);
        g_assert_cmpuint(put(store, 0, "a", &life), ==, 2);
        g_assert_true(store_delete_session(store, 2, &error));
        store_close(store);
        store = store_open(directory, NULL, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(store_new_session_number(store), ==, 3);
        store_close(store);
}

static void test_a_container_takes_its_sessions_with_it(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Store) store = open_memory();
        SessionLife life;

        session_life_init(&life);
        put(store, 0, "a", &life);
        put(store, 0, "b", &life);
        g_assert_true(store_delete_container(store, "a", &error));
        g_autofree char *text = stored(store);
        g_assert_true(g_str_has_prefix(text, "2 b "));
        g_assert_cmpuint(strlen(text), ==, (gsize) (strchr(text, '\n') - text) + 1);
}

static void test_an_unknown_word_is_named(void) {
        GError *error = NULL;
        g_autoptr(Store) store = open_memory();
        GString *text = g_string_new(NULL);
        SessionLife life;

        session_life_init(&life);
        put(store, 0, "a", &life);
        g_assert_true(store_exec(store, "UPDATE session SET state = 'dozing'", &error));
        g_assert_false(store_load_sessions(store, on_session, text, &error));
        testing_expect_error(&error, CONBUS_ERROR_STORAGE_CORRUPT, "exec session 1: the database holds \"dozing\"");
        g_assert_true(store_exec(store, "UPDATE session SET state = 'created', request = '['", &error));
        g_assert_false(store_load_sessions(store, on_session, text, &error));
        testing_expect_error(&error, CONBUS_ERROR_STORAGE_CORRUPT, "exec session 1");
        g_string_free(text, TRUE);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/sessions/what-is-written-is-read-again", test_what_is_written_is_read_again);
        g_test_add_func("/sessions/a-row-is-replaced-and-numbers-are-given-once", test_a_row_is_replaced_and_numbers_are_given_once);
        g_test_add_func("/sessions/numbers-are-not-given-again-after-a-restart", test_numbers_are_not_given_again_after_a_restart);
        g_test_add_func("/sessions/a-container-takes-its-sessions-with-it", test_a_container_takes_its_sessions_with_it);
        g_test_add_func("/sessions/an-unknown-word-is-named", test_an_unknown_word_is_named);
        return g_test_run();
}
