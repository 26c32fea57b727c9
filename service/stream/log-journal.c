/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading the journal with sd-journal. Times are those at which conmon has sent the entries; journald may have been late. */

#include "stream/log-journal.h"
#include "base/auto.h"
#include "base/clock.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <systemd/sd-journal.h>

#define JOURNALD "/run/systemd/journal/io.systemd.journal"
#define SYNCHRONIZE "{\"method\":\"io.systemd.Journal.Synchronize\"}" /* a Varlink call; a NUL ends it */
#define SYNCHRONIZE_SECONDS 10
#define TIME_ORIGIN "time" /* a place that is known by its time alone */
#define BEGINNINGS_MAX 10000 /* entries before the last lines that are looked at for beginnings of interleaved ones */

struct LogJournal {
        sd_journal *journal;
        LogFilter filter;
        LogCursor place;
        GByteArray *text; /* of the present record */
        guint64 monitor; /* pid of the conmon that has sent the last entry */
        bool again; /* the journal is at an entry that has not been looked at */
};

LogCursor log_journal_cursor_at(guint64 usec) {
        return (LogCursor) {.offset = usec, .origin = TIME_ORIGIN};
}

void log_journal_free(LogJournal *journal) {
        if (!journal)
                return;
        sd_journal_close(journal->journal);
        g_byte_array_unref(journal->text);
        g_free(journal);
}

static int add_matches(sd_journal *journal, const char *id) {
        g_autofree char *match = g_strdup_printf("CONTAINER_ID_FULL=%s", id), *uid = g_strdup_printf("_UID=%u", (unsigned) geteuid());
        int r = sd_journal_add_match(journal, match, 0);

        return r < 0 ? r : sd_journal_add_match(journal, uid, 0);
}

static LogCursor cursor_of_entry(sd_journal *journal) {
        g_autofree char *text = NULL;
        LogCursor cursor = {0};
        char *given = NULL;

        if (sd_journal_get_cursor(journal, &given) < 0)
                return cursor;
        text = given; /* malloc(3)'s, as GLib's is */
        if (sscanf(text, "s=%32[0-9a-f];i=%" G_GINT64_MODIFIER "x", cursor.origin, &cursor.number) != 2)
                cursor.number = 0;
        (void) sd_journal_get_realtime_usec(journal, &cursor.offset);
        return cursor;
}

/* So that the next entry is the first one behind the cursor, or the cursor's own, which the filter leaves out. */
static int seek(sd_journal *journal, const LogCursor *cursor) {
        if (cursor->number == 0 && cursor->offset == 0)
                return sd_journal_seek_head(journal);
        if (g_str_equal(cursor->origin, TIME_ORIGIN))
                return sd_journal_seek_realtime_usec(journal, cursor->offset);
        g_autofree char *text = g_strdup_printf("s=%s;i=%" G_GINT64_MODIFIER "x;t=%" G_GINT64_MODIFIER "x", cursor->origin, cursor->number, cursor->offset);
        return sd_journal_seek_cursor(journal, text);
}

LogJournal *log_journal_open(const char *directory, const char *id, const LogCursor *from, const LogFilter *filter, GError **error) {
        g_autoptr(LogJournal) journal = g_new0(LogJournal, 1);

        journal->text = g_byte_array_new();
        journal->filter = *filter;
        journal->place = *from;
        if (from->number != 0 && !*from->origin) {
                error_set(error, CONBUS_ERROR_INVALID_ARGS, "the cursor is none of the journal, which this container's log is in");
                return NULL;
        }
        int r = directory ? sd_journal_open_directory(&journal->journal, directory, 0) : sd_journal_open(&journal->journal, SD_JOURNAL_LOCAL_ONLY);
        if (r >= 0)
                r = sd_journal_set_data_threshold(journal->journal, 0);
        if (r >= 0)
                r = add_matches(journal->journal, id);
        if (r >= 0)
                r = seek(journal->journal, from);
        if (r < 0) {
                error_errno(error, -r, "read the journal");
                return NULL;
        }
        return g_steal_pointer(&journal);
}

/* --- records --- */

static bool has_field(sd_journal *journal, const char *name) {
        const void *data;
        size_t size;

        return sd_journal_get_data(journal, name, &data, &size) >= 0;
}

static guint64 number_of(sd_journal *journal, const char *name, guint64 absent) {
        const void *data;
        guint64 number;
        size_t size;

        if (sd_journal_get_data(journal, name, &data, &size) < 0)
                return absent;
        g_autofree char *text = g_strndup((const char *) data + strlen(name) + 1, size - strlen(name) - 1);
        return g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, &number, NULL) ? number : absent;
}

