/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What others than root could exchange is not trusted. Runs as root, like everything that makes files of others. */

#include "base/auto.h"
#include "base/trusted.h"
#include "testing.h"
#include <glib/gstdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static char *top; /* directory of root's in /tmp, which is sticky */

static char *make(const char *name, uid_t owner, mode_t mode) {
        char *path = g_build_filename(top, name, NULL);

        g_assert_no_errno(g_mkdir_with_parents(path, 0755));
        g_assert_no_errno(chown(path, owner, owner));
        g_assert_no_errno(chmod(path, mode));
        return path;
}

static void check_open(const char *path, int code) {
        g_autoptr(GError) error = NULL;
        autofd int fd = trusted_open_directory(path, &error);

        if (code < 0)
                g_assert_no_error(error);
        else
                g_assert_error(error, CONBUS_ERROR, code);
        g_assert_true((fd >= 0) == (code < 0));
}

static void test_only_root_may_lead_to_a_directory(void) {
        g_autofree char *plain = make("plain", 0, 0755), *theirs = make("plain/theirs", 1000, 0755), *below = make("plain/theirs/below", 0, 0755);
        g_autofree char *wide = make("wide", 0, 0777), *in_wide = make("wide/in", 0, 0755), *group = make("group", 0, 0775), *in_group = make("group/in", 0, 0755);
        g_autofree char *sticky = make("sticky", 0, 01777), *roots = make("sticky/roots", 0, 0755), *others = make("sticky/others", 1000, 0755);
        g_autofree char *link = g_build_filename(top, "link", NULL), *through = g_build_filename(top, "link/theirs", NULL), *file = g_build_filename(top, "file", NULL), *missing = g_build_filename(top, "missing", NULL);

        g_assert_no_errno(symlink(plain, link));
        g_assert_true(g_file_set_contents(file, "x", 1, NULL));
        check_open("/", -1);
        check_open(plain, -1);
        check_open(theirs, -1);
        check_open(roots, -1);
        check_open(below, CONBUS_ERROR_ACCESS_DENIED);
        check_open(in_wide, CONBUS_ERROR_ACCESS_DENIED);
        check_open(in_group, CONBUS_ERROR_ACCESS_DENIED);
        check_open(others, CONBUS_ERROR_ACCESS_DENIED);
        check_open(link, CONBUS_ERROR_ACCESS_DENIED);
        check_open(through, CONBUS_ERROR_ACCESS_DENIED);
        check_open(file, CONBUS_ERROR_NOT_A_DIRECTORY);
        check_open(missing, CONBUS_ERROR_NO_SUCH_PATH);
        check_open("relative", CONBUS_ERROR_INVALID_ARGS);
}

static void put(const char *directory, const char *name, const char *text, gssize length, uid_t owner, mode_t mode) {
        g_autofree char *path = g_build_filename(directory, name, NULL);

        g_assert_true(g_file_set_contents(path, text, length, NULL));
        g_assert_no_errno(chown(path, owner, owner));
        g_assert_no_errno(chmod(path, mode));
}

static void check_read(const char *directory, const char *name, int code) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = trusted_read_file(directory, name, 8, &error);

        if (code < 0)
                g_assert_cmpstr(text, ==, "12345678");
        else {
                g_assert_error(error, CONBUS_ERROR, code);
                g_assert_null(text);
        }
}

static void test_only_files_of_root_are_read(void) {
        g_autofree char *directory = make("files", 0, 0755), *open = make("open", 0, 0777), *link = g_build_filename(directory, "link", NULL), *fifo = g_build_filename(directory, "fifo", NULL);

        put(directory, "good", "12345678", -1, 0, 0644);
        put(directory, "theirs", "12345678", -1, 1000, 0644);
        put(directory, "wide", "12345678", -1, 0, 0646);
        put(directory, "long", "123456789", -1, 0, 0644);
        put(directory, "binary", "1\0002", 3, 0, 0644);
        put(open, "good", "12345678", -1, 0, 0644);
        g_assert_no_errno(symlink("good", link));
        g_assert_no_errno(mkfifo(fifo, 0600));
        check_read(directory, "good", -1);
        check_read(directory, "theirs", CONBUS_ERROR_ACCESS_DENIED);
        check_read(directory, "wide", CONBUS_ERROR_ACCESS_DENIED);
        check_read(directory, "link", CONBUS_ERROR_ACCESS_DENIED);
        check_read(directory, "fifo", CONBUS_ERROR_ACCESS_DENIED);
        check_read(directory, "long", CONBUS_ERROR_INVALID_CONFIG);
        check_read(directory, "binary", CONBUS_ERROR_INVALID_CONFIG);
        check_read(directory, "missing", CONBUS_ERROR_NO_SUCH_PATH);
        check_read(open, "good", CONBUS_ERROR_ACCESS_DENIED);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        top = testing_directory_new();
        if (geteuid() == 0) {
                g_test_add_func("/trusted/directories", test_only_root_may_lead_to_a_directory);
                g_test_add_func("/trusted/files", test_only_files_of_root_are_read);
        }
        int status = g_test_run();
        testing_directory_free(top);
        return status;
}
