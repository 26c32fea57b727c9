/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The way every method call takes, whatever its interface: sender known, gate passed, arguments decoded, handler called; and the tables of members, made from the XML, that the gate reads. */

#include "bus/bus.h"
#include "bus/target.h"

/* Who may call a member: the annotation io.conbus1.Access. */
typedef enum AccessKind {
        ACCESS_OPEN, /* everyone; with an action the call is told whether its sender may do that (call->whole) */
        ACCESS_ACTION, /* who may do the action */
        ACCESS_BY_VERB, /* the action of the container's method that the string argument at position names */
        ACCESS_BY_PROFILE, /* create, or create-from-profile when the dictionary at position has the key profile */
        ACCESS_ATTACH_OR, /* exec when the dictionary at position has the key attach, else the action */
        ACCESS_OWNER_OR, /* the owner of the object, and who may do the action */
} AccessKind;

typedef struct CallMember {
        const char *interface, *name;
        const char *verb; /* "stop" for Stop and StopWith */
        const char *signature;
        AccessKind access;
        const char *action; /* last part of a polkit action, or NULL */
        unsigned position;
        void (*target)(const void *object, Target *ret); /* NULL: of no object */
        bool (*invoke)(Call *call, void *object, GVariant *arguments, GError **error);
} CallMember;

bool call_take_answer(Call *call); /* an answer is still due; from then on it counts as given */
int call_dispatch(sd_bus_message *message, void *object, const CallMember *member);
/* The first member of a table with this verb, or NULL. */
const CallMember *member_by_verb(const CallMember *members, const char *verb);
