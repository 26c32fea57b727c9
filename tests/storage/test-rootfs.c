/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Root file systems with real overlay mounts, in a mount namespace of this process. */

#include "storage/rootfs.h"
#include "testing.h"
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

typedef struct Fixture {
        char *directory, *base, *upper, *work, *merged;
        RootfsPlan plan;
} Fixture;

/* Names with what overlayfs separates its options by. */
static void set_up(Fixture *fixture, gconstpointer mode) {
        fixture->directory = testing_directory_new();
        fixture->base = g_build_filename(fixture->directory, "base,a:b\\c", NULL);
        fixture->upper = g_build_filename(fixture->directory, "state,1", "upper:x", NULL);
        fixture->work = g_build_filename(fixture->directory, "state,1", "work:x", NULL);
        fixture->merged = g_build_filename(fixture->directory, "run", "merged", NULL);
        fixture->plan = (RootfsPlan) {.base = fixture->base, .mode = mode, .upper = fixture->upper, .work = fixture->work, .merged = fixture->merged};
        testing_write(fixture->base, "etc/hosts", "base");
        /* upper and work must not lie on an overlay themselves, as a container's own file system may be */
        g_autofree char *state = g_build_filename(fixture->directory, "state,1", NULL);
        g_assert_cmpint(mkdir(state, 0700), ==, 0);
        g_assert_cmpint(mount("tmpfs", state, "tmpfs", 0, NULL), ==, 0);
}

static void tear_down(Fixture *fixture, gconstpointer mode) {
        g_autofree char *state = g_build_filename(fixture->directory, "state,1", NULL);

        while (rootfs_is_mounted(fixture->merged))
                g_assert_cmpint(umount2(fixture->merged, MNT_DETACH), ==, 0);
        g_assert_cmpint(umount2(state, MNT_DETACH), ==, 0);
        testing_directory_free(fixture->directory);
        g_free(fixture->base);
        g_free(fixture->upper);
        g_free(fixture->work);
        g_free(fixture->merged);
}

static char *prepare(Fixture *fixture) {
        g_autoptr(GError) error = NULL;
        char *path = rootfs_prepare(&fixture->plan, &error);

        g_assert_no_error(error);
        return path;
}

static bool exists(const char *path) {
        return access(path, F_OK) == 0;
}

static void test_an_overlay_leaves_its_base_alone(Fixture *fixture, gconstpointer mode) {
        g_autofree char *path = prepare(fixture);

        g_assert_cmpstr(path, ==, fixture->merged);
        g_assert_true(rootfs_is_mounted(fixture->merged));
        testing_write(path, "etc/hosts", "changed");
        testing_write(path, "new", "made");
        g_autofree char *below = testing_read(fixture->base, "etc/hosts"), *none = testing_read(fixture->base, "new"), *above = testing_read(fixture->upper, "etc/hosts");
        g_assert_cmpstr(below, ==, "base");
        g_assert_null(none);
        g_assert_cmpstr(above, ==, "changed");
}

static void test_preparing_twice_mounts_once(Fixture *fixture, gconstpointer mode) {
        g_autofree char *first = prepare(fixture), *second = prepare(fixture);

        g_assert_cmpstr(first, ==, second);
        g_assert_cmpint(umount2(fixture->merged, 0), ==, 0);
        g_assert_false(rootfs_is_mounted(fixture->merged));
}

static void test_the_layer_is_kept_between_mounts(Fixture *fixture, gconstpointer mode) {
        g_autofree char *first = prepare(fixture);

        testing_write(first, "new", "made");
        g_assert_true(rootfs_release(fixture->merged, NULL));
        g_autofree char *second = prepare(fixture), *text = testing_read(second, "new");
        g_assert_cmpstr(text, ==, "made");
}

static void test_the_root_looks_like_its_base(Fixture *fixture, gconstpointer mode) {
        struct stat st;

        g_assert_cmpint(chmod(fixture->base, 01751), ==, 0);
        g_assert_cmpint(chown(fixture->base, 1000, 1001), ==, 0);
        g_autofree char *path = prepare(fixture);
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 01751);
        g_assert_cmpuint(st.st_uid, ==, 1000);
        g_assert_cmpuint(st.st_gid, ==, 1001);
}

static void test_releasing_leaves_no_mount_point(Fixture *fixture, gconstpointer mode) {
        g_autofree char *path = prepare(fixture);

        g_assert_true(rootfs_release(fixture->merged, NULL));
        g_assert_false(exists(fixture->merged));
        g_assert_true(rootfs_release(fixture->merged, NULL));
}

static void test_a_busy_root_is_released_all_the_same(Fixture *fixture, gconstpointer mode) {
        g_autofree char *path = prepare(fixture), *hosts = g_build_filename(path, "etc", "hosts", NULL);
        autofd int fd = open(hosts, O_RDONLY | O_CLOEXEC);
        char byte;

        g_assert_cmpint(fd, >=, 0);
        g_assert_true(rootfs_release(fixture->merged, NULL));
        g_assert_false(exists(fixture->merged));
        g_assert_cmpint(read(fd, &byte, 1), ==, 1);
}