static void take_text(LogJournal *journal, bool partial) {
        const void *data;
        size_t size, head = strlen("MESSAGE=");

        g_byte_array_set_size(journal->text, 0);
        if (sd_journal_get_data(journal->journal, "MESSAGE", &data, &size) >= 0 && size >= head)
                g_byte_array_append(journal->text, (const guint8 *) data + head, (guint) (size - head));
        /* conmon 2.1 leaves the newline in the message. */
        if (!partial && (journal->text->len == 0 || journal->text->data[journal->text->len - 1] != '\n'))
                g_byte_array_append(journal->text, (const guint8 *) "\n", 1);
}

/* The entry that the journal is at, if it is to be seen. */
static bool read_entry(LogJournal *journal, LogRecord *ret, guint64 *ret_usec, LogCursor *ret_after) {
        guint64 received = 0;

        *ret_after = cursor_of_entry(journal->journal);
        (void) sd_journal_get_realtime_usec(journal->journal, &received);
        *ret_usec = number_of(journal->journal, "_SOURCE_REALTIME_TIMESTAMP", received);
        *ret = (LogRecord) {.stream = number_of(journal->journal, "PRIORITY", 6) == 3 ? STREAM_STDERR : STREAM_STDOUT, .partial = has_field(journal->journal, "CONTAINER_PARTIAL_MESSAGE")};
        return log_filter_takes(&journal->filter, ret, *ret_usec, ret_after);
}

/* Each run has a conmon of its own. */
static bool begins_run(LogJournal *journal) {
        guint64 monitor = number_of(journal->journal, "_PID", 0), before = journal->monitor;

        journal->monitor = monitor;
        return before != 0 && monitor != before;
}

bool log_journal_next(LogJournal *journal, LogRecord *ret, guint64 *ret_usec, LogCursor *ret_at, LogCursor *ret_after) {
        while (journal->again || sd_journal_next(journal->journal) > 0) {
                journal->again = begins_run(journal);
                if (journal->again) {
                        log_filter_begin_run(&journal->filter);
                        *ret = (LogRecord) {.stream = STREAM_STDIN, .run = 1};
                        *ret_usec = 0;
                        *ret_at = *ret_after = journal->place;
                        return true;
                }
                bool wanted = read_entry(journal, ret, ret_usec, ret_after);
                *ret_at = journal->place;
                journal->place = *ret_after;
                if (!wanted)
                        continue;
                take_text(journal, ret->partial);
                ret->text = journal->text->data;
                ret->size = journal->text->len;
                return true;
        }
        return false;
}

LogCursor log_journal_place(const LogJournal *journal) {
        return journal->place;
}

/* --- the last lines --- */

typedef struct Walk {
        guint64 n; /* lines that are still to be found */
        unsigned n_beyond; /* entries since none is */
        bool seen[STREAM_STDERR + 1], inside[STREAM_STDERR + 1]; /* an entry of the stream; one of a line that is wanted, whose beginning has not been met */
        guint64 monitor[STREAM_STDERR + 1]; /* pid of the conmon of that entry */
        LogPosition from;
} Walk;

static bool is_wanted(const LogFilter *filter, guint8 stream, guint64 usec) {
        return (filter->streams & STREAM_MASK(stream)) && usec >= filter->since_usec && usec < filter->until_usec;
}

/* One entry further back. False: nothing before it is of interest. */
static bool walk_back(LogJournal *journal, Walk *walk, const LogCursor *here) {
        guint8 stream = number_of(journal->journal, "PRIORITY", 6) == 3 ? STREAM_STDERR : STREAM_STDOUT;
        guint64 monitor = number_of(journal->journal, "_PID", 0);
        bool ends = !has_field(journal->journal, "CONTAINER_PARTIAL_MESSAGE") || !walk->seen[stream] || monitor != walk->monitor[stream];

        walk->seen[stream] = true;
        walk->monitor[stream] = monitor;
        if (ends) {
                if (walk->inside[stream])
                        walk->from.of[stream] = *here;
                walk->inside[stream] = walk->n > 0 && is_wanted(&journal->filter, stream, number_of(journal->journal, "_SOURCE_REALTIME_TIMESTAMP", here->offset));
                walk->n -= walk->inside[stream];
        }
        return walk->n > 0 || ((walk->inside[STREAM_STDOUT] || walk->inside[STREAM_STDERR]) && ++walk->n_beyond < BEGINNINGS_MAX);
}

