/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The test is the service manager: it says what it likes of a service, late, wrong or never, and tells of its changes. */

#include "runtime/services.h"
#include "base/log.h"
#include "fake-bus.h"
#include "testing.h"
#include <string.h>

#define NAME "conbus-container@my-app.service"
#define UNIT_PATH "/org/freedesktop/systemd1/unit/conbus_2dcontainer_40my_2dapp_2eservice"
#define UNIT_INTERFACE "org.freedesktop.systemd1.Unit"

typedef struct Fixture {
        sd_event *event;
        FakeBus *bus;
        Units *units;
        GPtrArray *calls; /* of text */
        GPtrArray *kept; /* of messages that are not answered yet */
        bool keep, garble;
        const char *refuse; /* the property that is refused; NULL: none */
        const char *active_state, *sub_state, *system_state;
        uint32_t main_pid;
        unsigned n_answers, n_ends;
        bool has_facts;
        ServiceFacts facts;
        char *failure;
        ServiceWatch *watch; /* freed by its end when frees is set */
        bool frees;
        unsigned before;
} Fixture;

static void answer(Fixture *fixture, sd_bus_message *call) {
        g_assert_cmpint(sd_bus_message_rewind(call, true), >=, 0);
        g_autofree char *text = fake_bus_text_of(call, NULL);

        if (fixture->refuse && strstr(text, fixture->refuse))
                g_assert_cmpint(sd_bus_reply_method_errorf(call, SD_BUS_ERROR_FAILED, "not today"), >=, 0);
        else if (fixture->garble)
                g_assert_cmpint(sd_bus_reply_method_return(call, "v", "d", 1.5), >=, 0);
        else if (strstr(text, "ActiveState"))
                g_assert_cmpint(sd_bus_reply_method_return(call, "v", "s", fixture->active_state), >=, 0);
        else if (strstr(text, "SubState"))
                g_assert_cmpint(sd_bus_reply_method_return(call, "v", "s", fixture->sub_state), >=, 0);
        else if (strstr(text, "MainPID"))
                g_assert_cmpint(sd_bus_reply_method_return(call, "v", "u", fixture->main_pid), >=, 0);
        else if (strstr(text, "TimeoutStopUSec"))
                g_assert_cmpint(sd_bus_reply_method_return(call, "v", "t", UINT64_C(90000000)), >=, 0);
        else
                g_assert_cmpint(sd_bus_reply_method_return(call, "v", "s", fixture->system_state), >=, 0);
}

static void on_call(FakeBus *bus, sd_bus_message *call, void *userdata) {
        Fixture *fixture = userdata;

        if (sd_bus_message_is_method_call(call, NULL, "Subscribe"))
                return;
        g_autofree char *text = fake_bus_text_of(call, NULL);
        g_ptr_array_add(fixture->calls, g_strdup_printf("%s %s", sd_bus_message_get_path(call), text));
        if (fixture->keep)
                g_ptr_array_add(fixture->kept, sd_bus_message_ref(call));
        else
                answer(fixture, call);
}

static void set_up(Fixture *fixture, gconstpointer unused) {
        log_set_level(LOG_EMERG);
        fixture->before = testing_count_descriptors();
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->calls = g_ptr_array_new_with_free_func(g_free);
        fixture->kept = g_ptr_array_new_with_free_func((GDestroyNotify) sd_bus_message_unref);
        fixture->active_state = "active";
        fixture->sub_state = "running";
        fixture->system_state = "running";
        fixture->main_pid = 12;
        fixture->bus = fake_bus_new(fixture->event, on_call, fixture);
        fixture->units = units_new(fixture->bus->client, fixture->event);
        testing_run_idle(fixture->event);
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        service_watch_free(fixture->watch);
        units_free(fixture->units);
        g_ptr_array_unref(fixture->kept);
        fake_bus_free(fixture->bus);
        sd_event_unref(fixture->event);
        g_ptr_array_unref(fixture->calls);
        g_free(fixture->failure);
        g_assert_cmpuint(testing_count_descriptors(), ==, fixture->before);
}

/* Everything that was sent has arrived. */
static void settle(Fixture *fixture) {
        g_assert_cmpint(sd_bus_flush(fixture->bus->client), >=, 0);
        testing_run_idle(fixture->event);
}

static void on_answer(const ServiceFacts *facts, const GError *error, void *userdata) {
        Fixture *fixture = userdata;

        fixture->n_answers++;
        g_assert_true((facts == NULL) == (error != NULL));
        g_assert_true(!error || g_error_matches(error, CONBUS_ERROR, CONBUS_ERROR_UNIT_FAILED));
        fixture->has_facts = facts;
        fixture->facts = facts ? *facts : (ServiceFacts) {0};
        g_free(fixture->failure);
        fixture->failure = error ? g_strdup(error->message) : NULL;
}

