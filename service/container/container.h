/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A container: identity, configuration, life and processes, in memory. Reference-counted; whoever waits across a return to the loop keeps a reference.
 * Everything here is changed by container/commit.c alone (and `operation`/queue by the operation layer). */

#include "base/pidref.h"
#include "model/actor.h"
#include "model/config.h"
#include "model/life.h"

typedef struct Container Container;
typedef struct Registry Registry;

struct Container {
        unsigned n_references;
        Registry *registry; /* NULL once it has been removed */
        char *id, *name, *bundle; /* bundle "" unless made from one */
        char *title; /* cache of container_title */
        guint32 owner_uid;
        guint64 created_usec, generation;
        GVariant *config;
        Life life;
        bool removed; /* its row is gone; only references keep the object */

        PidRef main, monitor; /* of the open run */

        const char *operation; /* the verb on the wire that is being done now, "" when none; static string */
        GPtrArray *sessions; /* of Session, in order of creation; holds references */
        GQueue operations; /* of Operation: the head runs (operation layer) */
        unsigned n_restarts; /* Restarts among them: an end that one of them brings about is not the last */
        struct Supervision *supervision; /* operation/lifecycle.c: event sources of the run */
        int failed_start_code; /* 125, 126, 127 while a run that crun start refused is taken down; else 0 */
        bool start_is_doubtful; /* it was found `initialized`: a crun start of an earlier service may be at work */
        bool start_timed_out; /* start-timeout-usec ended the run that is about to end */
        struct Restart *restart; /* operation/policy.c: the timer of a pending restart */
        struct Repair *repair; /* operation/repair.c: a cleanup that failed; else NULL */
        struct Health *health; /* operation/health.c; NULL without a check */
        struct Managed *managed; /* operation/managed.c: the unit that owns its lifecycle; NULL without one */
        struct Readiness *readiness; /* operation/readiness.c: the notify socket of the run */
};

Container *container_new(const char *id, const char *name, guint32 owner_uid, GVariant *config) G_GNUC_WARN_UNUSED_RESULT; /* state created, not registered */
Container *container_ref(Container *container);
void container_unref(Container *container);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Container, container_unref)

char *container_path(const Container *container) G_GNUC_WARN_UNUSED_RESULT; /* /io/conbus1/container/<id> */
/* "container "web"", for messages; valid until the container is renamed. */
const char *container_title(Container *container);
/* CommandName: argv[0] of entrypoint + command, "" for a bundle without it. */
const char *container_command_name(const Container *container);
Policy container_policy(const Container *container);
bool container_has_health(const Container *container); /* a regular test that is not disabled; a startup test alone is refused */
bool container_auto_start(const Container *container);
guint64 container_stop_timeout(const Container *container); /* usec, 10 s default */
int container_stop_signal(const Container *container); /* SIGTERM default */
