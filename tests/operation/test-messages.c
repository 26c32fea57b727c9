/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commits, and what arrives of them at a socket in journald's place. */

#include "fixture.h"
#include "operation/messages.h"
#include "base/log.h"
#include "conbus-messages.h"
#include <string.h>
#include <sys/socket.h>

#define NONE CONBUS_N_MESSAGES

static int journal;
static char *socket_name;

static void set_up(Fixture *fixture, gconstpointer unused) {
        fixture_set_up(fixture, NULL);
        g_free(socket_name);
        socket_name = g_build_filename(fixture->directory, "journal", NULL);
        journal = testing_listen(socket_name, SOCK_DGRAM);
        journal_set_socket(socket_name);
        log_set_level(LOG_INFO);
        g_assert_true(log_set_target_name("journal"));
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        g_assert_true(log_set_target_name("console"));
        journal_set_socket("/no/such/socket");
        journal = close_fd(journal);
        fixture_tear_down(fixture, NULL);
}

/* The fields of the next entry; NULL when there is none. */
static GHashTable *next_entry(void) {
        char data[65536];
        ssize_t n = recv(journal, data, sizeof data, MSG_DONTWAIT);
        GHashTable *fields;

        if (n < 0)
                return NULL;
        fields = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        for (char *position = data; position < data + n;) {
                char *end = memchr(position, '\n', (size_t) (data + n - position));
                guint64 size;
                g_assert_nonnull(end);
                memcpy(&size, end + 1, sizeof size);
                size = GUINT64_FROM_LE(size);
                char *name = g_strndup(position, (gsize) (end - position)), *value = g_strndup(end + 1 + sizeof size, size);
                g_assert_true(g_hash_table_insert(fields, name, value)); /* none twice */
                position = end + 1 + sizeof size + size + 1;
        }
        return fields;
}

static const char *field(GHashTable *entry, const char *name) {
        return g_hash_table_lookup(entry, name);
}

/* The next entry is of this kind and says this; NONE: there is none. */
static GHashTable *expect(ConbusMessage kind, const char *text) {
        GHashTable *entry = next_entry();

        if (kind == NONE) {
                g_assert_null(entry);
                return NULL;
        }
        g_assert_nonnull(entry);
        g_assert_cmpstr(field(entry, "MESSAGE"), ==, text);
        g_assert_cmpstr(field(entry, "MESSAGE_ID"), ==, conbus_messages[kind].id);
        g_assert_cmpint(atoi(field(entry, "PRIORITY")), ==, conbus_messages[kind].priority);
        g_assert_cmpstr(field(entry, "SYSLOG_IDENTIFIER"), ==, "conbusd");
        return entry;
}

static void expect_only(ConbusMessage kind, const char *text) {
        g_clear_pointer(&(GHashTable *) {expect(kind, text)}, g_hash_table_unref);
        g_assert_null(next_entry());
}

static void apply(Commit *commit) {
        g_autoptr(GError) error = NULL;

        g_assert_true(commit_apply(commit, &error));
        g_assert_no_error(error);
}

/* --- events --- */

static const struct {
        const char *action, *details;
        ConbusMessage kind;
        const char *text, *field, *value;
} events[] = {
        {"create", "@a{sv} {}", CONBUS_MESSAGE_CREATED, "container \"web\" has been created"},
        {"init", "@a{sv} {}", NONE},
        {"start", "@a{sv} {}", CONBUS_MESSAGE_STARTED, "container \"web\" has been started (run 7, process 0)", "CONBUS_PID", "0"},
        {"stop", "@a{sv} {}", CONBUS_MESSAGE_STOPPING, "container \"web\" is being stopped"},
        {"kill", "{'signal': <10>}", CONBUS_MESSAGE_SIGNALLED, "container \"web\" was sent signal 10", "CONBUS_SIGNAL", "10"},
        {"pause", "@a{sv} {}", CONBUS_MESSAGE_PAUSED, "container \"web\" has been paused"},
        {"resume", "@a{sv} {}", CONBUS_MESSAGE_RESUMED, "container \"web\" has been resumed"},
        {"rename", "{'old-name': <'ex'>}", CONBUS_MESSAGE_RENAMED, "container \"web\" was called \"ex\" before", "CONBUS_OLD_NAME", "ex"},
        {"update", "@a{sv} {}", CONBUS_MESSAGE_UPDATED, "container \"web\" has been configured anew"},
        {"health-status", "{'status': <'starting'>}", NONE},
        {"exec", "{'session': <uint64 4>}", CONBUS_MESSAGE_EXECUTED, "container \"web\" has a command executed in it", "CONBUS_PROCESS", "4"},
        {"exec", "@a{sv} {}", CONBUS_MESSAGE_EXECUTED, "container \"web\" has a command executed in it"},
        {"exec-died", "{'session': <uint64 4>}", NONE},
        {"supervision-lost", "@a{sv} {}", CONBUS_MESSAGE_SUPERVISION_LOST, "container \"web\" has lost its monitor"},
        {"sync", "@a{sv} {}", CONBUS_MESSAGE_CORRECTED, "container \"web\" is created by what its runtime says", "CONBUS_STATE", "created"},
        {"cleanup", "@a{sv} {}", NONE},
        {"attach", "@a{sv} {}", NONE},
};

