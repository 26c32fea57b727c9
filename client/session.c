/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The loop of an attached client. Nothing in it blocks but poll: what a slow reader of our output has not taken yet is kept (one packet), and meanwhile signals still count.
 *
 * At a terminal that the container shares, keys go in as they are, the size follows, and a signal that ends or stops us first gives the terminal back. Otherwise signals go on to the container, and the third one ends us, as users of other engines know it. */

#include "session.h"
#include "call.h"
#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

#define PACKET_MAX (32768 + 1)
#define SIGNALS_MAX 3 /* that the container ignores */
#define SIZE_MAX_TERMINAL 1000
#define END_KEY 4 /* ctrl-d, as every terminal has it at first */

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT, SIGTSTP};

/* --- the terminal --- */

static struct termios saved_mode;
static bool is_raw;
static int signal_pipe[2] = {-1, -1};

static void leave_raw_mode(void) {
        if (is_raw)
                (void) tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_mode);
        is_raw = false;
}

static void enter_raw_mode(void) {
        static bool registered;
        struct termios mode;

        if (!is_raw && tcgetattr(STDIN_FILENO, &saved_mode) < 0)
                return;
        mode = saved_mode;
        cfmakeraw(&mode);
        is_raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &mode) == 0;
        if (!registered)
                (void) atexit(leave_raw_mode);
        registered = true;
}

static bool get_size(guint16 *rows, guint16 *columns) {
        struct winsize size;

        if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0)
                return false;
        *rows = MIN(size.ws_row, SIZE_MAX_TERMINAL);
        *columns = MIN(size.ws_col, SIZE_MAX_TERMINAL);
        return true;
}

static void on_signal(int number) {
        int saved = errno;
        unsigned char byte = (unsigned char) number;

        (void) !write(signal_pipe[1], &byte, 1);
        errno = saved;
}

static bool catch_signals(void) {
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

        if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
                return false;
        for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
                (void) sigaction(signals[i], &action, NULL);
        (void) signal(SIGPIPE, SIG_IGN);
        return true;
}

/* --- the loop --- */

typedef struct Loop {
        Session *session;
        bool raw; /* keys go in as they are */
        unsigned char in[PACKET_MAX], out[PACKET_MAX];
        size_t n_in; /* a packet that the socket has not taken */
        size_t n_out, at_out; /* data of a packet that our output has not taken */
        int out_fd;
        bool input, over;
        bool in_line; /* of the input: the last byte was no newline */
        unsigned n_signals;
        int status;
} Loop;

static void end(Loop *loop, int status) {
        loop->over = true;
        loop->status = status;
}

static void call_later(const Session *session, const char *method, GVariant *arguments) {
        if (session->is_process)
                call_process_later(session->path, method, arguments);
        else
                call_container_later(session->path, method, arguments);
}

static void send_size(Loop *loop) {
        guint16 rows, columns;

        if (loop->raw && get_size(&rows, &columns))
                call_later(loop->session, CONBUS_CONTAINER_RESIZE_TERMINAL, g_variant_new("(qq)", rows, columns));
}

/* SIGSTOP also counts where there is no shell to continue us. */
static void stop_here(void) {
        leave_raw_mode();
        (void) raise(SIGSTOP);
}

static void take_signal(Loop *loop, int number) {
        if (number == SIGTSTP)
                stop_here();
        else if (number == SIGCONT) { /* the shell has used the terminal meanwhile */
                if (loop->raw)
                        enter_raw_mode();
                send_size(loop);
        } else if (number == SIGWINCH)
                send_size(loop);
        else if (loop->raw || ++loop->n_signals >= SIGNALS_MAX)
                end(loop, 128 + number);
        else
                call_later(loop->session, CONBUS_CONTAINER_KILL, loop->session->is_process ? g_variant_new("(i)", number) : g_variant_new("(si)", "leader", number));
}

static void read_signals(Loop *loop) {
        unsigned char byte;

        while (read(signal_pipe[0], &byte, 1) == 1)
                take_signal(loop, byte);
}

static void read_last(Loop *loop, size_t size) {
        g_autoptr(JsonParser) parser = json_parser_new();

        if (!json_parser_load_from_data(parser, (const char *) loop->out, (gssize) size, NULL) || !JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser))) {
                fputs("conbusctl: the last packet of the streams is not understood\n", stderr);
                end(loop, EXIT_CONBUS);
                return;
        }
        JsonObject *object = json_node_get_object(json_parser_get_root(parser));
        if (json_object_has_member(object, "error")) {
                leave_raw_mode();
                fprintf(stderr, "conbusctl: %s\n", json_object_get_string_member_with_default(object, "message", ""));
                end(loop, EXIT_CONBUS);
                return;
        }
        loop->session->exited = json_object_has_member(object, CONBUS_FIELD_EXIT_CODE);
        gint64 code = json_object_get_int_member_with_default(object, CONBUS_FIELD_EXIT_CODE, 0);
        end(loop, code < 0 ? EXIT_CONBUS : (int) code);
}

