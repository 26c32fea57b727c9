/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store on real files and in memory: what is written is read again, what cannot be has a name. */

#include "store/store.h"
#include "model/config.h"
#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>

static Store *open_memory(void) {
        g_autoptr(GError) error = NULL;
        Store *store = store_open(NULL, NULL, &error);

        g_assert_no_error(error);
        return store;
}

static void fill(Life *life) {
        life_init(life);
        life->state = STATE_STOPPING;
        life->reason = REASON_HEALTH;
        life->state_usec = 11;
        life->transitions = 12;
        life->run = 13;
        memset(life->invocation, 0xab, INVOCATION_SIZE);
        life->start_usec = 14;
        life->finish_usec = 15;
        life->exit_code = 137;
        life->exit_signal = 9;
        life->result = RESULT_OOM_KILL;
        life->run_open = life->ever_started = life->ready = life->supervised = life->stopped_by_user = life->mounted = life->remove_volumes = true;
        life_set_string(&life->status_text, "busy");
        life_set_string(&life->health, "healthy");
        life->monitor = (StoredProcess) {.pid = 16, .start_time = 17};
        life->main = (StoredProcess) {.pid = 18, .start_time = 19};
        life_set_string(&life->cgroup, "/conbus/x");
        life->stop_deadline = UINT64_MAX;
        life->restart_count = 20;
        life->next_restart_usec = 21;
        life->backoff_usec = 22;
        life_set_string(&life->error_name, "io.conbus1.Error.Internal");
        life_set_string(&life->error_message, "why");
        life->error_usec = 23;
        life_set_string(&life->boot_id, "boot");
}

static void put(Store *store, const char *id, const char *name) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) config = g_variant_ref_sink(g_variant_new_parsed("{'rootfs': <'/r'>, 'memory': <uint64 5>}"));
        StoredContainer row = {.id = id, .name = name, .owner_uid = 1000, .created_usec = 5, .generation = 6, .config = config, .bundle = "/b"};

        fill(&row.life);
        g_assert_true(store_begin(store, &error));
        g_assert_true(store_put_container(store, &row, &error));
        g_assert_true(store_commit(store, &error));
        life_clear(&row.life);
}

static void on_row(const StoredContainer *row, void *userdata) {
        Life wanted;
        const Life *life = &row->life;

        (*(unsigned *) userdata)++;
        fill(&wanted);
        g_assert_cmpstr(row->bundle, ==, "/b");
        g_assert_cmpuint(row->owner_uid, ==, 1000);
        g_assert_cmpuint(config_uint64(row->config, "memory", 0), ==, 5);
        g_assert_cmpint(life->state, ==, wanted.state);
        g_assert_cmpint(life->reason, ==, wanted.reason);
        g_assert_cmpuint(life->transitions, ==, wanted.transitions);
        g_assert_cmpuint(life->run, ==, wanted.run);
        g_assert_cmpmem(life->invocation, INVOCATION_SIZE, wanted.invocation, INVOCATION_SIZE);
        g_assert_cmpint(life->exit_code, ==, wanted.exit_code);
        g_assert_cmpint(life->exit_signal, ==, wanted.exit_signal);
        g_assert_cmpint(life->result, ==, wanted.result);
        g_assert_true(life->run_open && life->ever_started && life->ready && life->supervised && life->stopped_by_user && life->mounted && life->remove_volumes);
        g_assert_cmpstr(life->status_text, ==, wanted.status_text);
        g_assert_cmpstr(life->health, ==, wanted.health);
        g_assert_cmpint(life->monitor.pid, ==, 16);
        g_assert_cmpuint(life->monitor.start_time, ==, 17);
        g_assert_cmpint(life->main.pid, ==, 18);
        g_assert_cmpuint(life->main.start_time, ==, 19);
        g_assert_cmpstr(life->cgroup, ==, wanted.cgroup);
        g_assert_cmpuint(life->stop_deadline, ==, UINT64_MAX);
        g_assert_cmpuint(life->restart_count, ==, 20);
        g_assert_cmpuint(life->next_restart_usec, ==, 21);
        g_assert_cmpuint(life->backoff_usec, ==, 22);
        g_assert_cmpstr(life->error_name, ==, wanted.error_name);
        g_assert_cmpstr(life->error_message, ==, wanted.error_message);
        g_assert_cmpuint(life->error_usec, ==, 23);
        g_assert_cmpstr(life->boot_id, ==, "boot");
        life_clear(&wanted);
}

static void test_rows_come_back(void) {
        g_autoptr(Store) store = open_memory();
        g_autoptr(GError) error = NULL;
        unsigned n = 0;

        put(store, "a", "one");
        put(store, "b", "two");
        g_assert_true(store_load(store, on_row, &n, &error));
        g_assert_cmpuint(n, ==, 2);
        g_assert_true(store_begin(store, &error));
        g_assert_true(store_delete_container(store, "a", &error));
        store_rollback(store);
        n = 0;
        g_assert_true(store_load(store, on_row, &n, &error));
        g_assert_cmpuint(n, ==, 2);
}

