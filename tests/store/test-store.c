/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening, migrating and transactions on real files: nothing is half done, and what cannot be done has a name. */

#include "store/internal.h"
#include "testing.h"
#include <glib/gstdio.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static void count_row(const StoredContainer *row, void *userdata) {
        (*(unsigned *) userdata)++;
}

static unsigned count_rows(Store *store) {
        g_autoptr(GError) error = NULL;
        unsigned n = 0;

        g_assert_true(store_load(store, count_row, &n, &error));
        g_assert_no_error(error);
        return n;
}

static bool put(Store *store, const char *id, GError **error) {
        g_autoptr(GVariant) config = testing_parse("{'rootfs': <'/r'>}");
        StoredContainer row = {.id = id, .name = id, .config = config, .bundle = ""};

        life_init(&row.life);
        bool done = store_put_container(store, &row, error);
        life_clear(&row.life);
        return done;
}

static Store *open_in(const char *directory) {
        g_autoptr(GError) error = NULL;
        Store *store = store_open(directory, NULL, &error);

        g_assert_no_error(error);
        return store;
}

/* --- the file --- */

static void test_what_was_committed_survives(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();

        Store *store = open_in(directory);
        g_assert_true(store_begin(store, NULL) && put(store, "a", NULL) && store_commit(store, NULL));
        g_assert_true(store_begin(store, NULL) && put(store, "b", NULL)); /* and is left open */
        store_close(store);
        store = open_in(directory);
        g_assert_cmpuint(count_rows(store), ==, 1);
        store_close(store);
}

static void test_nobody_else_may_read_it(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        g_autofree char *inner = g_build_filename(directory, "made", "here", NULL), *path = g_build_filename(inner, "conbus.db", NULL);
        g_autoptr(Store) store = open_in(inner);
        struct stat st;

        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0600);
        g_assert_cmpint(stat(inner, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0700);
}

static void test_a_directory_that_cannot_be_made(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        g_autofree char *inner = g_build_filename(directory, "file", "below", NULL);
        g_autoptr(GError) error = NULL;

        testing_write(directory, "file", "");
        g_assert_null(store_open(inner, NULL, &error));
        testing_expect_error(&error, CONBUS_ERROR_INTERNAL, "make the directory");
}

static void test_a_file_that_is_no_database(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        g_autoptr(GError) error = NULL;

        testing_write(directory, "conbus.db", "this is no database at all, but it is long enough to be looked at");
        g_assert_null(store_open(directory, NULL, &error));
        testing_expect_error(&error, CONBUS_ERROR_STORAGE_CORRUPT, directory);
}

/* Every page but the first is overwritten, so that the file still looks like a database. */
static void test_a_damaged_database_is_named(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        g_autofree char *path = g_build_filename(directory, "conbus.db", NULL), *text = NULL;
        g_autoptr(GError) error = NULL;
        gsize size;
        unsigned n = 0;

        Store *store = open_in(directory);
        g_assert_true(put(store, "a", NULL));
        store_close(store);
        g_assert_true(g_file_get_contents(path, &text, &size, NULL));
        g_assert_cmpuint(size, >, 8192);
        memset(text + 4096, 0x5a, size - 4096);
        g_assert_true(g_file_set_contents(path, text, (gssize) size, NULL));
        store = store_open(directory, NULL, &error);
        if (store)
                g_assert_false(store_load(store, count_row, &n, &error));
        testing_expect_error(&error, CONBUS_ERROR_STORAGE_CORRUPT, "");
        store_close(store);
}

/* --- migrations --- */

static char **read_migrations(void) {
        g_autofree char *path = g_test_build_filename(G_TEST_DIST, "..", "service", "store", "schema.sql", NULL), *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        return g_strsplit(text, "-- migration ", -1);
}

static sqlite3 *open_raw(const char *directory) {
        g_autofree char *path = g_build_filename(directory, "conbus.db", NULL);
        sqlite3 *db;

        g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
        return db;
}

static void run_raw(sqlite3 *db, const char *sql) {
        char *message = NULL;

        if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
                g_error("%s: %s", sql, message);
}

