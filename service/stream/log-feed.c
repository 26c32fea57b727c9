/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A process of its own for each reader: one that does not read blocks itself alone, and a restart of conbusd is nothing to it. It waits for room in the pipe, for changes of the log, and for the container's state (log-state.h); it leaves when the other end of the
 * pipe is closed, or when all has been said. */

#include "stream/log-feed.h"
#include "base/auto.h"
#include "base/log.h"
#include "stream/log-answer.h"
#include "stream/log-source.h"
#include "stream/log-state.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>

#define PIPE_SIZE (256 * 1024)
#define ROUNDS_AT_ONCE 16 /* then files that are rotated meanwhile have their turn */
#define PIECE (128 * 1024) /* of what is formatted, before it is written */

typedef struct Feed {
        sd_event *event;
        sd_event_source *output_source, *state_source, *timer;
        LogPlan plan;
        LogSource *source;
        LogLines *lines; /* NULL: the bytes themselves */
        LogWriter writer;
        GByteArray *formatted;
        const guint8 *waiting; /* for room in the pipe */
        size_t n_waiting;
        LogEnd end;
        bool state_changed, over, said_all;
} Feed;

static void feed_clear(Feed *feed) {
        g_clear_pointer(&feed->output_source, sd_event_source_disable_unref);
        g_clear_pointer(&feed->state_source, sd_event_source_disable_unref);
        g_clear_pointer(&feed->timer, sd_event_source_disable_unref);
        g_clear_pointer(&feed->source, log_source_free);
        g_clear_pointer(&feed->lines, log_lines_free);
        g_clear_pointer(&feed->formatted, g_byte_array_unref);
        log_plan_clear(&feed->plan);
        g_clear_pointer(&feed->event, sd_event_unref);
}

/* --- what is to be written --- */

static void on_line(const LogLine *line, void *userdata) {
        Feed *feed = userdata;

        log_writer_line(&feed->writer, line, feed->formatted);
}

static LogPosition position_of(const Feed *feed) {
        const LogCursor place = log_source_place(feed->source);

        if (!feed->lines)
                return log_position_at(&place);
        log_lines_pass(feed->lines, &place);
        return log_lines_position(feed->lines);
}

static bool fetch_lines(Feed *feed) {
        LogCursor at, after;
        LogRecord record;
        guint64 usec;

        while (feed->formatted->len < PIECE && log_source_next(feed->source, &record, &usec, &at, &after))
                log_lines_feed(feed->lines, &record, usec, &at, &after);
        feed->waiting = feed->formatted->data;
        feed->n_waiting = feed->formatted->len;
        return feed->n_waiting > 0;
}

static bool put_gap(Feed *feed) {
        const LogPosition position = position_of(feed);

        if (feed->lines)
                log_lines_finish(feed->lines);
        log_writer_gap(&feed->writer, &position, feed->formatted);
        log_source_go_past_gap(feed->source);
        feed->waiting = feed->formatted->data;
        feed->n_waiting = feed->formatted->len;
        return true;
}

static bool fetch(Feed *feed) {
        g_byte_array_set_size(feed->formatted, 0);
        if (feed->lines) {
                if (fetch_lines(feed))
                        return true;
        } else if ((feed->n_waiting = log_source_read(feed->source, &feed->waiting)) > 0)
                return true;
        return log_source_has_gap(feed->source) && put_gap(feed);
}

static void put_last(Feed *feed) {
        if (feed->lines)
                log_lines_finish(feed->lines);
        feed->end.position = position_of(feed);
        log_writer_end(&feed->writer, &feed->end, feed->formatted);
        feed->waiting = feed->formatted->data;
        feed->n_waiting = feed->formatted->len;
        feed->said_all = true;
}

/* True when something has changed so that nothing comes after what can be read now. */
static bool look_at_state(Feed *feed) {
        LogState state;

        if (feed->over || !feed->state_changed)
                return false;
        feed->state_changed = false;
        state = log_state_read(feed->plan.directory);
        if (!log_state_has_ended(&state, feed->plan.run))
                return false;
        feed->end.reason = state.phase == LOG_PHASE_REMOVED ? "removed" : "exited";
        feed->end.run = feed->plan.run > 0 ? feed->plan.run : state.run;
        feed->end.has_code = state.phase != LOG_PHASE_REMOVED && feed->end.run == state.run; /* else another run has followed meanwhile */
        feed->end.exit_code = state.exit_code;
        log_source_settle(feed->source);
        feed->over = true;
        return true;
}

/* --- writing --- */

static bool flush(Feed *feed) {
        while (feed->n_waiting > 0) {
                ssize_t n = write(LOG_FD_OUTPUT, feed->waiting, feed->n_waiting);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno != EAGAIN)
                        (void) sd_event_exit(feed->event, EXIT_SUCCESS);
                if (n < 0)
                        return false;
                feed->waiting += n;
                feed->n_waiting -= (size_t) n;
        }
        return true;
}

