/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules of waiting (api.md section 10), driven by commits on a store in memory. */

#include "container/commit.h"
#include "container/waits.h"

typedef struct Fixture {
        sd_event *event;
        Store *store;
        Registry *registry;
        Waits *waits;
        Container *container;
} Fixture;

typedef struct Answer {
        unsigned n;
        char *condition;
        guint64 run;
        int code;
} Answer;

static void set_up(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) config = g_variant_ref_sink(g_variant_new_parsed("{'rootfs': <'/r'>, 'health': <{'test': <['CMD', 'true']>}>}"));

        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->store = store_open(NULL, NULL, &error);
        fixture->registry = registry_new(fixture->store);
        fixture->waits = waits_new(fixture->event, fixture->registry);
        fixture->container = container_new("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "web", 0, config);
        g_autoptr(Commit) commit = commit_new(fixture->container, NULL);
        commit_set_create(commit, fixture->registry);
        g_assert_true(commit_apply(commit, &error));
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        waits_free(fixture->waits);
        container_unref(fixture->container);
        registry_free(fixture->registry);
        store_close(fixture->store);
        sd_event_unref(fixture->event);
}

static void on_answer(const WaitAnswer *answer, const GError *error, void *userdata) {
        Answer *to = userdata;

        g_assert_no_error(error);
        to->n++;
        g_free(to->condition);
        to->condition = g_strdup(answer->condition);
        to->run = answer->run;
        to->code = answer->exit_code;
}

static void open_run(Fixture *fixture) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Commit) commit = commit_new(fixture->container, NULL);

        commit->life.run++;
        commit->life.run_open = true;
        commit->life.exit_code = -1;
        commit->life.next_restart_usec = 0;
        (void) commit_edit_run(commit);
        commit_enter(commit, STATE_INITIALIZED, REASON_USER);
        g_assert_true(commit_apply(commit, &error));
}

static void enter(Fixture *fixture, State state) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Commit) commit = commit_new(fixture->container, NULL);

        commit_enter(commit, state, REASON_USER);
        g_assert_true(commit_apply(commit, &error));
}

static void end_run(Fixture *fixture, int code) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Commit) commit = commit_new(fixture->container, NULL);

        commit->life.run_open = false;
        commit->life.exit_code = code;
        commit->life.result = RESULT_EXIT_CODE;
        commit_edit_run(commit)->exit_code = code;
        commit_edit_run(commit)->result = RESULT_EXIT_CODE;
        commit_enter(commit, STATE_STOPPED, REASON_EXIT);
        commit_set_run_finished(commit);
        g_assert_true(commit_apply(commit, &error));
}

static Wait *begin(Fixture *fixture, WaitOptions options, Answer *answer, GError **error) {
        if (options.timeout_usec == 0)
                options.timeout_usec = UINT64_MAX;
        return wait_begin(fixture->waits, fixture->container->id, &options, on_answer, answer, error);
}

static const char *const stopped[] = {"stopped", NULL}, *const exited[] = {"exited", NULL}, *const ready[] = {"ready", NULL}, *const gone[] = {"removed", NULL}, *const paused[] = {"paused", NULL},
                               *const nonsense[] = {"done", NULL}, *const nothing[] = {NULL}, *const healthy[] = {"healthy", NULL};

static void turn(Fixture *fixture) {
        g_assert_cmpint(sd_event_run(fixture->event, G_USEC_PER_SEC * 10), >=, 0);
}

static void expect(Answer *answer, const char *condition, guint64 run, int code) {
        g_assert_cmpuint(answer->n, ==, 1);
        g_assert_cmpstr(answer->condition, ==, condition);
        g_assert_cmpuint(answer->run, ==, run);
        g_assert_cmpint(answer->code, ==, code);
        g_free(answer->condition);
        *answer = (Answer) {0};
}

static void test_errors(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) never = NULL, word = NULL, empty = NULL;
        Answer answer = {0};

        g_assert_null(begin(fixture, (WaitOptions) {.conditions = stopped}, &answer, &never));
        g_assert_error(never, CONBUS_ERROR, CONBUS_ERROR_NEVER_STARTED);
        g_assert_null(begin(fixture, (WaitOptions) {.conditions = nonsense}, &answer, &word));
        g_assert_error(word, CONBUS_ERROR, CONBUS_ERROR_INVALID_ARGS);
        g_assert_null(begin(fixture, (WaitOptions) {.conditions = nothing}, &answer, &empty));
        g_assert_error(empty, CONBUS_ERROR, CONBUS_ERROR_INVALID_ARGS);
}

