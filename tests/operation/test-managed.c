/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The test is the service manager, the unit's main process and its clients: who owns a container, what becomes a job on the unit and what does not. PID 1 of each container is a child of the test. */

#include "fixture.h"
#include "base/clock.h"
#include "fake-bus.h"
#include "store/internal.h"
#include <string.h>

#define UNIT "conbus-container@web.service"
#define OTHER "conbus-container@other.service"
#define MAIN_PID 4242
#define OBJECT "/org/freedesktop/systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"
#define DAY (UINT64_C(86400) * G_USEC_PER_SEC)

typedef struct Case {
        Fixture base;
        FakeBus *bus;
        Units *units;
        GPtrArray *calls; /* of text: what was asked of units, but for properties */
        const char *active_state, *sub_state, *system_state;
        guint64 stop_usec;
        bool refuse, mute; /* jobs; properties are not answered */
        unsigned n_questions;
        Container *web;
        Actor *unit, *client; /* the unit's main process, and somebody else */
        Answer answer;
} Case;

static void answer_property(Case *test, sd_bus_message *call, const char *text) {
        test->n_questions++;
        if (test->mute)
                g_assert_cmpint(sd_bus_reply_method_errorf(call, SD_BUS_ERROR_NO_REPLY, "busy"), >=, 0);
        else if (strstr(text, "MainPID"))
                g_assert_cmpint(sd_bus_reply_method_return(call, "v", "u", (uint32_t) MAIN_PID), >=, 0);
        else if (strstr(text, "TimeoutStopUSec"))
                g_assert_cmpint(sd_bus_reply_method_return(call, "v", "t", test->stop_usec), >=, 0);
        else
                g_assert_cmpint(sd_bus_reply_method_return(call, "v", "s", strstr(text, "ActiveState") ? test->active_state : strstr(text, "SubState") ? test->sub_state : test->system_state), >=, 0);
}

static void on_call(FakeBus *bus, sd_bus_message *call, void *userdata) {
        Case *test = userdata;
        g_autofree char *text = fake_bus_text_of(call, NULL);

        if (g_str_has_prefix(text, "Get "))
                answer_property(test, call, text);
        else if (strstr(text, ".scope'")) /* there is none */
                g_assert_cmpint(sd_bus_reply_method_errorf(call, "org.freedesktop.systemd1.NoSuchUnit", "no"), >=, 0);
        else if (!g_str_has_prefix(text, "Subscribe")) {
                g_ptr_array_add(test->calls, g_steal_pointer(&text));
                if (test->refuse)
                        g_assert_cmpint(sd_bus_reply_method_errorf(call, "org.freedesktop.systemd1.OnlyByDependency", "by dependency only"), >=, 0);
                else {
                        g_autofree char *job = g_strdup_printf(OBJECT "/job/%u", test->calls->len);
                        g_assert_cmpint(sd_bus_reply_method_return(call, "o", job), >=, 0);
                }
        }
}

static void case_set_up(Case *test, gconstpointer unused) {
        fixture_set_up(&test->base, NULL);
        test->active_state = "active";
        test->sub_state = "running";
        test->system_state = "running";
        test->stop_usec = 90 * G_USEC_PER_SEC;
        test->calls = g_ptr_array_new_with_free_func(g_free);
        test->bus = fake_bus_new(test->base.event, on_call, test);
        test->base.engine->units = test->units = units_new(test->bus->client, test->base.event);
        test->unit = actor_new(0, MAIN_PID, "conbus-unit", UNIT, ":1.7");
        test->client = actor_new(0, 77, "busctl", "session-1.scope", ":1.8");
        test->web = fixture_add(&test->base, "web", "{'rootfs': <'/nowhere'>, 'restart-policy': <'always'>, 'restart-sec-usec': <uint64 1000>}");
}

