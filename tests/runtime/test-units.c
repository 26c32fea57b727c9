/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The test is the service manager: it answers calls, or refuses them, or leaves, and says how jobs end. Times that the unit under test would wait are over at once or never (--wrap). */

#include "runtime/units.h"
#include "base/log.h"
#include "fake-bus.h"
#include "hurried.h"
#include "testing.h"
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define OBJECT "/org/freedesktop/systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"
#define SCOPE "conbus-a.scope"

typedef struct Fixture {
        sd_event *event;
        FakeBus *bus;
        Units *units;
        PidRef process;
        GPtrArray *calls; /* of text: member and arguments */
        GPtrArray *kept; /* of messages that are not answered yet */
        GArray *fds; /* that came along */
        unsigned n_jobs;
        const char *error_name, *error_text; /* what is answered to the next call */
        bool keep, garble; /* no answer, or one of another type */
        const char *state; /* SystemState */
        guint64 stop_usec; /* TimeoutStopUSec */
        unsigned n_done;
        char *failure; /* of the last one */
        bool goes_down;
        guint64 may_take;
        unsigned before;
} Fixture;

static void answer_property(Fixture *fixture, sd_bus_message *call, bool is_state) {
        if (fixture->garble)
                g_assert_cmpint(sd_bus_reply_method_return(call, "v", "u", 7u), >=, 0);
        else if (is_state)
                g_assert_cmpint(sd_bus_reply_method_return(call, "v", "s", fixture->state), >=, 0);
        else
                g_assert_cmpint(sd_bus_reply_method_return(call, "v", "t", fixture->stop_usec), >=, 0);
}

static void answer(Fixture *fixture, sd_bus_message *call) {
        g_autofree char *job = g_strdup_printf(OBJECT "/job/%u", ++fixture->n_jobs);
        const char *error = g_steal_pointer(&fixture->error_name);

        if (error)
                g_assert_cmpint(sd_bus_reply_method_errorf(call, error, "%s", fixture->error_text), >=, 0);
        else if (fixture->garble)
                g_assert_cmpint(sd_bus_reply_method_return(call, "s", "what?"), >=, 0);
        else
                g_assert_cmpint(sd_bus_reply_method_return(call, "o", job), >=, 0);
}

static void on_call(FakeBus *bus, sd_bus_message *call, void *userdata) {
        Fixture *fixture = userdata;

        g_ptr_array_add(fixture->calls, fake_bus_text_of(call, fixture->fds));
        const char *last = fixture->calls->pdata[fixture->calls->len - 1];
        if (fixture->keep)
                g_ptr_array_add(fixture->kept, sd_bus_message_ref(call));
        else if (g_str_has_prefix(last, "Get") && !fixture->error_name)
                answer_property(fixture, call, strstr(last, "SystemState"));
        else if (!g_str_has_prefix(last, "Subscribe"))
                answer(fixture, call);
}

static void set_up(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;

        log_set_level(LOG_EMERG);
        hurry = false;
        fixture->before = testing_count_descriptors();
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->calls = g_ptr_array_new_with_free_func(g_free);
        fixture->kept = g_ptr_array_new_with_free_func((GDestroyNotify) sd_bus_message_unref);
        fixture->fds = g_array_new(FALSE, FALSE, sizeof(int));
        fixture->process = PIDREF_NULL;
        g_assert_true(pidref_open(testing_child_new(), &fixture->process, &error));
        fixture->bus = fake_bus_new(fixture->event, on_call, fixture);
        fixture->units = units_new(fixture->bus->client, fixture->event);
        testing_run_until_count(fixture->event, &fixture->calls->len, 1);
        g_assert_cmpstr(fixture->calls->pdata[0], ==, "Subscribe");
        g_ptr_array_set_size(fixture->calls, 0);
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        units_free(fixture->units);
        g_ptr_array_unref(fixture->kept);
        fake_bus_free(fixture->bus);
        sd_event_unref(fixture->event);
        g_ptr_array_unref(fixture->calls);
        for (guint i = 0; i < fixture->fds->len; i++)
                close_fd(g_array_index(fixture->fds, int, i));
        g_array_unref(fixture->fds);
        g_assert_no_errno(kill(fixture->process.pid, SIGKILL));
        g_assert_cmpint(waitpid(fixture->process.pid, NULL, 0), ==, fixture->process.pid);
        pidref_clear(&fixture->process);
        g_free(fixture->failure);
        g_assert_cmpuint(testing_count_descriptors(), ==, fixture->before);
}

