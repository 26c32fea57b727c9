/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Profiles: what is understood, what opens nothing, and what a creator gets. */

#include "model/profile.h"
#include "testing.h"
#include <string.h>

static Profile *parse(const char *text) {
        g_autoptr(GError) error = NULL;
        Profile *profile = profile_parse("web", text, &error);

        g_assert_no_error(error);
        return profile;
}

static void check_fault(const char *text, const char *said) {
        g_autoptr(GError) error = NULL;

        g_assert_null(profile_parse("web", text, &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, said);
}

static GVariant *apply(const Profile *profile, const char *given, GError **error) {
        g_autoptr(GVariant) config = testing_parse(given);

        return profile_apply(profile, config, error);
}

static void check_refused(const Profile *profile, const char *given, ConbusError code, const char *said) {
        g_autoptr(GError) error = NULL;

        g_assert_null(apply(profile, given, &error));
        testing_expect_error(&error, code, said);
}

static void check_whole(const Profile *profile, const char *given, const char *expected) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) whole = apply(profile, given, &error), wanted = testing_parse(expected);
        GVariantIter iter;
        const char *key;
        GVariant *child;

        g_assert_no_error(error);
        g_assert_cmpuint(g_variant_n_children(whole), ==, g_variant_n_children(wanted));
        g_variant_iter_init(&iter, wanted);
        while (g_variant_iter_next(&iter, "{&sv}", &key, &child)) {
                g_autoptr(GVariant) value = child, found = g_variant_lookup_value(whole, key, NULL);
                g_assert_nonnull(found);
                g_assert_cmpvariant(found, value);
        }
}

static void test_an_empty_profile_opens_nothing(void) {
        g_autoptr(Profile) profile = parse("");

        g_assert_cmpuint(profile->containers_per_user, ==, 16);
        g_assert_null(profile->users[0]);
        check_whole(profile, "{'profile': <'web'>, 'x-note': <5>}", "{'profile': <'web'>, 'x-note': <5>}");
        check_refused(profile, "{'command': <['true']>}", CONBUS_ERROR_ACCESS_DENIED, "\"command\"");
}

static void test_what_is_fixed_stays(void) {
        g_autoptr(Profile) profile = parse("[Profile]\nOpen=env;command\n[Config]\nrootfs='/srv/web'\nmemory=5000000\ncommand=['httpd', '-f']\nread-only=true\n");

        check_whole(profile, "{}", "{'profile': <'web'>, 'rootfs': <'/srv/web'>, 'memory': <uint64 5000000>, 'command': <['httpd', '-f']>, 'read-only': <true>}");
        check_whole(profile, "{'command': <['sh']>, 'env': <['A=1']>}",
                    "{'profile': <'web'>, 'rootfs': <'/srv/web'>, 'memory': <uint64 5000000>, 'command': <['sh']>, 'env': <['A=1']>, 'read-only': <true>}");
        check_refused(profile, "{'rootfs': <'/'>}", CONBUS_ERROR_ACCESS_DENIED, "\"rootfs\"");
        check_refused(profile, "{'memory': <uint64 1>}", CONBUS_ERROR_ACCESS_DENIED, "\"memory\"");
        check_refused(profile, "{'mounts': <@aa{sv} []>}", CONBUS_ERROR_ACCESS_DENIED, "\"mounts\"");
}

static void test_secrets_stay_below_their_directory(void) {
        g_autoptr(Profile) profile = parse("[Profile]\nOpen=secrets\n");

        check_whole(profile, "{'secrets': <[{'name': <'a'>, 'value-fd': <handle 0>}]>}", "{'profile': <'web'>, 'secrets': <[{'name': <'a'>, 'value-fd': <handle 0>}]>}");
        check_refused(profile, "{'secrets': <[{'name': <'a'>, 'value-fd': <handle 0>}, {'name': <'b'>, 'target': <'/etc/passwd'>, 'value-fd': <handle 1>}]>}", CONBUS_ERROR_ACCESS_DENIED, "\"secrets/target\"");
}

static void test_a_file_brings_no_descriptors(void) {
        check_fault("[Config]\nmounts=[{'target': <'/a'>, 'source-fd': <handle 0>}]\n", "descriptor");
        check_fault("[Config]\nunit-properties=[('X', <(1, [handle 3])>)]\n", "descriptor");
}

static void test_directories_are_those_of_the_list(void) {
        g_autoptr(Profile) profile = parse("[Profile]\nOpen=rootfs\nRootfs=/srv/web;/srv/images/\n");
        const char *const refused[] = {"/", "/srv", "/srv/web/deeper", "/srv/webb", "/srv/images", "/srv/images/a/b", "/srv/imagesx/a", "srv/web"};

        check_whole(profile, "{'rootfs': <'/srv/web'>}", "{'profile': <'web'>, 'rootfs': <'/srv/web'>}");
        check_whole(profile, "{'rootfs': <'/srv/images/a'>}", "{'profile': <'web'>, 'rootfs': <'/srv/images/a'>}");
        for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
                g_autofree char *given = g_strdup_printf("{'rootfs': <'%s'>}", refused[i]);
                check_refused(profile, given, CONBUS_ERROR_ACCESS_DENIED, "\"rootfs\"");
        }
}