static void case_tear_down(Case *test, gconstpointer unused) {
        g_autoptr(GPtrArray) containers = registry_list(test->base.registry);

        answer_clear(&test->answer);
        for (guint i = 0; i < containers->len; i++)
                managed_forget(containers->pdata[i]);
        fixture_quiesce(&test->base);
        test->base.engine->units = NULL;
        units_free(test->units);
        fake_bus_free(test->bus);
        g_ptr_array_unref(test->calls);
        actor_unref(test->unit);
        actor_unref(test->client);
        fixture_tear_down(&test->base, NULL);
}

static Operation *submit(Case *test, Container *container, Verb verb, Actor *actor, const char *options, Answer *answer) {
        g_autoptr(GVariant) parsed = options ? testing_parse(options) : NULL;
        g_autoptr(GError) error = NULL;
        Operation *operation = operation_submit(test->base.engine, container, verb, parsed, actor, answer_note, answer, &error);

        g_assert_no_error(error);
        return operation;
}

static void expect_answer(Case *test, const char *result) {
        testing_run_until_count(test->base.event, &test->answer.n, 1);
        g_assert_no_error(test->answer.error);
        g_assert_cmpstr(test->answer.result, ==, result);
        answer_clear(&test->answer);
}

/* Run 1, which is ready. */
static void expect_started(Case *test, const char *started) {
        testing_run_until_count(test->base.event, &test->answer.n, 1);
        g_assert_no_error(test->answer.error);
        g_assert_true(g_str_has_prefix(test->answer.result, "(1, {") && strstr(test->answer.result, "'ready': <true>") && strstr(test->answer.result, started));
        answer_clear(&test->answer);
}

static void expect_error(Case *test, ConbusError code, const char *part) {
        testing_run_until_count(test->base.event, &test->answer.n, 1);
        testing_expect_error(&test->answer.error, code, part);
        answer_clear(&test->answer);
}

/* By the unit's main process, of a container that runs. */
static void claim(Case *test, Container *container, Actor *actor) {
        (void) fixture_run(&test->base, container, STATE_RUNNING);
        submit(test, container, VERB_START, actor, "{'managed': <true>}", &test->answer);
        expect_started(test, "'started': <false>");
        g_assert_cmpstr(container->life.managed_by, ==, actor->unit);
}

/* The unit has one that has ended, and waits for its restart. */
static void let_it_wait(Case *test) {
        claim(test, test->web, test->unit);
        test->sub_state = "auto-restart";
        test->active_state = "activating";
        g_assert_true(pidref_signal(&test->web->main, SIGKILL, NULL, NULL));
        fixture_run_until_state(&test->base, test->web, STATE_EXITED);
}

static bool has_calls(void *userdata) {
        void **wanted = userdata;

        return ((Case *) wanted[0])->calls->len >= GPOINTER_TO_UINT(wanted[1]);
}

static void expect_call(Case *test, unsigned number, const char *text) {
        void *wanted[] = {test, GUINT_TO_POINTER(number)};

        testing_run_until(test->base.event, has_calls, wanted);
        g_assert_cmpstr(test->calls->pdata[number - 1], ==, text);
        g_assert_cmpint(sd_bus_flush(test->bus->client), >=, 0);
        testing_run_idle(test->base.event);
        g_assert_cmpuint(test->calls->len, ==, number);
}

static void job_removed(Case *test, unsigned number, const char *result) {
        g_autofree char *path = g_strdup_printf(OBJECT "/job/%u", number);

        fake_bus_signal(test->bus, OBJECT, MANAGER, "JobRemoved", "uoss", number, path, UNIT, result);
}

static bool is_free(void *container) {
        return !*((Container *) container)->life.managed_by;
}

static void end_unit(Case *test) {
        test->active_state = "inactive";
        fake_bus_signal(test->bus, OBJECT "/unit/conbus_2dcontainer_40web_2eservice", "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as", "org.freedesktop.systemd1.Unit", 1, "ActiveState", "s", "inactive", 0);
}

/* --- taking charge --- */

