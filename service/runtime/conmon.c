/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A launch of conmon.
 *
 * Three descriptors go in: the sync pipe (a packet with PID 1's number or with what crun said), the start pipe (conmon blocks on one byte), nothing else. conmon takes an end of file on the start pipe as "go", so a service that died after the fork would let
 * it run unrecorded; it is therefore held before exec (process.c), where an end of file means "do not". The byte waits in the start pipe when exec happens.
 * crun inherits conmon's stdio for the container and keeps it open, so nothing here is read to an end of file: the sync pipe is packets, and conmon's own words go to a memfd. */

#include "runtime/conmon.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/crun.h"
#include "runtime/document.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define CREATE_USEC (240 * G_USEC_PER_SEC)
#define PACKET_MAX 65536

struct Conmon {
        sd_event *event;
        Process *process;
        int sync_fd, start_fd, errors_fd;
        sd_event_source *sync_source, *timer, *defer;
        char *name, *log;
        guint64 timeout_usec;
        ConmonLaunched launched; /* NULL once it has been called */
        ConmonEnded ended;
        void *userdata, *ended_userdata;
        GError *failure; /* waits for conmon's end */
        bool gone, released;
        int status; /* once it is gone */
};

bool conmon_parse_sync(const char *text, gsize size, int *ret_data, char **ret_message) {
        g_autoptr(JsonObject) object = document_parse(text, (gssize) size, "the sync pipe", CONBUS_ERROR_MONITOR_FAILED, NULL);
        JsonNode *data = object ? json_object_get_member(object, "data") : NULL;

        if (!data || !JSON_NODE_HOLDS_VALUE(data) || json_node_get_value_type(data) != G_TYPE_INT64)
                return false;
        gint64 number = json_node_get_int(data);
        const char *message = document_find_string(object, "message");
        if (number < G_MININT || number > G_MAXINT)
                return false;
        *ret_data = (int) number;
        *ret_message = g_strdup(message ? message : "");
        return true;
}

bool conmon_read_exit_file(const char *directory, const char *id, int *ret_code) {
        g_autofree char *path = g_build_filename(directory, id, NULL);
        g_autofree char *text = NULL;
        char *end;

        if (!g_file_get_contents(path, &text, NULL, NULL))
                return false;
        g_strchomp(text);
        gint64 code = g_ascii_strtoll(text, &end, 10);
        if (!*text || *end || code < -1 || code > 255)
                return false;
        *ret_code = (int) code;
        return true;
}

bool conmon_remove_exit_file(const char *directory, const char *id) {
        g_autofree char *path = g_build_filename(directory, id, NULL);

        return unlink(path) == 0 || errno == ENOENT;
}

static void really_free(Conmon *conmon) {
        g_clear_pointer(&conmon->sync_source, sd_event_source_disable_unref);
        g_clear_pointer(&conmon->timer, sd_event_source_disable_unref);
        g_clear_pointer(&conmon->defer, sd_event_source_disable_unref);
        close_fd(conmon->sync_fd);
        close_fd(conmon->start_fd);
        close_fd(conmon->errors_fd);
        g_clear_error(&conmon->failure);
        sd_event_unref(conmon->event);
        g_free(conmon->name);
        g_free(conmon->log);
        g_free(conmon);
}

void conmon_free(Conmon *conmon) {
        if (!conmon)
                return;
        conmon->launched = NULL;
        conmon->ended = NULL;
        if (conmon->process)
                process_detach(conmon->process);
        really_free(conmon);
}

void conmon_kill(Conmon *conmon) {
        conmon->launched = NULL;
        if (conmon->process)
                process_kill(conmon->process, SIGKILL);
}

static void finish_launch(Conmon *conmon) {
        ConmonLaunched launched = conmon->launched;
        PidRef none = PIDREF_NULL;

        conmon->launched = NULL;
        if (launched)
                launched(&none, conmon->failure, conmon->userdata); /* may free conmon */
}

/* A launch that failed is told when conmon is gone for certain. */
static void fail(Conmon *conmon, GError *error) {
        g_clear_pointer(&conmon->sync_source, sd_event_source_disable_unref);
        g_clear_pointer(&conmon->timer, sd_event_source_disable_unref);
        if (conmon->failure)
                g_error_free(error);
        else
                conmon->failure = error;
        if (conmon->gone)
                finish_launch(conmon);
        else
                process_kill(conmon->process, SIGKILL);
}

static char *conmon_said(Conmon *conmon) {
        char text[4096];
        ssize_t n = pread(conmon->errors_fd, text, sizeof text - 1, 0);

        return n > 0 ? g_strchomp(g_strndup(text, (gsize) n)) : g_strdup("");
}

static GError *silent_failure(Conmon *conmon) {
        g_autofree char *subject = g_strdup_printf("create container \"%s\"", conmon->name);
        g_autofree char *message = crun_last_log_message(conmon->log), *said = conmon_said(conmon);
        GError *error = NULL;

        if (message)
                crun_set_error(&error, subject, message);
        else
                error_set(&error, CONBUS_ERROR_MONITOR_FAILED, "%s: conmon ended before crun had created it%s%s", subject, *said ? ": " : "", said);
        return error;
}

static void take_pid(Conmon *conmon, int pid) {
        g_auto(PidRef) main = PIDREF_NULL;
        GError *error = NULL;

        if (!pidref_open(pid, &main, &error)) {
                g_prefix_error(&error, "create container \"%s\": its first process is gone: ", conmon->name);
                error->code = CONBUS_ERROR_RUNTIME_FAILED;
                fail(conmon, error);
                return;
        }
        ConmonLaunched launched = conmon->launched;
        conmon->launched = NULL;
        g_clear_pointer(&conmon->sync_source, sd_event_source_disable_unref);
        g_clear_pointer(&conmon->timer, sd_event_source_disable_unref);
        if (launched)
                launched(&main, NULL, conmon->userdata);
}

static int on_sync(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Conmon *conmon = userdata;
        g_autofree char *packet = g_malloc(PACKET_MAX), *message = NULL;
        ssize_t n = recv(fd, packet, PACKET_MAX, MSG_DONTWAIT);
        int data = -1;

        if (n < 0 && (errno == EAGAIN || errno == EINTR) && !conmon->gone)
                return 0;
        if (n <= 0) {
                fail(conmon, silent_failure(conmon));
                return 0;
        }
        GError *error = NULL;
        if (!conmon_parse_sync(packet, (gsize) n, &data, &message))
                error_set(&error, CONBUS_ERROR_MONITOR_FAILED, "create container \"%s\": conmon said something that is not understood: %.*s", conmon->name, (int) MIN(n, 200), packet);
        else if (data <= 0) {
                g_autofree char *subject = g_strdup_printf("create container \"%s\"", conmon->name), *logged = crun_last_log_message(conmon->log);
                crun_set_error(&error, subject, logged ? logged : message);
        }
        if (error)
                fail(conmon, error);
        else
                take_pid(conmon, data);
        return 0;
}

static int on_timeout(sd_event_source *source, guint64 usec, void *userdata) {
        Conmon *conmon = userdata;
        GError *error = NULL;

        error_set(&error, CONBUS_ERROR_MONITOR_FAILED, "create container \"%s\": crun create did not end in %.1f s", conmon->name, (double) conmon->timeout_usec / G_USEC_PER_SEC);
        fail(conmon, error);
        return 0;
}

static void on_process_ended(const ProcessResult *result, void *userdata) {
        Conmon *conmon = userdata;

        conmon->process = NULL;
        conmon->gone = true;
        conmon->status = result->status;
        if (!conmon->released && conmon->launched) /* still held: its owner finds out by conmon_pid */
                return;
        if (conmon->launched) {
                if (!conmon->failure) { /* its last packet may still be unread */
                        if (conmon->sync_source)
                                on_sync(conmon->sync_source, conmon->sync_fd, 0, conmon);
                        else
                                fail(conmon, silent_failure(conmon));
                        return;
                }
                finish_launch(conmon);
                return;
        }
        if (conmon->ended)
                conmon->ended(result->status, conmon->ended_userdata);
}

/* --- beginning --- */

static void add(GPtrArray *argv, const char *first, const char *second) {
        g_ptr_array_add(argv, g_strdup(first));
        if (second)
                g_ptr_array_add(argv, g_strdup(second));
}

static void add_runtime_arguments(GPtrArray *argv, const Paths *paths, const char *log) {
        g_autofree char *root = g_build_filename(paths->run, "crun", NULL);
        const char *const words[] = {"--log-format=json", "--log", log, "--root", root, NULL};

        for (const char *const *word = words; *word; word++)
                add(argv, "--runtime-arg", *word);
}

static void add_exit_command(GPtrArray *argv, const Paths *paths) {
        const char *address = g_getenv("DBUS_SYSTEM_BUS_ADDRESS");

        if (access(paths->wake, X_OK) < 0)
                return;
        add(argv, "--exit-command", paths->wake);
        if (address)
                add(argv, "--exit-command-arg", address);
}

static GPtrArray *build_argv(const Paths *paths, const ConmonLaunch *launch, const char *crun, const char *log) {
        GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *pidfile = g_build_filename(launch->bundle, "pidfile", NULL);
        g_autofree char *destination = g_str_equal(launch->log_driver, "k8s-file") ? g_strconcat("k8s-file:", launch->log_path, NULL) : g_strdup(launch->log_driver);
        const char *const pairs[][2] = {{paths->conmon, NULL}, {"--sync", "--api-version"}, {"--no-sync-log", NULL}, {"-c", launch->id}, {"-u", launch->id}, {"-r", crun}, {"-b", launch->bundle}, {"-p", pidfile},
                                        {"-n", launch->name}, {"--exit-dir", launch->exit_dir}, {"--persist-dir", launch->persist_dir}, {"--full-attach", NULL}, {"-l", destination}, {"--log-level", "warning"}};

        for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++)
                add(argv, pairs[i][0], pairs[i][1]);
        if (!launch->stdin_once)
                add(argv, "--leave-stdin-open", NULL);
        if (launch->systemd_cgroup)
                add(argv, "-s", NULL);
        if (launch->terminal)
                add(argv, "-t", NULL);
        else if (launch->stdin_open)
                add(argv, "-i", NULL);
        add_runtime_arguments(argv, paths, log);
        add_exit_command(argv, paths);
        g_ptr_array_add(argv, NULL);
        return argv;
}

