/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules of a health check's settings, and what an update may leave out. */

#include "model/config-value.h"
#include "testing.h"

/* {health, part of the refusal or NULL} */
static const char *const table[][2] = {
        {"@a{sv} {}", NULL},
        {"{'test': <['NONE']>}", NULL},
        {"{'test': <['/check']>}", NULL},
        {"{'test': <['CMD', '/check', '', 'a']>}", NULL},
        {"{'test': <['cmd']>}", NULL}, /* a bare command of that name */
        {"{'test': <['CMD-SHELL']>}", "CMD-SHELL takes exactly one"},
        {"{'test': <['']>}", "the command is empty"},
        {"{'test': <['a']>, 'interval-usec': <uint64 0>}", NULL},
        {"{'test': <['a']>, 'interval-usec': <uint64 1000>}", NULL},
        {"{'test': <['a']>, 'interval-usec': <uint64 1>}", "give at least 1000"},
        {"{'test': <['a']>, 'timeout-usec': <uint64 0>}", "give at least 1000000"},
        {"{'test': <['a']>, 'start-period-usec': <uint64 18446744073709551615>}", NULL},
        {"{'test': <['a']>, 'retries': <uint32 4294967295>}", NULL},
        {"{'test': <['a']>, 'on-failure': <'none'>}", NULL},
        {"{'test': <['a']>, 'on-failure': <''>}", "is not known"},
        {"{'test': <['a']>, 'log-destination': <'local'>}", NULL},
        {"{'test': <['a']>, 'log-destination': <''>}", "\"\" is not known"},
        {"{'test': <['a']>, 'startup-test': <['a']>, 'startup-successes': <uint32 0>}", NULL},
        {"{'startup-test': <['a']>}", "\"health/startup-test\": it only precedes the regular check"},
        {"{'test': <['NONE']>, 'startup-test': <['a']>}", "give test as well"},
        {"{'startup-test': <['NONE']>, 'startup-successes': <uint32 0>}", "give startup-test as well"},
        {"{'test': <['NONE']>, 'retries': <uint32 1>}", "give test as well"},
        {"{'startup-test': <['a']>, 'retries': <uint32 1>}", "give test as well"},
        {"{'x-note': <'a'>}", NULL},
        {"{'disable': <false>, 'test': <['a']>}", NULL},
        {"{'disable': <true>, 'test': <['a']>}", "excludes every other key"},
};

static void test_every_rule(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(GVariant) health = testing_parse(table[i][0]);
                g_autoptr(GError) error = NULL;

                if (config_health_check(health, CONFIG_KEY_CREATE, &error) != !table[i][1])
                        g_error("%s: %s", table[i][0], error ? error->message : "passed");
                if (table[i][1])
                        testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, table[i][1]);
        }
}

static void test_an_update_may_leave_the_test_out(void) {
        g_autoptr(GVariant) health = testing_parse("{'retries': <uint32 1>, 'startup-retries': <uint32 2>}");

        g_assert_true(config_health_check(health, CONFIG_KEY_UPDATE, NULL));
        g_assert_false(config_health_check(health, CONFIG_KEY_CREATE, NULL));
}

static void test_an_update_is_held_to_the_values(void) {
        g_autoptr(GVariant) retries = testing_parse("{'retries': <uint32 0>}"), both = testing_parse("{'disable': <true>, 'retries': <uint32 1>}");
        g_autoptr(GError) error = NULL;

        g_assert_false(config_health_check(retries, CONFIG_KEY_UPDATE, &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, "give 1 or more");
        g_assert_false(config_health_check(both, CONFIG_KEY_UPDATE, &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, "excludes every other key");
}

static void test_the_key_is_named_with_its_group(void) {
        g_autoptr(GVariant) health = testing_parse("{'intervall': <uint64 1>}");
        g_autoptr(GError) error = NULL;

        g_assert_false(config_health_check(health, CONFIG_KEY_CREATE, &error));
        testing_expect_error(&error, CONBUS_ERROR_UNKNOWN_OPTION, "\"health/intervall\"");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/config-health/every-rule", test_every_rule);
        g_test_add_func("/config-health/an-update-may-leave-the-test-out", test_an_update_may_leave_the_test_out);
        g_test_add_func("/config-health/an-update-is-held-to-the-values", test_an_update_is_held_to_the_values);
        g_test_add_func("/config-health/the-key-is-named-with-its-group", test_the_key_is_named_with_its_group);
        return g_test_run();
}
