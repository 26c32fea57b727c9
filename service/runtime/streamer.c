/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starting conbus-stream and talking to it. Its listening socket is made here, so that the first connection can be made before it runs. */

#include "runtime/streamer.h"
#include "base/auto.h"
#include "base/log.h"
#include "runtime/cgroup.h"
#include "stream/channel.h"
#include "stream/protocol.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

struct Streamer {
        Channel *channel;
        const StreamerEvents *events;
        void *userdata;
        int connections[2]; /* copies of its connections to conmon, for StdinOnce */
        Units *units; /* NULL: systemd is not here */
        char *group_id;
        guint32 pid; /* 0: not known yet */
        Process *process; /* held, while its scope is made */
        UnitJob *scope;
};

void streamer_free(Streamer *streamer) {
        if (!streamer)
                return;
        if (streamer->scope)
                unit_job_forget(streamer->scope);
        if (streamer->process)
                process_abandon(streamer->process);
        channel_free(streamer->channel);
        for (unsigned i = 0; i < G_N_ELEMENTS(streamer->connections); i++)
                close_fd(streamer->connections[i]);
        g_free(streamer->group_id);
        g_free(streamer);
}

/* --- what it says --- */

static GError *error_of(GVariant *fields) {
        const char *name = "", *message = "";

        (void) g_variant_lookup(fields, "error", "&s", &name);
        (void) g_variant_lookup(fields, "message", "&s", &message);
        int code = error_code_from_name(name);
        return g_error_new_literal(CONBUS_ERROR, code < 0 ? CONBUS_ERROR_INTERNAL : code, message);
}

static void on_hello(Streamer *streamer, GVariant *fields, int fds[CHANNEL_FDS_MAX]) {
        g_autoptr(GVariant) clients = g_variant_lookup_value(fields, "clients", G_VARIANT_TYPE("a(ta{sv})"));

        (void) g_variant_lookup(fields, "pid", "u", &streamer->pid);
        for (unsigned i = 0; i < G_N_ELEMENTS(streamer->connections); i++)
                if (fds[i] >= 0) {
                        close_fd(streamer->connections[i]);
                        streamer->connections[i] = steal_fd(&fds[i]);
                }
        if (clients)
                streamer->events->ready(clients, streamer->userdata);
}

static void on_received(const char *word, GVariant *fields, int fds[CHANNEL_FDS_MAX], void *userdata) {
        Streamer *streamer = userdata;
        guint64 id = 0;

        (void) g_variant_lookup(fields, "id", "t", &id);
        if (g_str_equal(word, STREAM_HELLO))
                on_hello(streamer, fields, fds);
        else if (g_str_equal(word, STREAM_ADDED))
                streamer->events->added(id, streamer->userdata);
        else if (g_str_equal(word, STREAM_REFUSED)) {
                g_autoptr(GError) error = error_of(fields);
                streamer->events->refused(id, error, streamer->userdata);
        } else if (g_str_equal(word, STREAM_GONE))
                streamer->events->gone(id, fields, streamer->userdata);
        else
                log_warning("conbus-stream says \"%s\", which is not understood", word);
}

static char *scope_name(const Streamer *streamer) {
        return g_strdup_printf("conbus-stream-%.16s-%u.scope", streamer->group_id, streamer->pid);
}

static void on_scope_stopped(const GError *error, void *userdata) {
        if (error)
                log_warning("stop the scope of conbus-stream: %s", error->message);
}

/* systemd may not hear of its end: it is nobody's child there. */
static void stop_scope(const Streamer *streamer) {
        g_autofree char *name = scope_name(streamer);

        if (streamer->units && streamer->pid != 0)
                (void) units_stop_scope(streamer->units, name, on_scope_stopped, NULL);
}

static void on_closed(void *userdata) {
        Streamer *streamer = userdata;

        stop_scope(streamer);
        streamer->events->closed(streamer->userdata);
}

void streamer_dismiss(Streamer *streamer) {
        stop_scope(streamer);
        streamer_free(streamer);
}

/* --- start --- */

