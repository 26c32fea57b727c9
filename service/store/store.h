/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What survives: containers, their lives, records of runs and the event log, in one SQLite database (WAL). SQL stops here.
 *
 * Durability. synchronous=NORMAL: a commit is written to the WAL and survives a crash of the process at once; store_sync makes everything committed so far
 * survive a power cut, without blocking the loop (Linux AIO IOCB_CMD_FDSYNC on the WAL; its eventfd is watched). Automatic checkpoints are off, since they sync: a child process
 * (store_checkpoint_main) does them when the WAL has grown past STORE_WAL_LIMIT.
 *
 * Every bool function returns false with *error set: StorageFull (SQLITE_FULL, ENOSPC), StorageCorrupt, Internal. */

#include "base/auto.h"
#include "base/error.h"
#include "model/life.h"
#include "model/session.h"

typedef struct Store Store;

/* What store_open found in one container's rows. Owned by the callee of StoreLoaded only during the call, except strings that it copies. */
typedef struct StoredContainer {
        const char *id, *name;
        guint32 owner_uid;
        guint64 created_usec, generation;
        GVariant *config;
        const char *bundle; /* CreateContainerFromBundle: the directory; "" else */
        Life life; /* to be copied with life_copy */
} StoredContainer;

typedef void (*StoreLoaded)(const StoredContainer *row, void *userdata);

/* Opens DIRECTORY/conbus.db, makes it, migrates it (numbered migrations in schema.sql; PRAGMA user_version), and refuses a newer one (StorageCorrupt with a sentence). event may be NULL in tests: store_sync then syncs at once. directory NULL: in memory. */
Store *store_open(const char *directory, sd_event *event, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void store_close(Store *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Store, store_close)

bool store_load(Store *store, StoreLoaded loaded, void *userdata, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* all containers in order of creation */

/* One transaction at a time; a failed store_commit has rolled back. */
bool store_begin(Store *store, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool store_commit(Store *store, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void store_rollback(Store *store);

/* Rows. Inside a transaction of the caller. */
bool store_put_container(Store *store, const StoredContainer *row, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* insert or replace; writes life too */
bool store_put_life(Store *store, const char *id, const Life *life, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool store_delete_container(Store *store, const char *id, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* its exec sessions go with it, records stay */
bool store_put_run(Store *store, const Run *run, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* insert or replace */
bool store_append_event(Store *store, Event *event, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* sets event->seq */

/* An exec session; what store_load_sessions finds is owned by it, as with StoredContainer. */
typedef struct StoredSession {
        guint64 number;
        const char *container; /* id */
        guint32 owner_uid;
        const char *client; /* bus name of the creator */
        guint64 created_usec;
        const char *user;
        GVariant *request;
        SessionLife life;
} StoredSession;
typedef void (*SessionLoaded)(const StoredSession *row, void *userdata);
guint64 store_new_session_number(Store *store); /* that no session has ever been stored with */
bool store_put_session(Store *store, const StoredSession *row, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* insert or replace. Inside a transaction of the caller, as the next one */
bool store_delete_session(Store *store, guint64 number, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool store_load_sessions(Store *store, SessionLoaded loaded, void *userdata, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Records. number 0: the latest. *ret is NULL when there is none. */
bool store_get_run(Store *store, const char *container, guint64 number, Run **ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The first record with a number above `after` that has ended. */
bool store_get_run_after(Store *store, const char *container, guint64 after, Run **ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;
GPtrArray *store_list_runs(Store *store, const char *container, guint32 limit, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* of Run, newest first */
bool store_find_invocation(Store *store, const guint8 *invocation, Run **ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Events after seq `after`, oldest first, at most limit. until_usec UINT64_MAX: no end; types NULL: all. *ret_gap: some after `after` were trimmed. */
GPtrArray *store_list_events(Store *store, guint64 after, guint32 limit, guint64 until_usec, const char *const *types, bool *ret_gap, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool store_knows_removal(Store *store, const char *container); /* an event tells of it; false as well when the log cannot be read */
guint64 store_get_event_seq(Store *store); /* last number given */
const guint8 *store_get_event_log_id(Store *store); /* 16 bytes */

/* Reserves n numbers for jobs, so that none is given twice, whatever happens to the service; *ret is the last one before them. Outside a transaction too. */
bool store_reserve_job_numbers(Store *store, guint64 n, guint64 *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Limits of records and events; trimmed as new ones come. Defaults: 30 days, 10000, 7 days, 10000. */
typedef struct StoreLimits {
        guint64 runs_usec, runs_count, events_usec, events_count;
} StoreLimits;
void store_set_limits(Store *store, const StoreLimits *limits);
bool store_trim(Store *store, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* both; inside or outside a transaction */

/* Calls done once everything committed so far survives a power cut (error NULL), or cannot be promised to. Never before store_sync has returned. */
typedef void (*StoreSynced)(const GError *error, void *userdata);
void store_sync(Store *store, StoreSynced done, void *userdata);

/* True when the WAL has grown past its limit, also since this last said so, and a checkpoint child should run, once; store_checkpoint_main is what that child (conbusd --checkpoint DIRECTORY) does.
 * Its last pass keeps everybody else from writing while it syncs, tens of milliseconds on a busy disk, and the first commit after it syncs, too: while others are waited for (busy) the limit is four times as high. */
bool store_wants_checkpoint(Store *store, bool busy);
int store_checkpoint_main(const char *directory);
