/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* conbus-wake as a program, with a bus daemon that is the test, refuses, hangs up or is not there. */

#include "base/log.h"
#include "fake-bus.h"
#include "runtime/process.h"
#include "testing.h"
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>

typedef struct Fixture {
        sd_event *event;
        Reaper *reaper;
        char *directory, *address;
        FakeBus *bus;
        unsigned n_calls, n_ended;
        int status;
        unsigned before;
} Fixture;

static void on_call(FakeBus *bus, sd_bus_message *call, void *userdata) {
        Fixture *fixture = userdata;
        uint32_t flags = 1;
        const char *name;

        g_assert_true(sd_bus_message_is_method_call(call, "org.freedesktop.DBus", "StartServiceByName"));
        g_assert_cmpint(sd_bus_message_read(call, "su", &name, &flags), >=, 0);
        g_assert_cmpstr(name, ==, "io.conbus1");
        g_assert_cmpuint(flags, ==, 0);
        g_assert_false(sd_bus_message_get_expect_reply(call)); /* the activation is not waited for */
        fixture->n_calls++;
}

static void set_up(Fixture *fixture, gconstpointer unused) {
        log_set_level(LOG_EMERG);
        fixture->before = testing_count_descriptors();
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->reaper = reaper_new(fixture->event);
        fixture->directory = testing_directory_new();
        g_autofree char *path = g_build_filename(fixture->directory, "bus", NULL);
        fixture->address = g_strconcat("unix:path=", path, NULL);
        fixture->bus = fake_bus_listen(fixture->event, path, on_call, fixture);
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        fake_bus_free(fixture->bus);
        reaper_free(fixture->reaper);
        sd_event_unref(fixture->event);
        testing_directory_free(fixture->directory);
        g_free(fixture->address);
        g_assert_cmpuint(testing_count_descriptors(), ==, fixture->before);
}

static void on_ended(const ProcessResult *result, void *userdata) {
        Fixture *fixture = userdata;

        fixture->status = result->status;
        fixture->n_ended++;
}

/* Exit status of conbus-wake; each may be NULL. */
static int wake_unless(Fixture *fixture, const char *awake, const char *address, const char *in_environment) {
        g_autofree char *program = testing_built("service/conbus-wake");
        g_autofree char *variable = in_environment ? g_strconcat("DBUS_SYSTEM_BUS_ADDRESS=", in_environment, NULL) : NULL;
        const char *const argv[] = {program, awake ? awake : address, awake ? address : NULL, NULL}, *const environment[] = {"PATH=/usr/bin:/bin", variable, NULL};
        ProcessSpec spec = PROCESS_SPEC_INIT;
        g_autoptr(GError) error = NULL;

        spec.argv = argv;
        spec.environment = environment;
        fixture->n_ended = 0;
        (void) !process_begin(fixture->event, fixture->reaper, &spec, on_ended, fixture, &error);
        g_assert_no_error(error);
        testing_run_until_count(fixture->event, &fixture->n_ended, 1);
        g_assert_true(WIFEXITED(fixture->status));
        return WEXITSTATUS(fixture->status);
}

static int wake(Fixture *fixture, const char *address, const char *in_environment) {
        return wake_unless(fixture, NULL, address, in_environment);
}

static void test_the_service_is_asked_for(Fixture *fixture, gconstpointer unused) {
        g_assert_cmpint(wake(fixture, fixture->address, NULL), ==, 0);
        testing_run_until_count(fixture->event, &fixture->n_calls, 1);
        g_assert_cmpuint(fixture->bus->n_connections, ==, 1);
}

static void test_on_the_bus_of_the_environment(Fixture *fixture, gconstpointer unused) {
        g_assert_cmpint(wake(fixture, NULL, fixture->address), ==, 0);
        testing_run_until_count(fixture->event, &fixture->n_calls, 1);
}

