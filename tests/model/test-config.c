/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Configurations are written here as GVariant text. What is refused is refused with the right name and a sentence that names the key. */

#include "model/config.h"
#include "conbus-config-keys.h"

static GVariant *parse(const char *text) {
        g_autoptr(GError) error = NULL;
        GVariant *config = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, &error);

        g_assert_no_error(error);
        return config;
}

static void assert_good(const char *text) {
        g_autoptr(GVariant) config = parse(text);
        g_autoptr(GError) error = NULL;
        bool good = config_check(config, CONFIG_CREATE, &error);

        g_assert_no_error(error);
        g_assert_true(good);
}

static void assert_refused(const char *text, ConfigUse use, ConbusError code, const char *part) {
        g_autoptr(GVariant) config = parse(text);
        g_autoptr(GError) error = NULL;

        if (config_check(config, use, &error))
                g_error("%s passed", text);
        if (!g_error_matches(error, CONBUS_ERROR, code) || !strstr(error->message, part))
                g_error("%s: \"%s\" has code %d and lacks \"%s\"", text, error->message, error->code, part);
}

static const char *const good[] = {
        "@a{sv} {}",
        "{'rootfs': <'/srv/root'>, 'rootfs-mode': <'direct'>, 'command': <['sh', '-c', '']>, 'entrypoint': <@as []>}",
        "{'env': <['A=', 'B=c=d']>, 'unset-env': <['PATH']>, 'user': <'www-data:33'>, 'cwd': <'/a b'>, 'hostname': <'a-1.example'>}",
        "{'user': <'4294967294'>}",
        "{'labels': <{'a': ''}>, 'annotations': <@a{ss} {}>, 'x-anything': <(1, 'b')>}",
        "{'mounts': <[{'target': <'/a'>, 'source': <'/b'>, 'options': <['ro']>}, {'target': <'/c'>, 'type': <'tmpfs'>}]>}",
        "{'mounts': <[{'target': <'/a'>, 'source-fd': <handle 3>, 'options': <['ro']>}]>}",
        "{'secrets': <[{'name': <'a'>, 'value-fd': <handle 0>}, {'name': <'a'>, 'target': <'b'>, 'value-fd': <handle 1>}]>}",
        "{'volumes': <['a:/x:ro', '/y']>, 'mounts': <[{'target': <'/z'>, 'type': <'tmpfs'>}]>}",
        "{'devices': <['/dev/null', '/dev/null:/dev/x', '/dev/null:/dev/x:rw', '/dev/null:r']>}",
        "{'network': <'container:abc'>}",
        "{'netns-fd': <handle 0>, 'sysctls': <{'net.core.somaxconn': '5'}>}",
        "{'network': <'ns:/run/netns/a'>}",
        "{'cap-add': <['ALL', 'CAP_NET_ADMIN']>, 'cap-drop': <['CAP_CHOWN']>, 'seccomp': <'/etc/profile.json'>, 'no-new-privileges': <true>}",
        "{'userns': <''>, 'uid-map': <[(uint32 0, uint32 1000, uint32 10), (10, 2000, 10)]>, 'gid-map': <[(uint32 0, uint32 1000, uint32 10)]>}",
        "{'pids': <uint64 0>, 'memory': <uint64 8388608>, 'memory-high': <uint64 8388608>, 'cpu-quota-usec': <uint64 1000>, 'cpu-weight': <uint64 10000>}",
        "{'resources': <'{\"pids\":{\"limit\":5}}'>, 'oci-spec-patch': <'{}'>}",
        "{'ulimits': <[('nofile', uint64 1, uint64 1), ('RLIMIT_CORE', 0, 18446744073709551615)]>, 'sysctls': <{'net.core.somaxconn': '5', 'kernel.sem': '1 2 3 4'}>}",
        "{'restart-policy': <'on-failure'>, 'restart-max': <uint32 5>, 'restart-sec-usec': <uint64 1000>, 'start-timeout-usec': <uint64 0>}",
        "{'restart-policy': <'always'>, 'restart-max': <uint32 0>}",
        "{'stop-signal': <64>, 'stop-timeout-usec': <uint64 0>, 'log-driver': <'journald'>, 'log-size-max': <uint64 0>, 'depends': <['a']>, 'runtime': <'crun'>}",
        "{'health': <{'disable': <true>}>}",
        "{'health': <{'test': <@as []>}>}",
        "{'health': <{'test': <['NONE']>}>}",
        "{'notify': <'healthy'>, 'health': <{'test': <['CMD', 'true', '']>, 'interval-usec': <uint64 0>, 'timeout-usec': <uint64 1000000>, 'start-period-usec': <uint64 0>, 'retries': <uint32 1>, "
        "'on-failure': <'kill'>, 'log-count': <uint32 0>, 'log-size': <uint32 0>, 'log-destination': <'/var/log'>}>}",
        "{'health': <{'test': <['CMD-SHELL', 'exit 0']>, 'startup-test': <['/bin/true']>, 'startup-interval-usec': <uint64 1000>, 'startup-timeout-usec': <uint64 1000000>, "
        "'startup-retries': <uint32 0>, 'startup-successes': <uint32 1>, 'log-destination': <'events'>}>}",
};

