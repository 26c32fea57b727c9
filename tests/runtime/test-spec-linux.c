/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The object "linux" alone: each key against the JSON that it becomes, at its limits, and what cannot be had. */

#include "base/log.h"
#include "runtime/cgroup.h"
#include "runtime/seccomp.h"
#include "spec-part.h"
#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static char *directory;

static void expect(const char *keys, const char *path, const char *json) {
        g_auto(Part) part = {0};

        part_init(&part, directory, keys);
        part_write(&part, spec_linux_add);
        assert_json(part.build.os, path, json);
}

static void expect_refused(const char *keys, ConbusError code, const char *words) {
        g_auto(Part) part = {0};

        part_init(&part, directory, keys);
        part_refuse(&part, spec_linux_add, code, words);
}

#define ALONE "{\"type\":\"pid\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"},{\"type\":\"cgroup\"}"

static void test_namespaces(void) {
        static const char *const table[][2] = {
                {"", "[" ALONE ",{\"type\":\"network\"}]"},
                {"'network': <'private'>", "[" ALONE ",{\"type\":\"network\"}]"},
                {"'network': <'none'>", "[" ALONE ",{\"type\":\"network\"}]"},
                {"'network': <'host'>", "[" ALONE "]"},
                {"'network': <'ns:/proc/self/ns/net'>", "[" ALONE ",{\"type\":\"network\",\"path\":\"/proc/self/ns/net\"}]"},
                {"'network': <'host'>, 'uid-map': <[(uint32 0, uint32 9, uint32 1)]>, 'gid-map': <[(uint32 0, uint32 9, uint32 1)]>", "[" ALONE ",{\"type\":\"user\"}]"},
                {"'privileged': <true>", "[" ALONE ",{\"type\":\"network\"}]"},
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(table); i++)
                expect(table[i][0], "namespaces", table[i][1]);
        expect_refused("'network': <'ns:/nonexistent/net'>", CONBUS_ERROR_NO_SUCH_PATH, "join the network namespace /nonexistent/net: it does not exist");
        expect_refused("'network': <'container:db'>", CONBUS_ERROR_INVALID_CONFIG, "the network of db cannot be joined, since it does not run");
}

static void test_what_the_input_joins_takes_the_place_of_new_ones(void) {
        static const char *const types[] = {"pid", "ipc", "uts", "mount", "cgroup", "network", "user", "time"}; /* as many as there is room for */
        g_auto(Part) part = {0};

        part_init(&part, directory, "'network': <'container:db'>");
        for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
                part.input.namespaces[i][0] = types[i];
                part.input.namespaces[i][1] = "/proc/self/ns/net";
        }
        G_STATIC_ASSERT(G_N_ELEMENTS(types) == G_N_ELEMENTS(part.input.namespaces));
        part_write(&part, spec_linux_add);
        g_assert_cmpuint(json_array_get_length(document_find_array(part.build.os, "namespaces")), ==, G_N_ELEMENTS(types));
        for (unsigned i = 0; i < G_N_ELEMENTS(types); i++)
                g_assert_cmpstr(document_find_string(find_entry(part.build.os, "namespaces", "type", types[i]), "path"), ==, "/proc/self/ns/net");
}

/* A bundle may hold anything. */
static void test_odd_namespaces_of_a_bundle(void) {
        static const char *const table[][2] = {
                {"{}", "[{\"type\":\"network\",\"path\":\"/new\"}]"},
                {"{\"namespaces\":7}", "[{\"type\":\"network\",\"path\":\"/new\"}]"},
                {"{\"namespaces\":[null,7,\"network\",[],{},{\"type\":7}]}", "[null,7,\"network\",[],{},{\"type\":7},{\"type\":\"network\",\"path\":\"/new\"}]"},
                {"{\"namespaces\":[{\"type\":\"network\",\"path\":\"/old\"},{\"type\":\"network\"}]}", "[{\"type\":\"network\",\"path\":\"/new\"},{\"type\":\"network\"}]"},
        };
        const SpecInput none = {0}, input = {.namespaces = {{"network", "/new"}}};

        for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(JsonObject) os = document_parse(table[i][0], -1, "test", CONBUS_ERROR_INTERNAL, NULL);
                g_autofree char *before = document_print(os);
                spec_linux_join(os, &none);
                g_autofree char *after = document_print(os);
                g_assert_cmpstr(after, ==, before);
                g_assert_true(spec_linux_has_namespace(os, "network") == (i == 3));
                spec_linux_join(os, &input);
                assert_json(os, "namespaces", table[i][1]);
                g_assert_true(spec_linux_has_namespace(os, "network"));
        }
}

