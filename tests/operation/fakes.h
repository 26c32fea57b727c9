/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The fixture on the fake crun and conmon of tests/fakes, a store on disk and control groups: containers are really launched, and each step of a program fails where a test orders it. For sandboxed_unit_tests alone. */

#include "fixture.h"

void fakes_set_up(Fixture *fixture, gconstpointer unused);
/* Fails the test if a fault was not used, or if a process, a control group, an exit file, a state of crun, a file in a run directory or a descriptor is left once everything was ended. */
void fakes_tear_down(Fixture *fixture, gconstpointer unused);

#define FAKES_ADD(function) g_test_add("/" FAKES_UNIT "/" #function, Fixture, NULL, fakes_set_up, test_##function, fakes_tear_down)

/* A container with the test's root file system (direct) that sleeps; more: further keys as GVariant text, or NULL. Borrowed. */
Container *fakes_add(Fixture *fixture, const char *name, const char *more);
Container *fakes_add_started(Fixture *fixture, const char *name, const char *more);
Container *fakes_add_heeding(Fixture *fixture, const char *name); /* started; exits with 7 at TERM, with 8 at HUP, and ignores USR1 */
/* One line of the plan of faults (tests/fakes/fault.h): PROGRAM POINT NTH ACTION [ARGUMENT]. */
void fakes_order(const char *fault);
void fakes_break_disk(Fixture *fixture); /* what is committed cannot be promised to survive a power cut any more; before anything was synced */
void fakes_leave_state(Fixture *fixture, const Container *container); /* crun has a state of it, as that of a create that was cut off: whoever removes the container calls crun delete */
void fakes_cancel(void); /* what is still ordered */

/* A program that waits at a point ("crun start", "conmon created") until it is told to go on. */
typedef struct Gate Gate;
Gate *fakes_gate(Fixture *fixture, const char *point) G_GNUC_WARN_UNUSED_RESULT;
void gate_reach(Gate *gate); /* returns when it waits there */
void gate_open(Gate *gate); /* lets it go on; frees */
void gate_kill(Gate *gate); /* as the death of the service does (PR_SET_PDEATHSIG); frees */

/* Nothing of a run is in the run directory, and no group and no process is left. */
void fakes_expect_nothing_runs(Fixture *fixture, Container *container);
bool fakes_group_exists(const char *cgroup); /* "/conbus/ID" */
void fakes_enter_monitor(const char *id, pid_t pid); /* puts a process into the group of a container's monitor */
void fakes_enter_group(pid_t pid, const char *cgroup); /* which is made */
void fakes_run_until_gone(Fixture *fixture, pid_t pid); /* a child, or one that was */
