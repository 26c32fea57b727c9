/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a log holds, and then what is written into it, as frames for one client: from the log files, or from the journal. */

#include "stream/log-journal.h"
#include "stream/log-reader.h"
#include <systemd/sd-event.h>

typedef struct Replay Replay;

/* There may be more now, or replay_settle may have become true. Only of a journal: log files are watched by the server. */
typedef void (*ReplayChanged)(void *userdata);

Replay *replay_of_files(LogReader *reader) G_GNUC_WARN_UNUSED_RESULT; /* takes it */
Replay *replay_of_journal(LogJournal *journal) G_GNUC_WARN_UNUSED_RESULT; /* takes it */
void replay_free(Replay *replay);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Replay, replay_free)

bool replay_watch(Replay *replay, sd_event *event, ReplayChanged changed, void *userdata, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* before the first replay_read */
bool replay_end_here(Replay *replay, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* files: it reads no further than their present end. A journal is opened with a filter that says so */
void replay_keep_records(Replay *replay); /* each record is a frame of its own; else records of one stream are joined */

/* The next frames, at most max; 0: there are no more now. They are valid until the next call. */
unsigned replay_read(Replay *replay, Frame *frames, unsigned max);
/* The log is at its end, or nobody wants what comes later. True: so is what replay_read gives. False: journald is asked to write what it has been sent by now; changed is called when it has, and then this is true. */
bool replay_settle(Replay *replay);
guint64 replay_backlog(Replay *replay, guint64 limit); /* bytes that have not been read, counted up to about this limit */
void replay_notice_files(Replay *replay); /* log files were renamed */
bool replay_has_gap(const Replay *replay); /* what comes next has been removed before it was read */
