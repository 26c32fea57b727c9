/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store_sync: one answer for each call, in order, never before it has returned, on a real file and where nothing can be synced. */

#include "store/internal.h"
#include "testing.h"

typedef struct Caller {
        Store *store;
        GString *order;
        char name;
        unsigned n;
        struct Caller *next; /* calls in turn from the answer */
} Caller;

static void on_synced(const GError *error, void *userdata) {
        Caller *caller = userdata;

        g_assert_no_error(error);
        caller->n++;
        g_string_append_c(caller->order, caller->name);
        if (caller->next)
                store_sync(caller->store, on_synced, caller->next);
}

static void write_something(Store *store) {
        g_autoptr(Event) event = event_new("container", "a", "/o", "c", NULL);

        g_assert_true(store_append_event(store, event, NULL));
}

static void sync_in_turn(const char *directory) {
        g_autoptr(sd_event) event = NULL;
        g_autoptr(GString) order = g_string_new(NULL);
        g_assert_cmpint(sd_event_new(&event), >=, 0);
        g_autoptr(Store) store = store_open(directory, event, NULL);
        g_assert_nonnull(store);
        Caller last = {.store = store, .order = order, .name = 'd'}, a = {.store = store, .order = order, .name = 'a', .next = &last}, b = {.store = store, .order = order, .name = 'b'},
               c = {.store = store, .order = order, .name = 'c'};

        write_something(store);
        store_sync(store, on_synced, &a);
        g_assert_cmpuint(a.n, ==, 0);
        store_sync(store, on_synced, &b);
        write_something(store);
        store_sync(store, on_synced, &c);
        g_assert_cmpuint(b.n + c.n, ==, 0);
        testing_run_until_count(event, &c.n, 1);
        testing_run_until_count(event, &last.n, 1);
        g_assert_cmpuint(order->len, ==, 4);
        g_assert_cmpint(order->str[0], ==, 'a');
        g_assert_cmpint(strchr(order->str, 'b') < strchr(order->str, 'c'), ==, 1);
        testing_run_idle(event);
        g_assert_cmpuint(a.n + b.n + c.n + last.n, ==, 4);
}

static void test_each_call_is_answered_once_and_in_order(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();

        sync_in_turn(directory);
}

static void test_a_store_in_memory_answers_alike(void) {
        sync_in_turn(NULL);
}

static void test_a_file_system_in_memory_answers_alike(void) {
        g_autofree char *directory = g_strdup("/dev/shm/conbus-test-XXXXXX");

        if (!g_mkdtemp(directory)) {
                g_test_skip("there is no /dev/shm");
                return;
        }
        sync_in_turn(directory);
        testing_directory_free(g_steal_pointer(&directory));
}

static void test_without_a_loop_it_is_done_at_once(void) {
        g_autoptr(Store) store = store_open(NULL, NULL, NULL);
        g_autoptr(GString) order = g_string_new(NULL);
        Caller caller = {.store = store, .order = order, .name = 'a'};

        store_sync(store, on_synced, &caller);
        g_assert_cmpuint(caller.n, ==, 1);
}

static void on_refused(const GError *error, void *userdata) {
        g_assert_nonnull(error);
        g_assert_nonnull(strstr(error->message, "write the database to disk"));
        ++*(unsigned *) userdata;
}

/* A log that cannot be opened has not been synced, and is tried again. */
static void test_what_cannot_be_opened_is_not_synced(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        g_autofree char *log = g_build_filename(directory, "conbus.db-wal", NULL), *away = g_strconcat(log, ".away", NULL);
        g_autoptr(sd_event) event = NULL;
        g_autoptr(GString) order = g_string_new(NULL);
        unsigned n_refused = 0;

        g_assert_cmpint(sd_event_new(&event), >=, 0);
        g_autoptr(Store) store = store_open(directory, event, NULL);
        g_assert_nonnull(store);
        Caller caller = {.store = store, .order = order, .name = 'a'};
        write_something(store);
        g_assert_cmpint(rename(log, away), ==, 0);
        store_sync(store, on_refused, &n_refused);
        testing_run_until_count(event, &n_refused, 1);
        g_assert_cmpint(rename(away, log), ==, 0);
        store_sync(store, on_synced, &caller);
        testing_run_until_count(event, &caller.n, 1);
}

static void on_never(const GError *error, void *userdata) {
        g_assert_not_reached();
}

static void test_a_closed_store_answers_nobody(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        g_autoptr(sd_event) event = NULL;

        g_assert_cmpint(sd_event_new(&event), >=, 0);
        Store *store = store_open(directory, event, NULL);
        write_something(store);
        store_sync(store, on_never, NULL);
        store_sync(store, on_never, NULL);
        store_close(store);
        testing_run_idle(event);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/flush/each-call-is-answered-once-and-in-order", test_each_call_is_answered_once_and_in_order);
        g_test_add_func("/flush/a-store-in-memory-answers-alike", test_a_store_in_memory_answers_alike);
        g_test_add_func("/flush/a-file-system-in-memory-answers-alike", test_a_file_system_in_memory_answers_alike);
        g_test_add_func("/flush/without-a-loop-it-is-done-at-once", test_without_a_loop_it_is_done_at_once);
        g_test_add_func("/flush/what-cannot-be-opened-is-not-synced", test_what_cannot_be_opened_is_not_synced);
        g_test_add_func("/flush/a-closed-store-answers-nobody", test_a_closed_store_answers_nobody);
        return g_test_run();
}
