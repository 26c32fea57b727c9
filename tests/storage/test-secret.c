/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Values on their way from a descriptor to a file, and from there to a place. */

#include "storage/secret.h"
#include "testing.h"
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* What the child of the service would do, with fd as standard input. */
static pid_t store_begin(int fd, const char *path, int *ret_said) {
        int said[2];

        g_assert_cmpint(pipe2(said, O_CLOEXEC), ==, 0);
        pid_t child = fork();
        if (child == 0) {
                (void) (dup2(fd, STDIN_FILENO) + dup2(said[1], STDERR_FILENO));
                _exit(secret_store_main(path));
        }
        close(said[1]);
        *ret_said = said[0];
        return child;
}

/* Its status, and what it said. */
static int store_end(pid_t child, int said, char **ret_said) {
        char text[256] = "";
        int status = 0;

        g_assert_cmpint(waitpid(child, &status, 0), ==, child);
        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(read(said, text, sizeof text - 1), >=, 0);
        close(said);
        *ret_said = g_strdup(text);
        return WEXITSTATUS(status);
}

static int store(int fd, const char *path, char **ret_said) {
        int said;
        pid_t child = store_begin(fd, path, &said);

        return store_end(child, said, ret_said);
}

static bool is_asleep(pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int) pid), *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        return strstr(text, ") S ") != NULL;
}

static int pipe_with(const char *value, size_t size) {
        int ends[2];

        g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
        g_assert_cmpint(write(ends[1], value, size), ==, (ssize_t) size);
        close(ends[1]);
        return ends[0];
}

static char *place_in(const char *directory) {
        g_autofree char *path = g_build_filename(directory, "a", "b", NULL);

        g_assert_cmpint(g_mkdir_with_parents(path, 0700), ==, 0);
        return g_build_filename(path, "0", NULL);
}

static void test_a_value_is_stored_for_root_alone(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        g_autofree char *path = place_in(directory), *said = NULL, *text = NULL;
        autofd int fd = pipe_with("s\0cret", 6);
        struct stat st;
        gsize size;

        g_assert_cmpint(store(fd, path, &said), ==, SECRET_STORED);
        g_assert_cmpstr(said, ==, "");
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0600);
        g_assert_true(g_file_get_contents(path, &text, &size, NULL));
        g_assert_cmpmem(text, size, "s\0cret", 6);
        /* What is there already is not overwritten. */
        g_autofree char *again = NULL;
        autofd int other = pipe_with("x", 1);
        g_assert_cmpint(store(other, path, &again), ==, SECRET_NOT_STORED);
        g_assert_nonnull(strstr(again, "exists"));
}

/* The writer is slower than the reader, which must not give up. */
static void test_a_descriptor_that_does_not_wait_is_waited_for(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        g_autofree char *path = place_in(directory), *said = NULL, *text = NULL;
        int ends[2], said_fd;

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), ==, 0);
        pid_t child = store_begin(ends[0], path, &said_fd);
        close(ends[0]);
        while (!is_asleep(child))
                sched_yield();
        g_assert_cmpint(write(ends[1], "slow", 4), ==, 4);
        g_assert_cmpint(shutdown(ends[1], SHUT_WR), ==, 0);
        g_assert_cmpint(store_end(child, said_fd, &said), ==, SECRET_STORED);
        close(ends[1]);
        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "slow");
}

static void expect_bad(int fd, const char *part) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        g_autofree char *path = place_in(directory), *said = NULL;

        g_assert_cmpint(store(fd, path, &said), ==, SECRET_BAD_VALUE);
        if (!strstr(said, part))
                g_error("\"%s\" lacks \"%s\"", said, part);
        g_assert_cmpint(access(path, F_OK), <, 0);
}

static void test_bad_values(void) {
        autofd int empty = pipe_with("", 0), endless = open("/dev/zero", O_RDONLY | O_CLOEXEC), directory = open("/", O_RDONLY | O_CLOEXEC);

        expect_bad(empty, "is empty");
        expect_bad(endless, "more than 512000 bytes");
        expect_bad(directory, "cannot be read");
}

