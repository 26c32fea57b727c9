/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* conbusd as a program, between a bus daemon and a service manager that are the test: when it is ready, when it leaves, and what keeps it from beginning. */

#include "base/log.h"
#include "fake-bus.h"
#include "notified.h"
#include "runtime/process.h"
#include "testing.h"
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

typedef struct Fixture {
        sd_event *event;
        Reaper *reaper;
        char *directory, *state, *run, *address;
        int manager; /* the notify socket */
        sd_event_source *manager_source;
        GPtrArray *notes; /* what the service manager was told, without STATUS= */
        FakeBus *bus;
        sd_bus_message *asked, *release; /* RequestName and ReleaseName that were not answered */
        unsigned n_asked, n_releases, n_ended;
        Process *process;
        int status;
        char *errors;
        unsigned before;
} Fixture;

static void on_call(FakeBus *bus, sd_bus_message *call, void *userdata) {
        Fixture *fixture = userdata;

        if (sd_bus_message_is_method_call(call, NULL, "ReleaseName")) {
                fixture->release = sd_bus_message_ref(call);
                fixture->n_releases++;
        } else if (!sd_bus_message_is_method_call(call, NULL, "RequestName"))
                g_assert_cmpint(sd_bus_reply_method_errorf(call, SD_BUS_ERROR_NOT_SUPPORTED, "not here"), >=, 0);
        else {
                fixture->asked = sd_bus_message_ref(call);
                fixture->n_asked++;
        }
}

static void give_name(Fixture *fixture, uint32_t code) {
        testing_run_until_count(fixture->event, &fixture->n_asked, 1);
        if (code == 0)
                g_assert_cmpint(sd_bus_reply_method_errorf(fixture->asked, SD_BUS_ERROR_ACCESS_DENIED, "no"), >=, 0);
        else
                g_assert_cmpint(sd_bus_reply_method_return(fixture->asked, "u", code), >=, 0);
}

static int on_notified(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Fixture *fixture = userdata;
        g_autofree char *text = notified_next(fd, NULL);

        if (text && !g_str_has_prefix(text, "STATUS="))
                g_ptr_array_add(fixture->notes, g_steal_pointer(&text));
        return 0;
}

static void expect_note(Fixture *fixture, unsigned n, const char *prefix) {
        if (fixture->notes->len < n)
                testing_run_until_count(fixture->event, &fixture->notes->len, n);
        g_assert_true(g_str_has_prefix(fixture->notes->pdata[n - 1], prefix));
}

static void set_up(Fixture *fixture, gconstpointer unused) {
        log_set_level(LOG_EMERG);
        fixture->before = testing_count_descriptors();
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->reaper = reaper_new(fixture->event);
        fixture->directory = testing_directory_new();
        fixture->state = g_build_filename(fixture->directory, "state", NULL);
        fixture->run = g_build_filename(fixture->directory, "run", NULL);
        fixture->manager = notified_open(fixture->directory);
        fixture->notes = g_ptr_array_new_with_free_func(g_free);
        g_assert_cmpint(sd_event_add_io(fixture->event, &fixture->manager_source, fixture->manager, EPOLLIN, on_notified, fixture), >=, 0);
        g_autofree char *path = g_build_filename(fixture->directory, "bus", NULL);
        fixture->address = g_strconcat("unix:path=", path, NULL);
        fixture->bus = fake_bus_listen(fixture->event, path, on_call, fixture);
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        if (fixture->process)
                process_kill(fixture->process, SIGKILL);
        testing_run_until_count(fixture->event, &fixture->n_ended, 1);
        g_clear_pointer(&fixture->asked, sd_bus_message_unref);
        g_clear_pointer(&fixture->release, sd_bus_message_unref);
        fake_bus_free(fixture->bus);
        sd_event_source_disable_unref(fixture->manager_source);
        notified_close(fixture->manager);
        g_ptr_array_unref(fixture->notes);
        reaper_free(fixture->reaper);
        sd_event_unref(fixture->event);
        testing_directory_free(fixture->directory);
        g_free(fixture->state);
        g_free(fixture->run);
        g_free(fixture->address);
        g_free(fixture->errors);
        g_assert_cmpuint(testing_count_descriptors(), ==, fixture->before);
}

static void on_ended(const ProcessResult *result, void *userdata) {
        Fixture *fixture = userdata;

        fixture->process = NULL;
        fixture->status = result->status;
        g_free(fixture->errors);
        fixture->errors = g_strdup(result->errors);
        fixture->n_ended++;
}