static void test_until_the_unit_ends(Case *test, gconstpointer unused) {
        claim(test, test->web, test->unit);
        fixture_expect(&test->base, test->web, STATE_RUNNING);
        testing_run_idle(test->base.event);
        submit(test, test->web, VERB_START, test->unit, "{'managed': <true>}", &test->answer); /* once more: nothing changes */
        expect_started(test, "'started': <false>");
        end_unit(test);
        testing_run_until(test->base.event, is_free, test->web);
        g_assert_cmpint(test->web->life.state, ==, STATE_RUNNING);
        g_assert_null(test->web->managed);
        g_assert_cmpint(sd_bus_flush(test->bus->client), >=, 0);
        testing_run_idle(test->base.event);
        g_assert_cmpint(test->bus->n_matches, ==, 0);
}

static void refuse(Case *test, Actor *actor, ConbusError code, const char *part) {
        submit(test, test->web, VERB_START, actor, "{'managed': <true>}", &test->answer);
        expect_error(test, code, part);
        actor_unref(actor);
}

static void test_who_is_refused(Case *test, gconstpointer unused) {
        refuse(test, actor_new(0, 1, "sh", UNIT, ":1.9"), CONBUS_ERROR_INVALID_ARGS, "option managed is for the main process of a service, and that of " UNIT " is 4242, not the caller, 1");
        refuse(test, actor_new(0, MAIN_PID, "sh", "session-1.scope", ":1.9"), CONBUS_ERROR_INVALID_ARGS, "the caller is in \"session-1.scope\"");
        refuse(test, NULL, CONBUS_ERROR_INVALID_ARGS, "the caller is in \"\"");
        test->mute = true;
        refuse(test, actor_ref(test->unit), CONBUS_ERROR_UNIT_FAILED, "busy");
        test->base.engine->units = NULL;
        refuse(test, actor_ref(test->unit), CONBUS_ERROR_NOT_SUPPORTED, "needs systemd");
        test->base.engine->units = test->units;
        g_assert_cmpint(test->web->life.state, ==, STATE_CREATED);
        g_assert_cmpstr(test->web->life.managed_by, ==, "");
}

static void test_one_owner(Case *test, gconstpointer unused) {
        g_autoptr(Actor) other = actor_new(0, MAIN_PID, "conbus-unit", OTHER, ":1.9");

        claim(test, test->web, test->unit);
        submit(test, test->web, VERB_START, other, "{'managed': <true>}", &test->answer);
        expect_error(test, CONBUS_ERROR_MANAGED_BY_UNIT, UNIT " owns it already");
        g_assert_cmpstr(test->web->life.managed_by, ==, UNIT);
}

static void test_one_container(Case *test, gconstpointer unused) {
        Container *again = fixture_add(&test->base, "again", "@a{sv} {}");

        claim(test, test->web, test->unit);
        claim(test, again, test->unit);
        g_assert_cmpstr(test->web->life.managed_by, ==, "");
}

static void test_what_cannot_be_recorded(Case *test, gconstpointer unused) {
        (void) fixture_run(&test->base, test->web, STATE_RUNNING);
        fixture_refuse(&test->base, "INSERT ON life WHEN new.managed_by != ''");
        submit(test, test->web, VERB_START, test->unit, "{'managed': <true>}", &test->answer);
        expect_error(test, CONBUS_ERROR_STORAGE_FULL, "");
        fixture_allow(&test->base);
        submit(test, test->web, VERB_START, test->unit, "{'managed': <true>}", &test->answer);
        expect_started(test, "'started': <false>");
        fixture_refuse(&test->base, "INSERT ON life WHEN new.managed_by = ''");
        end_unit(test);
        testing_run_idle(test->base.event);
        g_assert_cmpstr(test->web->life.managed_by, ==, UNIT);
        fixture_allow(&test->base);
        testing_run_until(test->base.event, is_free, test->web); /* a second later */
}

