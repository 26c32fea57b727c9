/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The process of an exec session, made from a config.json in a real directory. */

#include "runtime/spec-exec.h"
#include "runtime/document.h"
#include "testing.h"
#include <string.h>

static const char *const command[] = {"sh", "-c", "exit 3", NULL};

typedef struct Fixture {
        TestingDirectory *directory;
        char *config;
        ExecSpec spec;
} Fixture;

#define CAPABILITIES "\"capabilities\": {\"bounding\": [\"CAP_KILL\", \"CAP_CHOWN\"], \"effective\": [\"CAP_KILL\"], \"permitted\": [\"CAP_KILL\"], \"ambient\": [\"CAP_KILL\"], \"inheritable\": [\"CAP_KILL\"]}"

static void put_config(Fixture *fixture, const char *user) {
        g_autofree char *text = g_strdup_printf("{\"root\": {\"path\": \"%s/root\"}, \"process\": {\"args\": [\"sleep\"], \"cwd\": \"/srv\", \"terminal\": true, \"consoleSize\": {\"height\": 1, \"width\": 2}, "
                                                "\"user\": %s, \"env\": [\"PATH=/bin\", \"HOME=/first\", \"NOTIFY_SOCKET=/run/notify/notify\", \"A=1\"], " CAPABILITIES
                                                ", \"noNewPrivileges\": true, \"apparmorProfile\": \"tight\", \"selinuxLabel\": \"label\", \"rlimits\": [{\"type\": \"RLIMIT_CORE\", \"hard\": 0, \"soft\": 0}]}}",
                                                fixture->directory, user);
        testing_write(fixture->directory, "config.json", text);
}

static void set_up(Fixture *fixture, gconstpointer data) {
        fixture->directory = testing_directory_new();
        fixture->config = g_build_filename(fixture->directory, "config.json", NULL);
        testing_write(fixture->directory, "root/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nwww:x:33:34::/var/www:/bin/sh\nbare:x:50:50\n");
        testing_write(fixture->directory, "root/etc/group", "root:x:0:\naudio:x:29:www\n");
        put_config(fixture, "{\"uid\": 0, \"gid\": 0, \"umask\": 18, \"additionalGids\": [0, 7]}");
        fixture->spec = (ExecSpec) {.config = fixture->config, .command = command};
}

static void tear_down(Fixture *fixture, gconstpointer data) {
        testing_directory_free(fixture->directory);
        g_free(fixture->config);
}

static JsonObject *written(Fixture *fixture) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = spec_exec_write(&fixture->spec, &error);

        g_assert_no_error(error);
        JsonObject *process = document_parse(text, -1, "process", CONBUS_ERROR_INTERNAL, &error);
        g_assert_no_error(error);
        return process;
}

static char *joined(JsonObject *parent, const char *member) {
        JsonArray *array = document_find_array(parent, member);
        GString *text = g_string_new(NULL);

        for (guint i = 0; array && i < json_array_get_length(array); i++) {
                JsonNode *node = json_array_get_element(array, i);
                if (json_node_get_value_type(node) == G_TYPE_STRING)
                        g_string_append_printf(text, "%s%s", i ? " " : "", json_node_get_string(node));
                else
                        g_string_append_printf(text, "%s%" G_GINT64_FORMAT, i ? " " : "", json_node_get_int(node));
        }
        return g_string_free(text, FALSE);
}

static void expect_list(JsonObject *parent, const char *member, const char *wanted) {
        g_autofree char *text = joined(parent, member);

        g_assert_cmpstr(text, ==, wanted);
}

static void expect_user(JsonObject *process, int uid, int gid, const char *groups) {
        JsonObject *user = document_find_object(process, "user");

        g_assert_cmpint(json_object_get_int_member(user, "uid"), ==, uid);
        g_assert_cmpint(json_object_get_int_member(user, "gid"), ==, gid);
        expect_list(user, "additionalGids", groups);
}

static void expect_capabilities(JsonObject *process, const char *bounding, const char *effective, const char *ambient) {
        JsonObject *capabilities = document_find_object(process, "capabilities");

        if (bounding)
                expect_list(capabilities, "bounding", bounding);
        expect_list(capabilities, "effective", effective);
        expect_list(capabilities, "permitted", effective);
        expect_list(capabilities, "ambient", ambient);
        g_assert_false(json_object_has_member(capabilities, "inheritable"));
}

static void test_what_is_not_asked_for_is_the_containers(Fixture *fixture, gconstpointer data) {
        g_autoptr(JsonObject) process = written(fixture);

        expect_list(process, "args", "sh -c exit 3");
        expect_list(process, "env", "PATH=/bin HOME=/first A=1");
        g_assert_cmpstr(document_find_string(process, "cwd"), ==, "/srv");
        g_assert_cmpstr(document_find_string(process, "apparmorProfile"), ==, "tight");
        g_assert_cmpstr(document_find_string(process, "selinuxLabel"), ==, "label");
        g_assert_true(json_object_get_boolean_member(process, "noNewPrivileges"));
        g_assert_true(json_object_has_member(process, "rlimits"));
        g_assert_false(json_object_get_boolean_member(process, "terminal"));
        g_assert_false(json_object_has_member(process, "consoleSize"));
        expect_user(process, 0, 0, "0 7");
        expect_capabilities(process, "CAP_KILL CAP_CHOWN", "CAP_KILL CAP_CHOWN", "");
}

