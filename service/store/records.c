/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of runs, which outlive their containers. */

#include "store/internal.h"
#include "base/clock.h"
#include "model/config.h"

#define RUN_COLUMNS "container, number, invocation, pid, start_usec, finish_usec, exit_code, exit_signal, result, reason, oom_kills, restarts, health, actor, log_cursor, name"
#define TRIM_EACH 256 /* records between two trims */

bool store_put_run(Store *store, const Run *run, GError **error) {
        sqlite3_stmt *s = store_statement(store, STATEMENT_PUT_RUN, "INSERT OR REPLACE INTO run (" RUN_COLUMNS ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", error);
        g_autofree char *actor = run->actor ? config_to_text(run->actor) : g_strdup("");

        if (!s)
                return false;
        store_bind_text(s, 1, run->container);
        store_bind_int(s, 2, run->number);
        sqlite3_bind_blob(s, 3, run->invocation, INVOCATION_SIZE, SQLITE_TRANSIENT);
        sqlite3_bind_int(s, 4, run->pid);
        store_bind_int(s, 5, run->start_usec);
        store_bind_int(s, 6, run->finish_usec);
        sqlite3_bind_int(s, 7, run->exit_code);
        sqlite3_bind_int(s, 8, run->exit_signal);
        store_bind_text(s, 9, result_to_string(run->result));
        store_bind_text(s, 10, reason_to_string(run->reason));
        store_bind_int(s, 11, run->oom_kills);
        store_bind_int(s, 12, run->restarts);
        store_bind_text(s, 13, run->health);
        store_bind_text(s, 14, actor);
        store_bind_text(s, 15, run->log_cursor);
        store_bind_text(s, 16, run->name);
        if (!store_step_done(store, s, "write the record of a run", error))
                return false;
        if (++store->n_runs_since_trim < TRIM_EACH)
                return true;
        return store_trim(store, error);
}

static Run *read_run(sqlite3_stmt *s, GError **error) {
        g_autoptr(Run) run = run_new(store_column_text(s, 0), store_column_int(s, 1));

        store_column_bytes(s, 2, run->invocation, INVOCATION_SIZE);
        run->pid = sqlite3_column_int(s, 3);
        run->start_usec = store_column_int(s, 4);
        run->finish_usec = store_column_int(s, 5);
        run->exit_code = sqlite3_column_int(s, 6);
        run->exit_signal = sqlite3_column_int(s, 7);
        if (!result_from_string(store_column_text(s, 8), &run->result)) {
                store_corrupt(error, "result", store_column_text(s, 8));
                return NULL;
        }
        if (!reason_from_string(store_column_text(s, 9), &run->reason)) {
                store_corrupt(error, "reason", store_column_text(s, 9));
                return NULL;
        }
        run->oom_kills = store_column_int(s, 10);
        run->restarts = (guint32) store_column_int(s, 11);
        life_set_string(&run->health, store_column_text(s, 12));
        if (*store_column_text(s, 13)) {
                run->actor = config_from_text(store_column_text(s, 13), error);
                if (!run->actor)
                        return NULL;
        }
        life_set_string(&run->log_cursor, store_column_text(s, 14));
        life_set_string(&run->name, store_column_text(s, 15));
        return g_steal_pointer(&run);
}

/* One row or none. */
static bool step_run(Store *store, sqlite3_stmt *s, Run **ret, GError **error) {
        int r = sqlite3_step(s);
        g_autoptr(Run) run = r == SQLITE_ROW ? read_run(s, error) : NULL;

        if (r != SQLITE_ROW && r != SQLITE_DONE)
                store_fail(store, "read a record", error);
        sqlite3_reset(s);
        if ((r == SQLITE_ROW && !run) || (r != SQLITE_ROW && r != SQLITE_DONE))
                return false;
        *ret = g_steal_pointer(&run);
        return true;
}

bool store_get_run(Store *store, const char *container, guint64 number, Run **ret, GError **error) {
        sqlite3_stmt *s = number == 0 ? store_statement(store, STATEMENT_GET_LATEST_RUN, "SELECT " RUN_COLUMNS " FROM run WHERE container = ? ORDER BY number DESC LIMIT 1", error)
                                      : store_statement(store, STATEMENT_GET_RUN, "SELECT " RUN_COLUMNS " FROM run WHERE container = ? AND number = ?", error);

        if (!s)
                return false;
        store_bind_text(s, 1, container);
        if (number != 0)
                store_bind_int(s, 2, number);
        return step_run(store, s, ret, error);
}

bool store_get_run_after(Store *store, const char *container, guint64 after, Run **ret, GError **error) {
        sqlite3_stmt *s = store_statement(store, STATEMENT_GET_RUN_AFTER, "SELECT " RUN_COLUMNS " FROM run WHERE container = ? AND number > ? AND result <> '' ORDER BY number LIMIT 1", error);

        if (!s)
                return false;
        store_bind_text(s, 1, container);
        store_bind_int(s, 2, MIN(after, (guint64) INT64_MAX));
        return step_run(store, s, ret, error);
}

bool store_find_invocation(Store *store, const guint8 *invocation, Run **ret, GError **error) {
        sqlite3_stmt *s = store_statement(store, STATEMENT_FIND_INVOCATION, "SELECT " RUN_COLUMNS " FROM run WHERE invocation = ?", error);

        if (!s)
                return false;
        sqlite3_bind_blob(s, 1, invocation, INVOCATION_SIZE, SQLITE_TRANSIENT);
        return step_run(store, s, ret, error);
}

GPtrArray *store_list_runs(Store *store, const char *container, guint32 limit, GError **error) {
        g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify) run_free);
        sqlite3_stmt *s = store_statement(store, STATEMENT_LIST_RUNS, "SELECT " RUN_COLUMNS " FROM run WHERE container = ? ORDER BY number DESC LIMIT ?", error);
        int r;

        if (!s)
                return NULL;
        store_bind_text(s, 1, container);
        store_bind_int(s, 2, limit);
        while ((r = sqlite3_step(s)) == SQLITE_ROW) {
                Run *run = read_run(s, error);
                if (!run) {
                        sqlite3_reset(s);
                        return NULL;
                }
                g_ptr_array_add(list, run);
        }
        if (r != SQLITE_DONE)
                store_fail(store, "read the records", error);
        sqlite3_reset(s);
        return r == SQLITE_DONE ? g_steal_pointer(&list) : NULL;
}

