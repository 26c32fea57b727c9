/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Remove: everything goes, the records stay; what fails in between leaves a container that can be removed again. */

#define FAKES_UNIT "remove"
#include "fakes.h"
#include "runtime/cgroup.h"
#include "storage/rootfs.h"
#include <signal.h>
#include <string.h>

/* What fails is tried again by itself, but not while a test looks. */
static void set_up(Fixture *fixture, gconstpointer unused) {
        fakes_set_up(fixture, NULL);
        fixture->engine->settings.repair_usec = fixture->engine->settings.repair_max_usec = G_TIME_SPAN_HOUR;
}

static void look_for(const StoredContainer *row, void *userdata) {
        const char **id = userdata;

        if (*id && g_str_equal(row->id, *id))
                *id = NULL;
}

static bool row_is_there(Fixture *fixture, const char *id) {
        g_assert_true(store_load(fixture->store, look_for, &id, NULL));
        return !id;
}

static void expect_removed(Fixture *fixture, Container *container, const char *name) {
        g_autofree char *run = paths_run_of(&fixture->paths, container->id, NULL), *state = paths_state_of(&fixture->paths, container->id, NULL), *group = cgroup_path_for(container->id);

        g_assert_true(container->removed);
        g_assert_null(registry_get(fixture->registry, container->id));
        g_assert_null(registry_get_by_name(fixture->registry, name));
        g_assert_false(row_is_there(fixture, container->id));
        g_assert_false(g_file_test(run, G_FILE_TEST_EXISTS));
        g_assert_false(g_file_test(state, G_FILE_TEST_EXISTS));
        g_assert_false(fakes_group_exists(group));
        g_assert_null(container->supervision);
        g_assert_false(repair_is_due(container));
}

static void test_what_never_ran(Fixture *fixture, gconstpointer unused) {
        g_autoptr(Container) container = container_ref(fakes_add(fixture, "web", NULL));
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
        g_assert_cmpstr(answer.result, ==, "()");
        expect_removed(fixture, container, "web");
        fixture_expect_events(fixture, "remove ");
}

static void test_the_record_stays(Fixture *fixture, gconstpointer unused) {
        g_autoptr(Container) container = container_ref(fakes_add(fixture, "web", "{'rootfs-mode': <'overlay'>, 'command': <['sh', '-c', 'echo x >/file; exit 3']>}"));
        g_auto(Answer) answer = {0};
        bool gap;

        fixture_do(fixture, container, VERB_START, NULL, &answer);
        g_assert_no_error(answer.error);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
        g_assert_no_error(answer.error);
        expect_removed(fixture, container, "web");
        g_autoptr(Run) run = fixture_record(fixture, container);
        g_assert_cmpint(run->exit_code, ==, 3);
        g_assert_cmpstr(run->name, ==, "web");
        g_autoptr(GPtrArray) events = store_list_events(fixture->store, 4, 1, UINT64_MAX, NULL, &gap, NULL);
        Event *event = events->pdata[0];
        gint32 code = 0;
        g_assert_cmpstr(event->action, ==, "remove");
        g_assert_true(g_variant_lookup(event->details, "exit-code", "i", &code));
        g_assert_cmpint(code, ==, 3);
}

static void test_initialized_needs_no_force(Fixture *fixture, gconstpointer unused) {
        g_autoptr(Container) container = container_ref(fakes_add(fixture, "web", NULL));
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        pid_t pid = container->main.pid;
        fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
        g_assert_no_error(answer.error);
        expect_removed(fixture, container, "web");
        g_assert_cmpint(kill(pid, 0), ==, -1);
        g_autoptr(Run) run = fixture_record(fixture, container);
        g_assert_cmpint(run->result, ==, RESULT_NEVER_RAN);
}

static void test_states_that_need_force(Fixture *fixture, gconstpointer unused) {
        static const State states[] = {STATE_RUNNING, STATE_PAUSED, STATE_UNKNOWN};

        for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
                g_autofree char *name = g_strdup_printf("c%zu", i);
                g_autoptr(Container) container = container_ref(fakes_add(fixture, name, NULL));
                g_auto(Answer) answer = {0};

                pid_t pid = fixture_run(fixture, container, states[i]);
                fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
                testing_expect_error(&answer.error, CONBUS_ERROR_INVALID_STATE, "possible when it is created, initialized, stopped or exited; the option force stops it first");
                fixture_expect(fixture, container, states[i]);
                g_assert_false(pidref_has_ended(&container->main));
                fixture_do(fixture, container, VERB_REMOVE, "{'force': <true>, 'timeout-usec': <uint64 0>}", &answer);
                g_assert_no_error(answer.error);
                expect_removed(fixture, container, name);
                g_assert_cmpint(kill(pid, 0), ==, -1);
        }
}

