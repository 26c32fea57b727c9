/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Framings. Many frames go out with one system call. */

#include "stream/framing.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define HEAD_SIZE 8

static const char *const names[N_FRAMINGS] = {[FRAMING_PACKETS] = "packets", [FRAMING_MULTIPLEXED] = "multiplexed", [FRAMING_RAW] = "raw"};

const char *framing_to_string(Framing framing) {
        return names[framing];
}

bool framing_from_string(const char *text, Framing *ret) {
        for (int i = 0; i < N_FRAMINGS; i++)
                if (g_str_equal(names[i], text)) {
                        *ret = (Framing) i;
                        return true;
                }
        return false;
}

void output_init(Output *output, int fd, Framing framing) {
        *output = (Output) {.fd = fd, .framing = framing, .carry = g_byte_array_new()};
}

void output_clear(Output *output) {
        g_clear_pointer(&output->carry, g_byte_array_unref);
}

bool output_waits(const Output *output) {
        return output->first < output->n || output->carry->len > 0;
}

static size_t head_size(const Output *output) {
        return output->framing == FRAMING_MULTIPLEXED ? HEAD_SIZE : 0;
}

static void make_head(guint8 *head, const Frame *frame) {
        guint32 size = GUINT32_TO_BE((guint32) frame->size);

        memset(head, 0, HEAD_SIZE);
        head[0] = frame->stream;
        memcpy(head + 4, &size, sizeof size);
}

static OutputResult result_of_errno(void) {
        return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? OUTPUT_BLOCKED : OUTPUT_CLOSED;
}

static void count(Output *output, const Frame *frame) {
        output->n_bytes[frame->stream] += frame->size;
}

/* --- packets --- */

/* Frames of one stream that follow each other share a packet as far as they fit: a packet costs its receiver a wakeup. */
static unsigned packet_frames(const Output *output, unsigned first) {
        size_t size = output->frames[first].size;
        unsigned n = first + 1;

        while (n < output->n && output->frames[n].stream == output->frames[first].stream && size + output->frames[n].size <= FRAME_MAX)
                size += output->frames[n++].size;
        return n - first;
}

static OutputResult flush_packets(Output *output) {
        struct mmsghdr messages[OUTPUT_FRAMES];
        struct iovec parts[2 * OUTPUT_FRAMES], *part = parts;
        unsigned n = 0, n_frames[OUTPUT_FRAMES];

        for (unsigned first = output->first; first < output->n; first += n_frames[n++]) {
                n_frames[n] = packet_frames(output, first);
                messages[n] = (struct mmsghdr) {.msg_hdr = {.msg_iov = part, .msg_iovlen = n_frames[n] + 1}};
                *part++ = (struct iovec) {.iov_base = &output->frames[first].stream, .iov_len = 1};
                for (const Frame *frame = output->frames + first; frame < output->frames + first + n_frames[n]; frame++)
                        *part++ = (struct iovec) {.iov_base = (void *) frame->data, .iov_len = frame->size};
        }
        int done = sendmmsg(output->fd, messages, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (done < 0)
                return result_of_errno();
        output->n_calls_sent++;
        for (int i = 0; i < done; i++)
                for (unsigned left = n_frames[i]; left > 0; left--)
                        count(output, &output->frames[output->first++]);
        return OUTPUT_SENT;
}

/* --- streams --- */

static void take_carry(Output *output, size_t *n) {
        size_t taken = MIN(*n, output->carry->len);

        if (taken > 0)
                g_byte_array_remove_range(output->carry, 0, (guint) taken);
        *n -= taken;
}

static void take_frames(Output *output, size_t n) {
        while (n > 0) {
                const Frame *frame = &output->frames[output->first];
                size_t whole = head_size(output) + frame->size, left = whole - output->sent;
                if (n < left) {
                        output->sent += n;
                        return;
                }
                n -= left;
                output->sent = 0;
                output->first++;
                count(output, frame);
        }
}

static OutputResult flush_stream(Output *output) {
        guint8 heads[OUTPUT_FRAMES][HEAD_SIZE];
        struct iovec parts[2 * OUTPUT_FRAMES + 1];
        struct msghdr message = {.msg_iov = parts};
        size_t skip = output->sent, head = head_size(output);

        if (output->carry->len > 0)
                parts[message.msg_iovlen++] = (struct iovec) {.iov_base = output->carry->data, .iov_len = output->carry->len};
        for (unsigned i = output->first; i < output->n; i++) {
                const Frame *frame = &output->frames[i];
                make_head(heads[i], frame);
                if (skip < head)
                        parts[message.msg_iovlen++] = (struct iovec) {.iov_base = heads[i] + skip, .iov_len = head - skip};
                size_t of_data = skip > head ? skip - head : 0;
                parts[message.msg_iovlen++] = (struct iovec) {.iov_base = (void *) (frame->data + of_data), .iov_len = frame->size - of_data};
                skip = 0;
        }
        ssize_t done = sendmsg(output->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (done < 0)
                return result_of_errno();
        size_t n = (size_t) done;
        output->n_calls_sent++;
        take_carry(output, &n);
        take_frames(output, n);
        return OUTPUT_SENT;
}

OutputResult output_flush(Output *output) {
        OutputResult result = OUTPUT_SENT;

        while (result == OUTPUT_SENT && output_waits(output))
                result = output->framing == FRAMING_PACKETS ? flush_packets(output) : flush_stream(output);
        if (result == OUTPUT_SENT)
                output->n = output->first = 0;
        return result;
}

void output_forget(Output *output) {
        g_byte_array_set_size(output->carry, 0);
        output->n = output->first = 0;
        output->sent = 0;
}

void output_detach(Output *output) {
        if (output->sent > 0) {
                const Frame *frame = &output->frames[output->first];
                guint8 head[HEAD_SIZE];
                size_t size = head_size(output), of_data = output->sent > size ? output->sent - size : 0;
                make_head(head, frame);
                if (output->sent < size)
                        g_byte_array_append(output->carry, head + output->sent, (guint) (size - output->sent));
                g_byte_array_append(output->carry, frame->data + of_data, (guint) (frame->size - of_data));
                count(output, frame);
        }
        output->n = output->first = 0;
        output->sent = 0;
}
