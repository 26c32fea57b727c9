/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of verbs: words, options, what is kept of a failure. */

#include "fixture.h"
#include <string.h>

static void test_words_go_both_ways(void) {
        for (int i = 0; i < N_VERBS; i++) {
                Verb verb = N_VERBS;
                g_assert_true(verb_from_string(verb_to_string((Verb) i), &verb));
                g_assert_cmpint(verb, ==, i);
                g_assert_nonnull(verb_step((Verb) i));
        }
        Verb verb = VERB_STOP;
        g_assert_false(verb_from_string("explode", &verb));
        g_assert_cmpint(verb, ==, VERB_STOP);
}

/* Every option of every verb with a value that it takes. */
static const struct {
        Verb verb;
        const char *option;
} options[] = {
        {VERB_INIT, "'recursive': <true>"},
        {VERB_START, "'recursive': <true>"},
        {VERB_START, "'wait': <'started'>"},
        {VERB_START, "'wait': <'ready'>"},
        {VERB_START, "'wait': <'healthy'>"},
        {VERB_STOP, "'timeout-usec': <uint64 18446744073709551615>"},
        {VERB_STOP, "'signal': <1>"},
        {VERB_STOP, "'signal': <64>"},
        {VERB_STOP, "'reason': <'because'>"},
        {VERB_RESTART, "'timeout-usec': <uint64 0>"},
        {VERB_RESTART, "'signal': <2>"},
        {VERB_RESTART, "'reason': <''>"},
        {VERB_RESTART, "'recursive': <false>"},
        {VERB_RESTART, "'wait': <'ready'>"},
        {VERB_KILL, "'whom': <'leader'>"},
        {VERB_KILL, "'whom': <'all'>"},
        {VERB_KILL, "'signal': <9>"},
        {VERB_REMOVE, "'force': <true>"},
        {VERB_REMOVE, "'volumes': <true>"},
        {VERB_REMOVE, "'timeout-usec': <uint64 1>"},
        {VERB_REMOVE, "'dependents': <true>"},
        {VERB_RENAME, "'name': <'a'>"},
        {VERB_UPDATE, "'auto-start': <true>"},
        {VERB_UPDATE, "'restart-policy': <'always'>"},
        {VERB_UPDATE, "'restart-max': <uint32 1>"},
        {VERB_CLEANUP, "'only-stopped': <true>"},
};

/* Kill cannot do without a signal. */
static char *dict(Verb verb, const char *entry) {
        return g_strdup_printf("{%s%s}", entry, verb == VERB_KILL && !strstr(entry, "'signal'") ? ", 'signal': <15>" : "");
}

static bool takes(Verb verb, const char *entry) {
        for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
                if (options[i].verb == verb && g_str_equal(options[i].option, entry))
                        return true;
        return false;
}

static bool knows(Verb verb, const char *entry) {
        g_auto(GStrv) wanted = g_strsplit(entry, ":", 2);

        for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
                if (options[i].verb == verb && g_str_has_prefix(options[i].option, wanted[0]))
                        return true;
        return false;
}

static void test_each_verb_takes_its_own_options(void) {
        for (int verb = 0; verb < N_VERBS; verb++)
                for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
                        g_autofree char *text = dict((Verb) verb, options[i].option);
                        g_autoptr(GVariant) parsed = testing_parse(text);
                        g_autoptr(GError) error = NULL;
                        bool good = verb_check_options((Verb) verb, parsed, &error);

                        if (takes((Verb) verb, options[i].option))
                                g_assert_no_error(error);
                        else if (!knows((Verb) verb, options[i].option)) {
                                g_assert_false(good);
                                testing_expect_error(&error, CONBUS_ERROR_UNKNOWN_OPTION, "is not known here");
                        }
                }
}

