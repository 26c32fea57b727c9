/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See fixture.h. */

#include "fixture.h"
#include "base/clock.h"
#include "base/log.h"
#include "operation/internal.h"
#include "store/internal.h"
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

void fixture_prepare(Fixture *fixture) {
        log_set_level(LOG_EMERG); /* what is made to fail is logged */
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->reaper = reaper_new(fixture->event);
        fixture->directory = testing_directory_new();
        fixture->paths = (Paths) {.state = g_build_filename(fixture->directory, "state", NULL), .run = g_build_filename(fixture->directory, "run", NULL),
                                  .crun = (char *) "/bin/true", .conmon = (char *) "/bin/true", .wake = (char *) "/no/wake", .stream = (char *) "/no/stream"};
        settings_init(&fixture->settings);
}

void fixture_open(Fixture *fixture) {
        g_autoptr(GError) error = NULL;

        fixture->registry = registry_new(fixture->store);
        fixture->waits = waits_new(fixture->event, fixture->registry);
        fixture->engine = engine_new(fixture->event, fixture->reaper, &fixture->paths, fixture->registry, fixture->waits, &fixture->settings, &error);
        g_assert_no_error(error);
}

static void close_engine(Fixture *fixture) {
        engine_free(fixture->engine);
        waits_free(fixture->waits);
        registry_free(fixture->registry);
}

void fixture_crash(Fixture *fixture, const char *sql) {
        g_autoptr(GError) error = NULL;

        close_engine(fixture);
        if (sql && !store_exec(fixture->store, sql, &error))
                g_error("%s: %s", sql, error->message);
        fixture_open(fixture);
        if (!registry_load(fixture->registry, &error))
                g_error("load the containers: %s", error->message);
}

void fixture_set_up(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;

        fixture_prepare(fixture);
        fixture->store = store_open(NULL, fixture->event, &error);
        g_assert_no_error(error);
        fixture_open(fixture);
}

static bool nothing_is_left(void *userdata) {
        Fixture *fixture = userdata;
        siginfo_t info;

        return fixture->engine->n_accepted == 0 && fixture->engine->monitors->len == 0 && waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

/* Queued operations end, children are reaped, so that nothing can leak. */
void fixture_quiesce(Fixture *fixture) {
        g_autoptr(GPtrArray) containers = registry_list(fixture->registry);

        for (guint i = 0; i < containers->len; i++) {
                Container *container = containers->pdata[i];
                g_autoptr(Commit) commit = commit_new(container, NULL);
                commit->life.next_restart_usec = 0;
                commit->life.stopped_by_user = true;
                (void) !commit_apply(commit, NULL);
                policy_forget(container);
                if (pidref_is_set(&container->main))
                        kill_now(container);
        }
        testing_run_until(fixture->event, nothing_is_left, fixture);
}

void fixture_tear_down(Fixture *fixture, gconstpointer unused) {
        fixture->paths.crun = (char *) "/bin/true";
        fixture_quiesce(fixture);
        fixture_close(fixture);
}

void fixture_close(Fixture *fixture) {
        close_engine(fixture);
        store_close(fixture->store);
        reaper_free(fixture->reaper);
        sd_event_unref(fixture->event);
        g_free(fixture->paths.state);
        g_free(fixture->paths.run);
        testing_directory_free(fixture->directory);
}

void fixture_adopt(Fixture *fixture) {
        g_autoptr(GError) error = NULL;

        if (!engine_adopt(fixture->engine, &error))
                g_error("adoption failed: %s", error->message);
}

Container *fixture_add(Fixture *fixture, const char *name, const char *config) {
        g_autofree char *id = g_strdup_printf("%064x", ++fixture->n_ids);
        g_autoptr(GVariant) parsed = testing_parse(config), resolved = dependencies_resolve(fixture->registry, parsed);
        g_autoptr(Container) container = container_new(id, name, 0, resolved);
        g_autoptr(GError) error = NULL;
        g_autoptr(Commit) commit = commit_new(container, NULL);

        commit_set_create(commit, fixture->registry);
        g_assert_true(commit_apply(commit, &error));
        return container;
}

void fixture_enter(Container *container, State state) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Commit) commit = commit_new(container, NULL);

        commit_enter(commit, state, REASON_USER);
        if (!commit_apply(commit, &error))
                g_error("%s", error->message);
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