static void test_events_become_messages(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");

        for (size_t i = 0; i < G_N_ELEMENTS(events); i++) {
                g_autoptr(GVariant) details = testing_parse(events[i].details);
                g_autoptr(Commit) commit = commit_new(container, NULL);
                commit->life.run = 7;
                memcpy(commit->life.invocation, "0123456789abcdef", INVOCATION_SIZE);
                commit_event(commit, events[i].action, details);
                apply(commit);
                g_autoptr(GHashTable) entry = expect(events[i].kind, events[i].text);
                g_assert_null(next_entry());
                if (!entry)
                        continue;
                g_assert_cmpstr(field(entry, "CONBUS_CONTAINER_ID"), ==, container->id);
                g_assert_cmpstr(field(entry, "CONBUS_CONTAINER_NAME"), ==, "web");
                g_assert_cmpstr(field(entry, "CONBUS_RUN"), ==, "7");
                g_assert_cmpstr(field(entry, "CONBUS_INVOCATION_ID"), ==, "30313233343536373839616263646566");
                g_assert_null(field(entry, "CONBUS_JOB"));
                g_assert_null(field(entry, "CONBUS_ACTOR_UID"));
                if (events[i].field)
                        g_assert_cmpstr(field(entry, events[i].field), ==, events[i].value);
        }
}

static void test_what_has_never_run_has_no_run(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_autoptr(Commit) commit = commit_new(container, NULL);

        commit_event(commit, "create", NULL);
        apply(commit);
        g_autoptr(GHashTable) entry = expect(CONBUS_MESSAGE_CREATED, "container \"web\" has been created");
        g_assert_null(field(entry, "CONBUS_RUN"));
        g_assert_null(field(entry, "CONBUS_INVOCATION_ID"));
}

static void test_a_message_says_who_asked_for_it(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        Actor *actor = actor_new(1000, 17, "busctl", "session-1.scope", ":1.7");
        g_autoptr(Commit) commit = commit_new(container, actor);

        commit_event(commit, "stop", NULL);
        apply(commit);
        actor_unref(actor);
        g_autoptr(GHashTable) entry = expect(CONBUS_MESSAGE_STOPPING, "container \"web\" is being stopped");
        g_assert_cmpstr(field(entry, "CONBUS_ACTOR_UID"), ==, "1000");
        g_assert_cmpstr(field(entry, "CONBUS_ACTOR_UNIT"), ==, "session-1.scope");
}

static void edit_health(Fixture *fixture, Container *container, const char *status, ConbusMessage kind, const char *text) {
        g_autoptr(Commit) commit = commit_new(container, NULL);

        life_set_string(&commit->life.health, status);
        commit_event(commit, "health-status", NULL);
        apply(commit);
        expect_only(kind, text);
}

static void test_health(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");

        edit_health(fixture, container, "starting", NONE, NULL);
        edit_health(fixture, container, "healthy", CONBUS_MESSAGE_HEALTHY, "container \"web\" is healthy");
        edit_health(fixture, container, "unhealthy", CONBUS_MESSAGE_UNHEALTHY, "container \"web\" is unhealthy");
        edit_health(fixture, container, "stopped", NONE, NULL);
}

static void test_readiness_is_told_where_it_is_more_than_a_start(Fixture *fixture, gconstpointer unused) {
        Container *plain = fixture_add(fixture, "plain", "@a{sv} {}"), *web = fixture_add(fixture, "web", "{'notify': <'ready'>}");

        for (int i = 0; i < 2; i++) {
                g_autoptr(Commit) commit = commit_new(i == 0 ? plain : web, NULL);
                commit->life.ready = true;
                apply(commit);
        }
        expect_only(CONBUS_MESSAGE_READY, "container \"web\" is ready");
}

/* --- ends --- */

