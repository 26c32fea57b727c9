/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Wires loop, store, engine and bus together and decides idleness. Nobody but main.c includes it. */

/* Runs the service until it is told to leave or is idle; an exit status. state and run may be NULL: from the environment or the defaults. */
int manager_run(const char *state, const char *run);
