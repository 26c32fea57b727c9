/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Volumes are made before a run by real copies, and go with their containers or stay. */

#include "fixture.h"
#include "operation/volumes.h"
#include <sys/stat.h>

/* A container whose root file system is the directory "root" of the fixture. */
static Container *add(Fixture *fixture, const char *name, const char *keys) {
        g_autofree char *config = g_strdup_printf("{%s}", keys);

        return fixture_add(fixture, name, config);
}

static bool is_done(void *userdata) {
        return *(bool *) userdata;
}

static bool done;

static void on_prepared(Operation *operation) {
        done = true;
}

/* Prepares as a launch would; the error of the step, or NULL. */
static GError *prepare(Fixture *fixture, Container *container, void (*meanwhile)(Operation *operation)) {
        Operation *operation = g_new0(Operation, 1);

        *operation = (Operation) {.n_references = 1, .engine = fixture->engine, .container = container_ref(container), .steps = g_array_new(FALSE, FALSE, sizeof(Step)), .main = PIDREF_NULL};
        operation->rootfs = g_build_filename(fixture->directory, "root", NULL);
        done = false;
        operation_then(operation, on_prepared);
        volumes_prepare(operation);
        if (meanwhile)
                meanwhile(operation);
        testing_run_until(fixture->event, is_done, &done);
        GError *error = g_steal_pointer(&operation->step_error);
        operation_unref(operation);
        return error;
}

static void expect_prepared(Fixture *fixture, Container *container) {
        g_autoptr(GError) error = prepare(fixture, container, NULL);

        g_assert_no_error(error);
}

static char *read_in(Fixture *fixture, const char *volume, const char *name) {
        g_autofree char *path = g_build_filename(fixture->paths.state, "volumes", volume, "data", NULL);

        return testing_read(path, name);
}

static unsigned count_volumes(Fixture *fixture) {
        g_autofree char *path = g_build_filename(fixture->paths.state, "volumes", NULL);
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        unsigned n = 0;

        while (directory && g_dir_read_name(directory))
                n++;
        return n;
}

