/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus/dispatch.h"
#include "bus/question.h"

/* What polkit has to be asked before this call of someone who is not root may go on; *ret stays NULL when nothing has to be. Reads the message only as far as the argument that decides, and rewinds it. InvalidArgs for a verb that no method of a container has. */
bool access_question(Call *call, const void *object, const CallMember *member, Question **ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The method of a container that does this verb, also one of its health check if it has one; NULL when there is none. */
const CallMember *access_find_verb(const Container *container, const char *verb);