/* program: instead of conbusd, or NULL; fd: its descriptor 3, or -1. */
static void begin(Fixture *fixture, const char *settings, const char *program, int fd) {
        g_autofree char *built = testing_built("service/conbusd"), *config = g_strdup_printf("CONBUS_CONFIG=%s/conbus.conf", fixture->directory), *bus = g_strconcat("DBUS_SYSTEM_BUS_ADDRESS=", fixture->address, NULL);
        g_autofree char *notify = g_strconcat("NOTIFY_SOCKET=", g_getenv("NOTIFY_SOCKET"), NULL), *crun = g_strdup_printf("CONBUS_CRUN=%s/crun", fixture->directory);
        const char *const argv[] = {program ? program : built, "--state-directory", fixture->state, "--run-directory", fixture->run, NULL};
        const char *const environment[] = {"PATH=/usr/bin:/bin", config, bus, notify, crun, "CONBUS_CONMON=/bin/true", g_getenv("ASAN_OPTIONS") ? "ASAN_OPTIONS=intercept_strstr=0" : NULL, NULL};
        ProcessSpec spec = PROCESS_SPEC_INIT;
        g_autoptr(GError) error = NULL;

        testing_write(fixture->directory, "conbus.conf", settings);
        g_free(testing_program(fixture->directory, "crun", "echo \"$@\" >\"${0%crun}version\"; echo crun version 1.2.3"));
        spec.argv = argv;
        spec.environment = environment;
        spec.fds = &fd;
        spec.n_fds = fd >= 0 ? 1 : 0;
        fixture->process = process_begin(fixture->event, fixture->reaper, &spec, on_ended, fixture, &error);
        g_assert_no_error(error);
}

static void begin_ready(Fixture *fixture, const char *settings) {
        begin(fixture, settings, NULL, -1);
        give_name(fixture, 1);
        expect_note(fixture, 1, "READY=1");
}

static void expect_exit(Fixture *fixture, int status, const char *errors) {
        testing_run_until_count(fixture->event, &fixture->n_ended, 1);
        g_assert_true(WIFEXITED(fixture->status));
        g_assert_cmpint(WEXITSTATUS(fixture->status), ==, status);
        if (!strstr(fixture->errors, errors))
                g_error("\"%s\" does not say \"%s\"", fixture->errors, errors);
}

static void answer_release(Fixture *fixture) {
        testing_run_until_count(fixture->event, &fixture->n_releases, 1);
        g_assert_cmpuint(fixture->n_ended, ==, 0); /* what arrives before the answer is served */
        g_assert_cmpint(sd_bus_reply_method_return(fixture->release, "u", 1u), >=, 0);
}

#define STAYS "[Service]\nIdleExitUSec=infinity\n"
#define LEAVES "[Service]\nIdleExitUSec=1\n"

static void test_ready_is_who_has_the_name(Fixture *fixture, gconstpointer unused) {
        begin(fixture, LEAVES, NULL, -1);
        testing_run_until_count(fixture->event, &fixture->n_asked, 1);
        testing_let_time_pass(fixture->event, fixture->reaper);
        g_assert_cmpuint(fixture->notes->len, ==, 0);
        g_assert_cmpuint(fixture->n_releases, ==, 0); /* nor does idleness count yet */
        give_name(fixture, 1);
        expect_note(fixture, 1, "READY=1");
}

static void test_a_name_that_is_not_to_be_had(Fixture *fixture, gconstpointer data) {
        begin(fixture, STAYS, NULL, -1);
        give_name(fixture, (uint32_t) GPOINTER_TO_INT(data));
        expect_exit(fixture, 1, "the name io.conbus1 is not to be had on this bus");
        g_assert_cmpuint(fixture->notes->len, ==, 0);
}

static void test_without_a_bus(Fixture *fixture, gconstpointer unused) {
        g_free(fixture->address);
        fixture->address = g_strdup("unix:path=/nonexistent/bus");
        begin(fixture, STAYS, NULL, -1);
        expect_exit(fixture, 1, "connect to the system bus");
}

static void test_without_a_place_for_its_state(Fixture *fixture, gconstpointer unused) {
        testing_write(fixture->directory, "state", "a file");
        begin(fixture, STAYS, NULL, -1);
        expect_exit(fixture, 1, "/state/lock: Not a directory");
        g_assert_cmpuint(fixture->n_asked, ==, 0);
}

static void test_without_a_place_for_its_runs(Fixture *fixture, gconstpointer unused) {
        testing_write(fixture->directory, "run", "a file");
        begin(fixture, STAYS, NULL, -1);
        expect_exit(fixture, 1, "make the directory");
        g_assert_cmpuint(fixture->n_asked, ==, 0);
}

static void test_it_leaves_when_it_is_told_to(Fixture *fixture, gconstpointer data) {
        begin_ready(fixture, STAYS);
        process_kill(fixture->process, GPOINTER_TO_INT(data));
        expect_note(fixture, 2, "STOPPING=1"); /* before the name goes */
        testing_run_until_count(fixture->event, &fixture->n_releases, 1);
        process_kill(fixture->process, GPOINTER_TO_INT(data)); /* once is enough */
        answer_release(fixture);
        expect_exit(fixture, 0, "");
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_releases, ==, 1);
        g_assert_cmpuint(fixture->notes->len, ==, 2);
}

