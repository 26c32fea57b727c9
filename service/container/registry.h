/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* All containers by id and by name, the store behind them, and who is told about changes. */

#include "container/container.h"
#include "container/session.h"
#include "store/store.h"

/* What a commit changed, for observers; valid during the call. old is the life before, now the one after (container->life may be ahead of it when an observer has committed in turn); config_changed covers name, labels and every property that derives from the configuration. */
typedef struct Change {
        Container *container;
        const Life *old, *now; /* a state that differs: StateChanged is due */
        bool appeared, config_changed, vanished, operation_changed;
        const Run *run_started, *run_finished; /* RunStarted / RunFinished are due */
        Session *session; /* that is concerned, or NULL; then the lives before and after */
        const SessionLife *session_old, *session_now;
        bool session_appeared, session_vanished;
        GPtrArray *events; /* of Event with their numbers, in order */
} Change;

/* Called in this order at each commit: announce (bus signals), engine (queue automatic operations), journal, waits (answers). */
typedef void (*ChangeObserver)(const Change *change, void *userdata);
typedef enum ObserverOrder { OBSERVER_ANNOUNCE, OBSERVER_ENGINE, OBSERVER_JOURNAL, OBSERVER_WAITS, N_OBSERVERS } ObserverOrder;

Registry *registry_new(Store *store); /* store outlives it */
void registry_free(Registry *registry);
void registry_set_observer(Registry *registry, ObserverOrder order, ChangeObserver observer, void *userdata);
/* The operation in progress (container->operation) has changed; nothing is stored. Told to the announce observer as a Change without anything but operation_changed. */
void registry_notify_operation(Registry *registry, Container *container);
Store *registry_store(Registry *registry);

Container *registry_get(Registry *registry, const char *id); /* borrowed or NULL */
Container *registry_get_by_name(Registry *registry, const char *name);
/* By name, full id or unique id prefix of at least 4 digits: NoSuchContainer, AmbiguousName. Borrowed. */
Container *registry_find(Registry *registry, const char *word, GError **error) G_GNUC_WARN_UNUSED_RESULT;
GPtrArray *registry_list(Registry *registry) G_GNUC_WARN_UNUSED_RESULT; /* all, in order of creation; holds references */
unsigned registry_count(Registry *registry, State state); /* N_STATES: all */
unsigned registry_count_sessions(Registry *registry); /* exec sessions of all containers */
unsigned registry_count_restarts(Registry *registry); /* containers with a pending restart */

/* A name that is being created: taken for others (NameInUse) until released or committed. */
bool registry_reserve_name(Registry *registry, const char *name, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void registry_release_name(Registry *registry, const char *name);

char *registry_new_id(Registry *registry) G_GNUC_WARN_UNUSED_RESULT; /* 64 hex digits, unused */
char *registry_new_name(Registry *registry) G_GNUC_WARN_UNUSED_RESULT; /* two words and a number, unused */

/* Loads every row; the containers are as they were stored (adoption is operation/adopt.c). */
bool registry_load(Registry *registry, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Containers that depend on this one (depends, joined namespaces): borrowed pointers in a new array. And the other way round; ids that do not exist any more are left out. */
GPtrArray *registry_dependents(Registry *registry, Container *container) G_GNUC_WARN_UNUSED_RESULT;
GPtrArray *registry_dependencies(Registry *registry, Container *container) G_GNUC_WARN_UNUSED_RESULT;

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Registry, registry_free)
