/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Words both ways, and the table of transitions against a second writing of it. */

#include "model/state.h"

static void test_words_go_both_ways(void) {
        for (int i = 0; i < N_STATES; i++) {
                State state = N_STATES;
                g_assert_true(state_from_string(state_to_string((State) i), &state));
                g_assert_cmpint(state, ==, i);
        }
        for (int i = 0; i < N_REASONS; i++) {
                Reason reason = N_REASONS;
                g_assert_true(reason_from_string(reason_to_string((Reason) i), &reason));
                g_assert_cmpint(reason, ==, i);
        }
        for (int i = 0; i < N_RESULTS; i++) {
                Result result = N_RESULTS;
                g_assert_true(result_from_string(result_to_string((Result) i), &result));
                g_assert_cmpint(result, ==, i);
        }
        State state = STATE_PAUSED;
        g_assert_false(state_from_string("restarting", &state));
        g_assert_cmpint(state, ==, STATE_PAUSED);
        Policy policy = POLICY_ALWAYS;
        g_assert_true(policy_from_string("", &policy));
        g_assert_cmpint(policy, ==, POLICY_NO);
}

/* Rows: from; columns: created initialized running paused stopping stopped exited removing unknown. */
static const char *const legal[N_STATES] = {
        [STATE_CREATED] = ".i...sxru",   [STATE_INITIALIZED] = "c.r.pSxru", [STATE_RUNNING] = "...ppSxru", [STATE_PAUSED] = "..r.pSxru", [STATE_STOPPING] = ".....Sxru",
        [STATE_STOPPED] = "ci....xru",   [STATE_EXITED] = ".i...s.ru",      [STATE_REMOVING] = ".........", [STATE_UNKNOWN] = "cirppSxr.",
};

static void test_transitions(void) {
        for (int from = 0; from < N_STATES; from++)
                for (int to = 0; to < N_STATES; to++)
                        if (state_may_follow((State) from, (State) to) != (legal[from][to] != '.'))
                                g_error("from %s to %s", state_to_string((State) from), state_to_string((State) to));
}

static void test_active_states(void) {
        static const bool active[N_STATES] = {[STATE_INITIALIZED] = true, [STATE_RUNNING] = true, [STATE_PAUSED] = true, [STATE_STOPPING] = true};

        for (int i = 0; i < N_STATES; i++)
                g_assert_cmpint(state_is_active((State) i), ==, active[i]);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/state/words-go-both-ways", test_words_go_both_ways);
        g_test_add_func("/state/transitions", test_transitions);
        g_test_add_func("/state/active", test_active_states);
        return g_test_run();
}
