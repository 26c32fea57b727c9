/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A small profile with every kind of condition, and the refusals. */

#include "runtime/seccomp.h"
#include "testing.h"
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

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
        unsigned number, number_again, of_other, of_changed;
        GError *error = NULL;

        document_append_strv(some, (const char *const[]) { "CAP_CHOWN", NULL });
        document_append_strv(more, (const char *const[]) { "CAP_CHOWN", "CAP_SYS_ADMIN", NULL });
        g_assert_true(g_file_set_contents(path, conditions, -1, NULL));
        g_autoptr(JsonObject) first = seccomp_share(path, some, &number, &error), again = seccomp_share(path, some, &number_again, &error);
        g_assert_no_error(error);
        g_assert_true(first == again);
        g_assert_cmpuint(number, !=, 0);
        g_assert_cmpuint(number, ==, number_again);
        g_autoptr(JsonObject) own = seccomp_read(path, some, &error), other = seccomp_share(path, more, &of_other, &error);
        g_assert_cmpuint(of_other, !=, number);
        g_assert_true(own != first);
        g_assert_null(rule_of(first, "mount"));
        g_assert_nonnull(rule_of(other, "mount"));

        g_assert_true(g_file_set_contents(path, "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}", -1, NULL));
        g_autoptr(JsonObject) changed = seccomp_share(path, more, &of_changed, &error);
        g_assert_cmpuint(of_changed, !=, of_other);
        g_assert_no_error(error);
        g_assert_cmpstr(document_find_string(changed, "defaultAction"), ==, "SCMP_ACT_ALLOW");
        g_assert_cmpint(g_unlink(path), ==, 0);
        g_assert_null(seccomp_share(path, more, &number, &error));
        g_assert_cmpuint(number, ==, 0);
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_NO_SUCH_PATH);
        g_clear_error(&error);
}

/* As crun leaves it in its root. */
static void leave_filter(const char *root, const char *id, gsize size) {
        g_autofree char *directory = g_build_filename(root, id, NULL), *file = g_build_filename(directory, "seccomp.bpf", NULL), *bytes = g_malloc0(size);

        g_assert_cmpint(g_mkdir_with_parents(directory, 0700), ==, 0);
        g_assert_true(g_file_set_contents(file, bytes, (gssize) size, NULL));
}

static unsigned share_profile(const char *profile) {
        unsigned number;
        g_autoptr(GError) error = NULL;

        g_assert_true(g_file_set_contents(path, profile, -1, NULL));
        g_autoptr(JsonObject) shared = seccomp_share(path, NULL, &number, &error);
        g_assert_no_error(error);
        return number;
}

static void test_a_filter_is_learnt(void) {
        char *root = testing_directory_new();
        unsigned number = share_profile("{\"defaultAction\":\"SCMP_ACT_ALLOW\"}");
        gsize size;

        g_assert_null(seccomp_filter(number));
        seccomp_learn(number, root, "nobody");
        g_assert_null(seccomp_filter(number));
        for (unsigned i = 0; i < 3; i++) { /* none; no whole number of instructions; more than the kernel takes */
                leave_filter(root, "bad", (const gsize[]) {0, 12, 8 * 4097}[i]);
                seccomp_learn(number, root, "bad");
                g_assert_null(seccomp_filter(number));
        }
        leave_filter(root, "good", 16);
        seccomp_learn(number, root, "good");
        g_autofree guchar *filter = g_base64_decode(seccomp_filter(number), &size);
        g_assert_cmpuint(size, ==, 16);
        leave_filter(root, "other", 24);
        seccomp_learn(number, root, "other"); /* once is enough */
        g_assert_cmpuint(strlen(seccomp_filter(number)), ==, 24);
        g_assert_null(seccomp_filter(0));

        unsigned next = share_profile("{\"defaultAction\":\"SCMP_ACT_KILL\"}");
        g_assert_null(seccomp_filter(number));
        g_assert_null(seccomp_filter(next));
        seccomp_learn(number, root, "good"); /* the container of a profile that has gone */
        g_assert_null(seccomp_filter(next));
        testing_directory_free(root);
}

static void test_a_crun_that_keeps_filters_is_left_alone(void) {
        char *root = testing_directory_new();
        g_autofree char *kept = g_build_filename(root, ".cache/seccomp", NULL);
        unsigned number = share_profile("{\"defaultAction\":\"SCMP_ACT_LOG\"}");

        leave_filter(root, "good", 16);
        g_assert_cmpint(g_mkdir_with_parents(kept, 0700), ==, 0);
        seccomp_learn(number, root, "good");
        g_assert_null(seccomp_filter(number));
        testing_directory_free(root);
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
        g_test_add_func("/seccomp/a-filter-is-learnt", test_a_filter_is_learnt);
        g_test_add_func("/seccomp/a-crun-that-keeps-filters-is-left-alone", test_a_crun_that_keeps_filters_is_left_alone);
        int result = g_test_run();
        g_unlink(path);
        g_rmdir(directory);
        g_free(path);
        return result;
}