static void test_the_policy_rests(Case *test, gconstpointer unused) {
        const char *reason;

        let_it_wait(test);
        g_assert_cmpuint(test->web->life.next_restart_usec, ==, 0);
        g_assert_false(policy_should_restart(test->web, &reason));
        g_assert_cmpstr(reason, ==, "managed-by-unit");
        end_unit(test);
        testing_run_until(test->base.event, is_free, test->web);
        testing_run_idle(test->base.event);
        g_assert_cmpint(test->web->life.state, ==, STATE_EXITED); /* its end was the unit's to answer */
        g_assert_true(policy_should_restart(test->web, &reason));
}

static void plan_restart(Life *life) {
        life->next_restart_usec = clock_realtime_usec() + DAY;
        life->backoff_usec = DAY;
}

static void test_a_pending_restart_is_called_off(Case *test, gconstpointer unused) {
        fixture_exit(&test->base, test->web, plan_restart);
        policy_arm(test->base.engine, test->web);
        submit(test, test->web, VERB_START, test->unit, "{'managed': <true>}", &test->answer);
        testing_run_until_count(test->base.event, &test->answer.n, 1); /* there is nothing here that could be launched */
        g_assert_cmpuint(test->web->life.next_restart_usec, ==, 0);
        g_assert_cmpstr(test->web->life.managed_by, ==, UNIT);
}

/* --- jobs --- */

static void test_a_stop(Case *test, gconstpointer unused) {
        g_auto(Answer) inner = {0};

        claim(test, test->web, test->unit);
        submit(test, test->web, VERB_STOP, test->client, "{'timeout-usec': <uint64 0>, 'reason': <'why not'>}", &test->answer);
        expect_call(test, 1, "StopUnit '" UNIT "' 'replace'");
        g_assert_cmpuint(g_queue_get_length(&test->web->operations), ==, 0);
        submit(test, test->web, VERB_STOP, test->unit, NULL, &inner);
        testing_run_until_count(test->base.event, &inner.n, 1);
        g_assert_cmpstr(inner.result, ==, "(1,)");
        g_assert_cmpint(test->web->life.exit_signal, ==, SIGKILL); /* as the client has wished */
        g_assert_true(test->web->life.stopped_by_user);
        g_assert_cmpuint(test->answer.n, ==, 0);
        job_removed(test, 1, "done");
        expect_answer(test, "(1,)");
}

/* The second one comes while the unit's own stop holds the queue: it is about the same run, and the unit is asked once more. */
static void test_two_stops(Case *test, gconstpointer unused) {
        g_auto(Answer) inner = {0}, second = {0};

        claim(test, test->web, test->unit);
        submit(test, test->web, VERB_STOP, test->client, NULL, &test->answer);
        expect_call(test, 1, "StopUnit '" UNIT "' 'replace'");
        submit(test, test->web, VERB_STOP, test->unit, NULL, &inner);
        submit(test, test->web, VERB_STOP, test->client, NULL, &second);
        g_assert_cmpint(test->web->life.state, ==, STATE_RUNNING);
        testing_run_until_count(test->base.event, &inner.n, 1);
        expect_call(test, 2, "StopUnit '" UNIT "' 'replace'");
        job_removed(test, 1, "done");
        expect_answer(test, "(1,)");
        job_removed(test, 2, "done");
        testing_run_until_count(test->base.event, &second.n, 1);
        g_assert_cmpstr(second.result, ==, "(1,)");
}

static void test_the_unit_has_less_time_than_the_container(Case *test, gconstpointer unused) {
        (void) signal(SIGTERM, SIG_IGN);
        Container *slow = fixture_add(&test->base, "slow", "{'stop-timeout-usec': <uint64 600000000>}");
        claim(test, slow, test->unit);
        (void) signal(SIGTERM, SIG_DFL);
        submit(test, slow, VERB_STOP, test->unit, NULL, &test->answer);
        fixture_run_until_state(&test->base, slow, STATE_STOPPING);
        g_assert_cmpuint(slow->life.stop_deadline, <=, clock_boottime_in(80 * G_USEC_PER_SEC));
        g_assert_true(pidref_signal(&slow->main, SIGKILL, NULL, NULL));
        expect_answer(test, "(1,)");
}

