/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/runtime/control-fifo.c: one message at a time. */

#include "runtime/control-fifo.h"
#include "base/auto.h"
#include "testing.h"
#include <fcntl.h>
#include <sys/stat.h>

static void test_one_message_at_a_time(void) {
        g_autofree char *directory = testing_directory_new(), *path = g_build_filename(directory, CONTROL_FIFO, NULL);
        g_autoptr(GError) error = NULL;
        char text[64] = "";
        bool busy;

        g_assert_cmpint(mkfifo(path, 0600), ==, 0);
        g_assert_false(control_fifo_send(path, "2 0 0\n", &busy, &error)); /* nobody is there */
        g_assert_false(busy);
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_NOT_RUNNING);
        g_clear_error(&error);
        autofd int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        g_assert_true(control_fifo_send(path, "2 0 0\n", &busy, &error));
        g_assert_false(control_fifo_send(path, "1 24 80\n", &busy, &error));
        g_assert_true(busy);
        g_assert_no_error(error);
        g_assert_cmpint(read(reader, text, sizeof text), ==, 6);
        g_assert_cmpstr(text, ==, "2 0 0\n");
        g_assert_true(control_fifo_send(path, "1 24 80\n", &busy, &error));
        testing_directory_free(directory);
        directory = NULL;
}

static void test_no_fifo(void) {
        g_autoptr(GError) error = NULL;
        bool busy;

        g_assert_false(control_fifo_send("/nonexistent/ctl", "2 0 0\n", &busy, &error));
        g_assert_false(busy);
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_NOT_RUNNING);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/control-fifo/one-message-at-a-time", test_one_message_at_a_time);
        g_test_add_func("/control-fifo/no-fifo", test_no_fifo);
        return g_test_run();
}