static void test_mounts_over_one_another_are_all_released(Fixture *fixture, gconstpointer mode) {
        g_autofree char *path = prepare(fixture);

        g_assert_cmpint(mount("tmpfs", fixture->merged, "tmpfs", 0, NULL), ==, 0);
        g_assert_true(rootfs_release(fixture->merged, NULL));
        g_assert_false(exists(fixture->merged));
}

static void test_what_is_not_mounted_is_never_deleted(Fixture *fixture, gconstpointer mode) {
        g_autoptr(GError) error = NULL;

        testing_write(fixture->merged, "precious", "x");
        g_assert_false(rootfs_release(fixture->merged, &error));
        testing_expect_error(&error, CONBUS_ERROR_INTERNAL, "remove the mount point");
        g_autofree char *text = testing_read(fixture->merged, "precious");
        g_assert_cmpstr(text, ==, "x");
}

static void test_the_base_itself(Fixture *fixture, gconstpointer mode) {
        g_autofree char *path = prepare(fixture);

        g_assert_cmpstr(path, ==, fixture->base);
        g_assert_false(exists(fixture->merged));
        g_assert_false(exists(fixture->upper));
        g_assert_true(rootfs_release(fixture->merged, NULL));
}

static void test_a_base_that_is_missing(Fixture *fixture, gconstpointer mode) {
        g_autoptr(GError) error = NULL;
        g_autofree char *missing = g_build_filename(fixture->base, "none", NULL), *below_file = g_build_filename(fixture->base, "etc", "hosts", "x", NULL),
                        *file = g_build_filename(fixture->base, "etc", "hosts", NULL);

        fixture->plan.base = missing;
        g_assert_null(rootfs_prepare(&fixture->plan, &error));
        testing_expect_error(&error, CONBUS_ERROR_NO_SUCH_PATH, "does not exist");
        fixture->plan.base = below_file;
        g_assert_null(rootfs_prepare(&fixture->plan, &error));
        testing_expect_error(&error, CONBUS_ERROR_NO_SUCH_PATH, "does not exist");
        fixture->plan.base = file;
        g_assert_null(rootfs_prepare(&fixture->plan, &error));
        testing_expect_error(&error, CONBUS_ERROR_NOT_A_DIRECTORY, "is not a directory");
        g_assert_false(exists(fixture->merged));
        g_assert_false(exists(fixture->upper));
}

/* The kernel refuses a work directory that lies in another file system than upper. */
static void test_a_mount_that_fails_leaves_no_mount_point(Fixture *fixture, gconstpointer mode) {
        g_autoptr(GError) error = NULL;
        g_autofree char *elsewhere = g_build_filename(fixture->directory, "work-elsewhere", NULL);

        fixture->plan.work = elsewhere;
        g_assert_null(rootfs_prepare(&fixture->plan, &error));
        testing_expect_error(&error, CONBUS_ERROR_INTERNAL, "mount an overlay over");
        g_assert_false(exists(fixture->merged));
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *path, *mode;
                void (*test)(Fixture *fixture, gconstpointer mode);
        } tests[] = {
                {"/rootfs/an-overlay-leaves-its-base-alone", "overlay", test_an_overlay_leaves_its_base_alone},
                {"/rootfs/preparing-twice-mounts-once", "overlay", test_preparing_twice_mounts_once},
                {"/rootfs/the-layer-is-kept-between-mounts", "overlay", test_the_layer_is_kept_between_mounts},
                {"/rootfs/the-root-looks-like-its-base", "overlay", test_the_root_looks_like_its_base},
                {"/rootfs/releasing-leaves-no-mount-point", "overlay", test_releasing_leaves_no_mount_point},
                {"/rootfs/a-busy-root-is-released-all-the-same", "overlay", test_a_busy_root_is_released_all_the_same},
                {"/rootfs/mounts-over-one-another-are-all-released", "overlay", test_mounts_over_one_another_are_all_released},
                {"/rootfs/what-is-not-mounted-is-never-deleted", "overlay", test_what_is_not_mounted_is_never_deleted},
                {"/rootfs/direct-is-the-base-itself", "direct", test_the_base_itself},
                {"/rootfs/read-only-is-the-base-itself", "read-only", test_the_base_itself},
                {"/rootfs/an-overlay-over-nothing", "overlay", test_a_base_that_is_missing},
                {"/rootfs/direct-over-nothing", "direct", test_a_base_that_is_missing},
                {"/rootfs/a-mount-that-fails-leaves-no-mount-point", "overlay", test_a_mount_that_fails_leaves_no_mount_point},
        };

        g_test_init(&argc, &argv, NULL);
        if (!testing_unshare_mounts())
                return 0;
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, tests[i].mode, set_up, tests[i].test, tear_down);
        return g_test_run();
}
