/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The process alone: user, capabilities, environment, limits. The test gives up two capabilities at the start, as a service may that runs with a bounding set. */

#include "base/log.h"
#include "spec-part.h"
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define ROOTFS "'rootfs': <'/unused'>"
#define COMMAND ROOTFS ", 'command': <['sh']>"
#define DEFAULTS "\"CAP_CHOWN\",\"CAP_DAC_OVERRIDE\",\"CAP_FOWNER\",\"CAP_FSETID\",\"CAP_SETGID\",\"CAP_SETUID\",\"CAP_SETPCAP\",\"CAP_NET_BIND_SERVICE\",\"CAP_SYS_CHROOT\",\"CAP_SETFCAP\""

static char *rootfs;

static void expect(const char *keys, const char *path, const char *json) {
        g_autofree char *all = g_strconcat(COMMAND, *keys ? ", " : "", keys, NULL);
        g_auto(Part) part = {0};

        part_init(&part, rootfs, all);
        part_write(&part, spec_process_add);
        assert_json(part.build.process, path, json);
}

static void expect_refused(const char *keys, ConbusError code, const char *words) {
        g_auto(Part) part = {0};

        part_init(&part, rootfs, keys);
        part_refuse(&part, spec_process_add, code, words);
}

static void test_plain_members(void) {
        expect("", "args", "[\"sh\"]");
        expect("'entrypoint': <['/init', '']>", "args", "[\"/init\",\"\",\"sh\"]");
        expect("", "terminal", "false");
        expect("'terminal': <true>", "terminal", "true");
        expect("", "cwd", "\"/\"");
        expect("'cwd': <'/a/b'>", "cwd", "\"/a/b\"");
        expect("", "noNewPrivileges", "false");
        expect("'no-new-privileges': <true>", "noNewPrivileges", "true");
        expect("", "rlimits", NULL);
}

static void test_something_must_be_run(void) {
        g_auto(Part) entrypoint = {0};

        expect_refused(ROOTFS, CONBUS_ERROR_INVALID_CONFIG, "command");
        expect_refused("'command': <['sh']>", CONBUS_ERROR_INVALID_CONFIG, "rootfs");
        part_init(&entrypoint, rootfs, ROOTFS ", 'entrypoint': <['/init']>");
        part_write(&entrypoint, spec_process_add);
        assert_json(entrypoint.build.process, "args", "[\"/init\"]");
}

static void test_users(void) {
        expect("", "user", "{\"uid\":0,\"gid\":0,\"umask\":18,\"additionalGids\":[0]}");
        expect("'user': <'www'>", "user", "{\"uid\":33,\"gid\":34,\"umask\":18,\"additionalGids\":[34,29]}");
        expect("'user': <'www:audio'>", "user", "{\"uid\":33,\"gid\":29,\"umask\":18,\"additionalGids\":[29]}");
        expect("'user': <'4294967294:4294967294'>", "user", "{\"uid\":4294967294,\"gid\":4294967294,\"umask\":18,\"additionalGids\":[4294967294]}");
        expect_refused(COMMAND ", 'user': <'nobody'>", CONBUS_ERROR_INVALID_CONFIG, "there is no \"nobody\" in /etc/passwd");
        expect_refused(COMMAND ", 'user': <'www:nobody'>", CONBUS_ERROR_INVALID_CONFIG, "nobody");
}

static void test_capabilities(void) {
        static const struct {
                const char *keys, *bounding, *effective;
        } table[] = {
                {"", "[" DEFAULTS "]", "[" DEFAULTS "]"},
                {"'user': <'www'>", "[" DEFAULTS "]", "[]"},
                {"'user': <'0:www'>", "[" DEFAULTS "]", "[" DEFAULTS "]"},
                {"'cap-drop': <['ALL']>", "[]", "[]"},
                {"'cap-drop': <['ALL']>, 'cap-add': <['CAP_CHOWN', 'CAP_CHOWN']>", "[\"CAP_CHOWN\"]", "[\"CAP_CHOWN\"]"},
                {"'cap-add': <['CAP_CHOWN', 'CAP_MKNOD']>, 'cap-drop': <['ALL', 'CAP_CHOWN']>", "[\"CAP_MKNOD\"]", "[\"CAP_MKNOD\"]"}, /* a name that is dropped wins */
                {"'cap-drop': <['ALL']>, 'cap-add': <['CAP_SYS_CHROOT', 'CAP_CHOWN']>", "[\"CAP_CHOWN\",\"CAP_SYS_CHROOT\"]", "[\"CAP_CHOWN\",\"CAP_SYS_CHROOT\"]"},
                {"'cap-drop': <['CAP_KILL', 'CAP_NET_RAW']>", "[" DEFAULTS "]", "[" DEFAULTS "]"}, /* what is not there anyway */
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
                expect(table[i].keys, "capabilities.bounding", table[i].bounding);
                expect(table[i].keys, "capabilities.effective", table[i].effective);
                expect(table[i].keys, "capabilities.permitted", table[i].effective);
                expect(table[i].keys, "capabilities.inheritable", NULL);
                expect(table[i].keys, "capabilities.ambient", NULL);
        }
}

