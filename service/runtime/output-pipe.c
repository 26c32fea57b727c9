/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "runtime/output-pipe.h"
#include "base/error.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#define PIECE 65536
#define DRAIN_PIECES 32

struct OutputPipe {
        int fd;
        sd_event_source *source; /* NULL once nothing will come any more */
        GByteArray *bytes;
        gsize bytes_max;
        bool truncated;
};

/* False: nothing is there now, or ever will be. */
static bool read_piece(OutputPipe *pipe) {
        guint8 piece[PIECE];
        ssize_t n = read(pipe->fd, piece, sizeof piece);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return false;
        if (n <= 0) {
                g_clear_pointer(&pipe->source, sd_event_source_disable_unref);
                return false;
        }
        gsize room = pipe->bytes_max - pipe->bytes->len, taken = MIN((gsize) n, room);
        g_byte_array_append(pipe->bytes, piece, (guint) taken);
        if (taken < (gsize) n) {
                pipe->truncated = true;
                if (pipe->source)
                        (void) sd_event_source_set_priority(pipe->source, SD_EVENT_PRIORITY_IDLE);
        }
        return true;
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        (void) read_piece(userdata);
        return 0;
}

OutputPipe *output_pipe_new(sd_event *event, gsize bytes_max, int *ret_write, GError **error) {
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0) {
                error_errno(error, errno, "make a pipe");
                return NULL;
        }
        autofd int writing = ends[1];
        OutputPipe *pipe = g_new0(OutputPipe, 1);
        *pipe = (OutputPipe) {.fd = ends[0], .bytes = g_byte_array_new(), .bytes_max = bytes_max};
        int r = fcntl(pipe->fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : sd_event_add_io(event, &pipe->source, pipe->fd, EPOLLIN, on_readable, pipe);
        if (r < 0) {
                error_errno(error, -r, "watch a pipe");
                output_pipe_free(pipe);
                return NULL;
        }
        *ret_write = steal_fd(&writing);
        return pipe;
}

void output_pipe_free(OutputPipe *pipe) {
        if (!pipe)
                return;
        g_clear_pointer(&pipe->source, sd_event_source_disable_unref);
        close_fd(pipe->fd);
        g_byte_array_unref(pipe->bytes);
        g_free(pipe);
}

void output_pipe_drain(OutputPipe *pipe) {
        for (unsigned pieces = 0; pieces < DRAIN_PIECES && read_piece(pipe); pieces++)
                ;
}

GByteArray *output_pipe_bytes(const OutputPipe *pipe) {
        return pipe->bytes;
}

bool output_pipe_is_truncated(const OutputPipe *pipe) {
        return pipe->truncated;
}