/* Back from the end: a line begins behind the end of the one before it in its stream. */
bool log_journal_seek_tail(LogJournal *journal, guint64 n, GError **error) {
        const LogPosition limits = journal->filter.from;
        Walk walk = {.n = n, .from = limits};
        LogCursor here = {0};
        bool goes_on = true;
        int r = sd_journal_seek_tail(journal->journal);

        for (bool first = true; goes_on && r >= 0 && (r = sd_journal_previous(journal->journal)) > 0; first = false) {
                here = cursor_of_entry(journal->journal);
                if (first)
                        walk.from = log_position_at(&here);
                goes_on = log_cursor_compare(&here, log_position_first(&limits)) > 0 && walk_back(journal, &walk, &here);
        }
        for (guint8 stream = STREAM_STDOUT; stream <= STREAM_STDERR; stream++)
                journal->filter.from.of[stream] = !walk.inside[stream] ? walk.from.of[stream] : walk.n_beyond < BEGINNINGS_MAX ? limits.of[stream] : here;
        journal->place = *log_position_first(&journal->filter.from);
        if (r >= 0)
                r = seek(journal->journal, &journal->place);
        return r >= 0 || error_errno(error, -r, "read the journal backwards");
}

/* --- following --- */

int log_journal_fd(LogJournal *journal) {
        return sd_journal_get_fd(journal->journal);
}

void log_journal_process(LogJournal *journal) {
        (void) sd_journal_process(journal->journal);
}

/* What the place leaves out already must not be counted or given again. */
guint64 log_journal_backlog(LogJournal *journal, guint64 limit) {
        guint64 bytes = 0;
        const void *data;
        size_t size;

        while (bytes <= limit && (journal->again || sd_journal_next(journal->journal) > 0)) {
                const LogCursor here = cursor_of_entry(journal->journal);
                journal->again = false;
                if (log_cursor_compare(&here, &journal->place) > 0 && sd_journal_get_data(journal->journal, "MESSAGE", &data, &size) >= 0)
                        bytes += size - strlen("MESSAGE=");
        }
        for (guint8 stream = STREAM_STDOUT; stream <= STREAM_STDERR; stream++)
                if (log_cursor_compare(&journal->place, &journal->filter.from.of[stream]) > 0)
                        journal->filter.from.of[stream] = journal->place;
        (void) seek(journal->journal, &journal->place);
        return bytes;
}

/* --- synchronizing --- */

/* A socket on which journald answers with a NUL at the end; -1: there is no journald. */
static int ask_to_synchronize(int flags) {
        struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = JOURNALD};
        autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

        if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof address) < 0 || send(fd, SYNCHRONIZE, sizeof SYNCHRONIZE, MSG_NOSIGNAL) != sizeof SYNCHRONIZE)
                return -1;
        return steal_fd(&fd);
}

void log_journal_synchronize(void) {
        const struct timeval limit = {.tv_sec = SYNCHRONIZE_SECONDS};
        autofd int fd = ask_to_synchronize(0);
        char byte = 1;

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0)
                return;
        while (recv(fd, &byte, 1, 0) == 1 && byte != '\0')
                ;
}

struct LogJournalSync {
        int fd;
        sd_event_source *answer, *timer;
        void (*done)(void *userdata);
        void *userdata;
};

void log_journal_sync_free(LogJournalSync *sync) {
        if (!sync)
                return;
        g_clear_pointer(&sync->answer, sd_event_source_disable_unref);
        g_clear_pointer(&sync->timer, sd_event_source_disable_unref);
        close_fd(sync->fd);
        g_free(sync);
}

/* The owner may free it in done. */
static void sync_is_done(LogJournalSync *sync) {
        sd_event_source_set_enabled(sync->timer, SD_EVENT_OFF);
        if (sync->answer)
                sd_event_source_set_enabled(sync->answer, SD_EVENT_OFF);
        sync->done(sync->userdata);
}

static int on_answer(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        char bytes[256];
        ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0 || memchr(bytes, '\0', (size_t) n))
                sync_is_done(userdata);
        return 0;
}

static int on_no_answer(sd_event_source *source, guint64 usec, void *userdata) {
        sync_is_done(userdata);
        return 0;
}

LogJournalSync *log_journal_sync_begin(sd_event *event, void (*done)(void *userdata), void *userdata) {
        LogJournalSync *sync = g_new0(LogJournalSync, 1);

        *sync = (LogJournalSync) {.fd = ask_to_synchronize(SOCK_NONBLOCK), .done = done, .userdata = userdata};
        int r = sd_event_add_time(event, &sync->timer, CLOCK_BOOTTIME, clock_boottime_in(sync->fd < 0 ? 0 : SYNCHRONIZE_SECONDS * G_USEC_PER_SEC), 1000, on_no_answer, sync);
        if (r >= 0 && sync->fd >= 0)
                r = sd_event_add_io(event, &sync->answer, sync->fd, EPOLLIN, on_answer, sync);
        g_assert(r >= 0);
        return sync;
}