static void test_a_paused_one_on_the_freezer(Fixture *fixture, gconstpointer unused) {
        g_autoptr(Container) container = container_ref(fakes_add_started(fixture, "web", NULL));
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_PAUSE, NULL, &answer);
        fixture_do(fixture, container, VERB_REMOVE, "{'force': <true>}", &answer);
        g_assert_no_error(answer.error);
        expect_removed(fixture, container, "web");
        fixture_expect_events(fixture, "init start pause died remove ");
}

static void test_a_stop_that_fails_is_the_removals_failure(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_refuse(fixture, "INSERT ON event WHEN new.action = 'stop'");
        fixture_do(fixture, container, VERB_REMOVE, "{'force': <true>}", &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_STORAGE_FULL, "");
        fixture_allow(fixture);
        fixture_expect(fixture, container, STATE_RUNNING);
        g_assert_false(pidref_has_ended(&container->main));
}

static void test_the_second_is_told(Fixture *fixture, gconstpointer unused) {
        g_autoptr(Container) container = container_ref(fakes_add(fixture, "web", NULL));
        g_auto(Answer) first = {0}, second = {0}, rename = {0};

        (void) fixture_submit(fixture, container, VERB_REMOVE, NULL, &first);
        (void) fixture_submit(fixture, container, VERB_REMOVE, NULL, &second);
        (void) fixture_submit(fixture, container, VERB_RENAME, "{'name': <'other'>}", &rename);
        testing_run_until_count(fixture->event, &rename.n, 1);
        g_assert_no_error(first.error);
        testing_expect_error(&second.error, CONBUS_ERROR_NO_SUCH_CONTAINER, "it has been removed");
        testing_expect_error(&rename.error, CONBUS_ERROR_REMOVED, "it has been removed");
        fixture_expect_refused(fixture, container, VERB_START, CONBUS_ERROR_REMOVED, "it is being removed");
        expect_removed(fixture, container, "web");
}

/* --- what fails on the way: the state says how far it came, and another Remove goes on --- */

static void test_removing_that_cannot_be_stored(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_exit(fixture, container, NULL);
        fixture_refuse(fixture, "INSERT ON life WHEN new.state = 'removing'");
        fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_STORAGE_FULL, "");
        fixture_allow(fixture);
        fixture_expect(fixture, container, STATE_EXITED);
}

static void remove_again(Fixture *fixture, Container *container) {
        g_auto(Answer) answer = {0};

        fixture_expect(fixture, container, STATE_REMOVING);
        fixture_expect_refused(fixture, container, VERB_START, CONBUS_ERROR_REMOVED, "it is being removed");
        g_assert_true(row_is_there(fixture, container->id));
        fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
        g_assert_no_error(answer.error);
        expect_removed(fixture, container, "web");
        fixture_expect_events(fixture, "remove ");
}

static void test_a_crun_that_fails(Fixture *fixture, gconstpointer unused) {
        g_autoptr(Container) container = container_ref(fakes_add(fixture, "web", NULL));
        g_auto(Answer) answer = {0};

        fixture_exit(fixture, container, NULL);
        fakes_leave_state(fixture, container);
        fakes_order("crun delete 1 fail it is busy");
        fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_RUNTIME_FAILED, "crun delete: it is busy");
        g_assert_true(repair_is_due(container));
        remove_again(fixture, container);
}

static bool is_removed(void *userdata) {
        return ((Container *) userdata)->removed;
}

static void test_what_failed_is_tried_again(Fixture *fixture, gconstpointer unused) {
        g_autoptr(Container) container = container_ref(fakes_add(fixture, "web", NULL));
        g_auto(Answer) answer = {0};

        fixture->engine->settings.repair_usec = fixture->engine->settings.repair_max_usec = 1000;
        fakes_leave_state(fixture, container);
        fakes_order("crun delete 1 silent");
        fakes_order("crun delete 2 silent"); /* and the second time, too */
        fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_RUNTIME_FAILED, "");
        testing_run_until(fixture->event, is_removed, container);
        testing_run_idle(fixture->event);
        expect_removed(fixture, container, "web");
        fixture_expect_events(fixture, "remove ");
}

static void make_deep(Fixture *fixture, const Container *container) {
        g_autoptr(GString) path = g_string_new(NULL);

        g_string_append_printf(path, "%s/containers/%s", fixture->paths.state, container->id);
        for (unsigned i = 0; i < 100; i++)
                g_string_append(path, "/d");
        g_assert_cmpint(g_mkdir_with_parents(path->str, 0700), ==, 0);
}

