-- SPDX-License-Identifier: LGPL-2.1-or-later
-- The database, as numbered migrations. PRAGMA user_version is the number of the last one that was applied; each runs in one transaction with that number.
-- migration 1
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE container (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        owner_uid INTEGER NOT NULL,
        created_usec INTEGER NOT NULL,
        generation INTEGER NOT NULL,
        bundle TEXT NOT NULL,
        config TEXT NOT NULL
);
CREATE TABLE life (
        id TEXT PRIMARY KEY,
        state TEXT NOT NULL, reason TEXT NOT NULL, state_usec INTEGER NOT NULL, transitions INTEGER NOT NULL,
        run INTEGER NOT NULL, invocation BLOB NOT NULL, start_usec INTEGER NOT NULL, finish_usec INTEGER NOT NULL,
        exit_code INTEGER NOT NULL, exit_signal INTEGER NOT NULL, result TEXT NOT NULL,
        run_open INTEGER NOT NULL, ever_started INTEGER NOT NULL, ready INTEGER NOT NULL, status_text TEXT NOT NULL, health TEXT NOT NULL,
        monitor_pid INTEGER NOT NULL, monitor_start INTEGER NOT NULL, main_pid INTEGER NOT NULL, main_start INTEGER NOT NULL,
        supervised INTEGER NOT NULL, cgroup TEXT NOT NULL,
        stopped_by_user INTEGER NOT NULL, stop_deadline INTEGER NOT NULL,
        restart_count INTEGER NOT NULL, next_restart_usec INTEGER NOT NULL, backoff_usec INTEGER NOT NULL,
        error_name TEXT NOT NULL, error_message TEXT NOT NULL, error_usec INTEGER NOT NULL,
        boot_id TEXT NOT NULL, mounted INTEGER NOT NULL, remove_volumes INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE run (
        container TEXT NOT NULL, number INTEGER NOT NULL,
        invocation BLOB NOT NULL, pid INTEGER NOT NULL, start_usec INTEGER NOT NULL, finish_usec INTEGER NOT NULL,
        exit_code INTEGER NOT NULL, exit_signal INTEGER NOT NULL, result TEXT NOT NULL, reason TEXT NOT NULL,
        oom_kills INTEGER NOT NULL, restarts INTEGER NOT NULL, health TEXT NOT NULL, actor TEXT NOT NULL, log_cursor TEXT NOT NULL, name TEXT NOT NULL,
        PRIMARY KEY (container, number)
);
CREATE INDEX run_by_invocation ON run (invocation);
CREATE TABLE event (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        usec INTEGER NOT NULL, type TEXT NOT NULL, action TEXT NOT NULL, object TEXT NOT NULL, id TEXT NOT NULL, details TEXT NOT NULL
);
-- migration 2
CREATE TABLE session (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        container TEXT NOT NULL, owner_uid INTEGER NOT NULL, client TEXT NOT NULL, created_usec INTEGER NOT NULL, user TEXT NOT NULL, request TEXT NOT NULL,
        state TEXT NOT NULL, launching INTEGER NOT NULL, run INTEGER NOT NULL,
        monitor_pid INTEGER NOT NULL, monitor_start INTEGER NOT NULL, main_pid INTEGER NOT NULL, main_start INTEGER NOT NULL,
        start_usec INTEGER NOT NULL, finish_usec INTEGER NOT NULL, exit_code INTEGER NOT NULL, exit_signal INTEGER NOT NULL
);
CREATE INDEX session_by_container ON session (container);
-- migration 3
ALTER TABLE life ADD COLUMN stop_signal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE life ADD COLUMN health_action TEXT NOT NULL DEFAULT '';
ALTER TABLE life ADD COLUMN boot_due INTEGER NOT NULL DEFAULT 0;
-- migration 4
ALTER TABLE life ADD COLUMN managed_by TEXT NOT NULL DEFAULT '';