static void test_the_argument_wins(Fixture *fixture, gconstpointer unused) {
        g_assert_cmpint(wake(fixture, fixture->address, "unix:path=/nonexistent/bus"), ==, 0);
        testing_run_until_count(fixture->event, &fixture->n_calls, 1);
}

static void test_without_a_bus_it_fails(Fixture *fixture, gconstpointer unused) {
        static const char *const addresses[] = {"unix:path=/nonexistent/bus", "nonsense", ""};

        for (unsigned i = 0; i < G_N_ELEMENTS(addresses); i++)
                g_assert_cmpint(wake(fixture, addresses[i], NULL), !=, 0);
        g_assert_cmpuint(fixture->bus->n_connections, ==, 0);
}

static void test_a_bus_that_refuses(Fixture *fixture, gconstpointer unused) {
        fixture->bus->refuses_hello = true;
        g_assert_cmpint(wake(fixture, fixture->address, NULL), !=, 0);
        g_assert_cmpuint(fixture->bus->n_connections, ==, 1);
}

static int on_connection(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        autofd int connection = accept(fd, NULL, NULL);

        return 0;
}

static void test_a_bus_that_hangs_up(Fixture *fixture, gconstpointer unused) {
        g_autofree char *path = g_build_filename(fixture->directory, "other", NULL), *address = g_strconcat("unix:path=", path, NULL);
        g_autoptr(sd_event_source) source = NULL;
        autofd int fd = testing_listen(path, SOCK_STREAM);

        g_assert_cmpint(sd_event_add_io(fixture->event, &source, fd, EPOLLIN, on_connection, NULL), >=, 0);
        g_assert_cmpint(wake(fixture, address, NULL), !=, 0);
}

static void test_one_that_is_awake_is_not_asked_for(Fixture *fixture, gconstpointer unused) {
        g_autofree char *path = g_build_filename(fixture->directory, "awake", NULL);
        autofd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        g_assert_cmpint(flock(fd, LOCK_EX | LOCK_NB), ==, 0);
        g_assert_cmpint(wake_unless(fixture, path, fixture->address, NULL), ==, 0);
        g_assert_cmpint(wake_unless(fixture, path, "unix:path=/nonexistent/bus", NULL), ==, 0);
        g_assert_cmpuint(fixture->bus->n_connections, ==, 0);
        fd = close_fd(fd); /* as the end of the service does, however it comes */
        g_assert_cmpint(wake_unless(fixture, path, fixture->address, NULL), ==, 0);
        testing_run_until_count(fixture->event, &fixture->n_calls, 1);
        g_assert_cmpint(unlink(path), ==, 0);
        g_assert_cmpint(wake_unless(fixture, path, fixture->address, NULL), ==, 0);
        testing_run_until_count(fixture->event, &fixture->n_calls, 2);
}

static void test_awake_and_the_bus_of_the_environment(Fixture *fixture, gconstpointer unused) {
        g_autofree char *path = g_build_filename(fixture->directory, "awake", NULL);

        g_assert_cmpint(wake_unless(fixture, path, NULL, fixture->address), ==, 0);
        testing_run_until_count(fixture->event, &fixture->n_calls, 1);
}

#define ADD(name, function) g_test_add("/wake/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD("the-service-is-asked-for", test_the_service_is_asked_for);
        ADD("on-the-bus-of-the-environment", test_on_the_bus_of_the_environment);
        ADD("the-argument-wins", test_the_argument_wins);
        ADD("without-a-bus-it-fails", test_without_a_bus_it_fails);
        ADD("a-bus-that-refuses", test_a_bus_that_refuses);
        ADD("a-bus-that-hangs-up", test_a_bus_that_hangs_up);
        ADD("one-that-is-awake-is-not-asked-for", test_one_that_is_awake_is_not_asked_for);
        ADD("awake-and-the-bus-of-the-environment", test_awake_and_the_bus_of_the_environment);
        return g_test_run();
}
