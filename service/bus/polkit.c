/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CheckAuthorization with the caller's bus name as the subject, see polkit's D-Bus reference. Only root may send details for another's question, which this service is. */

#include "bus/polkit.h"
#include "base/clock.h"
#include "base/log.h"
#include <string.h>

#define POLKIT_NAME "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"
#define ALLOW_INTERACTION 1

#define ASKED_MAX 96 /* on the bus, in all */
#define PROMPTS_MAX 64 /* of these, questions that may prompt */
#define ASKED_PER_USER_MAX 16 /* and as many that may prompt */
#define QUICK_USEC (10 * G_USEC_PER_SEC)

struct Polkit {
        Bus *bus;
        GQueue line; /* of PolkitCheck, waiting to be asked */
        unsigned n_asked, n_prompts;
        guint64 last_cancellation;
        sd_event_source *pump;
};

struct PolkitCheck {
        Polkit *polkit;
        User *user;
        char *sender;
        const Question *question;
        PolkitManner manner;
        PolkitDone done;
        void *userdata;
        char *cancellation; /* id for CancelCheckAuthorization */
        sd_bus_slot *slot; /* while it is on the bus */
        sd_event_source *timer; /* of POLKIT_QUICK */
};

static bool may_prompt(const PolkitCheck *check) {
        return check->manner == POLKIT_PROMPT;
}

static unsigned *count_of_user(const PolkitCheck *check) {
        return may_prompt(check) ? &check->user->n_prompts : &check->user->n_asked;
}

/* Out of the line or off the bus. */
static void leave(PolkitCheck *check) {
        Polkit *polkit = check->polkit;

        if (!check->slot) {
                g_queue_remove(&polkit->line, check);
                return;
        }
        g_clear_pointer(&check->slot, sd_bus_slot_unref);
        --*count_of_user(check);
        polkit->n_asked--;
        polkit->n_prompts -= may_prompt(check);
        if (polkit->line.head)
                (void) sd_event_source_set_enabled(polkit->pump, SD_EVENT_ONESHOT);
}

static void check_free(PolkitCheck *check) {
        leave(check);
        g_clear_pointer(&check->timer, sd_event_source_disable_unref);
        check->user->n_checks--;
        user_unref(check->user);
        g_free(check->sender);
        g_free(check->cancellation);
        g_free(check);
}

static void finish(PolkitCheck *check, PolkitAnswer answer, const char *why) {
        PolkitDone done = check->done;
        void *userdata = check->userdata;

        check_free(check);
        done(answer, why, userdata);
}

static void send_cancellation(PolkitCheck *check) {
        Bus *bus = check->polkit->bus;
        g_autoptr(sd_bus_message) message = NULL;

        int r = sd_bus_message_new_method_call(bus->connection, &message, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE, "CancelCheckAuthorization");
        if (r >= 0)
                r = sd_bus_message_append(message, "s", check->cancellation);
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(message, false);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(message, false);
        if (r >= 0)
                r = sd_bus_send(bus->connection, message, NULL);
        if (r < 0)
                log_warning("cancel a question to polkit: %s", g_strerror(-r));
}

void polkit_cancel(PolkitCheck *check) {
        if (check->slot)
                send_cancellation(check);
        check_free(check);
}

/* The answer: (bba{ss}) authorized, challenge, details. */
static PolkitAnswer read_answer(sd_bus_message *message, const char **why) {
        int authorized = false, challenge = false;
        bool dismissed = false;
        const char *key, *value;

        int r = sd_bus_message_enter_container(message, 'r', "bba{ss}");
        if (r > 0)
                r = sd_bus_message_read(message, "bb", &authorized, &challenge);
        if (r > 0)
                r = sd_bus_message_enter_container(message, 'a', "{ss}");
        while (r > 0 && (r = sd_bus_message_read(message, "{ss}", &key, &value)) > 0)
                dismissed = dismissed || (g_str_equal(key, "polkit.dismissed") && *value);
        if (r < 0) {
                *why = "it answers in a form that is not understood";
                return POLKIT_FAILED;
        }
        return authorized ? POLKIT_YES : dismissed ? POLKIT_DISMISSED : challenge ? POLKIT_CHALLENGE : POLKIT_NO;
}

static int on_answer(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        PolkitCheck *check = userdata;
        const sd_bus_error *failure = sd_bus_message_get_error(message);
        const char *why = "";
        PolkitAnswer answer = POLKIT_FAILED;

        if (!failure)
                answer = read_answer(message, &why);
        else
                why = failure->message ? failure->message : failure->name;
        finish(check, answer, why);
        return 1;
}

