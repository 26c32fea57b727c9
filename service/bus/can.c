/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Manager.Can: the gate's question without the call, and without a prompt. */

#include "bus/access.h"
#include "bus/jobs.h"
#include "bus/peers.h"
#include "bus/polkit.h"
#include "health-interface.h"
#include "job-interface.h"
#include "manager-interface.h"
#include "process-interface.h"
#include "operation/possible.h"
#include <string.h>

typedef struct CanCall {
        Call *call;
        Question *question;
        PolkitCheck *check;
} CanCall;

static void can_call_free(CanCall *can) {
        call_unref(can->call);
        question_free(can->question);
        g_free(can);
}

static void on_answer(PolkitAnswer answer, const char *why, void *userdata) {
        CanCall *can = userdata;

        manager_reply_can(can->call, answer == POLKIT_YES ? "yes" : answer == POLKIT_CHALLENGE ? "challenge" : "no");
        can_call_free(can);
}

static void on_caller_left(Call *call, void *userdata) {
        CanCall *can = userdata;

        polkit_cancel(can->check);
        can_call_free(can);
}

static bool ask(Call *call, Question *question, GError **error) {
        Peer *peer = peer_of(call->bus, call->message);
        CanCall *can = g_new0(CanCall, 1);

        can->question = question;
        can->check = polkit_ask(peer->user, peer->name, question, POLKIT_PATIENT, on_answer, can, error);
        if (!can->check) {
                can_call_free(can);
                return false;
        }
        can->call = call_ref(call);
        call->caller_left = on_caller_left;
        call->userdata = can;
        return true;
}

/* What would have to be asked; NULL when the caller may in any case. A creation is asked about as one without a profile. */
static Question *question_of(const Call *call, const CallMember *member, const Target *target) {
        static const NewContainer nothing = {"", "", ""};

        if (call->actor->uid == 0 || member->access == ACCESS_OPEN || (member->access == ACCESS_OWNER_OR && target->owner_uid == call->actor->uid))
                return NULL;
        return member->access == ACCESS_BY_PROFILE ? question_new_create("create", member->verb, &nothing) : question_new(call->actor, member->action, member->verb, target);
}

bool manager_object_can(Call *call, const char *path, const char *verb, GError **error) {
        Bus *bus = call->bus;
        bool manager = g_str_equal(path, bus_manager_path);
        Job *job = manager ? NULL : jobs_find(bus->jobs, path);
        Session *session = manager || job ? NULL : bus_find_session(bus, path);
        Container *container = manager || job || session ? NULL : bus_find_container(bus, peer_of(bus, call->message), path);
        Target target = TARGET_NONE;

        if (!manager && !job && !session && !container)
                return error_set(error, CONBUS_ERROR_NO_SUCH_CONTAINER, "%s is neither a container nor a process nor a job nor the manager", path);
        const CallMember *member = container ? access_find_verb(container, verb) : member_by_verb(manager ? manager_members : session ? process_members : job_members, verb);
        bool other_kind = container && !member && member_by_verb(health_members, verb);
        bool too_late = (job && g_str_equal(verb, "cancel") && !job->cancellable && !job_is_finished(job)) || (session && member && !possible_process_verb(session, verb));
        if (other_kind || too_late || (container && member && !possible_verb(container, verb))) {
                manager_reply_can(call, "na");
                return true;
        }
        if (!member || member->access == ACCESS_BY_VERB)
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "\"%.100s\" is no verb here; give the name of a method in lowercase with dashes and without With, for example start or set-auto-start", verb);
        if (member->target)
                member->target(job ? (void *) job : session ? (void *) session : container, &target);
        Question *question = question_of(call, member, &target);
        if (question)
                return ask(call, question, error);
        manager_reply_can(call, "yes");
        return true;
}
