/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See fake-conmon.h. */

#include "fake-conmon.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

FakeConmon *fake_conmon_new(void) {
        FakeConmon *conmon = g_new0(FakeConmon, 1);

        conmon->directory = testing_directory_new();
        conmon->directory_fd = open(conmon->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        g_autofree char *path = g_build_filename(conmon->directory, "attach", NULL);
        conmon->listening = testing_listen(path, SOCK_SEQPACKET);
        return conmon;
}

void fake_conmon_free(FakeConmon *conmon) {
        if (!conmon)
                return;
        close_fd(conmon->directory_fd);
        close_fd(conmon->listening);
        testing_directory_free(conmon->directory);
        g_free(conmon);
}

int fake_conmon_accept(FakeConmon *conmon) {
        int fd = accept4(conmon->listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        g_assert_cmpint(fd, >=, 0);
        return fd;
}

bool fake_conmon_is_asked(FakeConmon *conmon) {
        struct pollfd waiting = {.fd = conmon->listening, .events = POLLIN};

        return poll(&waiting, 1, 0) > 0;
}

void fake_conmon_stop(FakeConmon *conmon) {
        g_autofree char *path = g_build_filename(conmon->directory, "attach", NULL);

        g_assert_no_errno(unlink(path));
        conmon->listening = close_fd(conmon->listening);
}

void fake_conmon_send(int connection, guint8 kind, const void *data, size_t size) {
        const struct iovec parts[] = {{.iov_base = &kind, .iov_len = 1}, {.iov_base = (void *) data, .iov_len = size}};

        g_assert_cmpint(writev(connection, parts, 2), ==, (ssize_t) size + 1);
}

char *fake_conmon_read(int connection, size_t *ret_size, size_t *ret_largest) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        size_t largest = 0;
        ssize_t n;

        for (;;) {
                guint8 packet[65536];
                n = recv(connection, packet, sizeof packet, MSG_DONTWAIT);
                if (n <= 0)
                        break;
                largest = MAX(largest, (size_t) n);
                g_byte_array_append(bytes, packet, (guint) n);
        }
        if (n == 0 && bytes->len == 0)
                return NULL;
        if (ret_size)
                *ret_size = bytes->len;
        if (ret_largest)
                *ret_largest = largest;
        g_byte_array_append(bytes, (const guint8 *) "", 1);
        return (char *) g_byte_array_free(g_steal_pointer(&bytes), FALSE);
}

char *fake_conmon_log_path(FakeConmon *conmon) {
        return g_build_filename(conmon->directory, "log", NULL);
}

void fake_conmon_log(FakeConmon *conmon, const char *stream, const char *text) {
        g_autofree char *path = fake_conmon_log_path(conmon), *line = g_strdup_printf("2026-01-01T00:00:00.000000000+00:00 %s F %s\n", stream, text);
        autofd int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

        g_assert_cmpint(write(fd, line, strlen(line)), ==, (ssize_t) strlen(line));
}