static bool spawn(Conmon *conmon, Reaper *reaper, GPtrArray *argv, const char *cgroup_file, GError **error) {
        int sync[2], start[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sync) < 0)
                return error_errno(error, errno, "make the sync pipe of conmon");
        conmon->sync_fd = sync[0];
        autofd int child_sync = sync[1];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, start) < 0)
                return error_errno(error, errno, "make the start pipe of conmon");
        conmon->start_fd = start[0];
        autofd int child_start = start[1];
        conmon->errors_fd = memfd_create("conmon", MFD_CLOEXEC);
        const int fds[] = {child_sync, child_start};
        const char *const environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "_OCI_SYNCPIPE=3", "_OCI_STARTPIPE=4", NULL};
        autofd int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        ProcessSpec spec = {.argv = (const char *const *) argv->pdata, .environment = environment, .fds = fds, .n_fds = 2, .stdin_fd = -1, .output_fd = null, .errors_fd = conmon->errors_fd, .hold = true, .cgroup_file = cgroup_file};
        conmon->process = process_begin(conmon->event, reaper, &spec, on_process_ended, conmon, error);
        return conmon->process != NULL;
}

Conmon *conmon_begin(sd_event *event, Reaper *reaper, const Paths *paths, const ConmonLaunch *launch, ConmonLaunched launched, void *userdata, GError **error) {
        g_autofree char *crun = g_find_program_in_path(paths->crun);
        g_autofree char *log = g_build_filename(launch->bundle, "crun.log", NULL);

        if (!crun) {
                error_set(error, CONBUS_ERROR_HELPER_MISSING, "the program %s is not installed", paths->crun);
                return NULL;
        }
        Conmon *conmon = g_new0(Conmon, 1);
        *conmon = (Conmon) {.event = sd_event_ref(event), .sync_fd = -1, .start_fd = -1, .errors_fd = -1, .launched = launched, .userdata = userdata};
        conmon->name = g_strdup(launch->name);
        conmon->log = g_steal_pointer(&log);
        conmon->timeout_usec = launch->timeout_usec ? launch->timeout_usec : CREATE_USEC;
        g_autoptr(GPtrArray) argv = build_argv(paths, launch, crun, conmon->log);
        if (!spawn(conmon, reaper, argv, launch->cgroup_file, error)) {
                really_free(conmon);
                return NULL;
        }
        return conmon;
}

