/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The service manager's side of sd_notify(3) and of the descriptor store, in the test's own process. */

#include <glib.h>

/* Sets NOTIFY_SOCKET to a socket in the directory and returns it. */
int notified_open(const char *directory) G_GNUC_WARN_UNUSED_RESULT;
/* The next message that was sent, NULL when there is none; the one descriptor of FDSTORE= in *ret_fd, which may be NULL when none may come. */
char *notified_next(int fd, int *ret_fd) G_GNUC_WARN_UNUSED_RESULT;
void notified_expect(int fd, const char *text); /* without a descriptor; text NULL: there is none */
void notified_close(int fd); /* and NOTIFY_SOCKET is unset */

void notified_clear_place(void); /* at the start of main: whoever runs the test may have left something at 3, 4, … */
/* Makes this process look as if the manager had started it with these descriptors, which are moved to 3, 4, …: call it before anything else is opened. names are separated by colons. */
void notified_pass(const int *fds, unsigned n, const char *names);
