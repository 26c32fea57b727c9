/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/stream/log-reader.c on real files: following, positions, rotation. */

#include "stream/log-reader.h"
#include "log-directory.h"
#include "stream/log-files.h"

#define TIME "2026-11-25T22:27:53.660170586+00:00"

typedef LogDirectory Fixture;

/* All that can be read now, as `1text2text`. */
static char *read_all(LogReader *reader) {
        GString *text = g_string_new(NULL);
        Frame frames[8];
        unsigned n;

        while ((n = log_reader_read(reader, frames, G_N_ELEMENTS(frames))) > 0)
                for (unsigned i = 0; i < n; i++) {
                        g_string_append_printf(text, "%u", frames[i].stream);
                        g_string_append_len(text, (const char *) frames[i].data, (gssize) frames[i].size);
                }
        return g_string_free(text, FALSE);
}

static void expect(LogReader *reader, const char *expected) {
        g_autofree char *text = read_all(reader);

        g_assert_cmpstr(text, ==, expected);
}

static LogReader *open_at(Fixture *fixture, guint64 number, guint64 offset) {
        const LogCursor cursor = {.number = number, .offset = offset};
        g_autoptr(GError) error = NULL;
        LogReader *reader = log_reader_new(fixture->path, &cursor, &error);

        g_assert_no_error(error);
        return reader;
}

static void test_streams_are_put_together_again(Fixture *fixture, const void *data) {
        log_append(fixture->path, TIME " stdout P foo\n" TIME " stdout F bar\n" TIME " stderr F x\n" TIME " stdout P baz\n");
        g_autoptr(LogReader) reader = open_at(fixture, 0, 0);
        expect(reader, "1foobar\n2x\n1baz");
        expect(reader, "");
        log_append(fixture->path, TIME " stdout F \n" TIME " stdo");
        expect(reader, "1\n");
        log_append(fixture->path, "ut F whole\n");
        expect(reader, "1whole\n");
}

static void test_records_can_be_kept_apart(Fixture *fixture, const void *data) {
        log_append(fixture->path, TIME " stdout F a\n" TIME " stdout F b\n" TIME " stdout P c\n");
        g_autoptr(LogReader) reader = open_at(fixture, 0, 0);
        log_reader_keep_records(reader);
        expect(reader, "1a\n1b\n1c");
}

static void test_a_file_that_comes_later(Fixture *fixture, const void *data) {
        g_autoptr(LogReader) reader = open_at(fixture, 0, 0);

        expect(reader, "");
        log_append(fixture->path, TIME " stdout F a\n");
        expect(reader, "1a\n");
}

static void test_from_the_end(Fixture *fixture, const void *data) {
        LogCursor end;

        log_append(fixture->path, TIME " stdout F old\n");
        g_assert_true(log_files_end(fixture->path, &end, NULL));
        g_autoptr(LogReader) reader = open_at(fixture, end.number, end.offset);
        expect(reader, "");
        log_append(fixture->path, TIME " stdout F new\n");
        expect(reader, "1new\n");
}

static void test_to_the_present_end(Fixture *fixture, const void *data) {
        log_append(fixture->path, TIME " stdout F a\n");
        g_autoptr(LogReader) reader = open_at(fixture, 0, 0);
        g_assert_true(log_reader_end_here(reader, NULL));
        log_append(fixture->path, TIME " stdout F b\n");
        expect(reader, "1a\n");
}

static void test_bytes_are_skipped_stream_by_stream(Fixture *fixture, const void *data) {
        log_append(fixture->path, TIME " stdout F abc\n" TIME " stderr F def\n" TIME " stdout F ghi\n" TIME " stderr F jkl\n");
        g_autoptr(LogReader) reader = open_at(fixture, 0, 0);
        log_reader_skip(reader, 5, 2);
        expect(reader, "2f\n1hi\n2jkl\n");
}

/* conmon goes on writing into the old file until it has made a new one. */
static void test_rotation_loses_and_repeats_nothing(Fixture *fixture, const void *data) {

        log_append(fixture->path, TIME " stdout F a\n");
        g_autoptr(LogReader) reader = open_at(fixture, 0, 0);
        expect(reader, "1a\n");
        log_link(fixture, ".1");
        log_append(fixture->path, TIME " stdout F b\n");
        expect(reader, "1b\n");
        log_append(fixture->path, TIME " stdout F c\n");
        log_replace(fixture, TIME " stdout F d\n");
        expect(reader, "1c\n1d\n");
        log_append(fixture->path, TIME " stdout F e\n");
        expect(reader, "1e\n");
}

