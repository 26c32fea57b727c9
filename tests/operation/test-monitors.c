/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The groups of conmons that outlive their runs go when these go, and not before; of others nothing is touched. */

#define FAKES_UNIT "monitors"
#include "fakes.h"
#include "runtime/cgroup.h"
#include <signal.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER_ID "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define GROUP "/conbus/monitor-" ID

/* In the monitor's group of a container. */
static pid_t child_of(const char *id) {
        pid_t pid = testing_child_new();

        fakes_enter_monitor(id, pid);
        return pid;
}

static bool is_unwatched(void *userdata) {
        return ((Fixture *) userdata)->engine->monitors->len == 0;
}

static void end(Fixture *fixture, pid_t pid) {
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        fakes_run_until_gone(fixture, pid);
}

static void test_one_that_lingers(Fixture *fixture, gconstpointer unused) {
        pid_t pid = child_of(ID);
        g_auto(PidRef) monitor = PIDREF_NULL;

        g_assert_true(pidref_open(pid, &monitor, NULL));
        monitors_watch(fixture->engine, ID, &monitor);
        g_assert_false(pidref_is_set(&monitor)); /* taken */
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->engine->monitors->len, ==, 1);
        g_assert_true(fakes_group_exists(GROUP));
        end(fixture, pid);
        testing_run_until(fixture->event, is_unwatched, fixture);
        g_assert_false(fakes_group_exists(GROUP));
}

/* conmon and a conbus-stream whose clients read on. */
static void test_the_last_of_a_group_takes_it_along(Fixture *fixture, gconstpointer unused) {
        pid_t first = child_of(ID), second = child_of(ID), other = child_of(OTHER_ID);

        monitors_watch_group(fixture->engine, ID);
        monitors_watch_group(fixture->engine, ID); /* nobody is watched twice */
        g_assert_cmpuint(fixture->engine->monitors->len, ==, 2);
        end(fixture, first);
        testing_run_idle(fixture->event);
        g_assert_true(fakes_group_exists(GROUP));
        end(fixture, second);
        testing_run_until(fixture->event, is_unwatched, fixture);
        g_assert_false(fakes_group_exists(GROUP));
        g_assert_true(fakes_group_exists("/conbus/monitor-" OTHER_ID));
        end(fixture, other);
        cgroup_remove_monitor(OTHER_ID);
}

static void test_an_empty_group_goes_at_once(Fixture *fixture, gconstpointer unused) {
        end(fixture, child_of(ID));
        g_assert_true(fakes_group_exists(GROUP));
        monitors_watch_group(fixture->engine, ID);
        g_assert_cmpuint(fixture->engine->monitors->len, ==, 0);
        g_assert_false(fakes_group_exists(GROUP));
        monitors_watch_group(fixture->engine, ID); /* nor is it a fault that there is none */
}

/* A conmon with a slow exit command: the container can be removed, and started again, meanwhile. */
static void test_a_run_that_is_over_before_its_conmon(Fixture *fixture, gconstpointer unused) {
        g_autoptr(Container) container = container_ref(fakes_add_started(fixture, "web", NULL));
        g_autofree char *group = cgroup_path_for_monitor(container->id);
        g_auto(Answer) answer = {0};

        Gate *gate = fakes_gate(fixture, "conmon exited");
        kill_now(container);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        gate_reach(gate);
        g_assert_cmpuint(fixture->engine->monitors->len, ==, 1);
        g_assert_true(fakes_group_exists(group));
        fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
        g_assert_no_error(answer.error);
        g_assert_true(fakes_group_exists(group));
        gate_open(gate);
        testing_run_until(fixture->event, is_unwatched, fixture);
        g_assert_false(fakes_group_exists(group));
}

/* --- those of an earlier service --- */

static void test_adoption(Fixture *fixture, gconstpointer unused) {
        Container *living = fakes_add(fixture, "living", NULL), *over = fakes_add(fixture, "over", NULL);
        g_autofree char *living_group = cgroup_path_for_monitor(living->id), *over_group = cgroup_path_for_monitor(over->id);
        pid_t of_living = child_of(living->id), of_over = child_of(over->id), of_nobody = child_of(ID);

        (void) fixture_run(fixture, living, STATE_RUNNING);
        fixture_exit(fixture, over, NULL);
        end(fixture, child_of(OTHER_ID));
        monitors_adopt(fixture->engine);
        g_assert_cmpuint(fixture->engine->monitors->len, ==, 2); /* that of a living run is the run's own affair */
        g_assert_false(fakes_group_exists("/conbus/monitor-" OTHER_ID));
        end(fixture, of_nobody);
        end(fixture, of_over);
        testing_run_until(fixture->event, is_unwatched, fixture);
        g_assert_false(fakes_group_exists(GROUP));
        g_assert_false(fakes_group_exists(over_group));
        g_assert_true(fakes_group_exists(living_group));
        end(fixture, of_living);
}

static void test_the_end_of_the_service_forgets_them(Fixture *fixture, gconstpointer unused) {
        pid_t pid = child_of(ID);

        monitors_watch_group(fixture->engine, ID);
        fixture_crash(fixture, NULL); /* frees what watched: no descriptor stays */
        g_assert_true(fakes_group_exists(GROUP));
        monitors_adopt(fixture->engine);
        end(fixture, pid);
        testing_run_until(fixture->event, is_unwatched, fixture);
        g_assert_false(fakes_group_exists(GROUP));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        FAKES_ADD(one_that_lingers);
        FAKES_ADD(the_last_of_a_group_takes_it_along);
        FAKES_ADD(an_empty_group_goes_at_once);
        FAKES_ADD(a_run_that_is_over_before_its_conmon);
        FAKES_ADD(adoption);
        FAKES_ADD(the_end_of_the_service_forgets_them);
        return g_test_run();
}