static void set_address(struct sockaddr_un *address, int directory_fd) {
        *address = (struct sockaddr_un) {.sun_family = AF_UNIX};
        snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/" STREAMER_SOCKET, directory_fd);
}

static int connect_to(int directory_fd) {
        autofd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un address;
        struct ucred peer;
        socklen_t size = sizeof peer;

        set_address(&address, directory_fd);
        if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof address) < 0)
                return -1;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != geteuid()) {
                errno = EPERM;
                return -1;
        }
        return steal_fd(&fd);
}

static bool make_control(const StreamerSource *source, int directory_fd, int *ret_theirs, int *ret_ours, GError **error) {
        struct sockaddr_un address;
        int pair[2];

        if (!source->monitor) {
                if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                        return error_errno(error, errno, "make a pair of sockets for conbus-stream");
                *ret_theirs = pair[0];
                *ret_ours = pair[1];
                return true;
        }
        autofd int listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void) unlinkat(directory_fd, STREAMER_SOCKET, 0);
        set_address(&address, directory_fd);
        if (listening < 0 || bind(listening, (struct sockaddr *) &address, sizeof address) < 0 || listen(listening, 8) < 0)
                return error_errno(error, errno, "make the socket of conbus-stream");
        *ret_ours = connect_to(directory_fd);
        if (*ret_ours < 0)
                return error_errno(error, errno, "connect to conbus-stream");
        *ret_theirs = steal_fd(&listening);
        return true;
}

static void on_process_ended(const ProcessResult *result, void *userdata) {
        Streamer *streamer = userdata;

        streamer->process = NULL;
}

/* From here on it is nobody's. */
static void let_go(Streamer *streamer) {
        process_release(streamer->process);
        process_detach(g_steal_pointer(&streamer->process));
}

static void on_scope(const GError *error, void *userdata) {
        Streamer *streamer = userdata;

        streamer->scope = NULL;
        if (!streamer->process)
                return;
        if (!error)
                let_go(streamer);
        else {
                log_error("a scope for conbus-stream: %s", error->message);
                process_kill(streamer->process, SIGKILL); /* its end closes the channel */
        }
}

/* What is left in a run's own scope is killed with the run; clients may read on after it. */
static void begin_scope(Streamer *streamer, const StreamerSource *source) {
        streamer->pid = (guint32) process_pid(streamer->process)->pid;
        g_autofree char *name = scope_name(streamer);
        g_autofree char *description = g_strdup_printf("Streams of Container %.12s", source->group_id);
        const ScopePlan plan = {.name = name, .description = description, .slice = source->slice, .mount = "/", .process = process_pid(streamer->process), .stop_usec = 5 * G_USEC_PER_SEC};

        streamer->scope = units_start_scope(streamer->units, &plan, on_scope, streamer);
}

static bool run(Streamer *streamer, sd_event *event, Reaper *reaper, const Paths *paths, const StreamerSource *source, int control_fd, int directory_fd, GError **error) {
        g_autoptr(GPtrArray) argv = g_ptr_array_new();
        const int fds[] = {control_fd, directory_fd, source->monitor ? source->monitor->fd : -1};
        g_autofree char *group = !streamer->units && source->monitor ? cgroup_monitor_file(source->group_id) : NULL;
        ProcessSpec spec = PROCESS_SPEC_INIT;

        g_ptr_array_add(argv, paths->stream);
        if (source->log) {
                g_ptr_array_add(argv, (void *) "--log");
                g_ptr_array_add(argv, (void *) source->log);
        }
        if (source->journal) {
                g_ptr_array_add(argv, (void *) "--journal");
                g_ptr_array_add(argv, (void *) source->group_id);
        }
        if (source->log_start) {
                g_ptr_array_add(argv, (void *) "--from-start");
                g_ptr_array_add(argv, (void *) source->log_start);
        }
        if (source->stdin_once)
                g_ptr_array_add(argv, (void *) "--stdin-once");
        if (source->patient)
                g_ptr_array_add(argv, (void *) "--patient");
        g_ptr_array_add(argv, NULL);
        spec.argv = (const char *const *) argv->pdata;
        spec.fds = fds;
        spec.n_fds = fds[2] >= 0 ? 3 : 2;
        spec.errors_fd = STDERR_FILENO;
        spec.cgroup_file = group;
        spec.hold = true; /* it does not die with the service */
        streamer->process = process_begin(event, reaper, &spec, on_process_ended, streamer, error);
        if (!streamer->process)
                return false;
        if (streamer->units) {
                begin_scope(streamer, source);
                return true;
        }
        let_go(streamer);
        return true;
}

