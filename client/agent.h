/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/* Starts an authentication agent at the terminal, for calls of this process that need a password, and waits until polkit knows it. It ends with this process. False where there is no terminal, no pkttyagent(1), or one has been started before. */
bool agent_start(void);