static void pump(Feed *feed) {
        unsigned rounds = 0;

        while (flush(feed) && rounds++ < ROUNDS_AT_ONCE) {
                if (feed->said_all) {
                        (void) sd_event_exit(feed->event, EXIT_SUCCESS);
                        return;
                }
                if (fetch(feed) || look_at_state(feed))
                        continue;
                if (!feed->over)
                        break;
                put_last(feed);
        }
        int r = sd_event_source_set_io_events(feed->output_source, feed->n_waiting > 0 || rounds > ROUNDS_AT_ONCE ? EPOLLOUT : 0);
        g_assert(r >= 0);
}

static int on_output(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        if (revents & (EPOLLERR | EPOLLHUP))
                return sd_event_exit(sd_event_source_get_event(source), EXIT_SUCCESS); /* nobody reads any more */
        pump(userdata);
        return 0;
}

static void on_changed(void *userdata) {
        pump(userdata);
}

static int on_state(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        Feed *feed = userdata;

        if (event->len > 0 && !g_str_equal(event->name, LOG_STATE_FILE))
                return 0;
        feed->state_changed = true;
        pump(feed);
        return 0;
}

static int on_until(sd_event_source *source, guint64 usec, void *userdata) {
        Feed *feed = userdata;

        feed->over = true;
        feed->end.reason = "until";
        pump(feed);
        return 0;
}

/* --- start --- */

static bool watch(Feed *feed, GError **error) {
        int flags = fcntl(LOG_FD_OUTPUT, F_GETFL), r = flags < 0 || fcntl(LOG_FD_OUTPUT, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;

        if (r >= 0)
                r = sd_event_add_io(feed->event, &feed->output_source, LOG_FD_OUTPUT, 0, on_output, feed);
        if (r >= 0 && feed->plan.follow)
                r = sd_event_add_inotify(feed->event, &feed->state_source, feed->plan.directory, IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF | IN_ONLYDIR, on_state, feed);
        if (r >= 0 && feed->plan.follow && feed->plan.until_usec < UINT64_MAX)
                r = sd_event_add_time(feed->event, &feed->timer, CLOCK_REALTIME, feed->plan.until_usec, 1000, on_until, feed);
        if (r < 0)
                return error_errno(error, -r, "prepare to read a log");
        return !feed->plan.follow || log_source_watch(feed->source, feed->event, on_changed, feed, error);
}

static bool open_feed(Feed *feed, GError **error) {
        int r = sd_event_new(&feed->event);

        if (r < 0)
                return error_errno(error, -r, "make the event loop");
        feed->source = log_source_open(&feed->plan, error);
        if (!feed->source || !watch(feed, error))
                return false;
        LogPosition start = log_source_start(feed->source);
        feed->formatted = g_byte_array_new();
        feed->writer = (LogWriter) {.format = feed->plan.format, .timestamps = feed->plan.timestamps, .id = feed->plan.id, .name = feed->plan.name};
        if (feed->plan.format != LOG_FORMAT_TEXT || feed->plan.timestamps)
                feed->lines = log_lines_new(&start, on_line, feed);
        feed->end = (LogEnd) {.reason = "log-end"};
        feed->over = !feed->plan.follow;
        feed->state_changed = true;
        (void) fcntl(LOG_FD_OUTPUT, F_SETPIPE_SZ, PIPE_SIZE);
        return true;
}

static void tell(int fd, const GError *error) {
        g_autofree char *text = error ? g_strdup_printf("%s\n%s", error_to_name(error), error->message) : g_strdup("ok");

        (void) !write(fd, text, strlen(text));
}

static int answer(const LogPlan *plan) {
        g_autoptr(GError) error = NULL;
        g_autoptr(LogSource) source = log_source_open(plan, &error);

        if (!source) {
                tell(STDERR_FILENO, error);
                return EXIT_FAILURE;
        }
        g_autoptr(GVariant) value = g_variant_ref_sink(log_answer_read(source, plan->limit));
        const guint8 *data = g_variant_get_data(value);
        size_t left = g_variant_get_size(value);
        while (left > 0) {
                ssize_t n = write(STDOUT_FILENO, data, left);
                if (n < 0)
                        return EXIT_FAILURE;
                data += n;
                left -= (size_t) n;
        }
        return EXIT_SUCCESS;
}

static int serve(Feed *feed) {
        g_autoptr(GError) error = NULL;
        autofd int status = LOG_FD_STATUS;
        bool opened = open_feed(feed, &error);

        tell(status, error);
        status = close_fd(status);
        if (!opened)
                return EXIT_FAILURE;
        pump(feed);
        return sd_event_loop(feed->event) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int log_feed_main(const char *text) {
        g_autoptr(GError) error = NULL;
        Feed feed = {0};
        int status;

        if (!log_plan_parse(text, &feed.plan, &error)) {
                log_error("%s", error->message);
                return EXIT_FAILURE;
        }
        status = feed.plan.format == LOG_FORMAT_ANSWER ? answer(&feed.plan) : serve(&feed);
        feed_clear(&feed);
        return status;
}
