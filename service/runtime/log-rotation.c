/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When to rotate: an event of inotify says that the log is being written; then it is looked at by a timer, after 20 ms at first and then ever more slowly, once a second at last, but before
 * the room can be half used at the rate at which it grows; when it grows no more the next event is waited for. So a container that writes much wakes the service a few times for each file, one that writes little about once a second, however many lines that are, and one that is silent never.
 *
 * How: the log gets its number as a second name, conmon is told over its FIFO to open a new one, which it makes under the name PATH.tmp and renames over PATH. That file is made here before: conmon ends itself when it cannot, as on a full disk. The message
 * is sent once for each rotation, since a second one would throw away what was written after the first. */

#include "runtime/log-rotation.h"
#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/control-fifo.h"
#include "stream/log-files.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define REOPEN "2 0 0\n"
#define LOOK_MIN_USEC (20 * G_TIME_SPAN_MILLISECOND)
#define LOOK_MAX_USEC G_USEC_PER_SEC
#define UNSURE_USEC G_USEC_PER_SEC /* an earlier service may have sent the message a moment ago */
#define FAILED_USEC (10 * G_USEC_PER_SEC)

struct LogRotation {
        sd_event *event;
        char *path, *fifo;
        LogLimits limits;
        sd_event_source *watch; /* of writes; of renames while conmon is to make a new file */
        sd_event_source *timer;
        guint64 size, looked_usec; /* when it was looked at last */
        guint64 wait_usec; /* from that look to the next one */
        guint64 number; /* that the file has got, while conmon is to make a new one; else 0 */
        bool told; /* conmon has been sent the message */
        bool failed; /* and that has been said */
};

static void look(LogRotation *rotation);
static void proceed(LogRotation *rotation);

void log_rotation_free(LogRotation *rotation) {
        if (!rotation)
                return;
        g_clear_pointer(&rotation->watch, sd_event_source_disable_unref);
        g_clear_pointer(&rotation->timer, sd_event_source_disable_unref);
        g_free(rotation->path);
        g_free(rotation->fifo);
        g_free(rotation);
}

/* --- files --- */

/* The rotated file with the highest number is the present one, too: its rotation has not come to its end. 0: it is not. */
static guint64 pending_number(const char *path) {
        guint64 number = 0;
        struct stat st, other;
        autofd int fd = log_files_open_current(path, &number, &st);
        g_autofree char *name = log_files_name(path, number);

        return fd >= 0 && lstat(name, &other) == 0 && other.st_ino == st.st_ino ? number : 0;
}

static bool begin_file(const char *path, guint64 *ret_number, GError **error) {
        g_autofree char *temporary = g_strconcat(path, ".tmp", NULL), *name = NULL;
        guint64 number = 0;
        struct stat st;
        autofd int current = log_files_open_current(path, &number, &st);
        autofd int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (current < 0 || fd < 0)
                return error_errno(error, errno, "rotate the log %s", path);
        name = log_files_name(path, number);
        if (link(path, name) < 0 && (errno != EEXIST || pending_number(path) != number))
                return error_errno(error, errno, "rotate the log %s", path);
        *ret_number = number;
        return true;
}

static void remove_old_files(const char *path, unsigned files_max) {
        g_autoptr(GArray) numbers = log_files_rotated(path);

        for (guint i = 0; i + (files_max - 1) < numbers->len; i++) {
                g_autofree char *name = log_files_name(path, g_array_index(numbers, guint64, i));
                if (unlink(name) < 0)
                        log_warning("remove the old log %s: %s", name, g_strerror(errno));
        }
}

bool log_rotation_between_runs(const char *path, const LogLimits *limits, GError **error) {
        g_autofree char *temporary = g_strconcat(path, ".tmp", NULL);
        guint64 number;
        struct stat st;

        if (stat(path, &st) < 0 || ((guint64) st.st_size < limits->size_max && pending_number(path) == 0))
                return true;
        if (!begin_file(path, &number, error))
                return false;
        if (rename(temporary, path) < 0)
                return error_errno(error, errno, "rotate the log %s", path);
        remove_old_files(path, limits->files_max);
        return true;
}

/* --- one rotation --- */

static int on_timer(sd_event_source *source, guint64 usec, void *userdata) {
        LogRotation *rotation = userdata;

        g_clear_pointer(&rotation->timer, sd_event_source_disable_unref);
        if (rotation->number != 0)
                proceed(rotation);
        else
                look(rotation);
        return 0;
}

static void arm(LogRotation *rotation, guint64 usec) {
        g_clear_pointer(&rotation->timer, sd_event_source_disable_unref);
        int r = sd_event_add_time(rotation->event, &rotation->timer, CLOCK_BOOTTIME, clock_boottime_in(usec), usec / 4, on_timer, rotation);
        g_assert(r >= 0);
}

static void fail(LogRotation *rotation, const GError *error) {
        if (!rotation->failed)
                log_warning("%s; the log grows on until that is possible", error->message);
        rotation->failed = true;
        arm(rotation, FAILED_USEC);
}

static bool finish(LogRotation *rotation) {
        if (pending_number(rotation->path) == rotation->number)
                return false;
        remove_old_files(rotation->path, rotation->limits.files_max);
        g_clear_pointer(&rotation->watch, sd_event_source_disable_unref);
        rotation->number = 0;
        rotation->told = rotation->failed = false;
        rotation->size = 0;
        rotation->looked_usec = clock_boottime_usec();
        rotation->wait_usec = LOOK_MIN_USEC;
        look(rotation);
        return true;
}