static void test_a_stop_of_nothing(Case *test, gconstpointer unused) {
        let_it_wait(test);
        submit(test, test->web, VERB_STOP, test->client, NULL, &test->answer);
        expect_call(test, 1, "StopUnit '" UNIT "' 'replace'");
        job_removed(test, 1, "done");
        expect_error(test, CONBUS_ERROR_NOT_RUNNING, "");
        g_assert_true(test->web->life.stopped_by_user);
}

static void test_a_stop_after_which_it_goes_on(Case *test, gconstpointer unused) {
        claim(test, test->web, test->unit);
        submit(test, test->web, VERB_STOP, test->client, NULL, &test->answer);
        expect_call(test, 1, "StopUnit '" UNIT "' 'replace'");
        job_removed(test, 1, "done");
        expect_error(test, CONBUS_ERROR_UNIT_FAILED, "run 1 goes on; the option force-direct stops it");
}

static void test_a_unit_that_cannot_be_asked(Case *test, gconstpointer unused) {
        static const Verb verbs[] = {VERB_STOP, VERB_RESTART};

        claim(test, test->web, test->unit);
        test->refuse = true;
        for (unsigned i = 0; i < G_N_ELEMENTS(verbs); i++) {
                submit(test, test->web, verbs[i], test->client, NULL, &test->answer);
                expect_error(test, CONBUS_ERROR_MANAGED_BY_UNIT, "by dependency only); use systemctl, or the option force-direct to go past it");
        }
        submit(test, test->web, VERB_REMOVE, test->client, "{'force': <true>}", &test->answer);
        expect_error(test, CONBUS_ERROR_MANAGED_BY_UNIT, "");
        g_assert_cmpint(test->web->life.state, ==, STATE_RUNNING);
}

static void test_a_restart_that_fails(Case *test, gconstpointer unused) {
        claim(test, test->web, test->unit);
        submit(test, test->web, VERB_RESTART, test->client, NULL, &test->answer);
        expect_call(test, 2, "RestartUnit '" UNIT "' 'replace'");
        job_removed(test, 2, "failed");
        expect_error(test, CONBUS_ERROR_UNIT_FAILED, "failed; systemctl status " UNIT " says more");
        submit(test, test->web, VERB_RESTART, test->client, NULL, &test->answer);
        expect_call(test, 4, "RestartUnit '" UNIT "' 'replace'");
        g_autoptr(GError) why = g_error_new(CONBUS_ERROR, CONBUS_ERROR_RUNTIME_COMMAND_NOT_FOUND, "no such program");
        g_autoptr(Commit) commit = commit_new(test->web, NULL);
        commit_set_error(commit, why);
        g_assert_true(commit_apply(commit, NULL));
        job_removed(test, 4, "failed");
        expect_error(test, CONBUS_ERROR_RUNTIME_COMMAND_NOT_FOUND, UNIT ": no such program");
}

static void test_starts(Case *test, gconstpointer unused) {
        let_it_wait(test);
        submit(test, test->web, VERB_START, test->client, NULL, &test->answer);
        expect_call(test, 2, "RestartUnit '" UNIT "' 'replace'"); /* a start would wait with it */
        job_removed(test, 2, "done");
        expect_started(test, "'started': <true>");
        test->sub_state = "start";
        submit(test, test->web, VERB_START, test->client, NULL, &test->answer);
        expect_call(test, 4, "StartUnit '" UNIT "' 'replace'");
        job_removed(test, 4, "done");
        expect_started(test, "'started': <true>");
}

static void test_a_start_that_is_not_wanted_any_more(Case *test, gconstpointer unused) {
        let_it_wait(test);
        Operation *operation = submit(test, test->web, VERB_START, test->client, NULL, &test->answer);
        expect_call(test, 2, "RestartUnit '" UNIT "' 'replace'");
        operation_cancel(operation);
        expect_call(test, 3, "StopUnit '" UNIT "' 'replace'");
        job_removed(test, 3, "done");
        expect_error(test, CONBUS_ERROR_CANCELLED, "");
}