static void on_done(const GError *error, void *userdata) {
        Fixture *fixture = userdata;

        fixture->n_done++;
        g_assert_true(!error || g_error_matches(error, CONBUS_ERROR, CONBUS_ERROR_UNIT_FAILED));
        g_free(fixture->failure);
        fixture->failure = error ? g_strdup(error->message) : NULL;
}

static UnitJob *start(Fixture *fixture, GVariant *properties) {
        const ScopePlan plan = {.name = SCOPE, .description = "Container a", .slice = "machine-a.slice", .mount = "/run/a b", .process = &fixture->process, .stop_usec = 7, .properties = properties};
        unsigned before = fixture->n_done;
        UnitJob *job = units_start_scope(fixture->units, &plan, on_done, fixture);

        g_assert_nonnull(job);
        g_assert_cmpuint(fixture->n_done, ==, before); /* never before it has returned */
        return job;
}

static UnitJob *stop(Fixture *fixture, const char *name) {
        unsigned before = fixture->n_done;
        UnitJob *job = units_stop_scope(fixture->units, name, on_done, fixture);

        g_assert_nonnull(job);
        g_assert_cmpuint(fixture->n_done, ==, before);
        return job;
}

static void expect_call(Fixture *fixture, unsigned i, const char *text) {
        if (fixture->calls->len <= i)
                testing_run_until_count(fixture->event, &fixture->calls->len, i + 1);
        g_assert_cmpstr(fixture->calls->pdata[i], ==, text);
}

/* Everything that was sent has arrived. */
static void settle(Fixture *fixture) {
        g_assert_cmpint(sd_bus_flush(fixture->bus->client), >=, 0);
        testing_run_idle(fixture->event);
}

static void expect_done(Fixture *fixture, unsigned n, const char *failure) {
        testing_run_until_count(fixture->event, &fixture->n_done, n);
        g_assert_cmpstr(fixture->failure, ==, failure);
        settle(fixture);
        g_assert_cmpuint(fixture->n_done, ==, n);
}

static void job_removed(Fixture *fixture, unsigned number, const char *unit, const char *result) {
        g_autofree char *path = g_strdup_printf(OBJECT "/job/%u", number);

        fake_bus_signal(fixture->bus, OBJECT, MANAGER, "JobRemoved", "uoss", number, path, unit, result);
}

static void unit_removed(Fixture *fixture, const char *unit) {
        fake_bus_signal(fixture->bus, OBJECT, MANAGER, "UnitRemoved", "so", unit, OBJECT "/unit/x");
}

#define START_CALL(process, more)                                                                                                                                                     \
        "StartTransientUnit '" SCOPE "' 'fail' [('Description', <'Container a'>), ('Slice', <'machine-a.slice'>), ('Delegate', <true>), ('CollectMode', <'inactive-or-failed'>), " \
        "('Before', <['conbus-containers.target']>), ('After', <['run-a\\\\x20b.mount']>), ('TimeoutStopUSec', <uint64 7>), " process more "] []"

/* --- starting --- */

static void test_start(Fixture *fixture, gconstpointer unused) {
        (void) start(fixture, NULL);
        expect_call(fixture, 0, START_CALL("('PIDFDs', <[handle 0]>)", ""));
        g_assert_cmpuint(fixture->fds->len, ==, 1);
        g_autofree char *info = g_strdup_printf("/proc/self/fdinfo/%d", g_array_index(fixture->fds, int, 0)), *text = NULL, *line = g_strdup_printf("\nPid:\t%d\n", fixture->process.pid);
        g_assert_true(g_file_get_contents(info, &text, NULL, NULL));
        g_assert_nonnull(strstr(text, line));
        settle(fixture);
        g_assert_cmpuint(fixture->n_done, ==, 0);
        job_removed(fixture, 77, SCOPE, "done"); /* others' */
        unit_removed(fixture, SCOPE); /* of a former life */
        settle(fixture);
        g_assert_cmpuint(fixture->n_done, ==, 0);
        job_removed(fixture, 1, SCOPE, "done");
        expect_done(fixture, 1, NULL);
}