static void put_run(Store *store, guint64 number, Result result) {
        g_autoptr(Run) run = run_new("c", number);
        g_autoptr(GError) error = NULL;

        run->result = result;
        run->exit_code = (int) number;
        run->finish_usec = number;
        run->actor = g_variant_ref_sink(g_variant_new_parsed("{'uid': <uint32 7>}"));
        g_assert_true(store_put_run(store, run, &error));
}

static void test_records(void) {
        g_autoptr(Store) store = open_memory();
        g_autoptr(GError) error = NULL;
        g_autoptr(Run) latest = NULL, after = NULL, none = NULL;

        put_run(store, 1, RESULT_SUCCESS);
        put_run(store, 2, RESULT_EXIT_CODE);
        put_run(store, 3, RESULT_NONE);
        g_assert_true(store_get_run(store, "c", 0, &latest, &error));
        g_assert_cmpuint(latest->number, ==, 3);
        g_assert_true(store_get_run_after(store, "c", 1, &after, &error));
        g_assert_cmpuint(after->number, ==, 2);
        g_assert_nonnull(after->actor);
        g_assert_true(store_get_run_after(store, "c", 2, &none, &error)); /* 3 is open */
        g_assert_null(none);
        g_autoptr(GPtrArray) two = store_list_runs(store, "c", 2, &error);
        g_assert_cmpuint(two->len, ==, 2);
        g_assert_cmpuint(((Run *) two->pdata[0])->number, ==, 3);
}

static void test_events_are_numbered_and_trimmed(void) {
        g_autoptr(Store) store = open_memory();
        g_autoptr(GError) error = NULL;
        bool gap = true;

        store_set_limits(store, &(StoreLimits) {.runs_usec = 0, .runs_count = 1, .events_usec = 0, .events_count = 3});
        for (guint64 i = 1; i <= 10; i++) {
                g_autoptr(Event) event = event_new("container", i % 2 ? "odd" : "even", "/o", "c", NULL);
                g_assert_true(store_append_event(store, event, &error));
                g_assert_cmpuint(event->seq, ==, i);
        }
        g_autoptr(GPtrArray) all = store_list_events(store, 0, 100, UINT64_MAX, NULL, &gap, &error);
        g_assert_cmpuint(all->len, ==, 10);
        g_assert_false(gap);
        g_assert_true(store_trim(store, &error));
        g_autoptr(GPtrArray) rest = store_list_events(store, 2, 100, UINT64_MAX, NULL, &gap, &error);
        g_assert_cmpuint(rest->len, ==, 3);
        g_assert_cmpuint(((Event *) rest->pdata[0])->seq, ==, 8);
        g_assert_true(gap);
        g_autoptr(GPtrArray) none = store_list_events(store, 7, 100, UINT64_MAX, (const char *const[]) {"image", NULL}, &gap, &error);
        g_assert_cmpuint(none->len, ==, 0);
        g_assert_false(gap);
}

static void test_a_rolled_back_event_gives_its_number_back(void) {
        g_autoptr(Store) store = open_memory();
        g_autoptr(GError) error = NULL;
        g_autoptr(Event) lost = event_new("container", "lost", "/o", "c", NULL), kept = event_new("container", "kept", "/o", "c", NULL);

        g_assert_true(store_begin(store, &error));
        g_assert_true(store_append_event(store, lost, &error));
        store_rollback(store);
        g_assert_true(store_append_event(store, kept, &error));
        g_assert_cmpuint(kept->seq, ==, 1);
}

static void test_files(void) {
        g_autofree char *directory = g_dir_make_tmp("conbus-store-XXXXXX", NULL);
        g_autofree char *path = g_build_filename(directory, "conbus.db", NULL), *wal = g_build_filename(directory, "conbus.db-wal", NULL), *shm = g_build_filename(directory, "conbus.db-shm", NULL);
        g_autoptr(GError) error = NULL;
        unsigned n = 0;

        Store *store = store_open(directory, NULL, &error);
        g_assert_no_error(error);
        put(store, "a", "one");
        store_close(store);
        store = store_open(directory, NULL, &error);
        g_assert_true(store_load(store, on_row, &n, &error));
        g_assert_cmpuint(n, ==, 1);
        store_close(store);

        sqlite3 *db;
        g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
        g_assert_cmpint(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), ==, SQLITE_OK);
        sqlite3_close(db);
        g_assert_null(store_open(directory, NULL, &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_STORAGE_CORRUPT);
        g_clear_error(&error);
        g_assert_true(g_file_set_contents(path, "this is no database at all, but it is long enough to be looked at", -1, NULL));
        (void) g_unlink(wal);
        g_assert_null(store_open(directory, NULL, &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_STORAGE_CORRUPT);
        (void) g_unlink(path);
        (void) g_unlink(wal);
        (void) g_unlink(shm);
        (void) g_rmdir(directory);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/store/rows-come-back", test_rows_come_back);
        g_test_add_func("/store/records", test_records);
        g_test_add_func("/store/events-are-numbered-and-trimmed", test_events_are_numbered_and_trimmed);
        g_test_add_func("/store/a-rolled-back-event-gives-its-number-back", test_a_rolled_back_event_gives_its_number_back);
        g_test_add_func("/store/files", test_files);
        return g_test_run();
}
