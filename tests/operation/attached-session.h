/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Exec sessions in containers of the fakes, for tests of what can be attached to. */

#include "attached-client.h"
#include "executed.h"

/* One that is created and not started: sh -c SCRIPT, with more keys as GVariant text, or NULL. Borrowed: its container holds it until it is removed, which it never is by itself. */
Session *session_make(Fixture *fixture, Container *container, const char *script, const char *more);
void session_start(Fixture *fixture, Session *session); /* it succeeds */
Session *session_run(Fixture *fixture, Container *container, const char *script, const char *more); /* both */
void session_await_end(Fixture *fixture, Session *session, int code);
Session *session_find(Fixture *fixture); /* the first one of the container "web", after a crash */

/* Removes all containers by force, after which nothing of a session, its streams and its terminal may be left; and fakes_tear_down. */
void session_tear_down(Fixture *fixture, gconstpointer unused);
#define SESSION_ADD(function) g_test_add("/" FAKES_UNIT "/" #function, Fixture, NULL, fakes_set_up, test_##function, session_tear_down)
