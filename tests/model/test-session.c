/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Words of sessions both ways; what can be asked for and what cannot. */

#include "model/session.h"
#include <string.h>

static void test_words_go_both_ways(void) {
        SessionState state = SESSION_RUNNING;

        for (int i = 0; i < N_SESSION_STATES; i++) {
                g_assert_true(session_state_from_string(session_state_to_string((SessionState) i), &state));
                g_assert_cmpint(state, ==, i);
        }
        state = SESSION_RUNNING;
        g_assert_false(session_state_from_string("exited", &state));
        g_assert_cmpint(state, ==, SESSION_RUNNING);
}

static bool check(const char *text, GError **error) {
        g_autoptr(GVariant) request = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, NULL);

        g_assert_nonnull(request);
        return session_request_check(request, error);
}

static void test_good_requests(void) {
        static const char *const table[] = {
                "{'command': <['true']>}",
                "{'command': <['sh', '-c', '']>, 'user': <'www:audio'>, 'cwd': <'/srv'>, 'env': <['A=1', 'B=', 'C==']>, 'terminal': <true>, 'privileged': <false>, 'cgroup': <'batch_1'>, "
                "'detach-keys': <''>, 'lifetime': <'client'>, 'start': <false>, 'auto-remove': <true>, 'stdin-open': <true>, 'x-mine': <5>}",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(GError) error = NULL;
                if (!check(table[i], &error))
                        g_error("%s: %s", table[i], error->message);
        }
}

static void test_bad_requests(void) {
        static const struct {
                const char *text;
                ConbusError code;
                const char *part;
        } table[] = {
                {"@a{sv} {}", CONBUS_ERROR_INVALID_ARGS, "command is empty"},
                {"{'command': <@as []>}", CONBUS_ERROR_INVALID_ARGS, "command is empty"},
                {"{'command': <['', 'x']>}", CONBUS_ERROR_INVALID_ARGS, "command is empty"},
                {"{'command': <'true'>}", CONBUS_ERROR_INVALID_ARGS, "command"},
                {"{'command': <['true']>, 'env': <['A=1', 'secret']>}", CONBUS_ERROR_INVALID_ARGS, "entry 2"},
                {"{'command': <['true']>, 'env': <['=x']>}", CONBUS_ERROR_INVALID_ARGS, "entry 1"},
                {"{'command': <['true']>, 'cwd': <'srv'>}", CONBUS_ERROR_INVALID_ARGS, "absolute"},
                {"{'command': <['true']>, 'lifetime': <'short'>}", CONBUS_ERROR_INVALID_ARGS, "detached or client"},
                {"{'command': <['true']>, 'cgroup': <'a/b'>}", CONBUS_ERROR_INVALID_ARGS, "letters"},
                {"{'command': <['true']>, 'cgroup': <'..'>}", CONBUS_ERROR_INVALID_ARGS, "letters"},
                {"{'command': <['true']>, 'cgroup': <''>}", CONBUS_ERROR_INVALID_ARGS, "letters"},
                {"{'command': <['true']>, 'cgroup': <'conbus-check'>}", CONBUS_ERROR_INVALID_ARGS, "letters"},
                {"{'command': <['true']>, 'stdin-open': <'yes'>}", CONBUS_ERROR_INVALID_ARGS, "stdin-open"},
                {"{'command': <['true']>, 'has-input': <true>}", CONBUS_ERROR_UNKNOWN_OPTION, "has-input"},
                {"{'command': <['true']>, 'exit-command': <['true']>}", CONBUS_ERROR_UNKNOWN_OPTION, "exit-command"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(GError) error = NULL;
                if (check(table[i].text, &error))
                        g_error("%s passed", table[i].text);
                g_assert_error(error, CONBUS_ERROR, (int) table[i].code);
                if (!strstr(error->message, table[i].part) || strstr(error->message, "secret"))
                        g_error("%s: %s", table[i].text, error->message);
        }
}

static void test_a_new_session_has_no_code(void) {
        SessionLife life;

        session_life_init(&life);
        g_assert_cmpint(life.state, ==, SESSION_CREATED);
        g_assert_cmpint(life.exit_code, ==, -1);
        g_assert_cmpint(life.main.pid, ==, 0);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/session/words-go-both-ways", test_words_go_both_ways);
        g_test_add_func("/session/good-requests", test_good_requests);
        g_test_add_func("/session/bad-requests", test_bad_requests);
        g_test_add_func("/session/a-new-one-has-no-code", test_a_new_session_has_no_code);
        return g_test_run();
}
