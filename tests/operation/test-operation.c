/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The queue: order, the cap, what comes first, what is dropped, and exactly one answer for each accepted call. Steps that last are a crun that waits at a FIFO. */

#include "fixture.h"
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

/* --- a crun that can be held up --- */

typedef struct Gate {
        char *fifo, *program;
        int fd;
} Gate;

/* Every call of crun now waits until the gate is opened. Sync in the state unknown is such a call that changes nothing. */
static void gate_close(Gate *gate, Fixture *fixture) {
        g_autofree char *script = g_strdup_printf("read line <%s/gate\nexit 1", fixture->directory);

        gate->fifo = g_build_filename(fixture->directory, "gate", NULL);
        gate->program = testing_program(fixture->directory, "held-crun", script);
        g_assert_cmpint(mkfifo(gate->fifo, 0600), ==, 0);
        gate->fd = open(gate->fifo, O_RDWR | O_CLOEXEC);
        fixture->paths.crun = gate->program;
}

static void gate_let_through(Gate *gate) {
        g_assert_cmpint(write(gate->fd, "\n", 1), ==, 1);
}

static void gate_clear(Gate *gate) {
        gate->fd = close_fd(gate->fd);
        g_free(gate->fifo);
        g_free(gate->program);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Gate, gate_clear)

static Container *add_unknown(Fixture *fixture, const char *name) {
        Container *container = fixture_add(fixture, name, "@a{sv} {}");
        g_autoptr(Commit) commit = commit_new(container, NULL);

        commit_enter(commit, STATE_UNKNOWN, REASON_MONITOR_LOST);
        commit->life.run_open = true; /* so that a Sync leaves it as it is */
        g_assert_true(commit_apply(commit, NULL));
        return container;
}

/* --- order --- */

static GString *finished; /* the names of operations, as they are answered */

static void note(Operation *operation, GVariant *result, const GError *error, void *userdata) {
        g_string_append(finished, userdata);
}

static Operation *submit_named(Fixture *fixture, Container *container, Verb verb, const char *name) {
        g_autoptr(GError) error = NULL;
        Operation *operation = operation_submit(fixture->engine, container, verb, NULL, NULL, note, (void *) name, &error);

        g_assert_no_error(error);
        return operation;
}

static void test_one_container_is_served_in_order(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_autoptr(GString) order = finished = g_string_new(NULL);

        submit_named(fixture, container, VERB_SYNC, "1");
        submit_named(fixture, container, VERB_CLEANUP, "2");
        submit_named(fixture, container, VERB_SYNC, "3");
        g_assert_cmpstr(order->str, ==, "");
        testing_run_idle(fixture->event);
        g_assert_cmpstr(order->str, ==, "123");
        g_assert_cmpuint(fixture->engine->n_accepted, ==, 0);
}

static void test_one_at_a_time_in_a_container_and_side_by_side_else(Fixture *fixture, gconstpointer unused) {
        Container *held = add_unknown(fixture, "held"), *other = fixture_add(fixture, "other", "@a{sv} {}");
        g_autoptr(GString) order = finished = g_string_new(NULL);
        g_auto(Gate) gate = {.fd = -1};

        gate_close(&gate, fixture);
        submit_named(fixture, held, VERB_SYNC, "1");
        submit_named(fixture, held, VERB_SYNC, "2");
        submit_named(fixture, other, VERB_SYNC, "o");
        testing_run_idle(fixture->event);
        g_assert_cmpstr(order->str, ==, "o");
        g_assert_cmpuint(fixture->engine->n_running, ==, 1);
        g_assert_cmpstr(held->operation, ==, "sync");
        gate_let_through(&gate);
        gate_let_through(&gate);
        fixture->paths.crun = (char *) "/bin/false";
        while (order->len < 3)
                g_assert_cmpint(sd_event_run(fixture->event, TESTING_DEADLINE_USEC), >, 0);
        g_assert_cmpstr(order->str, ==, "o12");
        g_assert_cmpstr(held->operation, ==, "");
}

static void test_first_comes_before_what_waits_and_after_what_runs(Fixture *fixture, gconstpointer unused) {
        Container *container = add_unknown(fixture, "web");
        g_autoptr(GString) order = finished = g_string_new(NULL);
        g_auto(Gate) gate = {.fd = -1};

        gate_close(&gate, fixture);
        submit_named(fixture, container, VERB_SYNC, "1");
        testing_run_idle(fixture->event);
        fixture->paths.crun = (char *) "/bin/false";
        submit_named(fixture, container, VERB_SYNC, "2");
        operation_submit_first(fixture->engine, container, VERB_SYNC, NULL, note, (void *) "f");
        gate_let_through(&gate);
        while (order->len < 3)
                g_assert_cmpint(sd_event_run(fixture->event, TESTING_DEADLINE_USEC), >, 0);
        g_assert_cmpstr(order->str, ==, "1f2");
}