static void test_start_with_properties(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GVariant) properties = g_variant_ref_sink(g_variant_new_parsed("[('MemoryMax', <uint64 1>), ('Environment', <['a']>)]"));

        (void) start(fixture, properties);
        expect_call(fixture, 0, START_CALL("('PIDFDs', <[handle 0]>)", ", ('MemoryMax', <uint64 1>), ('Environment', <['a']>)"));
        job_removed(fixture, 1, SCOPE, "done");
        expect_done(fixture, 1, NULL);
}

static void test_properties_that_cannot_be_sent(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GVariant) properties = g_variant_ref_sink(g_variant_new_parsed("[('Odd', <()>)]"));

        (void) start(fixture, properties);
        expect_done(fixture, 1, "ask for " SCOPE ": the bus does not take the call");
        g_assert_cmpuint(fixture->calls->len, ==, 0);
        g_assert_cmpint(fixture->bus->n_matches, ==, 0);
}

static void test_an_older_manager_gets_numbers(Fixture *fixture, gconstpointer unused) {
        g_autofree char *process = g_strdup_printf("('PIDs', <[uint32 %d]>)", fixture->process.pid), *wanted = NULL;
        g_auto(GStrv) pieces = g_strsplit(START_CALL("PROCESS", ", ('MemoryMax', <uint64 1>)"), "PROCESS", 2);
        g_autoptr(GVariant) properties = g_variant_ref_sink(g_variant_new_parsed("[('MemoryMax', <uint64 1>)]"));

        wanted = g_strjoinv(process, pieces);
        fixture->error_name = SD_BUS_ERROR_PROPERTY_READ_ONLY;
        fixture->error_text = "Cannot set property PIDFDs, or unknown property.";
        (void) start(fixture, properties);
        expect_call(fixture, 1, wanted);
        settle(fixture);
        job_removed(fixture, 2, SCOPE, "done");
        expect_done(fixture, 1, NULL);
        (void) start(fixture, properties); /* it is not tried again */
        expect_call(fixture, 2, wanted);
        job_removed(fixture, 3, SCOPE, "done");
        expect_done(fixture, 2, NULL);
        g_assert_cmpuint(fixture->calls->len, ==, 3);
}

static void test_numbers_are_refused_as_well(Fixture *fixture, gconstpointer unused) {
        fixture->error_name = SD_BUS_ERROR_PROPERTY_READ_ONLY;
        fixture->error_text = "Cannot set property PIDFDs, or unknown property.";
        (void) start(fixture, NULL);
        testing_run_until_count(fixture->event, &fixture->calls->len, 1);
        fixture->error_name = SD_BUS_ERROR_PROPERTY_READ_ONLY; /* the second answer: it must not be asked for ever */
        expect_done(fixture, 1, "start " SCOPE ": Cannot set property PIDFDs, or unknown property.");
        g_assert_cmpuint(fixture->calls->len, ==, 2);
}

static void test_refused_start(Fixture *fixture, gconstpointer unused) {
        static const char *const refusals[][2] = {
                {SD_BUS_ERROR_PROPERTY_READ_ONLY, "Cannot set property MemoryMin, or unknown property."},
                {"org.freedesktop.systemd1.UnitExists", "Unit conbus-a.scope was already loaded or has a fragment file."},
                {SD_BUS_ERROR_ACCESS_DENIED, "Permission denied"},
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(refusals); i++) {
                g_autofree char *failure = g_strdup_printf("start " SCOPE ": %s", refusals[i][1]);
                fixture->error_name = refusals[i][0];
                fixture->error_text = refusals[i][1];
                (void) start(fixture, NULL);
                expect_done(fixture, i + 1, failure);
                g_assert_cmpuint(fixture->calls->len, ==, i + 1);
        }
}