/* {configuration, part of the sentence} */
static const char *const bad[][2] = {
        { "{'rootfs': <'a'>}", "\"rootfs\": \"a\" is not an absolute path" },
        { "{'rootfs': <'/a/../b'>}", "goes through .." },
        { "{'rootfs': <1>}", "\"rootfs\": its type is i; it takes s" },
        { "{'rootfs': <'/a'>, 'rootfs': <'/b'>}", "\"rootfs\": it is given twice" },
        { "{'rootfs-mode': <'copy'>}", "give one of overlay, direct, read-only" },
        { "{'env': <['A']>}", "\"A\" is no variable" },
        { "{'env': <['=a']>}", "give NAME=VALUE" },
        { "{'unset-env': <['A=b']>}", "\"unset-env\"" },
        { "{'unset-env': <['']>}", "\"unset-env\"" },
        { "{'user': <''>}", "\"user\": \"\" is no account" },
        { "{'user': <'a:'>}", "\"a:\" is no account" },
        { "{'user': <'a:b:c'>}", "is no account" },
        { "{'user': <'4294967295'>}", "up to 4294967294" },
        { "{'user': <'-1'>}", "is no account" },
        { "{'cwd': <'tmp'>}", "\"cwd\"" },
        { "{'hostname': <''>}", "\"hostname\"" },
        { "{'hostname': <'-a'>}", "\"hostname\"" },
        { "{'hostname': <'a..b'>}", "\"hostname\"" },
        { "{'hostname': <'a_b'>}", "\"hostname\"" },
        { "{'hostname': <'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'>}", "1 to 64" },
        { "{'labels': <{'': 'a'}>}", "\"labels\"" },
        { "{'annotations': <{'': 'a'}>}", "\"annotations\"" },
        { "{'mounts': <[{'source': <'/a'>}]>}", "has no target" },
        { "{'mounts': <[{'target': <'a'>, 'source': <'/a'>}]>}", "not an absolute path" },
        { "{'mounts': <[{'target': <'/.'>, 'source': <'/a'>}]>}", "nothing can be mounted over the root" },
        { "{'mounts': <[{'target': <'//'>, 'source': <'/a'>}]>}", "nothing can be mounted over the root" },
        { "{'mounts': <[{'target': <'/a'>}]>}", "a mount of type bind has no source" },
        { "{'mounts': <[{'target': <'/a'>, 'source': <'b'>}]>}", "\"b\" is not an absolute path" },
        { "{'mounts': <[{'target': <'/a'>, 'type': <'nfs'>}]>}", "\"nfs\" is not known" },
        { "{'mounts': <[{'target': <'/a'>, 'type': <'tmpfs'>}, {'target': <'/a/'>, 'type': <'tmpfs'>}]>}", "two mounts have the target" },
        { "{'mounts': <[{'target': <'/a'>, 'type': <'tmpfs'>}, {'target': <'//a'>, 'type': <'tmpfs'>}]>}", "two mounts have the target" },
        { "{'mounts': <[{'target': <'/a'>, 'type': <'tmpfs'>, 'options': <['ro,size=1']>}]>}", "\"ro,size=1\" is no mount option" },
        { "{'mounts': <[{'target': <1>}]>}", "\"mounts/target\": its type is i" },
        { "{'devices': <['null']>}", "\"devices\"" },
        { "{'devices': <['/dev/null:/dev/a:rx']>}", "\"rx\" is no access" },
        { "{'devices': <['/dev/null:/dev/a:']>}", "is no access" },
        { "{'devices': <['/a:/b:r:w']>}", "is no device" },
        { "{'network': <'bridge'>}", "give none, host, private" },
        { "{'network': <'container:'>}", "\"container:\" is not known" },
        { "{'mounts': <[{'target': <'/a'>, 'source': <'/b'>, 'source-fd': <handle 0>}]>}", "give one of them" },
        { "{'mounts': <[{'target': <'/a'>, 'type': <'tmpfs'>, 'source-fd': <handle 0>}]>}", "not tmpfs" },
        { "{'mounts': <[{'target': <'/a'>, 'source-fd': <'/b'>}]>}", "\"mounts/source-fd\": its type is s; it takes h" },
        { "{'netns-fd': <handle 0>, 'network': <'private'>}", "give one of them" },
        { "{'netns-fd': <'/a'>}", "\"netns-fd\": its type is s; it takes h" },
        { "{'secrets': <[{'name': <'a'>}]>}", "\"secrets/value-fd\"" },
        { "{'secrets': <[{'name': <'a'>, 'value-fd': <handle 0>}]>, 'mounts': <[{'target': <'/run/secrets/a/'>, 'source': <'/b'>}]>}", "has the target \"/run/secrets/a\" already" },
        { "{'secrets': <[{'name': <'a'>, 'value-fd': <handle 0>, 'uid': <uint32 5>}]>, 'uid-map': <[(uint32 0, uint32 9, uint32 5)]>, 'gid-map': <[(uint32 0, uint32 9, uint32 5)]>}", "do not map 5 and 0" },
        { "{'credentials': <['a/b']>}", "\"credentials\": \"a/b\" cannot be" },
        { "{'credentials': <['a']>, 'mounts': <[{'target': <'/run/host/credentials'>, 'source': <'/b'>}]>}", "\"credentials\": something else has the target" },
        { "{'volumes': <['a']>}", "\"volumes\": \"a\" is no volume" },
        { "{'volumes': <['a:/x', '/x/']>}", "something else has the target \"/x\"" },
        { "{'volumes': <['a:/x']>, 'mounts': <[{'target': <'/x'>, 'source': <'/b'>}]>}", "\"volumes\": something else has the target" },
        { "{'network': <'ns:a'>}", "\"a\" is not an absolute path" },
        { "{'cap-add': <['NET_ADMIN']>}", "\"cap-add\": \"NET_ADMIN\" is no capability" },
        { "{'cap-drop': <['CAP_X']>}", "\"cap-drop\"" },
        { "{'seccomp': <'none'>}", "give default, unconfined" },
        { "{'userns': <'auto'>}", "\"userns\"" },
        { "{'uid-map': <[(uint32 0, uint32 1, uint32 1)]>}", "come together" },
        { "{'uid-map': <[(uint32 0, uint32 1, uint32 0)]>, 'gid-map': <[(uint32 0, uint32 1, uint32 1)]>}", "\"uid-map\": the range (0, 1, 0) is empty" },
        { "{'uid-map': <[(uint32 0, uint32 4294967295, uint32 1)]>, 'gid-map': <[(uint32 0, uint32 1, uint32 1)]>}", "passes the last id" },
        { "{'uid-map': <[(uint32 0, uint32 1, uint32 5), (4, 100, 1)]>, 'gid-map': <[(uint32 0, uint32 1, uint32 1)]>}", "overlaps" },
        { "{'uid-map': <@a(uuu) []>, 'gid-map': <@a(uuu) []>}", "give 1 to 340" },
        { "{'uid-map': <[(uint32 1, uint32 1, uint32 1)]>, 'gid-map': <[(uint32 0, uint32 1, uint32 1)]>}", "\"uid-map\": the ranges do not map 0" },
        { "{'uid-map': <[(uint32 0, uint32 1, uint32 1)]>, 'gid-map': <[(uint32 5, uint32 1, uint32 1)]>}", "\"gid-map\": the ranges do not map 0" },
        { "{'userns': <'host'>, 'uid-map': <[(uint32 0, uint32 1, uint32 1)]>, 'gid-map': <[(uint32 0, uint32 1, uint32 1)]>}", "host has no uid-map" },
        { "{'pids': <uint64 4194305>}", "give 0 to 4194304" },
        { "{'memory': <uint64 1>}", "\"memory\": 1 is out of range" },
        { "{'memory': <uint64 2097152>, 'memory-high': <uint64 2097153>}", "\"memory-high\"" },
        { "{'cpu-quota-usec': <uint64 999>}", "\"cpu-quota-usec\"" },
        { "{'cpu-weight': <uint64 0>}", "give 1 to 10000" },
        { "{'cpu-weight': <uint64 10001>}", "give 1 to 10000" },
        { "{'resources': <'{'>}", "\"resources\": it is not JSON" },
        { "{'resources': <''>}", "\"resources\"" },
        { "{'oci-spec-patch': <'[]'>}", "it is not a JSON object" },
        { "{'ulimits': <[('files', uint64 1, uint64 1)]>}", "\"files\" is no resource limit" },
        { "{'ulimits': <[('nofile', uint64 2, uint64 1)]>}", "above the hard one" },
        { "{'ulimits': <[('nofile', uint64 1, uint64 1), ('RLIMIT_NOFILE', 1, 1)]>}", "given twice" },
        { "{'sysctls': <{'kernel.panic': '1'}>}", "belongs to the whole machine" },
        { "{'sysctls': <{'net.': '1'}>}", "belongs to the whole machine" },
        { "{'sysctls': <{'kernel.sem': ''}>}", "the value of \"kernel.sem\"" },
        { "{'network': <'host'>, 'sysctls': <{'net.core.somaxconn': '1'}>}", "would change the host" },
        { "{'restart-policy': <'sometimes'>}", "\"restart-policy\"" },
        { "{'restart-policy': <'always'>, 'restart-max': <uint32 1>}", "\"restart-max\"" },
        { "{'restart-max': <uint32 1>}", "not with \"no\"" },
        { "{'restart-sec-usec': <uint64 999>}", "give at least 1000" },
        { "{'start-timeout-usec': <uint64 1>}", "\"start-timeout-usec\"" },
        { "{'stop-signal': <0>}", "give a number from 1 to 64" },
        { "{'stop-signal': <65>}", "65 is no signal" },
        { "{'notify': <'soon'>}", "give one of started, ready, healthy" },
        { "{'notify': <'healthy'>}", "needs a health check" },
        { "{'notify': <'healthy'>, 'health': <{'disable': <true>}>}", "needs a health check" },
        { "{'notify': <'healthy'>, 'health': <{'startup-test': <['a']>}>}", "give test as well" },
        { "{'log-driver': <'syslog'>}", "k8s-file, journald, none, passthrough" },
        { "{'log-size-max': <uint64 1>}", "\"log-size-max\"" },
        { "{'depends': <['']>}", "\"depends\"" },
        { "{'runtime': <'runc'>}", "give one of crun" },
        { "{'health': <{'test': <['']>}>}", "\"health/test\"" },
        { "{'health': <{'test': <['CMD']>}>}", "CMD takes a program" },
        { "{'health': <{'test': <['CMD', '']>}>}", "CMD takes a program" },
        { "{'health': <{'test': <['CMD-SHELL', '']>}>}", "CMD-SHELL takes exactly one" },
        { "{'health': <{'test': <['CMD-SHELL', 'a', 'b']>}>}", "CMD-SHELL takes exactly one" },
        { "{'health': <{'test': <['NONE', 'a']>}>}", "NONE turns the check off" },
        { "{'health': <{'disable': <true>, 'retries': <uint32 1>}>}", "excludes every other key" },
        { "{'health': <{'test': <['a']>, 'interval-usec': <uint64 999>}>}", "\"health/interval-usec\"" },
        { "{'health': <{'test': <['a']>, 'timeout-usec': <uint64 999999>}>}", "give at least 1000000" },
        { "{'health': <{'test': <['a']>, 'retries': <uint32 0>}>}", "\"health/retries\"" },
        { "{'health': <{'test': <['a']>, 'on-failure': <'panic'>}>}", "give one of none, kill, restart, stop" },
        { "{'health': <{'test': <['a']>, 'log-destination': <'file'>}>}", "\"health/log-destination\"" },
        { "{'health': <{'test': <['a']>, 'log-destination': <'/a/../b'>}>}", "goes through .." },
        { "{'health': <{'test': <['a']>, 'startup-retries': <uint32 1>}>}", "give startup-test as well" },
        { "{'health': <{'startup-test': <['a']>, 'startup-interval-usec': <uint64 0>}>}", "\"health/startup-interval-usec\"" },
        { "{'health': <{'startup-test': <['a']>, 'startup-timeout-usec': <uint64 1>}>}", "\"health/startup-timeout-usec\"" },
        { "{'health': <{'startup-test': <['CMD']>}>}", "\"health/startup-test\"" },
        { "{'health': <{'retries': <uint32 1>}>}", "give test as well" },
        { "{'health': <{'retries': <1>}>}", "\"health/retries\": its type is i; it takes u" },
};

