/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The mounts alone: what every container has, what is given, their order, and the notify socket. */

#include "spec-part.h"
#include <string.h>

#define MAPS(gids) "'uid-map': <[(uint32 0, uint32 1000, uint32 9)]>, 'gid-map': <[" gids "]>"

static char *directory; /* the source of binds */

static void part_of_mounts(Part *part, const char *format) {
        g_auto(GStrv) pieces = g_strsplit(format, "SOURCE", -1);
        g_autofree char *keys = g_strjoinv(directory, pieces);

        part_init(part, directory, keys);
}

static void expect_mount(Part *part, const char *target, const char *type, const char *source, const char *options) {
        g_autofree char *place = g_strdup_printf("{\"destination\":\"%s\",\"type\":\"%s\",\"source\":\"%s\",\"options\":%s}", target, type, source, options);
        JsonObject *mount = find_entry(part->build.root, "mounts", "destination", target);
        g_autofree char *found = mount ? document_print(mount) : NULL;

        g_assert_cmpstr(found, ==, place);
}

/* All targets in their order, a space after each. */
static char *targets_of(Part *part) {
        JsonArray *mounts = document_find_array(part->build.root, "mounts");
        GString *text = g_string_new(NULL);

        for (unsigned i = 0; i < json_array_get_length(mounts); i++)
                g_string_append_printf(text, "%s ", document_find_string(json_array_get_object_element(mounts, i), "destination"));
        return g_string_free(text, FALSE);
}

static void expect_targets(const char *format, const char *wanted) {
        g_auto(Part) part = {0};

        part_of_mounts(&part, format);
        part_write(&part, spec_mounts_add);
        g_autofree char *found = targets_of(&part);
        g_assert_cmpstr(found, ==, wanted);
}

static void test_defaults(void) {
        g_auto(Part) part = {0};

        part_init(&part, directory, "");
        part_write(&part, spec_mounts_add);
        expect_mount(&part, "/proc", "proc", "proc", "[\"nosuid\",\"noexec\",\"nodev\"]");
        expect_mount(&part, "/dev", "tmpfs", "tmpfs", "[\"nosuid\",\"strictatime\",\"mode=755\",\"size=65536k\"]");
        expect_mount(&part, "/sys", "sysfs", "sysfs", "[\"nosuid\",\"noexec\",\"nodev\",\"ro\"]");
        expect_mount(&part, "/dev/pts", "devpts", "devpts", "[\"nosuid\",\"noexec\",\"newinstance\",\"ptmxmode=0666\",\"mode=0620\",\"gid=5\"]");
        expect_mount(&part, "/dev/mqueue", "mqueue", "mqueue", "[\"nosuid\",\"noexec\",\"nodev\"]");
        expect_mount(&part, "/dev/shm", "tmpfs", "shm", "[\"nosuid\",\"noexec\",\"nodev\",\"mode=1777\",\"size=65536k\"]");
        expect_mount(&part, "/sys/fs/cgroup", "cgroup", "cgroup", "[\"rprivate\",\"nosuid\",\"noexec\",\"nodev\",\"relatime\",\"ro\"]");
        expect_targets("", "/proc /dev /sys /dev/pts /dev/mqueue /dev/shm /sys/fs/cgroup ");
}

static void test_privileged_may_write(void) {
        g_auto(Part) part = {0};

        part_init(&part, directory, "'privileged': <true>");
        part_write(&part, spec_mounts_add);
        expect_mount(&part, "/sys", "sysfs", "sysfs", "[\"nosuid\",\"noexec\",\"nodev\"]");
        expect_mount(&part, "/sys/fs/cgroup", "cgroup", "cgroup", "[\"rprivate\",\"nosuid\",\"noexec\",\"nodev\",\"relatime\"]");
}