#define NONE "{\"allow\":false,\"access\":\"rwm\"}"
#define NULL_RULE(access) "{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":3,\"access\":\"" access "\"}"

static void test_devices(void) {
        static const struct {
                const char *text, *path, *rules;
        } table[] = {
                {"/dev/null", "/dev/null", "[" NONE "," NULL_RULE("rwm") "]"},
                {"/dev/null:r", "/dev/null", "[" NONE "," NULL_RULE("r") "]"},
                {"/dev/null:/dev/hole", "/dev/hole", "[" NONE "," NULL_RULE("rwm") "]"},
                {"/dev/null:/dev/hole:wm", "/dev/hole", "[" NONE "," NULL_RULE("wm") "]"},
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *keys = g_strdup_printf("'devices': <['%s']>", table[i].text), *device = NULL;
                struct stat st;
                g_assert_no_errno(stat("/dev/null", &st));
                device = g_strdup_printf("[{\"path\":\"%s\",\"type\":\"c\",\"major\":1,\"minor\":3,\"fileMode\":%u,\"uid\":%u,\"gid\":%u}]", table[i].path, st.st_mode & 07777u, st.st_uid, st.st_gid);
                expect(keys, "devices", device);
                expect(keys, "resources.devices", table[i].rules);
        }
        expect("", "devices", NULL);
        expect("", "resources.devices", "[" NONE "]");
        expect("'privileged': <true>", "resources.devices", "[{\"allow\":true,\"access\":\"rwm\"}]");
}

static void test_what_is_no_device_is_refused(void) {
        g_autofree char *keys = g_strdup_printf("'devices': <['%s']>", directory);

        expect_refused("'devices': <['/dev/null', '/nonexistent/device']>", CONBUS_ERROR_NO_SUCH_PATH, "add the device /nonexistent/device: it does not exist");
        expect_refused("'devices': <['/etc/passwd']>", CONBUS_ERROR_INVALID_CONFIG, "/etc/passwd is not a device; use mounts for files and directories");
        expect_refused("'devices': <['/dev/null/x']>", CONBUS_ERROR_INTERNAL, "add the device /dev/null/x");
        expect_refused(keys, CONBUS_ERROR_INVALID_CONFIG, "is not a device");
}

static void test_block_device(void) {
        g_autofree char *node = g_build_filename(directory, "block", NULL), *keys = g_strdup_printf("'devices': <['%s:/dev/disk:r']>", node);

        if (mknod(node, S_IFBLK | 0640, makedev(7, 251)) < 0) {
                g_test_skip("device nodes cannot be made here");
                return;
        }
        expect(keys, "devices", "[{\"path\":\"/dev/disk\",\"type\":\"b\",\"major\":7,\"minor\":251,\"fileMode\":416,\"uid\":0,\"gid\":0}]");
        expect(keys, "resources.devices", "[" NONE ",{\"allow\":true,\"type\":\"b\",\"major\":7,\"minor\":251,\"access\":\"r\"}]");
}

