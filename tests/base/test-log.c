/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What reaches standard error, and in which form. */

#include "base/log.h"
#include "testing.h"
#include <fcntl.h>
#include <sys/mman.h>

static int stderr_before;

/* Standard error goes to a file in memory until captured() reads it. */
static void capture(void) {
        autofd int fd = memfd_create("stderr", MFD_CLOEXEC);

        stderr_before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        g_assert_cmpint(dup2(fd, STDERR_FILENO), ==, STDERR_FILENO);
}

static char *captured(void) {
        char text[4096];
        ssize_t n = pread(STDERR_FILENO, text, sizeof text, 0);

        g_assert_cmpint(n, >=, 0);
        g_assert_cmpint(dup2(stderr_before, STDERR_FILENO), ==, STDERR_FILENO);
        close(stderr_before);
        return g_strndup(text, (gsize) n);
}

static void test_level_names_go_both_ways(void) {
        static const char *const names[] = {"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"};

        for (int level = LOG_EMERG; level <= LOG_DEBUG; level++) {
                g_assert_true(log_set_level_name(names[level]));
                g_assert_cmpint(log_get_level(), ==, level);
                g_assert_cmpstr(log_get_level_name(), ==, names[level]);
        }
}

static void test_an_unknown_level_changes_nothing(void) {
        log_set_level(LOG_NOTICE);
        g_assert_false(log_set_level_name("loud"));
        g_assert_false(log_set_level_name(""));
        g_assert_cmpint(log_get_level(), ==, LOG_NOTICE);
}

static void test_a_level_out_of_range_is_the_nearest(void) {
        log_set_level(-5);
        g_assert_cmpint(log_get_level(), ==, LOG_EMERG);
        log_set_level(99);
        g_assert_cmpint(log_get_level(), ==, LOG_DEBUG);
}

static void test_lines_above_the_level_are_dropped(void) {
        g_assert_true(log_set_target_name("console"));
        log_set_level(LOG_WARNING);
        capture();
        log_error("one %d", 1);
        log_warning("two");
        log_notice("three");
        log_debug("four");
        g_autofree char *text = captured();
        g_assert_cmpstr(text, ==, "conbusd: one 1\nconbusd: two\n");
}

static void test_the_journal_gets_priorities(void) {
        g_assert_true(log_set_target_name("journal"));
        log_set_level(LOG_DEBUG);
        capture();
        log_error("a");
        log_info("b");
        log_debug("c");
        g_autofree char *text = captured();
        g_assert_cmpstr(text, ==, "<3>a\n<6>b\n<7>c\n");
}

static void test_a_message_is_one_line(void) {
        g_assert_true(log_set_target_name("console"));
        log_set_level(LOG_INFO);
        capture();
        log_info("%s", "crun said\n<0>forged\n");
        g_autofree char *text = captured();
        g_assert_cmpstr(text, ==, "conbusd: crun said <0>forged \n");
}

static void test_an_unknown_target_changes_nothing(void) {
        g_assert_true(log_set_target_name("journal"));
        g_assert_false(log_set_target_name("kmsg"));
        g_assert_cmpstr(log_get_target_name(), ==, "journal");
}

static void test_the_target_follows_journal_stream(void) {
        if (g_test_subprocess()) {
                g_setenv("JOURNAL_STREAM", "8:12345", true);
                g_assert_cmpstr(log_get_target_name(), ==, "journal");
                return;
        }
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
}

static void test_without_journal_stream_it_is_the_console(void) {
        if (g_test_subprocess()) {
                g_unsetenv("JOURNAL_STREAM");
                g_assert_cmpstr(log_get_target_name(), ==, "console");
                return;
        }
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/log/level-names-go-both-ways", test_level_names_go_both_ways);
        g_test_add_func("/log/an-unknown-level-changes-nothing", test_an_unknown_level_changes_nothing);
        g_test_add_func("/log/a-level-out-of-range-is-the-nearest", test_a_level_out_of_range_is_the_nearest);
        g_test_add_func("/log/lines-above-the-level-are-dropped", test_lines_above_the_level_are_dropped);
        g_test_add_func("/log/the-journal-gets-priorities", test_the_journal_gets_priorities);
        g_test_add_func("/log/a-message-is-one-line", test_a_message_is_one_line);
        g_test_add_func("/log/an-unknown-target-changes-nothing", test_an_unknown_target_changes_nothing);
        g_test_add_func("/log/the-target-follows-journal-stream", test_the_target_follows_journal_stream);
        g_test_add_func("/log/without-journal-stream-it-is-the-console", test_without_journal_stream_it_is_the_console);
        return g_test_run();
}
