/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Processes by pidfd. The structure of PIDFD_GET_INFO is declared here because libc headers of the oldest supported
 * distribution do not know it (linux/pidfd.h, version 0 of struct pidfd_info, 64 bytes, Linux 6.13; exit flag Linux 6.15). */

#include "base/pidref.h"
#include "base/auto.h"
#include "base/error.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

struct pidfd_info_v0 {
        guint64 mask, cgroupid;
        guint32 pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
        gint32 exit_code;
};
G_STATIC_ASSERT(sizeof(struct pidfd_info_v0) == 64);
#define PIDFD_GET_INFO_V0 _IOWR(0xFF, 11, struct pidfd_info_v0)
#define PIDFD_INFO_EXIT_FLAG (1u << 3)

enum { STAT_PARENT = 4, STAT_FLAGS = 9, STAT_START_TIME = 22 };
#define PF_EXITING_FLAG 0x4 /* of the kernel's task flags, which proc(5) stat shows */

/* A numeric field of proc(5) stat, from the fourth on. False if there is no such process. */
static bool read_stat(pid_t pid, int wanted, guint64 *ret) {
        char path[64];
        g_autofree char *text = NULL;

        snprintf(path, sizeof path, "/proc/%d/stat", (int) pid);
        if (!g_file_get_contents(path, &text, NULL, NULL))
                return false;
        /* The second field is the command in parentheses and may hold anything, so count from its end. */
        const char *p = strrchr(text, ')');
        if (!p)
                return false;
        p++;
        for (int field = 3; field < wanted; field++) {
                p = strchr(p + 1, ' ');
                if (!p)
                        return false;
        }
        *ret = g_ascii_strtoull(p, NULL, 10);
        return true;
}

guint64 pid_start_time(pid_t pid) {
        guint64 start_time = 0;

        return read_stat(pid, STAT_START_TIME, &start_time) ? start_time : 0;
}

bool pid_is_exiting(pid_t pid) {
        guint64 flags = 0;

        return !read_stat(pid, STAT_FLAGS, &flags) || (flags & PF_EXITING_FLAG);
}

pid_t pid_parent(pid_t pid) {
        guint64 parent = 0;

        return read_stat(pid, STAT_PARENT, &parent) ? (pid_t) parent : 0;
}

unsigned pid_depth(pid_t pid) {
        char path[64];
        g_autofree char *text = NULL;

        snprintf(path, sizeof path, "/proc/%d/status", (int) pid);
        const char *line = g_file_get_contents(path, &text, NULL, NULL) ? strstr(text, "\nNSpid:") : NULL;
        if (!line)
                return 0;
        unsigned depth = 0;
        for (const char *p = line + 1; *p && *p != '\n'; p++)
                depth += *p == '\t';
        return depth;
}

bool pidref_open(pid_t pid, PidRef *ret, GError **error) {
        autofd int fd = (int) syscall(SYS_pidfd_open, pid, 0);
        if (fd < 0)
                return error_errno(error, errno, "open a pidfd of process %d", (int) pid);

        guint64 start_time = pid_start_time(pid);
        if (start_time == 0)
                return error_errno(error, ESRCH, "read the start time of process %d", (int) pid);
        *ret = (PidRef) {.pid = pid, .fd = steal_fd(&fd), .start_time = start_time};
        return true;
}

bool pidref_find(pid_t pid, guint64 start_time, PidRef *ret) {
        if (pid <= 0 || pid_start_time(pid) != start_time)
                return false;
        autofd int fd = (int) syscall(SYS_pidfd_open, pid, 0);
        if (fd < 0 || pid_start_time(pid) != start_time)
                return false;
        *ret = (PidRef) {.pid = pid, .fd = steal_fd(&fd), .start_time = start_time};
        return true;
}

void pidref_clear(PidRef *p) {
        close_fd(p->fd);
        *p = PIDREF_NULL;
}

PidRef pidref_steal(PidRef *p) {
        PidRef stolen = *p;
        *p = PIDREF_NULL;
        return stolen;
}

bool pidref_signal(const PidRef *p, int signal, bool *ret_gone, GError **error) {
        bool gone = p->fd < 0;

        if (!gone && syscall(SYS_pidfd_send_signal, p->fd, signal, NULL, 0) < 0) {
                if (errno != ESRCH)
                        return error_errno(error, errno, "send signal %d to process %d", signal, (int) p->pid);
                gone = true;
        }
        if (ret_gone)
                *ret_gone = gone;
        return true;
}

bool pidref_has_ended(const PidRef *p) {
        struct pollfd pollfd = {.fd = p->fd, .events = POLLIN};

        return p->fd < 0 || poll(&pollfd, 1, 0) > 0;
}

bool pidref_exit_status(const PidRef *p, int *ret_status) {
        struct pidfd_info_v0 info = {.mask = PIDFD_INFO_EXIT_FLAG};

        if (p->fd < 0 || ioctl(p->fd, PIDFD_GET_INFO_V0, &info) < 0 || !(info.mask & PIDFD_INFO_EXIT_FLAG))
                return false;
        *ret_status = info.exit_code;
        return true;
}

bool pidref_status_is_lost(const PidRef *p) {
        /* A look that meets the reaping finds neither the process nor its status, and fails; the next one finds the status (fs/pidfs.c, pidfd_info). */
        for (unsigned i = 0; i < 2 && p->fd >= 0; i++) {
                struct pidfd_info_v0 info = {.mask = PIDFD_INFO_EXIT_FLAG};
                if (ioctl(p->fd, PIDFD_GET_INFO_V0, &info) >= 0)
                        return false;
        }
        return true;
}

/* Its parent proves that a number is its own. */
void pid_kill_children(pid_t parent) {
        g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/children", (int) parent, (int) parent), *text = NULL;
        g_auto(GStrv) numbers = g_file_get_contents(path, &text, NULL, NULL) ? g_strsplit(text, " ", -1) : NULL;

        for (char **number = numbers; number && *number; number++) {
                g_auto(PidRef) child = PIDREF_NULL;
                if (pidref_open(atoi(*number), &child, NULL) && pid_parent(child.pid) == parent)
                        (void) !pidref_signal(&child, SIGKILL, NULL, NULL);
        }
}
