/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/stream/log-marks.c: places by counting, in a log that is rotated. */

#include "stream/log-marks.h"
#include "log-directory.h"
#include "stream/log-files.h"

#define TIME "2026-11-25T22:27:53.660170586+00:00"

static char *read_all(LogReader *reader) {
        GString *text = g_string_new(NULL);
        Frame frames[8];
        unsigned n;

        while ((n = log_reader_read(reader, frames, G_N_ELEMENTS(frames))) > 0)
                for (unsigned i = 0; i < n; i++)
                        g_string_append_len(text, (const char *) frames[i].data, (gssize) frames[i].size);
        return g_string_free(text, FALSE);
}

static void expect(LogMarks *marks, guint64 n_stdout, guint64 n_stderr, const char *expected) {
        g_autoptr(LogReader) reader = log_marks_open(marks, n_stdout, n_stderr);
        g_autofree char *text = reader ? read_all(reader) : NULL;

        g_assert_cmpstr(text, ==, expected);
}

static LogMarks *begin(LogDirectory *log) {
        LogCursor start;

        log_append(log->path, TIME " stdout F of another run\n");
        g_assert_true(log_files_end(log->path, &start, NULL));
        return log_marks_new(log->path, &start);
}

static void rotate(LogDirectory *log, LogMarks *marks, const char *suffix, const char *text) {
        log_link(log, suffix);
        log_replace(log, text);
        log_marks_notice_files(marks);
        while (log_marks_count(marks))
                ;
}

static void test_without_a_rotation(LogDirectory *log, const void *data) {
        g_autoptr(LogMarks) marks = begin(log);

        log_append(log->path, TIME " stdout F abc\n" TIME " stderr F de\n");
        expect(marks, 0, 0, "abc\nde\n");
        expect(marks, 2, 1, "c\ne\n");
        g_assert_false(log_marks_count(marks));
}

static void test_over_rotations(LogDirectory *log, const void *data) {
        g_autoptr(LogMarks) marks = begin(log);

        log_append(log->path, TIME " stdout F abc\n" TIME " stderr F de\n");
        rotate(log, marks, ".1", "");
        log_append(log->path, TIME " stdout P f\n");
        rotate(log, marks, ".2", TIME " stdout F gh\n");
        log_append(log->path, TIME " stderr F i\n");
        expect(marks, 0, 0, "abc\nde\nfgh\ni\n");
        log_remove_old(log, ".1");
        expect(marks, 3, 3, NULL); /* a byte before what is left */
        expect(marks, 4, 3, "fgh\ni\n");
        expect(marks, 5, 4, "gh\n\n"); /* of "i" one byte was seen */
        expect(marks, 7, 3, "\ni\n");
}

/* Two rotations between two looks, and a file that went before it was counted. */
static void test_what_was_not_counted(LogDirectory *log, const void *data) {
        g_autoptr(LogMarks) marks = begin(log);

        log_append(log->path, TIME " stdout F a\n");
        log_link(log, ".1");
        log_replace(log, TIME " stdout F b\n");
        rotate(log, marks, ".2", TIME " stdout F c\n");
        expect(marks, 4, 0, "c\n");
        log_append(log->path, TIME " stdout F d\n");
        log_link(log, ".3");
        log_replace(log, TIME " stdout F e\n");
        log_link(log, ".4");
        log_replace(log, TIME " stdout F f\n");
        log_link(log, ".5");
        for (const char *const *old = (const char *const[]) {".1", ".2", ".3", ".4", NULL}; *old; old++)
                log_remove_old(log, *old);
        log_replace(log, TIME " stdout F g\n");
        log_marks_notice_files(marks);
        g_assert_false(log_marks_count(marks));
        expect(marks, 8, 0, NULL);
}

/* A run that begins before there is a log: its first file is the first one, also when that has gone. */
static void test_from_the_first_file(LogDirectory *log, const void *data) {
        g_autoptr(LogMarks) marks = log_marks_new(log->path, &(LogCursor) {0});

        expect(marks, 0, 0, NULL);
        log_append(log->path, TIME " stdout F abc\n");
        expect(marks, 1, 0, "bc\n");
        rotate(log, marks, ".1", TIME " stdout F defgh\n");
        expect(marks, 1, 0, "bc\ndefgh\n");
        rotate(log, marks, ".2", TIME " stdout F i\n");
        log_remove_old(log, ".1");
        expect(marks, 1, 0, NULL);
        expect(marks, 4, 0, "defgh\ni\n");
        g_autoptr(LogMarks) later = log_marks_new(log->path, &(LogCursor) {0}); /* file 2 is the oldest */
        expect(later, 2, 0, "fgh\ni\n");
        rotate(log, later, ".3", TIME " stdout F j\n");
        log_remove_old(log, ".2");
        expect(later, 2, 0, NULL);
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *name;
                void (*run)(LogDirectory *log, const void *data);
        } tests[] = {
                {"/log-marks/without-a-rotation", test_without_a_rotation},
                {"/log-marks/over-rotations", test_over_rotations},
                {"/log-marks/from-the-first-file", test_from_the_first_file},
                {"/log-marks/what-was-not-counted", test_what_was_not_counted},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].name, LogDirectory, NULL, log_directory_make, tests[i].run, log_directory_remove);
        return g_test_run();
}