static void test_nothing_is_given_that_the_service_lacks(void) {
        static const char *const wide[] = {"'cap-add': <['ALL']>", "'privileged': <true>"};

        for (unsigned i = 0; i < G_N_ELEMENTS(wide); i++) {
                g_autofree char *keys = g_strconcat(COMMAND ", ", wide[i], NULL);
                g_auto(Part) part = {0};
                part_init(&part, rootfs, keys);
                part_write(&part, spec_process_add);
                g_assert_true(contains(part.build.process, "capabilities.bounding", "CAP_MKNOD"));
                g_assert_false(contains(part.build.process, "capabilities.bounding", "CAP_KILL"));
                g_assert_false(contains(part.build.process, "capabilities.bounding", "CAP_NET_RAW"));
        }
        expect_refused(COMMAND ", 'cap-add': <['CAP_CHOWN', 'CAP_NET_RAW']>", CONBUS_ERROR_INVALID_CONFIG, "this service does not have CAP_NET_RAW, so it cannot give it to a container");
}

#define PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static void test_environment(void) {
        static const char *const table[][2] = {
                {"", "[\"" PATH "\",\"container=oci\",\"HOME=/root\"]"},
                {"'terminal': <true>", "[\"" PATH "\",\"TERM=xterm\",\"container=oci\",\"HOME=/root\"]"},
                {"'user': <'www'>", "[\"" PATH "\",\"container=oci\",\"HOME=/var/www\"]"},
                {"'user': <'77'>", "[\"" PATH "\",\"container=oci\",\"HOME=/\"]"},
                {"'env': <['A=', 'B==', 'A=1=2']>", "[\"" PATH "\",\"container=oci\",\"HOME=/root\",\"B==\",\"A=1=2\"]"}, /* the last one of a name */
                {"'env': <['HOME=/h', 'PATHS=p']>", "[\"" PATH "\",\"container=oci\",\"HOME=/h\",\"PATHS=p\"]"},
                {"'env': <['A=1']>, 'unset-env': <['A', 'PATH', 'CONTAINER', 'H']>", "[\"container=oci\",\"HOME=/root\"]"},
                {"'env': <['ä=ö']>, 'unset-env': <['PATH', 'HOME', 'container']>", "[\"ä=ö\"]"},
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(table); i++)
                expect(table[i][0], "env", table[i][1]);
}

static void test_host_name_is_told(void) {
        g_auto(Part) part = {0};

        part_init(&part, rootfs, COMMAND);
        json_object_set_string_member(part.build.root, "hostname", "web");
        part_write(&part, spec_process_add);
        g_assert_true(contains(part.build.process, "env", "HOSTNAME=web"));
}

static void test_a_variable_is_replaced_among_anything(void) {
        g_autoptr(JsonObject) process = document_parse("{\"env\":[7,\"A=1\",null,\"A\",\"AB=1\",\"A=2\",{}]}", -1, "test", CONBUS_ERROR_INTERNAL, NULL);
        g_autoptr(JsonObject) odd = document_parse("{\"env\":\"A=1\"}", -1, "test", CONBUS_ERROR_INTERNAL, NULL);

        spec_process_set_env(process, "A", "3");
        assert_json(process, "env", "[7,null,\"A\",\"AB=1\",{},\"A=3\"]");
        spec_process_set_env(odd, "A", "");
        assert_json(odd, "env", "[\"A=\"]");
}

static void test_rlimits_are_written(void) {
        expect("'ulimits': <[('RLIMIT_CORE', uint64 0, uint64 0), ('nofile', 1, 2)]>", "rlimits", "[{\"type\":\"RLIMIT_CORE\",\"hard\":0,\"soft\":0},{\"type\":\"RLIMIT_NOFILE\",\"hard\":2,\"soft\":1}]");
}

