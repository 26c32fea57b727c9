/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Exec sessions as rows. A number is given once and never again, since it is in an object path. */

#include "store/internal.h"
#include "model/config.h"

#define COLUMNS "container, owner_uid, client, created_usec, user, request, state, launching, run, monitor_pid, monitor_start, main_pid, main_start, start_usec, finish_usec, exit_code, exit_signal"

static void bind(sqlite3_stmt *s, const StoredSession *row, const char *request) {
        const SessionLife *life = &row->life;

        store_bind_text(s, 1, row->container);
        store_bind_int(s, 2, row->owner_uid);
        store_bind_text(s, 3, row->client);
        store_bind_int(s, 4, row->created_usec);
        store_bind_text(s, 5, row->user);
        store_bind_text(s, 6, request);
        store_bind_text(s, 7, session_state_to_string(life->state));
        sqlite3_bind_int(s, 8, life->launching);
        store_bind_int(s, 9, life->run);
        sqlite3_bind_int(s, 10, life->monitor.pid);
        store_bind_int(s, 11, life->monitor.start_time);
        sqlite3_bind_int(s, 12, life->main.pid);
        store_bind_int(s, 13, life->main.start_time);
        store_bind_int(s, 14, life->start_usec);
        store_bind_int(s, 15, life->finish_usec);
        sqlite3_bind_int(s, 16, life->exit_code);
        sqlite3_bind_int(s, 17, life->exit_signal);
        store_bind_int(s, 18, row->number);
}

guint64 store_new_session_number(Store *store) {
        return ++store->session_seq;
}

bool store_put_session(Store *store, const StoredSession *row, GError **error) {
        sqlite3_stmt *s = store_statement(store, STATEMENT_PUT_SESSION, "INSERT OR REPLACE INTO session (" COLUMNS ", number) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", error);
        g_autofree char *request = config_to_text(row->request);

        if (!s)
                return false;
        bind(s, row, request);
        return store_step_done(store, s, "write an exec session", error);
}

bool store_delete_session(Store *store, guint64 number, GError **error) {
        sqlite3_stmt *s = store_statement(store, STATEMENT_DELETE_SESSION, "DELETE FROM session WHERE number = ?", error);

        if (!s)
                return false;
        store_bind_int(s, 1, number);
        return store_step_done(store, s, "delete an exec session", error);
}

static bool load_row(sqlite3_stmt *s, SessionLoaded loaded, void *userdata, GError **error) {
        StoredSession row = {.container = store_column_text(s, 0), .owner_uid = (guint32) store_column_int(s, 1), .client = store_column_text(s, 2), .created_usec = store_column_int(s, 3), .user = store_column_text(s, 4)};
        g_autoptr(GVariant) request = config_from_text(store_column_text(s, 5), error);
        SessionLife *life = &row.life;

        row.number = store_column_int(s, 17);
        row.request = request;
        if (!request || (!session_state_from_string(store_column_text(s, 6), &life->state) && !store_corrupt(error, "state", store_column_text(s, 6)))) {
                g_prefix_error(error, "exec session %" G_GUINT64_FORMAT ": ", row.number);
                return false;
        }
        life->launching = sqlite3_column_int(s, 7);
        life->run = store_column_int(s, 8);
        life->monitor = (StoredProcess) {.pid = sqlite3_column_int(s, 9), .start_time = store_column_int(s, 10)};
        life->main = (StoredProcess) {.pid = sqlite3_column_int(s, 11), .start_time = store_column_int(s, 12)};
        life->start_usec = store_column_int(s, 13);
        life->finish_usec = store_column_int(s, 14);
        life->exit_code = sqlite3_column_int(s, 15);
        life->exit_signal = sqlite3_column_int(s, 16);
        loaded(&row, userdata);
        return true;
}

bool store_load_sessions(Store *store, SessionLoaded loaded, void *userdata, GError **error) {
        sqlite3_stmt *s = store_statement(store, STATEMENT_LOAD_SESSIONS, "SELECT " COLUMNS ", number FROM session ORDER BY number", error);
        bool good = s != NULL;
        int r = SQLITE_DONE;

        while (good && (r = sqlite3_step(s)) == SQLITE_ROW)
                good = load_row(s, loaded, userdata, error);
        if (good && r != SQLITE_DONE)
                good = store_fail(store, "read the exec sessions", error);
        if (s)
                sqlite3_reset(s);
        return good;
}
