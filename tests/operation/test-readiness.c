/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Readiness: messages of sd_notify(3) in every form, from inside and outside, and the time a start may take. */

#include "fixture.h"
#include "runtime/cgroup.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

typedef struct Sender {
        int fd;
        char *directory;
} Sender;

static void sender_clear(Sender *sender) {
        sender->fd = close_fd(sender->fd);
        g_free(sender->directory);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Sender, sender_clear)

/* A running container with a socket, and us inside of its control group. */
static Container *add_notifying(Fixture *fixture, Sender *sender, const char *config) {
        Container *container = fixture_add(fixture, "web", config);
        g_autoptr(GError) error = NULL;
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        (void) fixture_run(fixture, container, STATE_RUNNING);
        g_free(container->life.cgroup);
        container->life.cgroup = cgroup_of_pid(getpid());
        g_assert_true(readiness_prepare(fixture->engine, container, 1, &sender->directory, &error));
        g_assert_no_error(error);
        autofd int directory = open(sender->directory, O_PATH | O_DIRECTORY | O_CLOEXEC); /* the path is longer than a socket's may be */
        snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/notify", directory);
        sender->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(connect(sender->fd, (struct sockaddr *) &address, sizeof address), ==, 0);
        return container;
}

#define NOTIFYING "{'notify': <'ready'>}"

static void say(Fixture *fixture, Sender *sender, const char *message, size_t size) {
        g_assert_cmpint(send(sender->fd, message, size, 0), ==, (ssize_t) size);
        testing_run_idle(fixture->event);
}

static void test_messages(Fixture *fixture, gconstpointer unused) {
        static const struct {
                const char *message;
                bool ready;
                const char *status;
        } table[] = {
                {"", false, ""},
                {"READY=1", true, ""},
                {"READY=1\n", true, ""},
                {"READY=0", false, ""},
                {"READY=", false, ""},
                {"READY=10", false, ""},
                {" READY=1", false, ""},
                {"ready=1", false, ""},
                {"NOREADY=1", false, ""},
                {"READY=1=1", false, ""},
                {"STATUS=busy", false, "busy"},
                {"STATUS=", false, ""},
                {"STATUS=a=b c", false, "a=b c"},
                {"STATUS=one\nSTATUS=two", false, "two"},
                {"STATUS=up\nREADY=1\nMAINPID=1\n", true, "up"},
                {"WATCHDOG=1\nFDSTORE=1\n\nREADY=1", true, ""},
                {"STATUS=tab\there\x7f\x1b[31m", false, "tab here  [31m"},
                {"STATUS=caf\xc3\xa9", false, "café"},
                {"STATUS=bad \xff byte", false, "bad \xef\xbf\xbd byte"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                Fixture own = {0};
                fixture_set_up(&own, NULL);
                g_auto(Sender) sender = {.fd = -1};
                Container *container = add_notifying(&own, &sender, NOTIFYING);
                say(&own, &sender, table[i].message, strlen(table[i].message));
                if (container->life.ready != table[i].ready || !g_str_equal(container->life.status_text, table[i].status))
                        g_error("\"%s\": %d \"%s\"", table[i].message, container->life.ready, container->life.status_text);
                fixture_tear_down(&own, NULL);
        }
}

static void test_a_status_is_bounded(Fixture *fixture, gconstpointer unused) {
        g_auto(Sender) sender = {.fd = -1};
        Container *container = add_notifying(fixture, &sender, NOTIFYING);
        g_autofree char *text = g_strnfill(1000, 'x'), *message = g_strconcat("STATUS=", text, NULL);

        say(fixture, &sender, message, strlen(message));
        g_assert_cmpuint(strlen(container->life.status_text), ==, 256);
}

static void test_a_message_that_is_too_long_is_ignored(Fixture *fixture, gconstpointer unused) {
        g_auto(Sender) sender = {.fd = -1};
        Container *container = add_notifying(fixture, &sender, NOTIFYING);
        g_autofree char *text = g_strnfill(5000, 'x'), *message = g_strconcat("READY=1\nX=", text, NULL);

        say(fixture, &sender, message, strlen(message));
        g_assert_false(container->life.ready);
        say(fixture, &sender, "READY=1", 7);
        g_assert_true(container->life.ready);
}

static void test_readiness_does_not_go_away(Fixture *fixture, gconstpointer unused) {
        g_auto(Sender) sender = {.fd = -1};
        Container *container = add_notifying(fixture, &sender, NOTIFYING);

        say(fixture, &sender, "READY=1", 7);
        say(fixture, &sender, "READY=0\nSTATUS=still", 20);
        g_assert_true(container->life.ready);
        g_assert_cmpstr(container->life.status_text, ==, "still");
}

static void test_a_stranger_is_not_believed(Fixture *fixture, gconstpointer unused) {
        g_auto(Sender) sender = {.fd = -1};
        Container *container = add_notifying(fixture, &sender, NOTIFYING);

        g_free(container->life.cgroup);
        container->life.cgroup = g_strdup("/conbus/elsewhere");
        say(fixture, &sender, "READY=1\nSTATUS=forged", 21);
        g_assert_false(container->life.ready);
        g_assert_cmpstr(container->life.status_text, ==, "");
}

static void test_descriptors_that_come_along_are_closed(Fixture *fixture, gconstpointer unused) {
        g_auto(Sender) sender = {.fd = -1};
        Container *container = add_notifying(fixture, &sender, NOTIFYING);
        int fds[3] = {0, 1, 2};
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof fds)];
        } control = {0};
        struct iovec iov = {.iov_base = (void *) "READY=1", .iov_len = 7};
        struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        unsigned before = testing_count_descriptors();

        control.header = (struct cmsghdr) {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fds)};
        memcpy(CMSG_DATA(&control.header), fds, sizeof fds);
        g_assert_cmpint(sendmsg(sender.fd, &message, 0), ==, 7);
        testing_run_idle(fixture->event);
        g_assert_true(container->life.ready);
        g_assert_cmpuint(testing_count_descriptors(), <=, before);
}