static void test_first_in_an_idle_queue(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_autoptr(GString) order = finished = g_string_new(NULL);

        submit_named(fixture, container, VERB_SYNC, "1");
        submit_named(fixture, container, VERB_SYNC, "2");
        operation_submit_first(fixture->engine, container, VERB_SYNC, NULL, note, (void *) "f");
        testing_run_idle(fixture->event);
        g_assert_cmpstr(order->str, ==, "f12");
}

typedef struct Caller {
        unsigned n_submitted, n_begun, n_at_its_turn;
        sd_event_source *source;
} Caller;

static void count_begun(Operation *operation, void *userdata) {
        ((Caller *) userdata)->n_begun++;
}

static int on_call(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Caller *caller = userdata;

        caller->n_at_its_turn = caller->n_begun;
        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        return 0;
}

/* As a property read that comes beside many starts. */
static void test_what_comes_beside_many_does_not_wait_for_all(Fixture *fixture, gconstpointer unused) {
        Caller caller = {.n_submitted = 20, .n_at_its_turn = UINT_MAX};
        autofd int fd = eventfd(1, EFD_CLOEXEC);

        for (unsigned i = 0; i < caller.n_submitted; i++) {
                g_autofree char *name = g_strdup_printf("web%u", i);
                Operation *operation = operation_submit(fixture->engine, fixture_add(fixture, name, "@a{sv} {}"), VERB_CLEANUP, NULL, NULL, NULL, &caller, NULL);
                operation->begun = count_begun;
        }
        g_assert_cmpint(sd_event_add_io(fixture->event, &caller.source, fd, EPOLLIN, on_call, &caller), >=, 0);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(caller.n_begun, ==, caller.n_submitted);
        g_assert_cmpuint(caller.n_at_its_turn, <=, 2);
        sd_event_source_disable_unref(caller.source);
}

/* --- the cap --- */

static void test_no_more_run_than_the_cap(Fixture *fixture, gconstpointer unused) {
        Container *containers[5];
        g_auto(Gate) gate = {.fd = -1};
        g_auto(Answer) answer = {0};

        fixture->engine->settings.operations_max = 2;
        gate_close(&gate, fixture);
        for (size_t i = 0; i < G_N_ELEMENTS(containers); i++) {
                g_autofree char *name = g_strdup_printf("c%zu", i);
                containers[i] = add_unknown(fixture, name);
                fixture_submit(fixture, containers[i], VERB_SYNC, NULL, &answer);
        }
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->engine->n_running, ==, 2);
        g_assert_cmpuint(fixture->engine->n_accepted, ==, 5);
        for (unsigned i = 1; i <= G_N_ELEMENTS(containers); i++) {
                gate_let_through(&gate);
                testing_run_until_count(fixture->event, &answer.n, i);
                g_assert_cmpuint(fixture->engine->n_running, <=, 2);
        }
        g_assert_cmpuint(fixture->engine->n_accepted, ==, 0);
        g_assert_cmpuint(fixture->engine->n_running, ==, 0);
}

static void test_too_many_are_refused(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_auto(Answer) answer = {0};

        fixture->engine->settings.operations_queued_max = 2;
        fixture_submit(fixture, container, VERB_SYNC, NULL, &answer);
        fixture_submit(fixture, container, VERB_SYNC, NULL, &answer);
        fixture_expect_refused(fixture, container, VERB_SYNC, CONBUS_ERROR_BUSY, "sync container \"web\": 2 operations are queued already");
        operation_submit_first(fixture->engine, container, VERB_CLEANUP, NULL, NULL, NULL); /* the service's own always has room */
        testing_run_until_count(fixture->event, &answer.n, 2);
        fixture_do(fixture, container, VERB_SYNC, NULL, &answer);
        g_assert_no_error(answer.error);
}

/* --- leaving --- */

static void test_an_abandoned_one_that_waits_is_dropped(Fixture *fixture, gconstpointer unused) {
        Container *container = add_unknown(fixture, "web");
        g_auto(Gate) gate = {.fd = -1};
        g_auto(Answer) first = {0}, dropped = {0};

        gate_close(&gate, fixture);
        fixture_submit(fixture, container, VERB_SYNC, NULL, &first);
        testing_run_idle(fixture->event);
        Operation *waiting = fixture_submit(fixture, container, VERB_RENAME, "{'name': <'other'>}", &dropped);
        operation_abandon(waiting);
        g_assert_cmpuint(fixture->engine->n_accepted, ==, 1);
        gate_let_through(&gate);
        testing_run_until_count(fixture->event, &first.n, 1);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(dropped.n, ==, 0);
        g_assert_cmpstr(container->name, ==, "web");
}