static void test_bad_values_are_refused(void) {
        static const struct {
                Verb verb;
                const char *option, *part;
        } bad[] = {
                {VERB_START, "'wait': <'soon'>", "option wait is \"soon\"; it can be started, ready or healthy"},
                {VERB_START, "'wait': <''>", "option wait is \"\""},
                {VERB_START, "'wait': <true>", "option \"wait\" has the type b; it takes s"},
                {VERB_START, "'recursive': <1>", "it takes b"},
                {VERB_STOP, "'signal': <0>", "signal 0 does not exist"},
                {VERB_STOP, "'signal': <65>", "signal 65 does not exist"},
                {VERB_STOP, "'signal': <-1>", "signal -1 does not exist"},
                {VERB_STOP, "'signal': <uint32 9>", "it takes i"},
                {VERB_STOP, "'timeout-usec': <1>", "it takes t"},
                {VERB_KILL, "'signal': <uint32 9>", "it takes i"},
                {VERB_KILL, "'whom': <'main'>", "whom is \"main\"; it can be leader or all"},
                {VERB_REMOVE, "'reply-timeout-usec': <1>", "it takes t"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autofree char *text = dict(bad[i].verb, bad[i].option);
                g_autoptr(GVariant) parsed = testing_parse(text);
                g_autoptr(GError) error = NULL;

                g_assert_false(verb_check_options(bad[i].verb, parsed, &error));
                testing_expect_error(&error, CONBUS_ERROR_INVALID_ARGS, bad[i].part);
        }
}

static void test_options_of_all_verbs(void) {
        g_autoptr(GVariant) common = testing_parse("{'reply-timeout-usec': <uint64 5>, 'x-note': <1>}"), none = testing_parse("@a{sv} {}");

        for (int verb = 0; verb < N_VERBS; verb++) {
                g_assert_cmpint(verb_check_options((Verb) verb, common, NULL), ==, verb != VERB_KILL);
                g_assert_cmpint(verb_check_options((Verb) verb, none, NULL), ==, verb != VERB_KILL);
        }
}

static void test_a_kill_without_a_signal_is_refused(void) {
        g_autoptr(GVariant) none = testing_parse("@a{sv} {}");
        g_autoptr(GError) error = NULL;

        g_assert_false(verb_check_options(VERB_KILL, none, &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_ARGS, "kill needs the option signal");
}

/* --- LastError --- */

static ConbusError ordered_code;

static void fail_as_ordered(Operation *operation) {
        operation_fail_code(operation, ordered_code, "on order");
        operation_continue(operation);
}

static void fail_with(Fixture *fixture, Container *container, ConbusError code) {
        g_autoptr(GError) error = NULL;
        g_auto(Answer) answer = {0};

        /* The container is `exited` and its restart not due any more: such a Start has no step of its own. */
        Operation *operation = fixture_submit(fixture, container, VERB_START, NULL, &answer);
        operation->internal_restart = true;
        ordered_code = code;
        operation_then(operation, fail_as_ordered);
        testing_run_until_count(fixture->event, &answer.n, 1);
        testing_expect_error(&answer.error, code, "start container \"web\": on order");
}

static void test_failures_that_say_something_are_kept(Fixture *fixture, gconstpointer unused) {
        static const struct {
                ConbusError code;
                bool kept;
        } table[] = {
                {CONBUS_ERROR_RUNTIME_FAILED, true},  {CONBUS_ERROR_DEPENDENCY_FAILED, true}, {CONBUS_ERROR_STORAGE_FULL, true}, {CONBUS_ERROR_INTERNAL, true},   {CONBUS_ERROR_UNHEALTHY, true},
                {CONBUS_ERROR_INVALID_STATE, false}, {CONBUS_ERROR_ALREADY_RUNNING, false},  {CONBUS_ERROR_NOT_RUNNING, false},  {CONBUS_ERROR_REMOVED, false}, {CONBUS_ERROR_CANCELLED, false},
        };
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");

        fixture_exit(fixture, container, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(Commit) commit = commit_new(container, NULL);
                commit_set_error(commit, NULL);
                g_assert_true(commit_apply(commit, NULL));
                fail_with(fixture, container, table[i].code);
                g_assert_cmpstr(container->life.error_name, ==, table[i].kept ? conbus_error_names[table[i].code] : "");
                g_assert_cmpstr(container->life.error_message, ==, table[i].kept ? "start container \"web\": on order" : "");
        }
}

static void test_other_verbs_keep_nothing(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_RENAME, "{'name': <'not a name'>}", &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_INVALID_NAME, "not a name");
        g_assert_cmpstr(container->life.error_name, ==, "");
}

static void test_a_wrong_state_names_the_right_ones(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_auto(Answer) answer = {0};

        (void) fixture_run(fixture, container, STATE_RUNNING);
        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_INVALID_STATE, "init container \"web\": it is running; possible when it is created, stopped or exited");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/verbs/words-go-both-ways", test_words_go_both_ways);
        g_test_add_func("/verbs/each-verb-takes-its-own-options", test_each_verb_takes_its_own_options);
        g_test_add_func("/verbs/bad-values-are-refused", test_bad_values_are_refused);
        g_test_add_func("/verbs/options-of-all-verbs", test_options_of_all_verbs);
        g_test_add_func("/verbs/a-kill-without-a-signal-is-refused", test_a_kill_without_a_signal_is_refused);
        g_test_add("/verbs/failures-that-say-something-are-kept", Fixture, NULL, fixture_set_up, test_failures_that_say_something_are_kept, fixture_tear_down);
        g_test_add("/verbs/other-verbs-keep-nothing", Fixture, NULL, fixture_set_up, test_other_verbs_keep_nothing, fixture_tear_down);
        g_test_add("/verbs/a-wrong-state-names-the-right-ones", Fixture, NULL, fixture_set_up, test_a_wrong_state_names_the_right_ones, fixture_tear_down);
        return g_test_run();
}
