/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules of waiting (api.md section 10), driven by commits on a store in memory. */

#include "container/commit.h"
#include "container/waits.h"
#include "store/internal.h"
#include "testing.h"

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

static void remove_container(Fixture *fixture) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Commit) commit = commit_new(fixture->container, NULL);

        commit_set_remove(commit);
        g_assert_true(commit_apply(commit, &error));
}

static void test_removal_answers_everybody(Fixture *fixture, gconstpointer unused) {
        Answer removed = {0}, next = {0}, record = {0};

        open_run(fixture);
        end_run(fixture, 4);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = gone}, &removed, NULL));
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = stopped, .has_after_run = true, .after_run = 1}, &next, NULL));
        enter(fixture, STATE_REMOVING);
        remove_container(fixture);
        expect(&removed, "removed", 1, 4);
        g_assert_cmpstr(next.condition, ==, "removed");
        g_free(next.condition);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = stopped, .has_run = true, .run = 1}, &record, NULL));
        turn(fixture);
        expect(&record, "stopped", 1, 4);
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

/* --- rule by rule --- */

static void expect_refused(Fixture *fixture, WaitOptions options, ConbusError code) {
        g_autoptr(GError) error = NULL;
        Answer answer = {0};

        g_assert_null(begin(fixture, options, &answer, &error));
        testing_expect_error(&error, code, "");
        g_assert_cmpuint(answer.n, ==, 0);
}

static void expect_at_once(Fixture *fixture, WaitOptions options, const char *condition, guint64 run, int code) {
        Answer answer = {0};

        g_assert_nonnull(begin(fixture, options, &answer, NULL));
        g_assert_cmpuint(answer.n, ==, 0);
        turn(fixture);
        expect(&answer, condition, run, code);
}

static const char *const ends[] = {"stopped", "exited", NULL}, *const end_or_running[] = {"stopped", "running", NULL}, *const running[] = {"running", NULL}, *const created[] = {"created", NULL},
                               *const removing[] = {"removing", NULL}, *const unhealthy[] = {"unhealthy", NULL}, *const exited_or_stopped[] = {"exited", "stopped", NULL},
                               *const running_or_initialized[] = {"running", "initialized", NULL};

/* 1: the latest finished run is answered at once, an open one is waited for, and none is an error. */
static void test_rule_1_binding(Fixture *fixture, gconstpointer unused) {
        Answer open = {0};

        expect_refused(fixture, (WaitOptions) {.conditions = stopped}, CONBUS_ERROR_NEVER_STARTED);
        open_run(fixture);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = stopped}, &open, NULL)); /* from Init on */
        end_run(fixture, 7);
        expect(&open, "stopped", 1, 7);
        expect_at_once(fixture, (WaitOptions) {.conditions = stopped}, "stopped", 1, 7);
        enter(fixture, STATE_EXITED);
        expect_at_once(fixture, (WaitOptions) {.conditions = stopped}, "stopped", 1, 7);
}

/* 2: one run exactly, the next one, the last one. */
static void test_rule_2_which_run(Fixture *fixture, gconstpointer unused) {
        Answer third = {0}, next = {0}, never = {0};

        for (int code = 1; code <= 2; code++) {
                open_run(fixture);
                end_run(fixture, code);
                enter(fixture, STATE_EXITED);
        }
        expect_at_once(fixture, (WaitOptions) {.conditions = stopped, .has_run = true, .run = 1}, "stopped", 1, 1);
        expect_at_once(fixture, (WaitOptions) {.conditions = stopped, .has_run = true, .run = 0}, "stopped", 2, 2); /* as absent */
        expect_at_once(fixture, (WaitOptions) {.conditions = stopped, .has_after_run = true, .after_run = 0}, "stopped", 1, 1);
        expect_at_once(fixture, (WaitOptions) {.conditions = stopped, .has_after_run = true, .after_run = 1}, "stopped", 2, 2);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = stopped, .has_run = true, .run = 3}, &third, NULL));
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = stopped, .has_after_run = true, .after_run = 2}, &next, NULL));
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = stopped, .has_after_run = true, .after_run = UINT64_MAX}, &never, NULL));
        open_run(fixture);
        end_run(fixture, 3);
        expect(&third, "stopped", 3, 3);
        expect(&next, "stopped", 3, 3);
        g_assert_cmpuint(never.n, ==, 0);
        enter(fixture, STATE_EXITED);
        expect_at_once(fixture, (WaitOptions) {.conditions = stopped, .final = true}, "stopped", 3, 3);
}