static void test_an_abandoned_one_that_runs_goes_on_unheard(Fixture *fixture, gconstpointer unused) {
        Container *container = add_unknown(fixture, "web");
        g_auto(Gate) gate = {.fd = -1};
        g_auto(Answer) unheard = {0}, next = {0};

        gate_close(&gate, fixture);
        Operation *running = fixture_submit(fixture, container, VERB_SYNC, NULL, &unheard);
        testing_run_idle(fixture->event);
        operation_abandon(running);
        g_assert_cmpuint(fixture->engine->n_running, ==, 1);
        gate_let_through(&gate);
        fixture->paths.crun = (char *) "/bin/false";
        fixture_do(fixture, container, VERB_SYNC, NULL, &next);
        g_assert_cmpuint(unheard.n, ==, 0);
}

static void test_a_cancelled_one_that_waits_is_answered(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_auto(Answer) answer = {0};

        Operation *waiting = operation_ref(fixture_submit(fixture, container, VERB_RENAME, "{'name': <'other'>}", &answer));
        operation_cancel(waiting);
        operation_cancel(waiting);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(answer.n, ==, 1);
        testing_expect_error(&answer.error, CONBUS_ERROR_CANCELLED, "rename container \"web\": cancelled before it began");
        g_assert_cmpstr(container->name, ==, "web");
        operation_unref(waiting);
}

static void test_a_name_is_free_again_when_its_creation_is_dropped(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        g_autofree char *config_text = g_strdup_printf("{'rootfs': <'%s'>, 'command': <['sh']>}", fixture->directory);
        g_autoptr(GVariant) config = testing_parse(config_text);

        Operation *operation = operation_create(fixture->engine, "web", "", NULL, config, NULL, NULL, NULL, NULL, &error);
        g_assert_no_error(error);
        operation_abandon(operation);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(registry_count(fixture->registry, N_STATES), ==, 0);
        g_assert_true(registry_reserve_name(fixture->registry, "web", &error));
}

/* --- beside the queue --- */

static void test_kill_does_not_wait(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_auto(Gate) gate = {.fd = -1};
        g_auto(Answer) held = {0}, killed = {0};

        (void) fixture_run(fixture, container, STATE_RUNNING);
        gate_close(&gate, fixture);
        fixture_submit(fixture, container, VERB_SYNC, NULL, &held);
        testing_run_idle(fixture->event);
        fixture_do(fixture, container, VERB_KILL, "{'signal': <10>}", &killed);
        g_assert_no_error(killed.error);
        g_assert_cmpuint(held.n, ==, 0);
        g_assert_cmpstr(container->operation, ==, "sync");
        fixture->paths.crun = (char *) "/bin/true";
        gate_let_through(&gate);
        testing_run_until_count(fixture->event, &held.n, 1);
}

static void test_a_kill_whose_caller_has_left_is_dropped(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_auto(Answer) answer = {0};
        pid_t pid = fixture_run(fixture, container, STATE_RUNNING);

        operation_abandon(fixture_submit(fixture, container, VERB_KILL, "{'signal': <9>}", &answer));
        testing_run_idle(fixture->event);
        g_assert_cmpuint(answer.n, ==, 0);
        g_assert_cmpint(kill(pid, 0), ==, 0);
        g_assert_cmpuint(fixture->engine->n_accepted, ==, 0);
        g_assert_cmpint(container->life.state, ==, STATE_RUNNING);
}

/* --- a container that goes --- */

static void test_what_is_being_removed_takes_remove_and_sync_alone(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_autoptr(Container) kept = container_ref(container);
        g_auto(Answer) answer = {0};

        fixture_enter(container, STATE_REMOVING);
        for (Verb verb = VERB_INIT; verb < N_VERBS; verb++)
                if (verb != VERB_REMOVE && verb != VERB_SYNC)
                        fixture_expect_refused(fixture, container, verb, CONBUS_ERROR_REMOVED, "container \"web\": it is being removed");
        fixture_do(fixture, container, VERB_SYNC, NULL, &answer);
        g_assert_cmpstr(answer.result, ==, "('removing', 'removing')");
        fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
        g_assert_no_error(answer.error);
        fixture_expect_refused(fixture, kept, VERB_REMOVE, CONBUS_ERROR_REMOVED, "it is being removed");
}

static void test_nothing_begins_while_the_service_leaves(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_auto(Answer) answer = {0};

        fixture->engine->stopping = true;
        fixture_submit(fixture, container, VERB_SYNC, NULL, &answer);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(answer.n, ==, 0);
        fixture->engine->stopping = false;
        fixture_submit(fixture, container, VERB_SYNC, NULL, &answer);
        testing_run_until_count(fixture->event, &answer.n, 2);
}

