/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the access of a member to a question for polkit. Some members need a look at an argument first: the word of Queue, whether a creation names a profile, whether a start attaches. */

#include "bus/access.h"
#include "container-interface.h"
#include "health-interface.h"
#include <limits.h>
#include <string.h>

const CallMember *member_by_verb(const CallMember *members, const char *verb) {
        for (; members->name; members++)
                if (g_str_equal(members->verb, verb))
                        return members;
        return NULL;
}

const CallMember *access_find_verb(const Container *container, const char *verb) {
        const CallMember *member = member_by_verb(container_members, verb);

        return member || !container_has_health(container) ? member : member_by_verb(health_members, verb);
}

/* --- looking at arguments --- */

static int go_to(sd_bus_message *message, unsigned position) {
        int r = sd_bus_message_rewind(message, true);

        while (r >= 0 && position-- > 0)
                r = sd_bus_message_skip(message, NULL);
        return r;
}

static char *peek_string(sd_bus_message *message, unsigned position) {
        const char *text = NULL;

        int r = go_to(message, position);
        if (r >= 0)
                r = sd_bus_message_read_basic(message, 's', &text);
        char *copy = g_strdup(r > 0 ? text : "");
        (void) sd_bus_message_rewind(message, true);
        return copy;
}

/* Goes to the value of the first entry with this key in the dictionary. False: there is none. */
static bool go_to_entry(sd_bus_message *message, unsigned position, const char *wanted) {
        const char *key;

        int r = go_to(message, position);
        if (r >= 0)
                r = sd_bus_message_enter_container(message, 'a', "{sv}");
        while (r > 0 && (r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = sd_bus_message_read_basic(message, 's', &key);
                if (r > 0 && g_str_equal(key, wanted))
                        return true;
                if (r > 0)
                        r = sd_bus_message_skip(message, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
        }
        return false;
}

static bool has_entry(sd_bus_message *message, unsigned position, const char *wanted) {
        bool found = go_to_entry(message, position, wanted);

        (void) sd_bus_message_rewind(message, true);
        return found;
}

/* What the first entry profile of the dictionary says, "" if it is no text; a configuration that gives a key twice is refused later. */
static char *peek_profile(sd_bus_message *message, unsigned position) {
        const char *text = NULL;

        if (go_to_entry(message, position, "profile") && sd_bus_message_enter_container(message, 'v', "s") > 0)
                (void) sd_bus_message_read_basic(message, 's', &text);
        char *copy = g_strdup(text ? text : "");
        (void) sd_bus_message_rewind(message, true);
        return copy;
}

/* --- questions --- */

static bool question_by_verb(Call *call, const CallMember *member, const Target *target, Question **ret, GError **error) {
        g_autofree char *verb = peek_string(call->message, member->position);
        const CallMember *meant = member_by_verb(container_members, verb);

        if (g_str_equal(verb, "update")) { /* a verb of Queue that no method has yet */
                *ret = question_new(call->actor, "update", verb, target);
                return true;
        }
        if (!meant || (meant->access != ACCESS_OPEN && meant->access != ACCESS_ACTION))
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "%s: \"%.100s\" is no verb of a container", member->name, verb);
        if (meant->access == ACCESS_ACTION)
                *ret = question_new(call->actor, meant->action, meant->verb, target);
        return true;
}

/* A name that cannot be one is not shown to anybody; the creation will be refused. */
static Question *question_by_profile(Call *call, const CallMember *member) {
        g_autofree char *name = peek_string(call->message, 0), *image = peek_string(call->message, 1), *profile = peek_profile(call->message, member->position);
        NewContainer wanted = {.name = config_check_name(name, NULL) ? name : "", .image = strlen(image) <= PATH_MAX ? image : "", .profile = config_check_name(profile, NULL) ? profile : ""};

        return question_new_create(*wanted.profile ? "create-from-profile" : "create", member->verb, &wanted);
}

bool access_question(Call *call, const void *object, const CallMember *member, Question **ret, GError **error) {
        Target target = TARGET_NONE;
        const char *action = member->action;

        if (member->target)
                member->target(object, &target);
        switch (member->access) {
        case ACCESS_OPEN:
                if (member->action)
                        *ret = question_new(call->actor, member->action, member->verb, &target);
                return true;
        case ACCESS_BY_VERB:
                return question_by_verb(call, member, &target, ret, error);
        case ACCESS_BY_PROFILE:
                *ret = question_by_profile(call, member);
                return true;
        case ACCESS_ATTACH_OR:
                if (has_entry(call->message, member->position, "attach"))
                        action = "exec";
                break;
        case ACCESS_OWNER_OR:
                if (target.owner_uid == call->actor->uid)
                        return true;
                break;
        case ACCESS_ACTION:
                break;
        }
        g_assert(action);
        *ret = question_new(call->actor, action, member->verb, &target);
        return true;
}