static void plan_restart(Fixture *fixture) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Commit) commit = commit_new(fixture->container, NULL);

        commit_enter(commit, STATE_EXITED, REASON_EXIT);
        commit->life.next_restart_usec = 5;
        g_assert_true(commit_apply(commit, &error));
}

/* 2: final with a run means that one or a later one. */
static void test_rule_2_final_and_a_run(Fixture *fixture, gconstpointer unused) {
        Answer run = {0}, after = {0};

        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = stopped, .final = true, .has_run = true, .run = 2}, &run, NULL));
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = exited, .final = true, .has_after_run = true, .after_run = 1}, &after, NULL));
        open_run(fixture);
        end_run(fixture, 1);
        enter(fixture, STATE_EXITED);
        g_assert_cmpuint(run.n + after.n, ==, 0);
        open_run(fixture);
        end_run(fixture, 2);
        plan_restart(fixture);
        open_run(fixture);
        end_run(fixture, 3);
        g_assert_cmpuint(run.n + after.n, ==, 0);
        enter(fixture, STATE_EXITED);
        expect(&run, "stopped", 3, 3);
        expect(&after, "exited", 3, 3);
        expect_at_once(fixture, (WaitOptions) {.conditions = stopped, .final = true, .has_run = true, .run = 1}, "stopped", 3, 3);
        enter(fixture, STATE_REMOVING);
        remove_container(fixture);
        expect_at_once(fixture, (WaitOptions) {.conditions = stopped, .final = true, .has_run = true, .run = 1}, "stopped", 3, 3);
        expect_at_once(fixture, (WaitOptions) {.conditions = exited, .final = true, .has_after_run = true, .after_run = 2}, "exited", 3, 3);
        expect_refused(fixture, (WaitOptions) {.conditions = stopped, .final = true, .has_run = true, .run = 4}, CONBUS_ERROR_NO_SUCH_RUN);
}

static void test_rule_2_run_and_after_run(Fixture *fixture, gconstpointer unused) {
        open_run(fixture);
        end_run(fixture, 1);
        expect_refused(fixture, (WaitOptions) {.conditions = stopped, .has_run = true, .run = 1, .has_after_run = true, .after_run = 1}, CONBUS_ERROR_INVALID_ARGS);
        expect_at_once(fixture, (WaitOptions) {.conditions = stopped, .has_run = true, .run = 0, .has_after_run = true, .after_run = 0}, "stopped", 1, 1); /* the first is as absent */
}

/* 2: of the runs above a number, the first whose record is kept. */
static void test_rule_2_after_runs_that_are_forgotten(Fixture *fixture, gconstpointer unused) {
        Answer open = {0};

        for (int code = 1; code <= 3; code++) {
                open_run(fixture);
                end_run(fixture, code);
                enter(fixture, STATE_EXITED);
        }
        g_assert_true(store_exec(fixture->store, "DELETE FROM run WHERE number < 3", NULL));
        expect_at_once(fixture, (WaitOptions) {.conditions = stopped, .has_after_run = true, .after_run = 0}, "stopped", 3, 3);
        open_run(fixture);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = stopped, .has_after_run = true, .after_run = 3}, &open, NULL));
        g_assert_cmpuint(open.n, ==, 0);
        end_run(fixture, 4);
        expect(&open, "stopped", 4, 4);
}

/* 2: the end that a Restart brings about is not the last, unless no start comes of it. */
static void test_rule_2_final_during_a_restart(Fixture *fixture, gconstpointer unused) {
        Answer answer = {0}, other = {0};

        open_run(fixture);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = stopped, .final = true}, &answer, NULL));
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = exited}, &other, NULL));
        fixture->container->n_restarts = 1;
        end_run(fixture, 1);
        enter(fixture, STATE_EXITED);
        expect(&other, "exited", 1, 1);
        waits_look_again(fixture->waits, fixture->container);
        g_assert_cmpuint(answer.n, ==, 0);
        fixture->container->n_restarts = 0;
        waits_look_again(fixture->waits, fixture->container);
        expect(&answer, "stopped", 1, 1);
        g_assert_cmpuint(waits_count(fixture->waits), ==, 0);
        waits_look_again(fixture->waits, fixture->container); /* nobody waits */
}

