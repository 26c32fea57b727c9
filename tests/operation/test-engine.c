/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engine's own start and end: what it makes, what it hears, when it is busy, and that containers outlive it. */

#define FAKES_UNIT "engine"
#include "fakes.h"
#include "base/clock.h"
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

static void test_the_settings_by_default(void) {
        Settings settings;

        memset(&settings, 0xff, sizeof settings);
        settings_init(&settings);
        g_assert_cmpuint(settings.operations_max, ==, 64);
        g_assert_cmpuint(settings.launches_max, ==, 0);
        g_assert_cmpuint(settings.launch_hold_usec, ==, 100000);
        g_assert_cmpuint(settings.operations_queued_max, ==, 1024);
        g_assert_cmpuint(settings.operations_per_user, ==, 128);
        g_assert_cmpuint(settings.exit_file_usec, ==, 5000000);
        g_assert_cmpuint(settings.kill_usec, ==, 5000000);
        g_assert_cmpuint(settings.create_usec, ==, 240000000);
        g_assert_cmpuint(settings.runtime_usec, ==, 60000000);
        g_assert_cmpuint(settings.repair_usec, ==, 1000000);
        g_assert_cmpuint(settings.repair_max_usec, ==, 60000000);
        g_assert_cmpuint(settings.backoff_max_usec, ==, 60000000);
        g_assert_cmpuint(settings.backoff_reset_usec, ==, 10000000);
        g_assert_cmpuint(settings.idle_exit_usec, ==, 30000000);
        g_assert_cmpuint(settings.waits_per_caller, ==, 1024);
        g_assert_cmpuint(settings.streams_per_user, ==, 16);
        g_assert_cmpuint(settings.checks_per_user, ==, 256);
        g_assert_cmpuint(settings.jobs.unfinished_per_caller, ==, 64);
        g_assert_cmpuint(settings.jobs.keep_usec, ==, 300000000);
        g_assert_cmpuint(settings.limits.runs_count, ==, 10000);
        g_assert_cmpuint(settings.limits.events_count, ==, 10000);
        g_assert_cmpstr(settings.slice, ==, "machine-conbus.slice");
}

/* --- directories --- */

static void test_its_directories(Fixture *fixture, gconstpointer unused) {
        static const char *const names[] = {"exits", "crun", "containers", NULL};

        for (const char *const *name = names; *name; name++) {
                g_autofree char *path = g_build_filename(fixture->paths.run, *name, NULL);
                struct stat st;
                g_assert_cmpint(stat(path, &st), ==, 0);
                g_assert_true(S_ISDIR(st.st_mode));
                g_assert_cmpuint(st.st_mode & 07777, ==, 0700);
        }
        fixture_crash(fixture, NULL); /* they may be there already */
}

static void test_directories_that_cannot_be_made(Fixture *fixture, gconstpointer unused) {
        static const char *const names[] = {"exits", "crun", "containers", NULL};

        for (const char *const *name = names; *name; name++) {
                g_autofree char *run = g_build_filename(fixture->directory, "other", *name, NULL), *path = g_build_filename(run, *name, NULL);
                Paths paths = fixture->paths;
                g_autoptr(GError) error = NULL;

                paths.run = run;
                testing_write(run, *name, ""); /* a file is in the way */
                g_assert_null(engine_new(fixture->event, fixture->reaper, &paths, fixture->registry, fixture->waits, &fixture->settings, &error));
                testing_expect_error(&error, CONBUS_ERROR_INTERNAL, path);
        }
        /* The failed ones were no observers any more when they went. */
        registry_set_observer(fixture->registry, OBSERVER_ENGINE, NULL, NULL);
        fixture_crash(fixture, NULL);
}

/* --- exit files --- */

static void write_exit_file(Fixture *fixture, const char *name, const char *text) {
        g_autofree char *temporary = g_build_filename(fixture->paths.run, "new", NULL), *path = g_build_filename(fixture->paths.run, "exits", name, NULL);

        testing_write(fixture->paths.run, "new", text);
        g_assert_cmpint(rename(temporary, path), ==, 0);
}

/* As conmon writes them: by rename. */
static void test_an_exit_file_is_heard_of(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_autofree char *stranger = g_strnfill(64, 'f'), *path = g_build_filename(fixture->paths.run, "exits", stranger, NULL);

        write_exit_file(fixture, stranger, "0");
        testing_run_idle(fixture->event); /* of nobody */
        write_exit_file(fixture, container->id, "0");
        testing_run_idle(fixture->event); /* of one whose PID 1 lives: the file is not believed */
        fixture_expect(fixture, container, STATE_RUNNING);
        g_assert_false(lifecycle_has_ended(container));
        g_assert_cmpint(unlink(path), ==, 0);
        kill_now(container);
        fixture_run_until_state(fixture, container, STATE_EXITED);
}

/* --- busy --- */