void log_rotation_settle(LogRotation *rotation) {
        g_autoptr(GError) error = NULL;

        if (rotation->number == 0)
                return;
        g_clear_pointer(&rotation->watch, sd_event_source_disable_unref);
        g_clear_pointer(&rotation->timer, sd_event_source_disable_unref);
        if (pending_number(rotation->path) != rotation->number)
                remove_old_files(rotation->path, rotation->limits.files_max);
        else if (!log_rotation_between_runs(rotation->path, &rotation->limits, &error))
                log_warning("%s; the next run goes on with it", error->message);
        rotation->number = 0;
}

static int on_renamed(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        LogRotation *rotation = userdata;

        if (rotation->number != 0)
                (void) finish(rotation);
        else
                look(rotation);
        return 0;
}

static bool watch_renames(LogRotation *rotation, GError **error) {
        g_autofree char *directory = g_path_get_dirname(rotation->path);

        g_clear_pointer(&rotation->watch, sd_event_source_disable_unref);
        int r = sd_event_add_inotify(rotation->event, &rotation->watch, directory, IN_MOVED_TO | IN_ONLYDIR, on_renamed, rotation);
        return r >= 0 || error_errno(error, -r, "watch the log %s", rotation->path);
}

/* A number has been given; conmon is to be told. */
static void proceed(LogRotation *rotation) {
        g_autoptr(GError) error = NULL;
        bool busy;

        if (finish(rotation))
                return;
        if (rotation->told)
                return;
        if (control_fifo_send(rotation->fifo, REOPEN, &busy, &error))
                rotation->told = true;
        else if (busy)
                arm(rotation, CONTROL_RETRY_USEC);
        else if (!g_error_matches(error, CONBUS_ERROR, CONBUS_ERROR_NOT_RUNNING)) /* else its run is over, and the next one finishes it */
                fail(rotation, error);
}

static void rotate(LogRotation *rotation) {
        g_autoptr(GError) error = NULL;
        guint64 number;

        if (!watch_renames(rotation, &error) || !begin_file(rotation->path, &number, &error)) {
                g_clear_pointer(&rotation->watch, sd_event_source_disable_unref);
                fail(rotation, error);
                return;
        }
        rotation->number = number;
        proceed(rotation);
}

/* --- when --- */

static guint64 size_of(LogRotation *rotation) {
        struct stat st;

        return stat(rotation->path, &st) < 0 ? 0 : (guint64) st.st_size;
}

/* The rate is measured from here on. */
static int on_written(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        LogRotation *rotation = userdata;
        guint64 now = clock_boottime_usec();

        g_clear_pointer(&rotation->watch, sd_event_source_disable_unref);
        rotation->wait_usec = now - rotation->looked_usec >= LOOK_MAX_USEC ? LOOK_MIN_USEC : MIN(2 * rotation->wait_usec, LOOK_MAX_USEC);
        rotation->looked_usec = now;
        rotation->size = size_of(rotation);
        if (rotation->size >= rotation->limits.size_max)
                rotate(rotation);
        else
                arm(rotation, rotation->wait_usec);
        return 0;
}

/* What is written between the look and the watch has no event. */
static void wait_for_writes(LogRotation *rotation) {
        g_clear_pointer(&rotation->watch, sd_event_source_disable_unref);
        int r = sd_event_add_inotify(rotation->event, &rotation->watch, rotation->path, IN_MODIFY, on_written, rotation);
        if ((r >= 0 && size_of(rotation) == rotation->size) || (r == -ENOENT && watch_renames(rotation, NULL))) /* somebody has removed it */
                return;
        g_clear_pointer(&rotation->watch, sd_event_source_disable_unref);
        arm(rotation, LOOK_MAX_USEC);
}

/* Until half of the room is used, at the rate since the last look, and no more than twice the time of that. */
static guint64 time_to_wait(const LogRotation *rotation, guint64 grown, guint64 elapsed) {
        double room = (double) (rotation->limits.size_max - rotation->size), wait = room / 2 / (double) grown * (double) MAX(elapsed, 1);

        return (guint64) CLAMP(wait, (double) LOOK_MIN_USEC, (double) MIN(2 * rotation->wait_usec, LOOK_MAX_USEC));
}

static void look(LogRotation *rotation) {
        guint64 now = clock_boottime_usec(), size = size_of(rotation), grown = size > rotation->size ? size - rotation->size : 0, elapsed = now - rotation->looked_usec;

        rotation->size = size;
        rotation->looked_usec = now;
        if (size >= rotation->limits.size_max)
                rotate(rotation);
        else if (grown == 0)
                wait_for_writes(rotation);
        else {
                rotation->wait_usec = time_to_wait(rotation, grown, elapsed);
                arm(rotation, rotation->wait_usec);
        }
}

LogRotation *log_rotation_new(sd_event *event, const char *path, const char *fifo, const LogLimits *limits) {
        LogRotation *rotation = g_new0(LogRotation, 1);
        g_autoptr(GError) error = NULL;

        *rotation = (LogRotation) {.event = event, .path = g_strdup(path), .fifo = g_strdup(fifo), .limits = *limits, .wait_usec = LOOK_MIN_USEC, .number = pending_number(path)};
        rotation->size = size_of(rotation);
        rotation->looked_usec = clock_boottime_usec();
        if (rotation->number == 0)
                look(rotation);
        else if (watch_renames(rotation, &error))
                arm(rotation, UNSURE_USEC);
        else
                fail(rotation, error);
        return rotation;
}
