/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Processes that are put into containers of the fakes. A request is GVariant text: the options of Exec, and the command. */

#include "fakes.h"
#include "operation/sessions.h"

#define SLEEPS "{'command': <['sleep', '1000']>}"
#define SLEEPS_LATER "{'command': <['sleep', '1000']>, 'start': <false>}"

/* fakes_tear_down, and before it: every session is removed as soon as its container has ended; none of them leaves a row or a directory. */
void executed_tear_down(Fixture *fixture, gconstpointer unused);
#define EXECUTED_ADD(function) g_test_add("/" FAKES_UNIT "/" #function, Fixture, NULL, fakes_set_up, test_##function, executed_tear_down)

/* Submits; it must be accepted. descriptors are taken; may be NULL. */
Operation *execute_submit(Fixture *fixture, Container *container, const char *request, SessionDescriptors *descriptors, Answer *answer);
void execute_do(Fixture *fixture, Container *container, const char *request, Answer *answer); /* and waits for the answer */
Session *execute(Fixture *fixture, Container *container, const char *request); /* which succeeds; borrowed */
void execute_begin(Fixture *fixture, Session *session, Answer *answer); /* of one that was made to be started later: submits */
void execute_expect_refused(Fixture *fixture, Container *container, Actor *actor, ConbusError code, const char *part); /* at submission */
/* TERM only makes it say so: it is told that it is ready for that when this returns. *ret_fd: its standard output. */
Session *execute_stubborn(Fixture *fixture, Container *container, int *ret_fd);

Session *executed_get(Container *container); /* the latest; borrowed */
void executed_run_until(Fixture *fixture, Session *session, SessionState state);
/* In memory and in its row; code and signal of one that has stopped, which nothing is watching any more. */
void executed_expect(Fixture *fixture, Session *session, SessionState state, int code, int signal);
/* Neither in the container, nor in the store, nor in the run directory. */
void executed_expect_none(Fixture *fixture, Container *container);
bool executed_has_directory(Fixture *fixture, const Session *session);
void executed_expect_text(int fd, const char *text); /* is read from it next */

Container *executed_crash(Fixture *fixture, const char *sql); /* the service dies, sql changes what it left, and the next one takes over: "web" */
bool executed_kernel_tells(Fixture *fixture); /* how a process has ended that others have reaped */
