/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See notified.h. */

#include "notified.h"
#include "base/auto.h"
#include "testing.h"
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

int notified_open(const char *directory) {
        g_autofree char *path = g_build_filename(directory, "notified", NULL);
        int fd = testing_listen(path, SOCK_DGRAM);

        g_assert_true(g_setenv("NOTIFY_SOCKET", path, true));
        return fd;
}

char *notified_next(int fd, int *ret_fd) {
        char text[4096];
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(8 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
        } control = {0};
        struct iovec part = {.iov_base = text, .iov_len = sizeof text - 1};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
        int received = -1;

        if (n < 0)
                return NULL;
        g_assert_cmpint(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC), ==, 0);
        for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header))
                if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
                        g_assert_cmpuint(header->cmsg_len, ==, CMSG_LEN(sizeof(int)));
                        memcpy(&received, CMSG_DATA(header), sizeof received);
                }
        g_assert_true(ret_fd || received < 0);
        if (ret_fd)
                *ret_fd = received;
        return g_strndup(text, (gsize) n);
}

void notified_expect(int fd, const char *text) {
        g_autofree char *found = notified_next(fd, NULL);

        g_assert_cmpstr(found, ==, text);
}

void notified_close(int fd) {
        g_unsetenv("NOTIFY_SOCKET");
        close_fd(fd);
}

void notified_clear_place(void) {
        for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + 8; fd++)
                (void) close_fd(fd);
}

void notified_pass(const int *fds, unsigned n, const char *names) {
        g_autofree char *count = g_strdup_printf("%u", n), *self = g_strdup_printf("%d", (int) getpid());
        g_autofree int *copies = g_new(int, n);

        for (unsigned i = 0; i < n; i++) {
                copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, SD_LISTEN_FDS_START + (int) n);
                g_assert_cmpint(copies[i], >=, 0);
                close_fd(fds[i]);
        }
        for (unsigned i = 0; i < n; i++) {
                int place = SD_LISTEN_FDS_START + (int) i;
                g_assert_cmpint(fcntl(place, F_GETFD), <, 0); /* somebody needs it */
                g_assert_cmpint(dup2(copies[i], place), ==, place);
                close_fd(copies[i]);
        }
        g_setenv("LISTEN_FDS", count, true);
        g_setenv("LISTEN_PID", self, true);
        g_setenv("LISTEN_FDNAMES", names, true);
}