static void ask(Fixture *fixture, unsigned n) {
        g_assert_nonnull(service_ask(fixture->units, NAME, on_answer, fixture));
        g_assert_cmpuint(fixture->n_answers, ==, n - 1); /* never before it has returned */
        testing_run_until_count(fixture->event, &fixture->n_answers, n);
        if (fixture->bus->side)
                settle(fixture);
        g_assert_cmpuint(fixture->n_answers, ==, n);
}

/* --- questions --- */

static void test_what_is_asked(Fixture *fixture, gconstpointer unused) {
        static const char *const expected[] = {UNIT_PATH " Get '" UNIT_INTERFACE "' 'ActiveState'", UNIT_PATH " Get '" UNIT_INTERFACE "' 'SubState'", UNIT_PATH " Get 'org.freedesktop.systemd1.Service' 'MainPID'",
                                               UNIT_PATH " Get 'org.freedesktop.systemd1.Service' 'TimeoutStopUSec'", "/org/freedesktop/systemd1 Get 'org.freedesktop.systemd1.Manager' 'SystemState'"};

        ask(fixture, 1);
        g_assert_cmpuint(fixture->calls->len, ==, G_N_ELEMENTS(expected));
        for (guint i = 0; i < fixture->calls->len; i++)
                g_assert_cmpstr(fixture->calls->pdata[i], ==, expected[i]);
        g_assert_true(fixture->has_facts && fixture->facts.is_up && !fixture->facts.waits && !fixture->facts.machine_goes_down);
        g_assert_cmpint(fixture->facts.main_pid, ==, 12);
        g_assert_cmpuint(fixture->facts.stop_usec, ==, 90000000);
}

static void test_states(Fixture *fixture, gconstpointer unused) {
        static const struct {
                const char *active, *sub, *system;
                bool is_up, waits, goes_down;
        } cases[] = {
                {"active", "running", "running", true, false, false},        {"activating", "start", "starting", true, false, false}, {"activating", "auto-restart", "degraded", true, true, false},
                {"activating", "auto-restart-queued", "running", true, true, false}, {"deactivating", "stop-sigterm", "stopping", true, false, true}, {"inactive", "dead", "running", false, false, false},
                {"failed", "failed", "running", false, false, false},
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
                fixture->active_state = cases[i].active;
                fixture->sub_state = cases[i].sub;
                fixture->system_state = cases[i].system;
                ask(fixture, i + 1);
                g_assert_true(fixture->facts.is_up == cases[i].is_up && fixture->facts.waits == cases[i].waits && fixture->facts.machine_goes_down == cases[i].goes_down);
        }
}

static void test_refusals(Fixture *fixture, gconstpointer unused) {
        static const char *const names[] = {"ActiveState", "SubState", "MainPID", "TimeoutStopUSec", "SystemState"};

        for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
                fixture->refuse = names[i];
                ask(fixture, i + 1);
                g_assert_cmpstr(fixture->failure, ==, "ask the service manager for " NAME ": not today");
        }
        fixture->refuse = NULL;
        fixture->garble = true;
        ask(fixture, 6);
        g_assert_cmpstr(fixture->failure, ==, "ask the service manager for " NAME ": the answer is not understood");
}

static void test_a_bus_that_is_gone(Fixture *fixture, gconstpointer unused) {
        fixture->keep = true;
        (void) service_ask(fixture->units, NAME, on_answer, fixture);
        testing_run_until_count(fixture->event, &fixture->kept->len, 1);
        fake_bus_hang_up(fixture->bus);
        testing_run_until_count(fixture->event, &fixture->n_answers, 1);
        g_assert_nonnull(fixture->failure);
        ask(fixture, 2);
        g_assert_cmpstr(fixture->failure, ==, "ask the service manager for " NAME ": the bus does not take the call");
        service_question_forget(service_ask(fixture->units, NAME, on_answer, fixture));
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_answers, ==, 2);
}

static void test_a_forgotten_question(Fixture *fixture, gconstpointer unused) {
        fixture->keep = true;
        service_question_forget(NULL);
        ServiceQuestion *question = service_ask(fixture->units, NAME, on_answer, fixture);
        testing_run_until_count(fixture->event, &fixture->kept->len, 1);
        service_question_forget(question);
        answer(fixture, fixture->kept->pdata[0]);
        settle(fixture);
        g_assert_cmpuint(fixture->n_answers, ==, 0);
        g_assert_cmpuint(fixture->calls->len, ==, 1);
}

/* --- watches --- */

static void on_ended(void *userdata) {
        Fixture *fixture = userdata;

        fixture->n_ends++;
        if (fixture->frees)
                g_clear_pointer(&fixture->watch, service_watch_free);
}

static void begin(Fixture *fixture) {
        fixture->watch = service_watch_new(fixture->units, NAME, on_ended, fixture);
        g_assert_cmpuint(fixture->n_ends, ==, 0);
}

static void changed(Fixture *fixture, const char *interface, const char *state) {
        fake_bus_signal(fixture->bus, UNIT_PATH, "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as", interface, 2, "Job", "(uo)", 0u, "/", "ActiveState", "s", state, 1, "ExecMain");
}