/* RLIMIT_SIGPENDING is at most 200 here. */
static void test_rlimits_are_clamped(void) {
        static const char *const table[][2] = {
                {"{}", NULL},
                {"{\"rlimits\":7}", "7"},
                {"{\"rlimits\":[7,null,{},{\"type\":7},{\"type\":\"RLIMIT_ODD\",\"hard\":999,\"soft\":999}]}", "[7,null,{},{\"type\":7},{\"type\":\"RLIMIT_ODD\",\"hard\":999,\"soft\":999}]"},
                {"{\"rlimits\":[{\"type\":\"RLIMIT_SIGPENDING\",\"hard\":200,\"soft\":200}]}", "[{\"type\":\"RLIMIT_SIGPENDING\",\"hard\":200,\"soft\":200}]"},
                {"{\"rlimits\":[{\"type\":\"RLIMIT_SIGPENDING\",\"hard\":201,\"soft\":5}]}", "[{\"type\":\"RLIMIT_SIGPENDING\",\"hard\":200,\"soft\":5}]"},
                {"{\"rlimits\":[{\"type\":\"RLIMIT_SIGPENDING\",\"hard\":100,\"soft\":201}]}", "[{\"type\":\"RLIMIT_SIGPENDING\",\"hard\":100,\"soft\":200}]"},
                {"{\"rlimits\":[{\"type\":\"RLIMIT_SIGPENDING\",\"hard\":18446744073709551615,\"soft\":9223372036854775807}]}", "[{\"type\":\"RLIMIT_SIGPENDING\",\"hard\":200,\"soft\":200}]"},
                {"{\"rlimits\":[{\"type\":\"RLIMIT_SIGPENDING\",\"hard\":-1,\"soft\":0}]}", "[{\"type\":\"RLIMIT_SIGPENDING\",\"hard\":200,\"soft\":0}]"},
                {"{\"rlimits\":[{\"type\":\"RLIMIT_SIGPENDING\",\"hard\":[],\"soft\":1}]}", "[{\"type\":\"RLIMIT_SIGPENDING\",\"hard\":[],\"soft\":1}]"},
                {"{\"rlimits\":[{\"type\":\"RLIMIT_SIGPENDING\"}]}", "[{\"type\":\"RLIMIT_SIGPENDING\"}]"},
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(JsonObject) process = document_parse(table[i][0], -1, "test", CONBUS_ERROR_INTERNAL, NULL);
                spec_process_clamp_rlimits(process, "0123456789abcdef");
                assert_json(process, "rlimits", table[i][1]);
        }
}

/* The capabilities of DEFAULTS and CAP_MKNOD are what the tests count on; the limit of pending signals is lowered for good. */
static void give_up_privileges(void) {
        struct rlimit limit = {.rlim_cur = 200, .rlim_max = 200};

        g_assert_no_errno(setrlimit(RLIMIT_SIGPENDING, &limit));
        g_assert_no_errno(prctl(PR_CAPBSET_DROP, CAP_KILL, 0, 0, 0));
        g_assert_no_errno(prctl(PR_CAPBSET_DROP, CAP_NET_RAW, 0, 0, 0));
        g_assert_cmpint(prctl(PR_CAPBSET_READ, CAP_MKNOD, 0, 0, 0), ==, 1);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        log_set_level(LOG_EMERG);
        give_up_privileges();
        rootfs = testing_directory_new();
        testing_write(rootfs, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nwww:x:33:34::/var/www:/bin/sh\n");
        testing_write(rootfs, "etc/group", "root:x:0:\naudio:x:29:www\nwww:x:34:\n");
        g_test_add_func("/spec-process/plain-members", test_plain_members);
        g_test_add_func("/spec-process/something-must-be-run", test_something_must_be_run);
        g_test_add_func("/spec-process/users", test_users);
        g_test_add_func("/spec-process/capabilities", test_capabilities);
        g_test_add_func("/spec-process/nothing-is-given-that-the-service-lacks", test_nothing_is_given_that_the_service_lacks);
        g_test_add_func("/spec-process/environment", test_environment);
        g_test_add_func("/spec-process/host-name-is-told", test_host_name_is_told);
        g_test_add_func("/spec-process/a-variable-is-replaced-among-anything", test_a_variable_is_replaced_among_anything);
        g_test_add_func("/spec-process/rlimits-are-written", test_rlimits_are_written);
        g_test_add_func("/spec-process/rlimits-are-clamped", test_rlimits_are_clamped);
        int result = g_test_run();
        testing_directory_free(rootfs);
        return result;
}