static void test_anybody_in_the_container_may_write_and_nobody_else_may_enter(Fixture *fixture, gconstpointer unused) {
        g_auto(Sender) sender = {.fd = -1};
        struct stat st;

        add_notifying(fixture, &sender, NOTIFYING);
        g_autofree char *path = g_build_filename(sender.directory, "notify", NULL), *containers = g_build_filename(fixture->paths.run, "containers", NULL);
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0666);
        g_assert_cmpint(stat(containers, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0700);
}

static void test_a_closed_socket_hears_nothing(Fixture *fixture, gconstpointer unused) {
        g_auto(Sender) sender = {.fd = -1};
        Container *container = add_notifying(fixture, &sender, NOTIFYING);

        readiness_close(container);
        readiness_close(container);
        g_assert_cmpint(send(sender.fd, "READY=1", 7, 0), ==, -1);
        g_assert_cmpint(errno, ==, ECONNREFUSED);
}

static void test_no_socket_unless_it_is_asked_for(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "{'notify': <'started'>}");
        char *directory = NULL;

        g_assert_true(readiness_prepare(fixture->engine, container, 1, &directory, NULL));
        g_assert_null(directory);
        g_assert_null(container->readiness);
}

/* --- the start --- */

static void test_started_is_ready_at_once(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");

        (void) fixture_run(fixture, container, STATE_RUNNING);
        readiness_started(fixture->engine, container);
        g_assert_true(container->life.ready);
}

static void test_others_are_not_ready_yet(Fixture *fixture, gconstpointer config) {
        Container *container = fixture_add(fixture, "web", config);

        (void) fixture_run(fixture, container, STATE_RUNNING);
        readiness_started(fixture->engine, container);
        testing_run_idle(fixture->event);
        g_assert_false(container->life.ready);
        readiness_set_ready(fixture->engine, container); /* the health layer says so */
        g_assert_true(container->life.ready);
}

static void test_a_start_that_takes_too_long_is_killed(Fixture *fixture, gconstpointer unused) {
        g_auto(Sender) sender = {.fd = -1};
        Container *container = add_notifying(fixture, &sender, "{'notify': <'ready'>, 'start-timeout-usec': <uint64 1000>}");

        readiness_started(fixture->engine, container);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        g_assert_cmpint(container->life.result, ==, RESULT_TIMEOUT);
        g_assert_cmpint(container->life.exit_signal, ==, SIGKILL);
        g_assert_null(container->readiness);
}

static void test_a_start_that_is_ready_in_time_lives(Fixture *fixture, gconstpointer unused) {
        g_auto(Sender) sender = {.fd = -1};
        Container *container = add_notifying(fixture, &sender, "{'notify': <'ready'>, 'start-timeout-usec': <uint64 300000>}");
        gint64 end = g_get_monotonic_time() + 400 * G_TIME_SPAN_MILLISECOND;

        readiness_started(fixture->engine, container);
        say(fixture, &sender, "READY=1", 7);
        while (g_get_monotonic_time() < end) /* until after the deadline it had */
                g_assert_cmpint(sd_event_run(fixture->event, (guint64) (MAX(end - g_get_monotonic_time(), 0)) + 1), >=, 0);
        g_assert_cmpint(container->life.state, ==, STATE_RUNNING);
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *path;
                void (*test)(Fixture *fixture, gconstpointer data);
                const char *config;
        } tests[] = {
                {"/readiness/messages", test_messages},
                {"/readiness/a-status-is-bounded", test_a_status_is_bounded},
                {"/readiness/a-message-that-is-too-long-is-ignored", test_a_message_that_is_too_long_is_ignored},
                {"/readiness/readiness-does-not-go-away", test_readiness_does_not_go_away},
                {"/readiness/a-stranger-is-not-believed", test_a_stranger_is_not_believed},
                {"/readiness/descriptors-that-come-along-are-closed", test_descriptors_that_come_along_are_closed},
                {"/readiness/anybody-in-the-container-may-write-and-nobody-else-may-enter", test_anybody_in_the_container_may_write_and_nobody_else_may_enter},
                {"/readiness/a-closed-socket-hears-nothing", test_a_closed_socket_hears_nothing},
                {"/readiness/no-socket-unless-it-is-asked-for", test_no_socket_unless_it_is_asked_for},
                {"/readiness/started-is-ready-at-once", test_started_is_ready_at_once},
                {"/readiness/ready-is-not-ready-yet", test_others_are_not_ready_yet, "{'notify': <'ready'>}"},
                {"/readiness/healthy-is-not-ready-yet", test_others_are_not_ready_yet, "{'notify': <'healthy'>, 'start-timeout-usec': <uint64 18446744073709551614>}"},
                {"/readiness/a-start-that-takes-too-long-is-killed", test_a_start_that_takes_too_long_is_killed},
                {"/readiness/a-start-that-is-ready-in-time-lives", test_a_start_that_is_ready_in_time_lives},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, tests[i].config, fixture_set_up, tests[i].test, fixture_tear_down);
        return g_test_run();
}
