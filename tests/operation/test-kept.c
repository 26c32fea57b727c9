/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What creations keep of descriptors, in a mount namespace of this process. */

#include "fixture.h"
#include "operation/kept.h"
#include "storage/mounts.h"
#include "storage/secret.h"
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

static void on_done(Operation *operation, GVariant *result, const GError *error, void *userdata) {
        Answer *answer = userdata;

        answer->n++;
        answer->result = result ? g_variant_print(result, FALSE) : NULL;
        answer->error = error ? g_error_copy(error) : NULL;
}

/* fd is sent with the handle 0. */
static Operation *create(Fixture *fixture, const char *keys, int fd, Answer *answer, GError **error) {
        g_autofree char *text = g_strdup_printf("{'rootfs': <'%s'>, 'command': <['sh']>, %s}", fixture->directory, keys);
        g_autoptr(GVariant) config = testing_parse(text);
        g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));

        g_array_append_val(fds, fd);
        return operation_create(fixture->engine, "web", "", NULL, config, fds, NULL, on_done, answer, error);
}

static Container *create_and_wait(Fixture *fixture, const char *keys, int fd, Answer *answer) {
        g_autoptr(GError) error = NULL;
        Operation *operation = create(fixture, keys, fd, answer, &error);

        g_assert_no_error(error);
        g_autoptr(Container) container = container_ref(operation->container);
        testing_run_until_count(fixture->event, &answer->n, 1);
        return container->registry ? container : NULL;
}

static int open_directory(Fixture *fixture) {
        testing_write(fixture->directory, "given/file", "content");
        g_autofree char *path = g_build_filename(fixture->directory, "given", NULL);

        return open(path, O_PATH | O_CLOEXEC);
}

static bool is_empty(const char *top) {
        g_autofree char *path = g_build_filename(top, "containers", NULL);
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);

        return g_dir_read_name(directory) == NULL;
}

static bool nothing_is_there(void *userdata) {
        Fixture *fixture = userdata;

        return is_empty(fixture->paths.state) && is_empty(fixture->paths.run);
}

#define MOUNT "'mounts': <[{'target': <'/a'>, 'source-fd': <handle 0>}]>"

static void test_a_directory_lives_as_long_as_its_container(Fixture *fixture, gconstpointer unused) {
        g_auto(Answer) answer = {0}, removed = {0};
        autofd int fd = open_directory(fixture);
        Container *container = create_and_wait(fixture, MOUNT, fd, &answer);

        g_assert_no_error(answer.error);
        g_assert_nonnull(container);
        g_autofree char *place = kept_path(&fixture->paths, container), *text = testing_read(place, "0/file"), *mark = paths_state_of(&fixture->paths, container->id, "creating");
        g_assert_cmpstr(text, ==, "content");
        g_assert_cmpint(access(mark, F_OK), <, 0);
        g_assert_true(kept_check(&fixture->paths, container, NULL));
        fixture_do(fixture, container, VERB_REMOVE, NULL, &removed);
        g_assert_no_error(removed.error);
        g_assert_true(nothing_is_there(fixture));
}

