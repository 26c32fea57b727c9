/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What reaches standard error, and in which form. */

#include "base/log.h"
#include "testing.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

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

/* What standard error is for the journal: a stream, whose other end may not be read. */
static void test_whoever_does_not_read_holds_up_nothing(void) {
        g_autofree char *long_word = g_strnfill(10000, 'x');
        char text[20000];
        int ends[2], saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        g_autoptr(GString) all = g_string_new(NULL);
        ssize_t n;

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
        g_assert_cmpint(dup2(ends[1], STDERR_FILENO), ==, STDERR_FILENO);
        g_assert_true(log_set_target_name("journal"));
        log_set_level(LOG_INFO);
        for (int i = 0; i < 100; i++)
                log_info("%s", long_word);
        while ((n = recv(ends[0], text, sizeof text, MSG_DONTWAIT)) > 0)
                g_string_append_len(all, text, n);
        log_info("again");
        while ((n = recv(ends[0], text, sizeof text, MSG_DONTWAIT)) > 0)
                g_string_append_len(all, text, n);
        g_assert_cmpint(dup2(saved, STDERR_FILENO), ==, STDERR_FILENO);
        close(saved);
        close(ends[0]);
        close(ends[1]);
        const char *missing = strstr(all->str, "<5>");
        g_assert_nonnull(missing);
        g_assert_cmpint(missing[-1], ==, '\n');
        g_assert_nonnull(strstr(missing, " lines of the log are missing here"));
        g_assert_true(g_str_has_suffix(all->str, "\n<6>again\n"));
}

static JournalEntry *entry_of_run_three(void) {
        JournalEntry *entry = journal_entry_new();

        journal_entry_add_number(entry, "CONBUS_RUN", 3);
        return entry;
}

static void test_an_entry_goes_to_the_journal_once(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        g_autofree char *path = g_build_filename(directory, "journal", NULL);
        autofd int journal = testing_listen(path, SOCK_DGRAM);
        g_autoptr(JournalEntry) entry = entry_of_run_three(), second = entry_of_run_three();
        char text[1024];

        journal_set_socket(path);
        g_assert_true(log_set_target_name("journal"));
        log_set_level(LOG_INFO);
        capture();
        log_entry(LOG_NOTICE, entry, "ends\nhere\x1b");
        log_entry(LOG_DEBUG, second, "unheard");
        g_autofree char *lines = captured();
        ssize_t n = recv(journal, text, sizeof text, MSG_DONTWAIT);
        static const char expected[] = "CONBUS_RUN\n\1\0\0\0\0\0\0\0" "3\nMESSAGE\n\12\0\0\0\0\0\0\0ends here \nPRIORITY\n\1\0\0\0\0\0\0\0" "5\nSYSLOG_IDENTIFIER\n\7\0\0\0\0\0\0\0conbusd\n";
        g_assert_cmpmem(text, n, expected, sizeof expected - 1);
        g_assert_cmpint(recv(journal, text, sizeof text, MSG_DONTWAIT), <, 0);
        g_assert_cmpstr(lines, ==, "");
        journal_set_socket("/no/such/socket");
}

static void test_an_entry_without_a_journal_is_a_line(void) {
        g_autoptr(JournalEntry) entry = entry_of_run_three(), second = entry_of_run_three();

        journal_set_socket("/no/such/socket");
        log_set_level(LOG_INFO);
        capture();
        g_assert_true(log_set_target_name("journal"));
        log_entry(LOG_NOTICE, entry, "ends");
        g_assert_true(log_set_target_name("console"));
        log_entry(LOG_NOTICE, second, "ends");
        g_autofree char *lines = captured();
        g_assert_cmpstr(lines, ==, "<5>ends\nconbusd: ends\n");
}

static void test_an_unknown_target_changes_nothing(void) {
        g_assert_true(log_set_target_name("journal"));
        g_assert_false(log_set_target_name("kmsg"));
        g_assert_cmpstr(log_get_target_name(), ==, "journal");
}

static void test_the_target_follows_journal_stream(void) {
        if (g_test_subprocess()) {
                struct stat st;
                g_assert_cmpint(fstat(STDERR_FILENO, &st), ==, 0);
                g_autofree char *stream = g_strdup_printf("%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
                g_setenv("JOURNAL_STREAM", stream, true);
                g_assert_cmpstr(log_get_target_name(), ==, "journal");
                return;
        }
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
}

/* Also one that is another's, as of a shell in a service. */
static void test_without_journal_stream_it_is_the_console(gconstpointer stream) {
        if (g_test_subprocess()) {
                if (stream)
                        g_setenv("JOURNAL_STREAM", stream, true);
                else
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
        g_test_add_data_func("/log/without-journal-stream-it-is-the-console", NULL, test_without_journal_stream_it_is_the_console);
        g_test_add_data_func("/log/with-the-journal-stream-of-another-it-is-the-console", "8:12345", test_without_journal_stream_it_is_the_console);
        g_test_add_func("/log/whoever-does-not-read-holds-up-nothing", test_whoever_does_not_read_holds_up_nothing);
        g_test_add_func("/log/an-entry-goes-to-the-journal-once", test_an_entry_goes_to_the_journal_once);
        g_test_add_func("/log/an-entry-without-a-journal-is-a-line", test_an_entry_without_a_journal_is_a_line);
        return g_test_run();
}
