/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See fixture.h. */

#include "fixture.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/internal.h"
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

void fixture_set_up(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        Settings settings;

        log_set_level(LOG_EMERG); /* what is made to fail is logged */
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->reaper = reaper_new(fixture->event);
        fixture->directory = testing_directory_new();
        fixture->paths = (Paths) {.state = g_build_filename(fixture->directory, "state", NULL), .run = g_build_filename(fixture->directory, "run", NULL),
                                  .crun = (char *) "/bin/true", .conmon = (char *) "/bin/true", .wake = (char *) "/no/wake"};
        fixture->store = store_open(NULL, fixture->event, &error);
        g_assert_no_error(error);
        fixture->registry = registry_new(fixture->store);
        fixture->waits = waits_new(fixture->event, fixture->registry);
        settings_init(&settings);
        fixture->engine = engine_new(fixture->event, fixture->reaper, &fixture->paths, fixture->registry, fixture->waits, &settings, &error);
        g_assert_no_error(error);
}

static bool nothing_is_left(void *userdata) {
        Fixture *fixture = userdata;
        siginfo_t info;

        return fixture->engine->n_accepted == 0 && waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

/* Queued operations end, children are reaped, so that nothing can leak. */
static void quiesce(Fixture *fixture) {
        g_autoptr(GPtrArray) containers = registry_list(fixture->registry);

        for (guint i = 0; i < containers->len; i++) {
                Container *container = containers->pdata[i];
                g_autoptr(Commit) commit = commit_new(container, NULL);
                commit->life.next_restart_usec = 0;
                commit->life.stopped_by_user = true;
                (void) !commit_apply(commit, NULL);
                policy_forget(container);
                if (pidref_is_set(&container->main))
                        (void) !pidref_signal(&container->main, SIGKILL, NULL, NULL);
        }
        testing_run_until(fixture->event, nothing_is_left, fixture);
}

void fixture_tear_down(Fixture *fixture, gconstpointer unused) {
        fixture->paths.crun = (char *) "/bin/true";
        quiesce(fixture);
        engine_free(fixture->engine);
        waits_free(fixture->waits);
        registry_free(fixture->registry);
        store_close(fixture->store);
        reaper_free(fixture->reaper);
        sd_event_unref(fixture->event);
        g_free(fixture->paths.state);
        g_free(fixture->paths.run);
        testing_directory_free(fixture->directory);
}

Container *fixture_add(Fixture *fixture, const char *name, const char *config) {
        g_autofree char *id = g_strdup_printf("%064x", ++fixture->n_ids);
        g_autoptr(GVariant) parsed = testing_parse(config);
        g_autoptr(Container) container = container_new(id, name, 0, parsed);
        g_autoptr(GError) error = NULL;
        g_autoptr(Commit) commit = commit_new(container, NULL);

        commit_set_create(commit, fixture->registry);
        g_assert_true(commit_apply(commit, &error));
        return container;
}

/* initialized comes first on the way to each living state. */
static void open_run(Fixture *fixture, Container *container, pid_t pid) {
        PidRef main = PIDREF_NULL;
        g_autoptr(GError) error = NULL;
        g_autoptr(Commit) commit = commit_new(container, NULL);

        g_assert_true(pidref_open(pid, &main, &error));
        commit->life.run++;
        commit->life.run_open = true;
        commit->life.exit_code = -1;
        commit->life.result = RESULT_NONE;
        commit->life.start_usec = commit->life.finish_usec = commit->life.next_restart_usec = 0;
        commit->life.stopped_by_user = false;
        commit_edit_run(commit)->pid = pid;
        commit_set_main(commit, &main);
        commit_enter(commit, STATE_INITIALIZED, REASON_USER);
        g_assert_true(commit_apply(commit, &error));
        lifecycle_attach(fixture->engine, container, NULL);
}

pid_t fixture_run(Fixture *fixture, Container *container, State state) {
        pid_t pid = testing_child_new();
        g_autoptr(GError) error = NULL;

        open_run(fixture, container, pid);
        if (state == STATE_INITIALIZED)
                return pid;
        g_autoptr(Commit) commit = commit_new(container, NULL);
        commit->life.start_usec = clock_realtime_usec();
        commit->life.ever_started = true;
        commit_edit_run(commit)->start_usec = commit->life.start_usec;
        commit_enter(commit, STATE_RUNNING, REASON_USER);
        if (state != STATE_RUNNING)
                commit_enter(commit, state, REASON_USER);
        g_assert_true(commit_apply(commit, &error));
        return pid;
}

void fixture_exit(Fixture *fixture, Container *container, void (*edit)(Life *life)) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Commit) commit = commit_new(container, NULL);

        commit->life.run = MAX(commit->life.run, 1);
        commit->life.start_usec = commit->life.finish_usec = clock_realtime_usec();
        commit->life.exit_code = 1;
        commit->life.result = RESULT_EXIT_CODE;
        commit->life.ever_started = true;
        commit_enter(commit, STATE_EXITED, REASON_EXIT);
        if (edit)
                edit(&commit->life);
        g_assert_true(commit_apply(commit, &error));
}

