/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Containers and lives as rows: what is written is read again, field by field; what cannot be understood is named. */

#include "model/config.h"
#include "store/internal.h"
#include "testing.h"
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
        life->run_open = life->ever_started = life->ready = life->supervised = life->stopped_by_user = life->mounted = life->remove_volumes = life->boot_due = true;
        life_set_string(&life->status_text, "busy");
        life_set_string(&life->health, "healthy");
        life->monitor = (StoredProcess) {.pid = 16, .start_time = 17};
        life->main = (StoredProcess) {.pid = 18, .start_time = 19};
        life_set_string(&life->cgroup, "/conbus/x");
        life->stop_deadline = UINT64_MAX;
        life->stop_signal = 15;
        life->health_action = "restart";
        life->restart_count = 20;
        life->next_restart_usec = 21;
        life->backoff_usec = 22;
        life_set_string(&life->error_name, "io.conbus1.Error.Internal");
        life_set_string(&life->error_message, "why");
        life->error_usec = 23;
        life_set_string(&life->boot_id, "boot");
        life_set_string(&life->managed_by, "conbus-container@x.service");
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
        g_assert_true(life->run_open && life->ever_started && life->ready && life->supervised && life->stopped_by_user && life->mounted && life->remove_volumes && life->boot_due);
        g_assert_cmpstr(life->status_text, ==, wanted.status_text);
        g_assert_cmpstr(life->health, ==, wanted.health);
        g_assert_cmpstr(life->health_action, ==, wanted.health_action);
        g_assert_cmpstr(life->managed_by, ==, wanted.managed_by);
        g_assert_cmpint(life->stop_signal, ==, wanted.stop_signal);
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

static void test_every_field_comes_back(void) {
        g_autoptr(Store) store = open_memory();
        g_autoptr(GError) error = NULL;
        unsigned n = 0;

        put(store, "a", "one");
        put(store, "b", "two");
        g_assert_true(store_load(store, on_row, &n, &error));
        g_assert_cmpuint(n, ==, 2);
}

static void test_a_deletion_takes_row_and_life(void) {
        g_autoptr(Store) store = open_memory();
        unsigned n = 0;

        put(store, "a", "one");
        put(store, "b", "two");
        g_assert_true(store_begin(store, NULL));
        g_assert_true(store_delete_container(store, "a", NULL));
        g_assert_true(store_commit(store, NULL));
        g_assert_true(store_load(store, on_row, &n, NULL));
        g_assert_cmpuint(n, ==, 1);
        put(store, "a", "one"); /* neither the id nor the name is held by anything */
}

static void collect_names(const StoredContainer *row, void *userdata) {
        g_string_append(userdata, row->name);
}

static void expect_names(Store *store, const char *names) {
        g_autoptr(GString) found = g_string_new(NULL);

        g_assert_true(store_load(store, collect_names, found, NULL));
        g_assert_cmpstr(found->str, ==, names);
}

static void test_rows_come_in_the_order_of_creation(void) {
        g_autoptr(Store) store = open_memory();

        put(store, "z", "1");
        put(store, "a", "2");
        put(store, "m", "3");
        put(store, "a", "2"); /* a rewrite keeps its place */
        expect_names(store, "123");
}

static void test_a_rewrite_changes_what_may_change(void) {
        g_autoptr(Store) store = open_memory();
        g_autoptr(GVariant) config = testing_parse("{'memory': <uint64 5>}");
        StoredContainer row = {.id = "a", .name = "new", .owner_uid = 1, .created_usec = 1, .generation = 9, .config = config, .bundle = "/elsewhere"};

        put(store, "a", "old");
        fill(&row.life);
        g_assert_true(store_put_container(store, &row, NULL));
        life_clear(&row.life);
        unsigned n = 0;
        g_assert_true(store_load(store, on_row, &n, NULL)); /* owner and bundle are what they were */
        expect_names(store, "new");
}

