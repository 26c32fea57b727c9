/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Wait, WaitFor, WaitAny, OpenWait below the bus: the ten rules of api.md section 10. A wait binds to a run when it begins, is checked at each commit (as OBSERVER_WAITS), and is answered from records. No timers but a caller's own deadline. */

#include "base/auto.h"
#include "container/registry.h"

typedef struct Waits Waits;
typedef struct Wait Wait;

Waits *waits_new(sd_event *event, Registry *registry);
void waits_free(Waits *waits); /* drops every wait without an answer */

typedef struct WaitOptions {
        const char *const *conditions; /* states, removed, ready, healthy, unhealthy; not empty */
        bool has_run, has_after_run, final;
        guint64 run; /* 0 with has_run: as absent */
        guint64 after_run;
        guint64 bound; /* of a wait that is taken up again: the run it was bound to, 0 if none */
        guint64 timeout_usec; /* UINT64_MAX: none */
} WaitOptions;

typedef struct WaitAnswer {
        const char *container; /* id */
        const char *condition; /* the word that was met, or "timeout" */
        guint64 run; /* bound run, 0 if none yet */
        int exit_code, exit_signal; /* -1 and 0 where no end applies */
        Result result;
        GVariant *details; /* a{sv}: the record (run_to_variant) when there is one, else empty; borrowed */
} WaitAnswer;

/* Exactly once, never before wait_begin has returned; either answer or error. The Wait is gone when it returns. */
typedef void (*WaitDone)(const WaitAnswer *answer, const GError *error, void *userdata);

/* id: 64 hex digits, of a container or of one that is gone but has records. Errors at once: InvalidArgs (a condition, or both run and after_run), NeverStarted, NoHealthCheck, NoSuchContainer, NoSuchRun. */
Wait *wait_begin(Waits *waits, const char *id, const WaitOptions *options, WaitDone done, void *userdata, GError **error) G_GNUC_WARN_UNUSED_RESULT;
guint64 wait_run(const Wait *wait); /* that it is bound to, 0 while none */
void wait_cancel(Wait *wait); /* without an answer */

/* Something beside the life has changed that waits depend on (Container.n_restarts). */
void waits_look_again(Waits *waits, Container *container);
unsigned waits_count(const Waits *waits);
