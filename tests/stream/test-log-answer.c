/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/stream/log-answer.c and log-source.c: answers within bounds, one after the other without loss or repetition. */

#include "stream/log-answer.h"
#include "log-directory.h"

#define TIME "2026-11-25T22:27:53.660170586+00:00"

static GVariant *read_log(LogDirectory *log, const char *from, gint64 tail, guint64 limit) {
        const LogPlan plan = {.id = (char *) "id", .name = (char *) "name", .path = log->path, .streams = STREAM_MASK(STREAM_STDOUT) | STREAM_MASK(STREAM_STDERR), .until_usec = UINT64_MAX, .from = (char *) from,
                              .tail = tail, .limit = limit, .format = LOG_FORMAT_ANSWER};
        g_autoptr(GError) error = NULL;
        g_autoptr(LogSource) source = log_source_open(&plan, &error);

        g_assert_no_error(error);
        return g_variant_ref_sink(log_answer_read(source, limit));
}

static char *texts_of(GVariant *answer, char **ret_cursor) {
        g_autoptr(GVariantIter) iter = NULL;
        GString *texts = g_string_new(NULL);
        const char *stream, *text;
        guint64 usec;

        g_variant_get(answer, "(a(tss)s)", &iter, ret_cursor);
        while (g_variant_iter_next(iter, "(t&s&s)", &usec, &stream, &text)) {
                g_assert_cmpuint(usec, ==, 1795645673660170);
                g_string_append_printf(texts, "%s|", text);
        }
        return g_string_free(texts, FALSE);
}

static char *expect(LogDirectory *log, const char *from, gint64 tail, guint64 limit, const char *expected) {
        g_autoptr(GVariant) answer = read_log(log, from, tail, limit);
        char *cursor = NULL;
        g_autofree char *texts = texts_of(answer, &cursor);

        g_assert_cmpstr(texts, ==, expected);
        return cursor;
}

static void test_the_last_lines_and_on(LogDirectory *log, const void *data) {
        log_append(log->path, TIME " stdout F a\n" TIME " stderr F b\n" TIME " stdout P hal\n" TIME " stderr F c\n");
        g_autofree char *first = expect(log, NULL, 2, 0, "c|hal|"); /* the unfinished line is shown, and the cursor is before it */
        g_autofree char *second = expect(log, first, -1, 10, "");
        log_append(log->path, TIME " stdout F f\n" TIME " stdout F d\n");
        g_autofree char *third = expect(log, second, -1, 1, "half|");
        g_autofree char *fourth = expect(log, third, -1, 10, "d|");
        g_autofree char *fifth = expect(log, fourth, -1, 10, "");
        g_assert_cmpstr(fourth, ==, fifth);
        g_autofree char *none = expect(log, NULL, 0, 0, "");
        g_assert_cmpstr(none, ==, fifth);
}

static void test_pages_over_a_rotation(LogDirectory *log, const void *data) {
        g_autofree char *cursor = g_strdup("0:0");

        for (unsigned i = 0; i < 30; i++) {
                g_autofree char *line = g_strdup_printf(TIME " stdout F %u\n", i), *suffix = g_strdup_printf(".%u", i / 7 + 1);
                log_append(log->path, line);
                if (i % 7 == 6) {
                        log_link(log, suffix);
                        log_replace(log, "");
                }
        }
        for (unsigned i = 0; i < 30; i += 2) {
                g_autofree char *expected = g_strdup_printf("%u|%u|", i, i + 1), *from = g_steal_pointer(&cursor);
                cursor = expect(log, from, -1, 2, expected);
        }
        g_autofree char *end = expect(log, cursor, -1, 2, "");
}

static void test_what_is_no_text(LogDirectory *log, const void *data) {
        autofd int fd = open(log->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        static const char line[] = TIME " stdout F a\0b\xff\n";

        g_assert_cmpint(write(fd, line, sizeof line - 1), ==, sizeof line - 1);
        g_autofree char *cursor = expect(log, NULL, 5, 0, "a\357\277\275b\357\277\275|");
}

/* 1 MiB at most: the last ones without a cursor, the first ones with one, and one at least. */
static void test_bounds(LogDirectory *log, const void *data) {
        g_autofree char *text = g_strnfill(60000, 'x'), *line = g_strconcat(TIME " stdout F ", text, "\n", NULL), *cursor = NULL;

        for (unsigned i = 0; i < 40; i++)
                log_append(log->path, line);
        log_append(log->path, TIME " stdout F last\n");
        g_autoptr(GVariant) last = read_log(log, NULL, 1000, 0), first = read_log(log, "0:0", -1, 1000);
        g_autofree char *texts = texts_of(last, &cursor);
        g_assert_true(g_str_has_suffix(texts, "|last|"));
        g_assert_cmpuint(g_variant_get_size(last), <=, LOG_ANSWER_BYTES);
        g_assert_cmpuint(g_variant_get_size(last), >, LOG_ANSWER_BYTES - 70000);
        g_assert_cmpuint(g_variant_get_size(first), <=, LOG_ANSWER_BYTES);
        g_autoptr(GVariant) entries = g_variant_get_child_value(first, 0);
        gsize n = g_variant_n_children(entries);
        for (g_autofree char *from = NULL; n < 41;) {
                g_clear_pointer(&from, g_free);
                g_variant_get_child(first, 1, "s", &from);
                g_variant_unref(first);
                first = read_log(log, from, -1, 1000);
                g_variant_unref(entries);
                entries = g_variant_get_child_value(first, 0);
                g_assert_cmpuint(g_variant_n_children(entries), >, 0);
                n += g_variant_n_children(entries);
        }
        g_assert_cmpuint(n, ==, 41);
}

static void test_a_place_that_has_gone(LogDirectory *log, const void *data) {
        LogPlan plan = {.id = (char *) "id", .name = (char *) "name", .path = log->path, .streams = 6, .until_usec = UINT64_MAX, .from = (char *) "1:7", .tail = -1};
        g_autoptr(GError) error = NULL;

        log_append(log->path, TIME " stdout F a\n");
        log_link(log, ".1");
        log_replace(log, TIME " stdout F b\n");
        log_link(log, ".2");
        log_remove_old(log, ".1");
        g_assert_null(log_source_open(&plan, &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INVALID_ARGS);
        plan.from_run = true; /* the beginning of a run: the rest of it will do */
        g_autoptr(LogSource) source = log_source_open(&plan, NULL);
        g_assert_nonnull(source);
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *name;
                void (*run)(LogDirectory *log, const void *data);
        } tests[] = {
                {"/log-answer/the-last-lines-and-on", test_the_last_lines_and_on},
                {"/log-answer/pages-over-a-rotation", test_pages_over_a_rotation},
                {"/log-answer/what-is-no-text", test_what_is_no_text},
                {"/log-answer/bounds", test_bounds},
                {"/log-answer/a-place-that-has-gone", test_a_place_that_has_gone},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].name, LogDirectory, NULL, log_directory_make, tests[i].run, log_directory_remove);
        return g_test_run();
}