static void test_good_values_pass(void) {
        for (unsigned i = 0; i < G_N_ELEMENTS(good); i++)
                assert_good(good[i]);
}

static void test_bad_values_are_refused(void) {
        for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
                assert_refused(bad[i][0], CONFIG_CREATE, CONBUS_ERROR_INVALID_CONFIG, bad[i][1]);
}

static void test_unknown_keys_are_named(void) {
        assert_refused("{'networks': <['a']>}", CONFIG_CREATE, CONBUS_ERROR_UNKNOWN_OPTION, "\"networks\" is not known");
        assert_refused("{'health': <{'tests': <['a']>}>}", CONFIG_CREATE, CONBUS_ERROR_UNKNOWN_OPTION, "\"health/tests\"");
        assert_refused("{'mounts': <[{'target': <'/a'>, 'x': <'/b'>}]>}", CONFIG_CREATE, CONBUS_ERROR_UNKNOWN_OPTION, "\"mounts/x\"");
}

static void test_uses_are_kept_apart(void) {
        assert_refused("{'command': <['a']>}", CONFIG_BUNDLE, CONBUS_ERROR_UNKNOWN_OPTION, "\"command\" is not taken with a bundle");
        assert_refused("{'rootfs': <'/a'>}", CONFIG_BUNDLE, CONBUS_ERROR_UNKNOWN_OPTION, "\"rootfs\"");
        assert_refused("{'user': <'a'>}", CONFIG_UPDATE, CONBUS_ERROR_UNKNOWN_OPTION, "\"user\" cannot be changed");
        assert_refused("{'health': <{'test': <['']>}>}", CONFIG_BUNDLE, CONBUS_ERROR_INVALID_CONFIG, "\"health/test\"");
}

