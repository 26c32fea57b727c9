/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Death on request: at the number in the file, once, by SIGKILL; and never without the file. Each case is a child that passes crash points. */

#include "operation/crash-point.h"
#include "testing.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef CONBUS_CRASH_POINTS

static char *file;

static void pass(int n) {
        for (int i = 0; i < n; i++)
                crash_point();
}

/* In a child, since the count is the process's; returns its wait status. */
static int run_child(void (*body)(void)) {
        int status = 0;
        pid_t pid = fork();

        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
                body();
                _exit(EXIT_SUCCESS);
        }
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        return status;
}

static void order(const char *number) {
        g_assert_true(g_file_set_contents(file, number, -1, NULL));
}

static void expect(int status, bool died) {
        g_assert_true(WIFSIGNALED(status) == died && WIFEXITED(status) == !died);
        if (died)
                g_assert_cmpint(WTERMSIG(status), ==, SIGKILL);
        g_assert_true(g_file_test(file, G_FILE_TEST_EXISTS) == !died); /* the next service lives on */
}

static void pass_two(void) {
        pass(2);
}

static void pass_three(void) {
        pass(3);
}

static void test_it_dies_at_the_number(void) {
        order("3\n");
        expect(run_child(pass_two), false);
        expect(run_child(pass_three), true);
        order("1");
        expect(run_child(pass_two), true);
}

static void pass_before_the_order(void) {
        pass(5);
        order("2");
        pass(1);
}

static void pass_one_more(void) {
        pass_before_the_order();
        pass(1);
}

static void test_it_counts_from_when_the_file_is_there(void) {
        (void) unlink(file);
        expect(run_child(pass_before_the_order), false);
        (void) unlink(file);
        expect(run_child(pass_one_more), true);
}

static void withdraw_and_order_again(void) {
        order("3");
        pass(2);
        (void) unlink(file);
        pass(1);
        order("3");
        pass(2);
}

static void test_it_counts_anew_for_a_new_file(void) {
        expect(run_child(withdraw_and_order_again), false);
}

static void pass_many(void) {
        pass(1000);
}

static void test_what_is_no_number_never_comes(void) {
        static const char *const texts[] = {"", "0", "-1", "soon"};

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                order(texts[i]);
                expect(run_child(pass_two), false);
        }
}

static void forget_the_variable(void) {
        g_unsetenv("CONBUS_CRASH_FILE");
        pass(3);
}

static void test_without_the_variable_nothing_happens(void) {
        order("1");
        expect(run_child(forget_the_variable), false);
        (void) unlink(file);
        g_assert_cmpint(run_child(pass_many), ==, 0);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_autoptr(TestingDirectory) directory = testing_directory_new();

        file = g_build_filename(directory, "crash", NULL);
        g_assert_true(g_setenv("CONBUS_CRASH_FILE", file, TRUE));
        g_test_add_func("/crash-point/it-dies-at-the-number", test_it_dies_at_the_number);
        g_test_add_func("/crash-point/it-counts-from-when-the-file-is-there", test_it_counts_from_when_the_file_is_there);
        g_test_add_func("/crash-point/it-counts-anew-for-a-new-file", test_it_counts_anew_for_a_new_file);
        g_test_add_func("/crash-point/what-is-no-number-never-comes", test_what_is_no_number_never_comes);
        g_test_add_func("/crash-point/without-the-variable-nothing-happens", test_without_the_variable_nothing_happens);
        int status = g_test_run();
        g_free(file);
        return status;
}

#else

/* A build without them has nothing to die of: the call is empty, whatever the environment says. */
static void test_there_is_none(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        g_autofree char *file = g_build_filename(directory, "crash", NULL);

        testing_write(directory, "crash", "1");
        g_assert_true(g_setenv("CONBUS_CRASH_FILE", file, TRUE));
        crash_point();
        g_assert_true(g_file_test(file, G_FILE_TEST_EXISTS));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/crash-point/there-is-none", test_there_is_none);
        return g_test_run();
}
#endif
