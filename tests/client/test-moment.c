/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* client/moment.c: points in time, seen from a Thursday noon in UTC and elsewhere. */

#include "moment.h"
#include <stdlib.h>
#include <time.h>

#define NOW 1795694400000000 /* 2026-11-26T12:00:00Z */

static void test_times(void) {
        static const struct {
                const char *text;
                gint64 from_now; /* usec */
        } cases[] = {
                {"now", 0}, {"@1795694400", 0}, {"@1795694399.5", -500000}, {"-5min", -300 * G_TIME_SPAN_SECOND}, {"+1h", G_TIME_SPAN_HOUR}, {"5 min ago", -300 * G_TIME_SPAN_SECOND}, {"10m", -600 * G_TIME_SPAN_SECOND},
                {"1h30min", -90 * G_TIME_SPAN_MINUTE}, {"1 h 30 min ago", -90 * G_TIME_SPAN_MINUTE}, {"-1.5s", -1500000}, {"90", -90 * G_TIME_SPAN_SECOND}, {"2w", -14 * G_TIME_SPAN_DAY}, {"3 days ago", -3 * G_TIME_SPAN_DAY},
                {"today", -12 * G_TIME_SPAN_HOUR}, {"yesterday", -36 * G_TIME_SPAN_HOUR}, {"tomorrow", 12 * G_TIME_SPAN_HOUR}, {"2026-11-26", -12 * G_TIME_SPAN_HOUR}, {"12:00", 0}, {"11:59:30", -30 * G_TIME_SPAN_SECOND},
                {"2026-11-26 12:00", 0}, {"2026-11-26 12:00:00.000001", 1}, {"2026-11-26T12:00:00Z", 0}, {"2026-11-26T13:00:00+01:00", 0}, {"-100000w", -NOW},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                guint64 usec = 0;
                g_test_message("%s", cases[i].text);
                g_assert_true(moment_parse(cases[i].text, NOW, &usec));
                g_assert_cmpint((gint64) usec - NOW, ==, cases[i].from_now);
        }
}

static void test_what_is_no_time(void) {
        const char *const wrong[] = {"", " ", "soon", "5 parsecs", "-", "+", "@", "@x", "5min ago ago", "-5x", "12:61", "25:00", "2026-13-01", "2026-11-26 ", "2026-11-26x12", "1e5s", "nan", "0x10", "ago"};

        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                guint64 usec;
                g_test_message("%s", wrong[i]);
                g_assert_false(moment_parse(wrong[i], NOW, &usec));
        }
}

/* Where daylight saving time ended on this night the day had 25 hours. */
static void test_local_days(void) {
        guint64 today = 0, yesterday = 0;

        g_setenv("TZ", "Europe/Berlin", TRUE);
        tzset();
        g_assert_true(moment_parse("2026-10-25", NOW, &yesterday));
        g_assert_true(moment_parse("2026-10-26", NOW, &today));
        if (today - yesterday != 24 * G_TIME_SPAN_HOUR) /* else there are no time zones here */
                g_assert_cmpuint(today - yesterday, ==, 25 * G_TIME_SPAN_HOUR);
}

int main(int argc, char *argv[]) {
        g_setenv("TZ", "UTC", TRUE);
        tzset();
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/moment/times", test_times);
        g_test_add_func("/moment/what-is-no-time", test_what_is_no_time);
        g_test_add_func("/moment/local-days", test_local_days);
        return g_test_run();
}
