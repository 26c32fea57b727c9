/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A small profile with every kind of condition, and the refusals. */

#include "runtime/seccomp.h"
#include <errno.h>
#include <glib/gstdio.h>

static char *path;

static JsonObject *convert(const char *profile, const char *const *capabilities, GError **error) {
        g_autoptr(JsonArray) names = json_array_new();

        document_append_strv(names, capabilities);
        g_assert_true(g_file_set_contents(path, profile, -1, NULL));
        return seccomp_read(path, names, error);
}

/* The rule that names a system call first, or NULL. */
static JsonObject *rule_of(JsonObject *seccomp, const char *name) {
        JsonArray *rules = document_find_array(seccomp, "syscalls");

        for (unsigned i = 0; i < json_array_get_length(rules); i++)
                if (document_array_contains(document_find_array(json_array_get_object_element(rules, i), "names"), name))
                        return json_array_get_object_element(rules, i);
        return NULL;
}

static const char conditions[] =
        "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrno\":\"ENOSYS\",\"archMap\":["
        "{\"architecture\":\"SCMP_ARCH_X86_64\",\"subArchitectures\":[\"SCMP_ARCH_X86\"]},{\"architecture\":\"SCMP_ARCH_AARCH64\",\"subArchitectures\":[\"SCMP_ARCH_ARM\"]}],"
        "\"syscalls\":["
        "{\"names\":[\"read\",\"write\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[],\"comment\":\"c\",\"includes\":{},\"excludes\":{}},"
        "{\"names\":[\"mount\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}},"
        "{\"names\":[\"umount\"],\"action\":\"SCMP_ACT_ERRNO\",\"errno\":\"EPERM\",\"excludes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}},"
        "{\"names\":[\"both\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\",\"CAP_BPF\"]}},"
        "{\"names\":[\"nowhere\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"arches\":[\"vax\"]}},"
        "{\"names\":[\"elsewhere\"],\"action\":\"SCMP_ACT_ALLOW\",\"excludes\":{\"arches\":[\"vax\"]}},"
        "{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":22,\"args\":[{\"index\":0,\"value\":16,\"op\":\"SCMP_CMP_EQ\"}]}]}";

static void test_conditions_without_the_capability(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonObject) seccomp = convert(conditions, (const char *const[]) { "CAP_CHOWN", NULL }, &error);

        g_assert_no_error(error);
        g_assert_cmpstr(document_find_string(seccomp, "defaultAction"), ==, "SCMP_ACT_ERRNO");
        g_assert_cmpint(json_object_get_int_member(seccomp, "defaultErrnoRet"), ==, ENOSYS);
        g_assert_nonnull(rule_of(seccomp, "write"));
        g_assert_false(json_object_has_member(rule_of(seccomp, "read"), "includes"));
        g_assert_false(json_object_has_member(rule_of(seccomp, "read"), "comment"));
        g_assert_null(rule_of(seccomp, "mount"));
        g_assert_cmpint(json_object_get_int_member(rule_of(seccomp, "umount"), "errnoRet"), ==, EPERM);
        g_assert_null(rule_of(seccomp, "nowhere"));
        g_assert_nonnull(rule_of(seccomp, "elsewhere"));
        g_assert_cmpint(json_object_get_int_member(rule_of(seccomp, "socket"), "errnoRet"), ==, 22);
        g_assert_cmpuint(json_array_get_length(document_find_array(rule_of(seccomp, "socket"), "args")), ==, 1);
}

static void test_conditions_with_the_capability(void) {
        g_autoptr(JsonObject) one = convert(conditions, (const char *const[]) { "CAP_SYS_ADMIN", NULL }, NULL);
        g_autoptr(JsonObject) two = convert(conditions, (const char *const[]) { "CAP_SYS_ADMIN", "CAP_BPF", NULL }, NULL);

        g_assert_nonnull(rule_of(one, "mount"));
        g_assert_null(rule_of(one, "umount"));
        g_assert_null(rule_of(one, "both"));
        g_assert_nonnull(rule_of(two, "both"));
}

