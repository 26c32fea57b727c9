/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Packets in and out of a SOCK_SEQPACKET socket, with a queue for what does not fit. */

#include "stream/channel.h"
#include "base/auto.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define PACKET_MAX (128 * 1024)
#define PACKET_TYPE "(sa{sv})"

typedef struct Packet {
        GVariant *value;
        int fds[CHANNEL_FDS_MAX];
        unsigned n_fds;
} Packet;

struct Channel {
        unsigned n_references; /* its owner's, and one while a packet is delivered */
        int fd;
        sd_event_source *source;
        ChannelReceived received;
        ChannelClosed closed;
        void *userdata;
        GQueue outgoing; /* of Packet */
        bool broken, freed;
};

static void packet_free(Packet *packet) {
        g_variant_unref(packet->value);
        for (unsigned i = 0; i < packet->n_fds; i++)
                close_fd(packet->fds[i]);
        g_free(packet);
}

static void channel_unref(Channel *channel) {
        if (--channel->n_references == 0)
                g_free(channel);
}

void channel_free(Channel *channel) {
        if (!channel)
                return;
        g_clear_pointer(&channel->source, sd_event_source_disable_unref);
        g_queue_clear_full(&channel->outgoing, (GDestroyNotify) packet_free);
        channel->fd = close_fd(channel->fd);
        channel->freed = true;
        channel_unref(channel);
}

/* --- sending --- */

static ssize_t send_packet(int fd, GVariant *value, const int *fds, unsigned n_fds) {
        union {
                struct cmsghdr head;
                char bytes[CMSG_SPACE(CHANNEL_FDS_MAX * sizeof(int))];
        } control;
        struct iovec part = {.iov_base = (void *) g_variant_get_data(value), .iov_len = g_variant_get_size(value)};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

        if (n_fds > 0) {
                memset(&control, 0, sizeof control);
                control.head = (struct cmsghdr) {.cmsg_len = CMSG_LEN(n_fds * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
                memcpy(CMSG_DATA(&control.head), fds, n_fds * sizeof(int));
                message.msg_control = control.bytes;
                message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        }
        return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void want_room(Channel *channel, bool want) {
        int r = sd_event_source_set_io_events(channel->source, EPOLLIN | (want ? EPOLLOUT : 0));

        g_assert(r >= 0);
}

/* True once nothing waits. A connection that is broken is noticed by reading. */
static bool send_waiting(Channel *channel) {
        Packet *packet;

        while ((packet = g_queue_peek_head(&channel->outgoing))) {
                if (send_packet(channel->fd, packet->value, packet->fds, packet->n_fds) < 0 && (errno == EAGAIN || errno == EINTR))
                        return false;
                packet_free(g_queue_pop_head(&channel->outgoing));
        }
        return true;
}

void channel_send(Channel *channel, const char *word, GVariant *fields, const int *fds, unsigned n_fds) {
        GVariant *value = g_variant_ref_sink(g_variant_new("(s@a{sv})", word, fields));
        Packet *packet = g_new0(Packet, 1);

        g_assert(n_fds <= CHANNEL_FDS_MAX);
        packet->value = value;
        for (unsigned i = 0; i < n_fds; i++)
                packet->fds[packet->n_fds++] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        g_queue_push_tail(&channel->outgoing, packet);
        want_room(channel, !send_waiting(channel));
}

/* --- receiving --- */

static unsigned take_fds(struct msghdr *message, int fds[CHANNEL_FDS_MAX]) {
        unsigned n = 0;

        for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head; head = CMSG_NXTHDR(message, head)) {
                if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
                        continue;
                size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (size_t i = 0; i < count; i++) {
                        int fd;
                        memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof fd);
                        if (n < CHANNEL_FDS_MAX)
                                fds[n++] = fd;
                        else
                                close_fd(fd);
                }
        }
        return n;
}

static bool deliver(Channel *channel, guint8 *bytes, size_t size, int fds[CHANNEL_FDS_MAX]) {
        g_autoptr(GBytes) copy = g_bytes_new(bytes, size);
        g_autoptr(GVariant) value = g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE(PACKET_TYPE), copy, FALSE));
        g_autoptr(GVariant) fields = NULL;
        const char *word;

        /* Not trusted to be well-formed: only a normal form is looked at. */
        if (!g_variant_is_normal_form(value))
                return false;
        g_variant_get(value, "(&s@a{sv})", &word, &fields);
        channel->received(word, fields, fds, channel->userdata);
        return true;
}

static void break_off(Channel *channel) {
        if (channel->broken)
                return;
        channel->broken = true;
        sd_event_source_set_enabled(channel->source, SD_EVENT_OFF);
        channel->closed(channel->userdata);
}

static void receive_one(Channel *channel) {
        static guint8 bytes[PACKET_MAX];
        char control[CMSG_SPACE(16 * sizeof(int))];
        struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        int fds[CHANNEL_FDS_MAX] = {-1, -1, -1, -1};
        bool good = false;

        ssize_t n = recvmsg(channel->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == ECONNRESET) /* the other side has left a packet of ours unread. It is told once, and before what it has sent (net/unix/af_unix.c) */
                n = recvmsg(channel->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        channel->n_references++;
        if (n > 0) {
                (void) take_fds(&message, fds);
                good = !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && deliver(channel, bytes, (size_t) n, fds);
                for (unsigned i = 0; i < CHANNEL_FDS_MAX; i++)
                        close_fd(fds[i]);
        }
        if (!good && !channel->freed)
                break_off(channel);
        channel_unref(channel);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Channel *channel = userdata;

        if ((revents & EPOLLOUT) && send_waiting(channel))
                want_room(channel, false);
        if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))
                receive_one(channel);
        return 0;
}

Channel *channel_new(sd_event *event, int fd, ChannelReceived received, ChannelClosed closed, void *userdata, GError **error) {
        Channel *channel = g_new0(Channel, 1);

        channel->n_references = 1;
        channel->fd = fd;
        channel->received = received;
        channel->closed = closed;
        channel->userdata = userdata;
        int r = sd_event_add_io(event, &channel->source, fd, EPOLLIN, on_io, channel);
        if (r < 0) {
                error_errno(error, -r, "watch a control socket");
                channel_free(channel);
                return NULL;
        }
        return channel;
}
