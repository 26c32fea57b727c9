/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Containers and their lives as rows. */

#include "store/internal.h"
#include "model/config.h"

#define LIFE_COLUMNS                                                                                                                                                         \
        "state, reason, state_usec, transitions, run, invocation, start_usec, finish_usec, exit_code, exit_signal, result, run_open, ever_started, ready, status_text, "     \
        "health, monitor_pid, monitor_start, main_pid, main_start, supervised, cgroup, stopped_by_user, stop_deadline, restart_count, next_restart_usec, backoff_usec, "     \
        "error_name, error_message, error_usec, boot_id, mounted, remove_volumes, stop_signal, health_action, boot_due, managed_by"
#define N_LIFE_COLUMNS 37

static void bind_life(sqlite3_stmt *s, int c, const Life *life) {
        store_bind_text(s, c++, state_to_string(life->state));
        store_bind_text(s, c++, reason_to_string(life->reason));
        store_bind_int(s, c++, life->state_usec);
        store_bind_int(s, c++, life->transitions);
        store_bind_int(s, c++, life->run);
        sqlite3_bind_blob(s, c++, life->invocation, INVOCATION_SIZE, SQLITE_TRANSIENT);
        store_bind_int(s, c++, life->start_usec);
        store_bind_int(s, c++, life->finish_usec);
        sqlite3_bind_int(s, c++, life->exit_code);
        sqlite3_bind_int(s, c++, life->exit_signal);
        store_bind_text(s, c++, result_to_string(life->result));
        sqlite3_bind_int(s, c++, life->run_open);
        sqlite3_bind_int(s, c++, life->ever_started);
        sqlite3_bind_int(s, c++, life->ready);
        store_bind_text(s, c++, life->status_text);
        store_bind_text(s, c++, life->health);
        sqlite3_bind_int(s, c++, life->monitor.pid);
        store_bind_int(s, c++, life->monitor.start_time);
        sqlite3_bind_int(s, c++, life->main.pid);
        store_bind_int(s, c++, life->main.start_time);
        sqlite3_bind_int(s, c++, life->supervised);
        store_bind_text(s, c++, life->cgroup);
        sqlite3_bind_int(s, c++, life->stopped_by_user);
        store_bind_int(s, c++, life->stop_deadline);
        store_bind_int(s, c++, life->restart_count);
        store_bind_int(s, c++, life->next_restart_usec);
        store_bind_int(s, c++, life->backoff_usec);
        store_bind_text(s, c++, life->error_name);
        store_bind_text(s, c++, life->error_message);
        store_bind_int(s, c++, life->error_usec);
        store_bind_text(s, c++, life->boot_id);
        sqlite3_bind_int(s, c++, life->mounted);
        sqlite3_bind_int(s, c++, life->remove_volumes);
        sqlite3_bind_int(s, c++, life->stop_signal);
        store_bind_text(s, c++, life->health_action);
        sqlite3_bind_int(s, c++, life->boot_due);
        store_bind_text(s, c++, life->managed_by);
}

static bool read_words(sqlite3_stmt *s, int c, Life *life, GError **error) {
        if (!state_from_string(store_column_text(s, c), &life->state))
                return store_corrupt(error, "state", store_column_text(s, c));
        if (!reason_from_string(store_column_text(s, c + 1), &life->reason))
                return store_corrupt(error, "reason", store_column_text(s, c + 1));
        if (!result_from_string(store_column_text(s, c + 10), &life->result))
                return store_corrupt(error, "result", store_column_text(s, c + 10));
        return true;
}

static bool read_life(sqlite3_stmt *s, int c, Life *life, GError **error) {
        life_init(life);
        if (!read_words(s, c, life, error))
                return false;
        life->state_usec = store_column_int(s, c + 2);
        life->transitions = store_column_int(s, c + 3);
        life->run = store_column_int(s, c + 4);
        store_column_bytes(s, c + 5, life->invocation, INVOCATION_SIZE);
        life->start_usec = store_column_int(s, c + 6);
        life->finish_usec = store_column_int(s, c + 7);
        life->exit_code = sqlite3_column_int(s, c + 8);
        life->exit_signal = sqlite3_column_int(s, c + 9);
        life->run_open = sqlite3_column_int(s, c + 11);
        life->ever_started = sqlite3_column_int(s, c + 12);
        life->ready = sqlite3_column_int(s, c + 13);
        life_set_string(&life->status_text, store_column_text(s, c + 14));
        life_set_string(&life->health, store_column_text(s, c + 15));
        life->monitor.pid = sqlite3_column_int(s, c + 16);
        life->monitor.start_time = store_column_int(s, c + 17);
        life->main.pid = sqlite3_column_int(s, c + 18);
        life->main.start_time = store_column_int(s, c + 19);
        life->supervised = sqlite3_column_int(s, c + 20);
        life_set_string(&life->cgroup, store_column_text(s, c + 21));
        life->stopped_by_user = sqlite3_column_int(s, c + 22);
        life->stop_deadline = store_column_int(s, c + 23);
        life->restart_count = (guint32) store_column_int(s, c + 24);
        life->next_restart_usec = store_column_int(s, c + 25);
        life->backoff_usec = store_column_int(s, c + 26);
        life_set_string(&life->error_name, store_column_text(s, c + 27));
        life_set_string(&life->error_message, store_column_text(s, c + 28));
        life->error_usec = store_column_int(s, c + 29);
        life_set_string(&life->boot_id, store_column_text(s, c + 30));
        life->mounted = sqlite3_column_int(s, c + 31);
        life->remove_volumes = sqlite3_column_int(s, c + 32);
        life->stop_signal = sqlite3_column_int(s, c + 33);
        life->health_action = g_intern_string(store_column_text(s, c + 34));
        life->boot_due = sqlite3_column_int(s, c + 35);
        life_set_string(&life->managed_by, store_column_text(s, c + 36));
        return true;
}

