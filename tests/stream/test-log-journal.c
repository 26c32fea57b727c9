/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/stream/log-journal.c, and log-source.c and replay.c on it, with a systemd-journald of the test's own, which the test sends to as conmon does. */

#include "stream/log-journal.h"
#include "stream/log-source.h"
#include "stream/replay.h"
#include "testing.h"
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#define JOURNALD "/lib/systemd/systemd-journald"
#define SOCKET "/run/systemd/journal/io.systemd.journal"
#define SETTINGS "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nRateLimitBurst=0\n"
#define NOBODY 65534

static pid_t journald;

typedef struct Entry {
        int priority;
        const char *text;
        bool partial;
} Entry;

#define OUT(words) {LOG_INFO, words, false}
#define ERR(words) {LOG_ERR, words, false}
#define PART(words) {LOG_INFO, words, true}

typedef struct Fixture {
        char id[65]; /* of a container that nobody has written of before */
        sd_event *event;
        LogFilter filter; /* all of both streams */
        LogCursor from;
        LogJournal *journal;
        unsigned n_changed, before;
} Fixture;

/* --- journald --- */

static bool is_listening(void) {
        struct stat st;

        return stat(SOCKET, &st) == 0;
}

/* Nothing of the machine's own journal is seen or touched. */
static void begin_journald(void) {
        static const char *const covered[] = {"/run/systemd", "/run/log", "/etc/systemd"};
        const gint64 deadline = g_get_monotonic_time() + TESTING_DEADLINE_USEC;

        for (unsigned i = 0; i < G_N_ELEMENTS(covered); i++) {
                g_assert_no_errno(g_mkdir_with_parents(covered[i], 0755));
                g_assert_no_errno(mount("tmpfs", covered[i], "tmpfs", 0, NULL));
        }
        g_assert_true(g_file_set_contents("/etc/systemd/journald.conf", SETTINGS, -1, NULL));
        journald = fork();
        g_assert_cmpint(journald, >=, 0);
        if (journald == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void) execl(JOURNALD, JOURNALD, NULL);
                _exit(127);
        }
        while (!is_listening()) {
                g_assert_cmpint(waitpid(journald, NULL, WNOHANG), ==, 0);
                g_assert_cmpint(g_get_monotonic_time(), <, deadline);
                g_usleep(1000);
        }
}

static void end_journald(void) {
        g_assert_no_errno(kill(journald, SIGKILL));
        g_assert_cmpint(waitpid(journald, NULL, 0), ==, journald);
}

/* --- around each test --- */

static void set_up(Fixture *fixture, gconstpointer unused) {
        static unsigned n;

        snprintf(fixture->id, sizeof fixture->id, "%064x", ++n);
        fixture->before = testing_count_descriptors();
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->filter = (LogFilter) {.streams = STREAM_MASK(STREAM_STDOUT) | STREAM_MASK(STREAM_STDERR), .until_usec = UINT64_MAX};
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        log_journal_free(fixture->journal);
        sd_event_unref(fixture->event);
        g_assert_cmpuint(testing_count_descriptors(), ==, fixture->before);
}

static void send_entry(const char *id, const Entry *entry) {
        g_autofree char *message = g_strconcat("MESSAGE=", entry->text, NULL), *priority = g_strdup_printf("PRIORITY=%d", entry->priority), *full = g_strconcat("CONTAINER_ID_FULL=", id, NULL);
        const struct iovec fields[] = {{message, strlen(message)}, {priority, strlen(priority)}, {full, strlen(full)}, {(char *) "CONTAINER_PARTIAL_MESSAGE=true", 30}};

        if (sd_journal_sendv(fields, entry->partial ? 4 : 3) < 0)
                _exit(EXIT_FAILURE);
}

/* By a process of its own, as each run has a conmon of its own. */
static void send_as(Fixture *fixture, uid_t uid, const Entry *entries, size_t n) {
        pid_t pid = fork();
        int status;

        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
                if (uid != 0 && setuid(uid) < 0)
                        _exit(EXIT_FAILURE);
                for (size_t i = 0; i < n; i++)
                        send_entry(fixture->id, &entries[i]);
                _exit(EXIT_SUCCESS);
        }
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_cmpint(status, ==, 0);
        log_journal_synchronize();
}

#define SEND(...)                                                                 \
        do {                                                                      \
                const Entry entries[] = {__VA_ARGS__};                            \
                send_as(fixture, 0, entries, G_N_ELEMENTS(entries));              \
        } while (0)