/* Each key is refused for each use its line does not have, and taken for the others as far as its type goes. */
static void test_every_key_has_its_uses(void) {
        for (const ConfigKey *key = conbus_config_keys; key->name; key++)
                for (ConfigUse use = CONFIG_CREATE; use <= CONFIG_UPDATE; use++) {
                        int expected = (key->uses & (1 << use)) ? CONBUS_ERROR_INVALID_CONFIG : CONBUS_ERROR_UNKNOWN_OPTION;
                        g_autoptr(GError) error = NULL;
                        GVariantDict dict;

                        g_variant_dict_init(&dict, NULL);
                        g_variant_dict_insert(&dict, key->name, "d", 1.0);
                        g_autoptr(GVariant) config = g_variant_ref_sink(g_variant_dict_end(&dict));
                        g_assert_false(config_check(config, use, &error));
                        g_assert_error(error, CONBUS_ERROR, expected);
                        g_assert_nonnull(strstr(error->message, key->name));
                }
}

/* An update may set what only makes sense with what is there already. */
static void test_update_alone_may_be_partial(void) {
        g_autoptr(GVariant) config = parse("{'restart-max': <uint32 3>, 'health': <{'retries': <uint32 2>}>}");
        g_autoptr(GError) error = NULL;

        g_assert_true(config_check(config, CONFIG_UPDATE, &error));
        g_assert_no_error(error);
}

