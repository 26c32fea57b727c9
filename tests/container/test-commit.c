/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one way to change a container: store, then memory, then observers in their order; nested commits after the first; a store that refuses changes nothing. */

#include "base/clock.h"
#include "container/commit.h"
#include "store/internal.h"
#include "testing.h"
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

typedef struct Fixture {
        Store *store;
        Registry *registry;
        Container *container;
        GString *heard; /* a word for each call of an observer */
        unsigned n_nested;
} Fixture;

/* What the stored row says at the moment: state and name. */
static void on_row(const StoredContainer *row, void *userdata) {
        g_string_append_printf(userdata, "%s:%s", row->name, state_to_string(row->life.state));
}

static char *stored(Fixture *fixture) {
        g_autoptr(GError) error = NULL;
        GString *text = g_string_new(NULL);

        g_assert_true(store_load(fixture->store, on_row, text, &error));
        return g_string_free(text, FALSE);
}

static void hear(Fixture *fixture, char observer, const Change *change) {
        g_string_append_printf(fixture->heard, "%c:%s>%s ", observer, state_to_string(change->old->state), state_to_string(change->now->state));
}

static void on_announce(const Change *change, void *userdata) {
        hear(userdata, 'a', change);
}

static void on_engine(const Change *change, void *userdata) {
        hear(userdata, 'e', change);
}

static void on_waits(const Change *change, void *userdata) {
        hear(userdata, 'w', change);
}

static void set_up(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) config = testing_parse("{'rootfs': <'/r'>, 'labels': <{'a': 'b'}>}");

        fixture->store = store_open(NULL, NULL, &error);
        fixture->registry = registry_new(fixture->store);
        fixture->container = container_new(ID, "web", 0, config);
        fixture->heard = g_string_new(NULL);
        g_autoptr(Commit) commit = commit_new(fixture->container, NULL);
        commit_set_create(commit, fixture->registry);
        g_assert_true(commit_apply(commit, &error));
        registry_set_observer(fixture->registry, OBSERVER_WAITS, on_waits, fixture);
        registry_set_observer(fixture->registry, OBSERVER_ENGINE, on_engine, fixture);
        registry_set_observer(fixture->registry, OBSERVER_ANNOUNCE, on_announce, fixture);
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        g_string_free(fixture->heard, TRUE);
        registry_free(fixture->registry);
        container_unref(fixture->container);
        store_close(fixture->store);
}

static void apply(Commit *commit) {
        g_autoptr(GError) error = NULL;

        g_assert_true(commit_apply(commit, &error));
        g_assert_no_error(error);
}

static void enter(Fixture *fixture, State state) {
        g_autoptr(Commit) commit = commit_new(fixture->container, NULL);

        commit_enter(commit, state, REASON_USER);
        apply(commit);
}

static void break_store(Fixture *fixture) {
        g_assert_true(store_exec(fixture->store, "CREATE TRIGGER full BEFORE INSERT ON event BEGIN SELECT raise(ABORT, 'no'); END", NULL));
}

/* --- order --- */

static void test_observers_are_told_in_their_order(Fixture *fixture, gconstpointer unused) {
        enter(fixture, STATE_INITIALIZED);
        g_assert_cmpstr(fixture->heard->str, ==, "a:created>initialized e:created>initialized w:created>initialized ");
}

static void check_all_is_done(const Change *change, void *userdata) {
        Fixture *fixture = userdata;
        g_autofree char *row = stored(fixture);

        g_assert_cmpstr(row, ==, "web:initialized");
        g_assert_cmpint(change->container->life.state, ==, STATE_INITIALIZED);
        g_assert_cmpint(change->old->state, ==, STATE_CREATED);
        g_assert_cmpuint(registry_count(fixture->registry, STATE_INITIALIZED), ==, 1);
        fixture->n_nested++;
}

static void test_store_and_memory_come_before_observers(Fixture *fixture, gconstpointer unused) {
        registry_set_observer(fixture->registry, OBSERVER_ANNOUNCE, check_all_is_done, fixture);
        enter(fixture, STATE_INITIALIZED);
        g_assert_cmpuint(fixture->n_nested, ==, 1);
}

static void commit_in_turn(const Change *change, void *userdata) {
        Fixture *fixture = userdata;

        hear(fixture, 'e', change);
        if (change->now->state == STATE_STOPPED) {
                enter(fixture, STATE_EXITED);
                g_autofree char *row = stored(fixture);
                g_assert_cmpstr(row, ==, "web:exited"); /* done when it returns */
                g_assert_cmpint(fixture->container->life.state, ==, STATE_EXITED);
        }
}