/* 3: what was recorded is the answer, whatever the container is by now. */
static void test_rule_3_the_record(Fixture *fixture, gconstpointer unused) {
        open_run(fixture);
        end_run(fixture, 1);
        enter(fixture, STATE_EXITED);
        open_run(fixture);
        enter(fixture, STATE_RUNNING);
        expect_at_once(fixture, (WaitOptions) {.conditions = stopped, .has_run = true, .run = 1}, "stopped", 1, 1);
        g_assert_true(store_exec(fixture->store, "DELETE FROM run WHERE number = 1", NULL));
        expect_refused(fixture, (WaitOptions) {.conditions = stopped, .has_run = true, .run = 1}, CONBUS_ERROR_NO_SUCH_RUN);
}

/* 4: `exited` is met by the cleanup, or by the next run. */
static void test_rule_4_exited(Fixture *fixture, gconstpointer unused) {
        Answer next_run = {0};

        open_run(fixture);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = exited}, &next_run, NULL));
        end_run(fixture, 5);
        g_assert_cmpuint(next_run.n, ==, 0);
        expect_at_once(fixture, (WaitOptions) {.conditions = exited_or_stopped}, "stopped", 1, 5);
        open_run(fixture); /* from stopped, without a cleanup in between */
        expect(&next_run, "exited", 1, 5);
}

/* 5: conditions. */
static void test_rule_5_every_state(Fixture *fixture, gconstpointer unused) {
        static const State way[] = {STATE_INITIALIZED, STATE_RUNNING, STATE_PAUSED, STATE_UNKNOWN, STATE_STOPPING};

        for (size_t i = 0; i < G_N_ELEMENTS(way); i++) {
                const char *const condition[] = {state_to_string(way[i]), NULL};
                Answer answer = {0};

                g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = condition}, &answer, NULL));
                g_assert_cmpuint(answer.n, ==, 0);
                if (way[i] == STATE_INITIALIZED)
                        open_run(fixture);
                else
                        enter(fixture, way[i]);
                expect(&answer, condition[0], 1, -1);
        }
}

static void test_rule_5_true_already(Fixture *fixture, gconstpointer unused) {
        Answer later = {0};

        expect_at_once(fixture, (WaitOptions) {.conditions = created}, "created", 0, -1);
        open_run(fixture);
        enter(fixture, STATE_RUNNING);
        expect_at_once(fixture, (WaitOptions) {.conditions = running}, "running", 1, -1);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = running, .has_after_run = true, .after_run = 1}, &later, NULL));
        g_assert_cmpint(sd_event_run(fixture->event, 0), ==, 0);
        g_assert_cmpuint(later.n, ==, 0);
        end_run(fixture, 0);
        open_run(fixture);
        enter(fixture, STATE_RUNNING);
        expect(&later, "running", 2, -1);
        expect_at_once(fixture, (WaitOptions) {.conditions = running, .has_after_run = true, .after_run = 1}, "running", 2, -1); /* the answer does not depend on whether the call came before the run */
}

static void test_rule_5_never_started(Fixture *fixture, gconstpointer unused) {
        Answer state = {0}, run = {0}, after = {0};

        expect_refused(fixture, (WaitOptions) {.conditions = ends}, CONBUS_ERROR_NEVER_STARTED);
        expect_refused(fixture, (WaitOptions) {.conditions = stopped, .final = true}, CONBUS_ERROR_NEVER_STARTED);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = end_or_running}, &state, NULL));
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = ends, .has_run = true, .run = 1}, &run, NULL));
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = ends, .has_after_run = true}, &after, NULL));
        open_run(fixture);
        enter(fixture, STATE_RUNNING);
        expect(&state, "running", 1, -1);
        end_run(fixture, 2);
        expect(&run, "stopped", 1, 2);
        expect(&after, "stopped", 1, 2);
}