static void test_start_jobs_that_fail(Fixture *fixture, gconstpointer unused) {
        static const char *const results[] = {"failed", "canceled", "timeout", "dependency", "skipped", "invalid", ""};

        for (unsigned i = 0; i < G_N_ELEMENTS(results); i++) {
                g_autofree char *failure = g_strdup_printf("start " SCOPE ": %s", results[i]);
                (void) start(fixture, NULL);
                testing_run_until_count(fixture->event, &fixture->calls->len, i + 1);
                job_removed(fixture, i + 1, SCOPE, results[i]);
                expect_done(fixture, i + 1, failure);
        }
}

static void test_an_answer_that_is_not_understood(Fixture *fixture, gconstpointer unused) {
        fixture->garble = true;
        (void) start(fixture, NULL);
        expect_done(fixture, 1, "start " SCOPE ": the answer is not understood");
        (void) stop(fixture, SCOPE);
        expect_done(fixture, 2, "stop " SCOPE ": the answer is not understood");
}

/* --- stopping --- */

static void test_stop_waits_until_the_unit_is_gone(Fixture *fixture, gconstpointer unused) {
        (void) stop(fixture, SCOPE);
        expect_call(fixture, 0, "StopUnit '" SCOPE "' 'fail'");
        job_removed(fixture, 1, SCOPE, "done");
        unit_removed(fixture, "conbus-b.scope");
        settle(fixture);
        g_assert_cmpuint(fixture->n_done, ==, 0);
        unit_removed(fixture, SCOPE);
        expect_done(fixture, 1, NULL);
}

static void test_a_unit_that_the_manager_keeps_is_not_waited_for_long(Fixture *fixture, gconstpointer unused) {
        hurry = true;
        (void) stop(fixture, SCOPE);
        testing_run_until_count(fixture->event, &fixture->calls->len, 1);
        settle(fixture);
        g_assert_cmpuint(fixture->n_done, ==, 0); /* as long as the job is there, it may take what it takes */
        job_removed(fixture, 1, SCOPE, "done");
        expect_done(fixture, 1, NULL);
        unit_removed(fixture, SCOPE);
        settle(fixture);
        g_assert_cmpuint(fixture->n_done, ==, 1);
}

static void test_a_unit_that_is_not_there_is_stopped(Fixture *fixture, gconstpointer unused) {
        fixture->error_name = "org.freedesktop.systemd1.NoSuchUnit";
        fixture->error_text = "Unit conbus-a.scope not loaded.";
        (void) stop(fixture, SCOPE);
        expect_done(fixture, 1, NULL);
}

static void test_refused_stop(Fixture *fixture, gconstpointer unused) {
        fixture->error_name = "org.freedesktop.systemd1.TransactionIsDestructive";
        fixture->error_text = "Transaction is destructive.";
        (void) stop(fixture, SCOPE);
        expect_done(fixture, 1, "stop " SCOPE ": Transaction is destructive.");
        (void) stop(fixture, SCOPE);
        testing_run_until_count(fixture->event, &fixture->calls->len, 2);
        job_removed(fixture, 2, SCOPE, "canceled");
        expect_done(fixture, 2, "stop " SCOPE ": canceled");
}

/* The manager gives two requests for one stop the same job. */
static void test_two_stops_of_one_unit_both_end(Fixture *fixture, gconstpointer unused) {
        for (unsigned i = 0; i < 3; i++) {
                (void) stop(fixture, SCOPE);
                testing_run_until_count(fixture->event, &fixture->calls->len, i + 1);
                settle(fixture);
                fixture->n_jobs = 0;
        }
        job_removed(fixture, 1, SCOPE, "done");
        settle(fixture);
        g_assert_cmpuint(fixture->n_done, ==, 0);
        unit_removed(fixture, SCOPE);
        expect_done(fixture, 3, NULL);
        g_assert_cmpint(fixture->bus->n_matches, ==, 0);
}