static void test_a_nested_commit_is_heard_of_after_the_first(Fixture *fixture, gconstpointer unused) {
        enter(fixture, STATE_INITIALIZED);
        registry_set_observer(fixture->registry, OBSERVER_ENGINE, commit_in_turn, fixture);
        g_string_truncate(fixture->heard, 0);
        enter(fixture, STATE_STOPPED);
        g_assert_cmpstr(fixture->heard->str, ==,
                        "a:initialized>stopped e:initialized>stopped w:initialized>stopped "
                        "a:stopped>exited e:stopped>exited w:stopped>exited ");
}

/* --- transitions --- */

static void test_a_transition_is_numbered_and_timed(Fixture *fixture, gconstpointer unused) {
        guint64 before = clock_realtime_usec();

        enter(fixture, STATE_INITIALIZED);
        enter(fixture, STATE_RUNNING);
        g_assert_cmpuint(fixture->container->life.transitions, ==, 2);
        g_assert_cmpint(fixture->container->life.reason, ==, REASON_USER);
        g_assert_cmpuint(fixture->container->life.state_usec, >=, before);
}

static void test_the_present_state_is_no_transition(Fixture *fixture, gconstpointer unused) {
        enter(fixture, STATE_INITIALIZED);
        g_autoptr(Commit) commit = commit_new(fixture->container, NULL);
        commit_enter(commit, STATE_INITIALIZED, REASON_POLICY);
        g_assert_cmpuint(commit->life.transitions, ==, 1);
        g_assert_cmpint(commit->life.reason, ==, REASON_USER);
}

static void test_an_illegal_transition_is_a_mistake_of_ours(Fixture *fixture, gconstpointer unused) {
        if (g_test_subprocess()) {
                g_autoptr(Commit) commit = commit_new(fixture->container, NULL);
                commit_enter(commit, STATE_PAUSED, REASON_USER);
                return;
        }
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_failed();
        g_test_trap_assert_stderr("*container \"web\" cannot go from created to paused*");
}

static void test_what_is_not_applied_changes_nothing(Fixture *fixture, gconstpointer unused) {
        Commit *commit = commit_new(fixture->container, NULL);

        commit_enter(commit, STATE_INITIALIZED, REASON_USER);
        commit_free(commit);
        commit_free(NULL);
        g_autofree char *row = stored(fixture);
        g_assert_cmpstr(row, ==, "web:created");
        g_assert_cmpstr(fixture->heard->str, ==, "");
}

static void test_the_boot_is_noted(Fixture *fixture, gconstpointer unused) {
        enter(fixture, STATE_INITIALIZED);
        g_assert_cmpstr(fixture->container->life.boot_id, ==, clock_boot_id());
}

/* --- a store that refuses --- */

static void test_a_refusal_changes_nothing(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) config = testing_parse("{'memory': <uint64 1>}");
        g_auto(PidRef) main = PIDREF_NULL;
        guint64 seq = store_get_event_seq(fixture->store);

        g_assert_true(pidref_open(getpid(), &main, NULL));
        break_store(fixture);
        g_autoptr(Commit) commit = commit_new(fixture->container, NULL);
        commit_enter(commit, STATE_INITIALIZED, REASON_USER);
        commit->life.run = 1;
        (void) commit_edit_run(commit);
        commit_set_name(commit, "other");
        commit_set_config(commit, config);
        commit_set_main(commit, &main);
        commit_event(commit, "init", NULL);
        g_assert_false(commit_apply(commit, &error));
        g_assert_true(g_str_has_prefix(error->message, "container \"web\": write an event"));

        g_autofree char *row = stored(fixture);
        g_autoptr(Run) run = NULL;
        g_assert_cmpstr(row, ==, "web:created");
        g_assert_true(store_get_run(fixture->store, ID, 1, &run, NULL));
        g_assert_null(run);
        g_assert_cmpuint(store_get_event_seq(fixture->store), ==, seq);
        g_assert_cmpint(fixture->container->life.state, ==, STATE_CREATED);
        g_assert_cmpuint(fixture->container->life.run, ==, 0);
        g_assert_cmpstr(fixture->container->name, ==, "web");
        g_assert_cmpuint(fixture->container->generation, ==, 0);
        g_assert_cmpuint(config_uint64(fixture->container->config, "memory", 0), ==, 0);
        g_assert_false(pidref_is_set(&fixture->container->main));
        g_assert_true(registry_get_by_name(fixture->registry, "web") == fixture->container);
        g_assert_null(registry_get_by_name(fixture->registry, "other"));
        g_assert_cmpuint(registry_count(fixture->registry, STATE_CREATED), ==, 1);
        g_assert_cmpstr(fixture->heard->str, ==, "");
}

