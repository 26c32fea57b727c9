/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files are read as they are. Entries of the journal are copied together: what sd-journal gives is valid for a moment only. */

#include "stream/replay.h"
#include <string.h>
#include <sys/epoll.h>

#define PIECE (128 * 1024)
#define RECORDS_AT_ONCE 64 /* of the journal, which costs some microseconds each, while conmon may wait */

struct Replay {
        LogReader *reader; /* one of the two */
        LogJournal *journal;
        sd_event *event; /* borrowed */
        sd_event_source *watch;
        LogJournalSync *sync; /* while journald is asked */
        bool settled, keep_records;
        ReplayChanged changed;
        void *userdata;
        LogRecord record; /* read and not given yet: size bytes of it */
        guint8 *bytes; /* PIECE */
};

Replay *replay_of_files(LogReader *reader) {
        Replay *replay = g_new0(Replay, 1);

        replay->reader = reader;
        return replay;
}

Replay *replay_of_journal(LogJournal *journal) {
        Replay *replay = g_new0(Replay, 1);

        replay->journal = journal;
        replay->bytes = g_malloc(PIECE);
        return replay;
}

void replay_free(Replay *replay) {
        if (!replay)
                return;
        g_clear_pointer(&replay->watch, sd_event_source_disable_unref);
        log_journal_sync_free(replay->sync);
        log_reader_free(replay->reader);
        log_journal_free(replay->journal);
        g_free(replay->bytes);
        g_free(replay);
}

static int on_journal(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Replay *replay = userdata;

        log_journal_process(replay->journal);
        replay->changed(replay->userdata);
        return 0;
}

bool replay_watch(Replay *replay, sd_event *event, ReplayChanged changed, void *userdata, GError **error) {
        replay->event = event;
        replay->changed = changed;
        replay->userdata = userdata;
        if (!replay->journal)
                return true;
        int fd = log_journal_fd(replay->journal), r = fd < 0 ? fd : sd_event_add_io(event, &replay->watch, fd, EPOLLIN, on_journal, replay);
        return r >= 0 || error_errno(error, -r, "watch the journal");
}

bool replay_end_here(Replay *replay, GError **error) {
        return !replay->reader || log_reader_end_here(replay->reader, error);
}

void replay_keep_records(Replay *replay) {
        replay->keep_records = true;
        if (replay->reader)
                log_reader_keep_records(replay->reader);
}

/* --- the journal --- */

static bool has_record(Replay *replay) {
        LogCursor at, after;
        guint64 usec;

        while (replay->record.size == 0)
                if (!log_journal_next(replay->journal, &replay->record, &usec, &at, &after))
                        return false;
        return true;
}

static unsigned read_journal(Replay *replay, Frame *frames, unsigned max) {
        size_t used = 0;
        unsigned n = 0;

        for (unsigned i = 0; i < RECORDS_AT_ONCE && has_record(replay); i++) {
                LogRecord *record = &replay->record;
                Frame *last = n > 0 ? &frames[n - 1] : NULL;
                size_t size = MIN(record->size, FRAME_MAX); /* one of conmon's is 8 KiB at most */
                bool joins = last && !replay->keep_records && last->stream == record->stream && last->size + size <= FRAME_MAX;
                if (used + size > PIECE || (!joins && n == max))
                        break;
                memcpy(replay->bytes + used, record->text, size);
                if (joins)
                        last->size += size;
                else
                        frames[n++] = (Frame) {.stream = record->stream, .data = replay->bytes + used, .size = size};
                used += size;
                record->text += size;
                record->size -= size;
        }
        return n;
}

static void on_synchronized(void *userdata) {
        Replay *replay = userdata;

        g_clear_pointer(&replay->sync, log_journal_sync_free);
        replay->settled = true;
        log_journal_process(replay->journal);
        replay->changed(replay->userdata);
}

/* --- either --- */

unsigned replay_read(Replay *replay, Frame *frames, unsigned max) {
        return replay->reader ? log_reader_read(replay->reader, frames, max) : read_journal(replay, frames, max);
}

bool replay_settle(Replay *replay) {
        if (replay->journal && !replay->settled && !replay->sync)
                replay->sync = log_journal_sync_begin(replay->event, on_synchronized, replay);
        return !replay->journal || replay->settled;
}

guint64 replay_backlog(Replay *replay, guint64 limit) {
        return replay->reader ? log_reader_backlog(replay->reader) : replay->record.size + log_journal_backlog(replay->journal, limit);
}

void replay_notice_files(Replay *replay) {
        if (replay->reader)
                log_reader_notice_files(replay->reader);
}

bool replay_has_gap(const Replay *replay) {
        return replay->reader && log_reader_has_gap(replay->reader);
}
