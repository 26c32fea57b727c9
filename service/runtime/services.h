/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Services of the service manager that own something here: what the manager says of one, and when it ends. Its jobs are in runtime/units.h. */

#include "runtime/units.h"

typedef struct ServiceFacts {
        bool is_up; /* neither inactive nor failed; it is up while it waits for its restart, too */
        bool waits; /* for its restart: a start would only wait with it, a restart does not */
        pid_t main_pid; /* 0: none */
        guint64 stop_usec; /* TimeoutStopSec=, UINT64_MAX for ever */
        bool machine_goes_down;
} ServiceFacts;

typedef struct ServiceQuestion ServiceQuestion;
/* Exactly once, never before service_ask has returned. facts NULL: UnitFailed, with what the manager said, or that it says nothing within two seconds. */
typedef void (*ServiceAnswer)(const ServiceFacts *facts, const GError *error, void *userdata);
ServiceQuestion *service_ask(Units *units, const char *name, ServiceAnswer answer, void *userdata);
void service_question_forget(ServiceQuestion *question); /* NULL or not; answer is not called */

/* Looks at once, and then whenever the manager says that this unit has changed; nothing wakes for the units of others. ended is called once, when it is inactive or has failed, not before service_watch_new has returned; it may free the watch. */
typedef struct ServiceWatch ServiceWatch;
ServiceWatch *service_watch_new(Units *units, const char *name, void (*ended)(void *userdata), void *userdata);
void service_watch_free(ServiceWatch *watch);
