/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cursors and their texts. */

#include "stream/log-cursor.h"
#include <string.h>

char *log_cursor_to_string(const LogCursor *cursor) {
        return g_strdup_printf("%" G_GINT64_MODIFIER "x:%" G_GINT64_MODIFIER "x%s%s", cursor->number, cursor->offset, *cursor->origin ? ":" : "", cursor->origin);
}

static bool is_origin(const char *text) {
        return *text && strlen(text) < sizeof ((LogCursor *) NULL)->origin && strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz") == strlen(text);
}

bool log_cursor_parse(const char *text, LogCursor *ret, GError **error) {
        g_auto(GStrv) parts = g_strsplit(text, ":", 4);
        guint n = g_strv_length(parts);
        LogCursor cursor = {0};

        if ((n != 2 && (n != 3 || !is_origin(parts[2]))) || !g_ascii_string_to_unsigned(parts[0], 16, 0, G_MAXINT64, &cursor.number, NULL) ||
            !g_ascii_string_to_unsigned(parts[1], 16, 0, G_MAXINT64, &cursor.offset, NULL))
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "\"%s\" is no position in a log; it takes the cursor of an answer or of a run", text);
        if (n == 3)
                g_strlcpy(cursor.origin, parts[2], sizeof cursor.origin);
        *ret = cursor;
        return true;
}

static int compare(guint64 a, guint64 b) {
        return a < b ? -1 : a > b;
}

int log_cursor_compare(const LogCursor *a, const LogCursor *b) {
        if (g_str_equal(a->origin, b->origin) && a->number != b->number)
                return compare(a->number, b->number);
        return compare(a->offset, b->offset);
}

char *log_position_to_string(const LogPosition *position) {
        g_autofree char *first = log_cursor_to_string(&position->of[STREAM_STDOUT]), *second = log_cursor_to_string(&position->of[STREAM_STDERR]);

        return g_str_equal(first, second) ? g_steal_pointer(&first) : g_strconcat(first, ",", second, NULL);
}

bool log_position_parse(const char *text, LogPosition *ret, GError **error) {
        g_auto(GStrv) parts = g_strsplit(text, ",", 2);
        LogPosition position = {0};

        if (!parts[0] || !log_cursor_parse(parts[0], &position.of[STREAM_STDOUT], error) || !log_cursor_parse(parts[1] ? parts[1] : parts[0], &position.of[STREAM_STDERR], error))
                return parts[0] ? false : error_set(error, CONBUS_ERROR_INVALID_ARGS, "an empty text is no position in a log");
        *ret = position;
        return true;
}

LogPosition log_position_at(const LogCursor *cursor) {
        LogPosition position = {0};

        position.of[STREAM_STDOUT] = position.of[STREAM_STDERR] = *cursor;
        return position;
}

const LogCursor *log_position_first(const LogPosition *position) {
        const LogCursor *out = &position->of[STREAM_STDOUT], *err = &position->of[STREAM_STDERR];

        return log_cursor_compare(err, out) < 0 ? err : out;
}
