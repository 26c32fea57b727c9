/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A launch of conmon.
 *
 * Two descriptors go in: the sync pipe (a packet with PID 1's number or with what crun said) and the start pipe (conmon blocks on one byte). conmon takes an end of file on the start pipe as "go", so a service that died after the fork would let
 * it run unrecorded; it is therefore held before exec (process.c), where an end of file means "do not". The byte waits in the start pipe when exec happens.
 * For crun exec there can be a third, the attach pipe: conmon says on it that its socket is there and blocks on a second byte of the start pipe; after the end the sync pipe brings the code, which is in the exit file as well.
 * conmon 2.1 gives up where nobody can read its packets, and a process that it has just put into the container would go on without it, and its code be lost with it: so it gets the reading end of the sync pipe, too, which thus outlives the service.
 * crun inherits conmon's stdio for the container and keeps it open, so nothing here is read to an end of file: the sync pipe is packets, and conmon's own words go to a memfd. */

#include "runtime/conmon.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/crun.h"
#include "runtime/document.h"
#include "runtime/sealed.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
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
        int sync_fd, start_fd, attach_fd, errors_fd;
        sd_event_source *sync_source, *attach_source, *timer, *defer;
        char *subject, *log; /* "create container "web"", of messages */
        bool executes; /* crun exec */
        void (*attachable)(void *userdata); /* NULL once it has been called */
        void *attachable_userdata;
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

static void stop_listening(Conmon *conmon) {
        g_clear_pointer(&conmon->sync_source, sd_event_source_disable_unref);
        g_clear_pointer(&conmon->attach_source, sd_event_source_disable_unref);
        g_clear_pointer(&conmon->timer, sd_event_source_disable_unref);
}

static void really_free(Conmon *conmon) {
        stop_listening(conmon);
        g_clear_pointer(&conmon->defer, sd_event_source_disable_unref);
        close_fd(conmon->sync_fd);
        close_fd(conmon->start_fd);
        close_fd(conmon->attach_fd);
        close_fd(conmon->errors_fd);
        g_clear_error(&conmon->failure);
        sd_event_unref(conmon->event);
        g_free(conmon->subject);
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

static void kill_process(Conmon *conmon) {
        if (conmon->executes && conmon->released)
                pid_kill_children(process_pid(conmon->process)->pid);
        process_kill(conmon->process, SIGKILL);
}

void conmon_kill(Conmon *conmon) {
        conmon->launched = NULL;
        conmon->attachable = NULL;
        if (conmon->process)
                kill_process(conmon);
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
        stop_listening(conmon);
        if (conmon->failure)
                g_error_free(error);
        else
                conmon->failure = error;
        if (conmon->gone)
                finish_launch(conmon);
        else
                kill_process(conmon);
}

static char *conmon_said(Conmon *conmon) {
        char text[4096];
        ssize_t n = pread(conmon->errors_fd, text, sizeof text - 1, 0);

        return n > 0 ? g_strchomp(g_strndup(text, (gsize) n)) : g_strdup("");
}

static GError *silent_failure(Conmon *conmon) {
        g_autofree char *message = crun_last_log_message(conmon->log), *said = conmon_said(conmon);
        GError *error = NULL;

        if (message)
                crun_set_error(&error, conmon->subject, message);
        else
                error_set(&error, CONBUS_ERROR_MONITOR_FAILED, "%s: conmon ended before crun had %s%s%s", conmon->subject, conmon->executes ? "started the process" : "created it", *said ? ": " : "", said);
        return error;
}

/* PID 1 waits to be started, but a process of crun exec may have been reaped by now, and its number may be somebody else's. */
static bool open_main(Conmon *conmon, int pid, PidRef *main, GError **error) {
        if (!conmon->executes)
                return pidref_open(pid, main, error);
        if (!conmon->process || !pidref_open(pid, main, NULL) || pid_parent(pid) != process_pid(conmon->process)->pid) {
                pidref_clear(main);
                main->pid = pid;
        }
        return true;
}

static void take_pid(Conmon *conmon, int pid) {
        g_auto(PidRef) main = PIDREF_NULL;
        GError *error = NULL;

        if (!open_main(conmon, pid, &main, &error)) {
                g_prefix_error(&error, "%s: its first process is gone: ", conmon->subject);
                error->code = CONBUS_ERROR_RUNTIME_FAILED;
                fail(conmon, error);
                return;
        }
        ConmonLaunched launched = conmon->launched;
        conmon->launched = NULL;
        stop_listening(conmon);
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
                error_set(&error, CONBUS_ERROR_MONITOR_FAILED, "%s: conmon said something that is not understood: %.*s", conmon->subject, (int) MIN(n, 200), packet);
        else if (data <= 0) {
                g_autofree char *logged = crun_last_log_message(conmon->log);
                crun_set_error(&error, conmon->subject, logged ? logged : message);
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

        error_set(&error, CONBUS_ERROR_MONITOR_FAILED, "%s: crun %s did not end in %.1f s", conmon->subject, conmon->executes ? "exec" : "create", (double) conmon->timeout_usec / G_USEC_PER_SEC);
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
        g_autofree char *awake = g_build_filename(paths->run, "awake", NULL);

        if (access(paths->wake, X_OK) < 0)
                return;
        add(argv, "--exit-command", paths->wake);
        add(argv, "--exit-command-arg", awake);
        if (address)
                add(argv, "--exit-command-arg", address);
}

static void add_runtime_option(GPtrArray *argv, const char *name, const char *value) {
        add(argv, "--runtime-opt", name);
        add(argv, "--runtime-opt", value);
}

static void add_exec(GPtrArray *argv, const ConmonLaunch *launch) {
        const ConmonExec *exec = launch->exec;
        char number[16];

        add(argv, "-e", NULL);
        add(argv, "--exec-process-spec", exec->process);
        if (exec->waits)
                add(argv, "--exec-attach", NULL);
        if (exec->cgroup)
                add_runtime_option(argv, "--cgroup", exec->cgroup);
        if (exec->console)
                add_runtime_option(argv, "--console-socket", exec->console);
        snprintf(number, sizeof number, "%u", exec->n_fds);
        if (exec->n_fds > 0)
                add_runtime_option(argv, "--preserve-fds", number);
}

static GPtrArray *build_argv(const Paths *paths, const ConmonLaunch *launch, const char *crun, const char *log) {
        GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *pidfile = g_build_filename(launch->bundle, "pidfile", NULL);
        g_autofree char *destination = g_str_equal(launch->log_driver, "k8s-file") ? g_strconcat("k8s-file:", launch->log_path, NULL) : g_strdup(launch->log_driver);
        const char *const pairs[][2] = {{paths->conmon, NULL}, {"--sync", "--api-version"}, {"--no-sync-log", NULL}, {"-c", launch->id}, {"-u", launch->exec ? launch->exec->session : launch->id}, {"-r", crun}, {"-b", launch->bundle}, {"-p", pidfile},
                                        {"-n", launch->name}, {"--exit-dir", launch->exit_dir}, {"--full-attach", NULL}, {"-l", destination}, {"--log-level", "warning"}};

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
        if (launch->exec)
                add_exec(argv, launch);
        else
                add(argv, "--persist-dir", launch->persist_dir);
        add_exit_command(argv, paths);
        g_ptr_array_add(argv, NULL);
        return argv;
}

static bool make_pipe(const char *what, int *ret_ours, int *ret_theirs, GError **error) {
        int ends[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return error_errno(error, errno, "make the %s pipe of conmon", what);
        *ret_ours = ends[0];
        *ret_theirs = ends[1];
        return true;
}

static unsigned n_pipes_of(const ConmonLaunch *launch) {
        return launch->exec && launch->exec->waits ? 3 : 2;
}

/* conmon has a descriptor of its own of the sealed copy, by which it finds it also when the service has gone. */
static char *crun_path(const ConmonLaunch *launch, const char *program, int crun_fd) {
        return crun_fd < 0 ? g_strdup(program) : g_strdup_printf("/proc/self/fd/%u", 3 + (launch->exec ? launch->exec->n_fds : 0) + n_pipes_of(launch));
}

static bool spawn(Conmon *conmon, Reaper *reaper, const ConmonLaunch *launch, GPtrArray *argv, int crun_fd, GError **error) {
        static const char *const pipes[] = {"SYNC", "START", "ATTACH"};
        const ConmonExec *exec = launch->exec;
        autofd int sync = -1, start = -1, attach = -1, null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        int fds[CONMON_FDS_MAX + G_N_ELEMENTS(pipes) + 2];
        unsigned n_given = exec ? exec->n_fds : 0, n_pipes = n_pipes_of(launch), n_fds = n_given + n_pipes;
        g_autoptr(GPtrArray) environment = g_ptr_array_new_with_free_func(g_free);

        if (!make_pipe("sync", &conmon->sync_fd, &sync, error) || !make_pipe("start", &conmon->start_fd, &start, error) ||
            (n_pipes == 3 && !make_pipe("attach", &conmon->attach_fd, &attach, error)))
                return false;
        conmon->errors_fd = memfd_create("conmon", MFD_CLOEXEC);
        g_assert(n_given <= CONMON_FDS_MAX);
        for (unsigned i = 0; i < n_given; i++)
                fds[i] = exec->fds[i];
        fds[n_given] = sync;
        fds[n_given + 1] = start;
        fds[n_given + 2] = attach;
        if (crun_fd >= 0)
                fds[n_fds++] = crun_fd; /* crun_path() knows the place */
        if (exec)
                fds[n_fds++] = conmon->sync_fd;
        g_ptr_array_add(environment, g_strdup("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
        for (unsigned i = 0; i < n_pipes; i++)
                g_ptr_array_add(environment, g_strdup_printf("_OCI_%sPIPE=%u", pipes[i], 3 + n_given + i));
        g_ptr_array_add(environment, NULL);
        ProcessSpec spec = {.argv = (const char *const *) argv->pdata, .environment = (const char *const *) environment->pdata, .fds = fds, .n_fds = n_fds, .program_fd = -1, .stdin_fd = -1, .output_fd = null, .errors_fd = conmon->errors_fd, .hold = true, .cgroup_file = launch->cgroup_file};
        if (exec && exec->stdio) {
                spec.stdin_fd = exec->stdio[0];
                spec.output_fd = exec->stdio[1];
                spec.errors_fd = exec->stdio[2];
        }
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
        *conmon = (Conmon) {.event = sd_event_ref(event), .sync_fd = -1, .start_fd = -1, .attach_fd = -1, .errors_fd = -1, .launched = launched, .userdata = userdata};
        conmon->executes = launch->exec != NULL;
        conmon->subject = g_strdup_printf("%s container \"%s\"", launch->exec ? "execute in" : "create", launch->name);
        conmon->log = g_steal_pointer(&log);
        conmon->timeout_usec = launch->timeout_usec ? launch->timeout_usec : CREATE_USEC;
        int crun_fd = sealed_program(crun);
        g_autofree char *runtime = crun_path(launch, crun, crun_fd);
        g_autoptr(GPtrArray) argv = build_argv(paths, launch, runtime, conmon->log);
        if (!spawn(conmon, reaper, launch, argv, crun_fd, error)) {
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

static void send_start(Conmon *conmon) {
        if (send(conmon->start_fd, "", 1, MSG_NOSIGNAL) < 0)
                log_warning("start conmon: %s", g_strerror(errno));
}

static int on_attach(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Conmon *conmon = userdata;
        void (*attachable)(void *userdata) = conmon->attachable;
        char packet[256];

        g_clear_pointer(&conmon->attach_source, sd_event_source_disable_unref);
        conmon->attachable = NULL;
        /* Without a packet conmon has given up; the sync pipe says why. */
        if (recv(fd, packet, sizeof packet, MSG_DONTWAIT) > 0 && attachable)
                attachable(conmon->attachable_userdata);
        return 0;
}

void conmon_on_attachable(Conmon *conmon, void (*attachable)(void *userdata), void *userdata) {
        conmon->attachable = attachable;
        conmon->attachable_userdata = userdata;
}

void conmon_go_on(Conmon *conmon) {
        send_start(conmon);
}

void conmon_release(Conmon *conmon, const char *const *cgroup_files) {
        int r = sd_event_add_io(conmon->event, &conmon->sync_source, conmon->sync_fd, EPOLLIN, on_sync, conmon);

        conmon->released = true;
        if (r >= 0 && conmon->attach_fd >= 0)
                r = sd_event_add_io(conmon->event, &conmon->attach_source, conmon->attach_fd, EPOLLIN, on_attach, conmon);
        if (r >= 0)
                r = sd_event_add_time(conmon->event, &conmon->timer, CLOCK_BOOTTIME, clock_boottime_in(conmon->timeout_usec), 1000, on_timeout, conmon);
        g_assert(r >= 0);
        send_start(conmon);
        process_release_into(conmon->process, cgroup_files);
}

void conmon_cancel(Conmon *conmon) {
        GError *error = NULL;

        error_set(&error, CONBUS_ERROR_CANCELLED, "%s: cancelled", conmon->subject);
        fail(conmon, error);
}
