/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is waited for, for how long, and who is told. Run by tests/sandbox, which has control groups. */

#include "runtime/cgroup.h"
#include "runtime/dying.h"
#include "testing.h"
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define GROUP "/conbus/monitor-" ID

typedef struct Fixture {
        sd_event *event;
        Dying *dying;
        unsigned n_gone, n_left;
} Fixture;

static void on_gone(unsigned n_left, void *userdata) {
        Fixture *fixture = userdata;

        fixture->n_gone++;
        fixture->n_left = n_left;
}

static void set_up(Fixture *fixture, gconstpointer unused) {
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->dying = dying_new(fixture->event, on_gone, fixture);
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        dying_free(fixture->dying);
        sd_event_unref(fixture->event);
        cgroup_remove_monitor(ID);
}

static pid_t child_in_group(void) {
        g_autofree char *file = cgroup_monitor_file(ID), *directory = g_path_get_dirname(file);
        pid_t pid = testing_child_new();

        g_assert_cmpint(g_mkdir_with_parents(directory, 0755), ==, 0);
        FILE *stream = fopen(file, "we");
        g_assert_nonnull(stream);
        g_assert_cmpint(fprintf(stream, "%d", (int) pid), >, 0);
        g_assert_cmpint(fclose(stream), ==, 0);
        return pid;
}

static void kill_child(pid_t pid) {
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
}

static void reap(pid_t pid) {
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

static void test_an_empty_group_is_not_waited_for(Fixture *fixture, gconstpointer unused) {
        dying_add(fixture->dying, "/conbus/no-such-group");
        g_assert_false(dying_await(fixture->dying, 1));
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_gone, ==, 0);
}

static void test_all_are_waited_for(Fixture *fixture, gconstpointer unused) {
        pid_t first = child_in_group(), second = child_in_group();

        dying_add(fixture->dying, GROUP);
        g_assert_true(dying_await(fixture->dying, UINT64_MAX / 2));
        kill_child(first);
        reap(first);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_gone, ==, 0);
        kill_child(second); /* a zombie has ended */
        testing_run_until_count(fixture->event, &fixture->n_gone, 1);
        g_assert_cmpuint(fixture->n_left, ==, 0);
        reap(second);
}

static void test_patience_ends(Fixture *fixture, gconstpointer unused) {
        pid_t first = child_in_group(), second = child_in_group();

        dying_add(fixture->dying, GROUP);
        g_assert_true(dying_await(fixture->dying, 1000));
        testing_run_until_count(fixture->event, &fixture->n_gone, 1);
        g_assert_cmpuint(fixture->n_left, ==, 2);
        kill_child(first);
        kill_child(second);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_gone, ==, 1); /* once */
        reap(first);
        reap(second);
}

static void test_freed_while_it_waits(Fixture *fixture, gconstpointer unused) {
        pid_t pid = child_in_group();
        unsigned before = testing_count_descriptors();

        dying_add(fixture->dying, GROUP);
        g_assert_true(dying_await(fixture->dying, UINT64_MAX / 2));
        g_clear_pointer(&fixture->dying, dying_free);
        kill_child(pid);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_gone, ==, 0);
        reap(pid);
        g_assert_cmpuint(testing_count_descriptors(), <=, before + 1); /* the loop keeps its timer's */
}

static void on_gone_free(unsigned n_left, void *userdata) {
        Fixture *fixture = userdata;

        fixture->n_gone++;
        g_clear_pointer(&fixture->dying, dying_free);
}

static void test_freed_by_who_is_told(Fixture *fixture, gconstpointer unused) {
        pid_t pid = child_in_group();

        dying_free(fixture->dying);
        fixture->dying = dying_new(fixture->event, on_gone_free, fixture);
        dying_add(fixture->dying, GROUP);
        g_assert_true(dying_await(fixture->dying, UINT64_MAX / 2));
        kill_child(pid);
        testing_run_until_count(fixture->event, &fixture->n_gone, 1);
        g_assert_null(fixture->dying);
        reap(pid);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/dying/an-empty-group-is-not-waited-for", Fixture, NULL, set_up, test_an_empty_group_is_not_waited_for, tear_down);
        g_test_add("/dying/all-are-waited-for", Fixture, NULL, set_up, test_all_are_waited_for, tear_down);
        g_test_add("/dying/patience-ends", Fixture, NULL, set_up, test_patience_ends, tear_down);
        g_test_add("/dying/freed-while-it-waits", Fixture, NULL, set_up, test_freed_while_it_waits, tear_down);
        g_test_add("/dying/freed-by-who-is-told", Fixture, NULL, set_up, test_freed_by_who_is_told, tear_down);
        return g_test_run();
}