static void test_files_that_stay(Fixture *fixture, gconstpointer unused) {
        g_autoptr(Container) container = container_ref(fakes_add(fixture, "web", NULL));
        g_autofree char *tools = g_build_filename(fixture->directory, "tools", NULL), *path = g_strconcat(tools, ":", g_getenv("PATH"), NULL), *old = g_strdup(g_getenv("PATH"));
        g_auto(Answer) answer = {0};

        make_deep(fixture, container); /* else rm(1) is not needed */
        g_free(testing_program(tools, "rm", "echo 'rm: the disk is on fire' >&2; exit 1"));
        g_assert_true(g_setenv("PATH", path, TRUE));
        fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
        g_assert_true(g_setenv("PATH", old, TRUE));
        testing_expect_error(&answer.error, CONBUS_ERROR_INTERNAL, "remove container \"web\": a helper failed: rm: the disk is on fire");
        remove_again(fixture, container);
}

static void test_a_row_that_stays(Fixture *fixture, gconstpointer unused) {
        g_autoptr(Container) container = container_ref(fakes_add(fixture, "web", NULL));
        g_auto(Answer) answer = {0};

        fixture_refuse(fixture, "DELETE ON container");
        fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_STORAGE_FULL, "");
        fixture_allow(fixture);
        remove_again(fixture, container);
}

/* Nothing is taken back: it is gone, and only a power cut could bring it back. */
static void test_a_removal_that_cannot_be_promised(Fixture *fixture, gconstpointer unused) {
        g_autoptr(Container) container = container_ref(fakes_add(fixture, "web", NULL));
        g_auto(Answer) answer = {0};

        fakes_break_disk(fixture);
        fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_INTERNAL, "write the database to disk");
        expect_removed(fixture, container, "web");
}

static void test_a_crun_that_is_missing_is_not_needed_for_what_it_does_not_know(Fixture *fixture, gconstpointer unused) {
        g_autoptr(Container) never = container_ref(fakes_add(fixture, "never", NULL)), once = container_ref(fakes_add(fixture, "once", NULL)), known = container_ref(fakes_add(fixture, "known", NULL));
        g_auto(Answer) answer = {0};
        char *crun = fixture->paths.crun;

        fixture_exit(fixture, once, NULL);
        fixture->paths.crun = (char *) "/no/crun";
        fixture_do(fixture, never, VERB_REMOVE, NULL, &answer);
        g_assert_no_error(answer.error);
        expect_removed(fixture, never, "never");
        fixture_do(fixture, once, VERB_REMOVE, NULL, &answer);
        g_assert_no_error(answer.error);
        expect_removed(fixture, once, "once");
        fakes_leave_state(fixture, known);
        fixture_do(fixture, known, VERB_REMOVE, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_HELPER_MISSING, "/no/crun is not installed");
        fixture->paths.crun = crun;
        fixture_expect(fixture, known, STATE_REMOVING);
        fixture_do(fixture, known, VERB_REMOVE, NULL, &answer);
        g_assert_no_error(answer.error);
}

static void test_what_depends_on_it_is_named(Fixture *fixture, gconstpointer unused) {
        g_autoptr(Container) container = container_ref(fakes_add(fixture, "db", NULL));
        Container *web = fakes_add(fixture, "web", "{'depends': <['db']>}");
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_DEPENDENTS_EXIST, "depend on it: web; the option dependents removes them first");
        fixture_expect(fixture, container, STATE_CREATED);
        (void) fixture_run(fixture, web, STATE_RUNNING); /* which needs force */
        fixture_do(fixture, container, VERB_REMOVE, "{'dependents': <true>}", &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_INVALID_STATE, "remove container \"web\": it is running");
        fixture_expect(fixture, container, STATE_CREATED); /* it is still depended on */
        fixture_do(fixture, container, VERB_REMOVE, "{'dependents': <true>, 'force': <true>, 'timeout-usec': <uint64 0>}", &answer);
        g_assert_no_error(answer.error);
        g_assert_cmpuint(registry_count(fixture->registry, N_STATES), ==, 0);
}

