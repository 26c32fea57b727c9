/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rename, SetAutoStart and SetRestartPolicy: one commit, checked as a whole, answered when it is durable. */

#define FAKES_UNIT "update"
#include "fakes.h"
#include "base/clock.h"
#include <string.h>

static void refuse(Fixture *fixture, Container *container, Verb verb, const char *options, ConbusError code, const char *part) {
        g_auto(Answer) answer = {0};
        guint64 generation = container->generation;
        g_autofree char *before = g_variant_print(container->config, false);

        fixture_do(fixture, container, verb, options, &answer);
        testing_expect_error(&answer.error, code, part);
        g_autofree char *after = g_variant_print(container->config, false);
        g_assert_cmpstr(before, ==, after);
        g_assert_cmpuint(container->generation, ==, generation);
        g_assert_cmpstr(container->life.error_name, ==, "");
}

static void accept(Fixture *fixture, Container *container, Verb verb, const char *options) {
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, verb, options, &answer);
        g_assert_no_error(answer.error);
        g_assert_cmpstr(answer.result, ==, "()");
}

/* --- Rename --- */

static void test_a_rename(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        bool gap;
        const char *old = NULL, *name = NULL;

        accept(fixture, container, VERB_RENAME, "{'name': <'www'>}");
        g_assert_cmpstr(container->name, ==, "www");
        g_assert_true(registry_get_by_name(fixture->registry, "www") == container);
        g_assert_null(registry_get_by_name(fixture->registry, "web"));
        fixture_expect(fixture, container, STATE_CREATED);
        fixture_expect_events(fixture, "rename ");
        g_autoptr(GPtrArray) events = store_list_events(fixture->store, 0, 1, UINT64_MAX, NULL, &gap, NULL);
        g_assert_true(g_variant_lookup(((Event *) events->pdata[0])->details, "old-name", "&s", &old));
        g_assert_true(g_variant_lookup(((Event *) events->pdata[0])->details, "name", "&s", &name));
        g_assert_cmpstr(old, ==, "web");
        g_assert_cmpstr(name, ==, "www");
        fixture_crash(fixture, NULL);
        g_assert_nonnull(registry_get_by_name(fixture->registry, "www"));
}

static void test_names_that_are_refused(Fixture *fixture, gconstpointer unused) {
        static const char *const names[] = {"", "-web", ".web", "a b", "a/b", "self", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "w\303\244b"};
        g_autofree char *longest = g_strnfill(255, 'a'), *too_long = g_strnfill(256, 'a'), *longest_option = g_strdup_printf("{'name': <'%s'>}", longest), *too_long_option = g_strdup_printf("{'name': <'%s'>}", too_long);
        Container *container = fakes_add(fixture, "web", NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autofree char *option = g_strdup_printf("{'name': <'%s'>}", names[i]);
                refuse(fixture, container, VERB_RENAME, option, CONBUS_ERROR_INVALID_NAME, names[i]);
        }
        refuse(fixture, container, VERB_RENAME, NULL, CONBUS_ERROR_INVALID_NAME, "\"\" cannot be a name");
        refuse(fixture, container, VERB_RENAME, too_long_option, CONBUS_ERROR_INVALID_NAME, "cannot be a name");
        accept(fixture, container, VERB_RENAME, longest_option);
        g_assert_cmpstr(container->name, ==, longest);
}

static void test_its_own_name_is_no_change(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        guint64 generation = container->generation;

        accept(fixture, container, VERB_RENAME, "{'name': <'web'>}");
        g_assert_cmpuint(container->generation, ==, generation);
        fixture_expect_events(fixture, "");
}