static int append_question(sd_bus_message *message, const PolkitCheck *check) {
        int r = sd_bus_message_append(message, "(sa{sv})s", "system-bus-name", 1, "name", "s", check->sender, check->question->action);

        if (r >= 0)
                r = variant_append(message, check->question->details);
        return r < 0 ? r : sd_bus_message_append(message, "us", may_prompt(check) ? ALLOW_INTERACTION : 0, check->cancellation);
}

/* There is no time-out: a prompt stands until the user has answered it, a rule may take its time, and how long the caller wants to wait only he knows, who leaves then. Of a polkit that dies the bus daemon tells. */
static void ask(PolkitCheck *check) {
        Polkit *polkit = check->polkit;
        g_autoptr(sd_bus_message) message = NULL;
        sd_bus_slot *slot = NULL;

        check->cancellation = g_strdup_printf("conbus-%" G_GUINT64_FORMAT, ++polkit->last_cancellation);
        int r = sd_bus_message_new_method_call(polkit->bus->connection, &message, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE, "CheckAuthorization");
        if (r >= 0)
                r = append_question(message, check);
        if (r >= 0)
                r = sd_bus_call_async(polkit->bus->connection, &slot, message, on_answer, check, UINT64_MAX);
        if (r < 0) {
                finish(check, POLKIT_FAILED, g_strerror(-r));
                return;
        }
        g_queue_remove(&polkit->line, check);
        check->slot = slot;
        ++*count_of_user(check);
        polkit->n_asked++;
        polkit->n_prompts += may_prompt(check);
}

static PolkitCheck *next(Polkit *polkit) {
        if (polkit->n_asked >= ASKED_MAX)
                return NULL;
        for (GList *link = polkit->line.head; link; link = link->next) {
                PolkitCheck *check = link->data;
                if (*count_of_user(check) < ASKED_PER_USER_MAX && (!may_prompt(check) || polkit->n_prompts < PROMPTS_MAX))
                        return check;
        }
        return NULL;
}

static int on_pump(sd_event_source *source, void *userdata) {
        Polkit *polkit = userdata;
        PolkitCheck *check;

        while ((check = next(polkit)))
                ask(check);
        return 0;
}

static int on_time_up(sd_event_source *source, guint64 usec, void *userdata) {
        PolkitCheck *check = userdata;

        if (check->slot)
                send_cancellation(check);
        finish(check, POLKIT_FAILED, "it does not answer");
        return 0;
}

static void bound(PolkitCheck *check) {
        int r = sd_event_add_time(check->polkit->bus->event, &check->timer, CLOCK_BOOTTIME, clock_boottime_in(QUICK_USEC), 0, on_time_up, check);
        g_assert(r >= 0);
}

PolkitCheck *polkit_ask(User *user, const char *sender, const Question *question, PolkitManner manner, PolkitDone done, void *userdata, GError **error) {
        Polkit *polkit = user->bus->polkit;
        unsigned limit = user->bus->engine->settings.checks_per_user;

        if (user->n_checks >= limit) {
                error_set(error, CONBUS_ERROR_LIMITS_EXCEEDED, "%u calls of user %u wait for an authorization already", limit, user->uid);
                return NULL;
        }
        PolkitCheck *check = g_new0(PolkitCheck, 1);
        check->polkit = polkit;
        check->user = user_ref(user);
        check->user->n_checks++;
        check->sender = g_strdup(sender);
        check->question = question;
        check->manner = manner;
        check->done = done;
        check->userdata = userdata;
        if (manner == POLKIT_QUICK)
                bound(check);
        g_queue_push_tail(&polkit->line, check);
        (void) sd_event_source_set_enabled(polkit->pump, SD_EVENT_ONESHOT);
        return check;
}

int polkit_new(Bus *bus) {
        bus->polkit = g_new0(Polkit, 1);
        bus->polkit->bus = bus;
        int r = sd_event_add_defer(bus->event, &bus->polkit->pump, on_pump, bus->polkit);
        return r < 0 ? r : sd_event_source_set_enabled(bus->polkit->pump, SD_EVENT_OFF);
}

void polkit_free(Bus *bus) {
        if (!bus->polkit)
                return;
        g_clear_pointer(&bus->polkit->pump, sd_event_source_disable_unref);
        g_clear_pointer(&bus->polkit, g_free);
}
