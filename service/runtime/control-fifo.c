/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One message at a time for conmon. */

#include "runtime/control-fifo.h"
#include "base/auto.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

static int open_fifo(const char *path, int *ret_waiting) {
        autofd int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);

        return fd < 0 || ioctl(fd, FIONREAD, ret_waiting) < 0 ? -1 : steal_fd(&fd);
}

bool control_fifo_send(const char *path, const char *message, bool *ret_busy, GError **error) {
        int waiting = 0;
        autofd int fd = open_fifo(path, &waiting);
        size_t size = strlen(message);

        *ret_busy = fd >= 0 && waiting > 0;
        if (*ret_busy)
                return false;
        if (fd < 0 && (errno == ENXIO || errno == ENOENT))
                return error_set(error, CONBUS_ERROR_NOT_RUNNING, "conmon has gone");
        if (fd < 0 || write(fd, message, size) != (ssize_t) size)
                return error_errno(error, errno, "tell conmon");
        return true;
}

bool control_fifo_is_empty(const char *path) {
        int waiting = 0;
        autofd int fd = open_fifo(path, &waiting);

        return fd < 0 || waiting == 0;
}