static void test_the_largest_value(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        g_autofree char *path = place_in(directory), *said = NULL, *large = g_malloc(SECRET_SIZE_MAX);
        struct stat st;

        memset(large, 'x', SECRET_SIZE_MAX);
        g_autofree char *source = g_build_filename(directory, "large", NULL);
        g_assert_true(g_file_set_contents(source, large, SECRET_SIZE_MAX, NULL));
        autofd int fd = open(source, O_RDONLY | O_CLOEXEC);
        g_assert_cmpint(store(fd, path, &said), ==, SECRET_STORED);
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpint(st.st_size, ==, SECRET_SIZE_MAX);
}

static void test_a_place_that_takes_nothing(void) {
        g_autofree char *said = NULL;
        autofd int fd = pipe_with("x", 1);

        g_assert_cmpint(store(fd, "/nowhere/at/all", &said), ==, SECRET_NOT_STORED);
        g_assert_nonnull(strstr(said, "cannot be stored"));
}

static void test_descriptors_that_cannot_be_read(void) {
        autofd int path = open("/etc/passwd", O_PATH | O_CLOEXEC), writing = open("/dev/null", O_WRONLY | O_CLOEXEC), both = open("/dev/null", O_RDWR | O_CLOEXEC);
        g_autoptr(GError) error = NULL;

        g_assert_true(secret_check_descriptor(both, "key", &error));
        g_assert_false(secret_check_descriptor(path, "key", &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, "open for reading");
        g_assert_false(secret_check_descriptor(writing, "key", &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, "open for reading");
        g_assert_false(secret_check_descriptor(-1, "key", &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, "open for reading");
}

static void test_a_value_is_placed(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        g_autofree char *source = g_build_filename(directory, "source", NULL), *target = g_build_filename(directory, "target", NULL), *link = g_build_filename(directory, "link", NULL);
        g_autoptr(GError) error = NULL;
        struct stat st;

        testing_write(directory, "source", "value");
        g_assert_cmpint(symlink(source, link), ==, 0);
        g_assert_true(secret_place(source, target, 5, getuid(), getgid(), 0440, &error));
        g_autofree char *text = testing_read(directory, "target");
        g_assert_cmpstr(text, ==, "value");
        g_assert_cmpint(stat(target, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0440);
        g_assert_false(secret_place(source, target, 5, 0, 0, 0400, &error));
        testing_expect_error(&error, CONBUS_ERROR_INTERNAL, "make");
        g_assert_cmpint(unlink(target), ==, 0);
        g_assert_false(secret_place(source, target, 4, 0, 0, 0400, &error));
        testing_expect_error(&error, CONBUS_ERROR_NO_SUCH_PATH, "at most 4 bytes");
        g_assert_false(secret_place("/nowhere", target, 5, 0, 0, 0400, &error));
        testing_expect_error(&error, CONBUS_ERROR_NO_SUCH_PATH, "does not exist");
        g_assert_false(secret_place(directory, target, 5000, 0, 0, 0400, &error));
        testing_expect_error(&error, CONBUS_ERROR_NO_SUCH_PATH, "regular file");
        g_assert_false(secret_place(link, target, 5, 0, 0, 0400, &error));
        g_clear_error(&error);
        g_assert_cmpint(access(target, F_OK), <, 0);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/secret/a-value-is-stored-for-root-alone", test_a_value_is_stored_for_root_alone);
        g_test_add_func("/secret/a-descriptor-that-does-not-wait-is-waited-for", test_a_descriptor_that_does_not_wait_is_waited_for);
        g_test_add_func("/secret/bad-values", test_bad_values);
        g_test_add_func("/secret/the-largest-value", test_the_largest_value);
        g_test_add_func("/secret/a-place-that-takes-nothing", test_a_place_that_takes_nothing);
        g_test_add_func("/secret/descriptors-that-cannot-be-read", test_descriptors_that_cannot_be_read);
        g_test_add_func("/secret/a-value-is-placed", test_a_value_is_placed);
        return g_test_run();
}