static void test_another_user_has_the_bounding_set_alone(Fixture *fixture, gconstpointer data) {
        fixture->spec.user = "www";
        g_autoptr(JsonObject) process = written(fixture);
        expect_user(process, 33, 34, "34 29");
        expect_list(process, "env", "PATH=/bin A=1 HOME=/var/www");
        expect_capabilities(process, "CAP_KILL CAP_CHOWN", "", "");
        g_assert_cmpint(json_object_get_int_member(document_find_object(process, "user"), "umask"), ==, 18);
}

static void test_the_containers_own_user_keeps_its_capabilities(Fixture *fixture, gconstpointer data) {
        put_config(fixture, "{\"uid\": 33, \"gid\": 34}");
        g_autoptr(JsonObject) process = written(fixture);
        expect_user(process, 33, 34, "");
        expect_capabilities(process, "CAP_KILL CAP_CHOWN", "CAP_KILL", "CAP_KILL");
        fixture->spec.user = "33:29";
        g_autoptr(JsonObject) again = written(fixture);
        expect_user(again, 33, 29, "29");
        expect_capabilities(again, "CAP_KILL CAP_CHOWN", "CAP_KILL", "CAP_KILL");
        fixture->spec.user = "root";
        g_autoptr(JsonObject) root = written(fixture);
        expect_capabilities(root, "CAP_KILL CAP_CHOWN", "CAP_KILL CAP_CHOWN", "");
}

static void test_privileged_has_all_there_is(Fixture *fixture, gconstpointer data) {
        fixture->spec.privileged = true;
        g_autoptr(JsonObject) process = written(fixture);
        JsonObject *capabilities = document_find_object(process, "capabilities");
        g_autofree char *bounding = joined(capabilities, "bounding");
        expect_capabilities(process, NULL, bounding, "");
        g_assert_cmpstr(bounding, !=, "CAP_KILL CAP_CHOWN");
        fixture->spec.user = "www";
        g_autoptr(JsonObject) other = written(fixture);
        expect_capabilities(other, bounding, "", "");
}

static void test_given_settings(Fixture *fixture, gconstpointer data) {
        static const char *const env[] = {"A=2", "B=x=y", NULL};

        fixture->spec.cwd = "/tmp";
        fixture->spec.env = env;
        fixture->spec.terminal = true;
        fixture->spec.rows = 24;
        fixture->spec.columns = 80;
        g_autoptr(JsonObject) process = written(fixture);
        g_assert_cmpstr(document_find_string(process, "cwd"), ==, "/tmp");
        expect_list(process, "env", "PATH=/bin HOME=/first TERM=xterm A=2 B=x=y");
        g_assert_true(json_object_get_boolean_member(process, "terminal"));
        g_assert_cmpint(json_object_get_int_member(document_find_object(process, "consoleSize"), "height"), ==, 24);
}

static void expect_refused(Fixture *fixture, ConbusError code, const char *part) {
        GError *error = NULL;

        g_assert_null(spec_exec_write(&fixture->spec, &error));
        testing_expect_error(&error, code, part);
}

static void test_what_is_refused(Fixture *fixture, gconstpointer data) {
        fixture->spec.user = "nobody";
        expect_refused(fixture, CONBUS_ERROR_INVALID_ARGS, "option user: there is no \"nobody\" in /etc/passwd");
        fixture->spec.user = "www:none";
        expect_refused(fixture, CONBUS_ERROR_INVALID_ARGS, "option user: there is no group \"none\"");
        testing_write(fixture->directory, "config.json", "{\"root\": {\"path\": \"/\"}}");
        expect_refused(fixture, CONBUS_ERROR_INVALID_CONFIG, "has no process");
        testing_write(fixture->directory, "config.json", "{");
        expect_refused(fixture, CONBUS_ERROR_INVALID_CONFIG, "config.json");
        fixture->spec.config = "/nonexistent/config.json";
        expect_refused(fixture, CONBUS_ERROR_NO_SUCH_PATH, "/nonexistent");
}

static void test_shells(Fixture *fixture, gconstpointer data) {
        static const char *const table[][2] = {{"root", "/bin/bash"}, {"www", "/bin/sh"}, {"bare", "/bin/sh"}, {"4711", "/bin/sh"}};

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(GError) error = NULL;
                g_autofree char *shell = spec_exec_shell(fixture->config, table[i][0], &error);
                g_assert_no_error(error);
                g_assert_cmpstr(shell, ==, table[i][1]);
        }
        GError *error = NULL;
        g_assert_null(spec_exec_shell(fixture->config, "nobody", &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_ARGS, "option user");
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *path;
                void (*test)(Fixture *fixture, gconstpointer data);
        } tests[] = {
                {"/spec-exec/what-is-not-asked-for-is-the-containers", test_what_is_not_asked_for_is_the_containers},
                {"/spec-exec/another-user-has-the-bounding-set-alone", test_another_user_has_the_bounding_set_alone},
                {"/spec-exec/the-containers-own-user-keeps-its-capabilities", test_the_containers_own_user_keeps_its_capabilities},
                {"/spec-exec/privileged-has-all-there-is", test_privileged_has_all_there_is},
                {"/spec-exec/given-settings", test_given_settings},
                {"/spec-exec/what-is-refused", test_what_is_refused},
                {"/spec-exec/shells", test_shells},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].test, tear_down);
        return g_test_run();
}