static void test_limits(void) {
        static const struct {
                const char *keys, *path, *json;
        } table[] = {
                {"", "resources.pids", "{\"limit\":2048}"},
                {"'pids': <uint64 0>", "resources.pids", NULL},
                {"'pids': <uint64 1>", "resources.pids", "{\"limit\":1}"},
                {"", "resources.memory", NULL},
                {"'memory': <uint64 9223372036854775807>", "resources.memory", "{\"limit\":9223372036854775807}"},
                {"", "resources.cpu", NULL},
                {"'cpu-quota-usec': <uint64 1000>", "resources.cpu", "{\"quota\":1000,\"period\":100000}"},
                {"'cpu-quota-usec': <uint64 819200000>", "resources.cpu", "{\"quota\":819200000,\"period\":100000}"},
                {"", "resources.unified", NULL},
        };
        static const struct {
                const char *keys, *path, *version1, *version2;
        } by_version[] = {
                {"'memory-high': <uint64 9223372036854775807>", "resources.memory", "{\"reservation\":9223372036854775807}", NULL},
                {"'memory-high': <uint64 9223372036854775807>", "resources.unified", NULL, "{\"memory.high\":\"9223372036854775807\"}"},
                {"'cpu-weight': <uint64 1>", "resources.cpu", "{\"shares\":10}", NULL},
                {"'cpu-weight': <uint64 100>", "resources.cpu", "{\"shares\":1024}", NULL},
                {"'cpu-weight': <uint64 10000>", "resources.cpu", "{\"shares\":102400}", NULL},
                {"'cpu-weight': <uint64 10000>", "resources.unified", NULL, "{\"cpu.weight\":\"10000\"}"},
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(table); i++)
                expect(table[i].keys, table[i].path, table[i].json);
        for (unsigned i = 0; i < G_N_ELEMENTS(by_version); i++)
                expect(by_version[i].keys, by_version[i].path, cgroup_is_unified() ? by_version[i].version2 : by_version[i].version1);
}

static void test_resources_are_laid_over_the_limits(void) {
        expect("'resources': <'{\"pids\":null,\"cpu\":{\"cpus\":\"0\"}}'>", "resources", "{\"devices\":[" NONE "],\"cpu\":{\"cpus\":\"0\"}}");
        expect("'resources': <'{\"devices\":[]}'>", "resources.devices", "[]");
        expect("'resources': <'{}'>", "resources", "{\"devices\":[" NONE "],\"pids\":{\"limit\":2048}}");
}

static void test_id_maps(void) {
        const char *keys = "'uid-map': <[(uint32 0, uint32 100000, uint32 10), (10, 4294967285, 10)]>, 'gid-map': <[(uint32 0, uint32 6, uint32 1)]>";

        expect(keys, "uidMappings", "[{\"containerID\":0,\"hostID\":100000,\"size\":10},{\"containerID\":10,\"hostID\":4294967285,\"size\":10}]");
        expect(keys, "gidMappings", "[{\"containerID\":0,\"hostID\":6,\"size\":1}]");
        expect("", "uidMappings", NULL);
        expect("", "gidMappings", NULL);
}

static void test_sysctls(void) {
        expect("", "sysctl", NULL);
        expect("'sysctls': <@a{ss} {}>", "sysctl", NULL);
        expect("'sysctls': <{'net.core.somaxconn': '7', 'kernel.shmmax': '1'}>", "sysctl", "{\"net.core.somaxconn\":\"7\",\"kernel.shmmax\":\"1\"}");
}

static void test_hidden_paths(void) {
        g_auto(Part) part = {0};

        part_init(&part, directory, "");
        part_write(&part, spec_linux_add);
        g_assert_true(contains(part.build.os, "maskedPaths", "/proc/kcore"));
        g_assert_true(contains(part.build.os, "readonlyPaths", "/proc/sys"));
        expect("'privileged': <true>", "maskedPaths", NULL);
        expect("'privileged': <true>", "readonlyPaths", NULL);
}

static void test_seccomp(void) {
        g_autofree char *path = g_build_filename(directory, "profile.json", NULL), *keys = g_strdup_printf("'seccomp': <'%s'>", path);

        expect("'seccomp': <'unconfined'>", "seccomp", NULL);
        expect("'privileged': <true>", "seccomp", NULL);
        expect_refused(keys, CONBUS_ERROR_NO_SUCH_PATH, "profile.json"); /* one that was asked for by name */
        testing_write(directory, "profile.json", "{\"defaultAction\":\"SCMP_ACT_LOG\"}");
        expect(keys, "seccomp.defaultAction", "\"SCMP_ACT_LOG\"");
        testing_write(directory, "profile.json", "{\"defaultAction\":");
        expect_refused(keys, CONBUS_ERROR_INVALID_CONFIG, "profile.json");
}