static void test_group_of_terminals_must_be_mapped(void) {
        static const struct {
                const char *keys;
                bool mapped;
        } table[] = {
                {MAPS("(uint32 0, uint32 1000, uint32 5)"), false}, /* 0 to 4 */
                {MAPS("(uint32 0, uint32 1000, uint32 6)"), true},
                {MAPS("(uint32 0, uint32 500, uint32 1), (5, 1000, 1)"), true},
                {MAPS("(uint32 0, uint32 500, uint32 1), (6, 1000, 4294960000)"), false},
                {"", true},
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
                g_auto(Part) part = {0};
                part_init(&part, directory, table[i].keys);
                part_write(&part, spec_mounts_add);
                JsonObject *pts = find_entry(part.build.root, "mounts", "destination", "/dev/pts");
                g_assert_true(document_array_contains(document_find_array(pts, "options"), "gid=5") == table[i].mapped);
        }
}

/* The kernel lets a user namespace mount a sysfs only where it has a network of its own. */
static void test_sysfs_in_a_user_namespace(void) {
        const SpecInput network = {.namespaces = {{"network", NULL}}};
        g_auto(Part) with = {0}, without = {0};

        part_init(&with, directory, MAPS("(uint32 0, uint32 1000, uint32 9)"));
        spec_linux_join(with.build.os, &network);
        part_write(&with, spec_mounts_add);
        expect_mount(&with, "/sys", "sysfs", "sysfs", "[\"nosuid\",\"noexec\",\"nodev\",\"ro\"]");
        part_init(&without, directory, MAPS("(uint32 0, uint32 1000, uint32 9)"));
        part_write(&without, spec_mounts_add);
        expect_mount(&without, "/sys", "bind", "/sys", "[\"rbind\",\"rprivate\",\"nosuid\",\"noexec\",\"nodev\",\"ro\"]");
}

static void test_given_mounts(void) {
        static const struct {
                const char *given, *type, *options; /* the source is the directory, of others than binds the type, unless given */
        } table[] = {
                {"'source': <'SOURCE'>", "bind", "[\"rbind\",\"rprivate\"]"},
                {"'source': <'SOURCE'>, 'options': <@as []>", "bind", "[\"rbind\",\"rprivate\"]"},
                {"'source': <'SOURCE'>, 'options': <['bind']>", "bind", "[\"bind\",\"rprivate\"]"},
                {"'source': <'SOURCE'>, 'options': <['rbind', 'ro', 'rshared']>", "bind", "[\"rbind\",\"ro\",\"rshared\"]"},
                {"'source': <'SOURCE'>, 'options': <['unbindable']>", "bind", "[\"unbindable\",\"rbind\"]"},
                {"'source': <'SOURCE'>, 'options': <['ro', 'ro']>", "bind", "[\"ro\",\"ro\",\"rbind\",\"rprivate\"]"},
                {"'type': <'tmpfs'>", "tmpfs", "[\"rprivate\",\"nodev\",\"nosuid\"]"},
                {"'type': <'tmpfs'>, 'options': <['dev', 'suid', 'slave']>", "tmpfs", "[\"dev\",\"suid\",\"slave\"]"},
                {"'type': <'tmpfs'>, 'options': <['nodev']>", "tmpfs", "[\"nodev\",\"rprivate\",\"nosuid\"]"},
                {"'type': <'proc'>", "proc", "[]"},
                {"'type': <'cgroup'>, 'options': <['ro']>", "cgroup", "[\"ro\"]"},
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *keys = g_strdup_printf("'mounts': <[{'target': <'/data'>, %s}]>", table[i].given);
                g_auto(Part) part = {0};
                part_of_mounts(&part, keys);
                part_write(&part, spec_mounts_add);
                expect_mount(&part, "/data", table[i].type, strstr(table[i].given, "SOURCE") ? directory : table[i].type, table[i].options);
        }
}

static void test_a_given_source_of_another_type_is_kept(void) {
        g_auto(Part) part = {0};

        part_init(&part, directory, "'mounts': <[{'target': <'/data'>, 'type': <'tmpfs'>, 'source': <'scratch'>}]>");
        part_write(&part, spec_mounts_add);
        expect_mount(&part, "/data", "tmpfs", "scratch", "[\"rprivate\",\"nodev\",\"nosuid\"]");
}

