/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening, migrating, transactions and errors of the database. Statements are in rows.c, records.c and event-log.c. */

#include "store/internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "conbus-schema.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#define WAL_LIMIT (4 << 20)
#define WAL_LIMIT_BUSY (4 * WAL_LIMIT)
#define CHECKPOINT_WAIT_MSEC 10000 /* for the transactions of the service to end; each is short */

bool store_fail(Store *store, const char *what, GError **error) {
        int code = sqlite3_errcode(store->db) & 0xff, system = sqlite3_system_errno(store->db);
        ConbusError named = CONBUS_ERROR_INTERNAL;

        if (code == SQLITE_FULL || (code == SQLITE_IOERR && (system == ENOSPC || system == EDQUOT)))
                named = CONBUS_ERROR_STORAGE_FULL;
        else if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
                named = CONBUS_ERROR_STORAGE_CORRUPT;
        else if (sqlite3_extended_errcode(store->db) == SQLITE_CONSTRAINT_UNIQUE) /* of the schema's columns the name alone is UNIQUE; any other constraint is a fault of ours */
                named = CONBUS_ERROR_NAME_IN_USE;
        return error_set(error, named, "%s: %s", what, sqlite3_errmsg(store->db));
}

bool store_corrupt(GError **error, const char *what, const char *value) {
        return error_set(error, CONBUS_ERROR_STORAGE_CORRUPT, "the database holds \"%s\" as a %s, which this version does not know", value, what);
}

bool store_exec(Store *store, const char *sql, GError **error) {
        return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK || store_fail(store, "write the database", error);
}

sqlite3_stmt *store_statement(Store *store, Statement statement, const char *sql, GError **error) {
        sqlite3_stmt **cached = &store->statements[statement];

        if (!*cached && sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, cached, NULL) != SQLITE_OK) {
                store_fail(store, "prepare a statement", error);
                return NULL;
        }
        sqlite3_reset(*cached);
        sqlite3_clear_bindings(*cached);
        return *cached;
}

bool store_step_done(Store *store, sqlite3_stmt *statement, const char *what, GError **error) {
        bool done = sqlite3_step(statement) == SQLITE_DONE;

        if (!done)
                store_fail(store, what, error);
        sqlite3_reset(statement);
        return done;
}

void store_bind_text(sqlite3_stmt *statement, int column, const char *text) {
        sqlite3_bind_text(statement, column, text, -1, SQLITE_TRANSIENT);
}

void store_bind_int(sqlite3_stmt *statement, int column, guint64 value) {
        sqlite3_bind_int64(statement, column, (sqlite3_int64) value);
}

const char *store_column_text(sqlite3_stmt *statement, int column) {
        const char *text = (const char *) sqlite3_column_text(statement, column);

        return text ? text : "";
}

guint64 store_column_int(sqlite3_stmt *statement, int column) {
        return (guint64) sqlite3_column_int64(statement, column);
}

void store_column_bytes(sqlite3_stmt *statement, int column, guint8 *to, gsize size) {
        const void *bytes = sqlite3_column_blob(statement, column);

        memset(to, 0, size);
        if (bytes)
                memcpy(to, bytes, MIN(size, (gsize) sqlite3_column_bytes(statement, column)));
}

/* --- transactions --- */

static bool run_simple(Store *store, Statement statement, const char *sql, const char *what, GError **error) {
        sqlite3_stmt *prepared = store_statement(store, statement, sql, error);

        return prepared && store_step_done(store, prepared, what, error);
}

bool store_begin(Store *store, GError **error) {
        g_assert(!store->in_transaction);
        if (!run_simple(store, STATEMENT_BEGIN, "BEGIN IMMEDIATE", "begin a transaction", error))
                return false;
        store->in_transaction = true;
        store->seq_at_begin = store->event_seq;
        return true;
}

void store_rollback(Store *store) {
        g_autoptr(GError) error = NULL;

        if (!store->in_transaction)
                return;
        store->in_transaction = false;
        store->event_seq = store->seq_at_begin;
        /* SQLite may have rolled back by itself (a full disk); then there is nothing to do. */
        if (!sqlite3_get_autocommit(store->db) && !run_simple(store, STATEMENT_ROLLBACK, "ROLLBACK", "roll back", &error))
                log_error("%s", error->message);
}

bool store_commit(Store *store, GError **error) {
        if (run_simple(store, STATEMENT_COMMIT, "COMMIT", "commit", error)) {
                store->in_transaction = false;
                return true;
        }
        store_rollback(store);
        return false;
}

/* --- opening --- */

static bool read_number(Store *store, const char *sql, guint64 *ret, GError **error) {
        sqlite3_stmt *statement = NULL;
        bool found = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) == SQLITE_OK;

        if (found) {
                int r = sqlite3_step(statement);
                found = r == SQLITE_ROW || r == SQLITE_DONE;
                *ret = r == SQLITE_ROW ? store_column_int(statement, 0) : 0;
        }
        if (!found)
                store_fail(store, "read the database", error);
        sqlite3_finalize(statement);
        return found;
}

static bool migrate_one(Store *store, unsigned number, const char *sql, GError **error) {
        char version[64];

        snprintf(version, sizeof version, "PRAGMA user_version = %u", number);
        if (!store_exec(store, "BEGIN IMMEDIATE", error))
                return false;
        if (store_exec(store, sql, error) && store_exec(store, version, error) && store_exec(store, "COMMIT", error))
                return true;
        (void) sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
        g_prefix_error(error, "migration %u: ", number);
        return false;
}