static void test_it_leaves_when_it_is_idle(Fixture *fixture, gconstpointer unused) {
        begin_ready(fixture, LEAVES);
        expect_note(fixture, 2, "STOPPING=1");
        answer_release(fixture);
        expect_exit(fixture, 0, "nothing lives and nobody waits; leaving");
}

static void test_settings_are_read_again(Fixture *fixture, gconstpointer unused) {
        begin_ready(fixture, STAYS);
        testing_write(fixture->directory, "conbus.conf", LEAVES);
        process_kill(fixture->process, SIGHUP);
        expect_note(fixture, 2, "RELOADING=1\nMONOTONIC_USEC=");
        expect_note(fixture, 3, "READY=1");
        expect_note(fixture, 4, "STOPPING=1");
        answer_release(fixture);
        expect_exit(fixture, 0, "");
}

static void test_the_next_one_waits_for_the_last(Fixture *fixture, gconstpointer unused) {
        testing_write(fixture->directory, "state/lock", "");
        g_autofree char *path = g_build_filename(fixture->state, "lock", NULL);
        autofd int lock = open(path, O_RDWR | O_CLOEXEC);

        g_assert_no_errno(flock(lock, LOCK_EX));
        begin(fixture, STAYS, NULL, -1);
        testing_let_time_pass(fixture->event, fixture->reaper);
        g_assert_cmpuint(fixture->bus->n_connections, ==, 0);
        lock = close_fd(lock);
        give_name(fixture, 1);
        expect_note(fixture, 1, "READY=1");
}

static void test_a_bus_that_dies_takes_it_along(Fixture *fixture, gconstpointer unused) {
        begin_ready(fixture, STAYS);
        fake_bus_hang_up(fixture->bus);
        expect_exit(fixture, 1, "");
}

static int on_version(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        char text[64] = "";

        if (read(fd, text, sizeof text - 1) <= 0)
                return 0;
        g_assert_cmpstr(text, ==, "--version\n");
        *(unsigned *) userdata = 1;
        return sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

static void test_the_runtime_is_asked_for_its_version(Fixture *fixture, gconstpointer unused) {
        g_autofree char *path = g_build_filename(fixture->directory, "version", NULL);
        g_autoptr(sd_event_source) source = NULL;
        unsigned asked = 0;

        g_assert_no_errno(mkfifo(path, 0600)); /* the crun of the test writes there */
        autofd int reading = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        g_assert_cmpint(sd_event_add_io(fixture->event, &source, reading, EPOLLIN, on_version, &asked), >=, 0);
        begin(fixture, STAYS, NULL, -1);
        give_name(fixture, 1);
        testing_run_until_count(fixture->event, &asked, 1);
}

static void test_descriptors_that_nobody_wants_are_given_back(Fixture *fixture, gconstpointer unused) {
        g_autofree char *built = testing_built("service/conbusd"), *script = g_strdup_printf("LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=forgotten exec %s \"$@\"", built), *program = testing_program(fixture->directory, "listening", script);

        begin(fixture, STAYS, program, fixture->manager);
        give_name(fixture, 1);
        expect_note(fixture, 1, "FDSTOREREMOVE=1\nFDNAME=forgotten");
        expect_note(fixture, 2, "READY=1");
}

#define ADD_WITH(name, data, function) g_test_add("/manager/" name, Fixture, GINT_TO_POINTER(data), set_up, function, tear_down)
#define ADD(name, function) ADD_WITH(name, 0, function)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD("ready-is-who-has-the-name", test_ready_is_who_has_the_name);
        ADD_WITH("a-name-that-is-not-to-be-had/taken", 3, test_a_name_that_is_not_to_be_had);
        ADD_WITH("a-name-that-is-not-to-be-had/refused", 0, test_a_name_that_is_not_to_be_had);
        ADD("without-a-bus", test_without_a_bus);
        ADD("without-a-place-for-its-state", test_without_a_place_for_its_state);
        ADD("without-a-place-for-its-runs", test_without_a_place_for_its_runs);
        ADD_WITH("it-leaves-when-it-is-told-to/term", SIGTERM, test_it_leaves_when_it_is_told_to);
        ADD_WITH("it-leaves-when-it-is-told-to/int", SIGINT, test_it_leaves_when_it_is_told_to);
        ADD("it-leaves-when-it-is-idle", test_it_leaves_when_it_is_idle);
        ADD("settings-are-read-again", test_settings_are_read_again);
        ADD("the-next-one-waits-for-the-last", test_the_next_one_waits_for_the_last);
        ADD("a-bus-that-dies-takes-it-along", test_a_bus_that_dies_takes_it_along);
        ADD("the-runtime-is-asked-for-its-version", test_the_runtime_is_asked_for_its_version);
        ADD("descriptors-that-nobody-wants-are-given-back", test_descriptors_that_nobody_wants_are_given_back);
        return g_test_run();
}