static void test_maxima_hold_and_fill_in(void) {
        g_autoptr(Profile) profile = parse("[Profile]\nOpen=memory;pids;restart-max\n[Config]\npids=10\n[Maximum]\nmemory=100\npids=20\nrestart-max=3\n");

        check_whole(profile, "{}", "{'profile': <'web'>, 'memory': <uint64 100>, 'pids': <uint64 10>, 'restart-max': <uint32 3>}");
        check_whole(profile, "{'memory': <uint64 50>, 'pids': <uint64 20>, 'restart-max': <uint32 1>}", "{'profile': <'web'>, 'memory': <uint64 50>, 'pids': <uint64 20>, 'restart-max': <uint32 1>}");
        check_refused(profile, "{'memory': <uint64 101>}", CONBUS_ERROR_INVALID_CONFIG, "\"memory\"");
        check_refused(profile, "{'pids': <uint64 0>}", CONBUS_ERROR_INVALID_CONFIG, "\"pids\"");
        check_refused(profile, "{'restart-max': <uint32 4>}", CONBUS_ERROR_INVALID_CONFIG, "\"restart-max\"");
}

static void test_an_open_health_check_writes_nowhere(void) {
        g_autoptr(Profile) profile = parse("[Profile]\nOpen=health\n");

        check_whole(profile, "{'health': <{'test': <['true']>}>}", "{'profile': <'web'>, 'health': <{'test': <['true']>}>}");
        check_refused(profile, "{'health': <{'log-destination': <'/etc'>}>}", CONBUS_ERROR_ACCESS_DENIED, "health/log-destination");
}

static void test_what_is_as_good_as_root_is_said_so(void) {
        g_autoptr(Profile) profile = parse("[Profile]\nOpenAsRoot=mounts\n");

        check_whole(profile, "{'mounts': <@aa{sv} []>}", "{'profile': <'web'>, 'mounts': <@aa{sv} []>}");
        for (const char *const *key = (const char *const[]) {"mounts", "devices", "privileged", "network", "oci-spec-patch", "seccomp", "cap-add", "resources", "annotations", "depends", NULL}; *key; key++) {
                g_autofree char *text = g_strdup_printf("[Profile]\nOpen=%s\n", *key);
                check_fault(text, "OpenAsRoot");
        }
}

static void test_faults_have_names(void) {
        check_fault("[Profile", "");
        check_fault("[Other]\n", "[Other]");
        check_fault("[Profile]\nUser=alice\n", "\"User\"");
        check_fault("[Profile]\nOpen=colour\n", "\"colour\"");
        check_fault("[Profile]\nOpen=profile\n", "\"profile\"");
        check_fault("[Profile]\nOpen=rootfs\n", "Rootfs");
        check_fault("[Profile]\nRootfs=/srv\n", "Rootfs");
        check_fault("[Profile]\nOpen=rootfs\nRootfs=srv\n", "Rootfs");
        check_fault("[Profile]\nContainersPerUser=many\n", "ContainersPerUser");
        check_fault("[Config]\nprofile='other'\n", "\"profile\"");
        check_fault("[Config]\nmemory='much'\n", "memory");
        check_fault("[Config]\ncommand=httpd\n", "command");
        check_fault("[Maximum]\nmemory=5\n", "memory");
        check_fault("[Profile]\nOpen=env\n[Maximum]\nenv=5\n", "env");
        check_fault("[Profile]\nOpen=memory\n[Maximum]\nmemory=0\n", "memory");
        check_fault("[Profile]\nOpen=restart-max\n[Maximum]\nrestart-max=4294967296\n", "restart-max");
}

static void test_the_example_is_understood(void) {
        g_autofree char *path = g_test_build_filename(G_TEST_DIST, "..", "data", "profile.conf.example", NULL), *text = NULL;
        g_autoptr(GError) error = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, &error));
        g_autoptr(Profile) profile = parse(text);
        g_assert_cmpuint(profile->containers_per_user, ==, 4);
        g_assert_cmpstr(profile->users[1], ==, "1001");
        g_assert_cmpstr(profile->groups[0], ==, "web");
        g_assert_true(g_hash_table_contains(profile->open, "health"));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/profile/empty", test_an_empty_profile_opens_nothing);
        g_test_add_func("/profile/fixed", test_what_is_fixed_stays);
        g_test_add_func("/profile/secrets", test_secrets_stay_below_their_directory);
        g_test_add_func("/profile/no-descriptors", test_a_file_brings_no_descriptors);
        g_test_add_func("/profile/rootfs", test_directories_are_those_of_the_list);
        g_test_add_func("/profile/maximum", test_maxima_hold_and_fill_in);
        g_test_add_func("/profile/health", test_an_open_health_check_writes_nowhere);
        g_test_add_func("/profile/as-root", test_what_is_as_good_as_root_is_said_so);
        g_test_add_func("/profile/faults", test_faults_have_names);
        g_test_add_func("/profile/example", test_the_example_is_understood);
        return g_test_run();
}
