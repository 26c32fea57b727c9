/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The log of events: numbered without gaps, bounded, readable from any number on. */

#include "store/internal.h"
#include "base/clock.h"
#include "model/config.h"

#define TRIM_EACH 256 /* events between two trims, also of the records, of which each comes with some */

bool store_append_event(Store *store, Event *event, GError **error) {
        sqlite3_stmt *s = store_statement(store, STATEMENT_APPEND_EVENT, "INSERT INTO event (seq, usec, type, action, object, id, details) VALUES (?,?,?,?,?,?,?)", error);
        g_autofree char *details = config_to_text(event->details);

        if (!s)
                return false;
        if (event->usec == 0)
                event->usec = clock_realtime_usec();
        store_bind_int(s, 1, store->event_seq + 1);
        store_bind_int(s, 2, event->usec);
        store_bind_text(s, 3, event->type);
        store_bind_text(s, 4, event->action);
        store_bind_text(s, 5, event->object);
        store_bind_text(s, 6, event->id);
        store_bind_text(s, 7, details);
        if (!store_step_done(store, s, "write an event", error))
                return false;
        event->seq = ++store->event_seq;
        /* Counted by what is stored: a service that leaves whenever nothing runs would never come so far by itself. */
        return store->event_seq % TRIM_EACH != 0 || store_trim(store, error);
}

static Event *read_event(sqlite3_stmt *s, GError **error) {
        g_autoptr(GVariant) details = config_from_text(store_column_text(s, 6), error);

        if (!details)
                return NULL;
        Event *event = event_new(store_column_text(s, 2), store_column_text(s, 3), store_column_text(s, 4), store_column_text(s, 5), details);
        event->seq = store_column_int(s, 0);
        event->usec = store_column_int(s, 1);
        return event;
}

static bool first_seq(Store *store, guint64 *ret, GError **error) {
        sqlite3_stmt *s = store_statement(store, STATEMENT_FIRST_EVENT, "SELECT min(seq) FROM event", error);

        if (!s)
                return false;
        if (sqlite3_step(s) != SQLITE_ROW)
                return store_fail(store, "read the events", error);
        *ret = sqlite3_column_type(s, 0) == SQLITE_NULL ? store->event_seq + 1 : store_column_int(s, 0);
        sqlite3_reset(s);
        return true;
}

bool store_knows_removal(Store *store, const char *container) {
        g_autoptr(GError) error = NULL;
        sqlite3_stmt *s = store_statement(store, STATEMENT_FIND_REMOVAL, "SELECT 1 FROM event WHERE id = ? AND action = 'remove' LIMIT 1", &error);

        if (!s)
                return false;
        store_bind_text(s, 1, container);
        bool found = sqlite3_step(s) == SQLITE_ROW;
        sqlite3_reset(s);
        return found;
}

static bool type_is_wanted(const char *const *types, const char *type) {
        return !types || !types[0] || g_strv_contains(types, type);
}

GPtrArray *store_list_events(Store *store, guint64 after, guint32 limit, guint64 until_usec, const char *const *types, bool *ret_gap, GError **error) {
        g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify) event_free);
        guint64 first = 0;
        int r = SQLITE_DONE;

        if (!first_seq(store, &first, error))
                return NULL;
        sqlite3_stmt *s = store_statement(store, STATEMENT_LIST_EVENTS, "SELECT seq, usec, type, action, object, id, details FROM event WHERE seq > ? AND usec <= ? ORDER BY seq", error);
        if (!s)
                return NULL;
        store_bind_int(s, 1, MIN(after, (guint64) INT64_MAX));
        store_bind_int(s, 2, MIN(until_usec, (guint64) INT64_MAX));
        while (list->len < limit && (r = sqlite3_step(s)) == SQLITE_ROW) {
                if (!type_is_wanted(types, store_column_text(s, 2)))
                        continue;
                Event *event = read_event(s, error);
                if (!event) {
                        sqlite3_reset(s);
                        return NULL;
                }
                g_ptr_array_add(list, event);
        }
        if (r != SQLITE_ROW && r != SQLITE_DONE) {
                store_fail(store, "read the events", error);
                sqlite3_reset(s);
                return NULL;
        }
        sqlite3_reset(s);
        *ret_gap = after < first - 1; /* first is at least 1 */
        return g_steal_pointer(&list);
}

guint64 store_get_event_seq(Store *store) {
        return store->event_seq;
}

const guint8 *store_get_event_log_id(Store *store) {
        return store->log_id;
}
