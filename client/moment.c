/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* systemd.time(7), as far as logs need it. */

#include "moment.h"
#include <string.h>

static const struct {
        const char *name;
        gint64 usec;
} units[] = {
        {"us", 1}, {"usec", 1}, {"ms", 1000}, {"msec", 1000}, {"s", G_USEC_PER_SEC}, {"sec", G_USEC_PER_SEC}, {"second", G_USEC_PER_SEC}, {"seconds", G_USEC_PER_SEC}, {"m", 60 * G_USEC_PER_SEC},
        {"min", 60 * G_USEC_PER_SEC}, {"minute", 60 * G_USEC_PER_SEC}, {"minutes", 60 * G_USEC_PER_SEC}, {"h", G_TIME_SPAN_HOUR}, {"hr", G_TIME_SPAN_HOUR}, {"hour", G_TIME_SPAN_HOUR}, {"hours", G_TIME_SPAN_HOUR},
        {"d", G_TIME_SPAN_DAY}, {"day", G_TIME_SPAN_DAY}, {"days", G_TIME_SPAN_DAY}, {"w", 7 * G_TIME_SPAN_DAY}, {"week", 7 * G_TIME_SPAN_DAY}, {"weeks", 7 * G_TIME_SPAN_DAY},
};

static bool unit_usec(const char *word, size_t size, gint64 *ret) {
        for (size_t i = 0; i < G_N_ELEMENTS(units); i++)
                if (strlen(units[i].name) == size && strncmp(units[i].name, word, size) == 0) {
                        *ret = units[i].usec;
                        return true;
                }
        return false;
}

/* "1h30min", "1 h 30 min", "5s"; a number without a unit is seconds. */
static bool parse_span(const char *text, gint64 *ret) {
        gint64 sum = 0, unit;
        bool any = false;

        while (*(text += strspn(text, " "))) {
                char *end;
                double number = g_ascii_strtod(text, &end);
                if (end == text || strspn(text, "0123456789.") < (size_t) (end - text) || number > 1e11)
                        return false;
                text = end + strspn(end, " ");
                size_t size = strcspn(text, " 0123456789");
                if (size == 0)
                        unit = G_USEC_PER_SEC;
                else if (!unit_usec(text, size, &unit))
                        return false;
                sum += (gint64) (number * (double) unit);
                text += size;
                any = true;
        }
        *ret = sum;
        return any;
}

static bool from_now(guint64 now_usec, gint64 span, guint64 *ret) {
        gint64 time = (gint64) now_usec + span;

        *ret = time < 0 ? 0 : (guint64) time;
        return true;
}

static bool parse_relative(const char *text, guint64 now_usec, guint64 *ret) {
        gint64 span;

        if (*text == '+' || *text == '-')
                return parse_span(text + 1, &span) && from_now(now_usec, *text == '-' ? -span : span, ret);
        if (g_str_has_suffix(text, " ago")) {
                g_autofree char *before = g_strndup(text, strlen(text) - strlen(" ago"));
                return parse_span(before, &span) && from_now(now_usec, -span, ret);
        }
        return parse_span(text, &span) && from_now(now_usec, -span, ret);
}

/* Midnight, so many days from today. */
static bool day(guint64 now_usec, int days, guint64 *ret) {
        g_autoptr(GDateTime) now = g_date_time_new_from_unix_local((gint64) (now_usec / G_USEC_PER_SEC));
        g_autoptr(GDateTime) moved = now ? g_date_time_add_days(now, days) : NULL;
        g_autoptr(GDateTime) midnight = moved ? g_date_time_new_local(g_date_time_get_year(moved), g_date_time_get_month(moved), g_date_time_get_day_of_month(moved), 0, 0, 0) : NULL;

        if (midnight)
                *ret = (guint64) g_date_time_to_unix(midnight) * G_USEC_PER_SEC;
        return midnight != NULL;
}

/* As GLib reads ISO 8601, with what is missing. */
static char *complete(const char *text, guint64 now_usec) {
        g_autoptr(GDateTime) now = g_date_time_new_from_unix_local((gint64) (now_usec / G_USEC_PER_SEC));
        g_autofree char *today = now ? g_date_time_format(now, "%Y-%m-%d") : g_strdup("");
        bool has_date = strlen(text) >= 10 && text[4] == '-' && text[7] == '-';
        g_autofree char *date = has_date ? g_strndup(text, 10) : g_steal_pointer(&today);
        const char *clock = !has_date ? text : text[10] ? text + 11 : "00:00";

        return g_strconcat(date, "T", clock, strlen(clock) == strlen("12:34") ? ":00" : "", NULL);
}

static bool parse_calendar(const char *text, guint64 now_usec, guint64 *ret) {
        g_autoptr(GTimeZone) here = g_time_zone_new_local();
        g_autofree char *whole = complete(text, now_usec);
        g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(whole, here);

        return time && from_now(0, g_date_time_to_unix(time) * G_USEC_PER_SEC + g_date_time_get_microsecond(time), ret);
}

bool moment_parse(const char *text, guint64 now_usec, guint64 *ret) {
        static const struct {
                const char *name;
                int days;
        } days[] = {{"today", 0}, {"yesterday", -1}, {"tomorrow", 1}};
        gint64 seconds;

        if (g_str_equal(text, "now"))
                return from_now(now_usec, 0, ret);
        for (size_t i = 0; i < G_N_ELEMENTS(days); i++)
                if (g_str_equal(days[i].name, text))
                        return day(now_usec, days[i].days, ret);
        if (*text == '@')
                return parse_span(text + 1, &seconds) && from_now(0, seconds, ret);
        return parse_relative(text, now_usec, ret) || parse_calendar(text, now_usec, ret);
}