static void test_rule_5_the_first_match(Fixture *fixture, gconstpointer unused) {
        Answer answer = {0};

        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = running_or_initialized}, &answer, NULL));
        open_run(fixture);
        expect(&answer, "initialized", 1, -1);
}

static void test_rule_5_removing_has_the_last_code(Fixture *fixture, gconstpointer unused) {
        Answer answer = {0};

        open_run(fixture);
        end_run(fixture, 4);
        enter(fixture, STATE_EXITED);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = removing}, &answer, NULL));
        enter(fixture, STATE_REMOVING);
        expect(&answer, "removing", 1, 4);
}

static void test_rule_5_removed_without_a_run(Fixture *fixture, gconstpointer unused) {
        Answer answer = {0};

        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = gone}, &answer, NULL));
        enter(fixture, STATE_REMOVING);
        g_autoptr(Commit) commit = commit_new(fixture->container, NULL);
        commit_set_remove(commit);
        g_assert_true(commit_apply(commit, NULL));
        expect(&answer, "removed", 0, -1);
        expect_refused(fixture, (WaitOptions) {.conditions = stopped}, CONBUS_ERROR_NO_SUCH_CONTAINER); /* no record either */
        expect_refused(fixture, (WaitOptions) {.conditions = stopped, .has_run = true, .run = 1}, CONBUS_ERROR_NO_SUCH_RUN);
}

static void set_life(Fixture *fixture, bool is_ready, const char *health) {
        g_autoptr(Commit) commit = commit_new(fixture->container, NULL);

        commit->life.ready = is_ready;
        life_set_string(&commit->life.health, health);
        g_assert_true(commit_apply(commit, NULL));
}

/* 6: readiness and health belong to a run. */
static void test_rule_6_tied_conditions(Fixture *fixture, gconstpointer unused) {
        Answer is_ready = {0}, is_healthy = {0}, is_unhealthy = {0};

        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = ready}, &is_ready, NULL)); /* before there is a run */
        open_run(fixture);
        enter(fixture, STATE_RUNNING);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = healthy}, &is_healthy, NULL));
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = unhealthy}, &is_unhealthy, NULL));
        set_life(fixture, true, "starting");
        expect(&is_ready, "ready", 1, -1);
        expect_at_once(fixture, (WaitOptions) {.conditions = ready}, "ready", 1, -1);
        set_life(fixture, true, "healthy");
        expect(&is_healthy, "healthy", 1, -1);
        set_life(fixture, true, "unhealthy");
        expect(&is_unhealthy, "unhealthy", 1, -1);
        end_run(fixture, 6);
        expect_at_once(fixture, (WaitOptions) {.conditions = ready}, "stopped", 1, 6);
        expect_at_once(fixture, (WaitOptions) {.conditions = unhealthy, .has_run = true, .run = 1}, "stopped", 1, 6);
        open_run(fixture);
        expect_at_once(fixture, (WaitOptions) {.conditions = ready, .has_run = true, .run = 1}, "stopped", 1, 6); /* not that of the next run */
}

static const char *const states[] = {"initialized", "running", "paused", "stopping", "unknown", NULL}, *const running_or_removed[] = {"running", "removed", NULL}, *const running_or_exited[] = {"running", "exited", NULL};