static void test_completeness(void) {
        static const char *const incomplete[][2] = {
                { "{'command': <['a']>}", "\"rootfs\": it is missing" },
                { "{'rootfs': <'/a'>}", "there is no command" },
                { "{'rootfs': <'/a'>, 'command': <@as []>, 'entrypoint': <@as []>}", "there is no command" },
                { "{'rootfs': <'/a'>, 'command': <['']>}", "\"command\": the program is an empty text" },
                { "{'rootfs': <'/a'>, 'command': <['a']>, 'entrypoint': <['']>}", "\"entrypoint\": the program" },
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(incomplete); i++) {
                g_autoptr(GVariant) config = parse(incomplete[i][0]);
                g_autoptr(GError) error = NULL;

                g_assert_false(config_check_complete(config, &error));
                g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INVALID_CONFIG);
                g_assert_nonnull(strstr(error->message, incomplete[i][1]));
        }
        g_autoptr(GVariant) command = parse("{'rootfs': <'/a'>, 'command': <['a']>}");
        g_autoptr(GVariant) entrypoint = parse("{'rootfs': <'/a'>, 'entrypoint': <['a']>}");
        g_assert_true(config_check_complete(command, NULL));
        g_assert_true(config_check_complete(entrypoint, NULL));
}

static void test_names(void) {
        g_autofree char *longest = g_strnfill(255, 'a'), *too_long = g_strnfill(256, 'a'), *hex = g_strnfill(64, 'a'), *no_hex = g_strnfill(64, 'g');
        const char *const fine[] = { "a", "0", "web-1_a.b", "A", longest, no_hex, "selfie", NULL };
        const char *const refused[] = { "", "-a", ".a", "_a", "a b", "a/b", "ä", "a\n", "self", hex, too_long, NULL };

        for (unsigned i = 0; fine[i]; i++)
                g_assert_true(config_check_name(fine[i], NULL));
        for (unsigned i = 0; refused[i]; i++) {
                g_autoptr(GError) error = NULL;

                g_assert_false(config_check_name(refused[i], &error));
                g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INVALID_NAME);
        }
}