bool store_put_life(Store *store, const char *id, const Life *life, GError **error) {
        sqlite3_stmt *s = store_statement(store, STATEMENT_PUT_LIFE,
                                          "INSERT OR REPLACE INTO life (id, " LIFE_COLUMNS ") VALUES "
                                          "(?, ?,?,?,?,?,?,?,?,?,?,?,?, ?,?,?,?,?,?,?,?,?,?,?,?, ?,?,?,?,?,?,?,?,?,?,?,?,?)",
                                          error);

        if (!s)
                return false;
        store_bind_text(s, 1, id);
        bind_life(s, 2, life);
        return store_step_done(store, s, "write a container's life", error);
}

bool store_put_container(Store *store, const StoredContainer *row, GError **error) {
        sqlite3_stmt *s = store_statement(store, STATEMENT_PUT_CONTAINER,
                                          "INSERT INTO container (id, name, owner_uid, created_usec, generation, bundle, config) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) "
                                          "ON CONFLICT (id) DO UPDATE SET name = ?2, generation = ?5, config = ?7",
                                          error);
        g_autofree char *config = config_to_text(row->config);

        if (!s)
                return false;
        store_bind_text(s, 1, row->id);
        store_bind_text(s, 2, row->name);
        store_bind_int(s, 3, row->owner_uid);
        store_bind_int(s, 4, row->created_usec);
        store_bind_int(s, 5, row->generation);
        store_bind_text(s, 6, row->bundle);
        store_bind_text(s, 7, config);
        return store_step_done(store, s, "write a container", error) && store_put_life(store, row->id, &row->life, error);
}

bool store_delete_container(Store *store, const char *id, GError **error) {
        sqlite3_stmt *container = store_statement(store, STATEMENT_DELETE_CONTAINER, "DELETE FROM container WHERE id = ?", error);
        if (!container)
                return false;
        store_bind_text(container, 1, id);
        if (!store_step_done(store, container, "delete a container", error))
                return false;
        sqlite3_stmt *life = store_statement(store, STATEMENT_DELETE_LIFE, "DELETE FROM life WHERE id = ?", error);
        if (!life)
                return false;
        store_bind_text(life, 1, id);
        if (!store_step_done(store, life, "delete a container's life", error))
                return false;
        sqlite3_stmt *sessions = store_statement(store, STATEMENT_DELETE_SESSIONS, "DELETE FROM session WHERE container = ?", error);
        if (!sessions)
                return false;
        store_bind_text(sessions, 1, id);
        return store_step_done(store, sessions, "delete a container's exec sessions", error);
}

static bool load_row(sqlite3_stmt *s, StoreLoaded loaded, void *userdata, GError **error) {
        StoredContainer row = {
                .id = store_column_text(s, 0),
                .name = store_column_text(s, 1),
                .owner_uid = (guint32) store_column_int(s, 2),
                .created_usec = store_column_int(s, 3),
                .generation = store_column_int(s, 4),
                .bundle = store_column_text(s, 5),
        };
        g_autoptr(GVariant) config = config_from_text(store_column_text(s, 6), error);

        if (!config) {
                g_prefix_error(error, "container \"%s\": ", row.name);
                return false;
        }
        row.config = config;
        bool read = read_life(s, 7, &row.life, error);
        if (read)
                loaded(&row, userdata);
        life_clear(&row.life);
        return read;
}

bool store_reserve_job_numbers(Store *store, guint64 n, guint64 *ret, GError **error) {
        sqlite3_stmt *statement =
                store_statement(store, STATEMENT_RESERVE_JOBS, "INSERT INTO meta VALUES ('job-numbers', ?1) ON CONFLICT DO UPDATE SET value = value + ?1 RETURNING value - ?1", error);

        if (!statement)
                return false;
        store_bind_int(statement, 1, n);
        if (sqlite3_step(statement) != SQLITE_ROW)
                return store_fail(store, "reserve numbers for jobs", error);
        guint64 last = store_column_int(statement, 0);
        if (!store_step_done(store, statement, "reserve numbers for jobs", error))
                return false;
        *ret = last;
        return true;
}

bool store_load(Store *store, StoreLoaded loaded, void *userdata, GError **error) {
        sqlite3_stmt *s = store_statement(store, STATEMENT_LOAD,
                                          "SELECT container.id, name, owner_uid, created_usec, generation, bundle, config, " LIFE_COLUMNS
                                          " FROM container JOIN life ON life.id = container.id ORDER BY created_usec, container.rowid",
                                          error);
        int r;

        if (!s)
                return false;
        while ((r = sqlite3_step(s)) == SQLITE_ROW)
                if (!load_row(s, loaded, userdata, error)) {
                        sqlite3_reset(s);
                        return false;
                }
        if (r != SQLITE_DONE)
                store_fail(store, "read the containers", error);
        sqlite3_reset(s);
        return r == SQLITE_DONE;
}
