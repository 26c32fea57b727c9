/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/stream/log-tail.c: the last lines of logs of every shape, against reading all of it. */

#include "stream/log-tail.h"
#include "log-directory.h"
#include "stream/log-files.h"
#include "stream/log-lines.h"
#include "stream/log-reader.h"

#define BOTH (STREAM_MASK(STREAM_STDOUT) | STREAM_MASK(STREAM_STDERR))

static void on_line(const LogLine *line, void *userdata) {
        g_ptr_array_add(userdata, g_strdup_printf("%u%.*s", line->stream, (int) line->size, (const char *) line->text));
}

static GPtrArray *read_from(const char *path, LogFilter filter) {
        GPtrArray *texts = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(LogReader) reader = log_reader_new(path, log_position_first(&filter.from), NULL);
        g_autoptr(LogLines) lines = log_lines_new(&filter.from, on_line, texts);
        LogCursor at, after;
        LogRecord record;

        g_assert_nonnull(reader);
        log_reader_set_filter(reader, &filter);
        while (log_reader_next(reader, &record, &at, &after))
                log_lines_feed(lines, &record, 0, &at, &after);
        log_lines_finish(lines);
        return texts;
}

static GPtrArray *tail(LogDirectory *log, LogFilter filter, guint64 n) {
        LogCursor end;

        g_assert_true(log_files_end(log->path, &end, NULL));
        g_assert_true(log_tail_find(log->path, &filter, &end, n, &filter.from, NULL));
        return read_from(log->path, filter);
}

static void expect(LogDirectory *log, LogFilter filter, guint64 n) {
        g_autoptr(GPtrArray) all = read_from(log->path, filter), last = tail(log, filter, n);
        guint wanted = (guint) MIN(n, all->len);

        g_assert_cmpuint(last->len, ==, wanted);
        for (guint i = 0; i < wanted; i++)
                g_assert_cmpstr(last->pdata[i], ==, all->pdata[all->len - wanted + i]);
}

/* Lines of both streams, some in pieces, with the other stream's between them, over several files and some regions. */
static void write_log(LogDirectory *log, unsigned n) {
        g_autoptr(GString) text = g_string_new(NULL);

        for (unsigned i = 0; i < n; i++) {
                if (i % 3 == 0)
                        g_string_append_printf(text, "2026-11-25T22:27:%02u.%06u000+00:00 stdout P part %u \n", i % 60, i, i);
                if (i % 5 == 0)
                        g_string_append_printf(text, "2026-11-25T22:27:%02u.%06u000+00:00 stderr F error %u\n", i % 60, i, i);
                g_string_append_printf(text, "2026-11-25T22:27:%02u.%06u000+00:00 stdout F line %u %s\n", i % 60, i, i, i % 50 == 0 ? "with a longer text than the others have" : "");
                if (i == n / 3 || i == n / 2) {
                        g_autofree char *suffix = g_strdup_printf(".%d", i == n / 3 ? 1 : 2);
                        log_append(log->path, text->str);
                        g_string_truncate(text, 0);
                        log_link(log, suffix);
                        log_replace(log, "");
                }
        }
        g_string_append(text, "2026-11-25T22:28:00.000000000+00:00 stderr P unfinished\n");
        log_append(log->path, text->str);
}

static void test_against_all_of_it(LogDirectory *log, const void *data) {
        const guint64 counts[] = {1, 2, 3, 10, 100, 1000, 9000, 20000, 100000};

        write_log(log, 20000);
        for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
                expect(log, (LogFilter) {.streams = BOTH, .until_usec = UINT64_MAX}, counts[i]);
                expect(log, (LogFilter) {.streams = STREAM_MASK(STREAM_STDERR), .until_usec = UINT64_MAX}, counts[i]);
                expect(log, (LogFilter) {.streams = BOTH, .since_usec = 1795645640000000, .until_usec = 1795645650000000}, counts[i]);
        }
}

static void test_from_a_place_on(LogDirectory *log, const void *data) {
        LogFilter filter = {.streams = BOTH, .until_usec = UINT64_MAX};
        const LogCursor place = {.number = 3};

        write_log(log, 300);
        filter.from = log_position_at(&place);
        expect(log, filter, 20);
        expect(log, filter, 100000);
}

static void test_nothing(LogDirectory *log, const void *data) {
        const LogFilter filter = {.streams = BOTH, .until_usec = UINT64_MAX};
        g_autoptr(GPtrArray) none = tail(log, filter, 5);

        g_assert_cmpuint(none->len, ==, 0);
        write_log(log, 100);
        g_autoptr(GPtrArray) zero = tail(log, filter, 0);
        g_assert_cmpuint(zero->len, ==, 0);
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *name;
                void (*run)(LogDirectory *log, const void *data);
        } tests[] = {
                {"/log-tail/against-all-of-it", test_against_all_of_it},
                {"/log-tail/from-a-place-on", test_from_a_place_on},
                {"/log-tail/nothing", test_nothing},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].name, LogDirectory, NULL, log_directory_make, tests[i].run, log_directory_remove);
        return g_test_run();
}
