/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every child is reaped, and whoever watches it is told, once. */

#include "runtime/reaper.h"
#include "testing.h"
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

typedef struct Fixture {
        sd_event *event;
        Reaper *reaper;
        unsigned n;
        pid_t pid;
        int status;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer unused) {
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->reaper = reaper_new(fixture->event);
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        reaper_free(fixture->reaper);
        sd_event_unref(fixture->event);
}

static void on_ended(pid_t pid, int wait_status, void *userdata) {
        Fixture *fixture = userdata;

        fixture->n++;
        fixture->pid = pid;
        fixture->status = wait_status;
}

static void on_never(pid_t pid, int wait_status, void *userdata) {
        g_assert_not_reached();
}

static pid_t exiting_child_new(int code) {
        pid_t pid = fork();

        if (pid == 0)
                _exit(code);
        return pid;
}

static bool is_reaped(void *pid) {
        return kill(*(pid_t *) pid, 0) < 0 && errno == ESRCH;
}

static void test_a_watcher_is_told_the_code(Fixture *fixture, gconstpointer unused) {
        pid_t pid = exiting_child_new(7);

        reaper_watch(fixture->reaper, pid, on_ended, fixture);
        testing_run_until_count(fixture->event, &fixture->n, 1);
        g_assert_cmpint(fixture->pid, ==, pid);
        g_assert_true(WIFEXITED(fixture->status));
        g_assert_cmpint(WEXITSTATUS(fixture->status), ==, 7);
        g_assert_true(is_reaped(&pid));
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n, ==, 1);
}

static void test_a_watcher_is_told_the_signal(Fixture *fixture, gconstpointer unused) {
        pid_t pid = testing_child_new();

        reaper_watch(fixture->reaper, pid, on_ended, fixture);
        g_assert_cmpint(kill(pid, SIGTERM), ==, 0);
        testing_run_until_count(fixture->event, &fixture->n, 1);
        g_assert_true(WIFSIGNALED(fixture->status));
        g_assert_cmpint(WTERMSIG(fixture->status), ==, SIGTERM);
}

static void test_many_that_end_together_are_all_told(Fixture *fixture, gconstpointer unused) {
        for (unsigned i = 0; i < 20; i++)
                reaper_watch(fixture->reaper, exiting_child_new(0), on_ended, fixture);
        testing_run_until_count(fixture->event, &fixture->n, 20);
}

static void test_a_child_that_nobody_watches_is_reaped(Fixture *fixture, gconstpointer unused) {
        pid_t pid = exiting_child_new(0);

        testing_run_until(fixture->event, is_reaped, &pid);
}

static void test_who_has_left_is_not_told(Fixture *fixture, gconstpointer unused) {
        pid_t one = testing_child_new(), two = testing_child_new(), three = testing_child_new();
        int owner;

        reaper_watch(fixture->reaper, one, on_never, &owner);
        reaper_watch(fixture->reaper, two, on_never, &owner);
        reaper_watch(fixture->reaper, three, on_ended, fixture);
        reaper_unwatch_owner(fixture->reaper, &owner);
        kill(one, SIGKILL);
        kill(two, SIGKILL);
        testing_run_until(fixture->event, is_reaped, &one);
        testing_run_until(fixture->event, is_reaped, &two);
        kill(three, SIGKILL);
        testing_run_until_count(fixture->event, &fixture->n, 1);
}

static void test_check_reaps_without_the_loop(Fixture *fixture, gconstpointer unused) {
        pid_t pid = exiting_child_new(3);
        siginfo_t info = {0};

        reaper_watch(fixture->reaper, pid, on_ended, fixture);
        g_assert_cmpint(waitid(P_PID, (id_t) pid, &info, WEXITED | WNOWAIT), ==, 0);
        g_assert_cmpuint(fixture->n, ==, 0);
        reaper_check(fixture->reaper, pid);
        g_assert_cmpuint(fixture->n, ==, 1);
        g_assert_cmpint(WEXITSTATUS(fixture->status), ==, 3);
        reaper_check(fixture->reaper, pid);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n, ==, 1);
}

static void test_check_of_a_living_child_does_nothing(Fixture *fixture, gconstpointer unused) {
        pid_t pid = testing_child_new();

        reaper_watch(fixture->reaper, pid, on_ended, fixture);
        reaper_check(fixture->reaper, pid);
        g_assert_cmpuint(fixture->n, ==, 0);
        kill(pid, SIGKILL);
        testing_run_until_count(fixture->event, &fixture->n, 1);
}

static void watch_another(pid_t pid, int wait_status, void *userdata) {
        Fixture *fixture = userdata;

        reaper_watch(fixture->reaper, exiting_child_new(9), on_ended, fixture);
}

static void test_a_watcher_may_watch_in_turn(Fixture *fixture, gconstpointer unused) {
        reaper_watch(fixture->reaper, exiting_child_new(0), watch_another, fixture);
        testing_run_until_count(fixture->event, &fixture->n, 1);
        g_assert_cmpint(WEXITSTATUS(fixture->status), ==, 9);
}

/* As PID 1 of a container whose conmon dies. */
static void test_an_orphan_becomes_ours(Fixture *fixture, gconstpointer unused) {
        int numbers[2];
        pid_t orphan = 0;

        g_assert_cmpint(pipe(numbers), ==, 0);
        pid_t parent = fork();
        if (parent == 0) {
                orphan = fork();
                if (orphan == 0)
                        for (;;)
                                pause();
                (void) !write(numbers[1], &orphan, sizeof orphan);
                _exit(0);
        }
        g_assert_cmpint(read(numbers[0], &orphan, sizeof orphan), ==, sizeof orphan);
        close(numbers[0]);
        close(numbers[1]);
        testing_run_until(fixture->event, is_reaped, &parent);
        reaper_watch(fixture->reaper, orphan, on_ended, fixture);
        g_assert_cmpint(kill(orphan, SIGKILL), ==, 0);
        testing_run_until_count(fixture->event, &fixture->n, 1);
        g_assert_cmpint(fixture->pid, ==, orphan);
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *path;
                void (*test)(Fixture *fixture, gconstpointer unused);
        } tests[] = {
                {"/reaper/a-watcher-is-told-the-code", test_a_watcher_is_told_the_code},
                {"/reaper/a-watcher-is-told-the-signal", test_a_watcher_is_told_the_signal},
                {"/reaper/many-that-end-together-are-all-told", test_many_that_end_together_are_all_told},
                {"/reaper/a-child-that-nobody-watches-is-reaped", test_a_child_that_nobody_watches_is_reaped},
                {"/reaper/who-has-left-is-not-told", test_who_has_left_is_not_told},
                {"/reaper/check-reaps-without-the-loop", test_check_reaps_without_the_loop},
                {"/reaper/check-of-a-living-child-does-nothing", test_check_of_a_living_child_does_nothing},
                {"/reaper/a-watcher-may-watch-in-turn", test_a_watcher_may_watch_in_turn},
                {"/reaper/an-orphan-becomes-ours", test_an_orphan_becomes_ours},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].test, tear_down);
        return g_test_run();
}