static unsigned n_told;

static void on_busy(void *userdata) {
        n_told++;
}

static void in_an_hour(Life *life) {
        life->next_restart_usec = clock_realtime_usec() + G_TIME_SPAN_HOUR;
}

static void test_when_it_is_busy(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        Engine *engine = fixture->engine;
        g_auto(Answer) answer = {0};

        g_assert_false(engine_is_busy(engine)); /* a container that rests is no work */
        (void) fixture_submit(fixture, container, VERB_START, NULL, &answer);
        g_assert_true(engine_is_busy(engine));
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_true(engine_is_busy(engine));
        fixture_do(fixture, container, VERB_PAUSE, NULL, &answer);
        g_assert_true(engine_is_busy(engine));
        fixture_do(fixture, container, VERB_STOP, "{'timeout-usec': <uint64 0>}", &answer);
        g_assert_no_error(answer.error);
        g_assert_false(engine_is_busy(engine));
        fixture_exit(fixture, fakes_add(fixture, "waits", NULL), in_an_hour);
        g_assert_true(engine_is_busy(engine));
}

static void test_states_that_are_work(Fixture *fixture, gconstpointer unused) {
        static const State states[] = {STATE_STOPPED, STATE_REMOVING};

        for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
                g_autofree char *name = g_strdup_printf("c%zu", i);
                g_autoptr(GError) error = NULL;
                g_auto(Answer) answer = {0};
                g_autoptr(Commit) commit = commit_new(fakes_add(fixture, name, NULL), NULL);

                commit_enter(commit, states[i], REASON_USER);
                g_assert_true(commit_apply(commit, &error));
                g_assert_true(engine_is_busy(fixture->engine));
                fixture_do(fixture, commit->container, VERB_REMOVE, NULL, &answer);
                g_assert_no_error(answer.error);
                g_assert_false(engine_is_busy(fixture->engine));
        }
}

static void test_the_manager_is_told(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        n_told = 0;
        fixture->engine->busy_changed = on_busy;
        fixture_exit(fixture, container, NULL);
        g_assert_cmpuint(n_told, ==, 1); /* a change of state */
        fixture_do(fixture, container, VERB_RENAME, "{'name': <'www'>}", &answer);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(n_told, ==, 2); /* the end of an operation; not that it began, nor the name */
        fixture->engine->busy_changed = NULL;
}

/* --- the end --- */

static void note_nothing(Operation *operation, GVariant *result, const GError *error, void *userdata) {
        g_error("nobody is to be answered any more");
}

static void test_the_end_answers_nobody_and_kills_nothing(Fixture *fixture, gconstpointer unused) {
        Container *running = fakes_add_started(fixture, "running", NULL), *held = fakes_add(fixture, "held", NULL), *waiting = fakes_add(fixture, "waiting", NULL);
        pid_t main = running->main.pid;
        g_autoptr(GError) error = NULL;

        fixture->engine->settings.operations_max = 1;
        Gate *gate = fakes_gate(fixture, "crun pause");
        g_assert_nonnull(operation_submit(fixture->engine, running, VERB_PAUSE, NULL, NULL, note_nothing, NULL, &error));
        gate_reach(gate);
        g_assert_nonnull(operation_submit(fixture->engine, held, VERB_INIT, NULL, NULL, note_nothing, NULL, &error));
        g_assert_nonnull(operation_submit(fixture->engine, waiting, VERB_INIT, NULL, NULL, note_nothing, NULL, &error));
        fixture_crash(fixture, NULL);
        gate_kill(gate);
        testing_run_idle(fixture->event);
        g_assert_true(engine_adopt(fixture->engine, &error));
        running = registry_get_by_name(fixture->registry, "running");
        g_assert_cmpint(running->main.pid, ==, main);
        g_assert_false(pidref_has_ended(&running->main));
        g_assert_cmpuint(registry_get_by_name(fixture->registry, "held")->life.run, ==, 0);
}

/* While the service leaves nothing new begins, though calls are still taken. */
static void test_nothing_begins_once_it_leaves(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture->engine->stopping = true;
        (void) fixture_submit(fixture, container, VERB_SYNC, NULL, &answer);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(answer.n, ==, 0);
        fixture_crash(fixture, NULL);
        g_assert_cmpuint(answer.n, ==, 0);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/engine/the_settings_by_default", test_the_settings_by_default);
        FAKES_ADD(its_directories);
        FAKES_ADD(directories_that_cannot_be_made);
        FAKES_ADD(an_exit_file_is_heard_of);
        FAKES_ADD(when_it_is_busy);
        FAKES_ADD(states_that_are_work);
        FAKES_ADD(the_manager_is_told);
        FAKES_ADD(the_end_answers_nobody_and_kills_nothing);
        FAKES_ADD(nothing_begins_once_it_leaves);
        return g_test_run();
}