/* --- errors --- */

static void fail_twice(Operation *operation) {
        operation_fail(operation, g_error_new_literal(CONBUS_ERROR, CONBUS_ERROR_IN_USE, "first"));
        operation_fail(operation, g_error_new_literal(CONBUS_ERROR, CONBUS_ERROR_INTERNAL, "second"));
        operation_continue(operation);
}

static void test_the_first_error_is_the_answer(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_auto(Answer) answer = {0};

        Operation *operation = fixture_submit(fixture, container, VERB_CLEANUP, NULL, &answer);
        operation_then(operation, fail_twice); /* runs after the verb's own steps */
        testing_run_until_count(fixture->event, &answer.n, 1);
        testing_expect_error(&answer.error, CONBUS_ERROR_IN_USE, "first");
        g_assert_null(answer.result);
}

static void step_a(Operation *operation) {
        g_string_append_c(finished, 'a');
        operation_continue(operation);
}

static void step_b(Operation *operation) {
        g_string_append_c(finished, 'b');
        operation_then(operation, step_a);
        operation_continue(operation);
}

static void test_steps_are_a_stack(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_autoptr(GString) order = finished = g_string_new(NULL);
        g_auto(Answer) answer = {0};

        Operation *operation = fixture_submit(fixture, container, VERB_CLEANUP, NULL, &answer);
        operation_then(operation, step_a);
        operation_then(operation, step_b);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_cmpstr(order->str, ==, "baa");
}

static unsigned n_cancels;

static void count_cancel(Operation *operation) {
        n_cancels++;
}

static void test_a_step_is_asked_to_end_early(Fixture *fixture, gconstpointer unused) {
        Container *container = add_unknown(fixture, "web");
        g_auto(Gate) gate = {.fd = -1};
        g_auto(Answer) answer = {0};

        gate_close(&gate, fixture);
        Operation *operation = fixture_submit(fixture, container, VERB_SYNC, NULL, &answer);
        testing_run_idle(fixture->event);
        operation->cancel = count_cancel;
        operation_cancel(operation);
        operation_cancel(operation);
        g_assert_cmpuint(n_cancels, ==, 1);
        g_assert_cmpuint(answer.n, ==, 0); /* the step decides */
        gate_let_through(&gate);
        testing_run_until_count(fixture->event, &answer.n, 1);
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *path;
                void (*test)(Fixture *fixture, gconstpointer unused);
        } tests[] = {
                {"/operation/one-container-is-served-in-order", test_one_container_is_served_in_order},
                {"/operation/one-at-a-time-in-a-container-and-side-by-side-else", test_one_at_a_time_in_a_container_and_side_by_side_else},
                {"/operation/first-comes-before-what-waits-and-after-what-runs", test_first_comes_before_what_waits_and_after_what_runs},
                {"/operation/first-in-an-idle-queue", test_first_in_an_idle_queue},
                {"/operation/what-comes-beside-many-does-not-wait-for-all", test_what_comes_beside_many_does_not_wait_for_all},
                {"/operation/no-more-run-than-the-cap", test_no_more_run_than_the_cap},
                {"/operation/too-many-are-refused", test_too_many_are_refused},
                {"/operation/an-abandoned-one-that-waits-is-dropped", test_an_abandoned_one_that_waits_is_dropped},
                {"/operation/an-abandoned-one-that-runs-goes-on-unheard", test_an_abandoned_one_that_runs_goes_on_unheard},
                {"/operation/a-cancelled-one-that-waits-is-answered", test_a_cancelled_one_that_waits_is_answered},
                {"/operation/a-name-is-free-again-when-its-creation-is-dropped", test_a_name_is_free_again_when_its_creation_is_dropped},
                {"/operation/a-step-is-asked-to-end-early", test_a_step_is_asked_to_end_early},
                {"/operation/kill-does-not-wait", test_kill_does_not_wait},
                {"/operation/a-kill-whose-caller-has-left-is-dropped", test_a_kill_whose_caller_has_left_is_dropped},
                {"/operation/what-is-being-removed-takes-remove-and-sync-alone", test_what_is_being_removed_takes_remove_and_sync_alone},
                {"/operation/nothing-begins-while-the-service-leaves", test_nothing_begins_while_the_service_leaves},
                {"/operation/the-first-error-is-the-answer", test_the_first_error_is_the_answer},
                {"/operation/steps-are-a-stack", test_steps_are_a_stack},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, NULL, fixture_set_up, tests[i].test, fixture_tear_down);
        return g_test_run();
}