static void test_health(Case *test, gconstpointer unused) {
        claim(test, test->web, test->unit);
        Operation *operation = submit(test, test->web, VERB_STOP, NULL, NULL, &test->answer);
        operation->not_by_user = true;
        operation->number = 1;
        expect_call(test, 2, "RestartUnit '" UNIT "' 'replace'");
        job_removed(test, 2, "failed");
        expect_error(test, CONBUS_ERROR_UNIT_FAILED, "");
        operation = operation_submit(test->base.engine, test->web, VERB_STOP, NULL, NULL, NULL, NULL, NULL);
        operation->number = 7; /* of a run that is over: nothing to do */
        testing_run_idle(test->base.event);
        g_assert_cmpuint(test->base.engine->n_accepted, ==, 0);
        g_assert_cmpuint(test->calls->len, ==, 2);
}

static void test_a_removal(Case *test, gconstpointer unused) {
        g_auto(Answer) inner = {0};

        claim(test, test->web, test->unit);
        submit(test, test->web, VERB_REMOVE, test->client, NULL, &test->answer);
        expect_error(test, CONBUS_ERROR_INVALID_STATE, "");
        g_assert_cmpuint(test->calls->len, ==, 0);
        submit(test, test->web, VERB_REMOVE, test->client, "{'force': <true>}", &test->answer);
        expect_call(test, 1, "StopUnit '" UNIT "' 'replace'");
        submit(test, test->web, VERB_STOP, test->unit, NULL, &inner);
        testing_run_until_count(test->base.event, &inner.n, 1);
        job_removed(test, 1, "done");
        expect_answer(test, "()");
        g_assert_null(registry_get_by_name(test->base.registry, "web"));
}

static void test_what_goes_directly(Case *test, gconstpointer unused) {
        claim(test, test->web, test->unit);
        submit(test, test->web, VERB_STOP, test->client, "{'force-direct': <true>}", &test->answer);
        expect_answer(test, "(1,)");
        g_assert_cmpstr(test->web->life.managed_by, ==, UNIT);
        submit(test, test->web, VERB_START, test->client, "{'force-direct': <true>}", &test->answer);
        testing_run_until_count(test->base.event, &test->answer.n, 1); /* nothing can be launched here */
        g_assert_cmpstr(test->web->life.managed_by, ==, "");
        g_assert_cmpuint(test->calls->len, ==, 0);
}

/* --- the machine's end, and the service's --- */

static void test_at_shutdown(Case *test, gconstpointer unused) {
        g_autofree char *depends = g_strdup_printf("{'depends': <['%s']>, 'restart-policy': <'always'>}", test->web->id);
        Container *dependent = fixture_add(&test->base, "dependent", depends);

        claim(test, test->web, test->unit);
        (void) fixture_run(&test->base, dependent, STATE_RUNNING);
        test->system_state = "stopping";
        submit(test, test->web, VERB_STOP, test->unit, NULL, &test->answer);
        fixture_run_until_state(&test->base, dependent, STATE_EXITED);
        expect_answer(test, "(1,)");
        g_assert_cmpuint(dependent->life.finish_usec, <=, test->web->life.finish_usec);
        g_assert_false(test->web->life.stopped_by_user || dependent->life.stopped_by_user);
        g_assert_cmpuint(dependent->life.next_restart_usec, ==, 0);
        submit(test, test->web, VERB_STOP, test->client, NULL, &test->answer); /* the manager takes no more orders */
        expect_error(test, CONBUS_ERROR_NOT_RUNNING, "");
        g_assert_cmpuint(test->calls->len, ==, 0);
}

static void on_down(void *n_done) {
        (*(unsigned *) n_done)++;
}

