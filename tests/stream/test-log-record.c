/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/stream/log-record.c: what conmon writes, and what it does not. */

#include "stream/log-record.h"
#include <string.h>

#define TIME "2026-11-25T22:27:53.660170586+00:00"

static size_t parse(const char *text, LogRecord *record) {
        return log_record_parse((const guint8 *) text, strlen(text), record);
}

static void test_full_and_partial(void) {
        LogRecord record;

        g_assert_cmpuint(parse(TIME " stdout F bar\nnext", &record), ==, strlen(TIME " stdout F bar\n"));
        g_assert_cmpuint(record.stream, ==, STREAM_STDOUT);
        g_assert_false(record.partial);
        g_assert_cmpmem(record.text, record.size, "bar\n", 4);
        g_assert_cmpmem(record.time, record.time_size, TIME, strlen(TIME));
        g_assert_cmpuint(parse(TIME " stderr P b a r \n", &record), ==, strlen(TIME " stderr P b a r \n"));
        g_assert_cmpuint(record.stream, ==, STREAM_STDERR);
        g_assert_true(record.partial);
        g_assert_cmpmem(record.text, record.size, "b a r ", 6);
}

static void test_empty_texts(void) {
        LogRecord record;

        g_assert_cmpuint(parse(TIME " stdout F \n", &record), >, 0);
        g_assert_cmpmem(record.text, record.size, "\n", 1);
        g_assert_cmpuint(parse(TIME " stdout P \n", &record), >, 0);
        g_assert_cmpuint(record.stream, ==, STREAM_STDOUT);
        g_assert_cmpuint(record.size, ==, 0);
}

static void test_text_is_bytes(void) {
        static const char line[] = TIME " stdout F a\0\xff\x80 F P stdout\n";
        LogRecord record;

        g_assert_cmpuint(log_record_parse((const guint8 *) line, sizeof line - 1, &record), ==, sizeof line - 1);
        g_assert_cmpmem(record.text, record.size, "a\0\xff\x80 F P stdout\n", 16);
}

static void test_incomplete(void) {
        LogRecord record;

        g_assert_cmpuint(parse(TIME " stdout F no newline yet", &record), ==, 0);
        g_assert_cmpuint(parse("", &record), ==, 0);
}

/* Lines that are no records are stepped over, never read beyond their end. */
static void test_other_lines(void) {
        const char *const lines[] = {"\n", " \n", "x\n", TIME "\n", TIME " \n", TIME " stdout\n", TIME " stdout F\n", TIME " stdout X text\n", TIME " stdin F text\n", TIME " stdout Ftext\n", TIME "  stdout F text\n"};

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                LogRecord record;
                g_autofree char *exact = g_memdup2(lines[i], strlen(lines[i])); /* a sanitizer sees what lies beyond */
                g_assert_cmpuint(log_record_parse((const guint8 *) exact, strlen(lines[i]), &record), ==, strlen(lines[i]));
                g_assert_cmpuint(record.stream, ==, STREAM_STDIN);
        }
}

static guint64 usec_of(const char *time) {
        const LogRecord record = {.time = time, .time_size = strlen(time)};

        return log_record_usec(&record);
}

