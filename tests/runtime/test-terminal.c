/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The test is conmon: it holds the reading end of the FIFO, and empties it late, or never, or has gone. */

#include "runtime/terminal.h"
#include "base/log.h"
#include "testing.h"
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

typedef struct Fixture {
        sd_event *event;
        char *directory, *fifo;
        int conmon; /* its end; -1: it is not there */
        Terminal *terminal;
        unsigned before;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer unused) {
        log_set_level(LOG_EMERG);
        fixture->before = testing_count_descriptors();
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->directory = testing_directory_new();
        fixture->fifo = g_build_filename(fixture->directory, "ctl", NULL);
        g_assert_no_errno(mkfifo(fixture->fifo, 0600));
        fixture->conmon = open(fixture->fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        g_assert_cmpint(fixture->conmon, >=, 0);
        fixture->terminal = terminal_new(fixture->event, fixture->directory);
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        terminal_free(fixture->terminal);
        fixture->conmon = close_fd(fixture->conmon);
        sd_event_unref(fixture->event);
        testing_directory_free(fixture->directory);
        g_free(fixture->fifo);
        g_assert_cmpuint(testing_count_descriptors(), ==, fixture->before);
}

static int n_waiting(Fixture *fixture) {
        int n = 0;

        g_assert_no_errno(ioctl(fixture->conmon, FIONREAD, &n));
        return n;
}

static bool has_something(void *userdata) {
        return n_waiting(userdata) > 0;
}

/* What one read gives, which is all that conmon looks at. */
static void expect_read(Fixture *fixture, const char *wanted) {
        char text[256] = "";

        g_assert_cmpint(read(fixture->conmon, text, sizeof text - 1), >=, 0);
        g_assert_cmpstr(text, ==, wanted);
}

static void resize(Fixture *fixture, unsigned rows, unsigned columns) {
        g_autoptr(GError) error = NULL;

        g_assert_true(terminal_resize(fixture->terminal, rows, columns, &error));
        g_assert_no_error(error);
}

static void expect_refused(Fixture *fixture, unsigned rows, unsigned columns, ConbusError code, const char *part) {
        g_autoptr(GError) error = NULL;

        g_assert_false(terminal_resize(fixture->terminal, rows, columns, &error));
        testing_expect_error(&error, code, part);
}

static void test_size_is_written_at_once(Fixture *fixture, gconstpointer unused) {
        resize(fixture, 24, 80);
        expect_read(fixture, "1 24 80\n");
        resize(fixture, 1, TERMINAL_SIZE_MAX);
        expect_read(fixture, "1 1 1000\n");
}

static void test_sizes_have_limits(Fixture *fixture, gconstpointer unused) {
        static const unsigned sizes[][2] = {{0, 80}, {24, 0}, {TERMINAL_SIZE_MAX + 1, 80}, {24, TERMINAL_SIZE_MAX + 1}, {G_MAXUINT, G_MAXUINT}};

        for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++)
                expect_refused(fixture, sizes[i][0], sizes[i][1], CONBUS_ERROR_INVALID_ARGS, "both go from 1 to 1000");
        g_assert_cmpint(n_waiting(fixture), ==, 0);
}

static void test_a_fifo_that_is_not_empty_is_waited_for(Fixture *fixture, gconstpointer unused) {
        resize(fixture, 1, 1);
        for (unsigned i = 2; i <= 100; i++)
                resize(fixture, i, i);
        for (unsigned i = 0; i < 3; i++) /* the first look finds it full still, and is not the last */
                g_assert_cmpint(sd_event_run(fixture->event, UINT64_MAX), >, 0);
        expect_read(fixture, "1 1 1\n");
        resize(fixture, 7, 8);
        testing_run_until(fixture->event, has_something, fixture);
        expect_read(fixture, "1 7 8\n"); /* the last one wins */
        testing_run_idle(fixture->event);
        g_assert_cmpint(n_waiting(fixture), ==, 0);
        resize(fixture, 9, 9); /* and nothing waits any more */
        expect_read(fixture, "1 9 9\n");
}

static void test_a_bad_size_does_not_replace_one_that_waits(Fixture *fixture, gconstpointer unused) {
        resize(fixture, 1, 1);
        resize(fixture, 2, 2);
        expect_refused(fixture, 0, 0, CONBUS_ERROR_INVALID_ARGS, "0 rows and 0 columns");
        expect_read(fixture, "1 1 1\n");
        testing_run_until(fixture->event, has_something, fixture);
        expect_read(fixture, "1 2 2\n");
}

static void test_without_conmon_nothing_runs(Fixture *fixture, gconstpointer unused) {
        fixture->conmon = close_fd(fixture->conmon);
        expect_refused(fixture, 24, 80, CONBUS_ERROR_NOT_RUNNING, "conmon has gone");
        g_assert_no_errno(unlink(fixture->fifo));
        expect_refused(fixture, 24, 80, CONBUS_ERROR_NOT_RUNNING, "conmon has gone");
}

static void test_conmon_may_go_while_a_size_waits(Fixture *fixture, gconstpointer unused) {
        resize(fixture, 1, 1);
        resize(fixture, 2, 2);
        fixture->conmon = close_fd(fixture->conmon);
        g_assert_cmpint(sd_event_run(fixture->event, UINT64_MAX), >, 0);
        testing_run_idle(fixture->event);
        expect_refused(fixture, 24, 80, CONBUS_ERROR_NOT_RUNNING, "conmon has gone"); /* it is not waited for any more */
}

static void test_nothing_is_written_after_the_end(Fixture *fixture, gconstpointer unused) {
        resize(fixture, 1, 1);
        resize(fixture, 2, 2);
        g_clear_pointer(&fixture->terminal, terminal_free);
        expect_read(fixture, "1 1 1\n");
        testing_run_idle(fixture->event);
        g_assert_cmpint(n_waiting(fixture), ==, 0);
        terminal_free(NULL);
}

static void test_a_link_is_not_followed(Fixture *fixture, gconstpointer unused) {
        g_autofree char *other = g_build_filename(fixture->directory, "other", NULL);

        g_assert_no_errno(rename(fixture->fifo, other));
        g_assert_no_errno(symlink(other, fixture->fifo));
        expect_refused(fixture, 24, 80, CONBUS_ERROR_INTERNAL, "set the size of the terminal");
        g_assert_cmpint(n_waiting(fixture), ==, 0);
}

#define ADD(name, function) g_test_add("/terminal/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD("size-is-written-at-once", test_size_is_written_at_once);
        ADD("sizes-have-limits", test_sizes_have_limits);
        ADD("a-fifo-that-is-not-empty-is-waited-for", test_a_fifo_that_is_not_empty_is_waited_for);
        ADD("a-bad-size-does-not-replace-one-that-waits", test_a_bad_size_does_not_replace_one_that_waits);
        ADD("without-conmon-nothing-runs", test_without_conmon_nothing_runs);
        ADD("conmon-may-go-while-a-size-waits", test_conmon_may_go_while_a_size_waits);
        ADD("nothing-is-written-after-the-end", test_nothing_is_written_after_the_end);
        ADD("a-link-is-not-followed", test_a_link_is_not_followed);
        return g_test_run();
}