static void test_what_is_wrong_is_said_before_anything_is_made(Fixture *fixture, gconstpointer unused) {
        g_auto(Answer) answer = {0};
        g_autoptr(GError) error = NULL;
        autofd int fd = open_directory(fixture), device = open("/dev/null", O_RDWR | O_CLOEXEC);

        g_assert_null(create(fixture, "'mounts': <[{'target': <'/a'>, 'source-fd': <handle 1>}]>", fd, &answer, &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, "number 1");
        g_assert_null(create(fixture, "'mounts': <[{'target': <'/a'>, 'source-fd': <handle -1>}]>", fd, &answer, &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, "\"mounts/source-fd\"");
        g_assert_null(create(fixture, MOUNT, device, &answer, &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, "neither a directory nor a file");
        testing_run_idle(fixture->event);
        g_assert_cmpuint(answer.n, ==, 0);
        g_assert_true(nothing_is_there(fixture));
}

static void test_a_commit_that_fails_leaves_nothing(Fixture *fixture, gconstpointer unused) {
        g_auto(Answer) answer = {0};
        g_autoptr(GError) error = NULL;
        autofd int fd = open_directory(fixture);

        fixture_break_store(fixture);
        g_assert_null(create_and_wait(fixture, MOUNT, fd, &answer));
        testing_expect_error(&answer.error, CONBUS_ERROR_INTERNAL, "refused");
        g_assert_true(nothing_is_there(fixture));
        g_assert_true(registry_reserve_name(fixture->registry, "web", &error));
}

static void test_what_cannot_be_kept_leaves_nothing(Fixture *fixture, gconstpointer unused) {
        g_auto(Answer) answer = {0};
        autofd int memory = memfd_create("m", MFD_CLOEXEC);

        g_assert_null(create_and_wait(fixture, MOUNT, memory, &answer));
        testing_expect_error(&answer.error, CONBUS_ERROR_INVALID_CONFIG, "can be mounted");
        g_assert_true(nothing_is_there(fixture));
}

static void test_a_network_namespace_is_kept(Fixture *fixture, gconstpointer unused) {
        g_auto(Answer) answer = {0}, refused = {0}, removed = {0};
        g_autoptr(GError) error = NULL;
        autofd int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

        g_assert_null(create(fixture, "'netns-fd': <handle 0>", own, &refused, &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, "host's own");
        g_assert_cmpint(unshare(CLONE_NEWNET), ==, 0);
        autofd int fresh = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        g_assert_cmpint(setns(own, CLONE_NEWNET), ==, 0);
        Container *container = create_and_wait(fixture, "'netns-fd': <handle 0>", fresh, &answer);
        g_assert_no_error(answer.error);
        g_autofree char *path = kept_network_path(&fixture->paths, container);
        struct stat kept, given;
        g_assert_cmpint(stat(path, &kept), ==, 0);
        g_assert_cmpint(fstat(fresh, &given), ==, 0);
        g_assert_cmpuint(kept.st_ino, ==, given.st_ino);
        g_assert_true(kept_release(&fixture->paths, container->id, NULL));
        g_assert_false(kept_check(&fixture->paths, container, &error));
        testing_expect_error(&error, CONBUS_ERROR_NO_SUCH_PATH, "reboot");
        fixture_do(fixture, container, VERB_REMOVE, NULL, &removed);
        g_assert_no_error(removed.error);
}

#define SECRET "'secrets': <[{'name': <'a'>, 'value-fd': <handle 0>}]>"

static int pipe_with(const char *value, int *ret_writer) {
        int ends[2];

        g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
        g_assert_cmpint(write(ends[1], value, strlen(value)), ==, (ssize_t) strlen(value));
        *ret_writer = ends[1];
        return ends[0];
}

/* The creation waits for the end of the value, and has no slot meanwhile. */
static void test_a_value_is_stored_before_the_commit(Fixture *fixture, gconstpointer unused) {
        g_auto(Answer) answer = {0}, removed = {0};
        g_autoptr(GError) error = NULL;
        int writer;
        autofd int fd = pipe_with("value", &writer);
        Operation *operation = create(fixture, SECRET, fd, &answer, &error);

        g_assert_no_error(error);
        g_autoptr(Container) container = container_ref(operation->container);
        g_autofree char *path = kept_secret_path(&fixture->paths, container->id, 0), *mark = paths_state_of(&fixture->paths, container->id, "creating");
        testing_run_idle(fixture->event);
        g_assert_cmpuint(answer.n, ==, 0);
        g_assert_cmpuint(fixture->engine->n_running, ==, 0);
        g_assert_null(container->registry);
        g_assert_cmpint(access(mark, F_OK), ==, 0);
        close(writer);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        g_assert_nonnull(container->registry);
        g_autofree char *text = testing_read("/", path + 1);
        g_assert_cmpstr(text, ==, "value");
        g_assert_cmpint(access(mark, F_OK), <, 0);
        fixture_do(fixture, container, VERB_REMOVE, NULL, &removed);
        g_assert_true(nothing_is_there(fixture));
}

static void test_values_that_are_none_leave_nothing(Fixture *fixture, gconstpointer unused) {
        g_auto(Answer) none = {0}, late = {0};
        int writer, silent;
        autofd int empty = pipe_with("", &writer), endless = pipe_with("x", &silent);

        close(writer);
        g_assert_null(create_and_wait(fixture, SECRET, empty, &none));
        testing_expect_error(&none.error, CONBUS_ERROR_INVALID_CONFIG, "the value is empty");
        g_assert_true(nothing_is_there(fixture));
        fixture->engine->settings.runtime_usec = 50000;
        g_assert_null(create_and_wait(fixture, SECRET, endless, &late));
        testing_expect_error(&late.error, CONBUS_ERROR_INVALID_CONFIG, "has no end");
        close(silent);
        g_assert_true(nothing_is_there(fixture));
}

/* As after a reboot. */
static void test_what_is_gone_is_said_at_a_run(Fixture *fixture, gconstpointer unused) {
        g_auto(Answer) answer = {0}, removed = {0};
        g_autoptr(GError) error = NULL;
        autofd int fd = open_directory(fixture);
        Container *container = create_and_wait(fixture, MOUNT, fd, &answer);

        g_assert_true(kept_release(&fixture->paths, container->id, &error));
        g_assert_no_error(error);
        g_assert_false(kept_check(&fixture->paths, container, &error));
        testing_expect_error(&error, CONBUS_ERROR_NO_SUCH_PATH, "reboot");
        fixture_do(fixture, container, VERB_REMOVE, NULL, &removed);
        g_assert_no_error(removed.error);
}

/* As a power cut leaves it: the row has gone, the directory is back. */
static void test_strays_of_a_removal_are_removed(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_autofree char *state = paths_state_of(&fixture->paths, container->id, NULL);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
        g_assert_no_error(answer.error);
        testing_write(state, "upper/file", "x");
        kept_remove_strays(fixture->engine);
        while (access(state, F_OK) == 0)
                g_assert_cmpint(sd_event_run(fixture->event, TESTING_DEADLINE_USEC), >, 0);
}

static void test_strays_of_a_creation_are_removed(Fixture *fixture, gconstpointer unused) {
        g_autofree char *stray = g_strdup_printf("%064x", 0xabcu), *lost = g_strdup_printf("%064x", 0xdefu), *place = paths_run_of(&fixture->paths, stray, "kept"), *state = paths_state_of(&fixture->paths, stray, NULL);
        g_autofree char *run = paths_run_of(&fixture->paths, stray, NULL), *layer = paths_state_of(&fixture->paths, lost, NULL);
        autofd int fd = open_directory(fixture);
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_autofree char *own = paths_state_of(&fixture->paths, container->id, NULL);

        testing_write(state, "creating", "");
        testing_write(state, "secrets/0", "x");
        testing_write(layer, "upper/file", "precious"); /* of a database that somebody has lost */
        testing_write(own, "creating", "");
        testing_write(own, "upper/file", "y");
        g_assert_true(mounts_make_place(place, 65536, 0, NULL));
        g_assert_true(mounts_keep(place, 0, fd, "key", NULL));
        kept_remove_strays(fixture->engine);
        g_assert_false(mounts_is_mounted(place));
        while (access(state, F_OK) == 0 || access(run, F_OK) == 0)
                g_assert_cmpint(sd_event_run(fixture->event, TESTING_DEADLINE_USEC), >, 0);
        g_autofree char *given = testing_read(fixture->directory, "given/file"), *precious = testing_read(layer, "upper/file"), *kept = testing_read(own, "upper/file"), *mark = testing_read(own, "creating");
        g_assert_cmpstr(given, ==, "content");
        g_assert_cmpstr(precious, ==, "precious");
        g_assert_cmpstr(kept, ==, "y");
        g_assert_null(mark);
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *path;
                void (*test)(Fixture *fixture, gconstpointer unused);
        } tests[] = {
                {"/kept/a-directory-lives-as-long-as-its-container", test_a_directory_lives_as_long_as_its_container},
                {"/kept/what-is-wrong-is-said-before-anything-is-made", test_what_is_wrong_is_said_before_anything_is_made},
                {"/kept/a-commit-that-fails-leaves-nothing", test_a_commit_that_fails_leaves_nothing},
                {"/kept/what-cannot-be-kept-leaves-nothing", test_what_cannot_be_kept_leaves_nothing},
                {"/kept/a-value-is-stored-before-the-commit", test_a_value_is_stored_before_the_commit},
                {"/kept/values-that-are-none-leave-nothing", test_values_that_are_none_leave_nothing},
                {"/kept/a-network-namespace-is-kept", test_a_network_namespace_is_kept},
                {"/kept/what-is-gone-is-said-at-a-run", test_what_is_gone_is_said_at_a_run},
                {"/kept/strays-of-a-creation-are-removed", test_strays_of_a_creation_are_removed},
                {"/kept/strays-of-a-removal-are-removed", test_strays_of_a_removal_are_removed},
        };

        if (argc == 3 && g_str_equal(argv[1], "--store-secret")) /* the service is its own child */
                return secret_store_main(argv[2]);
        g_test_init(&argc, &argv, NULL);
        if (!testing_unshare_mounts())
                return 0;
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, NULL, fixture_set_up, tests[i].test, fixture_tear_down);
        return g_test_run();
}
