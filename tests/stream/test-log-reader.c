/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/stream/log-reader.c on real files: following, positions, rotation. */

#include "stream/log-reader.h"
#include "base/auto.h"
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define TIME "2026-11-25T22:27:53.660170586+00:00"

typedef struct Fixture {
        char *directory, *path;
} Fixture;

static void set_up(Fixture *fixture, const void *data) {
        fixture->directory = g_dir_make_tmp("conbus-log-XXXXXX", NULL);
        fixture->path = g_build_filename(fixture->directory, "log", NULL);
}

static void tear_down(Fixture *fixture, const void *data) {
        g_autoptr(GDir) directory = g_dir_open(fixture->directory, 0, NULL);

        for (const char *name = g_dir_read_name(directory); name; name = g_dir_read_name(directory)) {
                g_autofree char *path = g_build_filename(fixture->directory, name, NULL);
                (void) g_remove(path);
        }
        (void) g_rmdir(fixture->directory);
        g_free(fixture->directory);
        g_free(fixture->path);
}

static void append(const char *path, const char *text) {
        autofd int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

        g_assert_cmpint(write(fd, text, strlen(text)), ==, (gssize) strlen(text));
}

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

static LogReader *open_at(Fixture *fixture, guint64 inode, guint64 offset) {
        const LogCursor cursor = {inode, offset};
        g_autoptr(GError) error = NULL;
        LogReader *reader = log_reader_new(fixture->path, &cursor, &error);

        g_assert_no_error(error);
        return reader;
}

static void test_cursor_text(void) {
        const LogCursor cursor = {0x1234abcd, 77};
        g_autofree char *text = log_cursor_to_string(&cursor);
        const char *const wrong[] = {"", ":", "1", "1:", ":1", "1:2:3", "x:1", "-1:1", "1:-1", "1:8000000000000000", "11111111111111111:1"};
        LogCursor back;

        g_assert_true(log_cursor_parse(text, &back, NULL));
        g_assert_cmpuint(back.inode, ==, cursor.inode);
        g_assert_cmpuint(back.offset, ==, cursor.offset);
        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                g_autoptr(GError) error = NULL;
                g_assert_false(log_cursor_parse(wrong[i], &back, &error));
                g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INVALID_ARGS);
        }
}

static void test_streams_are_put_together_again(Fixture *fixture, const void *data) {
        append(fixture->path, TIME " stdout P foo\n" TIME " stdout F bar\n" TIME " stderr F x\n" TIME " stdout P baz\n");
        g_autoptr(LogReader) reader = open_at(fixture, 0, 0);
        expect(reader, "1foobar\n2x\n1baz");
        expect(reader, "");
        append(fixture->path, TIME " stdout F \n" TIME " stdo");
        expect(reader, "1\n");
        append(fixture->path, "ut F whole\n");
        expect(reader, "1whole\n");
}

static void test_records_can_be_kept_apart(Fixture *fixture, const void *data) {
        append(fixture->path, TIME " stdout F a\n" TIME " stdout F b\n" TIME " stdout P c\n");
        g_autoptr(LogReader) reader = open_at(fixture, 0, 0);
        log_reader_keep_records(reader);
        expect(reader, "1a\n1b\n1c");
}

static void test_a_file_that_comes_later(Fixture *fixture, const void *data) {
        g_autoptr(LogReader) reader = open_at(fixture, 0, 0);

        expect(reader, "");
        append(fixture->path, TIME " stdout F a\n");
        expect(reader, "1a\n");
}

static void test_from_the_end(Fixture *fixture, const void *data) {
        LogCursor end;

        append(fixture->path, TIME " stdout F old\n");
        g_assert_true(log_cursor_of_end(fixture->path, &end, NULL));
        g_autoptr(LogReader) reader = open_at(fixture, end.inode, end.offset);
        expect(reader, "");
        append(fixture->path, TIME " stdout F new\n");
        expect(reader, "1new\n");
}

static void test_to_the_present_end(Fixture *fixture, const void *data) {
        append(fixture->path, TIME " stdout F a\n");
        g_autoptr(LogReader) reader = open_at(fixture, 0, 0);
        g_assert_true(log_reader_end_here(reader, NULL));
        append(fixture->path, TIME " stdout F b\n");
        expect(reader, "1a\n");
}

static void test_bytes_are_skipped_stream_by_stream(Fixture *fixture, const void *data) {
        append(fixture->path, TIME " stdout F abc\n" TIME " stderr F def\n" TIME " stdout F ghi\n" TIME " stderr F jkl\n");
        g_autoptr(LogReader) reader = open_at(fixture, 0, 0);
        log_reader_skip(reader, 5, 2);
        expect(reader, "2f\n1hi\n2jkl\n");
}

/* conmon goes on writing into the renamed file until it has made a new one. */
static void test_rotation_loses_and_repeats_nothing(Fixture *fixture, const void *data) {
        g_autofree char *old = g_strconcat(fixture->path, ".1", NULL), *temporary = g_strconcat(fixture->path, ".new", NULL);

        append(fixture->path, TIME " stdout F a\n");
        g_autoptr(LogReader) reader = open_at(fixture, 0, 0);
        expect(reader, "1a\n");
        g_assert_cmpint(g_rename(fixture->path, old), ==, 0);
        append(old, TIME " stdout F b\n");
        expect(reader, "1b\n");
        append(old, TIME " stdout F c\n");
        append(temporary, TIME " stdout F d\n");
        g_assert_cmpint(g_rename(temporary, fixture->path), ==, 0);
        expect(reader, "1c\n1d\n");
        append(fixture->path, TIME " stdout F e\n");
        expect(reader, "1e\n");
}

static void test_a_position_finds_its_renamed_file(Fixture *fixture, const void *data) {
        g_autofree char *old = g_strconcat(fixture->path, ".1", NULL);
        LogCursor cursor;

        append(fixture->path, TIME " stdout F a\n");
        g_assert_true(log_cursor_of_end(fixture->path, &cursor, NULL));
        append(fixture->path, TIME " stdout F b\n");
        g_assert_cmpint(g_rename(fixture->path, old), ==, 0);
        append(fixture->path, TIME " stdout F c\n");
        g_autoptr(LogReader) reader = open_at(fixture, cursor.inode, cursor.offset);
        expect(reader, "1b\n1c\n");
        g_assert_cmpint(g_remove(old), ==, 0);
        g_autoptr(GError) error = NULL;
        g_assert_null(log_reader_new(fixture->path, &cursor, &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INVALID_ARGS);
}

static void test_lines_that_are_no_records_are_stepped_over(Fixture *fixture, const void *data) {
        g_autofree char *long_line = g_strnfill(600 * 1024, 'x');

        append(fixture->path, "garbage\n");
        append(fixture->path, TIME " stdout F a\n");
        append(fixture->path, long_line);
        append(fixture->path, "\n" TIME " stdout F b\n");
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
        append(fixture->path, text->str);
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
                {"/log-reader/a-position-finds-its-renamed-file", test_a_position_finds_its_renamed_file},
                {"/log-reader/lines-that-are-no-records-are-stepped-over", test_lines_that_are_no_records_are_stepped_over},
                {"/log-reader/a-link-is-no-log", test_a_link_is_no_log},
                {"/log-reader/short-lines-are-joined", test_short_lines_are_joined},
        };

        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/log-reader/cursor-text", test_cursor_text);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].name, Fixture, NULL, set_up, tests[i].run, tear_down);
        return g_test_run();
}