static void test_times(void) {
        const char *const wrong[] = {"", "2026-11-25", "2026-11-25T22:27:53", "2026-11-25T22:27:53.6", "2026-11-25 22:27:53.660170586+00:00", "2026-11-25T22:27:53.660170586", "2026-11-25T22:27:53.66+0000", "2026-1x-25T22:27:53Z",
                                     "2026-13-25T22:27:53Z", "2026-00-25T22:27:53Z", "1960-01-01T00:00:00Z"};

        g_assert_cmpuint(usec_of(TIME), ==, 1795645673660170);
        g_assert_cmpuint(usec_of("2026-11-25T23:27:53.660170+01:00"), ==, 1795645673660170);
        g_assert_cmpuint(usec_of("2026-11-25T16:57:53.66-05:30"), ==, 1795645673660000);
        g_assert_cmpuint(usec_of("2026-11-25T22:27:53.000000999Z"), ==, 1795645673000000);
        for (gint64 seconds = 86400 * 59; seconds < 86400LL * 366 * 200; seconds += 86400 * 13 + 3601) {
                g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(seconds);
                g_autofree char *text = g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ");
                g_assert_cmpuint(usec_of(text), ==, (guint64) seconds * G_USEC_PER_SEC);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
                g_assert_cmpuint(usec_of(wrong[i]), ==, 0);
}

static void test_the_line_before_a_run(void) {
        g_autofree char *line = log_record_of_run(17, 1795645673660170);
        LogRecord record;

        g_assert_cmpstr(line, ==, "2026-11-25T22:27:53.660170000+00:00 conbus F run 17\n");
        g_assert_cmpuint(parse(line, &record), ==, strlen(line));
        g_assert_cmpuint(record.stream, ==, STREAM_STDIN);
        g_assert_cmpuint(record.run, ==, 17);
        g_assert_cmpuint(log_record_usec(&record), ==, 1795645673660170);
        for (const char *const *other = (const char *const[]) {TIME " conbus F run \n", TIME " conbus F run x\n", TIME " conbus F run 0\n", TIME " stdout F conbus F run 3\n", NULL}; *other; other++) {
                (void) parse(*other, &record);
                g_assert_cmpuint(record.run, ==, 0);
        }
}

static void put_record(GByteArray *log, GRand *random) {
        static const char *const heads[] = {TIME " stdout F ", TIME " stdout F ", TIME " stdout F ", TIME " stdout P ", TIME " stderr F ", "2026-11-25T22:27:53Z stdout F ", TIME " conbus F run 3", "some line", "", TIME " stdout X ", TIME " stdout F"};
        const char *head = heads[g_rand_int_range(random, 0, G_N_ELEMENTS(heads))];

        g_byte_array_append(log, (const guint8 *) head, (guint) strlen(head));
        for (gint32 n = g_rand_int_range(random, 0, g_rand_boolean(random) ? 3 : 300); n > 0; n--) {
                guint8 byte = (guint8) g_rand_int_range(random, 0, 256);
                g_byte_array_append(log, &(guint8) {byte == '\n' ? 0 : byte}, 1);
        }
        g_byte_array_append(log, (const guint8 *) "\n", 1);
}

/* One by one, and as many as there are at once: the same. */
static void move_and_compare(const GByteArray *log, size_t max) {
        g_autofree guint8 *copy = g_memdup2(log->data, log->len);
        g_autoptr(GByteArray) wanted = g_byte_array_new();
        const guint8 *at = copy;
        LogRecord record;
        size_t size, used = 0, moved = log_record_move_texts(&at, log->len, STREAM_STDOUT, copy, max);

        while ((size = log_record_parse(log->data + used, log->len - used, &record)) > 0 && record.stream == STREAM_STDOUT && record.time_size == strlen(TIME) && wanted->len + record.size <= max) {
                g_byte_array_append(wanted, record.text, (guint) record.size);
                used += size;
        }
        g_assert_cmpmem(copy, moved, wanted->data, wanted->len);
        g_assert_cmpuint((size_t) (at - copy), ==, used);
        g_assert_cmpmem(copy + used, log->len - used, log->data + used, log->len - used); /* nothing behind them has been touched */
}

static void test_many_at_once(void) {
        GRand *random = g_rand_new_with_seed(7);

        for (unsigned i = 0; i < 5000; i++) {
                g_autoptr(GByteArray) log = g_byte_array_new();
                for (gint32 n = g_rand_int_range(random, 0, 12); n > 0; n--)
                        put_record(log, random);
                if (log->len > 0 && g_rand_boolean(random)) /* the last one is not complete */
                        g_byte_array_set_size(log, log->len - (guint) g_rand_int_range(random, 0, MIN((gint32) log->len, 60)));
                if (log->len > 0)
                        move_and_compare(log, g_rand_boolean(random) ? 32768 : (size_t) g_rand_int_range(random, 0, 600));
        }
        g_rand_free(random);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/log-record/full-and-partial", test_full_and_partial);
        g_test_add_func("/log-record/empty-texts", test_empty_texts);
        g_test_add_func("/log-record/text-is-bytes", test_text_is_bytes);
        g_test_add_func("/log-record/incomplete", test_incomplete);
        g_test_add_func("/log-record/other-lines", test_other_lines);
        g_test_add_func("/log-record/many-at-once", test_many_at_once);
        g_test_add_func("/log-record/times", test_times);
        g_test_add_func("/log-record/the-line-before-a-run", test_the_line_before_a_run);
        return g_test_run();
}
