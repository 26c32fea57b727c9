/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* conmon's attach socket: SOCK_SEQPACKET; out of it a byte for the stream (2 standard output, 3 standard error, a terminal is all 2) and up to 8192 bytes, into it plain bytes, at most 32768 in a packet. */

#include "stream/source.h"
#include "base/auto.h"
#include "base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#define PACKETS_AT_ONCE 16 /* are enough for the clients to get their turn */
#define QUIET_USEC 100 /* without a packet: what comes then may well wake us */
#define PACKET_TO_CONMON 32768

struct Source {
        sd_event *event;
        int directory_fd, output_fd, input_fd;
        sd_event_source *output_source, *input_source;
        const SourceEvents *events;
        void *userdata;
        Ring *ring;
        guint64 totals[3];
        bool one_connection, ended, held, input_gone;
        guint64 last_usec; /* when the last packet came */
        size_t last_size; /* of its data */
};

Source *source_new(sd_event *event, int directory_fd, bool one_connection, const SourceEvents *events, void *userdata) {
        Source *source = g_new0(Source, 1);

        *source = (Source) {.event = event, .directory_fd = directory_fd, .one_connection = one_connection, .output_fd = -1, .input_fd = -1, .events = events, .userdata = userdata};
        return source;
}

void source_free(Source *source) {
        if (!source)
                return;
        g_clear_pointer(&source->output_source, sd_event_source_disable_unref);
        g_clear_pointer(&source->input_source, sd_event_source_disable_unref);
        close_fd(source->output_fd);
        close_fd(source->input_fd);
        ring_free(source->ring);
        g_free(source);
}

/* By the directory's descriptor: the path itself may be too long for an address. -1 in *ret_fd: conmon serves no streams any more, so that they are at their end. */
static bool connect_to_conmon(Source *source, int *ret_fd, GError **error) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        autofd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/attach", source->directory_fd);
        if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof address) < 0) {
                *ret_fd = -1;
                return fd >= 0 && (errno == ENOENT || errno == ECONNREFUSED) ? true : error_errno(error, errno, "connect to conmon");
        }
        *ret_fd = steal_fd(&fd);
        return true;
}

/* --- output --- */

static void end_output(Source *source) {
        source->ended = true;
        sd_event_source_set_enabled(source->output_source, SD_EVENT_OFF);
}

/* What one system call gives. *ret: how many packets, 0 for none that was there. False: conmon has closed. */
static bool receive(Source *source, unsigned *ret) {
        struct mmsghdr messages[RING_FRAMES_AT_ONCE];
        struct iovec parts[RING_FRAMES_AT_ONCE][2];
        guint8 kinds[RING_FRAMES_AT_ONCE] = {0};

        ring_reserve(source->ring);
        for (unsigned i = 0; i < RING_FRAMES_AT_ONCE; i++) {
                parts[i][0] = (struct iovec) {.iov_base = &kinds[i], .iov_len = 1};
                parts[i][1] = (struct iovec) {.iov_base = ring_place(source->ring, i), .iov_len = RING_FRAME_MAX};
                messages[i] = (struct mmsghdr) {.msg_hdr = {.msg_iov = parts[i], .msg_iovlen = 2}};
        }
        int n = recvmmsg(source->output_fd, messages, RING_FRAMES_AT_ONCE, MSG_DONTWAIT, NULL);
        if (n < 0 && errno == ECONNRESET) /* conmon has left input unread. It is told once, and before what conmon has written (net/unix/af_unix.c) */
                n = recvmmsg(source->output_fd, messages, RING_FRAMES_AT_ONCE, MSG_DONTWAIT, NULL);
        *ret = 0;
        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        for (; *ret < (unsigned) n; ++*ret) {
                size_t size = messages[*ret].msg_len;
                guint8 stream = kinds[*ret] == 3 ? STREAM_STDERR : STREAM_STDOUT;
                if (size == 0) /* conmon sends no packet without a byte for the stream */
                        return false;
                if (size > 1)
                        ring_commit(source->ring, stream, parts[*ret][1].iov_base, size - 1);
                source->totals[stream] += size - 1;
                source->last_size = size - 1;
        }
        return true;
}

/* The number of packets that were there. */
static unsigned receive_packets(Source *source) {
        unsigned n = 0;

        if (!source->events->before_output(source->userdata)) {
                source->held = true;
                sd_event_source_set_enabled(source->output_source, SD_EVENT_OFF);
        } else if (!receive(source, &n))
                end_output(source);
        if (n > 0)
                source->last_usec = clock_boottime_usec();
        return n;
}

/* Large packets, one soon after the other: the container is ahead of conmon. */
static bool is_flooded(const Source *source, guint64 since_usec) {
        return source->last_size >= RING_FRAME_MAX / 2 && clock_boottime_usec() - since_usec < QUIET_USEC && !source->ended && !source->held;
}