static void test_it_has_ended_before(Fixture *fixture, gconstpointer unused) {
        fixture->active_state = "inactive";
        fixture->frees = true;
        begin(fixture);
        testing_run_until_count(fixture->event, &fixture->n_ends, 1);
        settle(fixture);
        g_assert_cmpuint(fixture->n_ends, ==, 1);
        g_assert_cmpint(fixture->bus->n_matches, ==, 0);
}

static void test_an_end_is_told_once(Fixture *fixture, gconstpointer unused) {
        begin(fixture);
        settle(fixture);
        g_assert_cmpint(fixture->bus->n_matches, ==, 1);
        unsigned n_asked = fixture->calls->len;
        changed(fixture, UNIT_INTERFACE, "deactivating"); /* that is no end yet, and asks nothing */
        settle(fixture);
        g_assert_cmpuint(fixture->calls->len, ==, n_asked);
        g_assert_cmpuint(fixture->n_ends, ==, 0);
        fixture->active_state = "failed";
        fixture->frees = true;
        changed(fixture, UNIT_INTERFACE, "failed");
        testing_run_until_count(fixture->event, &fixture->n_ends, 1);
        changed(fixture, UNIT_INTERFACE, "inactive");
        settle(fixture);
        g_assert_cmpuint(fixture->n_ends, ==, 1);
}

/* It is on the way to its restart. */
static void test_a_state_that_passes(Fixture *fixture, gconstpointer unused) {
        begin(fixture);
        settle(fixture);
        fixture->active_state = "activating";
        changed(fixture, UNIT_INTERFACE, "inactive");
        settle(fixture);
        g_assert_cmpuint(fixture->calls->len, ==, 10); /* it was asked */
        g_assert_cmpuint(fixture->n_ends, ==, 0);
}

static void test_a_change_while_it_is_asked(Fixture *fixture, gconstpointer unused) {
        fixture->keep = true;
        begin(fixture);
        testing_run_until_count(fixture->event, &fixture->kept->len, 1);
        answer(fixture, fixture->kept->pdata[0]); /* active, it says */
        fixture->keep = false;
        fixture->active_state = "inactive";
        changed(fixture, UNIT_INTERFACE, "inactive");
        testing_run_until_count(fixture->event, &fixture->n_ends, 1);
}

static void test_what_tells_nothing(Fixture *fixture, gconstpointer unused) {
        begin(fixture);
        settle(fixture);
        fixture->active_state = "inactive";
        fake_bus_signal(fixture->bus, UNIT_PATH, "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as", UNIT_INTERFACE, 1, "Job", "(uo)", 0u, "/", 0);
        fake_bus_signal(fixture->bus, UNIT_PATH, "org.freedesktop.DBus.Properties", "PropertiesChanged", "u", 7u);
        fake_bus_signal(fixture->bus, UNIT_PATH, "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as", UNIT_INTERFACE, 1, "ActiveState", "u", 7u, 0);
        settle(fixture);
        g_assert_cmpuint(fixture->n_ends, ==, 0);
        fixture->refuse = "ActiveState"; /* a manager that says nothing ends nothing */
        changed(fixture, UNIT_INTERFACE, "inactive");
        settle(fixture);
        g_assert_cmpuint(fixture->n_ends, ==, 0);
        fixture->refuse = NULL;
        changed(fixture, UNIT_INTERFACE, "inactive");
        testing_run_until_count(fixture->event, &fixture->n_ends, 1);
}

static void test_a_watch_that_is_freed(Fixture *fixture, gconstpointer unused) {
        service_watch_free(NULL);
        fixture->keep = true;
        begin(fixture);
        testing_run_until_count(fixture->event, &fixture->kept->len, 1);
        g_clear_pointer(&fixture->watch, service_watch_free);
        fixture->active_state = "inactive";
        answer(fixture, fixture->kept->pdata[0]);
        settle(fixture);
        g_assert_cmpuint(fixture->n_ends, ==, 0);
        g_assert_cmpint(fixture->bus->n_matches, ==, 0);
}

#define ADD(name, function) g_test_add("/services/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD("what-is-asked", test_what_is_asked);
        ADD("states", test_states);
        ADD("refusals", test_refusals);
        ADD("a-bus-that-is-gone", test_a_bus_that_is_gone);
        ADD("a-forgotten-question", test_a_forgotten_question);
        ADD("it-has-ended-before", test_it_has_ended_before);
        ADD("an-end-is-told-once", test_an_end_is_told_once);
        ADD("a-state-that-passes", test_a_state_that_passes);
        ADD("a-change-while-it-is-asked", test_a_change_while_it_is_asked);
        ADD("what-tells-nothing", test_what_tells_nothing);
        ADD("a-watch-that-is-freed", test_a_watch_that_is_freed);
        return g_test_run();
}