static void open_journal(Fixture *fixture) {
        g_autoptr(GError) error = NULL;

        g_clear_pointer(&fixture->journal, log_journal_free);
        fixture->filter.from = log_position_at(&fixture->from);
        fixture->journal = log_journal_open(NULL, fixture->id, &fixture->from, &fixture->filter, &error);
        g_assert_no_error(error);
}

/* Records as `1text` and `2text`, `+` behind those that go on, `|` where another run begins. None begins before the one before it ended. */
static char *read_all(Fixture *fixture) {
        LogCursor at, after, before = log_journal_place(fixture->journal);
        GString *text = g_string_new(NULL);
        LogRecord record;
        guint64 usec;

        while (log_journal_next(fixture->journal, &record, &usec, &at, &after)) {
                g_assert_cmpint(log_cursor_compare(&at, &before), >=, 0);
                if (record.run > 0) {
                        g_assert_cmpuint(record.stream, ==, STREAM_STDIN);
                        g_string_append_c(text, '|');
                } else {
                        g_assert_cmpint(log_cursor_compare(&at, &after), <, 0);
                        g_assert_cmpuint(usec, >, 0);
                        g_string_append_printf(text, "%u%.*s%s", record.stream, (int) record.size, (const char *) record.text, record.partial ? "+" : "");
                }
                before = log_journal_place(fixture->journal);
                g_assert_cmpint(log_cursor_compare(&before, &after), ==, 0);
        }
        return g_string_free(text, FALSE);
}

static void expect_next(Fixture *fixture, const char *wanted) {
        g_autofree char *text = read_all(fixture);

        g_assert_cmpstr(text, ==, wanted);
}

static void expect(Fixture *fixture, const char *wanted) {
        open_journal(fixture);
        expect_next(fixture, wanted);
}

/* --- records --- */

static void test_entries_are_records(Fixture *fixture, gconstpointer unused) {
        expect(fixture, "");
        SEND(OUT("one\n"), ERR("two"), PART("ha"), OUT("lf"), OUT(""), OUT("\n"));
        expect(fixture, "1one\n2two\n1ha+1lf\n1\n1\n");
}

/* More than sd-journal gives by default. */
static void test_long_entries_are_whole(Fixture *fixture, gconstpointer unused) {
        g_autofree char *text = g_strnfill(300000, 'x'), *wanted = g_strdup_printf("1%s\n", text);

        SEND(OUT(text));
        expect(fixture, wanted);
}

static void test_what_others_send_does_not_count(Fixture *fixture, gconstpointer unused) {
        const Entry forged = OUT("forged");
        Fixture other = {.id = "another"};

        SEND(OUT("mine"));
        send_as(fixture, NOBODY, &forged, 1);
        send_as(&other, 0, &forged, 1);
        SEND(OUT("mine as well"));
        expect(fixture, "1mine\n|1mine as well\n");
}

static void test_a_filter(Fixture *fixture, gconstpointer unused) {
        LogCursor at, after;
        LogRecord record;
        guint64 second;

        SEND(OUT("a"), ERR("b"));
        SEND(OUT("c"));
        open_journal(fixture);
        g_assert_true(log_journal_next(fixture->journal, &record, &second, &at, &after));
        g_assert_true(log_journal_next(fixture->journal, &record, &second, &at, &after));
        fixture->filter.streams = STREAM_MASK(STREAM_STDERR);
        expect(fixture, "2b\n|");
        fixture->filter.streams |= STREAM_MASK(STREAM_STDOUT);
        fixture->filter.since_usec = second;
        expect(fixture, "2b\n|1c\n");
        fixture->filter.since_usec = 0;
        fixture->filter.until_usec = second;
        expect(fixture, "1a\n|");
}

/* --- places --- */

static void test_it_goes_on_at_a_cursor(Fixture *fixture, gconstpointer unused) {
        static const char *const rests[] = {"2b\n1c\n", "1c\n", ""};
        LogCursor at, after, cursors[3];
        LogRecord record;
        guint64 usec;

        SEND(OUT("a"), ERR("b"), OUT("c"));
        open_journal(fixture);
        for (unsigned i = 0; i < 3; i++)
                g_assert_true(log_journal_next(fixture->journal, &record, &usec, &at, &cursors[i]));
        g_assert_false(log_journal_next(fixture->journal, &record, &usec, &at, &after));
        for (unsigned i = 0; i < 3; i++) {
                g_autofree char *text = log_cursor_to_string(&cursors[i]);
                g_assert_true(log_cursor_parse(text, &fixture->from, NULL));
                expect(fixture, rests[i]);
        }
        g_strlcpy(fixture->from.origin, "0123456789abcdef0123456789abcdef", sizeof fixture->from.origin); /* of a journal that is gone: by its time */
        expect(fixture, "");
        fixture->from.offset = cursors[0].offset;
        expect(fixture, "2b\n1c\n");
}