/* The embedded schema is cut at its lines "-- migration N", which count from 1. */
static bool migrate(Store *store, GError **error) {
        guint64 version = 0;

        if (!read_number(store, "PRAGMA user_version", &version, error))
                return false;
        g_auto(GStrv) parts = g_strsplit(conbus_schema, "-- migration ", -1);
        unsigned newest = g_strv_length(parts) - 1;
        if (version > newest)
                return error_set(error, CONBUS_ERROR_STORAGE_CORRUPT, "the database has version %" G_GUINT64_FORMAT ", this conbus knows %u; use the newer conbus, or another state directory", version, newest);
        for (unsigned number = (unsigned) version + 1; number <= newest; number++) {
                const char *sql = strchr(parts[number], '\n');
                if (!migrate_one(store, number, sql ? sql : "", error))
                        return false;
        }
        return true;
}

static bool read_log_id(Store *store, GError **error) {
        sqlite3_stmt *statement = NULL;
        guint8 fresh[16];

        if (getrandom(fresh, sizeof fresh, 0) != (ssize_t) sizeof fresh)
                return error_errno(error, errno, "make a log id");
        if (sqlite3_prepare_v2(store->db, "INSERT INTO meta VALUES ('event-log-id', ?1) ON CONFLICT DO NOTHING", -1, &statement, NULL) != SQLITE_OK)
                return store_fail(store, "read the database", error);
        sqlite3_bind_blob(statement, 1, fresh, sizeof fresh, SQLITE_TRANSIENT);
        bool done = store_step_done(store, statement, "write the log id", error);
        sqlite3_finalize(statement);
        if (!done)
                return false;
        if (sqlite3_prepare_v2(store->db, "SELECT value FROM meta WHERE key = 'event-log-id'", -1, &statement, NULL) != SQLITE_OK || sqlite3_step(statement) != SQLITE_ROW) {
                sqlite3_finalize(statement);
                return store_fail(store, "read the log id", error);
        }
        store_column_bytes(statement, 0, store->log_id, sizeof store->log_id);
        sqlite3_finalize(statement);
        return true;
}

static bool open_database(Store *store, GError **error) {
        g_autofree char *path = store->directory ? g_build_filename(store->directory, "conbus.db", NULL) : g_strdup(":memory:");

        if (store->directory && g_mkdir_with_parents(store->directory, 0700) < 0)
                return error_errno(error, errno, "make the directory %s", store->directory);
        mode_t mask = umask(0077);
        int r = sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_EXRESCODE, NULL);
        umask(mask);
        if (r != SQLITE_OK)
                return store_fail(store, path, error);
        sqlite3_busy_timeout(store->db, 2000); /* a checkpoint child holds its lock for moments */
        return store_exec(store, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -128", error);
}

Store *store_open(const char *directory, sd_event *event, GError **error) {
        g_autoptr(Store) store = g_new0(Store, 1);

        store->directory = g_strdup(directory);
        store->event = event ? sd_event_ref(event) : NULL;
        store->limits = (StoreLimits) {.runs_usec = 30 * G_TIME_SPAN_DAY, .runs_count = 10000, .events_usec = 7 * G_TIME_SPAN_DAY, .events_count = 10000};
        if (!open_database(store, error) || !migrate(store, error) || !read_log_id(store, error) ||
            !read_number(store, "SELECT seq FROM sqlite_sequence WHERE name = 'event'", &store->event_seq, error) ||
            !read_number(store, "SELECT seq FROM sqlite_sequence WHERE name = 'session'", &store->session_seq, error)) {
                g_prefix_error(error, "open the database in %s: ", directory ? directory : "memory");
                return NULL;
        }
        return g_steal_pointer(&store);
}

void store_close(Store *store) {
        if (!store)
                return;
        store_rollback(store);
        g_clear_pointer(&store->flush, flush_free);
        for (int i = 0; i < N_STATEMENTS; i++)
                sqlite3_finalize(store->statements[i]);
        sqlite3_close(store->db);
        g_clear_pointer(&store->event, sd_event_unref);
        g_free(store->directory);
        g_free(store);
}

void store_set_limits(Store *store, const StoreLimits *limits) {
        store->limits = *limits;
}

/* --- checkpoints --- */

bool store_wants_checkpoint(Store *store, bool busy) {
        struct stat st;

        if (!store->directory)
                return false;
        g_autofree char *path = g_build_filename(store->directory, "conbus.db-wal", NULL);
        if (stat(path, &st) < 0)
                return false;
        if (st.st_size < store->wal_tried) /* it was truncated */
                store->wal_tried = 0;
        if (st.st_size <= store->wal_tried + (busy ? WAL_LIMIT_BUSY : WAL_LIMIT))
                return false;
        store->wal_tried = st.st_size;
        return true;
}

int store_checkpoint_main(const char *directory) {
        g_autofree char *path = g_build_filename(directory, "conbus.db", NULL);
        sqlite3 *db = NULL;
        int n_in_log = -1;
        bool done = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK && sqlite3_busy_timeout(db, CHECKPOINT_WAIT_MSEC) == SQLITE_OK;

        /* A connection that has read nothing yet has not opened the WAL, and its checkpoint succeeds without doing anything. The first pass copies and syncs without keeping the service from writing; little is left for the second,
         * which holds the writers' lock. It empties the file: a WAL that is only started anew keeps its size and would look as if it wanted a checkpoint for ever. */
        done = done && sqlite3_exec(db, "SELECT count(*) FROM sqlite_master", NULL, NULL, NULL) == SQLITE_OK &&
               sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &n_in_log, NULL) == SQLITE_OK && n_in_log >= 0 &&
               sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK;
        if (!done)
                log_warning("checkpoint %s: %s", path, sqlite3_errmsg(db));
        sqlite3_close(db);
        return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