/* Two rotations between two looks: the file in the middle is read, too. */
static void test_no_file_is_left_out(Fixture *fixture, const void *data) {
        log_append(fixture->path, TIME " stdout F a\n");
        g_autoptr(LogReader) reader = open_at(fixture, 0, 0), late = open_at(fixture, 0, 0);
        log_link(fixture, ".1");
        log_replace(fixture, TIME " stdout F b\n");
        log_link(fixture, ".2");
        log_replace(fixture, TIME " stdout F c\n");
        log_reader_notice_files(reader);
        log_remove_old(fixture, ".1");
        log_link(fixture, ".3");
        log_replace(fixture, TIME " stdout F d\n");
        log_reader_notice_files(reader);
        log_remove_old(fixture, ".2");
        log_append(fixture->path, TIME " stdout F e\n");
        expect(reader, "1a\n1b\n1c\n1d\ne\n");
        g_assert_false(log_reader_has_gap(reader));
        expect(late, "1a\n");
        g_assert_true(log_reader_has_gap(late));
        expect(late, "");
        log_reader_go_past_gap(late);
        expect(late, "1c\n1d\ne\n");
        g_assert_false(log_reader_has_gap(late));
}

/* An old log is read from its first file on, and a place in it is found wherever it is. */
static void test_a_position_finds_its_file(Fixture *fixture, const void *data) {
        LogCursor cursor;

        log_append(fixture->path, TIME " stdout F a\n");
        g_assert_true(log_files_end(fixture->path, &cursor, NULL));
        log_append(fixture->path, TIME " stdout F b\n");
        log_link(fixture, ".1");
        g_autoptr(LogReader) pending = open_at(fixture, cursor.number, cursor.offset);
        expect(pending, "1b\n");
        log_replace(fixture, TIME " stdout F c\n");
        g_autoptr(LogReader) reader = open_at(fixture, cursor.number, cursor.offset), all = open_at(fixture, 0, 0);
        expect(reader, "1b\n1c\n");
        expect(all, "1a\nb\n1c\n");
        log_link(fixture, ".2");
        log_remove_old(fixture, ".1");
        g_autoptr(GError) error = NULL;
        g_assert_null(log_reader_new(fixture->path, &cursor, &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INVALID_ARGS);
}

static void test_what_has_not_been_written_is_no_position(Fixture *fixture, const void *data) {
        static const LogCursor positions[] = {
                {.offset = 1 << 20}, {.offset = 1}, {.number = 1, .offset = 1 << 20}, {.number = 2}, {.number = 1, .offset = 2, .origin = "c0ffee"}, {.offset = 1, .origin = "time"},
        };

        for (unsigned round = 0; round < 2; round++) {
                for (size_t i = 0; i < G_N_ELEMENTS(positions); i++) {
                        g_autoptr(GError) error = NULL;
                        g_assert_null(log_reader_new(fixture->path, &positions[i], &error));
                        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INVALID_ARGS);
                }
                log_append(fixture->path, TIME " stdout F a\n");
        }
        g_autoptr(LogReader) end = open_at(fixture, 1, 2 * strlen(TIME " stdout F a\n"));
        g_assert_cmpuint(log_reader_backlog(end), ==, 0);
}

static void test_to_a_place_in_another_file(Fixture *fixture, const void *data) {
        LogCursor end;

        log_append(fixture->path, TIME " stdout F a\n");
        g_autoptr(LogReader) reader = open_at(fixture, 0, 0);
        log_link(fixture, ".1");
        log_replace(fixture, TIME " stdout F b\n");
        g_assert_true(log_files_end(fixture->path, &end, NULL));
        log_append(fixture->path, TIME " stdout F c\n");
        log_link(fixture, ".2");
        log_replace(fixture, TIME " stdout F d\n");
        log_reader_end_at(reader, &end);
        expect(reader, "1a\n1b\n");
}