static guint64 usec_ago(guint64 usec) {
        guint64 now = clock_realtime_usec();

        return now > usec ? now - usec : 0;
}

/* What is older than the age and beyond the latest count goes; open runs and the last run of a container that still exists stay. */
bool store_trim(Store *store, GError **error) {
        sqlite3_stmt *runs = store_statement(store, STATEMENT_TRIM_RUNS,
                                             "DELETE FROM run WHERE finish_usec > 0 AND finish_usec < ?1 AND finish_usec < (SELECT finish_usec FROM run ORDER BY finish_usec DESC LIMIT 1 OFFSET ?2) "
                                             "AND NOT EXISTS (SELECT 1 FROM life WHERE life.id = run.container AND life.run = run.number)",
                                             error);
        store->n_runs_since_trim = 0;
        if (!runs)
                return false;
        store_bind_int(runs, 1, usec_ago(store->limits.runs_usec));
        store_bind_int(runs, 2, MIN(MAX(store->limits.runs_count, 1) - 1, (guint64) INT64_MAX));
        if (!store_step_done(store, runs, "trim the records", error))
                return false;
        sqlite3_stmt *events = store_statement(store, STATEMENT_TRIM_EVENTS, "DELETE FROM event WHERE usec < ?1 AND seq <= ?2", error);
        if (!events)
                return false;
        store_bind_int(events, 1, usec_ago(store->limits.events_usec));
        store_bind_int(events, 2, store->event_seq > store->limits.events_count ? store->event_seq - store->limits.events_count : 0);
        return store_step_done(store, events, "trim the events", error);
}
