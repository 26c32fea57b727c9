/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An engine on a store in memory, with a crun that always succeeds (/bin/true) unless a test names another program. What runs are children of the test. */

#include "operation/internal.h"
#include "testing.h"

typedef struct Fixture {
        sd_event *event;
        Reaper *reaper;
        char *directory;
        Paths paths; /* run and state below directory; crun and conmon may be changed at any time */
        Store *store;
        Registry *registry;
        Waits *waits;
        Engine *engine;
        Settings settings; /* of the next engine; those of the present one may be changed in it */
        unsigned n_ids, n_descriptors;
} Fixture;

void fixture_set_up(Fixture *fixture, gconstpointer unused);
void fixture_tear_down(Fixture *fixture, gconstpointer unused); /* what still runs is killed */
/* The service as after kill -9 and a new start: nothing is left but the rows, changed by sql (NULL: not at all) and loaded again. Containers have to be looked up again; fixture_adopt is the test's. */
void fixture_crash(Fixture *fixture, const char *sql);
void fixture_adopt(Fixture *fixture); /* engine_adopt, which has to succeed */

/* What set_up and tear_down are made of, for fakes.c. */
void fixture_prepare(Fixture *fixture); /* everything below the store */
void fixture_open(Fixture *fixture); /* everything above it */
void fixture_quiesce(Fixture *fixture); /* kills what runs and waits for the cleanups */
void fixture_close(Fixture *fixture);

/* A container in the state created; config as GVariant text. Borrowed: the registry holds it. */
Container *fixture_add(Fixture *fixture, const char *name, const char *config);
/* Into a state as it stands in a row, with nothing done for it. */
void fixture_enter(Container *container, State state);
/* Opens a run whose PID 1 is a new child, and enters the state; running gets a start time. Returns the child. */
pid_t fixture_run(Fixture *fixture, Container *container, State state);
/* The container as if its run had ended and been cleaned up. edit changes the life before the commit; may be NULL. */
void fixture_exit(Fixture *fixture, Container *container, void (*edit)(Life *life));
void fixture_break_store(Fixture *fixture); /* every event is refused from now on */
/* Every commit that writes what the clause of a trigger names (`INSERT ON event WHEN new.action = 'init'`) fails with StorageFull, until fixture_allow. */
void fixture_refuse(Fixture *fixture, const char *clause);
void fixture_allow(Fixture *fixture);

typedef struct Answer {
        unsigned n;
        char *result; /* printed tuple, NULL with an error */
        GError *error;
} Answer;
void answer_clear(Answer *answer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Answer, answer_clear)
void answer_note(Operation *operation, GVariant *result, const GError *error, void *answer); /* an OperationDone */

/* Submits; options as GVariant text or NULL. It must be accepted. */
Operation *fixture_submit(Fixture *fixture, Container *container, Verb verb, const char *options, Answer *answer);
/* Submits and waits for the answer. */
void fixture_do(Fixture *fixture, Container *container, Verb verb, const char *options, Answer *answer);
void fixture_expect_refused(Fixture *fixture, Container *container, Verb verb, ConbusError code, const char *part); /* at submission */
void fixture_run_until_state(Fixture *fixture, Container *container, State state);
/* The actions of all events so far, with a space after each. */
char *fixture_events(Fixture *fixture) G_GNUC_WARN_UNUSED_RESULT;
void fixture_expect_events(Fixture *fixture, const char *actions);
/* The state, in memory and with all that belongs to it in the row. */
void fixture_expect(Fixture *fixture, Container *container, State state);
Run *fixture_record(Fixture *fixture, Container *container) G_GNUC_WARN_UNUSED_RESULT; /* of its latest run */
void fixture_expect_start_failed(Fixture *fixture, Container *container, int code); /* the latest run has ended so, and no process belongs to the container */
