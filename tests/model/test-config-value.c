/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Single values at their edges: the last one that passes beside the first one that does not. Whole configurations are in test-config.c. */

#include "model/config-value.h"
#include "testing.h"

/* {key, value, part of the refusal or NULL} */
static const char *const table[][3] = {
        {"rootfs", "'/'", NULL},
        {"rootfs", "'/a/..b/c..'", NULL},
        {"rootfs", "''", "is not an absolute path"},
        {"rootfs", "'/..'", "goes through .."},
        {"env", "@as []", NULL},
        {"env", "['A==']", NULL},
        {"unset-env", "['A', '']", "\"\" is no name of a variable"},
        {"user", "'0'", NULL},
        {"user", "'a:0'", NULL},
        {"user", "'4294967294:4294967294'", NULL},
        {"user", "'0:4294967295'", "up to 4294967294"},
        {"user", "'99999999999999999999'", "is no account"},
        {"user", "'a b'", "is no account"},
        {"user", "'a/b'", "is no account"},
        {"user", "':0'", "is no account"},
        {"hostname", "'a'", NULL},
        {"hostname", "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'", NULL},
        {"hostname", "'a-'", "is no host name"},
        {"hostname", "'.a'", "is no host name"},
        {"hostname", "'a/b'", "is no host name"},
        {"devices", "['/dev/a:/dev/b:m']", NULL},
        {"devices", "['/dev/a:rwmr']", "is no access"},
        {"devices", "['/dev/../a']", "goes through .."},
        {"devices", "['']", "\"\" is no device"},
        {"network", "'private'", NULL},
        {"network", "'ns:/'", NULL},
        {"network", "''", "is not known"},
        {"network", "'ns:'", "is not an absolute path"},
        {"cap-add", "@as []", NULL},
        {"cap-add", "['all']", "is no capability"},
        {"seccomp", "'/p'", NULL},
        {"seccomp", "'/../p'", "goes through .."},
        {"uid-map", "[(uint32 0, uint32 0, uint32 4294967295)]", NULL},
        {"uid-map", "[(uint32 1, uint32 0, uint32 4294967295)]", "passes the last id"},
        {"uid-map", "[(uint32 0, uint32 100, uint32 10), (10, 90, 10)]", NULL},
        {"uid-map", "[(uint32 0, uint32 100, uint32 10), (10, 91, 10)]", "overlaps"},
        {"pids", "uint64 4194304", NULL},
        {"memory", "uint64 1048576", NULL},
        {"memory", "uint64 1048575", "is out of range"},
        {"memory", "uint64 9223372036854775807", NULL},
        {"memory", "uint64 9223372036854775808", "is out of range"},
        {"cpu-quota-usec", "uint64 819200000", NULL},
        {"cpu-quota-usec", "uint64 819200001", "is out of range"},
        {"cpu-weight", "uint64 1", NULL},
        {"resources", "'null'", "not a JSON object"},
        {"resources", "'7'", "not a JSON object"},
        {"ulimits", "@a(stt) []", NULL},
        {"ulimits", "[('nofile', uint64 5, uint64 5), ('core', 0, 0)]", NULL},
        {"sysctls", "{'kernel.shm_rmid_forced': '1', 'fs.mqueue.msg_max': '5', 'kernel.msgmax': '1'}", NULL},
        {"sysctls", "{'fs.mqueue.': '1'}", "belongs to the whole machine"},
        {"sysctls", "{'net/core/somaxconn': '1'}", "belongs to the whole machine"},
        {"sysctls", "{'net.core/../../kernel/panic': '1'}", "belongs to the whole machine"},
        {"sysctls", "{'net.core.somaxconn': '1\\n2'}", "more than one line"},
        {"restart-policy", "''", NULL},
        {"restart-policy", "'unless-stopped'", NULL},
        {"restart-policy", "'Always'", "is not known"},
        {"restart-sec-usec", "uint64 18446744073709551615", NULL},
        {"restart-sec-usec", "uint64 0", "are too few"},
        {"start-timeout-usec", "uint64 1000", NULL},
        {"start-timeout-usec", "uint64 999", "are too few"},
        {"stop-signal", "1", NULL},
        {"stop-signal", "-1", "is no signal"},
        {"log-size-max", "uint64 4096", NULL},
        {"log-size-max", "uint64 4095", "is out of range"},
        {"log-max-files", "uint32 2", NULL},
        {"log-max-files", "uint32 1", "is out of range"},
        {"log-max-files", "uint32 1001", "is out of range"},
        {"oci-spec-patch", "'{\"a\": null}'", NULL},
        {"no-such-rule", "'anything'", NULL},
};