static void test_a_new_volume_gets_what_the_image_has(Fixture *fixture, gconstpointer unused) {
        Container *container = add(fixture, "web", "'volumes': <['data:/srv', 'bare:/srv:nocopy', 'none:/none']>, 'user': <'7:8'>");
        g_autofree char *root = g_build_filename(fixture->directory, "root", NULL), *srv = g_build_filename(root, "srv", NULL), *data = g_build_filename(fixture->paths.state, "volumes", "data", "data", NULL);
        g_autofree char *none = g_build_filename(fixture->paths.state, "volumes", "none", "data", NULL);
        struct stat st;

        testing_write(root, "srv/deep/file", "from the image");
        g_assert_cmpint(chmod(srv, 01751), ==, 0);
        g_assert_cmpint(chown(srv, 3, 4), ==, 0);
        expect_prepared(fixture, container);
        g_autofree char *text = read_in(fixture, "data", "deep/file"), *bare = read_in(fixture, "bare", "deep/file");
        g_assert_cmpstr(text, ==, "from the image");
        g_assert_null(bare);
        g_assert_cmpint(stat(data, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 01751);
        g_assert_cmpuint(st.st_uid, ==, 3);
        g_assert_cmpint(stat(none, &st), ==, 0);
        g_assert_cmpuint(st.st_uid, ==, 7);
        g_assert_cmpuint(st.st_gid, ==, 8);
        /* One that is there stays as it is, empty or not. */
        testing_write(data, "deep/file", "changed");
        expect_prepared(fixture, container);
        g_autofree char *again = read_in(fixture, "data", "deep/file"), *still = read_in(fixture, "bare", "deep/file");
        g_assert_cmpstr(again, ==, "changed");
        g_assert_null(still);
}

static void test_what_fails_leaves_no_volume(Fixture *fixture, gconstpointer unused) {
        Container *container = add(fixture, "web", "'volumes': <['data:/file']>"), *other = add(fixture, "other", "'volumes': <['data:/srv']>");
        g_autofree char *root = g_build_filename(fixture->directory, "root", NULL), *path = g_strdup(g_getenv("PATH")), *bin = g_build_filename(fixture->directory, "bin", NULL);

        testing_write(root, "file", "x");
        testing_write(root, "srv/file", "x");
        g_autoptr(GError) error = prepare(fixture, container, NULL);
        testing_expect_error(&error, CONBUS_ERROR_NOT_A_DIRECTORY, "has a file at /file");
        g_assert_cmpuint(count_volumes(fixture), ==, 0);
        /* A cp that says that the disk is full. */
        g_autofree char *cp = testing_program(fixture->directory, "bin/cp", "echo 'cp: error writing: No space left on device' >&2; exit 1");
        g_autofree char *changed = g_strconcat(bin, ":", path, NULL);
        g_setenv("PATH", changed, true);
        g_autoptr(GError) full = prepare(fixture, other, NULL);
        g_setenv("PATH", path, true);
        testing_expect_error(&full, CONBUS_ERROR_STORAGE_FULL, "No space left");
        g_assert_cmpuint(count_volumes(fixture), ==, 0);
        expect_prepared(fixture, other);
}

static void cancel(Operation *operation) {
        g_assert_nonnull(operation->cancel);
        operation->cancelled = true;
        operation->cancel(operation);
}

static void test_a_copy_can_be_cancelled(Fixture *fixture, gconstpointer unused) {
        Container *container = add(fixture, "web", "'volumes': <['data:/srv']>");
        g_autofree char *root = g_build_filename(fixture->directory, "root", NULL), *path = g_strdup(g_getenv("PATH")), *bin = g_build_filename(fixture->directory, "bin", NULL), *changed = g_strconcat(bin, ":", path, NULL);
        g_autofree char *cp = testing_program(fixture->directory, "bin/cp", "exec sleep 1000");

        testing_write(root, "srv/file", "x");
        g_setenv("PATH", changed, true);
        g_autoptr(GError) error = prepare(fixture, container, cancel);
        g_setenv("PATH", path, true);
        testing_expect_error(&error, CONBUS_ERROR_CANCELLED, "the volume at /srv: cancelled");
        g_assert_cmpuint(count_volumes(fixture), ==, 0);
}

static void make_meanwhile(Operation *operation) {
        g_autofree char *data = g_build_filename(operation->engine->paths->state, "volumes", "data", "data", NULL);

        testing_write(data, "file", "another's");
}

static void test_of_two_that_make_it_one_wins(Fixture *fixture, gconstpointer unused) {
        Container *container = add(fixture, "web", "'volumes': <['data:/srv']>");
        g_autofree char *root = g_build_filename(fixture->directory, "root", NULL), *mine = g_strdup_printf("%s/volumes/data/new-%s", fixture->paths.state, container->id);

        testing_write(root, "srv/file", "mine");
        g_autoptr(GError) error = prepare(fixture, container, make_meanwhile);
        g_assert_no_error(error);
        g_autofree char *text = read_in(fixture, "data", "file");
        g_assert_cmpstr(text, ==, "another's");
        g_assert_cmpint(access(mine, F_OK), <, 0);
}

/* Of a service that died while it copied. */
static void test_what_was_half_made_is_made_anew(Fixture *fixture, gconstpointer unused) {
        Container *container = add(fixture, "web", "'volumes': <['data:/srv']>");
        g_autofree char *root = g_build_filename(fixture->directory, "root", NULL), *half = g_strdup_printf("%s/volumes/data/new-%s", fixture->paths.state, container->id);

        testing_write(root, "srv/file", "whole");
        testing_write(half, "file", "ha");
        testing_write(half, "old", "x");
        expect_prepared(fixture, container);
        g_autofree char *text = read_in(fixture, "data", "file"), *old = read_in(fixture, "data", "old");
        g_assert_cmpstr(text, ==, "whole");
        g_assert_null(old);
}

static void remove_with(Fixture *fixture, Container *container, const char *options) {
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_REMOVE, options, &answer);
        g_assert_no_error(answer.error);
}

static void test_who_goes_with_the_container(Fixture *fixture, gconstpointer unused) {
        static const char keys[] = "'volumes': <['data:/srv', '/own']>";
        Container *keeping = add(fixture, "keeping", keys), *taking = add(fixture, "taking", keys), *passing = add(fixture, "passing", "'volumes': <['data:/srv', '/own']>, 'auto-remove': <true>");
        g_autofree char *root = g_build_filename(fixture->directory, "root", NULL);

        testing_write(root, "srv/file", "shared");
        expect_prepared(fixture, keeping);
        expect_prepared(fixture, taking);
        expect_prepared(fixture, passing);
        g_assert_cmpuint(count_volumes(fixture), ==, 4);
        remove_with(fixture, passing, NULL);
        g_assert_cmpuint(count_volumes(fixture), ==, 3);
        remove_with(fixture, taking, "{'volumes': <true>}");
        g_assert_cmpuint(count_volumes(fixture), ==, 2);
        remove_with(fixture, keeping, NULL);
        g_assert_cmpuint(count_volumes(fixture), ==, 2);
        g_autofree char *text = read_in(fixture, "data", "file");
        g_assert_cmpstr(text, ==, "shared");
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *path;
                void (*test)(Fixture *fixture, gconstpointer unused);
        } tests[] = {
                {"/volumes/a-new-volume-gets-what-the-image-has", test_a_new_volume_gets_what_the_image_has},
                {"/volumes/what-fails-leaves-no-volume", test_what_fails_leaves_no_volume},
                {"/volumes/a-copy-can-be-cancelled", test_a_copy_can_be_cancelled},
                {"/volumes/of-two-that-make-it-one-wins", test_of_two_that_make_it_one_wins},
                {"/volumes/what-was-half-made-is-made-anew", test_what_was_half_made_is_made_anew},
                {"/volumes/who-goes-with-the-container", test_who_goes_with_the_container},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, NULL, fixture_set_up, tests[i].test, fixture_tear_down);
        return g_test_run();
}