static void test_a_taken_name_is_refused(void) {
        g_autoptr(Store) store = open_memory();
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) config = testing_parse("@a{sv} {}");
        StoredContainer row = {.id = "b", .name = "one", .config = config, .bundle = ""};

        put(store, "a", "one");
        life_init(&row.life);
        g_assert_true(store_begin(store, NULL));
        g_assert_false(store_put_container(store, &row, &error));
        testing_expect_error(&error, CONBUS_ERROR_NAME_IN_USE, "write a container");
        store_rollback(store);
        life_clear(&row.life);
        expect_names(store, "one");
}

/* What the schema refuses beside a name is a fault of the service's, and no caller's. */
static void test_another_constraint_is_no_taken_name(void) {
        g_autoptr(Store) store = open_memory();
        static const char *const table[] = {
                "INSERT INTO container SELECT id, 'other', owner_uid, created_usec, generation, bundle, config FROM container",
                "UPDATE container SET name = NULL",
                "INSERT INTO life SELECT * FROM life",
                "CREATE TRIGGER refuse INSERT ON event BEGIN SELECT RAISE(ABORT, 'no'); END; INSERT INTO event VALUES (1, 2, '', '', '', '', '')",
        };

        put(store, "a", "one");
        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(GError) error = NULL;
                g_assert_false(store_exec(store, table[i], &error));
                testing_expect_error(&error, CONBUS_ERROR_INTERNAL, "write the database");
        }
}

static void test_numbers_of_the_whole_range_come_back(void) {
        g_autoptr(Store) store = open_memory();
        static const guint64 numbers[] = {0, 1, INT64_MAX, (guint64) INT64_MAX + 1, UINT64_MAX};

        for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
                sqlite3_stmt *s = store_statement(store, STATEMENT_LOAD, "SELECT ?1", NULL);
                g_assert_nonnull(s);
                store_bind_int(s, 1, numbers[i]);
                g_assert_cmpint(sqlite3_step(s), ==, SQLITE_ROW);
                g_assert_cmpuint(store_column_int(s, 0), ==, numbers[i]);
        }
}

static void on_nothing(const StoredContainer *row, void *userdata) {
        g_assert_not_reached();
}

static void test_a_row_of_another_world_is_named(void) {
        static const char *const table[][2] = {
                {"UPDATE life SET state = 'dreaming'", "\"dreaming\" as a state"},
                {"UPDATE life SET reason = 'whim'", "\"whim\" as a reason"},
                {"UPDATE life SET result = 'fine'", "\"fine\" as a result"},
                {"UPDATE container SET config = '{'", "container \"one\": read a stored configuration"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(Store) store = open_memory();
                g_autoptr(GError) error = NULL;

                put(store, "a", "one");
                g_assert_true(store_exec(store, table[i][0], NULL));
                g_assert_false(store_load(store, on_nothing, NULL, &error));
                testing_expect_error(&error, CONBUS_ERROR_STORAGE_CORRUPT, table[i][1]);
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/rows/every-field-comes-back", test_every_field_comes_back);
        g_test_add_func("/rows/a-deletion-takes-row-and-life", test_a_deletion_takes_row_and_life);
        g_test_add_func("/rows/rows-come-in-the-order-of-creation", test_rows_come_in_the_order_of_creation);
        g_test_add_func("/rows/a-rewrite-changes-what-may-change", test_a_rewrite_changes_what_may_change);
        g_test_add_func("/rows/a-taken-name-is-refused", test_a_taken_name_is_refused);
        g_test_add_func("/rows/another-constraint-is-no-taken-name", test_another_constraint_is_no_taken_name);
        g_test_add_func("/rows/numbers-of-the-whole-range-come-back", test_numbers_of_the_whole_range_come_back);
        g_test_add_func("/rows/a-row-of-another-world-is-named", test_a_row_of_another_world_is_named);
        return g_test_run();
}
