/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of the store share. */

#include "store/store.h"
#include <sqlite3.h>

typedef enum Statement {
        STATEMENT_BEGIN,
        STATEMENT_COMMIT,
        STATEMENT_ROLLBACK,
        STATEMENT_PUT_CONTAINER,
        STATEMENT_PUT_LIFE,
        STATEMENT_DELETE_CONTAINER,
        STATEMENT_DELETE_LIFE,
        STATEMENT_LOAD,
        STATEMENT_PUT_RUN,
        STATEMENT_GET_RUN,
        STATEMENT_GET_LATEST_RUN,
        STATEMENT_GET_RUN_AFTER,
        STATEMENT_LIST_RUNS,
        STATEMENT_FIND_INVOCATION,
        STATEMENT_TRIM_RUNS,
        STATEMENT_APPEND_EVENT,
        STATEMENT_LIST_EVENTS,
        STATEMENT_FIRST_EVENT,
        STATEMENT_FIND_REMOVAL,
        STATEMENT_TRIM_EVENTS,
        STATEMENT_RESERVE_JOBS,
        STATEMENT_PUT_SESSION,
        STATEMENT_DELETE_SESSION,
        STATEMENT_DELETE_SESSIONS,
        STATEMENT_LOAD_SESSIONS,
        N_STATEMENTS,
} Statement;

struct Flush;

struct Store {
        sqlite3 *db;
        sd_event *event; /* NULL in tests */
        char *directory; /* NULL: in memory */
        sqlite3_stmt *statements[N_STATEMENTS];
        bool in_transaction;
        guint64 event_seq, seq_at_begin, session_seq;
        unsigned n_runs_since_trim;
        guint8 log_id[16];
        StoreLimits limits;
        gint64 wal_tried; /* size of the WAL when a checkpoint was last asked for */
        struct Flush *flush; /* flush.c */
};

/* store.c */
/* The prepared statement, reset and without bindings; NULL with *error. */
sqlite3_stmt *store_statement(Store *store, Statement statement, const char *sql, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Runs a statement that returns no row. */
bool store_step_done(Store *store, sqlite3_stmt *statement, const char *what, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool store_fail(Store *store, const char *what, GError **error); /* from sqlite3_errcode; returns false */
bool store_exec(Store *store, const char *sql, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool store_corrupt(GError **error, const char *what, const char *value); /* returns false */

void store_bind_text(sqlite3_stmt *statement, int column, const char *text);
void store_bind_int(sqlite3_stmt *statement, int column, guint64 value);
const char *store_column_text(sqlite3_stmt *statement, int column); /* never NULL */
guint64 store_column_int(sqlite3_stmt *statement, int column);
void store_column_bytes(sqlite3_stmt *statement, int column, guint8 *to, gsize size);

/* flush.c */
void flush_free(struct Flush *flush);