static const struct {
        State before;
        bool stopped_by_user;
        Result result;
        int code, signal;
        ConbusMessage kind;
        const char *text;
} ends[] = {
        {STATE_RUNNING, false, RESULT_SUCCESS, 0, 0, CONBUS_MESSAGE_ENDED, "has ended (run 1): exit code 0"},
        {STATE_RUNNING, false, RESULT_EXIT_CODE, 3, 0, CONBUS_MESSAGE_FAILED, "has failed (run 1): exit code 3"},
        {STATE_RUNNING, false, RESULT_SIGNAL, 139, 11, CONBUS_MESSAGE_FAILED, "has failed (run 1): signal 11"},
        {STATE_RUNNING, false, RESULT_TIMEOUT, 137, 9, CONBUS_MESSAGE_FAILED, "has failed (run 1): signal 9"},
        {STATE_RUNNING, true, RESULT_SIGNAL, 143, 15, CONBUS_MESSAGE_STOPPED, "has been stopped (run 1): signal 15"},
        {STATE_STOPPING, false, RESULT_EXIT_CODE, 4, 0, CONBUS_MESSAGE_STOPPED, "has been stopped (run 1): exit code 4"},
        {STATE_STOPPING, true, RESULT_OOM_KILL, 137, 9, CONBUS_MESSAGE_OUT_OF_MEMORY, "was out of memory (run 1): signal 9"},
        {STATE_RUNNING, false, RESULT_LOST, -1, 0, CONBUS_MESSAGE_LOST, "has ended, and nobody knows how (run 1)"},
        {STATE_INITIALIZED, false, RESULT_NEVER_RAN, 137, 9, CONBUS_MESSAGE_STOPPED, "has been stopped (run 1): signal 9"},
        {STATE_RUNNING, false, RESULT_START_FAILED, 127, 0, CONBUS_MESSAGE_START_FAILED, "could not be started (run 1): its launch did not come to its end"},
};

/* Without a process: nothing here looks for one. */
static void open_run(Container *container, State state, bool stopped_by_user) {
        g_autoptr(Commit) commit = commit_new(container, NULL);

        commit->life.run++;
        commit->life.run_open = true;
        commit->life.stopped_by_user = stopped_by_user;
        commit_enter(commit, STATE_INITIALIZED, REASON_USER);
        if (state != STATE_INITIALIZED)
                commit_enter(commit, STATE_RUNNING, REASON_USER);
        commit_enter(commit, state, REASON_USER);
        apply(commit);
}

static void test_ends(Fixture *fixture, gconstpointer unused) {
        for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
                g_autofree char *name = g_strdup_printf("c%zu", i), *text = g_strdup_printf("container \"%s\" %s", name, ends[i].text), *code = g_strdup_printf("%d", ends[i].code);
                Container *container = fixture_add(fixture, name, "@a{sv} {}");

                open_run(container, ends[i].before, ends[i].stopped_by_user);
                g_autoptr(Commit) commit = commit_new(container, NULL);
                lifecycle_close_run(commit, ends[i].result, REASON_EXIT, ends[i].code, ends[i].signal);
                commit_enter(commit, STATE_STOPPED, REASON_EXIT);
                commit_enter(commit, STATE_EXITED, REASON_EXIT);
                apply(commit);
                g_autoptr(GHashTable) entry = expect(ends[i].kind, text);
                g_assert_null(next_entry());
                g_assert_cmpstr(field(entry, "CONBUS_RESULT"), ==, result_to_string(ends[i].result));
                g_assert_cmpstr(field(entry, "CONBUS_EXIT_CODE"), ==, code);
                g_assert_cmpint(field(entry, "CONBUS_EXIT_SIGNAL") ? atoi(field(entry, "CONBUS_EXIT_SIGNAL")) : 0, ==, ends[i].signal);
        }
}

/* The reason of a failed start quotes programs, which may write anything. */
static void test_a_failed_start_says_why(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "{'rootfs': <'/no/such\n\x1b[31m/directory'>, 'command': <['true']>}");
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_START, NULL, &answer);
        g_autoptr(GHashTable) entry = next_entry();
        g_assert_nonnull(entry);
        g_assert_cmpstr(field(entry, "MESSAGE_ID"), ==, conbus_messages[CONBUS_MESSAGE_START_FAILED].id);
        g_assert_true(g_str_has_prefix(field(entry, "MESSAGE"), "container \"web\" could not be started (run 1): "));
        g_assert_nonnull(strstr(field(entry, "MESSAGE"), "/no/such  [31m/directory"));
        g_assert_nonnull(strstr(field(entry, "CONBUS_ERROR_MESSAGE"), "/no/such\n\x1b[31m/directory"));
        g_assert_true(g_str_has_prefix(field(entry, "CONBUS_ERROR"), "io.conbus1.Error."));
        g_assert_null(next_entry());
}

