/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The service manager's descriptor store (FileDescriptorStoreMax= in systemd.service(5)): descriptors that outlive this process. Without a service manager, or one without a store, nothing is kept and nothing comes back. */

#include <stdbool.h>
#include <glib.h>

typedef enum FdStorePolling {
        FD_STORE_KEEP, /* FDPOLL=0: kept until it is removed. A pidfd polls readable at the end of its process, which is when it is needed */
        FD_STORE_DROP_AT_HANGUP,
} FdStorePolling;

void fd_store_receive(void); /* once, at the start: what came back */
void fd_store_push(const char *name, int fd, FdStorePolling polling); /* fd stays the caller's; name: printable, no colon, at most 255 characters */
void fd_store_remove(const char *name);
int fd_store_take(const char *name); /* a descriptor that came back, now the caller's; -1 */
char **fd_store_list(const char *prefix) G_GNUC_WARN_UNUSED_RESULT; /* names that came back and were not taken */
void fd_store_drop_rest(void); /* closes and removes what nobody has taken */
