/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The streams of a fake container: output goes to the log (k8s-file) and to attached clients, input comes from clients. */

#include "conmon.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PACKET_MAX 8192
#define INPUT_MAX 32768

enum { STREAM_OUTPUT = 2, STREAM_ERRORS = 3 };

/* --- files --- */

static int open_socket(const char *directory, const char *name, int type) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), place = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        g_autofree char *path = g_strdup_printf("%s/%s", directory, name);

        (void) unlink(path);
        snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", place, name); /* its own path may be too long */
        bool bound = bind(fd, (struct sockaddr *) &address, sizeof address) == 0 && chmod(path, 0700) == 0 && listen(fd, CLIENTS_MAX) == 0;
        close(place);
        if (!bound) {
                fprintf(stderr, "[conmon:e]: Failed to bind %s: %s\n", path, strerror(errno));
                exit(EXIT_FAILURE);
        }
        return fd;
}

static void open_log(Conmon *conmon) {
        if (!g_str_has_prefix(conmon->log, "k8s-file:"))
                return;
        const char *path = conmon->log + strlen("k8s-file:");
        conmon->log_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (conmon->log_fd < 0) {
                fprintf(stderr, "[conmon:e]: Failed to open log file %s\n", path);
                exit(EXIT_FAILURE);
        }
}

bool streams_are_callers(const Conmon *conmon) {
        return g_str_equal(conmon->log, "passthrough");
}

void streams_prepare(Conmon *conmon) {
        static const char *const fifos[] = {"ctl", "winsz", NULL};

        if (streams_are_callers(conmon))
                return;
        open_log(conmon);
        conmon->listen_fd = open_socket(conmon->bundle, "attach", SOCK_SEQPACKET);
        for (const char *const *name = fifos; *name; name++) {
                g_autofree char *path = g_build_filename(conmon->bundle, *name, NULL);
                if (mkfifo(path, 0660) < 0 && errno != EEXIST) {
                        fprintf(stderr, "[conmon:e]: Failed to mkfifo at %s: %s\n", path, strerror(errno));
                        exit(EXIT_FAILURE);
                }
        }
        g_autofree char *control = g_build_filename(conmon->bundle, "ctl", NULL);
        conmon->control_fd = open(control, O_RDWR | O_CLOEXEC | O_NONBLOCK);
}

void streams_remove(Conmon *conmon) {
        g_autofree char *path = g_build_filename(conmon->bundle, "attach", NULL);

        (void) unlink(path);
}

/* --- descriptors --- */

static void open_pipe(int *ret_read, int *ret_write) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                abort();
        *ret_read = fds[0];
        *ret_write = fds[1];
}

void streams_open(Conmon *conmon) {
        conmon->other_input = conmon->other_output = conmon->other_errors = conmon->console_fd = -1;
        if (streams_are_callers(conmon))
                return;
        if (conmon->terminal)
                conmon->console_fd = open_socket(conmon->bundle, "console", SOCK_STREAM);
        else
                open_pipe(&conmon->output_fd, &conmon->other_output);
        if (conmon->stdin_open && !conmon->terminal)
                open_pipe(&conmon->other_input, &conmon->input_fd);
        open_pipe(&conmon->errors_fd, &conmon->other_errors);
}

void streams_enter(Conmon *conmon) {
        if (streams_are_callers(conmon))
                return;
        int null = open("/dev/null", O_RDWR);
        dup2(conmon->other_input >= 0 ? conmon->other_input : null, STDIN_FILENO);
        dup2(conmon->other_output >= 0 ? conmon->other_output : null, STDOUT_FILENO);
        dup2(conmon->other_errors, STDERR_FILENO);
        close(null);
}

static void close_and_forget(int *fd) {
        if (*fd >= 0)
                close(*fd);
        *fd = -1;
}

void streams_close_other_side(Conmon *conmon) {
        close_and_forget(&conmon->other_input);
        close_and_forget(&conmon->other_output);
        close_and_forget(&conmon->other_errors);
}

