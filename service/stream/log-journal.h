/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A container's log in the journal, as conmon's driver journald writes it: an entry for each record, with CONTAINER_ID_FULL, PRIORITY (3: stderr) and CONTAINER_PARTIAL_MESSAGE. Only what root has sent counts: everybody may send entries with such fields. */

#include "stream/log-filter.h"
#include <systemd/sd-event.h>

typedef struct LogJournal LogJournal;

/* directory NULL: the journal of this machine. From `from` on, {0, 0}: from the beginning. InvalidArgs: the cursor is none of a journal. */
LogJournal *log_journal_open(const char *directory, const char *id, const LogCursor *from, const LogFilter *filter, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void log_journal_free(LogJournal *journal);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LogJournal, log_journal_free)

/* Goes on n lines before the present end; with 0 at the end. */
bool log_journal_seek_tail(LogJournal *journal, guint64 n, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* As log_reader_next; a record with a run, whose number is not known, stands where another run begins. */
bool log_journal_next(LogJournal *journal, LogRecord *ret, guint64 *ret_usec, LogCursor *ret_at, LogCursor *ret_after);
LogCursor log_journal_place(const LogJournal *journal);

/* For the event loop: after an event log_journal_process, then log_journal_next gives what has come. */
int log_journal_fd(LogJournal *journal);
void log_journal_process(LogJournal *journal);
guint64 log_journal_backlog(LogJournal *journal, guint64 limit); /* bytes of messages that have not been read; counting ends when there are more than limit */

/* Waits until journald has written all it was sent before, for some seconds at most. */
void log_journal_synchronize(void);
/* The same without waiting: done is called once, not before this has returned, also when there is no journald. */
typedef struct LogJournalSync LogJournalSync;
LogJournalSync *log_journal_sync_begin(sd_event *event, void (*done)(void *userdata), void *userdata) G_GNUC_WARN_UNUSED_RESULT;
void log_journal_sync_free(LogJournalSync *sync);

/* Where the journal holds what is sent from now on; the form of a run's log-cursor. */
LogCursor log_journal_cursor_at(guint64 usec);