static void test_a_given_mount_takes_the_place_of_a_default(void) {
        static const char *const targets[] = {"/dev/shm", "/dev/shm/", "//dev/./shm"};

        for (unsigned i = 0; i < G_N_ELEMENTS(targets); i++) {
                g_autofree char *keys = g_strdup_printf("'mounts': <[{'target': <'%s'>, 'type': <'tmpfs'>}]>", targets[i]);
                expect_targets(keys, "/proc /dev /sys /dev/pts /dev/mqueue /dev/shm /sys/fs/cgroup ");
                g_auto(Part) part = {0};
                part_init(&part, directory, keys);
                part_write(&part, spec_mounts_add);
                expect_mount(&part, "/dev/shm", "tmpfs", "tmpfs", "[\"rprivate\",\"nodev\",\"nosuid\"]");
        }
}

static void test_parents_come_first_and_else_the_order_stays(void) {
        expect_targets("'mounts': <[{'target': <'/z/y/x'>, 'type': <'tmpfs'>}, {'target': <'/z'>, 'type': <'tmpfs'>}, {'target': <'/a/b'>, 'type': <'tmpfs'>}, {'target': <'/z/y'>, 'type': <'tmpfs'>}, {'target': <'/a'>, 'type': <'tmpfs'>}]>",
                       "/proc /dev /sys /z /a /dev/pts /dev/mqueue /dev/shm /a/b /z/y /sys/fs/cgroup /z/y/x ");
}

static void test_a_source_that_is_missing_is_refused(void) {
        g_auto(Part) part = {0};

        part_init(&part, directory, "'mounts': <[{'target': <'/tmp'>, 'type': <'tmpfs'>}, {'target': <'/a'>, 'source': <'/nonexistent/x'>}]>");
        part_refuse(&part, spec_mounts_add, CONBUS_ERROR_NO_SUCH_PATH, "mount /nonexistent/x at /a: the source does not exist");
        assert_json(part.build.root, "mounts", NULL);
}

static void test_notify(void) {
        g_autoptr(JsonObject) root = document_parse("{\"mounts\":7,\"process\":{\"env\":[\"NOTIFY_SOCKET=/a\",\"B=c\",\"NOTIFY_SOCKET=/b\"]}}", -1, "test", CONBUS_ERROR_INTERNAL, NULL);
        SpecInput input = {0};

        spec_mounts_add_notify(root, &input);
        assert_json(root, "mounts", "7");
        input.notify_directory = "/run/conbus/n";
        spec_mounts_add_notify(root, &input);
        assert_json(root, "mounts", "[{\"destination\":\"/run/notify\",\"type\":\"bind\",\"source\":\"/run/conbus/n\",\"options\":[\"bind\",\"rprivate\",\"nosuid\",\"noexec\",\"nodev\",\"ro\"]}]");
        assert_json(root, "process.env", "[\"B=c\",\"NOTIFY_SOCKET=/run/notify/notify\"]");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        directory = testing_directory_new();
        g_test_add_func("/spec-mounts/defaults", test_defaults);
        g_test_add_func("/spec-mounts/privileged-may-write", test_privileged_may_write);
        g_test_add_func("/spec-mounts/group-of-terminals-must-be-mapped", test_group_of_terminals_must_be_mapped);
        g_test_add_func("/spec-mounts/sysfs-in-a-user-namespace", test_sysfs_in_a_user_namespace);
        g_test_add_func("/spec-mounts/given-mounts", test_given_mounts);
        g_test_add_func("/spec-mounts/a-given-source-of-another-type-is-kept", test_a_given_source_of_another_type_is_kept);
        g_test_add_func("/spec-mounts/a-given-mount-takes-the-place-of-a-default", test_a_given_mount_takes_the_place_of_a_default);
        g_test_add_func("/spec-mounts/parents-come-first-and-else-the-order-stays", test_parents_come_first_and_else_the_order_stays);
        g_test_add_func("/spec-mounts/a-source-that-is-missing-is-refused", test_a_source_that_is_missing_is_refused);
        g_test_add_func("/spec-mounts/notify", test_notify);
        int result = g_test_run();
        testing_directory_free(directory);
        return result;
}
