/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pkttyagent(1), as systemctl has it, but only once a call has been refused because nobody could be asked: so an agent of the desktop goes first. With --fallback it would, too, but polkit takes no such agent for a process without a session. */

#include "agent.h"
#include <fcntl.h>
#include <gio/gio.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#define NOTIFY_FD 3

static GSubprocess *agent = NULL;

static void end_agent(void) {
        g_subprocess_send_signal(agent, SIGTERM);
        (void) g_subprocess_wait(agent, NULL, NULL); /* it gives the terminal back as it was */
        g_clear_object(&agent);
}

/* In the child: one that is asking for a password when we are killed would keep the terminal. */
static void end_with_parent(void *parent) {
        if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != GPOINTER_TO_INT(parent))
                _exit(EXIT_FAILURE);
}

bool agent_start(void) {
        g_autoptr(GSubprocessLauncher) launcher = NULL;
        g_autofree char *process = NULL;
        char byte;
        int ends[2];

        if (agent || !isatty(STDIN_FILENO) || pipe2(ends, O_CLOEXEC) < 0)
                return false;
        process = g_strdup_printf("%d", getpid());
        launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDIN_INHERIT);
        g_subprocess_launcher_take_fd(launcher, ends[1], NOTIFY_FD);
        g_subprocess_launcher_set_child_setup(launcher, end_with_parent, GINT_TO_POINTER(getpid()), NULL);
        agent = g_subprocess_launcher_spawn(launcher, NULL, "pkttyagent", "--process", process, "--notify-fd", G_STRINGIFY(NOTIFY_FD), NULL);
        g_subprocess_launcher_close(launcher);
        if (agent) {
                (void) atexit(end_agent);
                while (read(ends[0], &byte, 1) > 0) {} /* closed when it is registered, or has ended */
        }
        close(ends[0]);
        return agent != NULL;
}
