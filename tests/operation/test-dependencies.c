/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Dependencies: what closes a cycle, what is missing, and what a recursive start does with those that do not run. */

#include "fixture.h"
#include <string.h>

static bool check(Fixture *fixture, Container *container, const char *config, GError **error) {
        g_autoptr(GVariant) parsed = testing_parse(config);

        return dependencies_check(fixture->registry, container ? container->id : NULL, parsed, error);
}

static void test_what_is_there_can_be_depended_on(Fixture *fixture, gconstpointer unused) {
        Container *a = fixture_add(fixture, "a", "@a{sv} {}");
        g_autofree char *by_id = g_strdup_printf("{'depends': <['%s']>}", a->id);

        fixture_add(fixture, "b", "{'depends': <['a']>}");
        fixture_add(fixture, "c", "{'depends': <['a']>}");
        g_assert_true(check(fixture, NULL, "@a{sv} {}", NULL));
        g_assert_true(check(fixture, NULL, by_id, NULL));
        g_assert_true(check(fixture, NULL, "{'depends': <['b', 'c', 'a', 'a']>}", NULL)); /* a diamond is no cycle */
        g_assert_true(check(fixture, NULL, "{'network': <'container:a'>}", NULL));
        g_assert_true(check(fixture, NULL, "{'network': <'private'>}", NULL));
}

static void test_what_is_missing_is_named(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;

        g_assert_false(check(fixture, NULL, "{'depends': <['nothing']>}", &error));
        testing_expect_error(&error, CONBUS_ERROR_NO_SUCH_CONTAINER, "depend on \"nothing\": ");
        g_assert_false(check(fixture, NULL, "{'network': <'container:nothing'>}", &error));
        testing_expect_error(&error, CONBUS_ERROR_NO_SUCH_CONTAINER, "depend on \"nothing\": ");
}

static void test_a_cycle_is_refused(Fixture *fixture, gconstpointer unused) {
        Container *a = fixture_add(fixture, "a", "@a{sv} {}"), *d = fixture_add(fixture, "d", "@a{sv} {}");
        g_autoptr(GError) error = NULL;

        fixture_add(fixture, "b", "{'depends': <['a']>}");
        fixture_add(fixture, "c", "{'network': <'container:b'>, 'depends': <['d']>}");
        static const char *const cycles[] = {"{'depends': <['a']>}", "{'depends': <['b']>}", "{'depends': <['d', 'c']>}", "{'network': <'container:c'>}", "{'network': <'container:a'>}"};
        for (size_t i = 0; i < G_N_ELEMENTS(cycles); i++) {
                g_assert_false(check(fixture, a, cycles[i], &error));
                testing_expect_error(&error, CONBUS_ERROR_WOULD_DEADLOCK, "dependencies cannot form a cycle");
        }
        g_assert_true(check(fixture, a, "{'depends': <['d']>}", NULL));
        g_assert_false(check(fixture, d, "{'depends': <['c']>}", &error));
        testing_expect_error(&error, CONBUS_ERROR_WOULD_DEADLOCK, "depend on \"c\"");
}

/* Configurations of an older version may hold one: the walk ends all the same. */
static void test_a_cycle_that_is_there_already_ends_the_walk(Fixture *fixture, gconstpointer unused) {
        Container *z = fixture_add(fixture, "z", "@a{sv} {}");
        g_autofree char *depends = g_strdup_printf("{'depends': <['%064x']>}", fixture->n_ids + 2); /* y, which comes next */

        fixture_add(fixture, "x", depends);
        fixture_add(fixture, "y", "{'depends': <['x']>}");
        g_assert_true(check(fixture, z, "{'depends': <['x']>}", NULL));
}

/* --- starting --- */

static Container *add_startable(Fixture *fixture, const char *name, const char *depends) {
        g_autofree char *config = g_strdup_printf("{'rootfs': <'%s'>, 'rootfs-mode': <'direct'>, 'command': <['sh']>, 'depends': <%s>}", fixture->directory, depends);

        return fixture_add(fixture, name, config);
}

static void test_a_start_wants_its_dependencies_running(Fixture *fixture, gconstpointer unused) {
        Container *running = fixture_add(fixture, "running", "@a{sv} {}"), *paused = fixture_add(fixture, "paused", "@a{sv} {}"), *created = fixture_add(fixture, "made", "@a{sv} {}"),
                  *web = add_startable(fixture, "web", "['running', 'paused', 'made']");
        g_auto(Answer) answer = {0};

        (void) fixture_run(fixture, running, STATE_RUNNING);
        (void) fixture_run(fixture, paused, STATE_PAUSED);
        fixture_do(fixture, web, VERB_START, NULL, &answer);
        g_autofree char *list = g_strdup_printf("do not run: %s (paused, paused), %s (made, created)", paused->id, created->id);
        testing_expect_error(&answer.error, CONBUS_ERROR_DEPENDENCY_FAILED, list);
        g_assert_cmpint(web->life.state, ==, STATE_CREATED);
        g_assert_cmpuint(web->life.run, ==, 0); /* no run was opened */
}