void fixture_break_store(Fixture *fixture) {
        g_assert_true(store_exec(fixture->store, "CREATE TRIGGER refuse BEFORE INSERT ON event BEGIN SELECT raise(ABORT, 'refused'); END", NULL));
}

void answer_clear(Answer *answer) {
        g_clear_pointer(&answer->result, g_free);
        g_clear_error(&answer->error);
        answer->n = 0;
}

static void on_done(Operation *operation, GVariant *result, const GError *error, void *userdata) {
        Answer *answer = userdata;

        answer->n++;
        g_assert_true((result == NULL) == (error != NULL));
        g_free(answer->result);
        answer->result = result ? g_variant_print(result, false) : NULL;
        g_clear_error(&answer->error);
        answer->error = error ? g_error_copy(error) : NULL;
}

Operation *fixture_submit(Fixture *fixture, Container *container, Verb verb, const char *options, Answer *answer) {
        g_autoptr(GVariant) parsed = options ? testing_parse(options) : NULL;
        g_autoptr(GError) error = NULL;
        unsigned before = answer->n;
        Operation *operation = operation_submit(fixture->engine, container, verb, parsed, NULL, on_done, answer, &error);

        g_assert_no_error(error);
        g_assert_nonnull(operation);
        g_assert_cmpuint(answer->n, ==, before); /* never before it has returned */
        return operation;
}

void fixture_do(Fixture *fixture, Container *container, Verb verb, const char *options, Answer *answer) {
        answer_clear(answer);
        (void) fixture_submit(fixture, container, verb, options, answer);
        testing_run_until_count(fixture->event, &answer->n, 1);
}

void fixture_expect_refused(Fixture *fixture, Container *container, Verb verb, ConbusError code, const char *part) {
        g_autoptr(GError) error = NULL;

        g_assert_null(operation_submit(fixture->engine, container, verb, NULL, NULL, on_done, NULL, &error));
        testing_expect_error(&error, code, part);
}

struct Wanted {
        Container *container;
        State state;
};

static bool is_in_state(void *userdata) {
        struct Wanted *wanted = userdata;

        return wanted->container->life.state == wanted->state;
}

void fixture_run_until_state(Fixture *fixture, Container *container, State state) {
        struct Wanted wanted = {.container = container, .state = state};

        testing_run_until(fixture->event, is_in_state, &wanted);
}

char *fixture_events(Fixture *fixture) {
        bool gap;
        GString *text = g_string_new(NULL);
        g_autoptr(GPtrArray) events = store_list_events(fixture->store, 0, 1000, UINT64_MAX, NULL, &gap, NULL);

        for (guint i = 0; i < events->len; i++)
                g_string_append_printf(text, "%s ", ((Event *) events->pdata[i])->action);
        return g_string_free(text, FALSE);
}
