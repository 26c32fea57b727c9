/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One message at a time for conmon. */

#include "runtime/control-fifo.h"
#include "base/auto.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

bool control_fifo_send(const char *path, const char *message, bool *ret_busy, GError **error) {
        int waiting = 0;
        autofd int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
        size_t size = strlen(message);

        bool is_there = fd >= 0 && ioctl(fd, FIONREAD, &waiting) >= 0;
        *ret_busy = is_there && waiting > 0;
        if (*ret_busy)
                return false;
        if (!is_there && (errno == ENXIO || errno == ENOENT))
                return error_set(error, CONBUS_ERROR_NOT_RUNNING, "conmon has gone");
        if (!is_there || write(fd, message, size) != (ssize_t) size)
                return error_errno(error, errno, "tell conmon");
        return true;
}
