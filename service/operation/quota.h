/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How many accepted operations each user has, so that one who may do something on some container cannot fill the queue of all. Root and the service itself have no limit of their own. */

#include "operation/operation.h"

void quota_take(Engine *engine, const Actor *actor); /* an operation was made; actor may be NULL */
void quota_give(Engine *engine, const Actor *actor); /* it is over */
void quota_free(Engine *engine);