static void test_two_stops_of_one_unit_both_fail(Fixture *fixture, gconstpointer unused) {
        for (unsigned i = 0; i < 2; i++) {
                (void) stop(fixture, SCOPE);
                testing_run_until_count(fixture->event, &fixture->calls->len, i + 1);
                settle(fixture);
                fixture->n_jobs = 0;
        }
        job_removed(fixture, 1, SCOPE, "timeout");
        expect_done(fixture, 2, "stop " SCOPE ": timeout");
}

static void test_a_stop_that_was_not_answered_yet_is_not_ended_by_an_older_one(Fixture *fixture, gconstpointer unused) {
        fixture->keep = true;
        (void) stop(fixture, SCOPE);
        testing_run_until_count(fixture->event, &fixture->calls->len, 1);
        unit_removed(fixture, SCOPE);
        settle(fixture);
        g_assert_cmpuint(fixture->n_done, ==, 0);
        answer(fixture, fixture->kept->pdata[0]);
        settle(fixture);
        job_removed(fixture, 1, SCOPE, "done");
        unit_removed(fixture, SCOPE);
        expect_done(fixture, 1, NULL);
}

/* --- both --- */

static void test_signals_are_asked_for_only_while_a_job_runs(Fixture *fixture, gconstpointer unused) {
        settle(fixture);
        g_assert_cmpint(fixture->bus->n_matches, ==, 0);
        (void) start(fixture, NULL);
        (void) stop(fixture, "conbus-b.scope");
        testing_run_until_count(fixture->event, &fixture->calls->len, 2);
        settle(fixture);
        g_assert_cmpint(fixture->bus->n_matches, ==, 1);
        job_removed(fixture, 1, SCOPE, "done");
        expect_done(fixture, 1, NULL);
        g_assert_cmpint(fixture->bus->n_matches, ==, 1);
        unit_removed(fixture, "conbus-b.scope");
        expect_done(fixture, 2, NULL);
        g_assert_cmpint(fixture->bus->n_matches, ==, 0);
}

static void test_a_forgotten_job_is_not_told(Fixture *fixture, gconstpointer unused) {
        unit_job_forget(NULL);
        unit_job_forget(start(fixture, NULL)); /* its effect goes on */
        UnitJob *job = stop(fixture, SCOPE);
        testing_run_until_count(fixture->event, &fixture->calls->len, 2);
        settle(fixture);
        job_removed(fixture, 2, SCOPE, "done");
        settle(fixture);
        unit_job_forget(job); /* while it waits for the unit to go */
        unit_removed(fixture, SCOPE);
        settle(fixture);
        g_assert_cmpuint(fixture->n_done, ==, 0);
        g_assert_cmpint(fixture->bus->n_matches, ==, 0);
}

static void test_signals_that_are_not_understood(Fixture *fixture, gconstpointer unused) {
        (void) stop(fixture, SCOPE);
        testing_run_until_count(fixture->event, &fixture->calls->len, 1);
        settle(fixture);
        fake_bus_signal(fixture->bus, OBJECT, MANAGER, "JobRemoved", "s", "x");
        fake_bus_signal(fixture->bus, OBJECT, MANAGER, "UnitRemoved", "u", 1u);
        fake_bus_signal(fixture->bus, OBJECT, MANAGER, "Reloading", "b", 1);
        settle(fixture);
        g_assert_cmpuint(fixture->n_done, ==, 0);
        unit_removed(fixture, SCOPE);
        expect_done(fixture, 1, NULL);
}

static void test_a_manager_that_leaves(Fixture *fixture, gconstpointer unused) {
        fixture->keep = true;
        (void) start(fixture, NULL);
        (void) stop(fixture, "conbus-b.scope");
        testing_run_until_count(fixture->event, &fixture->calls->len, 2);
        fake_bus_hang_up(fixture->bus);
        testing_run_until_count(fixture->event, &fixture->n_done, 2);
        g_assert_nonnull(fixture->failure);
        (void) stop(fixture, SCOPE); /* and there is no connection any more */
        testing_run_until_count(fixture->event, &fixture->n_done, 3);
        g_assert_cmpstr(fixture->failure, ==, "ask for " SCOPE ": the bus does not take the call");
}

