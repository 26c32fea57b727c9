/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/runtime/log-rotation.c, with the test in conmon's place: it reads the FIFO and makes new files. */

#include "runtime/log-rotation.h"
#include "base/auto.h"
#include "runtime/control-fifo.h"
#include "stream/log-files.h"
#include "testing.h"
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#define LIMIT 4096

typedef struct Fixture {
        char *directory, *path, *fifo;
        sd_event *event;
        sd_event_source *source;
        int fifo_fd, log_fd;
        unsigned n_messages;
} Fixture;

static void open_new(Fixture *fixture) {
        g_autofree char *temporary = g_strconcat(fixture->path, ".tmp", NULL);

        g_assert_cmpint(access(temporary, F_OK), ==, 0); /* it is made before */
        close_fd(fixture->log_fd);
        fixture->log_fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        g_assert_cmpint(rename(temporary, fixture->path), ==, 0);
}

static int on_message(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Fixture *fixture = userdata;
        char text[64] = "";
        ssize_t n = read(fd, text, sizeof text);

        if (n <= 0)
                return 0;
        g_assert_cmpint(n, ==, 6);
        g_assert_cmpstr(text, ==, "2 0 0\n");
        fixture->n_messages++;
        open_new(fixture);
        return 0;
}

static void set_up(Fixture *fixture, const void *data) {
        fixture->directory = testing_directory_new();
        fixture->path = g_build_filename(fixture->directory, "log", NULL);
        fixture->fifo = g_build_filename(fixture->directory, CONTROL_FIFO, NULL);
        g_assert_cmpint(mkfifo(fixture->fifo, 0600), ==, 0);
        fixture->fifo_fd = open(fixture->fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        fixture->log_fd = open(fixture->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        g_assert_cmpint(sd_event_add_io(fixture->event, &fixture->source, fixture->fifo_fd, EPOLLIN, on_message, fixture), >=, 0);
}

static void tear_down(Fixture *fixture, const void *data) {
        sd_event_source_disable_unref(fixture->source);
        sd_event_unref(fixture->event);
        close_fd(fixture->fifo_fd);
        close_fd(fixture->log_fd);
        g_free(fixture->fifo);
        g_free(fixture->path);
        testing_directory_free(fixture->directory);
}

static void write_log(Fixture *fixture, size_t size) {
        g_autofree char *text = g_strnfill(size, 'x');

        g_assert_cmpint(write(fixture->log_fd, text, size), ==, (gssize) size);
}

static LogRotation *begin(Fixture *fixture, unsigned files_max) {
        const LogLimits limits = {.size_max = LIMIT, .files_max = files_max};

        return log_rotation_new(fixture->event, fixture->path, fixture->fifo, &limits);
}

static guint64 current(Fixture *fixture) {
        LogCursor end;

        g_assert_true(log_files_end(fixture->path, &end, NULL));
        return end.number;
}

static void run_until(Fixture *fixture, guint64 number) {
        while (current(fixture) < number)
                g_assert_cmpint(sd_event_run(fixture->event, TESTING_DEADLINE_USEC), >, 0);
}

static char *rotated(Fixture *fixture) {
        g_autoptr(GArray) numbers = log_files_rotated(fixture->path);
        GString *text = g_string_new(NULL);

        for (guint i = 0; i < numbers->len; i++)
                g_string_append_printf(text, "%" G_GUINT64_FORMAT " ", g_array_index(numbers, guint64, i));
        return g_string_free(text, FALSE);
}

static void expect_rotated(Fixture *fixture, const char *expected) {
        g_autofree char *text = rotated(fixture);

        g_assert_cmpstr(text, ==, expected);
}

static void test_what_is_too_large_is_rotated(Fixture *fixture, const void *data) {
        LogRotation *rotation = begin(fixture, 3);

        for (guint64 i = 1; i <= 5; i++) {
                write_log(fixture, LIMIT - 1);
                write_log(fixture, 1);
                run_until(fixture, i + 1);
        }
        g_assert_cmpuint(fixture->n_messages, ==, 5);
        /* The last prune follows the last rename. */
        for (g_autofree char *text = rotated(fixture); !g_str_equal(text, "4 5 "); g_free(text), text = rotated(fixture))
                g_assert_cmpint(sd_event_run(fixture->event, TESTING_DEADLINE_USEC), >, 0);
        log_rotation_free(rotation);
}

static void test_many_writes_are_few_looks(Fixture *fixture, const void *data) {
        LogRotation *rotation = begin(fixture, 3);
        unsigned n_turns = 0;
        guint64 begin_usec = (guint64) g_get_monotonic_time();

        for (unsigned i = 0; i < LIMIT - 1; i++) {
                write_log(fixture, 1);
                while (sd_event_run(fixture->event, 0) > 0)
                        n_turns++;
        }
        guint64 elapsed = (guint64) g_get_monotonic_time() - begin_usec;
        g_assert_cmpuint(n_turns, <, 50 + elapsed / (20 * G_TIME_SPAN_MILLISECOND));
        g_assert_cmpuint(current(fixture), ==, 1);
        log_rotation_free(rotation);
}

/* After the last write there is one more look, and then no timer. */
static void test_silence_is_no_work(Fixture *fixture, const void *data) {
        LogRotation *rotation = begin(fixture, 3);

        write_log(fixture, 10);
        while (sd_event_run(fixture->event, 3 * G_USEC_PER_SEC) > 0)
                ;
        g_assert_cmpint(sd_event_run(fixture->event, 2 * G_USEC_PER_SEC), ==, 0);
        write_log(fixture, LIMIT);
        run_until(fixture, 2);
        log_rotation_free(rotation);
}

/* A message that conmon has not read yet is none that may be followed by another one. */
static void test_a_busy_fifo_is_waited_for(Fixture *fixture, const void *data) {
        char text[64];
        bool busy;

        g_assert_cmpint(sd_event_source_set_enabled(fixture->source, SD_EVENT_OFF), >=, 0);
        g_assert_true(control_fifo_send(fixture->fifo, "1 24 80\n", &busy, NULL));
        write_log(fixture, LIMIT);
        LogRotation *rotation = begin(fixture, 3);
        for (unsigned i = 0; i < 5; i++)
                g_assert_cmpint(sd_event_run(fixture->event, TESTING_DEADLINE_USEC), >, 0);
        g_assert_cmpint(read(fixture->fifo_fd, text, sizeof text), ==, 8);
        g_assert_cmpint(sd_event_source_set_enabled(fixture->source, SD_EVENT_ON), >=, 0);
        run_until(fixture, 2);
        g_assert_cmpuint(fixture->n_messages, ==, 1);
        log_rotation_free(rotation);
}

/* The service was killed after it gave the number: before it sent the message, or after it. */
static void test_another_service_finishes_it(Fixture *fixture, const void *data) {
        g_autofree char *name = log_files_name(fixture->path, 1), *temporary = g_strconcat(fixture->path, ".tmp", NULL);
        bool was_sent = GPOINTER_TO_INT(data), busy;

        write_log(fixture, LIMIT);
        g_assert_cmpint(link(fixture->path, name), ==, 0);
        g_assert_true(g_file_set_contents(temporary, "", 0, NULL));
        if (was_sent)
                g_assert_true(control_fifo_send(fixture->fifo, "2 0 0\n", &busy, NULL));
        LogRotation *rotation = begin(fixture, 3);
        run_until(fixture, 2);
        write_log(fixture, 5);
        while (sd_event_run(fixture->event, 3 * G_USEC_PER_SEC) > 0)
                ;
        g_assert_cmpuint(fixture->n_messages, ==, 1); /* a second one would have thrown something away */
        expect_rotated(fixture, "1 ");
        log_rotation_free(rotation);
}

static void test_between_runs(Fixture *fixture, const void *data) {
        const LogLimits limits = {.size_max = LIMIT, .files_max = 2};
        g_autofree char *name = NULL;

        g_assert_true(log_rotation_between_runs(fixture->path, &limits, NULL));
        g_assert_cmpuint(current(fixture), ==, 1);
        for (guint64 i = 1; i <= 3; i++) {
                write_log(fixture, LIMIT);
                g_assert_true(log_rotation_between_runs(fixture->path, &limits, NULL));
                g_assert_cmpuint(current(fixture), ==, i + 1);
                close_fd(fixture->log_fd);
                fixture->log_fd = open(fixture->path, O_WRONLY | O_APPEND | O_CLOEXEC);
        }
        expect_rotated(fixture, "3 ");
        name = log_files_name(fixture->path, 4); /* one that conmon did not finish before its end */
        g_assert_cmpint(link(fixture->path, name), ==, 0);
        g_assert_true(log_rotation_between_runs(fixture->path, &limits, NULL));
        g_assert_cmpuint(current(fixture), ==, 5);
        expect_rotated(fixture, "4 ");
}

/* conmon has ended before it took the message, or before the service saw that it had. */
static void test_a_rotation_that_conmon_does_not_finish(Fixture *fixture, const void *data) {
        bool has_made_it = GPOINTER_TO_INT(data);
        g_autofree char *temporary = g_strconcat(fixture->path, ".tmp", NULL);

        for (guint64 i = 1; i <= 2; i++) {
                g_autofree char *name = log_files_name(fixture->path, i);
                g_assert_true(g_file_set_contents(name, "old", -1, NULL));
        }
        g_clear_pointer(&fixture->source, sd_event_source_disable_unref);
        write_log(fixture, LIMIT);
        LogRotation *rotation = begin(fixture, 2);
        if (has_made_it)
                open_new(fixture);
        expect_rotated(fixture, "1 2 3 ");
        log_rotation_settle(rotation);
        expect_rotated(fixture, "3 ");
        g_assert_cmpuint(current(fixture), ==, 4);
        g_assert_cmpint(access(temporary, F_OK), <, 0);
        log_rotation_settle(rotation);
        g_assert_cmpuint(current(fixture), ==, 4);
        log_rotation_free(rotation);
}

static void test_without_conmon_nothing_is_lost(Fixture *fixture, const void *data) {
        g_clear_pointer(&fixture->source, sd_event_source_disable_unref);
        fixture->fifo_fd = close_fd(fixture->fifo_fd);
        write_log(fixture, LIMIT);
        LogRotation *rotation = begin(fixture, 2);
        (void) sd_event_run(fixture->event, 0);
        struct stat st;
        g_assert_cmpint(stat(fixture->path, &st), ==, 0);
        g_assert_cmpint(st.st_size, ==, LIMIT);
        log_rotation_free(rotation);
}

static void test_a_log_that_was_removed(Fixture *fixture, const void *data) {
        g_assert_cmpint(unlink(fixture->path), ==, 0);
        LogRotation *rotation = begin(fixture, 2);
        g_assert_cmpint(sd_event_run(fixture->event, 2 * G_USEC_PER_SEC), ==, 0); /* no timer */
        log_rotation_free(rotation);
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *name;
                void (*run)(Fixture *fixture, const void *data);
                const void *data;
        } tests[] = {
                {"/log-rotation/what-is-too-large-is-rotated", test_what_is_too_large_is_rotated, NULL},
                {"/log-rotation/many-writes-are-few-looks", test_many_writes_are_few_looks, NULL},
                {"/log-rotation/silence-is-no-work", test_silence_is_no_work, NULL},
                {"/log-rotation/a-busy-fifo-is-waited-for", test_a_busy_fifo_is_waited_for, NULL},
                {"/log-rotation/another-service-sends-the-message", test_another_service_finishes_it, GINT_TO_POINTER(FALSE)},
                {"/log-rotation/another-service-does-not-repeat-it", test_another_service_finishes_it, GINT_TO_POINTER(TRUE)},
                {"/log-rotation/conmon-ends-before-it", test_a_rotation_that_conmon_does_not_finish, GINT_TO_POINTER(FALSE)},
                {"/log-rotation/conmon-ends-behind-it", test_a_rotation_that_conmon_does_not_finish, GINT_TO_POINTER(TRUE)},
                {"/log-rotation/between-runs", test_between_runs, NULL},
                {"/log-rotation/without-conmon-nothing-is-lost", test_without_conmon_nothing_is_lost, NULL},
                {"/log-rotation/a-log-that-was-removed", test_a_log_that_was_removed, NULL},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].name, Fixture, tests[i].data, set_up, tests[i].run, tear_down);
        return g_test_run();
}
