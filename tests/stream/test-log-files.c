/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/stream/log-files.c: numbers and the present end of a log that is rotated. */

#include "stream/log-files.h"
#include "log-directory.h"

static guint64 current(LogDirectory *log) {
        guint64 number = 0;
        struct stat st;
        autofd int fd = log_files_open_current(log->path, &number, &st);

        g_assert_cmpint(fd, >=, 0);
        return number;
}

static char first_byte(LogDirectory *log, guint64 number) {
        guint64 found = 0;
        struct stat st;
        char byte = '\0';
        autofd int fd = log_files_open(log->path, number, &found, &st);

        if (fd < 0)
                return '-';
        g_assert_cmpuint(found, ==, number > 0 ? number : found);
        g_assert_cmpint(read(fd, &byte, 1), ==, 1);
        return byte;
}

static void test_nothing_is_there(LogDirectory *log, const void *data) {
        LogCursor end = {.number = 7};

        g_assert_true(log_files_end(log->path, &end, NULL));
        g_assert_cmpuint(end.number, ==, 0);
        g_assert_cmpint(first_byte(log, 0), ==, '-');
        g_assert_cmpuint(log_files_after(log->path, 0), ==, 0);
}

/* From the link on until conmon has made its new file both names are one file. */
static void test_a_rotation_step_by_step(LogDirectory *log, const void *data) {
        LogCursor end;

        log_append(log->path, "aa");
        g_assert_cmpuint(current(log), ==, 1);
        log_link(log, ".1");
        g_assert_cmpuint(current(log), ==, 1);
        g_assert_cmpuint(log_files_after(log->path, 1), ==, 0);
        log_replace(log, "b");
        g_assert_cmpuint(current(log), ==, 2);
        g_assert_cmpuint(log_files_after(log->path, 1), ==, 2);
        g_assert_cmpint(first_byte(log, 1), ==, 'a');
        g_assert_cmpint(first_byte(log, 2), ==, 'b');
        g_assert_cmpint(first_byte(log, 3), ==, '-');
        g_assert_true(log_files_end(log->path, &end, NULL));
        g_assert_cmpuint(end.number, ==, 2);
        g_assert_cmpuint(end.offset, ==, 1);
}

static void test_numbers_are_numbers(LogDirectory *log, const void *data) {
        log_append(log->path, "c");
        for (unsigned i = 8; i <= 11; i++) {
                g_autofree char *suffix = g_strdup_printf(".%u", i), *name = g_strconcat(log->path, suffix, NULL);
                log_append(name, "o");
        }
        for (const char *const *other = (const char *const[]) {".tmp", ".x", ".12x", ".0", ".-3", NULL}; *other; other++) {
                g_autofree char *name = g_strconcat(log->path, *other, NULL);
                log_append(name, "!");
        }
        g_autoptr(GArray) numbers = log_files_rotated(log->path);
        g_assert_cmpuint(numbers->len, ==, 4);
        g_assert_cmpuint(g_array_index(numbers, guint64, 0), ==, 8);
        g_assert_cmpuint(g_array_index(numbers, guint64, 3), ==, 11);
        g_assert_cmpuint(current(log), ==, 12);
        g_assert_cmpint(first_byte(log, 0), ==, 'o');
        g_assert_cmpuint(log_files_after(log->path, 3), ==, 8);
        g_assert_cmpuint(log_files_after(log->path, 11), ==, 12);
}

/* Somebody has removed the present file by hand. */
static void test_without_the_present_file(LogDirectory *log, const void *data) {
        LogCursor end;

        log_append(log->path, "aaa");
        log_link(log, ".1");
        g_assert_cmpint(g_remove(log->path), ==, 0);
        g_assert_true(log_files_end(log->path, &end, NULL));
        g_assert_cmpuint(end.number, ==, 1);
        g_assert_cmpuint(end.offset, ==, 3);
        g_assert_cmpint(first_byte(log, 0), ==, 'a');
}

static void test_a_link_is_no_log(LogDirectory *log, const void *data) {
        g_autoptr(GError) error = NULL;
        LogCursor end;

        g_assert_cmpint(symlink("/etc/passwd", log->path), ==, 0);
        g_assert_false(log_files_end(log->path, &end, &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INTERNAL);
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *name;
                void (*run)(LogDirectory *log, const void *data);
        } tests[] = {
                {"/log-files/nothing-is-there", test_nothing_is_there},
                {"/log-files/a-rotation-step-by-step", test_a_rotation_step_by_step},
                {"/log-files/numbers-are-numbers", test_numbers_are_numbers},
                {"/log-files/without-the-present-file", test_without_the_present_file},
                {"/log-files/a-link-is-no-log", test_a_link_is_no_log},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].name, LogDirectory, NULL, log_directory_make, tests[i].run, log_directory_remove);
        return g_test_run();
}