static void test_what_runs_when_all_is_freed_is_forgotten(Fixture *fixture, gconstpointer unused) {
        fixture->keep = true;
        (void) start(fixture, NULL);
        (void) stop(fixture, "conbus-b.scope");
        testing_run_until_count(fixture->event, &fixture->calls->len, 2);
        g_clear_pointer(&fixture->units, units_free);
        for (guint i = 0; i < 2; i++)
                g_assert_cmpint(sd_bus_reply_method_errorf(fixture->kept->pdata[i], SD_BUS_ERROR_FAILED, "too late"), >=, 0);
        settle(fixture);
        g_assert_cmpuint(fixture->n_done, ==, 0);
        g_assert_cmpint(fixture->bus->n_matches, ==, 0);
}

/* --- jobs on services --- */

#define SERVICE "conbus-container@a.service"

static const char *code_of_failure; /* of the last job on a service */

static void on_service_done(const GError *error, void *userdata) {
        Fixture *fixture = userdata;

        fixture->n_done++;
        g_free(fixture->failure);
        fixture->failure = error ? g_strdup(error->message) : NULL;
        code_of_failure = error ? error_to_name(error) : NULL;
}

static void run_service(Fixture *fixture, ServiceJob job) {
        unsigned before = fixture->n_done;

        g_assert_nonnull(units_run_service(fixture->units, job, SERVICE, on_service_done, fixture));
        g_assert_cmpuint(fixture->n_done, ==, before);
}

static void test_jobs_on_services(Fixture *fixture, gconstpointer unused) {
        static const char *const calls[] = {"ResetFailedUnit '" SERVICE "'", "StartUnit '" SERVICE "' 'replace'", "StopUnit '" SERVICE "' 'replace'", "ResetFailedUnit '" SERVICE "'", "RestartUnit '" SERVICE "' 'replace'"};
        static const unsigned numbers[] = {2, 3, 5}; /* of their jobs: each call counts */

        run_service(fixture, SERVICE_JOB_START);
        run_service(fixture, SERVICE_JOB_STOP);
        run_service(fixture, SERVICE_JOB_RESTART);
        for (unsigned i = 0; i < G_N_ELEMENTS(calls); i++)
                expect_call(fixture, i, calls[i]);
        settle(fixture);
        g_assert_cmpuint(fixture->n_done, ==, 0);
        for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++) {
                job_removed(fixture, numbers[i], SERVICE, "done"); /* and nothing is waited for besides */
                expect_done(fixture, i + 1, NULL);
        }
        g_assert_cmpint(fixture->bus->n_matches, ==, 0);
}

static void test_jobs_on_services_that_fail(Fixture *fixture, gconstpointer unused) {
        static const char *const results[] = {"failed", "timeout", "canceled", "dependency"};

        for (unsigned i = 0; i < G_N_ELEMENTS(results); i++) {
                g_autofree char *text = g_strdup_printf("restart " SERVICE ": %s", results[i]);
                run_service(fixture, SERVICE_JOB_RESTART);
                testing_run_until_count(fixture->event, &fixture->calls->len, 2 * (i + 1));
                settle(fixture);
                job_removed(fixture, 2 * (i + 1), SERVICE, results[i]);
                expect_done(fixture, i + 1, text);
                g_assert_cmpstr(code_of_failure, ==, "io.conbus1.Error.UnitFailed");
        }
}

static void test_refused_jobs_on_services(Fixture *fixture, gconstpointer unused) {
        fixture->error_name = "org.freedesktop.systemd1.OnlyByDependency";
        fixture->error_text = "may be stopped by dependency only";
        run_service(fixture, SERVICE_JOB_STOP);
        expect_done(fixture, 1, "stop " SERVICE ": may be stopped by dependency only");
        g_assert_cmpstr(code_of_failure, ==, "io.conbus1.Error.ManagedByUnit");
        fixture->garble = true;
        run_service(fixture, SERVICE_JOB_STOP);
        expect_done(fixture, 2, "stop " SERVICE ": the answer is not understood");
        g_assert_cmpstr(code_of_failure, ==, "io.conbus1.Error.ManagedByUnit");
        fake_bus_hang_up(fixture->bus);
        testing_run_idle(fixture->event);
        run_service(fixture, SERVICE_JOB_START);
        testing_run_until_count(fixture->event, &fixture->n_done, 3);
        g_assert_cmpstr(code_of_failure, ==, "io.conbus1.Error.ManagedByUnit");
}

