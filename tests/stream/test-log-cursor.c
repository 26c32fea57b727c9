/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/stream/log-cursor.c: texts and order of places in a log. */

#include "stream/log-cursor.h"

static void test_cursor_text(void) {
        const LogCursor cursors[] = {{0x1234abcd, 77, ""}, {0, 0, ""}, {5, 1795657599007354, "0123456789abcdef0123456789abcdef"}, {0, 99, "time"}};
        const char *const wrong[] = {"", ":", "1", "1:", ":1", "1:2:", "1:2:3:4", "x:1", "-1:1", "1:-1", "1:8000000000000000", "11111111111111111:1", "1:2:A", "1:2:0123456789abcdef0123456789abcdef0", "1:2;3"};

        for (size_t i = 0; i < G_N_ELEMENTS(cursors); i++) {
                g_autofree char *text = log_cursor_to_string(&cursors[i]);
                LogCursor back;
                g_assert_true(log_cursor_parse(text, &back, NULL));
                g_assert_cmpint(log_cursor_compare(&back, &cursors[i]), ==, 0);
                g_assert_cmpstr(back.origin, ==, cursors[i].origin);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                g_autoptr(GError) error = NULL;
                LogCursor back;
                g_assert_false(log_cursor_parse(wrong[i], &back, &error));
                g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INVALID_ARGS);
        }
}

static void test_order(void) {
        const LogCursor first = {1, 900, ""}, second = {2, 0, ""}, third = {2, 1, ""};
        const LogCursor early = {50, 1000, "aa"}, late = {60, 900, "aa"}, other = {1, 1001, "bb"}, time = {0, 950, "time"};

        g_assert_cmpint(log_cursor_compare(&first, &second), <, 0);
        g_assert_cmpint(log_cursor_compare(&third, &second), >, 0);
        g_assert_cmpint(log_cursor_compare(&third, &third), ==, 0);
        /* One sequence is in order whatever the clock did; two are compared by time. */
        g_assert_cmpint(log_cursor_compare(&early, &late), <, 0);
        g_assert_cmpint(log_cursor_compare(&early, &other), <, 0);
        g_assert_cmpint(log_cursor_compare(&time, &early), <, 0);
        g_assert_cmpint(log_cursor_compare(&time, &late), >, 0);
}

static void test_positions(void) {
        const LogCursor a = {1, 5, ""}, b = {2, 0, ""};
        LogPosition same = log_position_at(&a), differing = {.of = {{0}, b, a}}, back;
        const char *const wrong[] = {"", ",", "1:5,", ",1:5", "1:5,1:5,1:5", "1:5 "};

        g_autofree char *one = log_position_to_string(&same), *two = log_position_to_string(&differing);
        g_assert_cmpstr(one, ==, "1:5");
        g_assert_cmpstr(two, ==, "2:0,1:5");
        g_assert_true(log_position_parse(one, &back, NULL));
        g_assert_cmpint(log_cursor_compare(&back.of[STREAM_STDERR], &a), ==, 0);
        g_assert_true(log_position_parse(two, &back, NULL));
        g_assert_cmpint(log_cursor_compare(log_position_first(&back), &a), ==, 0);
        g_assert_cmpint(log_cursor_compare(&back.of[STREAM_STDOUT], &b), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                g_autoptr(GError) error = NULL;
                g_assert_false(log_position_parse(wrong[i], &back, &error));
                g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INVALID_ARGS);
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/log-cursor/text", test_cursor_text);
        g_test_add_func("/log-cursor/order", test_order);
        g_test_add_func("/log-cursor/positions", test_positions);
        return g_test_run();
}
