/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/stream/log-lines.c: lines from records, and places between them. */

#include "stream/log-lines.h"
#include <stdio.h>
#include <string.h>

typedef struct Seen {
        GString *text; /* STREAM END text | for each line */
        LogPosition after;
        unsigned n;
        size_t longest;
        bool all_valid;
} Seen;

static void on_line(const LogLine *line, void *userdata) {
        static const char ends[] = {'F', 'P', 'U'};
        Seen *seen = userdata;

        if (line->size < 100)
                g_string_append_printf(seen->text, "%u%c%.*s@%" G_GUINT64_FORMAT "|", line->stream, ends[line->end], (int) line->size, (const char *) line->text, line->usec);
        seen->after = line->after;
        seen->n++;
        seen->longest = MAX(seen->longest, line->size);
        seen->all_valid = seen->all_valid && g_utf8_validate((const char *) line->text, (gssize) line->size, NULL);
}

static LogLines *begin(Seen *seen) {
        const LogPosition start = {.of = {{0}, {.number = 1}, {.number = 1}}};

        *seen = (Seen) {.text = g_string_new(NULL), .all_valid = true};
        return log_lines_new(&start, on_line, seen);
}

/* Record i, one byte long in the log. */
static void feed(LogLines *lines, unsigned i, guint8 stream, bool partial, const char *text) {
        g_autofree char *whole = g_strconcat(text, partial ? "" : "\n", NULL);
        const LogCursor at = {1, i, ""}, after = {1, i + 1, ""};
        const LogRecord record = {.stream = stream, .partial = partial, .text = (const guint8 *) whole, .size = strlen(whole)};

        log_lines_feed(lines, &record, i, &at, &after);
}

static void expect_place(const LogPosition *position, guint64 out, guint64 err) {
        g_assert_cmpuint(position->of[STREAM_STDOUT].offset, ==, out);
        g_assert_cmpuint(position->of[STREAM_STDERR].offset, ==, err);
}

static void test_streams_do_not_mix(void) {
        Seen seen;
        g_autoptr(LogLines) lines = begin(&seen);

        feed(lines, 0, STREAM_STDOUT, true, "foo");
        g_assert_cmpuint(seen.n, ==, 0);
        feed(lines, 1, STREAM_STDERR, false, "err");
        expect_place(&seen.after, 0, 2); /* standard output goes on from its line's beginning */
        feed(lines, 2, STREAM_STDOUT, true, "");
        feed(lines, 3, STREAM_STDOUT, false, "bar");
        expect_place(&seen.after, 4, 4);
        feed(lines, 4, STREAM_STDOUT, false, "");
        g_assert_cmpstr(seen.text->str, ==, "2Ferr@1|1Ffoobar@0|1F@4|");
        g_string_free(seen.text, TRUE);
}

static void test_unfinished(void) {
        Seen seen;
        g_autoptr(LogLines) lines = begin(&seen);

        feed(lines, 0, STREAM_STDERR, true, "half");
        LogPosition position = log_lines_position(lines);
        expect_place(&position, 1, 0);
        log_lines_finish(lines);
        expect_place(&seen.after, 1, 1);
        log_lines_finish(lines);
        g_assert_cmpstr(seen.text->str, ==, "2Uhalf@0|");
        g_string_free(seen.text, TRUE);
}

static void test_a_run_ends_what_is_unfinished(void) {
        const LogCursor at = {1, 1, ""}, after = {1, 2, ""};
        const LogRecord mark = {.stream = STREAM_STDIN, .run = 2};
        Seen seen;
        g_autoptr(LogLines) lines = begin(&seen);

        feed(lines, 0, STREAM_STDOUT, true, "old");
        log_lines_feed(lines, &mark, 1, &at, &after);
        feed(lines, 2, STREAM_STDOUT, false, "new");
        g_assert_cmpstr(seen.text->str, ==, "1Uold@0|1Fnew@2|");
        g_string_free(seen.text, TRUE);
}

/* 10 records of 8 KiB: the first piece is as many of them as fit, and the rest begins exactly behind it. */
static void test_a_long_line_comes_in_pieces(void) {
        g_autofree char *text = g_strnfill(8192, 'x');
        Seen seen;
        g_autoptr(LogLines) lines = begin(&seen);

        for (unsigned i = 0; i < 9; i++)
                feed(lines, i, STREAM_STDOUT, true, text);
        g_assert_cmpuint(seen.n, ==, 1);
        g_assert_cmpuint(seen.longest, ==, LOG_LINE_MAX);
        expect_place(&seen.after, 8, 9);
        feed(lines, 9, STREAM_STDOUT, false, "end");
        g_assert_cmpuint(seen.n, ==, 2);
        expect_place(&seen.after, 10, 10);
        g_string_free(seen.text, TRUE);
}

/* Characters of 3 bytes that records cut in two: the pieces are cut where none is. */
static void test_pieces_are_cut_between_characters(void) {
        g_autoptr(GString) text = g_string_new(NULL);
        Seen seen;
        g_autoptr(LogLines) lines = begin(&seen);

        for (unsigned i = 0; i < 50000; i++)
                g_string_append(text, "\342\202\254");
        for (unsigned at = 0; at < text->len; at += 8192) {
                g_autofree char *part = g_strndup(text->str + at, MIN(8192, text->len - at));
                feed(lines, at / 8192, STREAM_STDOUT, at + 8192 < text->len, part);
        }
        g_assert_cmpuint(seen.n, >=, 3);
        g_assert_true(seen.all_valid);
        g_string_free(seen.text, TRUE);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/log-lines/streams-do-not-mix", test_streams_do_not_mix);
        g_test_add_func("/log-lines/unfinished", test_unfinished);
        g_test_add_func("/log-lines/a-run-ends-what-is-unfinished", test_a_run_ends_what_is_unfinished);
        g_test_add_func("/log-lines/a-long-line-comes-in-pieces", test_a_long_line_comes_in_pieces);
        g_test_add_func("/log-lines/pieces-are-cut-between-characters", test_pieces_are_cut_between_characters);
        return g_test_run();
}