static void test_a_refused_reset_does_not_matter(Fixture *fixture, gconstpointer unused) {
        fixture->error_name = SD_BUS_ERROR_ACCESS_DENIED;
        fixture->error_text = "no";
        run_service(fixture, SERVICE_JOB_START);
        expect_call(fixture, 1, "StartUnit '" SERVICE "' 'replace'");
        settle(fixture);
        job_removed(fixture, 2, SERVICE, "done");
        expect_done(fixture, 1, NULL);
}

/* --- the machine's end --- */

static void on_shutdown(bool goes_down, guint64 stop_usec, void *userdata) {
        Fixture *fixture = userdata;

        fixture->n_done++;
        fixture->goes_down = goes_down;
        fixture->may_take = stop_usec;
}

static void ask(Fixture *fixture, unsigned n, bool goes_down, guint64 may_take) {
        units_ask_shutdown(fixture->units, "conbus.service", on_shutdown, fixture);
        g_assert_cmpuint(fixture->n_done, ==, n - 1);
        testing_run_until_count(fixture->event, &fixture->n_done, n);
        g_assert_true(fixture->goes_down == goes_down);
        g_assert_cmpuint(fixture->may_take, ==, may_take);
        if (fixture->bus->side)
                settle(fixture);
        g_assert_cmpuint(fixture->n_done, ==, n);
}

static void test_machine_stays(Fixture *fixture, gconstpointer unused) {
        static const char *const states[] = {"running", "degraded", "starting", "maintenance", "", "stopping "};

        for (unsigned i = 0; i < G_N_ELEMENTS(states); i++) {
                fixture->state = states[i];
                ask(fixture, i + 1, false, UINT64_MAX);
        }
        expect_call(fixture, 0, "Get '" MANAGER "' 'SystemState'");
        g_assert_cmpuint(fixture->calls->len, ==, G_N_ELEMENTS(states));
}

static void test_machine_goes_down(Fixture *fixture, gconstpointer unused) {
        static const guint64 times[] = {0, 1, 90 * G_USEC_PER_SEC, UINT64_MAX};

        fixture->state = "stopping";
        for (unsigned i = 0; i < G_N_ELEMENTS(times); i++) {
                fixture->stop_usec = times[i];
                ask(fixture, i + 1, true, times[i]);
        }
        expect_call(fixture, 1, "Get 'org.freedesktop.systemd1.Service' 'TimeoutStopUSec'");
}

static void test_machine_of_which_nothing_is_known(Fixture *fixture, gconstpointer unused) {
        fixture->garble = true;
        ask(fixture, 1, false, UINT64_MAX);
        fixture->error_name = SD_BUS_ERROR_ACCESS_DENIED;
        fixture->error_text = "no";
        ask(fixture, 2, false, UINT64_MAX);
}

static void test_a_time_that_is_not_told_is_the_default(Fixture *fixture, gconstpointer unused) {
        fixture->keep = true;
        units_ask_shutdown(fixture->units, "conbus.service", on_shutdown, fixture);
        units_ask_shutdown(fixture->units, "conbus.service", on_shutdown, fixture); /* is asked already: one answer */
        testing_run_until_count(fixture->event, &fixture->kept->len, 1);
        fixture->keep = false;
        fixture->state = "stopping";
        fixture->error_name = SD_BUS_ERROR_UNKNOWN_PROPERTY;
        fixture->error_text = "no";
        answer_property(fixture, fixture->kept->pdata[0], true);
        testing_run_until_count(fixture->event, &fixture->n_done, 1);
        g_assert_true(fixture->goes_down);
        g_assert_cmpuint(fixture->may_take, ==, 90 * G_USEC_PER_SEC);
        settle(fixture);
        g_assert_cmpuint(fixture->n_done, ==, 1);
}

