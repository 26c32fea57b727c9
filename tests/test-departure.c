/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The test is the bus daemon and the service manager: what they hear, in which order, and what is waited for. */

#include "departure.h"
#include "base/log.h"
#include "fake-bus.h"
#include "notified.h"
#include "testing.h"

#define LONG (600 * G_USEC_PER_SEC)

typedef struct Fixture {
        sd_event *event;
        char *directory;
        int manager;
        FakeBus *bus;
        sd_bus_message *release; /* that was not answered yet */
        char *released_name;
        bool settled;
        unsigned n_releases, n_gone, n_asked;
        bool gone_settled;
        Departure *departure;
        unsigned before;
} Fixture;

static void on_call(FakeBus *bus, sd_bus_message *call, void *userdata) {
        Fixture *fixture = userdata;
        const char *name;

        g_assert_true(sd_bus_message_is_method_call(call, "org.freedesktop.DBus", "ReleaseName"));
        g_assert_cmpint(sd_bus_message_read(call, "s", &name), >=, 0);
        fixture->released_name = g_strdup(name);
        fixture->release = sd_bus_message_ref(call);
        fixture->n_releases++;
}

static void set_up(Fixture *fixture, gconstpointer unused) {
        log_set_level(LOG_EMERG);
        fixture->before = testing_count_descriptors();
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->directory = testing_directory_new();
        fixture->manager = notified_open(fixture->directory);
        fixture->bus = fake_bus_new(fixture->event, on_call, fixture);
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        departure_free(fixture->departure);
        g_clear_pointer(&fixture->release, sd_bus_message_unref);
        fake_bus_free(fixture->bus);
        notified_close(fixture->manager);
        testing_directory_free(fixture->directory);
        sd_event_unref(fixture->event);
        g_free(fixture->released_name);
        g_assert_cmpuint(testing_count_descriptors(), ==, fixture->before);
}

static bool is_settled(void *userdata) {
        Fixture *fixture = userdata;

        fixture->n_asked++;
        return fixture->settled;
}

static void on_gone(bool settled, void *userdata) {
        Fixture *fixture = userdata;

        fixture->n_gone++;
        fixture->gone_settled = settled;
}

static void begin(Fixture *fixture, guint64 patience_usec) {
        const DepartureParent parent = {.is_settled = is_settled, .gone = on_gone, .userdata = fixture};

        fixture->departure = departure_begin(fixture->event, fixture->bus->client, "io.conbus1", patience_usec, &parent);
        g_assert_cmpuint(fixture->n_gone, ==, 0);
}

static void answer(Fixture *fixture) {
        g_assert_cmpint(sd_bus_reply_method_return(fixture->release, "u", 1u), >=, 0);
        testing_run_idle(fixture->event);
}

static void test_the_manager_is_told_before_the_name_goes(Fixture *fixture, gconstpointer unused) {
        begin(fixture, LONG);
        notified_expect(fixture->manager, "STOPPING=1");
        g_assert_cmpuint(fixture->n_releases, ==, 0); /* not even sent */
        testing_run_until_count(fixture->event, &fixture->n_releases, 1);
        g_assert_cmpstr(fixture->released_name, ==, "io.conbus1");
        notified_expect(fixture->manager, NULL);
}

static void test_what_comes_before_the_answer_is_served(Fixture *fixture, gconstpointer unused) {
        fixture->settled = true;
        begin(fixture, LONG);
        testing_run_until_count(fixture->event, &fixture->n_releases, 1);
        departure_look_again(fixture->departure);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_gone, ==, 0);
        answer(fixture);
        g_assert_cmpuint(fixture->n_gone, ==, 1);
        g_assert_true(fixture->gone_settled);
        departure_look_again(fixture->departure);
        g_assert_cmpuint(fixture->n_gone, ==, 1);
}

static void test_answers_that_are_owed_are_waited_for(Fixture *fixture, gconstpointer unused) {
        begin(fixture, LONG);
        testing_run_until_count(fixture->event, &fixture->n_releases, 1);
        answer(fixture);
        departure_look_again(fixture->departure);
        g_assert_cmpuint(fixture->n_gone, ==, 0);
        g_assert_cmpuint(fixture->n_asked, ==, 2);
        fixture->settled = true;
        departure_look_again(fixture->departure);
        g_assert_cmpuint(fixture->n_gone, ==, 1);
        g_assert_true(fixture->gone_settled);
}

static void test_but_not_for_ever(Fixture *fixture, gconstpointer unused) {
        begin(fixture, 0);
        testing_run_until_count(fixture->event, &fixture->n_gone, 1);
        g_assert_false(fixture->gone_settled);
        fixture->settled = true;
        if (fixture->n_releases == 0)
                testing_run_until_count(fixture->event, &fixture->n_releases, 1);
        answer(fixture);
        departure_look_again(fixture->departure);
        g_assert_cmpuint(fixture->n_gone, ==, 1);
}

static void test_a_name_that_is_not_ours_any_more_is_released(Fixture *fixture, gconstpointer unused) {
        fixture->settled = true;
        begin(fixture, LONG);
        testing_run_until_count(fixture->event, &fixture->n_releases, 1);
        g_assert_cmpint(sd_bus_reply_method_errorf(fixture->release, SD_BUS_ERROR_FAILED, "no"), >=, 0);
        testing_run_until_count(fixture->event, &fixture->n_gone, 1);
        g_assert_true(fixture->gone_settled);
}

static void test_without_a_daemon_nothing_is_waited_for(Fixture *fixture, gconstpointer unused) {
        fixture->settled = true;
        begin(fixture, LONG);
        testing_run_until_count(fixture->event, &fixture->n_releases, 1);
        fake_bus_hang_up(fixture->bus);
        testing_run_until_count(fixture->event, &fixture->n_gone, 1);
        departure_free(fixture->departure);
        fixture->n_gone = 0;
        begin(fixture, LONG); /* nothing can be sent any more */
        departure_look_again(fixture->departure);
        g_assert_cmpuint(fixture->n_gone, ==, 1);
        g_assert_true(fixture->gone_settled);
}

static void test_one_that_is_freed_says_nothing(Fixture *fixture, gconstpointer unused) {
        fixture->settled = true;
        begin(fixture, 0);
        g_clear_pointer(&fixture->departure, departure_free);
        testing_run_until_count(fixture->event, &fixture->n_releases, 1);
        answer(fixture);
        g_assert_cmpuint(fixture->n_gone, ==, 0);
        departure_free(NULL);
}

#define ADD(name, function) g_test_add("/departure/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD("the-manager-is-told-before-the-name-goes", test_the_manager_is_told_before_the_name_goes);
        ADD("what-comes-before-the-answer-is-served", test_what_comes_before_the_answer_is_served);
        ADD("answers-that-are-owed-are-waited-for", test_answers_that_are_owed_are_waited_for);
        ADD("but-not-for-ever", test_but_not_for_ever);
        ADD("a-name-that-is-not-ours-any-more-is-released", test_a_name_that_is_not_ours_any_more_is_released);
        ADD("without-a-daemon-nothing-is-waited-for", test_without_a_daemon_nothing_is_waited_for);
        ADD("one-that-is-freed-says-nothing", test_one_that_is_freed_says_nothing);
        return g_test_run();
}
