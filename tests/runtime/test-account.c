/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Users are looked up in real directories, among them some that a hostile container could have left. */

#include "runtime/account.h"
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char *root;

static void put(const char *name, const char *text, gssize size) {
        g_autofree char *path = g_build_filename(root, name, NULL);
        g_autoptr(GError) error = NULL;

        g_unlink(path);
        if (text)
                g_file_set_contents(path, text, size, &error);
        g_assert_no_error(error);
}

static void put_good_files(void) {
        put("etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nnonsense\nbad:x:-1:0::/:/bin/sh\nwww:x:33:34:www:/var/www:/bin/sh\n1000:x:7:8:a name of digits:/seven:\n"
            "lost:x:50:x::/:/\nrelative:x:60:60::home:/bin/sh\nlatin:x:61:61::/\xe4:/bin/sh\n",
            -1);
        put("etc/group", "root:x:0:\nwww:x:34:\naudio:x:29:other,www\nvideo:x:44:www\nvideo2:x:44:www\nbroken:x\n", -1);
}

static Account *find(const char *user) {
        g_autoptr(GError) error = NULL;
        Account *account = account_find(root, user, &error);

        g_assert_no_error(error);
        g_assert_nonnull(account);
        return account;
}

static void assert_refused(const char *user, const char *part) {
        g_autoptr(GError) error = NULL;

        g_assert_null(account_find(root, user, &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INVALID_CONFIG);
        if (!strstr(error->message, part))
                g_error("\"%s\" lacks \"%s\"", error->message, part);
}

static void test_name_has_its_groups(void) {
        put_good_files();
        g_autoptr(Account) account = find("www");

        g_assert_cmpuint(account->uid, ==, 33);
        g_assert_cmpuint(account->gid, ==, 34);
        g_assert_cmpstr(account->home, ==, "/var/www");
        g_assert_cmpuint(account->groups->len, ==, 3);
        g_assert_cmpuint(g_array_index(account->groups, guint32, 0), ==, 34);
        g_assert_cmpuint(g_array_index(account->groups, guint32, 1), ==, 29);
        g_assert_cmpuint(g_array_index(account->groups, guint32, 2), ==, 44);
}

static void test_group_replaces_memberships(void) {
        put_good_files();
        g_autoptr(Account) by_name = find("www:audio"), by_number = find("www:12345");

        g_assert_cmpuint(by_name->gid, ==, 29);
        g_assert_cmpuint(by_name->groups->len, ==, 1);
        g_assert_cmpuint(by_number->gid, ==, 12345);
}

static void test_numbers(void) {
        put_good_files();
        g_autoptr(Account) known = find("33"), unknown = find("4242"), digits = find("1000");

        g_assert_cmpuint(known->gid, ==, 34);
        g_assert_cmpstr(known->home, ==, "/var/www");
        g_assert_cmpuint(unknown->uid, ==, 4242);
        g_assert_cmpuint(unknown->gid, ==, 0);
        g_assert_cmpstr(unknown->home, ==, "/");
        g_assert_cmpuint(digits->uid, ==, 7);
}

static void test_unknown_names_are_refused(void) {
        put_good_files();
        assert_refused("nobody", "there is no \"nobody\" in /etc/passwd");
        assert_refused("bad", "there is no \"bad\"");
        assert_refused("lost", "has no group number");
        assert_refused("root:nogroup", "there is no group \"nogroup\"");
        assert_refused("root:broken", "there is no group \"broken\"");
}

static void test_odd_homes_are_ignored(void) {
        put_good_files();
        g_autoptr(Account) relative = find("relative"), latin = find("latin");

        g_assert_cmpstr(relative->home, ==, "/");
        g_assert_cmpstr(latin->home, ==, "/");
}

static void test_no_files(void) {
        put("etc/passwd", NULL, 0);
        put("etc/group", NULL, 0);
        g_autoptr(Account) account = find("0:5");

        g_assert_cmpuint(account->uid, ==, 0);
        g_assert_cmpuint(account->gid, ==, 5);
        assert_refused("root", "/etc/passwd");
}

static void test_links_stay_inside(void) {
        g_autofree char *link = g_build_filename(root, "etc/passwd", NULL);

        put("etc/passwd", NULL, 0);
        put("etc/group", NULL, 0);
        put("real", "inside:x:5:6::/in:/\n", -1);
        g_assert_cmpint(symlink("../../../../../../../../real", link), ==, 0);
        g_autoptr(Account) account = find("inside");
        g_assert_cmpuint(account->uid, ==, 5);

        g_unlink(link);
        g_assert_cmpint(symlink("/proc/self/root/etc/passwd", link), ==, 0);
        assert_refused("inside", "there is no \"inside\"");
        put("etc/passwd", NULL, 0);
}

static void test_only_regular_files_are_read(void) {
        g_autofree char *path = g_build_filename(root, "etc/passwd", NULL), *large = g_strnfill(1024 * 1024 + 1, 'a'), *most = g_strnfill(1024 * 1024, '\n');

        put("etc/passwd", NULL, 0);
        g_assert_cmpint(mkfifo(path, 0600), ==, 0);
        assert_refused("0", "it is not a regular file");
        put("etc/passwd", large, -1);
        assert_refused("0", "at most 1 MiB");
        put("etc/passwd", most, -1);
        g_autoptr(Account) account = find("0");
        g_assert_cmpuint(account->uid, ==, 0);
        put("etc/passwd", NULL, 0);
        g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
        assert_refused("0", "it is not a regular file");
        g_assert_cmpint(g_rmdir(path), ==, 0);
        put("etc/passwd", "root\0:x:0:0\n", 12);
        g_autoptr(Account) after_nul = find("0");
        g_assert_cmpstr(after_nul->home, ==, "/");
}

static void test_missing_root(void) {
        g_autoptr(GError) error = NULL;

        g_assert_null(account_find("/nonexistent/root", "0", &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_NO_SUCH_PATH);
}

int main(int argc, char **argv) {
        g_autofree char *etc = NULL;

        g_test_init(&argc, &argv, NULL);
        root = g_dir_make_tmp("conbus-account-XXXXXX", NULL);
        etc = g_build_filename(root, "etc", NULL);
        g_assert_cmpint(g_mkdir(etc, 0755), ==, 0);
        g_test_add_func("/account/name-has-its-groups", test_name_has_its_groups);
        g_test_add_func("/account/group-replaces-memberships", test_group_replaces_memberships);
        g_test_add_func("/account/numbers", test_numbers);
        g_test_add_func("/account/unknown-names-are-refused", test_unknown_names_are_refused);
        g_test_add_func("/account/odd-homes-are-ignored", test_odd_homes_are_ignored);
        g_test_add_func("/account/no-files", test_no_files);
        g_test_add_func("/account/links-stay-inside", test_links_stay_inside);
        g_test_add_func("/account/only-regular-files-are-read", test_only_regular_files_are_read);
        g_test_add_func("/account/missing-root", test_missing_root);
        int result = g_test_run();
        put("etc/passwd", NULL, 0);
        put("etc/group", NULL, 0);
        put("real", NULL, 0);
        g_rmdir(etc);
        g_rmdir(root);
        g_free(root);
        return result;
}