static void test_a_question_that_nobody_takes_is_answered(Fixture *fixture, gconstpointer unused) {
        fixture->keep = true;
        units_ask_shutdown(fixture->units, "conbus.service", on_shutdown, fixture);
        testing_run_until_count(fixture->event, &fixture->kept->len, 1);
        fake_bus_hang_up(fixture->bus);
        testing_run_until_count(fixture->event, &fixture->n_done, 1);
        g_assert_false(fixture->goes_down);
        ask(fixture, 2, false, UINT64_MAX); /* nothing can be sent any more */
}

static void test_a_question_is_forgotten_with_the_rest(Fixture *fixture, gconstpointer unused) {
        fixture->keep = true;
        units_ask_shutdown(fixture->units, "conbus.service", on_shutdown, fixture);
        testing_run_until_count(fixture->event, &fixture->kept->len, 1);
        g_clear_pointer(&fixture->units, units_free);
        fixture->state = "stopping";
        answer_property(fixture, fixture->kept->pdata[0], true);
        settle(fixture);
        g_assert_cmpuint(fixture->n_done, ==, 0);
}

#define ADD(name, function) g_test_add("/units/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD("start", test_start);
        ADD("start-with-properties", test_start_with_properties);
        ADD("properties-that-cannot-be-sent", test_properties_that_cannot_be_sent);
        ADD("an-older-manager-gets-numbers", test_an_older_manager_gets_numbers);
        ADD("numbers-are-refused-as-well", test_numbers_are_refused_as_well);
        ADD("refused-start", test_refused_start);
        ADD("start-jobs-that-fail", test_start_jobs_that_fail);
        ADD("an-answer-that-is-not-understood", test_an_answer_that_is_not_understood);
        ADD("stop-waits-until-the-unit-is-gone", test_stop_waits_until_the_unit_is_gone);
        ADD("a-unit-that-the-manager-keeps-is-not-waited-for-long", test_a_unit_that_the_manager_keeps_is_not_waited_for_long);
        ADD("a-unit-that-is-not-there-is-stopped", test_a_unit_that_is_not_there_is_stopped);
        ADD("refused-stop", test_refused_stop);
        ADD("two-stops-of-one-unit-both-end", test_two_stops_of_one_unit_both_end);
        ADD("two-stops-of-one-unit-both-fail", test_two_stops_of_one_unit_both_fail);
        ADD("a-stop-that-was-not-answered-yet-is-not-ended-by-an-older-one", test_a_stop_that_was_not_answered_yet_is_not_ended_by_an_older_one);
        ADD("signals-are-asked-for-only-while-a-job-runs", test_signals_are_asked_for_only_while_a_job_runs);
        ADD("a-forgotten-job-is-not-told", test_a_forgotten_job_is_not_told);
        ADD("signals-that-are-not-understood", test_signals_that_are_not_understood);
        ADD("a-manager-that-leaves", test_a_manager_that_leaves);
        ADD("what-runs-when-all-is-freed-is-forgotten", test_what_runs_when_all_is_freed_is_forgotten);
        ADD("jobs-on-services", test_jobs_on_services);
        ADD("jobs-on-services-that-fail", test_jobs_on_services_that_fail);
        ADD("refused-jobs-on-services", test_refused_jobs_on_services);
        ADD("a-refused-reset-does-not-matter", test_a_refused_reset_does_not_matter);
        ADD("machine-stays", test_machine_stays);
        ADD("machine-goes-down", test_machine_goes_down);
        ADD("machine-of-which-nothing-is-known", test_machine_of_which_nothing_is_known);
        ADD("a-time-that-is-not-told-is-the-default", test_a_time_that_is_not_told_is_the_default);
        ADD("a-question-that-nobody-takes-is-answered", test_a_question_that_nobody_takes_is_answered);
        ADD("a-question-is-forgotten-with-the-rest", test_a_question_is_forgotten_with_the_rest);
        return g_test_run();
}
