/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/stream/log-filter.c: which records are seen. */

#include "stream/log-filter.h"

#define BOTH (STREAM_MASK(STREAM_STDOUT) | STREAM_MASK(STREAM_STDERR))

static bool takes(LogFilter *filter, guint8 stream, bool partial, guint64 usec) {
        const LogCursor after = {1, usec, ""};
        const LogRecord record = {.stream = stream, .partial = partial};

        return log_filter_takes(filter, &record, usec, &after);
}

static void test_streams(void) {
        LogFilter filter = {.streams = STREAM_MASK(STREAM_STDERR), .until_usec = UINT64_MAX};

        g_assert_false(takes(&filter, STREAM_STDOUT, false, 1));
        g_assert_true(takes(&filter, STREAM_STDERR, false, 1));
        g_assert_false(log_filter_has_times(&filter));
}

/* since is part of it, until is not: two readers that share a border see everything once. */
static void test_borders(void) {
        LogFilter before = {.streams = BOTH, .until_usec = 10}, after = {.streams = BOTH, .since_usec = 10, .until_usec = UINT64_MAX};

        for (guint64 usec = 9; usec <= 11; usec++)
                g_assert_true(takes(&before, STREAM_STDOUT, false, usec) != takes(&after, STREAM_STDOUT, false, usec));
        g_assert_true(takes(&after, STREAM_STDOUT, false, 10));
}

static void test_a_line_is_not_torn(void) {
        LogFilter filter = {.streams = BOTH, .since_usec = 10, .until_usec = 20};

        g_assert_false(takes(&filter, STREAM_STDOUT, true, 9));
        g_assert_true(takes(&filter, STREAM_STDERR, true, 11));
        g_assert_false(takes(&filter, STREAM_STDOUT, false, 12)); /* the rest of the line that began before */
        g_assert_true(takes(&filter, STREAM_STDOUT, true, 13));
        g_assert_true(takes(&filter, STREAM_STDOUT, false, 25)); /* the rest of one that began within */
        g_assert_true(takes(&filter, STREAM_STDERR, true, 26));
        log_filter_begin_run(&filter);
        g_assert_false(takes(&filter, STREAM_STDERR, false, 27));
}

static void test_each_stream_has_its_place(void) {
        LogFilter filter = {.streams = BOTH, .until_usec = UINT64_MAX, .from = {.of = {{0}, {1, 10, ""}, {1, 5, ""}}}};

        g_assert_false(takes(&filter, STREAM_STDOUT, false, 10));
        g_assert_true(takes(&filter, STREAM_STDERR, false, 10));
        g_assert_true(takes(&filter, STREAM_STDOUT, false, 11));
        g_assert_false(takes(&filter, STREAM_STDERR, false, 5));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/log-filter/streams", test_streams);
        g_test_add_func("/log-filter/borders", test_borders);
        g_test_add_func("/log-filter/a-line-is-not-torn", test_a_line_is_not_torn);
        g_test_add_func("/log-filter/each-stream-has-its-place", test_each_stream_has_its_place);
        return g_test_run();
}