static void test_every_edge(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(GVariant) value = g_variant_parse(NULL, table[i][1], NULL, NULL, &error);

                g_assert_no_error(error);
                if (config_value_check(table[i][0], value, &error) != !table[i][2])
                        g_error("%s = %s: %s", table[i][0], table[i][1], error ? error->message : "passed");
                if (!table[i][2])
                        continue;
                g_autofree char *named = g_strdup_printf("configuration key \"%s\"", table[i][0]);
                g_assert_nonnull(strstr(error->message, named));
                testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, table[i][2]);
        }
}

static GVariant *n_ranges(unsigned n) {
        GVariantBuilder builder;

        g_variant_builder_init(&builder, G_VARIANT_TYPE("a(uuu)"));
        for (unsigned i = 0; i < n; i++)
                g_variant_builder_add(&builder, "(uuu)", i, i, 1);
        return g_variant_ref_sink(g_variant_builder_end(&builder));
}

static void test_an_id_map_has_at_most_what_the_kernel_takes(void) {
        g_autoptr(GVariant) most = n_ranges(340), more = n_ranges(341);
        g_autoptr(GError) error = NULL;

        g_assert_true(config_value_check("gid-map", most, NULL));
        g_assert_false(config_value_check("gid-map", more, &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, "341 ranges");
}

static void test_a_key_is_checked_for_its_use(void) {
        static const ConfigKey known[] = {{"a", "s", CONFIG_KEY_CREATE}, {"b", "i", CONFIG_KEY_CREATE | CONFIG_KEY_UPDATE}, {NULL, NULL, 0}};
        g_autoptr(GVariant) both = testing_parse("{'a': <'x'>, 'b': <1>, 'x-c': <true>}"), wrong = testing_parse("{'b': <'x'>}"), other = testing_parse("{'c': <1>}");
        g_autoptr(GError) error = NULL;

        g_assert_true(config_value_check_keys(both, known, "", CONFIG_KEY_CREATE, NULL));
        g_assert_false(config_value_check_keys(both, known, "", CONFIG_KEY_UPDATE, &error));
        testing_expect_error(&error, CONBUS_ERROR_UNKNOWN_OPTION, "\"a\" cannot be changed after the creation");
        g_assert_false(config_value_check_keys(wrong, known, "group", CONFIG_KEY_UPDATE, &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, "\"group/b\": its type is s; it takes i");
        g_assert_false(config_value_check_keys(other, known, "", CONFIG_KEY_BUNDLE, &error));
        testing_expect_error(&error, CONBUS_ERROR_UNKNOWN_OPTION, "\"c\" is not known here");
}

static void test_a_key_given_twice_is_refused_even_if_foreign(void) {
        static const ConfigKey known[] = {{NULL, NULL, 0}};
        g_autoptr(GVariant) twice = testing_parse("{'x-a': <1>, 'x-a': <2>}");
        g_autoptr(GError) error = NULL;

        g_assert_false(config_value_check_keys(twice, known, "", CONFIG_KEY_CREATE, &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, "\"x-a\": it is given twice");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/config-value/every-edge", test_every_edge);
        g_test_add_func("/config-value/an-id-map-has-at-most-what-the-kernel-takes", test_an_id_map_has_at_most_what_the_kernel_takes);
        g_test_add_func("/config-value/a-key-is-checked-for-its-use", test_a_key_is_checked_for_its_use);
        g_test_add_func("/config-value/a-key-given-twice-is-refused-even-if-foreign", test_a_key_given_twice_is_refused_even_if_foreign);
        return g_test_run();
}