static void test_a_shutdown_leaves_it_to_the_unit(Case *test, gconstpointer unused) {
        Container *plain = fixture_add(&test->base, "plain", "@a{sv} {}");
        unsigned n_done = 0;

        claim(test, test->web, test->unit);
        (void) fixture_run(&test->base, plain, STATE_RUNNING);
        engine_shut_down(test->base.engine, DAY, on_down, &n_done);
        fixture_run_until_state(&test->base, plain, STATE_EXITED);
        testing_run_idle(test->base.event);
        g_assert_cmpint(test->web->life.state, ==, STATE_RUNNING);
        end_unit(test); /* it did not stop it: so it is ours again */
        testing_run_until_count(test->base.event, &n_done, 1);
        g_assert_cmpint(test->web->life.state, ==, STATE_EXITED);
}

static void crash(Case *test, const char *sql) {
        test->base.engine->units = NULL;
        fixture_crash(&test->base, sql);
        test->base.engine->units = test->units;
        test->web = registry_get_by_name(test->base.registry, "web");
        fixture_adopt(&test->base);
}

static void test_the_next_service_knows(Case *test, gconstpointer unused) {
        claim(test, test->web, test->unit);
        crash(test, NULL);
        testing_run_idle(test->base.event);
        g_assert_cmpstr(test->web->life.managed_by, ==, UNIT);
        test->active_state = "failed"; /* while nobody was there */
        crash(test, NULL);
        testing_run_until(test->base.event, is_free, test->web);
}

static void test_after_a_boot_nobody_owns_it(Case *test, gconstpointer unused) {
        claim(test, test->web, test->unit);
        g_assert_true(pidref_signal(&test->web->main, SIGKILL, NULL, NULL));
        fixture_run_until_state(&test->base, test->web, STATE_EXITED);
        crash(test, "UPDATE life SET boot_id = 'another'");
        g_assert_cmpstr(test->web->life.managed_by, ==, "");
}

static void test_the_service_leaves_while_a_job_runs(Case *test, gconstpointer unused) {
        Answer heard = {0};

        claim(test, test->web, test->unit);
        submit(test, test->web, VERB_STOP, test->client, NULL, &heard);
        expect_call(test, 1, "StopUnit '" UNIT "' 'replace'");
        submit(test, test->web, VERB_STOP, test->unit, NULL, &heard); /* asks about the unit */
        crash(test, NULL);
        job_removed(test, 1, "done");
        testing_run_idle(test->base.event);
        g_assert_cmpuint(heard.n, ==, 0);
}

#define ADD(name, function) g_test_add("/managed/" name, Case, NULL, case_set_up, function, case_tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD("until-the-unit-ends", test_until_the_unit_ends);
        ADD("who-is-refused", test_who_is_refused);
        ADD("one-owner", test_one_owner);
        ADD("one-container", test_one_container);
        ADD("what-cannot-be-recorded", test_what_cannot_be_recorded);
        ADD("the-policy-rests", test_the_policy_rests);
        ADD("a-pending-restart-is-called-off", test_a_pending_restart_is_called_off);
        ADD("a-stop", test_a_stop);
        ADD("two-stops", test_two_stops);
        ADD("the-unit-has-less-time-than-the-container", test_the_unit_has_less_time_than_the_container);
        ADD("a-stop-of-nothing", test_a_stop_of_nothing);
        ADD("a-stop-after-which-it-goes-on", test_a_stop_after_which_it_goes_on);
        ADD("a-unit-that-cannot-be-asked", test_a_unit_that_cannot_be_asked);
        ADD("a-restart-that-fails", test_a_restart_that_fails);
        ADD("starts", test_starts);
        ADD("a-start-that-is-not-wanted-any-more", test_a_start_that_is_not_wanted_any_more);
        ADD("health", test_health);
        ADD("a-removal", test_a_removal);
        ADD("what-goes-directly", test_what_goes_directly);
        ADD("at-shutdown", test_at_shutdown);
        ADD("a-shutdown-leaves-it-to-the-unit", test_a_shutdown_leaves_it_to_the_unit);
        ADD("the-next-service-knows", test_the_next_service_knows);
        ADD("after-a-boot-nobody-owns-it", test_after_a_boot_nobody_owns_it);
        ADD("the-service-leaves-while-a-job-runs", test_the_service_leaves_while_a_job_runs);
        return g_test_run();
}