static void test_seccomp_looks_at_the_bounding_set(void) {
        g_autofree char *keys = g_strdup_printf("'seccomp': <'%s/caps.json'>", directory);
        static const char *const sets[] = {"CAP_SYS_ADMIN", "CAP_KILL"};

        testing_write(directory, "caps.json", "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"mount\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}}]}");
        for (unsigned i = 0; i < G_N_ELEMENTS(sets); i++) {
                g_auto(Part) part = {0};
                part_init(&part, directory, keys);
                json_array_add_string_element(document_array(document_object(part.build.process, "capabilities"), "bounding"), sets[i]);
                part_write(&part, spec_linux_add);
                JsonArray *calls = document_find_array(document_find_object(part.build.os, "seccomp"), "syscalls");
                g_assert_cmpuint(calls ? json_array_get_length(calls) : 0, ==, i == 0 ? 1 : 0);
        }
}

static const char *annotation_of(const Part *part) {
        JsonObject *annotations = document_find_object(part->build.root, "annotations");

        return annotations ? document_find_string(annotations, SECCOMP_FILTER_ANNOTATION) : NULL;
}

static void test_a_filter_that_is_known_is_given_along(void) {
        g_autofree char *keys = g_strdup_printf("'seccomp': <'%s/filter.json'>", directory), *patched = g_strdup_printf("%s, 'oci-spec-patch': <'{}'>", keys);
        unsigned unfiltered = 0, none = 0;
        g_auto(Part) first = {0}, second = {0}, own = {0}, patch = {0};

        testing_write(directory, "filter.json", "{\"defaultAction\":\"SCMP_ACT_LOG\"}");
        part_init(&first, directory, keys);
        first.input.ret_unfiltered = &unfiltered;
        part_write(&first, spec_linux_add);
        g_assert_null(annotation_of(&first));
        g_assert_cmpuint(unfiltered, !=, 0);

        testing_write(directory, "id/seccomp.bpf", "8 bytes.");
        seccomp_learn(unfiltered, directory, "id");
        part_init(&second, directory, keys);
        second.input.ret_unfiltered = &none;
        part_write(&second, spec_linux_add);
        g_assert_cmpstr(annotation_of(&second), ==, "OCBieXRlcy4=");
        g_assert_cmpuint(none, ==, 0);
        assert_json(second.build.os, "seccomp.defaultAction", "\"SCMP_ACT_LOG\""); /* for a runtime that does not know the annotation */

        part_init(&own, directory, keys);
        json_object_set_string_member(document_object(own.build.root, "annotations"), SECCOMP_FILTER_ANNOTATION, "the user's");
        part_write(&own, spec_linux_add);
        g_assert_cmpstr(annotation_of(&own), ==, "the user's");
        part_init(&patch, directory, patched); /* which may change the profile */
        patch.input.ret_unfiltered = &none;
        part_write(&patch, spec_linux_add);
        g_assert_null(annotation_of(&patch));
        g_assert_cmpuint(none, ==, 0);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        log_set_level(LOG_EMERG);
        directory = testing_directory_new();
        g_test_add_func("/spec-linux/namespaces", test_namespaces);
        g_test_add_func("/spec-linux/what-the-input-joins-takes-the-place-of-new-ones", test_what_the_input_joins_takes_the_place_of_new_ones);
        g_test_add_func("/spec-linux/odd-namespaces-of-a-bundle", test_odd_namespaces_of_a_bundle);
        g_test_add_func("/spec-linux/devices", test_devices);
        g_test_add_func("/spec-linux/what-is-no-device-is-refused", test_what_is_no_device_is_refused);
        g_test_add_func("/spec-linux/block-device", test_block_device);
        g_test_add_func("/spec-linux/limits", test_limits);
        g_test_add_func("/spec-linux/resources-are-laid-over-the-limits", test_resources_are_laid_over_the_limits);
        g_test_add_func("/spec-linux/id-maps", test_id_maps);
        g_test_add_func("/spec-linux/sysctls", test_sysctls);
        g_test_add_func("/spec-linux/hidden-paths", test_hidden_paths);
        g_test_add_func("/spec-linux/seccomp", test_seccomp);
        g_test_add_func("/spec-linux/seccomp-looks-at-the-bounding-set", test_seccomp_looks_at_the_bounding_set);
        g_test_add_func("/spec-linux/a-filter-that-is-known-is-given-along", test_a_filter_that_is_known_is_given_along);
        int result = g_test_run();
        testing_directory_free(directory);
        return result;
}
