/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Faults on order, for the failures that the real programs cannot be made to show. The plan is the file FAULT_PLAN; a test writes it (tests/faults.py), one line for each fault:
 *
 *     PROGRAM POINT NTH ACTION [ARGUMENT]
 *
 * NTH counts how often PROGRAM passes POINT from now on: 1 is the next time, `*` each time. A fault that has struck is taken out of the file, so an empty plan says that all of them have.
 * Points of crun are its verbs, before their effect, and VERB-done, after it and before the answer; create-half and exec-half: the process is there, but not yet written down. Points of conmon: begin (the start byte is not yet read), attach (crun exec: before it can be attached to), create (before crun), created (before the packet), answered (after it),
 * ended (PID 1 is reaped, before the exit file), exited (before the exit command).
 *
 * Actions that all points know:
 *     gate FIFO     wait until the FIFO has been opened for writing and closed again: the opener knows that the point is reached, and decides when it goes on
 *     hang          for ever
 *     die SIGNAL    by this signal
 *     fail MESSAGE  say so and exit with 1
 *     silent        exit with 1 without a word
 * The rest belongs to the programs: crun.c, conmon.c. */

#include <glib.h>
#include <stdbool.h>

#define FAULT_PLAN "/run/conbus/faults"

typedef struct Fault {
        char *action, *argument; /* argument: "" where there is none */
} Fault;

/* Passes a point. Gate, hang and die happen here; another action is handed out and is the caller's to free. False: nothing was ordered. */
bool fault_at(const char *program, const char *point, Fault *ret);
void fault_clear(Fault *fault);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Fault, fault_clear)
bool fault_is(const Fault *fault, const char *action);
