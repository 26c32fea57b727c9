/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening a log at the right place: the plan's cursor, or as many lines before the end as it says. */

#include "stream/log-source.h"
#include "base/auto.h"
#include "stream/log-files.h"
#include "stream/log-journal.h"
#include "stream/log-reader.h"
#include "stream/log-tail.h"
#include <sys/epoll.h>
#include <sys/inotify.h>

#define FRAMES 64

struct LogSource {
        char *path;
        LogReader *reader; /* one of the two */
        LogJournal *journal;
        LogPosition start;
        sd_event_source *watch;
        LogSourceChanged changed;
        void *userdata;
        LogRecord record; /* of the journal, as bytes */
};

void log_source_free(LogSource *source) {
        if (!source)
                return;
        g_clear_pointer(&source->watch, sd_event_source_disable_unref);
        log_reader_free(source->reader);
        log_journal_free(source->journal);
        g_free(source->path);
        g_free(source);
}

/* The cursor of a run whose beginning has been rotated away gives what is left of it. */
static LogReader *open_reader(const char *path, const LogPosition *from, bool is_exact, GError **error) {
        LogReader *reader = log_reader_new(path, log_position_first(from), is_exact ? error : NULL);

        return reader || is_exact ? reader : log_reader_new(path, &(LogCursor) {0}, error);
}

static bool open_files(LogSource *source, const LogPlan *plan, LogFilter *filter, GError **error) {
        LogCursor end = {0};
        bool is_exact = !plan->from_run;

        if (plan->end && !log_cursor_parse(plan->end, &end, error))
                return false;
        if (plan->tail >= 0) {
                if (!plan->end && !log_files_end(plan->path, &end, error))
                        return false;
                if (!log_tail_find(plan->path, filter, &end, (guint64) plan->tail, &filter->from, error))
                        return false;
                is_exact = false;
        }
        source->reader = open_reader(plan->path, &filter->from, is_exact, error);
        if (!source->reader)
                return false;
        log_reader_set_filter(source->reader, filter);
        if (plan->end)
                log_reader_end_at(source->reader, &end);
        if (plan->follow)
                return true;
        log_reader_notice_files(source->reader); /* they may be rotated away before they are read */
        return log_reader_end_here(source->reader, error);
}

static bool open_journal(LogSource *source, const LogPlan *plan, const LogFilter *filter, GError **error) {
        log_journal_synchronize();
        source->journal = log_journal_open(NULL, plan->id, log_position_first(&filter->from), filter, error);
        return source->journal && (plan->tail < 0 || log_journal_seek_tail(source->journal, (guint64) plan->tail, error));
}

LogSource *log_source_open(const LogPlan *plan, GError **error) {
        g_autoptr(LogSource) source = g_new0(LogSource, 1);
        LogFilter filter = log_plan_filter(plan);

        if (plan->from && !log_position_parse(plan->from, &filter.from, error))
                return NULL;
        source->path = g_strdup(plan->path);
        if (plan->path ? !open_files(source, plan, &filter, error) : !open_journal(source, plan, &filter, error))
                return NULL;
        source->start = filter.from;
        return g_steal_pointer(&source);
}

LogPosition log_source_start(const LogSource *source) {
        return source->start;
}

LogCursor log_source_place(const LogSource *source) {
        return source->reader ? log_reader_place(source->reader) : log_journal_place(source->journal);
}

bool log_source_next(LogSource *source, LogRecord *ret, guint64 *ret_usec, LogCursor *ret_at, LogCursor *ret_after) {
        if (source->journal)
                return log_journal_next(source->journal, ret, ret_usec, ret_at, ret_after);
        if (!log_reader_next(source->reader, ret, ret_at, ret_after))
                return false;
        *ret_usec = log_record_usec(ret);
        return true;
}

/* A reader's frames lie one behind the other. */
size_t log_source_read(LogSource *source, const guint8 **ret_bytes) {
        Frame frames[FRAMES];
        LogCursor at, after;
        size_t size = 0;
        guint64 usec;

        if (source->journal) {
                while (size == 0 && log_journal_next(source->journal, &source->record, &usec, &at, &after))
                        size = source->record.size;
                *ret_bytes = source->record.text;
                return size;
        }
        unsigned n = log_reader_read(source->reader, frames, FRAMES);
        for (unsigned i = 0; i < n; i++)
                size += frames[i].size;
        *ret_bytes = n > 0 ? frames[0].data : NULL;
        return size;
}

/* --- following --- */

static int on_files(sd_event_source *event_source, const struct inotify_event *event, void *userdata) {
        LogSource *source = userdata;

        if (!(event->mask & IN_MODIFY))
                log_reader_notice_files(source->reader);
        source->changed(source->userdata);
        return 0;
}

static int on_journal(sd_event_source *event_source, int fd, uint32_t revents, void *userdata) {
        LogSource *source = userdata;

        log_journal_process(source->journal);
        source->changed(source->userdata);
        return 0;
}

bool log_source_watch(LogSource *source, sd_event *event, LogSourceChanged changed, void *userdata, GError **error) {
        source->changed = changed;
        source->userdata = userdata;
        if (source->journal) {
                int fd = log_journal_fd(source->journal), r = fd < 0 ? fd : sd_event_add_io(event, &source->watch, fd, EPOLLIN, on_journal, source);
                return r >= 0 || error_errno(error, -r, "watch the journal");
        }
        g_autofree char *directory = g_path_get_dirname(source->path);
        int r = sd_event_add_inotify(event, &source->watch, directory, IN_MODIFY | IN_CREATE | IN_MOVED_TO, on_files, source);
        return r >= 0 || error_errno(error, -r, "watch the log");
}

void log_source_settle(LogSource *source) {
        if (!source->journal)
                return;
        log_journal_synchronize();
        log_journal_process(source->journal);
}

bool log_source_has_gap(const LogSource *source) {
        return source->reader && log_reader_has_gap(source->reader);
}

void log_source_go_past_gap(LogSource *source) {
        log_reader_go_past_gap(source->reader);
}