static void test_a_filter(Fixture *fixture, const void *data) {
        const LogFilter filter = {.streams = STREAM_MASK(STREAM_STDERR), .until_usec = UINT64_MAX};

        log_append(fixture->path, TIME " stdout F a\n" TIME " stderr F b\n" TIME " conbus F run 2\n" TIME " stderr F c\n");
        g_autoptr(LogReader) reader = open_at(fixture, 0, 0), records = open_at(fixture, 0, 0);
        log_reader_set_filter(reader, &filter);
        expect(reader, "2b\nc\n");
        LogCursor at, after, before = {.number = 1};
        LogRecord record;
        unsigned n = 0;
        log_reader_set_filter(records, &filter);
        for (; log_reader_next(records, &record, &at, &after); n++, before = after) {
                g_assert_cmpint(log_cursor_compare(&at, &before), >=, 0);
                g_assert_cmpint(log_cursor_compare(&at, &after), <, 0);
                g_assert_cmpuint(record.run, ==, n == 1 ? 2 : 0);
        }
        g_assert_cmpuint(n, ==, 3);
}

static void test_the_middle_of_a_record_is_no_beginning(Fixture *fixture, const void *data) {
        log_append(fixture->path, TIME " stdout F a\n" TIME " stdout F b\n");
        g_autoptr(LogReader) reader = open_at(fixture, 1, 20);
        log_reader_align(reader);
        expect(reader, "1b\n");
}

static void test_lines_that_are_no_records_are_stepped_over(Fixture *fixture, const void *data) {
        g_autofree char *long_line = g_strnfill(600 * 1024, 'x');

        log_append(fixture->path, "garbage\n");
        log_append(fixture->path, TIME " stdout F a\n");
        log_append(fixture->path, long_line);
        log_append(fixture->path, "\n" TIME " stdout F b\n");
        g_autoptr(LogReader) reader = open_at(fixture, 0, 0);
        expect(reader, "1a\n1b\n");
}

static void test_a_link_is_no_log(Fixture *fixture, const void *data) {
        g_assert_cmpint(symlink("/etc/passwd", fixture->path), ==, 0);
        g_autoptr(LogReader) reader = open_at(fixture, 0, 0);
        expect(reader, "");
}

/* Frames of many short lines are few, and none is longer than a packet may be. */
static void test_short_lines_are_joined(Fixture *fixture, const void *data) {
        g_autoptr(GString) text = g_string_new(NULL);
        Frame frames[64];
        size_t total = 0;
        unsigned n, n_frames = 0;

        for (unsigned i = 0; i < 50000; i++)
                g_string_append(text, TIME " stdout F y\n");
        log_append(fixture->path, text->str);
        g_autoptr(LogReader) reader = open_at(fixture, 0, 0);
        while ((n = log_reader_read(reader, frames, G_N_ELEMENTS(frames))) > 0)
                for (unsigned i = 0; i < n; i++, n_frames++) {
                        g_assert_cmpuint(frames[i].size, <=, FRAME_MAX);
                        total += frames[i].size;
                }
        g_assert_cmpuint(total, ==, 100000);
        g_assert_cmpuint(n_frames, <, 50);
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *name;
                void (*run)(Fixture *fixture, const void *data);
        } tests[] = {
                {"/log-reader/streams-are-put-together-again", test_streams_are_put_together_again},
                {"/log-reader/records-can-be-kept-apart", test_records_can_be_kept_apart},
                {"/log-reader/a-file-that-comes-later", test_a_file_that_comes_later},
                {"/log-reader/from-the-end", test_from_the_end},
                {"/log-reader/to-the-present-end", test_to_the_present_end},
                {"/log-reader/bytes-are-skipped-stream-by-stream", test_bytes_are_skipped_stream_by_stream},
                {"/log-reader/rotation-loses-and-repeats-nothing", test_rotation_loses_and_repeats_nothing},
                {"/log-reader/no-file-is-left-out", test_no_file_is_left_out},
                {"/log-reader/a-position-finds-its-file", test_a_position_finds_its_file},
                {"/log-reader/what-has-not-been-written-is-no-position", test_what_has_not_been_written_is_no_position},
                {"/log-reader/to-a-place-in-another-file", test_to_a_place_in_another_file},
                {"/log-reader/a-filter", test_a_filter},
                {"/log-reader/the-middle-of-a-record-is-no-beginning", test_the_middle_of_a_record_is_no_beginning},
                {"/log-reader/lines-that-are-no-records-are-stepped-over", test_lines_that_are_no_records_are_stepped_over},
                {"/log-reader/a-link-is-no-log", test_a_link_is_no_log},
                {"/log-reader/short-lines-are-joined", test_short_lines_are_joined},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].name, Fixture, NULL, log_directory_make, tests[i].run, log_directory_remove);
        return g_test_run();
}