/* conmon is /bin/true: no start can succeed here. */
static void test_a_recursive_start_tells_which_branch_failed(Fixture *fixture, gconstpointer unused) {
        Container *running = fixture_add(fixture, "running", "@a{sv} {}"), *deep = add_startable(fixture, "deep", "@as []"), *middle = add_startable(fixture, "middle", "['deep']"),
                  *web = add_startable(fixture, "web", "['running', 'middle']");
        g_auto(Answer) answer = {0};

        (void) fixture_run(fixture, running, STATE_RUNNING);
        fixture_do(fixture, web, VERB_START, "{'recursive': <true>}", &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_DEPENDENCY_FAILED, middle->id);
        g_assert_cmpstr(web->life.error_name, ==, "io.conbus1.Error.DependencyFailed");
        g_assert_nonnull(strstr(web->life.error_message, deep->id));
        g_assert_null(strstr(web->life.error_message, running->id));
        g_assert_cmpint(deep->life.result, ==, RESULT_START_FAILED);
        g_assert_cmpuint(middle->life.run + web->life.run, ==, 0);
        g_assert_cmpint(running->life.state, ==, STATE_RUNNING);
}

static void test_a_recursive_start_cannot_starve_under_a_small_cap(Fixture *fixture, gconstpointer unused) {
        Container *web = NULL;
        g_auto(Answer) answer = {0};

        fixture->engine->settings.operations_max = 1;
        add_startable(fixture, "c0", "@as []");
        for (int i = 1; i < 6; i++) {
                g_autofree char *name = g_strdup_printf("c%d", i), *depends = g_strdup_printf("['c%d']", i - 1);
                web = add_startable(fixture, name, depends);
        }
        fixture_do(fixture, web, VERB_START, "{'recursive': <true>}", &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_DEPENDENCY_FAILED, "");
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->engine->n_running, ==, 0);
}

/* The removal waits for the start of the dependent, which must not wait for it in turn. */
static void test_a_start_and_the_removal_of_its_dependency(Fixture *fixture, gconstpointer unused) {
        Container *db = fixture_add(fixture, "db", "@a{sv} {}");
        g_autofree char *config = g_strdup_printf("{'depends': <['%s']>}", db->id);
        Container *web = fixture_add(fixture, "web", config);
        g_auto(Answer) removal = {0}, start = {0};

        (void) fixture_submit(fixture, db, VERB_REMOVE, "{'dependents': <true>}", &removal);
        (void) fixture_submit(fixture, web, VERB_START, "{'recursive': <true>}", &start);
        testing_run_until_count(fixture->event, &start.n, 1);
        testing_expect_error(&start.error, CONBUS_ERROR_DEPENDENCY_FAILED, "it is being removed");
        testing_run_until_count(fixture->event, &removal.n, 1);
        g_assert_no_error(removal.error);
        g_assert_cmpuint(registry_count(fixture->registry, N_STATES), ==, 0);
}

static void test_a_removal_is_held_up_by_dependents(Fixture *fixture, gconstpointer unused) {
        Container *db = fixture_add(fixture, "db", "@a{sv} {}");
        g_auto(Answer) answer = {0};

        fixture_add(fixture, "web", "{'depends': <['db']>}");
        fixture_add(fixture, "log", "{'depends': <['web']>}");
        fixture_do(fixture, db, VERB_REMOVE, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_DEPENDENTS_EXIST, "these containers depend on it: web");
        g_assert_cmpuint(registry_count(fixture->registry, N_STATES), ==, 3);
        fixture_do(fixture, db, VERB_REMOVE, "{'dependents': <true>}", &answer);
        g_assert_no_error(answer.error);
        g_assert_cmpuint(registry_count(fixture->registry, N_STATES), ==, 0);
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *path;
                void (*test)(Fixture *fixture, gconstpointer unused);
        } tests[] = {
                {"/dependencies/what-is-there-can-be-depended-on", test_what_is_there_can_be_depended_on},
                {"/dependencies/what-is-missing-is-named", test_what_is_missing_is_named},
                {"/dependencies/a-cycle-is-refused", test_a_cycle_is_refused},
                {"/dependencies/a-cycle-that-is-there-already-ends-the-walk", test_a_cycle_that_is_there_already_ends_the_walk},
                {"/dependencies/a-start-wants-its-dependencies-running", test_a_start_wants_its_dependencies_running},
                {"/dependencies/a-recursive-start-tells-which-branch-failed", test_a_recursive_start_tells_which_branch_failed},
                {"/dependencies/a-recursive-start-cannot-starve-under-a-small-cap", test_a_recursive_start_cannot_starve_under_a_small_cap},
                {"/dependencies/a-start-and-the-removal-of-its-dependency", test_a_start_and_the_removal_of_its_dependency},
                {"/dependencies/a-removal-is-held-up-by-dependents", test_a_removal_is_held_up_by_dependents},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, NULL, fixture_set_up, tests[i].test, fixture_tear_down);
        return g_test_run();
}