static int ask_raw(const char *directory, const char *sql) {
        sqlite3 *db = open_raw(directory);
        sqlite3_stmt *statement;

        g_assert_cmpint(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), ==, SQLITE_OK);
        g_assert_cmpint(sqlite3_step(statement), ==, SQLITE_ROW);
        int number = sqlite3_column_int(statement, 0);
        sqlite3_finalize(statement);
        sqlite3_close(db);
        return number;
}

/* A database as version `version` of the schema left it, with one container in it. */
static void make_old(const char *directory, char **migrations, unsigned version) {
        sqlite3 *db = open_raw(directory);

        for (unsigned i = 1; i <= version; i++) {
                g_autofree char *number = g_strdup_printf("PRAGMA user_version = %u", i);
                run_raw(db, strchr(migrations[i], '\n'));
                run_raw(db, number);
        }
        if (version > 0)
                run_raw(db, "INSERT INTO container (id, name, owner_uid, created_usec, generation, bundle, config) VALUES ('a', 'web', 0, 1, 1, '', '{\"rootfs\": <\"/r\">}');"
                            "INSERT INTO life (id, state, reason, state_usec, transitions, run, invocation, start_usec, finish_usec, exit_code, exit_signal, result, run_open, ever_started, ready, "
                            "status_text, health, monitor_pid, monitor_start, main_pid, main_start, supervised, cgroup, stopped_by_user, stop_deadline, restart_count, next_restart_usec, backoff_usec, "
                            "error_name, error_message, error_usec, boot_id, mounted, remove_volumes) "
                            "VALUES ('a', 'exited', 'exit', 1, 4, 1, x'00', 1, 2, 0, 0, 'success', 0, 1, 0, '', '', 0, 0, 0, 0, 0, '', 0, 0, 0, 0, 0, '', '', 0, '', 0, 0)");
        sqlite3_close(db);
}

static void test_every_older_database_is_brought_up(void) {
        g_auto(GStrv) migrations = read_migrations();
        unsigned newest = g_strv_length(migrations) - 1;

        g_assert_cmpuint(newest, >, 0);
        for (unsigned version = 0; version <= newest; version++) {
                g_autoptr(TestingDirectory) directory = testing_directory_new();
                make_old(directory, migrations, version);
                Store *store = open_in(directory);
                g_assert_cmpuint(count_rows(store), ==, version > 0 ? 1 : 0);
                g_assert_true(put(store, "b", NULL));
                store_close(store);
                g_assert_cmpint(ask_raw(directory, "PRAGMA user_version"), ==, newest);
        }
}

static void test_a_newer_database_is_refused_untouched(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        g_autoptr(GError) error = NULL;

        store_close(open_in(directory));
        sqlite3 *db = open_raw(directory);
        run_raw(db, "PRAGMA user_version = 99");
        sqlite3_close(db);
        g_assert_null(store_open(directory, NULL, &error));
        testing_expect_error(&error, CONBUS_ERROR_STORAGE_CORRUPT, "the database has version 99");
        g_assert_cmpint(ask_raw(directory, "PRAGMA user_version"), ==, 99);
}

static void test_a_migration_that_fails_leaves_nothing(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        g_autoptr(GError) error = NULL;

        sqlite3 *db = open_raw(directory);
        run_raw(db, "CREATE TABLE event (other INTEGER)"); /* in the way of the last statement of the first migration */
        sqlite3_close(db);
        g_assert_null(store_open(directory, NULL, &error));
        testing_expect_error(&error, CONBUS_ERROR_INTERNAL, "migration 1: ");
        g_assert_cmpint(ask_raw(directory, "PRAGMA user_version"), ==, 0);
        g_assert_cmpint(ask_raw(directory, "SELECT count(*) FROM sqlite_master WHERE name = 'container'"), ==, 0);
}

/* --- transactions --- */