static void read_socket(Loop *loop) {
        guint8 stream;
        struct iovec parts[2] = {{.iov_base = &stream, .iov_len = 1}, {.iov_base = loop->out, .iov_len = sizeof loop->out}};
        ssize_t n = readv(loop->session->fd, parts, 2);

        if (n < 0 && errno == ECONNRESET) /* of input that nobody has read: told once, and before what has been written */
                n = readv(loop->session->fd, parts, 2);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                leave_raw_mode();
                fputs("conbusctl: the streams of the container were lost\n", stderr);
                end(loop, EXIT_CONBUS);
        } else if (stream == 3)
                read_last(loop, (size_t) n - 1);
        else {
                loop->out_fd = stream == 2 ? STDERR_FILENO : STDOUT_FILENO;
                loop->n_out = (size_t) n - 1;
                loop->at_out = 0;
        }
}

/* After POLLOUT a pipe takes PIPE_BUF bytes without blocking. */
static void write_output(Loop *loop) {
        ssize_t n = write(loop->out_fd, loop->out + loop->at_out, MIN(loop->n_out - loop->at_out, (size_t) 4096));

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n < 0) {
                end(loop, errno == EPIPE ? 128 + SIGPIPE : EXIT_CONBUS);
                return;
        }
        loop->at_out += (size_t) n;
}

static void send_input(Loop *loop) {
        ssize_t n = send(loop->session->fd, loop->in, loop->n_in, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        loop->n_in = 0;
        if (!loop->input)
                (void) shutdown(loop->session->fd, SHUT_WR);
}

/* A terminal knows no end of input but a key, which passes on a line that has begun and is the end before one. */
static void end_input(Loop *loop) {
        unsigned n_keys = loop->session->terminal && !loop->raw ? (loop->in_line ? 2 : 1) : 0;

        loop->input = false;
        if (n_keys == 0) {
                (void) shutdown(loop->session->fd, SHUT_WR);
                return;
        }
        loop->in[0] = 0;
        memset(loop->in + 1, END_KEY, n_keys);
        loop->n_in = 1 + n_keys;
        send_input(loop);
}

static void read_input(Loop *loop) {
        ssize_t n = read(STDIN_FILENO, loop->in + 1, sizeof loop->in - 1);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                end_input(loop);
                return;
        }
        loop->in_line = loop->in[n] != '\n';
        loop->in[0] = 0;
        loop->n_in = (size_t) n + 1;
        send_input(loop);
}

static void run_once(Loop *loop) {
        bool has_output = loop->at_out < loop->n_out;
        struct pollfd fds[] = {
                {.fd = signal_pipe[0], .events = POLLIN},
                {.fd = loop->session->fd, .events = (short) ((has_output ? 0 : POLLIN) | (loop->n_in > 0 ? POLLOUT : 0))},
                {.fd = loop->input && loop->n_in == 0 ? STDIN_FILENO : -1, .events = POLLIN},
                {.fd = has_output ? loop->out_fd : -1, .events = POLLOUT},
        };

        /* A socket that has nothing left to say but its end would wake us again and again. */
        if (!fds[1].events)
                fds[1].fd = -1;
        if (poll(fds, G_N_ELEMENTS(fds), -1) < 0)
                return;
        if (fds[0].revents)
                read_signals(loop);
        if (fds[3].revents && !loop->over)
                write_output(loop);
        if ((fds[1].revents & POLLOUT) && !loop->over)
                send_input(loop);
        if ((fds[1].revents & (POLLIN | POLLHUP | POLLERR)) && !has_output && !loop->over)
                read_socket(loop);
        if (fds[2].revents && !loop->over)
                read_input(loop);
}

int session_run(Session *session) {
        Loop *loop = g_new0(Loop, 1);

        loop->session = session;
        loop->input = session->input;
        loop->raw = session->terminal && session->input && isatty(STDIN_FILENO);
        if (!catch_signals()) {
                fprintf(stderr, "conbusctl: %s\n", g_strerror(errno));
                end(loop, EXIT_CONBUS);
        }
        if (loop->raw && !loop->over) {
                enter_raw_mode();
                send_size(loop); /* it may have changed since the attachment was asked for */
        }
        while (!loop->over)
                run_once(loop);
        leave_raw_mode();
        call_flush();
        close(session->fd);
        int status = loop->status;
        g_free(loop);
        return status;
}

GVariant *session_options(bool input, bool terminal, const char *detach_keys) {
        const char *const streams[] = {"stdout", "stderr", input ? "stdin" : NULL, NULL};
        bool at_terminal = input && isatty(STDIN_FILENO);
        GVariantDict options;
        guint16 rows, columns;

        g_variant_dict_init(&options, NULL);
        g_variant_dict_insert(&options, CONBUS_OPTION_STREAMS, "^as", streams);
        g_variant_dict_insert(&options, CONBUS_OPTION_FRAMING, "s", "packets");
        if (detach_keys || !at_terminal)
                g_variant_dict_insert(&options, CONBUS_OPTION_DETACH_KEYS, "s", detach_keys ? detach_keys : "");
        if (terminal && get_size(&rows, &columns))
                g_variant_dict_insert(&options, CONBUS_OPTION_SIZE, "(qq)", rows, columns);
        return g_variant_dict_end(&options);
}
