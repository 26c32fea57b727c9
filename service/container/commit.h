/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The one way to change a container. A commit starts as a copy of the life, is edited, and is applied: store, then memory, then observers (bus signals, engine, waits). If the store refuses nothing has changed.
 *
 *      g_autoptr(Commit) commit = commit_new(container, actor);
 *      commit_enter(commit, STATE_RUNNING, REASON_USER);
 *      commit->life.start_usec = clock_realtime_usec();
 *      commit_event(commit, "start", NULL);
 *      if (!commit_apply(commit, &error)) …
 */

#include "container/registry.h"

typedef struct Commit {
        Container *container;
        Registry *registry; /* only of a create: the container is not in it yet */
        Actor *actor;
        Life life; /* edit this */
        /* set by the functions below */
        char *new_name;
        GVariant *new_config;
        bool create, remove;
        Run *run; /* the record to write */
        bool run_started, run_finished;
        GPtrArray *events;
        PidRef main, monitor; /* taken over by the container when set_processes */
        bool set_main, set_monitor;
        Session *session; /* reference; that changes too, or NULL */
        SessionLife session_life; /* edit this */
        bool add_session, remove_session;
} Commit;

Commit *commit_new(Container *container, Actor *actor) G_GNUC_WARN_UNUSED_RESULT; /* actor NULL: the service itself */
void commit_free(Commit *commit);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Commit, commit_free)

/* A transition; asserts that it is legal. Sets reason, time, seq. Entering the present state is no transition and leaves them. */
void commit_enter(Commit *commit, State state, Reason reason);
/* The record of the current run as stored so far (or new), to be edited; written with the commit. */
Run *commit_edit_run(Commit *commit);
void commit_set_run_started(Commit *commit); /* RunStarted will be sent */
void commit_set_run_finished(Commit *commit); /* RunFinished will be sent */
/* Adds an event of type container. details: floating a{sv} or NULL; name, image, labels (died, remove), run and actor are added here. */
void commit_event(Commit *commit, const char *action, GVariant *details);
void commit_set_main(Commit *commit, PidRef *main); /* takes it; PIDREF_NULL clears */
void commit_set_monitor(Commit *commit, PidRef *monitor);
void commit_set_config(Commit *commit, GVariant *config); /* generation grows */
void commit_set_name(Commit *commit, const char *name);
void commit_set_error(Commit *commit, const GError *error); /* LastError*; NULL empties */
/* The exec session that changes with this commit, one at most; its life is edited in commit->session_life. */
void commit_set_session(Commit *commit, Session *session);
void commit_set_add_session(Commit *commit); /* it appears */
void commit_set_remove_session(Commit *commit); /* it goes */
void commit_set_create(Commit *commit, Registry *registry); /* the first one: inserts and registers */
void commit_set_remove(Commit *commit); /* the last one: deletes the row, unregisters */

/* False with StorageFull, …: nothing changed. Applied at most once. */
bool commit_apply(Commit *commit, GError **error) G_GNUC_WARN_UNUSED_RESULT;