/* In a flood we do not sleep, for conmon would have to wake us for each packet, and on another processor that costs it as much as all else that it does with the packet. Instead everyone else who is ready gets our processor, and after that we look again; the clients get many packets with one system call. */
static int on_output(sd_event_source *event_source, int fd, uint32_t revents, void *userdata) {
        Source *source = userdata;
        guint64 before_usec = source->last_usec;
        unsigned n = receive_packets(source);

        for (bool flooded = is_flooded(source, n > 1 ? source->last_usec : before_usec); flooded && n < PACKETS_AT_ONCE; flooded = is_flooded(source, source->last_usec)) {
                (void) sched_yield();
                n += receive_packets(source);
        }
        source->events->output(source->userdata);
        return 0;
}

bool source_open_output(Source *source, GError **error) {
        autofd int fd = -1;

        if (source->ring)
                return true;
        if (!connect_to_conmon(source, &fd, error))
                return false;
        source->ring = ring_new(RING_SIZE, error);
        source->ended = fd < 0;
        if (!source->ring || source->ended)
                return source->ring;
        int r = sd_event_add_io(source->event, &source->output_source, fd, EPOLLIN, on_output, source);
        if (r < 0)
                return error_errno(error, -r, "watch conmon");
        /* conmon blocks on it: before anything that only concerns a client. */
        sd_event_source_set_priority(source->output_source, SD_EVENT_PRIORITY_NORMAL - 1);
        source->output_fd = steal_fd(&fd);
        return true;
}

void source_go_on(Source *source) {
        if (source->held)
                sd_event_source_set_enabled(source->output_source, SD_EVENT_ON);
        source->held = false;
}

/* What is held is read to the end that conmon has made, as it is taken. */
void source_finish(Source *source) {
        while (source->ring && !source->ended && !source->held && receive_packets(source) > 0)
                ;
        if (source->ring && !source->ended && !source->held)
                end_output(source);
        source->events->output(source->userdata);
}

Ring *source_ring(Source *source) {
        return source->ring;
}

bool source_has_ended(const Source *source) {
        return source->ended;
}

guint64 source_total(const Source *source, guint8 stream) {
        return source->totals[stream];
}

int source_output_fd(const Source *source) {
        return source->output_fd;
}

int source_input_fd(const Source *source) {
        return source->input_fd;
}

/* --- input --- */

static int on_input(sd_event_source *event_source, int fd, uint32_t revents, void *userdata) {
        Source *source = userdata;

        if (revents & (EPOLLHUP | EPOLLERR))
                source->input_gone = true;
        sd_event_source_set_enabled(event_source, SD_EVENT_OFF);
        source->events->writable(source->userdata);
        return 0;
}

static bool connect_input(Source *source, int *ret_fd, GError **error) {
        autofd int fd = -1;

        if (source->one_connection ? !source_open_output(source, error) : !connect_to_conmon(source, &fd, error))
                return false;
        if (source->one_connection && source->output_fd >= 0)
                fd = fcntl(source->output_fd, F_DUPFD_CLOEXEC, 3);
        else if (fd >= 0 && shutdown(fd, SHUT_RD) < 0)
                return error_errno(error, errno, "set up the standard input");
        *ret_fd = steal_fd(&fd);
        return true;
}

bool source_open_input(Source *source, GError **error) {
        autofd int fd = -1;

        if (source->input_fd >= 0 || source->input_gone)
                return true;
        if (!connect_input(source, &fd, error))
                return false;
        source->input_gone = fd < 0;
        if (source->input_gone)
                return true;
        int r = sd_event_add_io(source->event, &source->input_source, fd, EPOLLOUT, on_input, source);
        if (r >= 0)
                r = sd_event_source_set_enabled(source->input_source, SD_EVENT_OFF);
        if (r < 0)
                return error_errno(error, -r, "watch the standard input");
        source->input_fd = steal_fd(&fd);
        return true;
}

size_t source_write(Source *source, const guint8 *data, size_t size) {
        size_t done = 0;

        while (done < size && source->input_fd >= 0 && !source->input_gone) {
                ssize_t n = send(source->input_fd, data + done, MIN(size - done, PACKET_TO_CONMON), MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n >= 0) {
                        done += (size_t) n;
                        continue;
                }
                if (errno == EAGAIN || errno == EINTR) {
                        sd_event_source_set_enabled(source->input_source, SD_EVENT_ONESHOT);
                        return done;
                }
                source->input_gone = true;
        }
        return size;
}

bool source_takes_input(const Source *source) {
        return source->input_fd >= 0 && !source->input_gone;
}

void source_end_input(Source *source) {
        if (source->input_fd >= 0)
                (void) shutdown(source->input_fd, SHUT_WR);
        source->input_gone = true;
}
