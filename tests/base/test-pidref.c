/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Processes by pidfd, on real children. */

#include "base/pidref.h"
#include "testing.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void end(pid_t pid, int signal) {
        g_assert_cmpint(kill(pid, signal), ==, 0);
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

/* Ended, not yet reaped. */
static void await_end(const PidRef *ref) {
        struct pollfd pollfd = {.fd = ref->fd, .events = POLLIN};

        g_assert_cmpint(poll(&pollfd, 1, TESTING_DEADLINE_USEC / 1000), ==, 1);
}

static void test_open_knows_pid_and_start_time(void) {
        pid_t pid = testing_child_new();
        g_auto(PidRef) ref = PIDREF_NULL;
        g_autoptr(GError) error = NULL;

        g_assert_true(pidref_open(pid, &ref, &error));
        g_assert_no_error(error);
        g_assert_true(pidref_is_set(&ref));
        g_assert_cmpint(ref.pid, ==, pid);
        g_assert_cmpuint(ref.start_time, ==, pid_start_time(pid));
        g_assert_cmpint(fcntl(ref.fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
        end(pid, SIGKILL);
}

static void test_open_of_nothing_fails(void) {
        pid_t pid = testing_child_new();
        g_auto(PidRef) ref = PIDREF_NULL;
        g_autoptr(GError) error = NULL;

        end(pid, SIGKILL);
        g_assert_false(pidref_open(pid, &ref, &error));
        testing_expect_error(&error, CONBUS_ERROR_INTERNAL, "open a pidfd of process");
        g_assert_false(pidref_is_set(&ref));
}

static void test_exiting_is_told_of_the_unreaped_and_the_gone(void) {
        pid_t pid = testing_child_new();
        g_auto(PidRef) ref = PIDREF_NULL;

        g_assert_true(pidref_find(pid, pid_start_time(pid), &ref));
        g_assert_false(pid_is_exiting(pid));
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        await_end(&ref);
        g_assert_true(pid_is_exiting(pid));
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
        g_assert_true(pid_is_exiting(pid));
        g_assert_cmpuint(pid_start_time(pid), ==, 0);
}

static void test_find_wants_the_same_start_time(void) {
        pid_t pid = testing_child_new();
        g_auto(PidRef) ref = PIDREF_NULL, stranger = PIDREF_NULL;

        g_assert_true(pidref_find(pid, pid_start_time(pid), &ref));
        g_assert_cmpint(ref.pid, ==, pid);
        g_assert_false(pidref_find(pid, pid_start_time(pid) + 1, &stranger));
        g_assert_false(pidref_find(0, 0, &stranger));
        g_assert_false(pidref_find(-1, 0, &stranger));
        g_assert_cmpint(stranger.fd, ==, -1);
        end(pid, SIGKILL);
        g_assert_false(pidref_find(pid, ref.start_time, &stranger));
}

static void test_a_command_with_parentheses_does_not_mislead(void) {
        char before[16];
        guint64 start = pid_start_time(getpid());

        g_assert_cmpuint(start, >, 0);
        g_assert_cmpint(prctl(PR_GET_NAME, before), ==, 0);
        g_assert_cmpint(prctl(PR_SET_NAME, "a) S 1 (b 2 3"), ==, 0);
        g_assert_cmpuint(pid_start_time(getpid()), ==, start);
        g_assert_cmpint(prctl(PR_SET_NAME, before), ==, 0);
}

static void test_start_time_of_nothing_is_zero(void) {
        pid_t pid = testing_child_new();

        end(pid, SIGKILL);
        g_assert_cmpuint(pid_start_time(pid), ==, 0);
}

static void test_the_parent_is_known(void) {
        pid_t child = fork();

        if (child == 0) {
                pause();
                _exit(0);
        }
        g_assert_cmpint(pid_parent(child), ==, getpid());
        g_assert_cmpint(kill(child, SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
        g_assert_cmpint(pid_parent(child), ==, 0);
}

static void test_the_depth_is_that_of_namespaces(void) {
        pid_t child = (pid_t) syscall(SYS_clone, CLONE_NEWPID | SIGCHLD | (getuid() == 0 ? 0 : CLONE_NEWUSER), NULL, NULL, NULL, NULL);

        if (child < 0) {
                g_test_skip("no PID namespaces here");
                return;
        }
        if (child == 0) {
                pause();
                _exit(0);
        }
        g_assert_cmpuint(pid_depth(getpid()), ==, 1);
        g_assert_cmpuint(pid_depth(child), ==, 2);
        g_assert_cmpint(kill(child, SIGKILL), ==, 0);
        siginfo_t info;
        g_assert_cmpint(waitid(P_PID, (id_t) child, &info, WEXITED | WNOWAIT), ==, 0);
        g_assert_cmpuint(pid_depth(child), ==, 2); /* until it is reaped */
        g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
        g_assert_cmpuint(pid_depth(child), ==, 0);
}

static void test_children_are_killed_and_nobody_else(void) {
        pid_t child = fork(), parent = getpid();

        if (child == 0) {
                pause();
                _exit(0);
        }
        int status;
        pid_kill_children(child); /* it has none */
        g_assert_cmpint(waitpid(child, &status, WNOHANG), ==, 0);
        pid_kill_children(parent);
        g_assert_cmpint(waitpid(child, &status, 0), ==, child);
        g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        pid_kill_children(child); /* it is gone */
}

static void test_a_signal_arrives(void) {
        pid_t pid = testing_child_new();
        g_auto(PidRef) ref = PIDREF_NULL;
        bool gone = true;
        int status;

        g_assert_true(pidref_open(pid, &ref, NULL));
        g_assert_true(pidref_signal(&ref, SIGTERM, &gone, NULL));
        g_assert_false(gone);
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_cmpint(WTERMSIG(status), ==, SIGTERM);
}

static void test_a_signal_to_a_reaped_process_is_no_error(void) {
        pid_t pid = testing_child_new();
        g_auto(PidRef) ref = PIDREF_NULL;
        bool gone = false;

        g_assert_true(pidref_open(pid, &ref, NULL));
        end(pid, SIGKILL);
        g_assert_true(pidref_signal(&ref, SIGTERM, &gone, NULL));
        g_assert_true(gone);
        g_assert_true(pidref_signal(&ref, SIGTERM, NULL, NULL));
}

static void test_a_signal_to_none_is_no_error(void) {
        PidRef none = PIDREF_NULL;
        bool gone = false;

        g_assert_true(pidref_signal(&none, SIGKILL, &gone, NULL));
        g_assert_true(gone);
}

static void test_a_bad_signal_is_an_error(void) {
        g_auto(PidRef) ref = PIDREF_NULL;
        g_autoptr(GError) error = NULL;

        g_assert_true(pidref_open(getpid(), &ref, NULL));
        g_assert_false(pidref_signal(&ref, 12345, NULL, &error));
        testing_expect_error(&error, CONBUS_ERROR_INTERNAL, "send signal 12345");
}

static void test_an_end_is_seen_before_and_after_reaping(void) {
        pid_t pid = testing_child_new();
        g_auto(PidRef) ref = PIDREF_NULL;
        PidRef none = PIDREF_NULL;

        g_assert_true(pidref_open(pid, &ref, NULL));
        g_assert_false(pidref_has_ended(&ref));
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        await_end(&ref);
        g_assert_true(pidref_has_ended(&ref));
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
        g_assert_true(pidref_has_ended(&ref));
        g_assert_true(pidref_has_ended(&none));
}

static void test_the_status_is_unknown_before_reaping(void) {
        pid_t pid = testing_child_new();
        g_auto(PidRef) ref = PIDREF_NULL;
        PidRef none = PIDREF_NULL;
        int status = 42;

        g_assert_true(pidref_open(pid, &ref, NULL));
        g_assert_false(pidref_exit_status(&ref, &status));
        g_assert_false(pidref_exit_status(&none, &status));
        g_assert_cmpint(status, ==, 42);
        g_assert_true(pidref_status_is_lost(&none));
        end(pid, SIGKILL);
}

static pid_t exiting_child_new(int code) {
        pid_t pid = fork();

        if (pid == 0)
                _exit(code);
        return pid;
}

static void test_the_status_is_known_after_reaping(void) {
        g_auto(PidRef) exited = PIDREF_NULL, killed = PIDREF_NULL;
        pid_t exiting = exiting_child_new(7), waiting = testing_child_new();
        int status = 0;

        g_assert_true(pidref_open(exiting, &exited, NULL));
        g_assert_true(pidref_open(waiting, &killed, NULL));
        g_assert_cmpint(waitpid(exiting, NULL, 0), ==, exiting);
        end(waiting, SIGTERM);
        bool known = pidref_exit_status(&exited, &status);
        g_assert_true(known == !pidref_status_is_lost(&exited));
        if (!known) {
                g_test_skip("this kernel does not tell the status of a reaped process (Linux 6.15)");
                return;
        }
        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(WEXITSTATUS(status), ==, 7);
        g_assert_true(pidref_exit_status(&killed, &status));
        g_assert_true(WIFSIGNALED(status));
        g_assert_cmpint(WTERMSIG(status), ==, SIGTERM);
}

static void test_stealing_and_clearing_leave_nothing(void) {
        PidRef ref = PIDREF_NULL;

        g_assert_true(pidref_open(getpid(), &ref, NULL));
        int fd = ref.fd;
        PidRef stolen = pidref_steal(&ref);
        g_assert_false(pidref_is_set(&ref));
        g_assert_cmpint(ref.fd, ==, -1);
        g_assert_cmpint(stolen.fd, ==, fd);
        pidref_clear(&stolen);
        g_assert_false(pidref_is_set(&stolen));
        g_assert_cmpint(fcntl(fd, F_GETFD), ==, -1);
        pidref_clear(&stolen);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/pidref/open-knows-pid-and-start-time", test_open_knows_pid_and_start_time);
        g_test_add_func("/pidref/open-of-nothing-fails", test_open_of_nothing_fails);
        g_test_add_func("/pidref/exiting-is-told-of-the-unreaped-and-the-gone", test_exiting_is_told_of_the_unreaped_and_the_gone);
        g_test_add_func("/pidref/find-wants-the-same-start-time", test_find_wants_the_same_start_time);
        g_test_add_func("/pidref/a-command-with-parentheses-does-not-mislead", test_a_command_with_parentheses_does_not_mislead);
        g_test_add_func("/pidref/start-time-of-nothing-is-zero", test_start_time_of_nothing_is_zero);
        g_test_add_func("/pidref/the-parent-is-known", test_the_parent_is_known);
        g_test_add_func("/pidref/the-depth-is-that-of-namespaces", test_the_depth_is_that_of_namespaces);
        g_test_add_func("/pidref/children-are-killed-and-nobody-else", test_children_are_killed_and_nobody_else);
        g_test_add_func("/pidref/a-signal-arrives", test_a_signal_arrives);
        g_test_add_func("/pidref/a-signal-to-a-reaped-process-is-no-error", test_a_signal_to_a_reaped_process_is_no_error);
        g_test_add_func("/pidref/a-signal-to-none-is-no-error", test_a_signal_to_none_is_no_error);
        g_test_add_func("/pidref/a-bad-signal-is-an-error", test_a_bad_signal_is_an_error);
        g_test_add_func("/pidref/an-end-is-seen-before-and-after-reaping", test_an_end_is_seen_before_and_after_reaping);
        g_test_add_func("/pidref/the-status-is-unknown-before-reaping", test_the_status_is_unknown_before_reaping);
        g_test_add_func("/pidref/the-status-is-known-after-reaping", test_the_status_is_known_after_reaping);
        g_test_add_func("/pidref/stealing-and-clearing-leave-nothing", test_stealing_and_clearing_leave_nothing);
        return g_test_run();
}
