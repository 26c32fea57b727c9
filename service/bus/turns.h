/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whose turn it is in the loop: calls go before the work of operations, so that a read waits for one step at most, and not for the first steps of a hundred starts. A flood of calls must not keep the work from being done: after
 * TURNS_CALLS_MAX of them in a row, with work waiting all the time, everything that waits goes first once. Ends of containers go before both (PRIORITY_END in operation/internal.h). */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#define TURNS_CALLS_MAX 64

typedef struct Turns Turns;

/* Attaches the connection to the loop. NULL with a negative errno in *ret_error. */
Turns *turns_new(sd_bus *connection, sd_event *event, int *ret_error);
void turns_free(Turns *turns); /* NULL is ignored; the connection stays attached */
void turns_count(Turns *turns); /* a message has been taken from the connection */
