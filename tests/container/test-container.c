/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The object of a container, and what follows from its configuration. */

#include "base/clock.h"
#include "container/container.h"
#include "testing.h"
#include <signal.h>

static Container *container_of(const char *config) {
        g_autoptr(GVariant) parsed = testing_parse(config);

        return container_new("0123", "web", 1000, parsed);
}

static void test_a_new_one_is_created_and_has_nothing(void) {
        guint64 before = clock_realtime_usec();
        g_autoptr(Container) container = container_of("{'rootfs': <'/r'>}");

        g_assert_cmpint(container->life.state, ==, STATE_CREATED);
        g_assert_cmpuint(container->owner_uid, ==, 1000);
        g_assert_cmpuint(container->created_usec, >=, before);
        g_assert_cmpuint(container->life.state_usec, ==, container->created_usec);
        g_assert_cmpstr(container->bundle, ==, "");
        g_assert_cmpstr(container->operation, ==, "");
        g_assert_cmpstr(container->life.health, ==, "");
        g_assert_false(pidref_is_set(&container->main));
        g_assert_false(pidref_is_set(&container->monitor));
        g_assert_null(container->registry);
        container_unref(NULL);
}

static void test_its_path_and_title(void) {
        g_autoptr(Container) container = container_of("@a{sv} {}");
        g_autofree char *path = container_path(container);

        g_assert_cmpstr(path, ==, "/io/conbus1/container/0123");
        g_assert_cmpstr(container_title(container), ==, "container \"web\"");
}

static void test_the_last_reference_frees(void) {
        Container *container = container_of("@a{sv} {}");

        g_assert_true(container_ref(container) == container);
        container_unref(container);
        g_assert_cmpstr(container->name, ==, "web");
        container_unref(container);
}

static void test_the_command_is_the_first_word(void) {
        static const char *const table[][2] = {
                {"{'command': <['sh', '-c']>}", "sh"},
                {"{'entrypoint': <['/init']>, 'command': <['sh']>}", "/init"},
                {"{'entrypoint': <@as []>, 'command': <['sh']>}", "sh"},
                {"{'command': <@as []>}", ""},
                {"@a{sv} {}", ""},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(Container) container = container_of(table[i][0]);
                g_assert_cmpstr(container_command_name(container), ==, table[i][1]);
        }
}

static void test_the_policy(void) {
        static const struct {
                const char *config;
                Policy policy;
        } table[] = {
                {"@a{sv} {}", POLICY_NO},
                {"{'restart-policy': <''>}", POLICY_NO},
                {"{'restart-policy': <'always'>}", POLICY_ALWAYS},
                {"{'restart-policy': <'on-failure'>}", POLICY_ON_FAILURE},
                {"{'restart-policy': <'unless-stopped'>}", POLICY_UNLESS_STOPPED},
                {"{'restart-policy': <'whenever'>}", POLICY_NO}, /* of a newer version */
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(Container) container = container_of(table[i].config);
                g_assert_cmpint(container_policy(container), ==, table[i].policy);
        }
}

static void test_what_counts_as_a_health_check(void) {
        static const struct {
                const char *config;
                bool has;
        } table[] = {
                {"@a{sv} {}", false},
                {"{'health': <@a{sv} {}>}", false},
                {"{'health': <{'test': <@as []>}>}", false},
                {"{'health': <{'test': <['NONE']>}>}", false},
                {"{'health': <{'test': <['CMD', 'true']>}>}", true},
                {"{'health': <{'test': <['true']>}>}", true},
                {"{'health': <{'test': <['true']>, 'disable': <true>}>}", false},
                {"{'health': <{'test': <['true']>, 'disable': <false>}>}", true},
                {"{'health': <{'startup-test': <['true']>}>}", false}, /* of an older version; a new one is refused */
                {"{'health': <{'test': <['true']>, 'startup-test': <['true']>}>}", true},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(Container) container = container_of(table[i].config);
                if (container_has_health(container) != table[i].has)
                        g_error("%s", table[i].config);
                g_assert_cmpstr(container->life.health, ==, table[i].has ? "stopped" : "");
        }
}

static void test_settings_and_their_defaults(void) {
        g_autoptr(Container) plain = container_of("@a{sv} {}"), set = container_of("{'auto-start': <true>, 'stop-timeout-usec': <uint64 18446744073709551615>, 'stop-signal': <2>}");

        g_assert_false(container_auto_start(plain));
        g_assert_cmpuint(container_stop_timeout(plain), ==, 10 * G_USEC_PER_SEC);
        g_assert_cmpint(container_stop_signal(plain), ==, SIGTERM);
        g_assert_true(container_auto_start(set));
        g_assert_cmpuint(container_stop_timeout(set), ==, UINT64_MAX);
        g_assert_cmpint(container_stop_signal(set), ==, SIGINT);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/container/a-new-one-is-created-and-has-nothing", test_a_new_one_is_created_and_has_nothing);
        g_test_add_func("/container/its-path-and-title", test_its_path_and_title);
        g_test_add_func("/container/the-last-reference-frees", test_the_last_reference_frees);
        g_test_add_func("/container/the-command-is-the-first-word", test_the_command_is_the_first_word);
        g_test_add_func("/container/the-policy", test_the_policy);
        g_test_add_func("/container/what-counts-as-a-health-check", test_what_counts_as_a_health_check);
        g_test_add_func("/container/settings-and-their-defaults", test_settings_and_their_defaults);
        return g_test_run();
}
