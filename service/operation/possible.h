/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The table of states as a question: could the method with this verb, without options, have its effect in the state that the container is in now? For Manager.Can; the verbs themselves decide when their turn has come. */

#include "container/container.h"

bool possible_verb(const Container *container, const char *verb);
