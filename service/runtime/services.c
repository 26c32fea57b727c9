/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Properties of a service, read one after the other, and the signal that tells of its changes. A state that a signal names may be one that the unit only passes through on the way to its restart; so the unit is asked again before it counts as ended. */

#include "runtime/services.h"
#include "base/log.h"
#include <string.h>

#define ANSWER_USEC (2 * G_USEC_PER_SEC)
#define UNIT_INTERFACE "org.freedesktop.systemd1.Unit"
#define SERVICE_INTERFACE "org.freedesktop.systemd1.Service"
#define MANAGER_INTERFACE "org.freedesktop.systemd1.Manager"
#define MANAGER_PATH "/org/freedesktop/systemd1"

static char *path_of(const char *name) {
        char *encoded = NULL;

        if (sd_bus_path_encode(MANAGER_PATH "/unit", name, &encoded) < 0)
                return NULL;
        char *path = g_strdup(encoded);
        free(encoded);
        return path;
}

/* --- questions --- */

struct ServiceQuestion {
        Units *units;
        sd_bus_slot *call;
        sd_event_source *not_sent;
        char *name, *path;
        unsigned next; /* of properties */
        ServiceFacts facts;
        ServiceAnswer answer;
        void *userdata;
};

static void read_active_state(ServiceFacts *facts, const void *value) {
        const char *state = *(const char *const *) value;

        facts->is_up = !g_str_equal(state, "inactive") && !g_str_equal(state, "failed");
}

static void read_sub_state(ServiceFacts *facts, const void *value) {
        facts->waits = g_str_has_prefix(*(const char *const *) value, "auto-restart");
}

static void read_main_pid(ServiceFacts *facts, const void *value) {
        facts->main_pid = (pid_t) *(const uint32_t *) value;
}

static void read_stop_time(ServiceFacts *facts, const void *value) {
        facts->stop_usec = *(const uint64_t *) value;
}

static void read_system_state(ServiceFacts *facts, const void *value) {
        facts->machine_goes_down = g_str_equal(*(const char *const *) value, "stopping");
}

static const struct {
        const char *interface, *name, *type;
        void (*read)(ServiceFacts *facts, const void *value);
} properties[] = {
        {UNIT_INTERFACE, "ActiveState", "s", read_active_state},
        {UNIT_INTERFACE, "SubState", "s", read_sub_state},
        {SERVICE_INTERFACE, "MainPID", "u", read_main_pid},
        {SERVICE_INTERFACE, "TimeoutStopUSec", "t", read_stop_time},
        {MANAGER_INTERFACE, "SystemState", "s", read_system_state},
};

void service_question_forget(ServiceQuestion *question) {
        if (!question)
                return;
        g_clear_pointer(&question->call, sd_bus_slot_unref);
        g_clear_pointer(&question->not_sent, sd_event_source_disable_unref);
        g_free(question->name);
        g_free(question->path);
        g_free(question);
}

static void reply(ServiceQuestion *question, const ServiceFacts *facts, const GError *error) {
        ServiceAnswer answer = question->answer;
        void *userdata = question->userdata;
        ServiceFacts copy = facts ? *facts : (ServiceFacts) {0};

        service_question_forget(question);
        answer(facts ? &copy : NULL, error, userdata);
}

static void fail(ServiceQuestion *question, const char *why) {
        g_autoptr(GError) error = NULL;

        error_set(&error, CONBUS_ERROR_UNIT_FAILED, "ask the service manager for %s: %s", question->name, why);
        reply(question, NULL, error);
}

static int on_property(sd_bus_message *answer, void *userdata, sd_bus_error *error);

static int ask_next(ServiceQuestion *question) {
        const char *interface = properties[question->next].interface;
        const char *path = g_str_equal(interface, MANAGER_INTERFACE) ? MANAGER_PATH : question->path;
        g_autoptr(sd_bus_message) call = NULL;
        int r = path ? sd_bus_message_new_method_call(units_bus(question->units), &call, "org.freedesktop.systemd1", path, "org.freedesktop.DBus.Properties", "Get") : -EINVAL;

        if (r >= 0)
                r = sd_bus_message_append(call, "ss", interface, properties[question->next].name);
        return r < 0 ? r : sd_bus_call_async(units_bus(question->units), &question->call, call, on_property, question, ANSWER_USEC);
}