static void test_a_rollback_leaves_nothing(void) {
        g_autoptr(Store) store = open_in(NULL);

        g_assert_true(store_begin(store, NULL) && put(store, "a", NULL) && store_commit(store, NULL));
        g_assert_true(store_begin(store, NULL));
        g_assert_true(put(store, "b", NULL));
        g_assert_true(store_delete_container(store, "a", NULL));
        store_rollback(store);
        store_rollback(store); /* outside of one it does nothing */
        g_assert_cmpuint(count_rows(store), ==, 1);
        g_assert_true(store_begin(store, NULL) && put(store, "b", NULL) && store_commit(store, NULL));
        g_assert_cmpuint(count_rows(store), ==, 2);
}

static void test_no_more_pages_is_storage_full(void) {
        g_autoptr(Store) store = open_in(NULL);
        g_autoptr(GError) error = NULL;
        unsigned n = 0;

        g_assert_true(put(store, "first", NULL));
        g_assert_true(store_exec(store, "PRAGMA max_page_count = 1", NULL)); /* SQLite takes it as the present size */
        g_assert_true(store_begin(store, NULL));
        for (; !error && n < 10000; n++) {
                g_autofree char *id = g_strdup_printf("%u", n);
                if (!put(store, id, &error))
                        break;
        }
        testing_expect_error(&error, CONBUS_ERROR_STORAGE_FULL, "write a container");
        store_rollback(store);
        g_assert_cmpuint(count_rows(store), ==, 1);
        g_assert_true(store_exec(store, "PRAGMA max_page_count = 100000", NULL));
        g_assert_true(store_begin(store, NULL) && put(store, "again", NULL) && store_commit(store, NULL));
        g_assert_cmpuint(count_rows(store), ==, 2);
}

/* A file system of its own that really fills up; in a mount namespace of this process. */
static bool mount_small(const char *directory) {
        return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) == 0 && mount("tmpfs", directory, "tmpfs", 0, "size=512k") == 0;
}

static void fill_up(Store *store, GError **error) {
        for (unsigned n = 0; n < 10000 && !*error; n++) {
                g_autofree char *id = g_strdup_printf("%u", n);
                if (!store_begin(store, error))
                        return;
                if (!put(store, id, error) || !store_commit(store, error))
                        store_rollback(store);
        }
}

static void full_disk(const char *directory) {
        g_autoptr(GError) error = NULL;

        testing_write(directory, "ballast", "");
        g_autofree char *ballast = g_build_filename(directory, "ballast", NULL), *weight = g_strnfill(100 * 1024, 'x');
        g_assert_true(g_file_set_contents(ballast, weight, -1, NULL));
        Store *store = open_in(directory);
        fill_up(store, &error);
        testing_expect_error(&error, CONBUS_ERROR_STORAGE_FULL, "");
        unsigned before = count_rows(store);
        g_assert_cmpuint(before, >, 0);
        g_assert_cmpint(g_unlink(ballast), ==, 0);
        g_assert_true(store_begin(store, NULL) && put(store, "later", NULL) && store_commit(store, NULL));
        g_assert_cmpuint(count_rows(store), ==, before + 1);
        store_close(store);
        store = open_in(directory);
        g_assert_cmpuint(count_rows(store), ==, before + 1);
        store_close(store);
}

static void test_a_full_disk_is_storage_full_and_heals(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();

        if (g_test_subprocess()) {
                if (!mount_small(directory))
                        exit(77);
                full_disk(directory);
                g_assert_cmpint(umount2(directory, MNT_DETACH), ==, 0);
                return;
        }
        g_test_trap_subprocess(NULL, 0, 0);
        if (g_test_trap_has_passed())
                return;
        if (unshare(CLONE_NEWNS) < 0)
                g_test_skip("a mount namespace is not allowed here");
        else
                g_test_trap_assert_passed();
}

/* --- checkpoints --- */

static gint64 size_of(const char *directory, const char *name) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        struct stat st;

        return stat(path, &st) == 0 ? st.st_size : -1;
}

static void fill_wal_from(Store *store, unsigned first) {
        g_assert_true(store_begin(store, NULL));
        for (unsigned n = first; n < first + 8000; n++) {
                g_autofree char *id = g_strdup_printf("%0500u", n);
                g_assert_true(put(store, id, NULL));
        }
        g_assert_true(store_commit(store, NULL));
}

static void fill_wal(Store *store) {
        fill_wal_from(store, 0);
}

