/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the journal is told of the lives of containers (introspection/messages.txt). */

#include "operation/operation.h"

void messages_follow(const Change *change, void *engine); /* OBSERVER_JOURNAL */
void messages_adopted(Engine *engine, Container *container); /* a run goes on after a restart of the service */