static Streamer *streamer_new(sd_event *event, Units *units, const char *group_id, int fd, const StreamerEvents *events, void *userdata, GError **error) {
        Streamer *streamer = g_new0(Streamer, 1);

        *streamer = (Streamer) {.units = units, .group_id = g_strdup(group_id), .events = events, .userdata = userdata, .connections = {-1, -1}};
        streamer->channel = channel_new(event, fd, on_received, on_closed, streamer, error);
        if (!streamer->channel)
                g_clear_pointer(&streamer, streamer_free);
        return streamer;
}

Streamer *streamer_start(sd_event *event, Reaper *reaper, const Paths *paths, Units *units, const StreamerSource *source, const StreamerEvents *events, void *userdata, GError **error) {
        autofd int directory = open(source->directory, O_PATH | O_DIRECTORY | O_CLOEXEC), theirs = -1, ours = -1;

        if (directory < 0) {
                error_errno(error, errno, "open %s", source->directory);
                return NULL;
        }
        if (!make_control(source, directory, &theirs, &ours, error))
                return NULL;
        g_autoptr(Streamer) streamer = streamer_new(event, units, source->group_id, steal_fd(&ours), events, userdata, error);
        if (!streamer || !run(streamer, event, reaper, paths, source, theirs, directory, error))
                return NULL;
        return g_steal_pointer(&streamer);
}

Streamer *streamer_find(sd_event *event, Units *units, const char *group_id, const char *directory, const StreamerEvents *events, void *userdata) {
        autofd int directory_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        autofd int fd = directory_fd < 0 ? -1 : connect_to(directory_fd);
        g_autoptr(GError) error = NULL;

        if (fd < 0)
                return NULL;
        Streamer *streamer = streamer_new(event, units, group_id, steal_fd(&fd), events, userdata, &error);
        if (!streamer)
                log_error("%s", error->message);
        return streamer;
}

/* --- what it is told --- */

void streamer_add(Streamer *streamer, GVariant *fields, int fd, int cancel_fd) {
        const int fds[] = {fd, cancel_fd};

        channel_send(streamer->channel, STREAM_ADD, fields, fds, cancel_fd >= 0 ? 2 : 1);
}

void streamer_remove(Streamer *streamer, guint64 id) {
        channel_send(streamer->channel, STREAM_REMOVE, g_variant_new_parsed("{'id': <%t>}", id), NULL, 0);
}

void streamer_end_run(Streamer *streamer, guint64 run, int exit_code) {
        channel_send(streamer->channel, STREAM_END_OF_RUN, g_variant_new_parsed("{'run': <%t>, 'exit-code': <%i>}", run, exit_code), NULL, 0);
}

void streamer_set_process(Streamer *streamer, int pidfd) {
        channel_send(streamer->channel, STREAM_PROCESS, g_variant_new("a{sv}", NULL), &pidfd, pidfd >= 0 ? 1 : 0);
}

void streamer_lose(Streamer *streamer) {
        channel_send(streamer->channel, STREAM_END_OF_RUN, g_variant_new_parsed("{'lost': <true>}"), NULL, 0);
}

void streamer_take_connections(Streamer *streamer, int ret_fds[2]) {
        for (unsigned i = 0; i < G_N_ELEMENTS(streamer->connections); i++) {
                ret_fds[i] = steal_fd(&streamer->connections[i]);
                /* conmon must never wait for somebody to read from it. */
                if (ret_fds[i] >= 0)
                        (void) shutdown(ret_fds[i], SHUT_RD);
        }
}
