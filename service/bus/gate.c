/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Decides, parks and delivers again. Asking is polkit.c's, the wording of a question question.c's, what has to be asked for a message access.c's. */

#include "bus/gate.h"
#include "bus/access.h"
#include "bus/polkit.h"
#include "base/log.h"

/* A parked call: in its client's list until it is answered, then by its message until that is dispatched. */
struct Check {
        Bus *bus;
        char *peer; /* unique name */
        sd_bus_message *message;
        Question *question;
        PolkitCheck *polkit; /* NULL once it is answered */
        PolkitAnswer answer;
        char *why;
};

static void check_free(Check *check) {
        if (!check)
                return;
        if (check->polkit)
                polkit_cancel(check->polkit);
        question_free(check->question);
        sd_bus_message_unref(check->message);
        g_free(check->peer);
        g_free(check->why);
        g_free(check);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Check, check_free)

static void check_destroy(void *check) {
        check_free(check);
}

/* --- delivering again --- */

static void deliver(Check *check) {
        Bus *bus = check->bus;
        int r = sd_bus_message_rewind(check->message, true);

        if (r >= 0)
                r = sd_bus_enqueue_for_read(bus->connection, check->message);
        if (r >= 0) {
                g_hash_table_insert(bus->delivered, check->message, check);
                return;
        }
        log_error("deliver a parked message again: %s", g_strerror(-r));
        (void) sd_bus_reply_method_errorf(check->message, "io.conbus1.Error.Internal", "the call was allowed and then lost; call again");
        check_free(check);
}

/* Everything that is answered and has nothing unanswered of the same place before it. */
static void deliver_answered(Peer *peer) {
        g_autoptr(GHashTable) blocked = g_hash_table_new(g_str_hash, g_str_equal);

        for (GList *link = peer->checks.head, *next; link; link = next) {
                Check *check = link->data;
                next = link->next;
                if (check->polkit)
                        g_hash_table_add(blocked, check->question->place);
                else if (!g_hash_table_contains(blocked, check->question->place)) {
                        g_queue_delete_link(&peer->checks, link);
                        deliver(check);
                }
        }
}

static void on_decided(PolkitAnswer answer, const char *why, void *userdata) {
        Check *check = userdata;

        check->polkit = NULL;
        check->answer = answer;
        check->why = g_strdup(why);
        deliver_answered(peer_find(check->bus, check->peer));
}

/* --- deciding --- */

static bool park(Call *call, Peer *peer, Question *question, PolkitManner manner, GError **error) {
        g_autoptr(Check) check = g_new0(Check, 1);

        check->bus = call->bus;
        check->peer = g_strdup(peer->name);
        check->message = sd_bus_message_ref(call->message);
        check->question = question;
        check->polkit = polkit_ask(peer->user, peer->name, question, manner, on_decided, check, error);
        if (!check->polkit) {
                g_prefix_error(error, "%s: ", call->member);
                return false;
        }
        g_queue_push_tail(&peer->checks, g_steal_pointer(&check));
        return true;
}

static bool conclude(const Check *check, const Call *call, GError **error) {
        const char *action = check->question->action;
        guint32 uid = call->actor->uid;
        bool prompted = sd_bus_message_get_allow_interactive_authorization(call->message) > 0;

        switch (check->answer) {
        case POLKIT_YES:
                return true;
        case POLKIT_NO:
                return error_set(error, CONBUS_ERROR_ACCESS_DENIED, "%s needs the right \"%s\", which user %u does not have", call->member, action, uid);
        case POLKIT_DISMISSED:
                return error_set(error, CONBUS_ERROR_ACCESS_DENIED, "%s needs the right \"%s\", and the authentication for it was dismissed", call->member, action);
        case POLKIT_CHALLENGE:
                return error_set(error, CONBUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, prompted ? "%s needs the right \"%s\", for which user %u would have to authenticate, and no authentication agent runs for it"
                                                                                                  : "%s needs the right \"%s\", for which user %u would have to authenticate; the call does not allow a prompt",
                                 call->member, action, uid);
        default:
                return error_set(error, CONBUS_ERROR_ACCESS_DENIED, "%s needs the right \"%s\", which only root has while polkit cannot be asked: %s", call->member, action, check->why);
        }
}

/* The answer that belongs to this very delivery of the message. */
static Check *take_passing(Bus *bus, sd_bus_message *message) {
        return bus->passing && bus->passing->message == message ? g_steal_pointer(&bus->passing) : NULL;
}

static GateVerdict decide(Call *call, Peer *peer, const CallMember *member, Question *taken, GError **error) {
        g_autoptr(Question) question = taken;
        g_autoptr(Check) answered = take_passing(call->bus, call->message);
        /* An open member is never refused and never prompts; only what it tells depends on the answer. */
        bool open = member->access == ACCESS_OPEN;
        bool prompts = !open && sd_bus_message_get_allow_interactive_authorization(call->message) > 0;

        if (answered && question_equal(answered->question, question)) {
                call->whole = answered->answer == POLKIT_YES;
                return open || conclude(answered, call, error) ? GATE_PASS : GATE_REFUSED;
        }
        if (park(call, peer, g_steal_pointer(&question), open ? POLKIT_QUICK : prompts ? POLKIT_PROMPT : POLKIT_PATIENT, open ? NULL : error))
                return GATE_PARKED;
        return open ? GATE_PASS : GATE_REFUSED;
}

GateVerdict gate_check(Call *call, void *object, const CallMember *member, GError **error) {
        Peer *peer = peer_of(call->bus, call->message);
        Question *question = NULL;

        if (peer->unknown) {
                if (member->access == ACCESS_OPEN)
                        return GATE_PASS;
                (void) error_set(error, CONBUS_ERROR_ACCESS_DENIED, "%s: the bus does not say who calls", member->name);
                return GATE_REFUSED;
        }
        if (peer->actor->uid == 0) {
                call->whole = true;
                return GATE_PASS;
        }
        if (!access_question(call, object, member, &question, error))
                return GATE_REFUSED;
        return question ? decide(call, peer, member, question, error) : GATE_PASS;
}

/* --- messages and clients that go --- */

void gate_see(Bus *bus, sd_bus_message *message) {
        void *check = NULL;

        if (!bus->delivered)
                bus->delivered = g_hash_table_new_full(NULL, NULL, NULL, check_destroy);
        g_clear_pointer(&bus->passing, check_free);
        (void) g_hash_table_steal_extended(bus->delivered, message, NULL, &check);
        bus->passing = check;
}

static gboolean is_of(void *message, void *check, void *name) {
        return g_str_equal(((Check *) check)->peer, name);
}

void gate_forget(Peer *peer) {
        g_queue_clear_full(&peer->checks, check_destroy);
        if (peer->bus->delivered)
                (void) g_hash_table_foreach_remove(peer->bus->delivered, is_of, peer->name);
}

void gate_free(Bus *bus) {
        g_clear_pointer(&bus->passing, check_free);
        g_clear_pointer(&bus->delivered, g_hash_table_unref);
}
