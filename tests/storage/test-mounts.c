/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Places in memory and kept trees, in a mount namespace of this process. */

#include "storage/mounts.h"
#include "testing.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#define TMPFS_MAGIC 0x01021994

typedef struct Fixture {
        char *directory, *place, *source;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer unused) {
        fixture->directory = testing_directory_new();
        fixture->place = g_build_filename(fixture->directory, "run", "kept", NULL);
        fixture->source = g_build_filename(fixture->directory, "source", NULL);
        testing_write(fixture->source, "file", "content");
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        g_autofree char *below = g_build_filename(fixture->source, "below", NULL);

        g_assert_true(mounts_release(fixture->place, NULL));
        while (umount2(below, MNT_DETACH) == 0 || umount2(fixture->source, MNT_DETACH) == 0)
                ;
        testing_directory_free(fixture->directory);
        g_free(fixture->place);
        g_free(fixture->source);
}

static void make_place(Fixture *fixture) {
        g_autoptr(GError) error = NULL;
        bool made = mounts_make_place(fixture->place, 65536, 0, &error);

        g_assert_no_error(error);
        g_assert_true(made);
}

static void keep(Fixture *fixture, gint32 number, int fd) {
        g_autoptr(GError) error = NULL;
        bool kept = mounts_keep(fixture->place, number, fd, "key", &error);

        g_assert_no_error(error);
        g_assert_true(kept);
}

static int open_source(Fixture *fixture, const char *name) {
        g_autofree char *path = g_build_filename(fixture->source, name, NULL);
        int fd = open(path, O_PATH | O_CLOEXEC);

        g_assert_cmpint(fd, >=, 0);
        return fd;
}