static void test_architectures(void) {
        g_autoptr(JsonObject) mapped = convert(conditions, NULL, NULL);
        g_autoptr(JsonObject) given = convert("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X32\"]}", NULL, NULL);
        JsonArray *architectures = document_find_array(mapped, "architectures");

        g_assert_cmpuint(json_array_get_length(architectures), >=, 1);
#ifdef __x86_64__
        g_assert_cmpstr(document_array_string(architectures, 0), ==, "SCMP_ARCH_X86_64");
        g_assert_cmpstr(document_array_string(architectures, 1), ==, "SCMP_ARCH_X86");
        g_assert_cmpuint(json_array_get_length(architectures), ==, 2);
#endif
        g_assert_cmpstr(document_array_string(document_find_array(given, "architectures"), 0), ==, "SCMP_ARCH_X32");
        g_assert_cmpuint(json_array_get_length(document_find_array(given, "architectures")), ==, 1);
}

static void test_bad_profiles(void) {
        static const char *const profiles[] = {
                "{}", "[]", "{\"defaultAction\":\"A\",\"syscalls\":[1]}", "{\"defaultAction\":\"A\",\"syscalls\":[{\"action\":\"B\"}]}",
                "{\"defaultAction\":\"A\",\"syscalls\":[{\"names\":[\"read\"]}]}", NULL,
        };
        g_autoptr(GError) error = NULL;

        for (unsigned i = 0; profiles[i]; i++) {
                g_assert_null(convert(profiles[i], NULL, &error));
                g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INVALID_CONFIG);
                g_clear_error(&error);
        }
        g_assert_null(seccomp_read("/nonexistent/profile.json", NULL, &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_NO_SUCH_PATH);
}

static void test_an_unchanged_profile_is_shared(void) {
        g_autoptr(JsonArray) some = json_array_new(), more = json_array_new();
        GError *error = NULL;

        document_append_strv(some, (const char *const[]) { "CAP_CHOWN", NULL });
        document_append_strv(more, (const char *const[]) { "CAP_CHOWN", "CAP_SYS_ADMIN", NULL });
        g_assert_true(g_file_set_contents(path, conditions, -1, NULL));
        g_autoptr(JsonObject) first = seccomp_share(path, some, &error), again = seccomp_share(path, some, &error);
        g_assert_no_error(error);
        g_assert_true(first == again);
        g_autoptr(JsonObject) own = seccomp_read(path, some, &error), other = seccomp_share(path, more, &error);
        g_assert_true(own != first);
        g_assert_null(rule_of(first, "mount"));
        g_assert_nonnull(rule_of(other, "mount"));

        g_assert_true(g_file_set_contents(path, "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}", -1, NULL));
        g_autoptr(JsonObject) changed = seccomp_share(path, more, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(document_find_string(changed, "defaultAction"), ==, "SCMP_ACT_ALLOW");
        g_assert_cmpint(g_unlink(path), ==, 0);
        g_assert_null(seccomp_share(path, more, &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_NO_SUCH_PATH);
        g_clear_error(&error);
}

int main(int argc, char **argv) {
        g_autofree char *directory = NULL;

        g_test_init(&argc, &argv, NULL);
        directory = g_dir_make_tmp("conbus-seccomp-XXXXXX", NULL);
        path = g_build_filename(directory, "profile.json", NULL);
        g_test_add_func("/seccomp/conditions-without-the-capability", test_conditions_without_the_capability);
        g_test_add_func("/seccomp/conditions-with-the-capability", test_conditions_with_the_capability);
        g_test_add_func("/seccomp/architectures", test_architectures);
        g_test_add_func("/seccomp/bad-profiles", test_bad_profiles);
        g_test_add_func("/seccomp/an-unchanged-profile-is-shared", test_an_unchanged_profile_is_shared);
        int result = g_test_run();
        g_unlink(path);
        g_rmdir(directory);
        g_free(path);
        return result;
}
