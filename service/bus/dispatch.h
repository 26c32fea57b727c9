/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The way every method call takes, whatever its interface: sender known, gate passed, arguments decoded, handler called. Used by the generated trampolines alone. */

#include "bus/bus.h"

typedef struct CallMember {
        const char *interface, *name, *action, *signature;
        bool (*invoke)(Call *call, void *object, GVariant *arguments, GError **error);
} CallMember;

bool call_take_answer(Call *call); /* an answer is still due; from then on it counts as given */
int call_dispatch(sd_bus_message *message, void *object, const CallMember *member);