static void test_it_begins_at_a_time(Fixture *fixture, gconstpointer unused) {
        SEND(OUT("a"));
        fixture->from = log_journal_cursor_at((guint64) g_get_real_time());
        expect(fixture, "");
        SEND(OUT("b"), OUT("c"));
        expect(fixture, "1b\n1c\n");
}

static void test_what_cannot_be_opened(Fixture *fixture, gconstpointer unused) {
        const LogCursor none = {0}, in_a_file = {.number = 1, .offset = 2};
        unsigned before = testing_count_descriptors();
        g_autoptr(GError) error = NULL;

        g_assert_null(log_journal_open(NULL, fixture->id, &in_a_file, &fixture->filter, &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_ARGS, "the cursor is none of the journal");
        g_assert_null(log_journal_open("/nonexistent", fixture->id, &none, &fixture->filter, &error));
        testing_expect_error(&error, CONBUS_ERROR_INTERNAL, "read the journal: No such file");
        g_assert_cmpuint(testing_count_descriptors(), ==, before);
}

/* --- the last lines --- */

static void expect_tail(Fixture *fixture, guint64 n, const char *wanted) {
        g_autoptr(GError) error = NULL;

        open_journal(fixture);
        g_assert_true(log_journal_seek_tail(fixture->journal, n, &error));
        g_assert_no_error(error);
        expect_next(fixture, wanted);
}

static void test_the_last_lines(Fixture *fixture, gconstpointer unused) {
        expect_tail(fixture, 3, "");
        SEND(OUT("a"), PART("b"), ERR("c"), PART("b"), OUT("b"), OUT("d"));
        expect_tail(fixture, 0, "");
        expect_tail(fixture, 1, "1d\n");
        expect_tail(fixture, 2, "1b+1b+1b\n1d\n"); /* a line is whole, and what lies between is another one */
        expect_tail(fixture, 3, "1b+2c\n1b+1b\n1d\n");
        expect_tail(fixture, 4, "1a\n1b+2c\n1b+1b\n1d\n");
        expect_tail(fixture, 1000, "1a\n1b+2c\n1b+1b\n1d\n");
        fixture->filter.streams = STREAM_MASK(STREAM_STDERR);
        expect_tail(fixture, 1, "2c\n");
        fixture->filter.streams |= STREAM_MASK(STREAM_STDOUT);
        fixture->filter.until_usec = 1;
        expect_tail(fixture, 1, "");
}

static void test_the_last_lines_behind_a_place(Fixture *fixture, gconstpointer unused) {
        SEND(OUT("a"), OUT("b"));
        fixture->from = log_journal_cursor_at((guint64) g_get_real_time());
        SEND(OUT("c"), OUT("d"));
        expect_tail(fixture, 1, "1d\n");
        expect_tail(fixture, 10, "1c\n1d\n");
}

/* What a run left unfinished is a line that ended with it. */
static void test_the_last_lines_of_two_runs(Fixture *fixture, gconstpointer unused) {
        SEND(OUT("a"), PART("cut"));
        SEND(OUT("b"));
        expect_tail(fixture, 1, "|1b\n");
        expect_tail(fixture, 2, "1cut+|1b\n");
        expect_tail(fixture, 3, "1a\n1cut+|1b\n");
}

/* --- following --- */

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Fixture *fixture = userdata;

        log_journal_process(fixture->journal);
        fixture->n_changed++;
        return 0;
}

