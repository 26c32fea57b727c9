/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/stream/log-state.c: what followers are told. */

#include "stream/log-state.h"
#include <glib/gstdio.h>

static void test_there_and_back(void) {
        g_autofree char *directory = g_dir_make_tmp("conbus-state-XXXXXX", NULL), *path = g_build_filename(directory, LOG_STATE_FILE, NULL);
        LogState state = {.run = 12, .exit_code = -1}, back;

        for (unsigned phase = 0; phase < N_LOG_PHASES; phase++) {
                state.phase = phase;
                g_assert_true(log_state_write(directory, &state, NULL));
                back = log_state_read(directory);
                g_assert_cmpint(back.phase, ==, phase);
                g_assert_cmpuint(back.run, ==, 12);
                g_assert_cmpint(back.exit_code, ==, -1);
        }
        g_assert_true(g_file_set_contents(path, "nonsense 1 2\n", -1, NULL));
        g_assert_cmpint(log_state_read(directory).phase, ==, LOG_PHASE_REMOVED);
        g_assert_true(g_file_set_contents(path, "open\n", -1, NULL));
        g_assert_cmpint(log_state_read(directory).phase, ==, LOG_PHASE_REMOVED);
        g_assert_cmpint(g_remove(path), ==, 0);
        g_assert_cmpint(log_state_read(directory).phase, ==, LOG_PHASE_REMOVED);
        g_assert_cmpint(g_rmdir(directory), ==, 0);
        g_autoptr(GError) error = NULL;
        g_assert_false(log_state_write(directory, &state, &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INTERNAL);
}

static void test_ends(void) {
        static const struct {
                LogState state;
                bool all, run_2, run_3;
        } cases[] = {
                {{LOG_PHASE_OPEN, 2, -1}, false, false, false},      {{LOG_PHASE_RESTARTING, 2, 0}, false, true, false}, {{LOG_PHASE_ENDED, 2, 0}, true, true, false},
                {{LOG_PHASE_OPEN, 3, -1}, false, true, false},       {{LOG_PHASE_ENDED, 3, 0}, true, true, true},        {{LOG_PHASE_REMOVED, 0, -1}, true, true, true},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_assert_true(log_state_has_ended(&cases[i].state, 0) == cases[i].all);
                g_assert_true(log_state_has_ended(&cases[i].state, 2) == cases[i].run_2);
                g_assert_true(log_state_has_ended(&cases[i].state, 3) == cases[i].run_3);
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/log-state/there-and-back", test_there_and_back);
        g_test_add_func("/log-state/ends", test_ends);
        return g_test_run();
}