static void test_binding_to_a_run(Fixture *fixture, gconstpointer unused) {
        Answer early = {0}, late = {0}, after = {0}, second = {0};

        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = stopped, .has_after_run = true}, &early, NULL));
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = stopped, .has_run = true, .run = 2}, &second, NULL));
        open_run(fixture);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = stopped}, &late, NULL));
        enter(fixture, STATE_RUNNING);
        end_run(fixture, 7);
        expect(&early, "stopped", 1, 7);
        expect(&late, "stopped", 1, 7);
        enter(fixture, STATE_EXITED);
        open_run(fixture);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = stopped, .has_run = true, .run = 1}, &after, NULL));
        g_assert_cmpuint(after.n, ==, 0); /* never before wait_begin has returned */
        turn(fixture);
        expect(&after, "stopped", 1, 7);
        end_run(fixture, 8);
        expect(&second, "stopped", 2, 8);
        g_assert_cmpuint(waits_count(fixture->waits), ==, 0);
}

static void test_exited_needs_the_cleanup(Fixture *fixture, gconstpointer unused) {
        Answer answer = {0};

        open_run(fixture);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = exited}, &answer, NULL));
        end_run(fixture, 1);
        g_assert_cmpuint(answer.n, ==, 0);
        enter(fixture, STATE_EXITED);
        expect(&answer, "exited", 1, 1);
}

static void test_short_states_and_tied_conditions(Fixture *fixture, gconstpointer unused) {
        Answer pause = {0}, tied = {0}, health = {0};

        open_run(fixture);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = paused}, &pause, NULL));
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = ready}, &tied, NULL));
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = healthy}, &health, NULL));
        enter(fixture, STATE_RUNNING);
        enter(fixture, STATE_PAUSED);
        enter(fixture, STATE_RUNNING);
        expect(&pause, "paused", 1, -1);
        end_run(fixture, 3);
        expect(&tied, "stopped", 1, 3);
        expect(&health, "stopped", 1, 3);
}

static void test_final_waits_for_the_policy(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        Answer answer = {0};

        open_run(fixture);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = stopped, .final = true}, &answer, NULL));
        end_run(fixture, 1);
        g_autoptr(Commit) commit = commit_new(fixture->container, NULL);
        commit_enter(commit, STATE_EXITED, REASON_EXIT);
        commit->life.next_restart_usec = 5;
        g_assert_true(commit_apply(commit, &error));
        open_run(fixture);
        end_run(fixture, 2);
        g_assert_cmpuint(answer.n, ==, 0);
        enter(fixture, STATE_EXITED);
        expect(&answer, "stopped", 2, 2);
}

static void test_removal_answers_everybody(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        Answer removed = {0}, next = {0}, record = {0};

        open_run(fixture);
        end_run(fixture, 4);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = gone}, &removed, NULL));
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = stopped, .has_after_run = true, .after_run = 1}, &next, NULL));
        enter(fixture, STATE_REMOVING);
        g_autoptr(Commit) commit = commit_new(fixture->container, NULL);
        commit_set_remove(commit);
        g_assert_true(commit_apply(commit, &error));
        expect(&removed, "removed", 1, 4);
        g_assert_cmpstr(next.condition, ==, "removed");
        g_free(next.condition);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = stopped, .has_run = true, .run = 1}, &record, NULL));
        turn(fixture);
        expect(&record, "stopped", 1, 4);
}

static void test_timeout(Fixture *fixture, gconstpointer unused) {
        Answer answer = {0};

        open_run(fixture);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = stopped, .timeout_usec = 1000}, &answer, NULL));
        turn(fixture);
        expect(&answer, "timeout", 1, -1);
}

static void test_a_timeout_beyond_the_clock_is_none(Fixture *fixture, gconstpointer unused) {
        Answer answer = {0};

        open_run(fixture);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = stopped, .timeout_usec = UINT64_MAX - 1}, &answer, NULL));
        g_assert_cmpint(sd_event_run(fixture->event, 0), ==, 0);
        end_run(fixture, 5);
        expect(&answer, "stopped", 1, 5);
}

static void test_ten_thousand_on_one_end(Fixture *fixture, gconstpointer unused) {
        Answer answer = {0};

        open_run(fixture);
        for (int i = 0; i < 10000; i++)
                g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = stopped}, &answer, NULL));
        end_run(fixture, 9);
        g_assert_cmpuint(answer.n, ==, 10000);
        g_assert_cmpuint(waits_count(fixture->waits), ==, 0);
        g_free(answer.condition);
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *path;
                void (*test)(Fixture *fixture, gconstpointer unused);
        } tests[] = {
                {"/waits/errors", test_errors},
                {"/waits/binding-to-a-run", test_binding_to_a_run},
                {"/waits/exited-needs-the-cleanup", test_exited_needs_the_cleanup},
                {"/waits/short-states-and-tied-conditions", test_short_states_and_tied_conditions},
                {"/waits/final-waits-for-the-policy", test_final_waits_for_the_policy},
                {"/waits/removal-answers-everybody", test_removal_answers_everybody},
                {"/waits/timeout", test_timeout},
                {"/waits/a-timeout-beyond-the-clock-is-none", test_a_timeout_beyond_the_clock_is_none},
                {"/waits/ten-thousand-on-one-end", test_ten_thousand_on_one_end},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].test, tear_down);
        return g_test_run();
}