static void test_what_comes_is_heard_of(Fixture *fixture, gconstpointer unused) {
        sd_event_source *source = NULL;

        SEND(OUT("a"));
        expect(fixture, "1a\n");
        g_assert_cmpint(sd_event_add_io(fixture->event, &source, log_journal_fd(fixture->journal), EPOLLIN, on_io, fixture), >=, 0);
        testing_run_idle(fixture->event);
        for (unsigned i = 0; i < 3; i++) {
                g_autoptr(GString) text = g_string_new(NULL);
                SEND(OUT("b"));
                while (text->len < strlen("|1b\n")) {
                        testing_run_until_count(fixture->event, &fixture->n_changed, fixture->n_changed + 1);
                        g_autofree char *more = read_all(fixture);
                        g_string_append(text, more);
                }
                g_assert_cmpstr(text->str, ==, "|1b\n");
        }
        sd_event_source_disable_unref(source);
}

static void on_changed(void *userdata) {
        Fixture *fixture = userdata;

        fixture->n_changed++;
}

static void test_a_source_on_the_journal(Fixture *fixture, gconstpointer unused) {
        LogPlan plan = {.id = fixture->id, .name = (char *) "web", .streams = fixture->filter.streams, .until_usec = UINT64_MAX, .tail = 1, .follow = true};
        g_autoptr(GError) error = NULL;
        const guint8 *bytes;
        size_t size;

        SEND(OUT("a"), OUT("b"));
        g_autoptr(LogSource) source = log_source_open(&plan, &error);
        g_assert_no_error(error);
        g_assert_true(log_source_watch(source, fixture->event, on_changed, fixture, &error));
        size = log_source_read(source, &bytes);
        g_assert_cmpmem(bytes, size, "b\n", 2);
        g_assert_cmpuint(log_source_read(source, &bytes), ==, 0);
        g_assert_cmpuint(log_source_place(source).number, >, 0);
        SEND(OUT("c"));
        testing_run_until_count(fixture->event, &fixture->n_changed, 1);
        log_source_settle(source);
        size = log_source_read(source, &bytes);
        g_assert_cmpmem(bytes, size, "c\n", 2);
        g_assert_false(log_source_has_gap(source));
}

static void expect_frames(Replay *replay, const char *wanted) {
        Frame frames[8];
        g_autoptr(GString) text = g_string_new(NULL);
        unsigned n;

        while ((n = replay_read(replay, frames, G_N_ELEMENTS(frames))) > 0)
                for (unsigned i = 0; i < n; i++)
                        g_string_append_printf(text, "%u%.*s/", frames[i].stream, (int) frames[i].size, (const char *) frames[i].data);
        g_assert_cmpstr(text->str, ==, wanted);
}

static void settle(Fixture *fixture, Replay *replay) {
        unsigned before = fixture->n_changed;

        while (!replay_settle(replay)) {
                testing_run_until_count(fixture->event, &fixture->n_changed, before + 1);
                before = fixture->n_changed;
        }
}

static void test_a_replay_of_the_journal(Fixture *fixture, gconstpointer unused) {
        g_autofree char *large = g_strnfill(FRAME_MAX + 10, 'x'), *wanted = g_strdup_printf("1%.*s/1%.*s\n/", FRAME_MAX, large, 10, large);
        g_autoptr(GError) error = NULL;

        SEND(OUT("a"), PART("b"), ERR("c"), OUT("d"), OUT("e"));
        open_journal(fixture);
        g_autoptr(Replay) replay = replay_of_journal(g_steal_pointer(&fixture->journal));
        g_assert_true(replay_watch(replay, fixture->event, on_changed, fixture, &error));
        g_assert_cmpuint(replay_backlog(replay, 1000), ==, 5);
        expect_frames(replay, "1a\nb/2c\n/1d\ne\n/");
        g_assert_cmpuint(replay_backlog(replay, 1000), ==, 0);
        SEND(OUT("f"), OUT(large), OUT("g"));
        settle(fixture, replay);
        g_assert_cmpuint(replay_backlog(replay, 0), ==, 1); /* no more than is needed */
        g_assert_cmpuint(replay_backlog(replay, 100000), ==, FRAME_MAX + 12);
        replay_keep_records(replay);
        g_autofree char *all = g_strconcat("1f\n/", wanted, "1g\n/", NULL);
        expect_frames(replay, all);
        g_assert_true(replay_settle(replay));
        g_assert_false(replay_has_gap(replay));
        replay_notice_files(replay);
}