/* 6: nor does a run that has ended come back to a state; who names it is told of its end. */
static void test_rule_6_states_of_a_run_that_has_ended(Fixture *fixture, gconstpointer unused) {
        Answer open = {0}, gone_too = {0}, cleaned = {0}, any = {0}, fresh = {0}, next = {0};

        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = paused, .has_run = true, .run = 1}, &open, NULL)); /* before it begins */
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = paused, .has_after_run = true}, &next, NULL));
        open_run(fixture);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = running_or_removed, .has_run = true, .run = 1}, &gone_too, NULL));
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = running_or_exited, .has_run = true, .run = 1}, &cleaned, NULL));
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = created, .has_run = true, .run = 1}, &fresh, NULL));
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = paused}, &any, NULL));
        end_run(fixture, 6);
        expect(&open, "stopped", 1, 6);
        expect(&next, "stopped", 1, 6);
        g_assert_cmpuint(gone_too.n + cleaned.n + any.n + fresh.n, ==, 0); /* these may still be met, `created` by the cleanup */
        enter(fixture, STATE_EXITED);
        expect(&cleaned, "exited", 1, 6);
        expect(&fresh, "stopped", 1, 6);
        expect_at_once(fixture, (WaitOptions) {.conditions = states, .has_run = true, .run = 1}, "stopped", 1, 6);
        expect_at_once(fixture, (WaitOptions) {.conditions = running, .has_after_run = true}, "stopped", 1, 6);
        open_run(fixture);
        enter(fixture, STATE_RUNNING);
        expect_at_once(fixture, (WaitOptions) {.conditions = running, .has_run = true, .run = 1}, "stopped", 1, 6); /* it is another one that runs */
        enter(fixture, STATE_PAUSED);
        expect(&any, "paused", 2, -1); /* of whichever run */
        end_run(fixture, 7);
        enter(fixture, STATE_EXITED);
        enter(fixture, STATE_REMOVING);
        remove_container(fixture);
        expect(&gone_too, "removed", 1, 6);
        expect_at_once(fixture, (WaitOptions) {.conditions = running, .has_run = true, .run = 1}, "stopped", 1, 6);
}

static void test_rule_6_no_health_check(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GVariant) config = testing_parse("@a{sv} {}");
        g_autoptr(Container) plain = container_new("f123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "plain", 0, config);
        g_autoptr(Commit) commit = commit_new(plain, NULL);
        WaitOptions options = {.conditions = healthy, .timeout_usec = UINT64_MAX};
        g_autoptr(GError) error = NULL;

        commit_set_create(commit, fixture->registry);
        g_assert_true(commit_apply(commit, NULL));
        g_assert_null(wait_begin(fixture->waits, plain->id, &options, on_answer, NULL, &error));
        testing_expect_error(&error, CONBUS_ERROR_NO_HEALTH_CHECK, "container \"plain\"");
}

/* 7: a timeout says which run to go on with. */
static void test_rule_7_a_lossless_long_poll(Fixture *fixture, gconstpointer unused) {
        Answer poll = {0};

        open_run(fixture);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = stopped, .timeout_usec = 1000}, &poll, NULL));
        turn(fixture);
        g_assert_cmpuint(poll.run, ==, 1);
        expect(&poll, "timeout", 1, -1);
        end_run(fixture, 8);
        enter(fixture, STATE_EXITED);
        open_run(fixture);
        expect_at_once(fixture, (WaitOptions) {.conditions = stopped, .has_run = true, .run = 1, .timeout_usec = 1000}, "stopped", 1, 8);
}

/* 7: a final wait is bound to no run: it tells the latest and goes on as it was asked. */
static void test_rule_7_final(Fixture *fixture, gconstpointer unused) {
        Answer open = {0}, none = {0};
        const WaitOptions final = {.conditions = stopped, .final = true, .timeout_usec = 1000};

        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = stopped, .final = true, .has_after_run = true, .timeout_usec = 1000}, &none, NULL));
        turn(fixture);
        expect(&none, "timeout", 0, -1);
        open_run(fixture);
        g_assert_nonnull(begin(fixture, final, &open, NULL));
        turn(fixture);
        expect(&open, "timeout", 1, -1);
        g_assert_nonnull(begin(fixture, final, &open, NULL));
        end_run(fixture, 4);
        plan_restart(fixture);
        turn(fixture);
        expect(&open, "timeout", 1, -1); /* the latest one, of which it is not known whether it was the last */
        open_run(fixture);
        end_run(fixture, 5);
        enter(fixture, STATE_EXITED);
        expect_at_once(fixture, final, "stopped", 2, 5);
}