static void assert_merged(const char *old, const char *changes, const char *expected) {
        g_autoptr(GVariant) config = parse(old), change = parse(changes), wanted = parse(expected);
        g_autoptr(GVariant) merged = config_merge(config, change);
        GVariantIter iter;
        const char *key;
        GVariant *child;

        g_assert_cmpuint(g_variant_n_children(merged), ==, g_variant_n_children(wanted));
        g_variant_iter_init(&iter, wanted);
        while (g_variant_iter_next(&iter, "{&sv}", &key, &child)) {
                g_autoptr(GVariant) value = child, found = config_value(merged, key);

                g_autofree char *found_text = g_variant_print(found, TRUE), *value_text = g_variant_print(value, TRUE);

                g_assert_nonnull(found);
                if (!g_str_equal(key, "health"))
                        g_assert_cmpvariant(found, value);
                else
                        assert_merged(found_text, "@a{sv} {}", value_text);
        }
}

static void test_merge(void) {
        assert_merged("{'memory': <uint64 1>, 'labels': <{'a': 'b'}>}", "{'labels': <{'c': 'd'}>}", "{'memory': <uint64 1>, 'labels': <{'c': 'd'}>}");
        assert_merged("{'restart-policy': <'on-failure'>, 'restart-max': <uint32 3>}", "{'restart-policy': <'always'>}", "{'restart-policy': <'always'>}");
        assert_merged("{'restart-policy': <'on-failure'>}", "{'restart-max': <uint32 3>}", "{'restart-policy': <'on-failure'>, 'restart-max': <uint32 3>}");
        assert_merged("{'health': <{'test': <['a']>, 'retries': <uint32 1>}>}", "{'health': <{'retries': <uint32 2>}>}", "{'health': <{'test': <['a']>, 'retries': <uint32 2>}>}");
        assert_merged("{'health': <{'test': <['a']>}>}", "{'health': <{'disable': <true>}>}", "{'health': <{'disable': <true>}>}");
        assert_merged("{'health': <{'disable': <true>}>}", "{'health': <{'test': <['a']>}>}", "{'health': <{'test': <['a']>}>}");
}

static void test_accessors(void) {
        g_autoptr(GVariant) config = parse("{'rootfs': <'/a'>, 'terminal': <true>, 'pids': <uint64 5>, 'restart-max': <uint32 6>, 'stop-signal': <-7>, 'command': <['a', 'b']>}");
        g_autofree const char **command = config_strv(config, "command");

        g_assert_cmpstr(config_string(config, "rootfs", "x"), ==, "/a");
        g_assert_cmpstr(config_string(config, "user", "x"), ==, "x");
        g_assert_true(config_bool(config, "terminal", false));
        g_assert_true(config_bool(config, "stdin-open", true));
        g_assert_cmpuint(config_uint64(config, "pids", 1), ==, 5);
        g_assert_cmpuint(config_uint64(config, "memory", 1), ==, 1);
        g_assert_cmpuint(config_uint32(config, "restart-max", 1), ==, 6);
        g_assert_cmpint(config_int32(config, "stop-signal", 1), ==, -7);
        g_assert_cmpuint(g_strv_length((char **) command), ==, 2);
        g_assert_cmpstr(command[1], ==, "b");
        g_assert_null(config_strv(config, "env"));
        g_assert_null(config_value(config, "env"));
}