/* --- restarts --- */

static void edit_planned(Life *life) {
        life->exit_code = 1;
        life->restart_count = 2;
        life->next_restart_usec = 1;
}

static void edit_exhausted(Life *life) {
        life->exit_code = 1;
        life->restart_count = 3;
}

static void test_restarts(Fixture *fixture, gconstpointer unused) {
        static const char config[] = "{'restart-policy': <'on-failure'>, 'restart-max': <uint32 3>}";
        Container *planned = fixture_add(fixture, "planned", config), *exhausted = fixture_add(fixture, "exhausted", config);

        fixture_exit(fixture, planned, edit_planned);
        g_autoptr(GHashTable) entry = expect(CONBUS_MESSAGE_RESTART_PLANNED, "container \"planned\" will be restarted in 0.0 s (restarts so far: 2)");
        g_assert_cmpstr(field(entry, "CONBUS_RESTART_COUNT"), ==, "2");
        g_assert_cmpstr(field(entry, "CONBUS_RESTART_USEC"), ==, "0");
        g_assert_null(next_entry());
        fixture_exit(fixture, exhausted, edit_exhausted);
        expect_only(CONBUS_MESSAGE_RESTARTS_EXHAUSTED, "container \"exhausted\" has failed too often and will not be restarted again");
}

/* --- around --- */

static void test_a_message_names_the_job(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_auto(Answer) answer = {0};
        g_autoptr(GError) error = NULL;
        Operation *operation = operation_submit(fixture->engine, container, VERB_UPDATE, NULL, NULL, answer_note, &answer, &error);

        operation->job = g_strdup("/io/conbus1/job/5");
        g_autoptr(Commit) commit = commit_new(container, NULL);
        commit_event(commit, "update", NULL);
        apply(commit);
        g_autoptr(GHashTable) entry = expect(CONBUS_MESSAGE_UPDATED, "container \"web\" has been configured anew");
        g_assert_cmpstr(field(entry, "CONBUS_JOB"), ==, "/io/conbus1/job/5");
        testing_run_until_count(fixture->event, &answer.n, 1);
}

static void test_a_run_that_goes_on_is_told(Fixture *fixture, gconstpointer unused) {
        messages_adopted(fixture->engine, fixture_add(fixture, "web", "@a{sv} {}"));
        expect_only(CONBUS_MESSAGE_ADOPTED, "container \"web\" has been running meanwhile");
}

static void test_the_level_counts(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");

        log_set_level(LOG_NOTICE);
        for (int i = 0; i < 2; i++) {
                g_autoptr(Commit) commit = commit_new(container, NULL);
                commit_event(commit, i == 0 ? "pause" : "supervision-lost", NULL);
                apply(commit);
        }
        expect_only(CONBUS_MESSAGE_SUPERVISION_LOST, "container \"web\" has lost its monitor");
}

static void test_a_change_that_is_not_stored_is_not_told(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_autoptr(GError) error = NULL;
        g_autoptr(Commit) commit = commit_new(container, NULL);

        fixture_break_store(fixture);
        commit_event(commit, "pause", NULL);
        g_assert_false(commit_apply(commit, &error));
        g_assert_null(next_entry());
}

static void add(const char *name, void (*test)(Fixture *, gconstpointer)) {
        g_autofree char *path = g_strconcat("/messages/", name, NULL);

        g_test_add(path, Fixture, NULL, set_up, test, tear_down);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        add("events-become-messages", test_events_become_messages);
        add("what-has-never-run-has-no-run", test_what_has_never_run_has_no_run);
        add("a-message-says-who-asked-for-it", test_a_message_says_who_asked_for_it);
        add("health", test_health);
        add("readiness-is-told-where-it-is-more-than-a-start", test_readiness_is_told_where_it_is_more_than_a_start);
        add("ends", test_ends);
        add("a-failed-start-says-why", test_a_failed_start_says_why);
        add("restarts", test_restarts);
        add("a-message-names-the-job", test_a_message_names_the_job);
        add("a-run-that-goes-on-is-told", test_a_run_that_goes_on_is_told);
        add("the-level-counts", test_the_level_counts);
        add("a-change-that-is-not-stored-is-not-told", test_a_change_that_is_not_stored_is_not_told);
        return g_test_run();
}