static void test_a_creation_that_is_refused_leaves_no_container(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) config = testing_parse("@a{sv} {}");
        g_autoptr(Container) second = container_new("f" ID, "second", 0, config);
        g_autoptr(Commit) commit = commit_new(second, NULL);

        break_store(fixture);
        commit_set_create(commit, fixture->registry);
        commit_event(commit, "create", NULL);
        g_assert_false(commit_apply(commit, &error));
        g_assert_null(second->registry);
        g_assert_cmpuint(registry_count(fixture->registry, N_STATES), ==, 1);
}

static void test_a_full_disk_has_its_name(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        g_autofree char *long_text = g_strnfill(1 << 20, 'x');
        g_autoptr(Commit) commit = commit_new(fixture->container, NULL);

        g_assert_true(store_exec(fixture->store, "PRAGMA max_page_count = 1", NULL));
        commit_enter(commit, STATE_INITIALIZED, REASON_USER);
        life_set_string(&commit->life.status_text, long_text);
        g_assert_false(commit_apply(commit, &error));
        testing_expect_error(&error, CONBUS_ERROR_STORAGE_FULL, "container \"web\": ");
        g_assert_cmpint(fixture->container->life.state, ==, STATE_CREATED);
}

/* --- names, configurations, errors --- */

static Change seen; /* of the last change; its pointers are not followed after the call */

static void remember_change(const Change *change, void *userdata) {
        seen = *change;
}

static void test_a_rename_is_a_new_generation(Fixture *fixture, gconstpointer unused) {
        g_autoptr(Commit) commit = commit_new(fixture->container, NULL);

        g_assert_cmpstr(container_title(fixture->container), ==, "container \"web\"");
        registry_set_observer(fixture->registry, OBSERVER_ANNOUNCE, remember_change, NULL);
        commit_set_name(commit, "new");
        apply(commit);
        g_assert_true(seen.config_changed);
        g_assert_cmpstr(fixture->container->name, ==, "new");
        g_assert_cmpstr(container_title(fixture->container), ==, "container \"new\"");
        g_assert_cmpuint(fixture->container->generation, ==, 1);
        g_assert_null(registry_get_by_name(fixture->registry, "web"));
        g_assert_true(registry_get_by_name(fixture->registry, "new") == fixture->container);
        enter(fixture, STATE_INITIALIZED);
        g_assert_false(seen.config_changed);
        g_assert_cmpuint(fixture->container->generation, ==, 1);
}

static void test_a_name_that_is_taken_or_reserved(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Commit) own = commit_new(fixture->container, NULL), reserved = commit_new(fixture->container, NULL);

        commit_set_name(own, "web");
        g_assert_false(commit_apply(own, &error));
        testing_expect_error(&error, CONBUS_ERROR_NAME_IN_USE, "the name \"web\" is taken");
        g_assert_true(registry_reserve_name(fixture->registry, "soon", NULL));
        commit_set_name(reserved, "soon");
        g_assert_false(commit_apply(reserved, &error));
        testing_expect_error(&error, CONBUS_ERROR_NAME_IN_USE, "the name \"soon\" is taken");
}

static void test_a_configuration_is_replaced(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GVariant) config = testing_parse("{'memory': <uint64 9>}");
        g_autoptr(Commit) commit = commit_new(fixture->container, NULL);

        commit_set_config(commit, config);
        apply(commit);
        g_assert_cmpuint(config_uint64(fixture->container->config, "memory", 0), ==, 9);
        g_assert_cmpuint(fixture->container->generation, ==, 1);
}

static void test_an_error_is_kept_and_emptied(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = g_error_new_literal(CONBUS_ERROR, CONBUS_ERROR_RUNTIME_FAILED, "why");
        g_autoptr(Commit) with = commit_new(fixture->container, NULL);

        commit_set_error(with, error);
        apply(with);
        g_assert_cmpstr(fixture->container->life.error_name, ==, "io.conbus1.Error.RuntimeFailed");
        g_assert_cmpstr(fixture->container->life.error_message, ==, "why");
        g_assert_cmpuint(fixture->container->life.error_usec, >, 0);
        g_autoptr(Commit) without = commit_new(fixture->container, NULL);
        commit_set_error(without, NULL);
        apply(without);
        g_assert_cmpstr(fixture->container->life.error_name, ==, "");
        g_assert_cmpuint(fixture->container->life.error_usec, ==, 0);
}

/* --- processes --- */

