/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The test is the service manager: it hears what is stored and removed, and passes descriptors at a start. */

#include "base/fd-store.h"
#include "base/log.h"
#include "notified.h"
#include "testing.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

typedef struct Fixture {
        char *directory;
        int manager;
        unsigned before;
} Fixture;

/* Low numbers stay free for what is passed. */
static void set_up(Fixture *fixture, gconstpointer unused) {
        log_set_level(LOG_EMERG);
        fixture->before = testing_count_descriptors();
        fixture->directory = testing_directory_new();
        autofd int low = notified_open(fixture->directory);
        fixture->manager = fcntl(low, F_DUPFD_CLOEXEC, 32);
        g_assert_cmpint(fixture->manager, >=, 0);
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        fd_store_drop_rest();
        notified_close(fixture->manager);
        testing_directory_free(fixture->directory);
        g_assert_cmpuint(testing_count_descriptors(), ==, fixture->before);
}

static int null_new(void) {
        int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        g_assert_cmpint(fd, >=, 0);
        return fd;
}

static bool is_same(int a, int b) {
        struct stat one, other;

        g_assert_no_errno(fstat(a, &one));
        g_assert_no_errno(fstat(b, &other));
        return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

static void expect_stored(Fixture *fixture, const char *wanted, int original) {
        autofd int fd = -1;
        g_autofree char *text = notified_next(fixture->manager, &fd);

        g_assert_cmpstr(text, ==, wanted);
        g_assert_cmpint(fd, >=, 0);
        g_assert_true(is_same(fd, original));
}

static void test_what_is_pushed_arrives_with_its_descriptor(Fixture *fixture, gconstpointer unused) {
        int pipe_fds[2];

        g_assert_no_errno(pipe2(pipe_fds, O_CLOEXEC));
        autofd int reading = pipe_fds[0], writing = pipe_fds[1];
        fd_store_push("one", reading, FD_STORE_KEEP);
        fd_store_push("two", writing, FD_STORE_DROP_AT_HANGUP);
        expect_stored(fixture, "FDSTORE=1\nFDNAME=one\nFDPOLL=0", reading);
        expect_stored(fixture, "FDSTORE=1\nFDNAME=two", writing);
        g_assert_cmpint(fcntl(reading, F_GETFD), ==, FD_CLOEXEC); /* it stays the caller's */
        fd_store_remove("one");
        notified_expect(fixture->manager, "FDSTOREREMOVE=1\nFDNAME=one");
        notified_expect(fixture->manager, NULL);
}

static void test_without_a_manager_nothing_is_kept(Fixture *fixture, gconstpointer unused) {
        autofd int fd = null_new();

        g_unsetenv("NOTIFY_SOCKET");
        fd_store_push("one", fd, FD_STORE_KEEP);
        fd_store_remove("one");
        fd_store_receive();
        g_auto(GStrv) names = fd_store_list("");
        g_assert_cmpuint(g_strv_length(names), ==, 0);
        g_assert_cmpint(fd_store_take("one"), ==, -1);
        g_assert_true(g_setenv("NOTIFY_SOCKET", "/nonexistent/socket", true)); /* a manager that has gone is no fault of ours */
        fd_store_push("one", fd, FD_STORE_KEEP);
        fd_store_remove("one");
        g_assert_cmpint(fcntl(fd, F_GETFD), ==, FD_CLOEXEC);
}

static void test_nothing_comes_back_before_it_is_received(Fixture *fixture, gconstpointer unused) {
        g_auto(GStrv) names = fd_store_list("");

        g_assert_cmpuint(g_strv_length(names), ==, 0);
        g_assert_cmpint(fd_store_take("one"), ==, -1);
        fd_store_drop_rest();
        notified_expect(fixture->manager, NULL);
}

static void test_what_came_back_is_taken_once(Fixture *fixture, gconstpointer unused) {
        int pipe_fds[2];

        g_assert_no_errno(pipe2(pipe_fds, O_CLOEXEC));
        g_assert_cmpint(write(pipe_fds[1], "x", 1), ==, 1);
        notified_pass(pipe_fds, 2, "wait-1:pidfd-2");
        fd_store_receive();
        g_assert_null(g_getenv("LISTEN_FDS")); /* children must not take them for theirs */
        g_auto(GStrv) waits = fd_store_list("wait-"), all = fd_store_list(""), none = fd_store_list("wait-12");
        g_assert_cmpuint(g_strv_length(all), ==, 2);
        g_assert_cmpuint(g_strv_length(waits), ==, 1);
        g_assert_cmpstr(waits[0], ==, "wait-1");
        g_assert_cmpuint(g_strv_length(none), ==, 0);
        autofd int fd = fd_store_take("wait-1");
        g_assert_cmpint(fcntl(fd, F_GETFD), ==, FD_CLOEXEC);
        g_assert_cmpint(read(fd, &(char) {0}, 1), ==, 1);
        g_assert_cmpint(fd_store_take("wait-1"), ==, -1);
        notified_expect(fixture->manager, NULL); /* taking is not removing */
}

static void test_the_rest_is_closed_and_removed(Fixture *fixture, gconstpointer unused) {
        const int fds[] = {null_new(), null_new()};

        notified_pass(fds, 2, "mine:forgotten");
        fd_store_receive();
        autofd int mine = fd_store_take("mine");
        unsigned before = testing_count_descriptors();
        fd_store_drop_rest();
        notified_expect(fixture->manager, "FDSTOREREMOVE=1\nFDNAME=forgotten");
        notified_expect(fixture->manager, NULL);
        g_assert_cmpuint(testing_count_descriptors(), ==, before - 1);
        g_assert_cmpint(fcntl(mine, F_GETFD), ==, FD_CLOEXEC);
        g_assert_cmpint(fd_store_take("forgotten"), ==, -1);
}

static void test_of_two_with_one_name_one_is_kept(Fixture *fixture, gconstpointer unused) {
        const int fds[] = {null_new(), null_new(), null_new()};
        unsigned before = testing_count_descriptors();

        notified_pass(fds, 3, "twin:other:twin");
        fd_store_receive();
        g_auto(GStrv) names = fd_store_list("");
        g_assert_cmpuint(g_strv_length(names), ==, 2);
        g_assert_cmpuint(testing_count_descriptors(), ==, before - 1);
        autofd int twin = fd_store_take("twin"), other = fd_store_take("other");
        g_assert_cmpint(fcntl(twin, F_GETFD), ==, FD_CLOEXEC);
        g_assert_cmpint(fcntl(other, F_GETFD), ==, FD_CLOEXEC);
}

static void test_a_count_that_lies_brings_nothing(Fixture *fixture, gconstpointer unused) {
        g_autofree char *self = g_strdup_printf("%d", (int) getpid());
        static const char *const counts[] = {"x", "-1", "99999999999", "1"}; /* 1: there is no descriptor 3 */

        for (unsigned i = 0; i < G_N_ELEMENTS(counts); i++) {
                g_setenv("LISTEN_FDS", counts[i], true);
                g_setenv("LISTEN_PID", self, true);
                g_setenv("LISTEN_FDNAMES", "a", true);
                g_assert_cmpint(fcntl(3, F_GETFD), <, 0);
                fd_store_receive();
                g_auto(GStrv) names = fd_store_list("");
                g_assert_cmpuint(g_strv_length(names), ==, 0);
                fd_store_drop_rest();
        }
}

static void test_what_is_meant_for_another_process_is_left_alone(Fixture *fixture, gconstpointer unused) {
        const int fds[] = {null_new()};

        notified_pass(fds, 1, "a");
        g_setenv("LISTEN_PID", "1", true);
        fd_store_receive();
        g_auto(GStrv) names = fd_store_list("");
        g_assert_cmpuint(g_strv_length(names), ==, 0);
        autofd int fd = 3;
        g_assert_cmpint(fcntl(fd, F_GETFD), >=, 0);
}

#define ADD(name, function) g_test_add("/fd-store/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        notified_clear_place();
        ADD("what-is-pushed-arrives-with-its-descriptor", test_what_is_pushed_arrives_with_its_descriptor);
        ADD("without-a-manager-nothing-is-kept", test_without_a_manager_nothing_is_kept);
        ADD("nothing-comes-back-before-it-is-received", test_nothing_comes_back_before_it_is_received);
        ADD("what-came-back-is-taken-once", test_what_came_back_is_taken_once);
        ADD("the-rest-is-closed-and-removed", test_the_rest_is_closed_and_removed);
        ADD("of-two-with-one-name-one-is-kept", test_of_two_with_one_name_one_is_kept);
        ADD("a-count-that-lies-brings-nothing", test_a_count_that_lies_brings_nothing);
        ADD("what-is-meant-for-another-process-is-left-alone", test_what_is_meant_for_another_process_is_left_alone);
        return g_test_run();
}