static void test_names_that_are_taken(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_autoptr(GError) error = NULL;

        (void) fakes_add(fixture, "db", NULL);
        refuse(fixture, container, VERB_RENAME, "{'name': <'db'>}", CONBUS_ERROR_NAME_IN_USE, "the name \"db\" is taken");
        g_assert_true(registry_reserve_name(fixture->registry, "soon", &error)); /* by a creation that is under way */
        refuse(fixture, container, VERB_RENAME, "{'name': <'soon'>}", CONBUS_ERROR_NAME_IN_USE, "the name \"soon\" is taken");
        registry_release_name(fixture->registry, "soon");
        accept(fixture, container, VERB_RENAME, "{'name': <'soon'>}");
        g_assert_cmpstr(container->name, ==, "soon");
}

static void test_two_that_want_one_name(Fixture *fixture, gconstpointer unused) {
        Container *a = fakes_add(fixture, "a", NULL), *b = fakes_add(fixture, "b", NULL);
        g_auto(Answer) first = {0}, second = {0};

        (void) fixture_submit(fixture, a, VERB_RENAME, "{'name': <'c'>}", &first);
        (void) fixture_submit(fixture, b, VERB_RENAME, "{'name': <'c'>}", &second);
        testing_run_until_count(fixture->event, &second.n, 1);
        testing_run_until_count(fixture->event, &first.n, 1);
        g_assert_no_error(first.error);
        testing_expect_error(&second.error, CONBUS_ERROR_NAME_IN_USE, "");
        g_assert_cmpstr(b->name, ==, "b");
}

static void test_a_rename_while_it_runs(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);

        accept(fixture, container, VERB_RENAME, "{'name': <'www'>}");
        fixture_expect(fixture, container, STATE_RUNNING);
        kill_now(container);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        g_autoptr(Run) run = fixture_record(fixture, container);
        g_assert_cmpstr(run->name, ==, "www"); /* that of the time of the end */
}

/* --- policies --- */

static void test_the_policy_and_its_maximum_go_together(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", "{'restart-policy': <'on-failure'>, 'restart-max': <uint32 3>}");

        accept(fixture, container, VERB_UPDATE, "{'auto-start': <true>}");
        g_assert_true(container_auto_start(container));
        g_assert_cmpint(container_policy(container), ==, POLICY_ON_FAILURE);
        g_assert_cmpuint(config_uint32(container->config, "restart-max", 0), ==, 3);
        accept(fixture, container, VERB_UPDATE, "{'restart-policy': <'on-failure'>, 'restart-max': <uint32 5>}");
        g_assert_cmpuint(config_uint32(container->config, "restart-max", 0), ==, 5);
        accept(fixture, container, VERB_UPDATE, "{'restart-max': <uint32 4>}");
        g_assert_cmpint(container_policy(container), ==, POLICY_ON_FAILURE);
        g_assert_cmpuint(config_uint32(container->config, "restart-max", 0), ==, 4);
        accept(fixture, container, VERB_UPDATE, "{'restart-policy': <'on-failure'>}");
        g_assert_cmpuint(config_uint32(container->config, "restart-max", 7), ==, 0);
        accept(fixture, container, VERB_UPDATE, "{'restart-policy': <'always'>}");
        g_assert_cmpint(container_policy(container), ==, POLICY_ALWAYS);
        accept(fixture, container, VERB_UPDATE, "{'auto-start': <false>, 'restart-policy': <'no'>}");
        g_assert_cmpint(container_policy(container), ==, POLICY_NO);
        g_assert_false(container_auto_start(container));
        fixture_expect_events(fixture, "update update update update update update ");
        g_autofree char *config = g_variant_print(container->config, false);
        g_assert_nonnull(strstr(config, "'sleep'")); /* the rest is what it was */
}

static void test_policies_that_are_refused(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);

        refuse(fixture, container, VERB_UPDATE, "{'restart-policy': <'sometimes'>}", CONBUS_ERROR_INVALID_CONFIG, "sometimes");
        refuse(fixture, container, VERB_UPDATE, "{'restart-policy': <'always'>, 'restart-max': <uint32 1>}", CONBUS_ERROR_INVALID_CONFIG, "restart-max");
        refuse(fixture, container, VERB_UPDATE, "{'restart-policy': <'no'>, 'restart-max': <uint32 1>}", CONBUS_ERROR_INVALID_CONFIG, "restart-max");
        refuse(fixture, container, VERB_UPDATE, "{'restart-max': <uint32 1>}", CONBUS_ERROR_INVALID_CONFIG, "on-failure");
        fixture_expect_events(fixture, "");
}