static int on_property(sd_bus_message *answer, void *userdata, sd_bus_error *error) {
        ServiceQuestion *question = userdata;
        const sd_bus_error *failure = sd_bus_message_get_error(answer);
        union {
                const char *text;
                uint32_t u;
                uint64_t t;
        } value = {0};

        g_clear_pointer(&question->call, sd_bus_slot_unref);
        if (failure || sd_bus_message_read(answer, "v", properties[question->next].type, &value) < 0) {
                fail(question, failure ? failure->message : "the answer is not understood");
                return 1;
        }
        properties[question->next].read(&question->facts, &value);
        if (++question->next == G_N_ELEMENTS(properties))
                reply(question, &question->facts, NULL);
        else if (ask_next(question) < 0)
                fail(question, "the bus does not take the call");
        return 1;
}

static int on_not_sent(sd_event_source *source, void *userdata) {
        fail(userdata, "the bus does not take the call");
        return 0;
}

ServiceQuestion *service_ask(Units *units, const char *name, ServiceAnswer answer, void *userdata) {
        ServiceQuestion *question = g_new0(ServiceQuestion, 1);

        *question = (ServiceQuestion) {.units = units, .name = g_strdup(name), .path = path_of(name), .answer = answer, .userdata = userdata};
        if (ask_next(question) < 0) {
                int r = sd_event_add_defer(units_event(units), &question->not_sent, on_not_sent, question);
                g_assert(r >= 0);
        }
        return question;
}

/* --- watches --- */

struct ServiceWatch {
        Units *units;
        char *name;
        sd_bus_slot *match;
        ServiceQuestion *question;
        bool again; /* it changed while it was being asked */
        void (*ended)(void *userdata);
        void *userdata;
};

static void look(ServiceWatch *watch);

static void on_answer(const ServiceFacts *facts, const GError *error, void *userdata) {
        ServiceWatch *watch = userdata;

        watch->question = NULL;
        if (error)
                log_warning("%s; it counts as active until the manager says more", error->message);
        else if (!facts->is_up) {
                watch->ended(watch->userdata);
                return;
        }
        if (watch->again)
                look(watch);
}

static void look(ServiceWatch *watch) {
        watch->again = watch->question != NULL;
        if (!watch->question)
                watch->question = service_ask(watch->units, watch->name, on_answer, watch);
}

/* Whether the signal names a state in which the unit may have ended. */
static bool tells_of_end(sd_bus_message *message) {
        const char *interface, *name, *state = "";
        int r = sd_bus_message_read(message, "s", &interface);

        if (r >= 0)
                r = sd_bus_message_enter_container(message, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = sd_bus_message_read(message, "s", &name);
                if (r >= 0)
                        r = g_str_equal(name, "ActiveState") ? sd_bus_message_read(message, "v", "s", &state) : sd_bus_message_skip(message, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
        }
        return r >= 0 && (g_str_equal(state, "inactive") || g_str_equal(state, "failed"));
}

static int on_changed(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        if (tells_of_end(message))
                look(userdata);
        return 0;
}

ServiceWatch *service_watch_new(Units *units, const char *name, void (*ended)(void *userdata), void *userdata) {
        ServiceWatch *watch = g_new0(ServiceWatch, 1);
        g_autofree char *path = path_of(name);
        g_autofree char *rule = g_strdup_printf("type='signal',sender='org.freedesktop.systemd1',path='%s',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',arg0='" UNIT_INTERFACE "'", path);

        *watch = (ServiceWatch) {.units = units, .name = g_strdup(name), .ended = ended, .userdata = userdata};
        int r = sd_bus_add_match_async(units_bus(units), &watch->match, rule, on_changed, NULL, watch);
        if (r < 0)
                log_error("watch %s: %s", name, g_strerror(-r));
        look(watch);
        return watch;
}

void service_watch_free(ServiceWatch *watch) {
        if (!watch)
                return;
        g_clear_pointer(&watch->match, sd_bus_slot_unref);
        g_clear_pointer(&watch->question, service_question_forget);
        g_free(watch->name);
        g_free(watch);
}