/* The commit that writes what the trigger looks at needs more pages than there may be. */
void fixture_refuse(Fixture *fixture, const char *clause) {
        g_autofree char *trigger = g_strdup_printf("CREATE TRIGGER full BEFORE %s BEGIN INSERT INTO filler VALUES (zeroblob(8000000)); END", clause);

        g_assert_true(store_exec(fixture->store, "CREATE TABLE IF NOT EXISTS filler (bytes BLOB)", NULL));
        g_assert_true(store_exec(fixture->store, trigger, NULL));
        g_assert_true(store_exec(fixture->store, "PRAGMA max_page_count = 1000", NULL));
}

void fixture_allow(Fixture *fixture) {
        g_assert_true(store_exec(fixture->store, "DROP TRIGGER full", NULL));
}

void answer_clear(Answer *answer) {
        g_clear_pointer(&answer->result, g_free);
        g_clear_error(&answer->error);
        answer->n = 0;
}

void answer_note(Operation *operation, GVariant *result, const GError *error, void *userdata) {
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
        Operation *operation = operation_submit(fixture->engine, container, verb, parsed, NULL, answer_note, answer, &error);

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

        g_assert_null(operation_submit(fixture->engine, container, verb, NULL, NULL, answer_note, NULL, &error));
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

void fixture_expect_events(Fixture *fixture, const char *actions) {
        g_autofree char *events = fixture_events(fixture);

        g_assert_cmpstr(events, ==, actions);
}

struct Row {
        const Container *container;
        bool found;
};

static void compare_row(const StoredContainer *row, void *userdata) {
        struct Row *wanted = userdata;
        const Life *life = &wanted->container->life;

        if (!g_str_equal(row->id, wanted->container->id))
                return;
        wanted->found = true;
        g_assert_cmpstr(row->name, ==, wanted->container->name);
        g_assert_cmpint(row->life.state, ==, life->state);
        g_assert_cmpint(row->life.reason, ==, life->reason);
        g_assert_cmpuint(row->life.run, ==, life->run);
        g_assert_cmpint(row->life.run_open, ==, life->run_open);
        g_assert_cmpint(row->life.result, ==, life->result);
        g_assert_cmpint(row->life.exit_code, ==, life->exit_code);
        g_assert_cmpint(row->life.main.pid, ==, wanted->container->main.pid);
        g_assert_cmpint(row->life.monitor.pid, ==, wanted->container->monitor.pid);
        g_assert_cmpstr(row->life.cgroup, ==, life->cgroup);
        g_assert_cmpstr(row->life.error_name, ==, life->error_name);
}

void fixture_expect(Fixture *fixture, Container *container, State state) {
        struct Row row = {.container = container};

        if (container->life.state != state)
                g_error("%s is %s; it should be %s", container_title(container), state_to_string(container->life.state), state_to_string(state));
        g_assert_true(store_load(fixture->store, compare_row, &row, NULL));
        g_assert_true(row.found);
}

Run *fixture_record(Fixture *fixture, Container *container) {
        Run *run = NULL;

        g_assert_true(store_get_run(fixture->store, container->id, container->life.run, &run, NULL));
        g_assert_nonnull(run);
        return run;
}

void fixture_expect_start_failed(Fixture *fixture, Container *container, int code) {
        g_autoptr(Run) run = fixture_record(fixture, container);

        g_assert_false(container->life.run_open);
        g_assert_false(pidref_is_set(&container->main));
        g_assert_false(pidref_is_set(&container->monitor));
        g_assert_null(container->supervision);
        g_assert_cmpint(container->life.result, ==, RESULT_START_FAILED);
        g_assert_cmpint(container->life.exit_code, ==, code);
        g_assert_cmpint(run->result, ==, RESULT_START_FAILED);
        g_assert_cmpint(run->reason, ==, REASON_START_FAILED);
        g_assert_cmpint(run->exit_code, ==, code);
        g_assert_cmpuint(run->finish_usec, >, 0);
        g_assert_cmpuint(run->start_usec, ==, 0);
        g_assert_cmpstr(run->name, ==, container->name);
}
