/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pidfds of open runs in the descriptor store. They are stored after the commit that writes pid and start time, and removed after the one that ends the run; a crash in between leaves one of the two, and the row counts.
 * What a stored pidfd gives that pid and start time do not: the status of a PID 1 that was reaped while no service was there (PIDFD_GET_INFO). */

#include "operation/internal.h"
#include "base/auto.h"
#include "base/fd-store.h"
#include <stdio.h>
#include <string.h>

static char *name_of(const char *id, guint64 run, const char *role, const StoredProcess *process) {
        return g_strdup_printf("pidfd-%s-%" G_GUINT64_FORMAT "-%s-%d-%" G_GUINT64_FORMAT, id, run, role, process->pid, process->start_time);
}

static void follow(const Change *change, const char *role, const StoredProcess *old, const StoredProcess *now, const PidRef *held) {
        const char *id = change->container->id;

        if (old->pid == now->pid && old->start_time == now->start_time)
                return;
        if (old->pid > 0) {
                g_autofree char *name = name_of(id, change->old->run, role, old);
                fd_store_remove(name);
        }
        if (now->pid > 0 && held->fd >= 0 && held->pid == now->pid) {
                g_autofree char *name = name_of(id, change->now->run, role, now);
                fd_store_push(name, held->fd, FD_STORE_KEEP);
        }
}

void descriptors_follow(const Change *change) {
        follow(change, "main", &change->old->main, &change->now->main, &change->container->main);
        follow(change, "monitor", &change->old->monitor, &change->now->monitor, &change->container->monitor);
}

/* The pid that a pidfd stands for; -1 once the process has been reaped, 0 if it is no pidfd. */
static pid_t pid_of(int fd) {
        char path[64];
        g_autofree char *text = NULL;

        snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
        const char *line = g_file_get_contents(path, &text, NULL, NULL) ? strstr(text, "\nPid:") : NULL;
        return line ? (pid_t) g_ascii_strtoll(line + strlen("\nPid:"), NULL, 10) : 0;
}

bool descriptors_restore(const Container *container, const char *role, const StoredProcess *process, PidRef *ret) {
        g_autofree char *name = process->pid > 0 ? name_of(container->id, container->life.run, role, process) : NULL;
        autofd int fd = name ? fd_store_take(name) : -1;
        pid_t pid = fd >= 0 ? pid_of(fd) : 0;

        if (pid == -1 || (pid == process->pid && pid > 0 && pid_start_time(pid) == process->start_time)) {
                *ret = (PidRef) {.pid = process->pid, .fd = steal_fd(&fd), .start_time = process->start_time};
                return true;
        }
        if (fd >= 0)
                fd_store_remove(name);
        if (!pidref_find(process->pid, process->start_time, ret))
                return false;
        if (ret->fd >= 0) /* the store was lost, as by a stop of the service: the next service is to have it again */
                fd_store_push(name, ret->fd, FD_STORE_KEEP);
        return true;
}