/* crun sends it, or ends without. */
void streams_take_terminal(Conmon *conmon) {
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = {0};
        char name[64];
        struct iovec part = {.iov_base = name, .iov_len = sizeof name};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        struct pollfd pollfds[] = {{.fd = conmon->console_fd, .events = POLLIN}, {.fd = conmon->signal_fd, .events = POLLIN}};

        (void) poll(pollfds, 2, -1);
        int connection = accept4(conmon->console_fd, NULL, NULL, SOCK_CLOEXEC);
        struct cmsghdr *header = connection >= 0 && recvmsg(connection, &message, MSG_CMSG_CLOEXEC) > 0 ? CMSG_FIRSTHDR(&message) : NULL;
        if (header && header->cmsg_type == SCM_RIGHTS)
                memcpy(&conmon->output_fd, CMSG_DATA(header), sizeof conmon->output_fd);
        close_and_forget(&connection);
        close_and_forget(&conmon->console_fd);
        (void) unlink(conmon->console_path);
}

char *streams_read_errors(Conmon *conmon) {
        char text[PACKET_MAX];

        if (conmon->errors_fd < 0)
                return g_strdup("");
        (void) fcntl(conmon->errors_fd, F_SETFL, O_NONBLOCK); /* a child of crun may hold the other side */
        ssize_t n = read(conmon->errors_fd, text, sizeof text);

        return g_strndup(text, n > 0 ? (gsize) n : 0);
}

/* --- output --- */

static void log_line(Conmon *conmon, int stream, bool whole, const char *text, size_t size) {
        struct timespec now;
        struct tm local;
        char time[64], zone[16];

        if (conmon->log_fd < 0)
                return;
        clock_gettime(CLOCK_REALTIME, &now);
        localtime_r(&now.tv_sec, &local);
        strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S", &local);
        strftime(zone, sizeof zone, "%z", &local);
        g_autofree char *line = g_strdup_printf("%s.%09ld%.3s:%s std%s %c %.*s\n", time, now.tv_nsec, zone, zone + 3, stream == STREAM_OUTPUT ? "out" : "err", whole ? 'F' : 'P', (int) size, text);
        if (write(conmon->log_fd, line, strlen(line)) < 0)
                fprintf(stderr, "[conmon:w]: write to the log failed: %s\n", strerror(errno));
}

static void log_chunk(Conmon *conmon, int stream, const char *text, size_t size) {
        for (const char *end = text + size, *line = text; line < end;) {
                const char *newline = memchr(line, '\n', (size_t) (end - line));
                log_line(conmon, stream, newline != NULL, line, (size_t) ((newline ? newline : end) - line));
                line = newline ? newline + 1 : end;
        }
}