static void plan_restart(Life *life) {
        life->backoff_usec = G_TIME_SPAN_HOUR;
        life->next_restart_usec = clock_realtime_usec() + life->backoff_usec;
}

static void test_no_policy_is_no_restart(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", "{'restart-policy': <'always'>}");

        fixture_exit(fixture, container, plan_restart);
        policy_arm(fixture->engine, container);
        accept(fixture, container, VERB_UPDATE, "{'restart-policy': <'unless-stopped'>}");
        g_assert_cmpuint(container->life.next_restart_usec, !=, 0); /* the new one would want it as well */
        accept(fixture, container, VERB_UPDATE, "{'restart-policy': <'no'>}");
        g_assert_cmpuint(container->life.next_restart_usec, ==, 0);
        g_assert_cmpuint(registry_count_restarts(fixture->registry), ==, 0);
        g_assert_false(engine_is_busy(fixture->engine));
}

/* The stop that health has ordered waits for its turn behind the update; the restart belongs to it. */
static void test_no_policy_leaves_the_order_of_health(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", "{'restart-policy': <'always'>}");
        g_autoptr(Commit) commit = NULL;

        fixture_run(fixture, container, STATE_RUNNING);
        commit = commit_new(container, NULL);
        commit->life.health_action = "restart";
        g_assert_true(commit_apply(commit, NULL));
        accept(fixture, container, VERB_UPDATE, "{'restart-policy': <'no'>}");
        g_assert_cmpstr(container->life.health_action, ==, "restart");
        fixture_exit(fixture, container, plan_restart);
        accept(fixture, container, VERB_UPDATE, "{'restart-policy': <'no'>}");
        g_assert_cmpuint(container->life.next_restart_usec, ==, 0);
        g_assert_cmpstr(container->life.health_action, ==, "");
}

/* --- the store --- */

static void test_what_cannot_be_stored_is_not_changed(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", "{'restart-policy': <'always'>}");

        fixture_exit(fixture, container, plan_restart);
        fixture_refuse(fixture, "INSERT ON event");
        refuse(fixture, container, VERB_RENAME, "{'name': <'www'>}", CONBUS_ERROR_STORAGE_FULL, "");
        refuse(fixture, container, VERB_UPDATE, "{'restart-policy': <'no'>}", CONBUS_ERROR_STORAGE_FULL, "");
        fixture_allow(fixture);
        g_assert_cmpstr(container->name, ==, "web");
        g_assert_cmpuint(container->life.next_restart_usec, !=, 0);
        fixture_expect(fixture, container, STATE_EXITED);
}

static void test_what_cannot_be_promised_is_said(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fakes_break_disk(fixture);
        fixture_do(fixture, container, VERB_RENAME, "{'name': <'www'>}", &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_INTERNAL, "write the database to disk");
        g_assert_cmpstr(container->name, ==, "www"); /* committed, and lost only by a power cut */
        fixture_do(fixture, container, VERB_UPDATE, "{'auto-start': <true>}", &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_INTERNAL, "write the database to disk");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        FAKES_ADD(a_rename);
        FAKES_ADD(names_that_are_refused);
        FAKES_ADD(its_own_name_is_no_change);
        FAKES_ADD(names_that_are_taken);
        FAKES_ADD(two_that_want_one_name);
        FAKES_ADD(a_rename_while_it_runs);
        FAKES_ADD(the_policy_and_its_maximum_go_together);
        FAKES_ADD(policies_that_are_refused);
        FAKES_ADD(no_policy_is_no_restart);
        FAKES_ADD(no_policy_leaves_the_order_of_health);
        FAKES_ADD(what_cannot_be_stored_is_not_changed);
        FAKES_ADD(what_cannot_be_promised_is_said);
        return g_test_run();
}
