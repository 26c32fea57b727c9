/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lives, runs and events as plain data: what they are at first, that copies are their own, their form on the wire. */

#include "model/life.h"
#include "testing.h"
#include <string.h>

static void test_a_new_life_is_created_and_without_a_code(void) {
        Life life;

        life_init(&life);
        g_assert_cmpint(life.state, ==, STATE_CREATED);
        g_assert_cmpint(life.exit_code, ==, -1);
        g_assert_cmpint(life.result, ==, RESULT_NONE);
        g_assert_cmpuint(life.run, ==, 0);
        g_assert_false(life.run_open);
        const char *const strings[] = {life.status_text, life.health, life.cgroup, life.managed_by, life.error_name, life.error_message, life.boot_id};
        for (size_t i = 0; i < G_N_ELEMENTS(strings); i++)
                g_assert_cmpstr(strings[i], ==, "");
        life_clear(&life);
}

static void test_a_copy_of_a_life_is_its_own(void) {
        Life life, copy;

        life_init(&life);
        life.run = 5;
        life.monitor = (StoredProcess) {.pid = 6, .start_time = 7};
        memset(life.invocation, 9, INVOCATION_SIZE);
        life_set_string(&life.health, "healthy");
        life_copy(&copy, &life);
        life_set_string(&life.health, "stopped");
        life_set_string(&life.cgroup, "/x");
        life_clear(&life);
        g_assert_cmpuint(copy.run, ==, 5);
        g_assert_cmpint(copy.monitor.pid, ==, 6);
        g_assert_cmpint(copy.invocation[INVOCATION_SIZE - 1], ==, 9);
        g_assert_cmpstr(copy.health, ==, "healthy");
        g_assert_cmpstr(copy.cgroup, ==, "");
        life_clear(&copy);
}

static void test_clearing_twice_is_harmless(void) {
        Life life;

        life_init(&life);
        life_clear(&life);
        life_clear(&life);
}

static void test_no_string_is_an_empty_one(void) {
        char *field = g_strdup("a");

        life_set_string(&field, NULL);
        g_assert_cmpstr(field, ==, "");
        life_set_string(&field, field);
        g_assert_cmpstr(field, ==, "");
        g_free(field);
}

static void test_a_new_run_is_open(void) {
        g_autoptr(Run) run = run_new("c", 3);

        g_assert_cmpstr(run->container, ==, "c");
        g_assert_cmpuint(run->number, ==, 3);
        g_assert_cmpint(run->exit_code, ==, -1);
        g_assert_cmpint(run->result, ==, RESULT_NONE);
        g_assert_null(run->actor);
        g_assert_cmpstr(run->health, ==, "");
        g_assert_cmpstr(run->log_cursor, ==, "");
        g_assert_cmpstr(run->name, ==, "");
}

static void test_a_copy_of_a_run_is_its_own(void) {
        Run *run = run_new("c", 3);

        run->actor = testing_parse("{'uid': <uint32 7>}");
        life_set_string(&run->name, "web");
        g_autoptr(Run) copy = run_copy(run);
        run_free(run);
        g_assert_cmpstr(copy->container, ==, "c");
        g_assert_cmpstr(copy->name, ==, "web");
        g_assert_cmpuint(g_variant_n_children(copy->actor), ==, 1);
        run_free(NULL);
}

static void expect_value(GVariant *dict, const char *key, const char *text) {
        g_autoptr(GVariant) found = g_variant_lookup_value(dict, key, NULL);

        g_assert_nonnull(found);
        g_autofree char *printed = g_variant_print(found, true);
        g_assert_cmpstr(printed, ==, text);
}

static void test_the_wire_form_of_a_run(void) {
        g_autoptr(Run) run = run_new("c", 3);

        memset(run->invocation, 1, INVOCATION_SIZE);
        run->pid = 44;
        run->start_usec = 10;
        run->finish_usec = 20;
        run->exit_code = 137;
        run->exit_signal = 9;
        run->result = RESULT_OOM_KILL;
        run->reason = REASON_OOM;
        run->oom_kills = 2;
        run->restarts = 5;
        life_set_string(&run->health, "healthy");
        life_set_string(&run->log_cursor, "cursor");
        run->actor = testing_parse("{'uid': <uint32 7>}");
        g_autoptr(GVariant) dict = g_variant_ref_sink(run_to_variant(run));
        static const char *const expected[][2] = {
                {"run", "uint64 3"},        {"pid", "uint32 44"},       {"start", "uint64 10"},      {"finish", "uint64 20"}, {"exit-code", "137"},     {"signal", "9"},
                {"result", "'oom-kill'"},   {"reason", "'oom'"},        {"oom-kills", "uint64 2"},   {"restarts", "uint32 5"}, {"health", "'healthy'"}, {"log-cursor", "'cursor'"},
                {"actor", "{'uid': <uint32 7>}"},
                {"invocation-id", "[byte 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01]"},
        };
        g_assert_cmpuint(g_variant_n_children(dict), ==, G_N_ELEMENTS(expected));
        for (size_t i = 0; i < G_N_ELEMENTS(expected); i++)
                expect_value(dict, expected[i][0], expected[i][1]);
}

static void test_an_open_run_on_the_wire_has_no_result(void) {
        g_autoptr(Run) run = run_new("c", 1);
        g_autoptr(GVariant) dict = g_variant_ref_sink(run_to_variant(run));

        expect_value(dict, "result", "''");
        expect_value(dict, "exit-code", "-1");
        expect_value(dict, "actor", "@a{sv} {}");
}

static void test_an_event_has_details(void) {
        g_autoptr(Event) bare = event_new("container", "died", "/o", "c", NULL);
        g_autoptr(Event) full = event_new("container", "died", "/o", "c", g_variant_new_parsed("{'a': <1>}"));

        g_assert_cmpuint(g_variant_n_children(bare->details), ==, 0);
        g_assert_true(g_variant_is_of_type(bare->details, G_VARIANT_TYPE_VARDICT));
        g_assert_cmpuint(g_variant_n_children(full->details), ==, 1);
        g_assert_cmpuint(full->seq, ==, 0);
        event_free(NULL);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/life/a-new-life-is-created-and-without-a-code", test_a_new_life_is_created_and_without_a_code);
        g_test_add_func("/life/a-copy-of-a-life-is-its-own", test_a_copy_of_a_life_is_its_own);
        g_test_add_func("/life/clearing-twice-is-harmless", test_clearing_twice_is_harmless);
        g_test_add_func("/life/no-string-is-an-empty-one", test_no_string_is_an_empty_one);
        g_test_add_func("/life/a-new-run-is-open", test_a_new_run_is_open);
        g_test_add_func("/life/a-copy-of-a-run-is-its-own", test_a_copy_of_a_run_is_its_own);
        g_test_add_func("/life/the-wire-form-of-a-run", test_the_wire_form_of_a_run);
        g_test_add_func("/life/an-open-run-on-the-wire-has-no-result", test_an_open_run_on_the_wire_has_no_result);
        g_test_add_func("/life/an-event-has-details", test_an_event_has_details);
        return g_test_run();
}