const PidRef *conmon_pid(const Conmon *conmon) {
        return conmon->process ? process_pid(conmon->process) : NULL;
}

static int on_gone_already(sd_event_source *source, void *userdata) {
        Conmon *conmon = userdata;

        g_clear_pointer(&conmon->defer, sd_event_source_disable_unref);
        if (conmon->ended)
                conmon->ended(conmon->status, conmon->ended_userdata);
        return 0;
}

void conmon_on_end(Conmon *conmon, ConmonEnded ended, void *userdata) {
        conmon->ended = ended;
        conmon->ended_userdata = userdata;
        if (!conmon->gone) /* it may have ended right after its answer, and both were seen in one turn */
                return;
        int r = sd_event_add_defer(conmon->event, &conmon->defer, on_gone_already, conmon);
        g_assert(r >= 0);
}

void conmon_release(Conmon *conmon) {
        int r = sd_event_add_io(conmon->event, &conmon->sync_source, conmon->sync_fd, EPOLLIN, on_sync, conmon);

        conmon->released = true;
        if (r >= 0)
                r = sd_event_add_time(conmon->event, &conmon->timer, CLOCK_BOOTTIME, clock_boottime_in(conmon->timeout_usec), 1000, on_timeout, conmon);
        g_assert(r >= 0);
        if (send(conmon->start_fd, "", 1, MSG_NOSIGNAL) < 0)
                log_warning("start conmon: %s", g_strerror(errno));
        process_release(conmon->process);
}

void conmon_cancel(Conmon *conmon) {
        GError *error = NULL;

        error_set(&error, CONBUS_ERROR_CANCELLED, "create container \"%s\": cancelled", conmon->name);
        fail(conmon, error);
}
