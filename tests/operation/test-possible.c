/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A few cells of the table of states; tests/system/test_states.py compares all of them with what happens. */

#include "operation/possible.h"
#include "testing.h"

static bool may(State state, const char *verb) {
        g_autoptr(GVariant) config = testing_parse("{}");
        g_autoptr(Container) container = container_new("00ff", "web", 0, config);

        container->life.state = state;
        return possible_verb(container, verb);
}

static void test_states_allow_verbs(void) {
        g_assert_true(may(STATE_CREATED, "start"));
        g_assert_false(may(STATE_RUNNING, "start"));
        g_assert_true(may(STATE_RUNNING, "stop"));
        g_assert_false(may(STATE_EXITED, "stop"));
        g_assert_true(may(STATE_PAUSED, "resume"));
        g_assert_false(may(STATE_PAUSED, "pause"));
        g_assert_true(may(STATE_STOPPING, "restart"));
        g_assert_false(may(STATE_UNKNOWN, "restart"));
}

static void test_in_removing_only_that_goes_on(void) {
        g_assert_true(may(STATE_REMOVING, "remove"));
        g_assert_true(may(STATE_REMOVING, "inspect"));
        g_assert_true(may(STATE_REMOVING, "sync"));
        g_assert_false(may(STATE_REMOVING, "start"));
        g_assert_false(may(STATE_REMOVING, "rename"));
        g_assert_false(may(STATE_REMOVING, "get-processes"));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/possible/states", test_states_allow_verbs);
        g_test_add_func("/possible/removing", test_in_removing_only_that_goes_on);
        return g_test_run();
}