/* 8: who has left is not answered. */
static void test_rule_8_a_dropped_wait(Fixture *fixture, gconstpointer unused) {
        Answer left = {0}, at_once = {0};

        open_run(fixture);
        wait_cancel(begin(fixture, (WaitOptions) {.conditions = stopped, .timeout_usec = 1000}, &left, NULL));
        end_run(fixture, 1);
        wait_cancel(begin(fixture, (WaitOptions) {.conditions = stopped}, &at_once, NULL));
        g_assert_cmpint(sd_event_run(fixture->event, 2000), ==, 0);
        g_assert_cmpuint(left.n + at_once.n, ==, 0);
        g_assert_cmpuint(waits_count(fixture->waits), ==, 0);
}

typedef struct Pair {
        Wait *waits[2];
        unsigned n;
} Pair;

static void on_first(const WaitAnswer *answer, const GError *error, void *userdata) {
        Pair *pair = userdata;

        pair->n++;
        wait_cancel(pair->waits[1]);
}

static void on_second(const WaitAnswer *answer, const GError *error, void *userdata) {
        g_assert_not_reached();
}

/* 8: as WaitAny that names a container twice. */
static void test_rule_8_an_answer_drops_another_wait(Fixture *fixture, gconstpointer unused) {
        WaitOptions options = {.conditions = stopped, .timeout_usec = UINT64_MAX};
        Pair pair = {0};

        open_run(fixture);
        pair.waits[0] = wait_begin(fixture->waits, fixture->container->id, &options, on_first, &pair, NULL);
        pair.waits[1] = wait_begin(fixture->waits, fixture->container->id, &options, on_second, &pair, NULL);
        end_run(fixture, 1);
        g_assert_cmpuint(pair.n, ==, 1);
        g_assert_cmpuint(waits_count(fixture->waits), ==, 0);
}

/* 10: never silently 0. */
static void test_rule_10_a_lost_run(Fixture *fixture, gconstpointer unused) {
        Answer answer = {0};

        open_run(fixture);
        g_assert_nonnull(begin(fixture, (WaitOptions) {.conditions = stopped}, &answer, NULL));
        end_run(fixture, -1);
        expect(&answer, "stopped", 1, -1);
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
                {"/waits/removal-answers-everybody", test_removal_answers_everybody},
                {"/waits/a-timeout-beyond-the-clock-is-none", test_a_timeout_beyond_the_clock_is_none},
                {"/waits/rule-1-binding", test_rule_1_binding},
                {"/waits/rule-2-which-run", test_rule_2_which_run},
                {"/waits/rule-2-final-and-a-run", test_rule_2_final_and_a_run},
                {"/waits/rule-2-run-and-after-run", test_rule_2_run_and_after_run},
                {"/waits/rule-2-after-runs-that-are-forgotten", test_rule_2_after_runs_that_are_forgotten},
                {"/waits/rule-2-final-during-a-restart", test_rule_2_final_during_a_restart},
                {"/waits/rule-3-the-record", test_rule_3_the_record},
                {"/waits/rule-4-exited", test_rule_4_exited},
                {"/waits/rule-5-every-state", test_rule_5_every_state},
                {"/waits/rule-5-true-already", test_rule_5_true_already},
                {"/waits/rule-5-never-started", test_rule_5_never_started},
                {"/waits/rule-5-the-first-match", test_rule_5_the_first_match},
                {"/waits/rule-5-removing-has-the-last-code", test_rule_5_removing_has_the_last_code},
                {"/waits/rule-5-removed-without-a-run", test_rule_5_removed_without_a_run},
                {"/waits/rule-6-tied-conditions", test_rule_6_tied_conditions},
                {"/waits/rule-6-states-of-a-run-that-has-ended", test_rule_6_states_of_a_run_that_has_ended},
                {"/waits/rule-6-no-health-check", test_rule_6_no_health_check},
                {"/waits/rule-7-a-lossless-long-poll", test_rule_7_a_lossless_long_poll},
                {"/waits/rule-7-final", test_rule_7_final},
                {"/waits/rule-8-a-dropped-wait", test_rule_8_a_dropped_wait},
                {"/waits/rule-8-an-answer-drops-another-wait", test_rule_8_an_answer_drops_another_wait},
                {"/waits/rule-10-a-lost-run", test_rule_10_a_lost_run},
                {"/waits/ten-thousand-on-one-end", test_ten_thousand_on_one_end},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].test, tear_down);
        return g_test_run();
}