static void test_options(void) {
        static const OptionKey known[] = { { "force", "b" }, { "time-usec", "t" }, { NULL, NULL } };
        g_autoptr(GVariant) fine = parse("{'force': <true>, 'reply-timeout-usec': <uint64 1>, 'x-mine': <'a'>}");
        g_autoptr(GVariant) unknown = parse("{'farce': <true>}"), wrong = parse("{'force': <1>}"), common = parse("{'reply-timeout-usec': <1>}");
        g_autoptr(GError) error = NULL;

        g_assert_true(options_check(fine, known, &error));
        g_assert_no_error(error);
        g_assert_false(options_check(unknown, known, &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_UNKNOWN_OPTION);
        g_assert_nonnull(strstr(error->message, "farce"));
        g_clear_error(&error);
        g_assert_false(options_check(wrong, known, &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INVALID_ARGS);
        g_clear_error(&error);
        g_assert_false(options_check(common, known, &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INVALID_ARGS);
}

static void test_ids_on_the_host(void) {
        g_autoptr(GVariant) plain = parse("@a{sv} {}"), mapped = parse("{'uid-map': <[(uint32 0, uint32 1000, uint32 10)]>, 'gid-map': <[(uint32 0, uint32 2000, uint32 5)]>}");
        guint32 uid = 9, gid = 9;

        g_assert_true(config_find_host_ids(plain, 3, 4, &uid, &gid));
        g_assert_cmpuint(uid, ==, 3);
        g_assert_cmpuint(gid, ==, 4);
        g_assert_true(config_find_host_ids(mapped, 3, 4, &uid, &gid));
        g_assert_cmpuint(uid, ==, 1003);
        g_assert_cmpuint(gid, ==, 2004);
        g_assert_false(config_find_host_ids(mapped, 10, 4, &uid, &gid));
        g_assert_false(config_find_host_ids(mapped, 3, 5, &uid, &gid));
}

static void test_text_keeps_types(void) {
        for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
                g_autoptr(GVariant) config = parse(good[i]);
                g_autofree char *text = config_to_text(config);
                g_autoptr(GError) error = NULL;
                g_autoptr(GVariant) again = config_from_text(text, &error);

                g_assert_no_error(error);
                g_assert_cmpvariant(config, again);
        }
}

static void test_bad_text_is_corrupt(void) {
        static const char *const texts[] = { "", "{", "[1]", "'a'", "{'a': 'b'}", "{'a': <1>} x", NULL };

        for (unsigned i = 0; texts[i]; i++) {
                g_autoptr(GError) error = NULL;

                g_assert_null(config_from_text(texts[i], &error));
                g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_STORAGE_CORRUPT);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/config/good-values-pass", test_good_values_pass);
        g_test_add_func("/config/bad-values-are-refused", test_bad_values_are_refused);
        g_test_add_func("/config/ids-on-the-host", test_ids_on_the_host);
        g_test_add_func("/config/unknown-keys-are-named", test_unknown_keys_are_named);
        g_test_add_func("/config/uses-are-kept-apart", test_uses_are_kept_apart);
        g_test_add_func("/config/every-key-has-its-uses", test_every_key_has_its_uses);
        g_test_add_func("/config/update-alone-may-be-partial", test_update_alone_may_be_partial);
        g_test_add_func("/config/completeness", test_completeness);
        g_test_add_func("/config/names", test_names);
        g_test_add_func("/config/merge", test_merge);
        g_test_add_func("/config/accessors", test_accessors);
        g_test_add_func("/config/options", test_options);
        g_test_add_func("/config/text-keeps-types", test_text_keeps_types);
        g_test_add_func("/config/bad-text-is-corrupt", test_bad_text_is_corrupt);
        return g_test_run();
}