static void test_many_entries_are_read_in_turns(Fixture *fixture, gconstpointer unused) {
        Entry entries[100];
        Frame frames[8];
        unsigned n_bytes = 0, n_calls = 0, n;

        for (unsigned i = 0; i < G_N_ELEMENTS(entries); i++)
                entries[i] = (Entry) OUT("x");
        send_as(fixture, 0, entries, G_N_ELEMENTS(entries));
        open_journal(fixture);
        g_autoptr(Replay) replay = replay_of_journal(g_steal_pointer(&fixture->journal));
        for (; (n = replay_read(replay, frames, G_N_ELEMENTS(frames))) > 0; n_calls++)
                for (unsigned i = 0; i < n; i++)
                        n_bytes += frames[i].size;
        g_assert_cmpuint(n_bytes, ==, 2 * G_N_ELEMENTS(entries));
        g_assert_cmpuint(n_calls, >, 1);
}

/* --- a journald that does not do its part --- */

static void test_a_replay_waits_for_nobody(Fixture *fixture, gconstpointer unused) {
        open_journal(fixture);
        g_autoptr(Replay) replay = replay_of_journal(g_steal_pointer(&fixture->journal));
        g_assert_true(replay_watch(replay, fixture->event, on_changed, fixture, NULL));
        g_assert_no_errno(rename(SOCKET, SOCKET ".away"));
        g_assert_false(replay_settle(replay));
        settle(fixture, replay); /* there is no journald */
        g_autoptr(Replay) other = replay_of_journal(log_journal_open(NULL, fixture->id, &fixture->from, &fixture->filter, NULL));
        g_assert_true(replay_watch(other, fixture->event, on_changed, fixture, NULL));
        autofd int listening = testing_listen(SOCKET, SOCK_STREAM);
        g_assert_false(replay_settle(other));
        autofd int asked = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
        g_assert_cmpint(asked, >=, 0);
        testing_run_idle(fixture->event);
        g_assert_false(replay_settle(other)); /* it takes its time */
        asked = close_fd(asked);
        settle(fixture, other); /* and goes without an answer */
        g_assert_no_errno(rename(SOCKET ".away", SOCKET));
}

static void test_synchronizing_with_nobody(Fixture *fixture, gconstpointer unused) {
        char request[256];
        pid_t pid;

        g_assert_no_errno(rename(SOCKET, SOCKET ".away"));
        log_journal_synchronize(); /* there is none */
        autofd int listening = testing_listen(SOCKET, SOCK_STREAM);
        g_assert_no_errno(fcntl(listening, F_SETFL, 0));
        pid = fork();
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
                int fd = accept(listening, NULL, NULL);
                ssize_t n = recv(fd, request, sizeof request, 0); /* and is gone without an answer */
                _exit(n > 0 && request[n - 1] == '\0' && strstr(request, "io.systemd.Journal.Synchronize") ? EXIT_SUCCESS : EXIT_FAILURE);
        }
        log_journal_synchronize();
        int status;
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_cmpint(status, ==, 0);
        g_assert_no_errno(rename(SOCKET ".away", SOCKET));
}

#define ADD(name, function) g_test_add("/log-journal/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char *argv[]) {
        int status;

        g_test_init(&argc, &argv, NULL);
        if (access(JOURNALD, X_OK) < 0) {
                puts("1..0 # SKIP there is no systemd-journald");
                return EXIT_SUCCESS;
        }
        if (!testing_unshare_mounts())
                return EXIT_SUCCESS;
        ADD("entries-are-records", test_entries_are_records);
        ADD("long-entries-are-whole", test_long_entries_are_whole);
        ADD("what-others-send-does-not-count", test_what_others_send_does_not_count);
        ADD("a-filter", test_a_filter);
        ADD("it-goes-on-at-a-cursor", test_it_goes_on_at_a_cursor);
        ADD("it-begins-at-a-time", test_it_begins_at_a_time);
        ADD("what-cannot-be-opened", test_what_cannot_be_opened);
        ADD("the-last-lines", test_the_last_lines);
        ADD("the-last-lines-behind-a-place", test_the_last_lines_behind_a_place);
        ADD("the-last-lines-of-two-runs", test_the_last_lines_of_two_runs);
        ADD("what-comes-is-heard-of", test_what_comes_is_heard_of);
        ADD("a-source-on-the-journal", test_a_source_on_the_journal);
        ADD("a-replay-of-the-journal", test_a_replay_of_the_journal);
        ADD("many-entries-are-read-in-turns", test_many_entries_are_read_in_turns);
        ADD("a-replay-waits-for-nobody", test_a_replay_waits_for_nobody);
        ADD("synchronizing-with-nobody", test_synchronizing_with_nobody);
        begin_journald();
        status = g_test_run();
        end_journald();
        return status;
}