static void test_processes_are_taken_over(Fixture *fixture, gconstpointer unused) {
        g_auto(PidRef) main = PIDREF_NULL;
        PidRef none = PIDREF_NULL;
        pid_t pid = testing_child_new();

        g_assert_true(pidref_open(pid, &main, NULL));
        int fd = main.fd;
        g_autoptr(Commit) commit = commit_new(fixture->container, NULL);
        commit_set_main(commit, &main);
        g_assert_false(pidref_is_set(&main));
        apply(commit);
        g_assert_cmpint(fixture->container->main.pid, ==, pid);
        g_assert_cmpint(fixture->container->main.fd, ==, fd);
        g_assert_cmpint(fixture->container->life.main.pid, ==, pid);
        g_assert_cmpuint(fixture->container->life.main.start_time, ==, fixture->container->main.start_time);

        enter(fixture, STATE_INITIALIZED); /* another commit leaves them */
        g_assert_cmpint(fixture->container->main.fd, ==, fd);
        g_autoptr(Commit) clearing = commit_new(fixture->container, NULL);
        commit_set_main(clearing, &none);
        apply(clearing);
        g_assert_false(pidref_is_set(&fixture->container->main));
        g_assert_cmpint(fixture->container->life.main.pid, ==, 0);
        g_assert_cmpint(fcntl(fd, F_GETFD), ==, -1);
        kill(pid, SIGKILL);
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

/* --- runs and events --- */

static void test_the_record_of_a_run_is_edited_where_it_was_left(Fixture *fixture, gconstpointer unused) {
        g_autoptr(Commit) opening = commit_new(fixture->container, NULL);

        opening->life.run = 4;
        memset(opening->life.invocation, 0xab, INVOCATION_SIZE);
        commit_edit_run(opening)->restarts = 2;
        g_assert_true(commit_edit_run(opening) == opening->run);
        g_assert_cmpint(opening->run->invocation[0], ==, 0xab);
        apply(opening);
        g_autoptr(Commit) closing = commit_new(fixture->container, NULL);
        g_assert_cmpuint(commit_edit_run(closing)->number, ==, 4);
        g_assert_cmpuint(closing->run->restarts, ==, 2);
        closing->run->exit_code = 5;
        apply(closing);
        g_autoptr(Run) run = NULL;
        g_assert_true(store_get_run(fixture->store, ID, 4, &run, NULL));
        g_assert_cmpint(run->exit_code, ==, 5);
        g_assert_cmpuint(run->restarts, ==, 2);
}

static void expect_run_signals(const Change *change, void *userdata) {
        Fixture *fixture = userdata;

        fixture->n_nested += change->run_started != NULL;
        fixture->n_nested += change->run_finished != NULL ? 10 : 0;
        if (change->run_finished)
                g_assert_cmpuint(change->run_finished->number, ==, 1);
}

static void test_signals_of_runs_are_due_when_asked_for(Fixture *fixture, gconstpointer unused) {
        registry_set_observer(fixture->registry, OBSERVER_ANNOUNCE, expect_run_signals, fixture);
        g_autoptr(Commit) plain = commit_new(fixture->container, NULL), finished = commit_new(fixture->container, NULL);
        plain->life.run = 1;
        (void) commit_edit_run(plain);
        apply(plain);
        g_assert_cmpuint(fixture->n_nested, ==, 0);
        finished->life.run = 1;
        (void) commit_edit_run(finished);
        commit_set_run_started(finished);
        commit_set_run_finished(finished);
        apply(finished);
        g_assert_cmpuint(fixture->n_nested, ==, 11);
}

static void test_an_event_says_who_and_what(Fixture *fixture, gconstpointer unused) {
        g_autoptr(Actor) actor = actor_new(1000, 5, "busctl", "", ":1.2");
        g_autoptr(Commit) commit = commit_new(fixture->container, actor);
        bool gap;

        commit->life.run = 3;
        commit_event(commit, "died", g_variant_new_parsed("{'exit-code': <7>}"));
        commit_event(commit, "second", NULL);
        apply(commit);
        g_autoptr(GPtrArray) events = store_list_events(fixture->store, 0, 10, UINT64_MAX, NULL, &gap, NULL);
        g_assert_cmpuint(events->len, ==, 2);
        Event *died = events->pdata[0];
        g_autoptr(GVariant) labels = g_variant_lookup_value(died->details, "labels", G_VARIANT_TYPE("a{ss}")), who = g_variant_lookup_value(died->details, "actor", G_VARIANT_TYPE_VARDICT);
        const char *name = NULL;
        guint64 run = 0;
        gint32 code = 0;
        guint32 uid = 0;
        g_assert_cmpstr(died->type, ==, "container");
        g_assert_cmpstr(died->action, ==, "died");
        g_assert_cmpstr(died->object, ==, "/io/conbus1/container/" ID);
        g_assert_true(g_variant_lookup(died->details, "name", "&s", &name) && g_variant_lookup(died->details, "run", "t", &run) && g_variant_lookup(died->details, "exit-code", "i", &code));
        g_assert_cmpstr(name, ==, "web");
        g_assert_cmpuint(run, ==, 3);
        g_assert_cmpint(code, ==, 7);
        g_assert_nonnull(labels);
        g_assert_true(who && g_variant_lookup(who, "uid", "u", &uid));
        g_assert_cmpuint(uid, ==, 1000);
        g_assert_cmpstr(((Event *) events->pdata[1])->action, ==, "second");
}

/* --- the end --- */

static void test_a_removal_leaves_references_and_records(Fixture *fixture, gconstpointer unused) {
        g_autoptr(Commit) opening = commit_new(fixture->container, NULL);

        opening->life.run = 1;
        (void) commit_edit_run(opening);
        apply(opening);
        enter(fixture, STATE_REMOVING);
        registry_set_observer(fixture->registry, OBSERVER_ANNOUNCE, remember_change, NULL);
        g_autoptr(Commit) commit = commit_new(fixture->container, NULL);
        commit_set_remove(commit);
        apply(commit);
        g_assert_true(seen.vanished);
        g_autofree char *row = stored(fixture);
        g_assert_cmpstr(row, ==, "");
        g_assert_true(fixture->container->removed);
        g_assert_null(registry_get(fixture->registry, ID));
        g_assert_null(registry_get_by_name(fixture->registry, "web"));
        g_autoptr(Run) run = NULL;
        g_assert_true(store_get_run(fixture->store, ID, 1, &run, NULL));
        g_assert_nonnull(run);
}

static void test_an_operation_alone_changes_nothing(Fixture *fixture, gconstpointer unused) {
        registry_set_observer(fixture->registry, OBSERVER_ANNOUNCE, remember_change, NULL);
        registry_notify_operation(fixture->registry, fixture->container);
        g_assert_true(seen.operation_changed);
        g_assert_false(seen.config_changed || seen.appeared || seen.vanished);
        g_assert_null(seen.run_finished);
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *path;
                void (*test)(Fixture *fixture, gconstpointer unused);
        } tests[] = {
                {"/commit/observers-are-told-in-their-order", test_observers_are_told_in_their_order},
                {"/commit/store-and-memory-come-before-observers", test_store_and_memory_come_before_observers},
                {"/commit/a-nested-commit-is-heard-of-after-the-first", test_a_nested_commit_is_heard_of_after_the_first},
                {"/commit/a-transition-is-numbered-and-timed", test_a_transition_is_numbered_and_timed},
                {"/commit/the-present-state-is-no-transition", test_the_present_state_is_no_transition},
                {"/commit/an-illegal-transition-is-a-mistake-of-ours", test_an_illegal_transition_is_a_mistake_of_ours},
                {"/commit/what-is-not-applied-changes-nothing", test_what_is_not_applied_changes_nothing},
                {"/commit/the-boot-is-noted", test_the_boot_is_noted},
                {"/commit/a-refusal-changes-nothing", test_a_refusal_changes_nothing},
                {"/commit/a-creation-that-is-refused-leaves-no-container", test_a_creation_that_is_refused_leaves_no_container},
                {"/commit/a-full-disk-has-its-name", test_a_full_disk_has_its_name},
                {"/commit/a-rename-is-a-new-generation", test_a_rename_is_a_new_generation},
                {"/commit/a-name-that-is-taken-or-reserved", test_a_name_that_is_taken_or_reserved},
                {"/commit/a-configuration-is-replaced", test_a_configuration_is_replaced},
                {"/commit/an-error-is-kept-and-emptied", test_an_error_is_kept_and_emptied},
                {"/commit/processes-are-taken-over", test_processes_are_taken_over},
                {"/commit/the-record-of-a-run-is-edited-where-it-was-left", test_the_record_of_a_run_is_edited_where_it_was_left},
                {"/commit/signals-of-runs-are-due-when-asked-for", test_signals_of_runs_are_due_when_asked_for},
                {"/commit/an-event-says-who-and-what", test_an_event_says_who_and_what},
                {"/commit/a-removal-leaves-references-and-records", test_a_removal_leaves_references_and_records},
                {"/commit/an-operation-alone-changes-nothing", test_an_operation_alone_changes_nothing},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].test, tear_down);
        return g_test_run();
}
