/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The restart policy as a question (ShouldRestart). Its action is in the commit that enters `exited`. */

#include "operation/operation.h"

/* Would the policy restart it now, given its last run; *ret_reason: "policy", "retries-exhausted", "stopped-by-user", "no-end-seen", "health-action". Changes nothing. */
bool policy_should_restart(Container *container, const char **ret_reason);
