/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The table of states as a question: could the method with this verb, without options, have its effect in the state that the container is in now? For Manager.Can; the verbs themselves decide when their turn has come. */

#include "container/session.h"

bool possible_verb(const Container *container, const char *verb);
bool possible_process_verb(const Session *session, const char *verb); /* likewise, of an exec session */