static void test_a_long_wal_wants_a_checkpoint_and_gets_it(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        g_autoptr(Store) store = open_in(directory);
        gint64 before = size_of(directory, "conbus.db");

        g_assert_false(store_wants_checkpoint(store, false));
        fill_wal(store);
        g_assert_true(store_wants_checkpoint(store, false));
        g_assert_cmpint(store_checkpoint_main(directory), ==, EXIT_SUCCESS);
        g_assert_cmpint(size_of(directory, "conbus.db"), >, before);
        g_assert_cmpint(size_of(directory, "conbus.db-wal"), ==, 0);
        g_assert_false(store_wants_checkpoint(store, false));
        g_assert_true(store_begin(store, NULL) && put(store, "a", NULL) && store_commit(store, NULL));
        g_assert_cmpuint(count_rows(store), ==, 8001);
}

/* A checkpoint that fails or finds readers must not be tried again and again while nothing new is written. */
static void test_a_checkpoint_is_asked_for_once(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        g_autoptr(Store) store = open_in(directory);

        fill_wal(store);
        g_assert_true(store_wants_checkpoint(store, false));
        g_assert_false(store_wants_checkpoint(store, false));
}

/* Nobody is to wait for it while there is a pause to come, but not for ever. */
static void test_a_checkpoint_waits_for_a_pause_until_the_wal_is_very_long(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        g_autoptr(Store) store = open_in(directory);

        for (unsigned first = 0; size_of(directory, "conbus.db-wal") <= 16 << 20; first += 8000) {
                g_assert_false(store_wants_checkpoint(store, true));
                fill_wal_from(store, first);
        }
        g_assert_true(store_wants_checkpoint(store, true));
        g_assert_false(store_wants_checkpoint(store, false)); /* it is under way */
}

static void test_a_store_in_memory_wants_no_checkpoint(void) {
        g_autoptr(Store) store = open_in(NULL);

        g_assert_false(store_wants_checkpoint(store, false));
}

static void test_a_checkpoint_of_nothing_fails(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();

        g_assert_cmpint(store_checkpoint_main(directory), ==, EXIT_FAILURE);
        g_assert_cmpint(size_of(directory, "conbus.db"), ==, -1);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/store/what-was-committed-survives", test_what_was_committed_survives);
        g_test_add_func("/store/nobody-else-may-read-it", test_nobody_else_may_read_it);
        g_test_add_func("/store/a-directory-that-cannot-be-made", test_a_directory_that_cannot_be_made);
        g_test_add_func("/store/a-file-that-is-no-database", test_a_file_that_is_no_database);
        g_test_add_func("/store/a-damaged-database-is-named", test_a_damaged_database_is_named);
        g_test_add_func("/store/every-older-database-is-brought-up", test_every_older_database_is_brought_up);
        g_test_add_func("/store/a-newer-database-is-refused-untouched", test_a_newer_database_is_refused_untouched);
        g_test_add_func("/store/a-migration-that-fails-leaves-nothing", test_a_migration_that_fails_leaves_nothing);
        g_test_add_func("/store/a-rollback-leaves-nothing", test_a_rollback_leaves_nothing);
        g_test_add_func("/store/no-more-pages-is-storage-full", test_no_more_pages_is_storage_full);
        g_test_add_func("/store/a-full-disk-is-storage-full-and-heals", test_a_full_disk_is_storage_full_and_heals);
        g_test_add_func("/store/a-long-wal-wants-a-checkpoint-and-gets-it", test_a_long_wal_wants_a_checkpoint_and_gets_it);
        g_test_add_func("/store/a-checkpoint-is-asked-for-once", test_a_checkpoint_is_asked_for_once);
        g_test_add_func("/store/a-checkpoint-waits-for-a-pause-until-the-wal-is-very-long", test_a_checkpoint_waits_for_a_pause_until_the_wal_is_very_long);
        g_test_add_func("/store/a-store-in-memory-wants-no-checkpoint", test_a_store_in_memory_wants_no_checkpoint);
        g_test_add_func("/store/a-checkpoint-of-nothing-fails", test_a_checkpoint_of_nothing_fails);
        return g_test_run();
}