static void test_a_pending_restart_goes_too(Fixture *fixture, gconstpointer unused) {
        g_autoptr(Container) container = container_ref(fakes_add(fixture, "web", "{'restart-policy': <'always'>, 'restart-sec-usec': <uint64 3600000000>, 'command': <['true']>}"));
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_START, NULL, &answer);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        g_assert_cmpuint(registry_count_restarts(fixture->registry), ==, 1);
        fakes_leave_state(fixture, container);
        fakes_order("crun delete 1 silent");
        fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_RUNTIME_FAILED, "");
        fixture_expect(fixture, container, STATE_REMOVING);
        g_assert_cmpuint(container->life.next_restart_usec, ==, 0); /* also while it is not gone yet */
        g_assert_cmpuint(registry_count_restarts(fixture->registry), ==, 0);
        fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
        g_assert_no_error(answer.error);
        g_assert_cmpuint(registry_count_restarts(fixture->registry), ==, 0);
        g_assert_null(container->restart);
        expect_removed(fixture, container, "web");
}

/* --- auto-remove --- */

static void test_what_removes_itself(Fixture *fixture, gconstpointer unused) {
        g_autoptr(Container) container = container_ref(fakes_add(fixture, "web", "{'auto-remove': <true>, 'command': <['true']>}"));
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_START, NULL, &answer);
        testing_run_until(fixture->event, is_removed, container);
        testing_run_idle(fixture->event);
        expect_removed(fixture, container, "web");
        fixture_expect_events(fixture, "init start died cleanup remove ");
}

static void restart_in_an_hour(Life *life) {
        life->next_restart_usec = life->finish_usec + G_TIME_SPAN_HOUR;
}

static void keep_open(Life *life) {
        life->run_open = true;
}

static void never_ran(Life *life) {
        life->run = 0;
}

static void test_what_does_not_remove_itself(Fixture *fixture, gconstpointer unused) {
        void (*const edits[])(Life *life) = {restart_in_an_hour, keep_open, never_ran, NULL};

        for (size_t i = 0; i < G_N_ELEMENTS(edits); i++) {
                g_autofree char *name = g_strdup_printf("c%zu", i);
                Container *container = fakes_add(fixture, name, edits[i] ? "{'auto-remove': <true>}" : NULL);

                fixture_exit(fixture, container, edits[i]);
                removal_ensure(fixture->engine, container);
                g_assert_true(g_queue_is_empty(&container->operations));
                fixture_expect(fixture, container, STATE_EXITED);
        }
}

static void test_its_own_removal_is_asked_for_once(Fixture *fixture, gconstpointer unused) {
        g_autoptr(Container) container = container_ref(fakes_add(fixture, "web", "{'auto-remove': <true>}"));

        fixture_exit(fixture, container, NULL);
        removal_ensure(fixture->engine, container);
        removal_ensure(fixture->engine, container);
        g_assert_cmpuint(container->operations.length, ==, 1);
        testing_run_until(fixture->event, is_removed, container);
}

/* One that fails is tried again, later. */
static void test_its_own_removal_that_fails(Fixture *fixture, gconstpointer unused) {
        g_autoptr(Container) container = container_ref(fakes_add(fixture, "web", "{'auto-remove': <true>}"));

        fixture_exit(fixture, container, NULL);
        fakes_leave_state(fixture, container);
        fakes_order("crun delete 1 silent");
        removal_ensure(fixture->engine, container);
        fixture_run_until_state(fixture, container, STATE_REMOVING);
        while (fixture->engine->n_accepted > 0)
                g_assert_cmpint(sd_event_run(fixture->event, TESTING_DEADLINE_USEC), >, 0);
        testing_run_idle(fixture->event);
        fixture_expect(fixture, container, STATE_REMOVING);
        g_assert_cmpuint(fixture->engine->n_accepted, ==, 0);
        g_assert_true(repair_is_due(container));
        remove_again(fixture, container);
}

#define ADD(function) g_test_add("/" FAKES_UNIT "/" #function, Fixture, NULL, set_up, test_##function, fakes_tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD(what_never_ran);
        ADD(the_record_stays);
        ADD(initialized_needs_no_force);
        ADD(states_that_need_force);
        ADD(a_paused_one_on_the_freezer);
        ADD(a_stop_that_fails_is_the_removals_failure);
        ADD(the_second_is_told);
        ADD(removing_that_cannot_be_stored);
        ADD(a_crun_that_fails);
        ADD(what_failed_is_tried_again);
        ADD(files_that_stay);
        ADD(a_row_that_stays);
        ADD(a_removal_that_cannot_be_promised);
        ADD(a_crun_that_is_missing_is_not_needed_for_what_it_does_not_know);
        ADD(what_depends_on_it_is_named);
        ADD(a_pending_restart_goes_too);
        ADD(what_removes_itself);
        ADD(what_does_not_remove_itself);
        ADD(its_own_removal_is_asked_for_once);
        ADD(its_own_removal_that_fails);
        return g_test_run();
}
