/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Volumes in the making. */

#include "storage/new-volume.h"
#include "testing.h"
#include <fcntl.h>
#include <sys/stat.h>

typedef struct Fixture {
        char *directory, *root, *path, *volume;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer unused) {
        fixture->directory = testing_directory_new();
        fixture->root = g_build_filename(fixture->directory, "root", NULL);
        fixture->path = g_build_filename(fixture->directory, "volumes", "v", "new-1", NULL);
        fixture->volume = g_build_filename(fixture->directory, "volumes", "v", "data", NULL);
        testing_write(fixture->root, "srv/data/file", "inside");
        testing_write(fixture->directory, "outside/file", "outside");
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        testing_directory_free(fixture->directory);
        g_free(fixture->root);
        g_free(fixture->path);
        g_free(fixture->volume);
}

static void make(Fixture *fixture) {
        g_autoptr(GError) error = NULL;
        bool made = new_volume_make(fixture->path, &error);

        g_assert_no_error(error);
        g_assert_true(made);
}

static void test_a_source_is_a_directory_of_the_root(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        autofd int found = new_volume_open_source(fixture->root, "/srv/data", &error);

        g_assert_no_error(error);
        g_assert_cmpint(found, >=, 0);
        g_assert_cmpint(faccessat(found, "file", F_OK, 0), ==, 0);
        g_assert_cmpint(new_volume_open_source(fixture->root, "/srv/none", &error), ==, -1);
        g_assert_cmpint(new_volume_open_source(fixture->root, "/srv/data/file/below", &error), ==, -1);
        g_assert_no_error(error);
        g_assert_cmpint(new_volume_open_source(fixture->root, "/srv/data/file", &error), ==, -1);
        testing_expect_error(&error, CONBUS_ERROR_NOT_A_DIRECTORY, "has a file at /srv/data/file");
        g_assert_cmpint(new_volume_open_source("/nowhere", "/srv", &error), ==, -1);
        testing_expect_error(&error, CONBUS_ERROR_INTERNAL, "look for /srv");
}

/* An image may try to have the host's files copied into a volume. */
static void test_links_do_not_lead_out(Fixture *fixture, gconstpointer unused) {
        g_autofree char *outside = g_build_filename(fixture->directory, "outside", NULL), *absolute = g_build_filename(fixture->root, "absolute", NULL), *relative = g_build_filename(fixture->root, "relative", NULL);
        g_autofree char *good = g_build_filename(fixture->root, "good", NULL), *loop = g_build_filename(fixture->root, "loop", NULL);
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(symlink(outside, absolute), ==, 0);
        g_assert_cmpint(symlink("../outside", relative), ==, 0);
        g_assert_cmpint(symlink("/srv/data", good), ==, 0);
        g_assert_cmpint(symlink("loop", loop), ==, 0);
        g_assert_cmpint(new_volume_open_source(fixture->root, "/absolute", &error), ==, -1);
        g_assert_cmpint(new_volume_open_source(fixture->root, "/relative", &error), ==, -1);
        g_assert_no_error(error);
        autofd int inside = new_volume_open_source(fixture->root, "/good", &error);
        g_assert_cmpint(faccessat(inside, "file", F_OK, 0), ==, 0);
        g_assert_cmpint(new_volume_open_source(fixture->root, "/loop", &error), ==, -1);
        testing_expect_error(&error, CONBUS_ERROR_INTERNAL, "look for /loop");
}

static void test_a_volume_appears_whole(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        struct stat st;
        bool lost;

        make(fixture);
        g_assert_cmpint(stat(fixture->path, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0700);
        testing_write(fixture->path, "file", "x");
        g_assert_true(new_volume_publish(fixture->path, fixture->volume, 7, 8, 01750, &lost, &error));
        g_assert_false(lost);
        g_assert_cmpint(access(fixture->path, F_OK), <, 0);
        g_assert_cmpint(stat(fixture->volume, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 01750);
        g_assert_cmpuint(st.st_uid, ==, 7);
        g_assert_cmpuint(st.st_gid, ==, 8);
}

static void test_the_first_one_is_the_volume(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        bool lost;

        testing_write(fixture->volume, "file", "first");
        make(fixture);
        testing_write(fixture->path, "file", "second");
        g_assert_true(new_volume_publish(fixture->path, fixture->volume, 0, 0, 0755, &lost, &error));
        g_assert_true(lost);
        g_autofree char *text = testing_read(fixture->volume, "file"), *other = testing_read(fixture->path, "file");
        g_assert_cmpstr(text, ==, "first");
        g_assert_cmpstr(other, ==, "second");
}

static void test_what_cannot_be_made(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        bool lost;

        make(fixture);
        g_assert_false(new_volume_make(fixture->path, &error));
        testing_expect_error(&error, CONBUS_ERROR_INTERNAL, "make the directory");
        g_assert_false(new_volume_publish("/nowhere/new", "/nowhere/data", 0, 0, 0755, &lost, &error));
        testing_expect_error(&error, CONBUS_ERROR_INTERNAL, "its owner");
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *path;
                void (*test)(Fixture *fixture, gconstpointer unused);
        } tests[] = {
                {"/new-volume/a-source-is-a-directory-of-the-root", test_a_source_is_a_directory_of_the_root},
                {"/new-volume/links-do-not-lead-out", test_links_do_not_lead_out},
                {"/new-volume/a-volume-appears-whole", test_a_volume_appears_whole},
                {"/new-volume/the-first-one-is-the-volume", test_the_first_one_is_the_volume},
                {"/new-volume/what-cannot-be-made", test_what_cannot_be_made},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].test, tear_down);
        return g_test_run();
}
