/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where things lie: arguments, then the environment, then the defaults. */

#include "runtime/paths.h"
#include "testing.h"
#include <stdbool.h>

static void test_the_defaults(void) {
        g_autoptr(Paths) paths = paths_new(NULL, NULL);

        g_assert_cmpstr(paths->state, ==, "/var/lib/conbus");
        g_assert_cmpstr(paths->run, ==, "/run/conbus");
        g_assert_cmpstr(paths->crun, ==, "crun");
        g_assert_cmpstr(paths->conmon, ==, "conmon");
        g_assert_true(g_str_has_suffix(paths->wake, "/conbus-wake"));
        g_assert_cmpstr(paths->init, ==, "catatonit");
        g_assert_null(paths->credentials);
}

static void test_an_init_that_is_not_there_is_named(void) {
        g_autoptr(GError) error = NULL;

        g_setenv("CONBUS_INIT", "/bin/true", true);
        g_autoptr(Paths) paths = paths_new(NULL, NULL);
        g_autofree char *found = paths_find_init(paths, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(found, ==, "/bin/true");
        g_setenv("CONBUS_INIT", "conbus-no-such-init", true);
        g_autoptr(Paths) other = paths_new(NULL, NULL);
        g_assert_null(paths_find_init(other, &error));
        testing_expect_error(&error, CONBUS_ERROR_HELPER_MISSING, "conbus-no-such-init");
        g_unsetenv("CONBUS_INIT");
}

static void test_the_environment_comes_before_the_defaults(void) {
        g_setenv("STATE_DIRECTORY", "/s", true);
        g_setenv("RUNTIME_DIRECTORY", "/r", true);
        g_setenv("CONBUS_CRUN", "/c", true);
        g_setenv("CONBUS_CONMON", "/m", true);
        g_setenv("CONBUS_WAKE", "/w", true);
        g_setenv("CREDENTIALS_DIRECTORY", "/x", true);
        g_autoptr(Paths) paths = paths_new(NULL, NULL), given = paths_new("/a", "/b");
        g_assert_cmpstr(paths->state, ==, "/s");
        g_assert_cmpstr(paths->run, ==, "/r");
        g_assert_cmpstr(paths->crun, ==, "/c");
        g_assert_cmpstr(paths->conmon, ==, "/m");
        g_assert_cmpstr(paths->wake, ==, "/w");
        g_assert_cmpstr(paths->credentials, ==, "/x");
        g_assert_cmpstr(given->state, ==, "/a");
        g_assert_cmpstr(given->run, ==, "/b");
}

static void test_an_empty_variable_is_none(void) {
        g_setenv("STATE_DIRECTORY", "", true);
        g_setenv("CONBUS_CRUN", "", true);
        g_autoptr(Paths) paths = paths_new(NULL, NULL);
        g_assert_cmpstr(paths->state, ==, "/var/lib/conbus");
        g_assert_cmpstr(paths->crun, ==, "crun");
}

static void test_places_of_a_container(void) {
        g_autoptr(Paths) paths = paths_new("/s", "/r");
        g_autofree char *run = paths_run_of(paths, "abc", "rootfs"), *state = paths_state_of(paths, "abc", "upper"), *whole = paths_run_of(paths, "abc", NULL), *kept = paths_state_of(paths, "abc", NULL);

        g_assert_cmpstr(run, ==, "/r/containers/abc/rootfs");
        g_assert_cmpstr(state, ==, "/s/containers/abc/upper");
        g_assert_cmpstr(whole, ==, "/r/containers/abc");
        g_assert_cmpstr(kept, ==, "/s/containers/abc");
}

int main(int argc, char *argv[]) {
        static const char *const variables[] = {"STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CONBUS_CRUN", "CONBUS_CONMON", "CONBUS_WAKE", "CONBUS_INIT", "CREDENTIALS_DIRECTORY"};

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(variables); i++)
                g_unsetenv(variables[i]);
        g_test_add_func("/paths/the-defaults", test_the_defaults);
        g_test_add_func("/paths/an-init-that-is-not-there-is-named", test_an_init_that_is_not_there_is_named);
        g_test_add_func("/paths/the-environment-comes-before-the-defaults", test_the_environment_comes_before_the_defaults);
        g_test_add_func("/paths/an-empty-variable-is-none", test_an_empty_variable_is_none);
        g_test_add_func("/paths/places-of-a-container", test_places_of_a_container);
        return g_test_run();
}
