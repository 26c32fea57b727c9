/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An exec session: a process that was put into a container, on the bus a Process. Changed by container/commit.c alone, but for what belongs to the operation layer. */

#include "container/container.h"
#include "model/session.h"
#include "store/store.h"

typedef struct Session {
        unsigned n_references;
        Container *container; /* reference; the container holds one of this until it is removed */
        guint64 number; /* of all containers together */
        char *client; /* bus name of the creator */
        char *user; /* as whom it runs, as it was asked for */
        guint32 owner_uid;
        guint64 created_usec;
        GVariant *request; /* checked, see model/session.h */
        SessionLife life;
        bool removed;

        /* operation/sessions.c and session-watch.c */
        PidRef monitor, main;
        struct SessionWatch *watch; /* while it runs */
        struct SessionDescriptors *descriptors; /* the caller's, until it is started; or NULL */
        GQueue waits; /* of SessionWait */
        struct SessionRemoval *removal; /* the timer of its last minute */
} Session;

Session *session_new(Container *container, const Actor *actor, GVariant *request, const char *user) G_GNUC_WARN_UNUSED_RESULT; /* with a number, but not in the container's list yet */
Session *session_restore(Container *container, const StoredSession *row) G_GNUC_WARN_UNUSED_RESULT; /* likewise */
Session *session_ref(Session *session);
void session_unref(Session *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Session, session_unref)

char *session_path(const Session *session) G_GNUC_WARN_UNUSED_RESULT; /* /io/conbus1/container/<id>/process/<n> */
char *session_title(const Session *session) G_GNUC_WARN_UNUSED_RESULT; /* "process 3 of container "web"", for messages */
const char *session_command_name(const Session *session); /* argv[0] */
bool session_has_terminal(const Session *session);
/* Of one that has been started or is being started: whether what is written can reach it. Noted in its request at the start, stored with its next commit. */
bool session_has_input(const Session *session);
void session_set_has_input(Session *session, bool has_input);
/* It goes by itself after its end, or with its creator before its start. */
bool session_goes_by_itself(const Session *session);

Session *container_find_session(const Container *container, guint64 number); /* borrowed or NULL */