static void test_a_place_is_in_memory_and_closed(Fixture *fixture, gconstpointer unused) {
        struct statfs fs;
        struct stat st;

        g_assert_true(mounts_make_place(fixture->place, 65536, 1001, NULL));
        g_assert_true(mounts_is_mounted(fixture->place));
        g_assert_cmpint(statfs(fixture->place, &fs), ==, 0);
        g_assert_cmpint(fs.f_type, ==, TMPFS_MAGIC);
        g_assert_cmpint(fs.f_flags & (ST_NOSUID | ST_NODEV | ST_NOEXEC), ==, ST_NOSUID | ST_NODEV | ST_NOEXEC);
        g_assert_cmpuint(fs.f_blocks * (guint64) fs.f_bsize, ==, 65536);
        g_assert_cmpint(stat(fixture->place, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0710);
        g_assert_cmpuint(st.st_uid, ==, 0);
        g_assert_cmpuint(st.st_gid, ==, 1001);
        g_assert_true(mounts_release(fixture->place, NULL));
        make_place(fixture);
        g_assert_cmpint(stat(fixture->place, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0700);
}

static void test_a_place_that_is_there_is_kept(Fixture *fixture, gconstpointer unused) {
        make_place(fixture);
        testing_write(fixture->place, "a", "b");
        make_place(fixture);
        g_autofree char *text = testing_read(fixture->place, "a");
        g_assert_cmpstr(text, ==, "b");
        g_assert_true(mounts_release(fixture->place, NULL));
        g_assert_cmpint(access(fixture->place, F_OK), <, 0);
        g_assert_true(mounts_release(fixture->place, NULL));
}

static void test_a_place_that_cannot_be_made(Fixture *fixture, gconstpointer unused) {
        g_autofree char *below_file = g_build_filename(fixture->source, "file", "place", NULL);
        g_autoptr(GError) error = NULL;

        g_assert_false(mounts_make_place(below_file, 65536, 0, &error));
        testing_expect_error(&error, CONBUS_ERROR_INTERNAL, "make the directory");
}

static void test_directories_and_files_are_kept(Fixture *fixture, gconstpointer unused) {
        autofd int directory = open_source(fixture, "."), file = open_source(fixture, "file");

        make_place(fixture);
        keep(fixture, 3, directory);
        keep(fixture, 4, file);
        g_autofree char *through = testing_read(fixture->place, "3/file"), *itself = testing_read(fixture->place, "4");
        g_assert_cmpstr(through, ==, "content");
        g_assert_cmpstr(itself, ==, "content");
        /* Whatever becomes of the name, the thing is kept. */
        g_autofree char *moved = g_strconcat(fixture->source, "-moved", NULL);
        g_assert_cmpint(rename(fixture->source, moved), ==, 0);
        g_autofree char *still = testing_read(fixture->place, "3/file");
        g_assert_cmpstr(still, ==, "content");
        g_assert_cmpint(rename(moved, fixture->source), ==, 0);
}

/* Else the release of the kept tree would unmount the host's own mounts. */
static void test_a_shared_tree_is_kept_apart(Fixture *fixture, gconstpointer unused) {
        g_autofree char *below = g_build_filename(fixture->source, "below", NULL), *later = g_build_filename(fixture->source, "later", NULL), *seen = g_build_filename(fixture->place, "1", "later", NULL);

        g_assert_cmpint(mount("tmpfs", fixture->source, "tmpfs", 0, NULL), ==, 0);
        g_assert_cmpint(mount(NULL, fixture->source, NULL, MS_SHARED, NULL), ==, 0);
        g_assert_cmpint(mkdir(below, 0755), ==, 0);
        g_assert_cmpint(mkdir(later, 0755), ==, 0);
        g_assert_cmpint(mount("tmpfs", below, "tmpfs", 0, NULL), ==, 0);
        testing_write(below, "deep", "x");
        autofd int directory = open_source(fixture, ".");
        make_place(fixture);
        keep(fixture, 1, directory);
        g_autofree char *deep = testing_read(fixture->place, "1/below/deep");
        g_assert_cmpstr(deep, ==, "x");
        g_assert_cmpint(mount("tmpfs", later, "tmpfs", 0, NULL), ==, 0);
        g_assert_false(mounts_is_mounted(seen));
        g_assert_cmpint(umount2(later, 0), ==, 0);
        g_assert_true(mounts_release(fixture->place, NULL));
        g_assert_true(mounts_is_mounted(below));
}

static void test_a_detached_mount_is_kept(Fixture *fixture, gconstpointer unused) {
        int context = fsopen("tmpfs", FSOPEN_CLOEXEC);

        g_assert_cmpint(context, >=, 0);
        g_assert_cmpint(fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0), ==, 0);
        int detached = fsmount(context, FSMOUNT_CLOEXEC, 0);
        g_assert_cmpint(detached, >=, 0);
        close(context);
        autofd int made = openat(detached, "made", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        g_assert_cmpint(write(made, "y", 1), ==, 1);
        make_place(fixture);
        keep(fixture, 0, detached);
        close(detached); /* which ends a mount that nobody has taken */
        g_autofree char *text = testing_read(fixture->place, "0/made");
        g_assert_cmpstr(text, ==, "y");
}

static void expect_no_mount(Fixture *fixture, int fd) {
        g_autoptr(GError) error = NULL;

        g_assert_false(mounts_keep(fixture->place, 9, fd, "key", &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, "configuration key \"key\"");
}

static void test_what_cannot_be_mounted_is_refused(Fixture *fixture, gconstpointer unused) {
        autofd int memory = memfd_create("m", MFD_CLOEXEC), socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        make_place(fixture);
        expect_no_mount(fixture, memory);
        expect_no_mount(fixture, socket_fd);
}

/* A directory of a namespace that this one knows nothing of. */
static void test_a_foreign_tree_is_refused(Fixture *fixture, gconstpointer unused) {
        int ready[2];
        char byte, path[64];

        g_assert_cmpint(pipe2(ready, O_CLOEXEC), ==, 0);
        pid_t other = fork();
        if (other == 0) {
                (void) !(unshare(CLONE_NEWNS) == 0 && mount("tmpfs", fixture->source, "tmpfs", 0, NULL) == 0 && write(ready[1], "", 1) == 1);
                pause();
                _exit(0);
        }
        g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
        snprintf(path, sizeof path, "/proc/%d/root%s", (int) other, fixture->source);
        autofd int foreign = open(path, O_PATH | O_CLOEXEC);
        g_assert_cmpint(foreign, >=, 0);
        make_place(fixture);
        expect_no_mount(fixture, foreign);
        close(ready[0]);
        close(ready[1]);
        g_assert_cmpint(kill(other, SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(other, NULL, 0), ==, other);
}

static void test_kinds(Fixture *fixture, gconstpointer unused) {
        g_autofree char *fifo = g_build_filename(fixture->source, "fifo", NULL), *link = g_build_filename(fixture->source, "link", NULL);
        int ends[2];
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
        g_assert_cmpint(symlink("file", link), ==, 0);
        g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
        autofd int directory = open_source(fixture, "."), file = open_source(fixture, "file"), named = open_source(fixture, "fifo"), device = open("/dev/null", O_PATH | O_CLOEXEC), symbolic = open(link, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        const int bad[] = {ends[0], named, device, symbolic};
        g_assert_true(mounts_check_kind(directory, "key", NULL));
        g_assert_true(mounts_check_kind(file, "key", NULL));
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_assert_false(mounts_check_kind(bad[i], "key", &error));
                testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, "neither a directory nor a file");
        }
        close(ends[0]);
        close(ends[1]);
}

static void test_network_namespaces(Fixture *fixture, gconstpointer unused) {
        autofd int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), uts = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC), file = open_source(fixture, "file");
        g_autoptr(GError) error = NULL;

        g_assert_false(mounts_check_network_namespace(own, "key", &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, "host's own");
        g_assert_false(mounts_check_network_namespace(uts, "key", &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, "no network namespace");
        g_assert_false(mounts_check_network_namespace(file, "key", &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, "no network namespace");
        g_assert_cmpint(unshare(CLONE_NEWNET), ==, 0);
        autofd int fresh = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        g_assert_cmpint(setns(own, CLONE_NEWNET), ==, 0);
        g_assert_true(mounts_check_network_namespace(fresh, "key", NULL));
        make_place(fixture);
        keep(fixture, 2, fresh);
        g_autofree char *path = g_build_filename(fixture->place, "2", NULL);
        autofd int kept = open(path, O_RDONLY | O_CLOEXEC);
        g_assert_true(mounts_check_network_namespace(kept, "key", NULL));
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *path;
                void (*test)(Fixture *fixture, gconstpointer unused);
        } tests[] = {
                {"/mounts/a-place-is-in-memory-and-closed", test_a_place_is_in_memory_and_closed},
                {"/mounts/a-place-that-is-there-is-kept", test_a_place_that_is_there_is_kept},
                {"/mounts/a-place-that-cannot-be-made", test_a_place_that_cannot_be_made},
                {"/mounts/directories-and-files-are-kept", test_directories_and_files_are_kept},
                {"/mounts/a-shared-tree-is-kept-apart", test_a_shared_tree_is_kept_apart},
                {"/mounts/a-detached-mount-is-kept", test_a_detached_mount_is_kept},
                {"/mounts/what-cannot-be-mounted-is-refused", test_what_cannot_be_mounted_is_refused},
                {"/mounts/a-foreign-tree-is-refused", test_a_foreign_tree_is_refused},
                {"/mounts/kinds", test_kinds},
                {"/mounts/network-namespaces", test_network_namespaces},
        };

        g_test_init(&argc, &argv, NULL);
        if (!testing_unshare_mounts())
                return 0;
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].test, tear_down);
        return g_test_run();
}