/* Returns false at the end of the stream. */
static bool copy_output(Conmon *conmon, int *fd, int stream) {
        char packet[1 + PACKET_MAX];
        ssize_t n = *fd >= 0 ? read(*fd, packet + 1, PACKET_MAX) : 0;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return false;
        if (n <= 0) {
                close_and_forget(fd);
                return false;
        }
        packet[0] = (char) stream;
        log_chunk(conmon, stream, packet + 1, (size_t) n);
        for (unsigned i = conmon->n_clients; i > 0; i--)
                if (send(conmon->clients[i - 1], packet, (size_t) n + 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EPIPE && conmon->ended[i - 1]) {
                        close(conmon->clients[i - 1]);
                        conmon->clients[i - 1] = conmon->clients[--conmon->n_clients];
                        conmon->ended[i - 1] = conmon->ended[conmon->n_clients];
                }
        return true;
}

/* --- clients --- */

/* All that wait: who was there before the output sees it. */
static void accept_clients(Conmon *conmon) {
        int fd;

        while ((fd = accept4(conmon->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
                if (conmon->n_clients == CLIENTS_MAX) {
                        close(fd);
                        continue;
                }
                conmon->ended[conmon->n_clients] = false;
                conmon->clients[conmon->n_clients++] = fd;
        }
}

static void serve_client(Conmon *conmon, unsigned i) {
        g_autofree char *packet = g_malloc(INPUT_MAX);
        ssize_t n = recv(conmon->clients[i], packet, INPUT_MAX, 0);
        int to = conmon->terminal ? conmon->output_fd : conmon->input_fd;

        if (n < 0 && errno == EAGAIN)
                return;
        if (n > 0) {
                if (to >= 0 && write(to, packet, (size_t) n) < 0)
                        fprintf(stderr, "[conmon:w]: write to the container's input failed: %s\n", strerror(errno));
                return;
        }
        conmon->ended[i] = true; /* and may read on */
        if (!conmon->leave_stdin_open)
                close_and_forget(&conmon->input_fd);
}

/* "1 ROWS COLUMNS": resize; "2 0 0": open the log again. */
static void obey(Conmon *conmon) {
        char text[256];
        ssize_t n = read(conmon->control_fd, text, sizeof text - 1);
        int what, rows, columns;

        if (n <= 0)
                return;
        text[n] = '\0';
        if (sscanf(text, "%d %d %d", &what, &rows, &columns) != 3)
                return;
        struct winsize size = {.ws_row = (unsigned short) rows, .ws_col = (unsigned short) columns};
        if (what == 1 && conmon->terminal && ioctl(conmon->output_fd, TIOCSWINSZ, &size) < 0)
                fprintf(stderr, "[conmon:w]: resize: %s\n", strerror(errno));
        if (what == 2) {
                close_and_forget(&conmon->log_fd);
                open_log(conmon);
        }
}

/* --- the loop --- */

/* Returns true once the payload has been reaped; TERM goes on to it. */
static bool take_signals(Conmon *conmon) {
        struct signalfd_siginfo info;
        bool ended = false;
        int status;
        pid_t pid;

        while (read(conmon->signal_fd, &info, sizeof info) == sizeof info)
                if (info.ssi_signo == SIGTERM)
                        (void) kill(conmon->main, SIGTERM);
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
                if (pid == conmon->main) {
                        conmon->wait_status = status;
                        ended = true;
                }
        return ended;
}

static void drain(Conmon *conmon) {
        int *fds[] = {&conmon->output_fd, &conmon->errors_fd};

        accept_clients(conmon);
        for (int i = 0; i < 2; i++) {
                if (*fds[i] >= 0)
                        (void) fcntl(*fds[i], F_SETFL, O_NONBLOCK);
                while (copy_output(conmon, fds[i], i == 0 ? STREAM_OUTPUT : STREAM_ERRORS))
                        continue;
        }
}

void streams_serve(Conmon *conmon) {
        bool ended = take_signals(conmon); /* before the loop a SIGCHLD may have been for crun alone */

        while (!ended) {
                struct pollfd pollfds[5 + CLIENTS_MAX] = {{.fd = conmon->signal_fd, .events = POLLIN},
                                                          {.fd = conmon->output_fd, .events = POLLIN},
                                                          {.fd = conmon->errors_fd, .events = POLLIN},
                                                          {.fd = conmon->listen_fd, .events = POLLIN},
                                                          {.fd = conmon->control_fd, .events = POLLIN}};
                unsigned n = conmon->n_clients;

                for (unsigned i = 0; i < n; i++)
                        pollfds[5 + i] = (struct pollfd) {.fd = conmon->ended[i] ? -1 : conmon->clients[i], .events = POLLIN};
                if (poll(pollfds, 5 + n, -1) < 0)
                        continue;
                accept_clients(conmon);
                if (pollfds[1].revents)
                        (void) copy_output(conmon, &conmon->output_fd, STREAM_OUTPUT);
                if (pollfds[2].revents)
                        (void) copy_output(conmon, &conmon->errors_fd, STREAM_ERRORS);
                for (unsigned i = n; i > 0; i--)
                        if (pollfds[4 + i].revents)
                                serve_client(conmon, i - 1);
                if (pollfds[4].revents)
                        obey(conmon);
                if (pollfds[0].revents)
                        ended = take_signals(conmon);
        }
        drain(conmon);
        while (conmon->n_clients > 0)
                close(conmon->clients[--conmon->n_clients]);
        close_and_forget(&conmon->listen_fd);
}
