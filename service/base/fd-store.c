/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sd_notify(3) with descriptors, and sd_listen_fds(3). */

#include "base/fd-store.h"
#include "base/auto.h"
#include "base/log.h"
#include <string.h>
#include <systemd/sd-daemon.h>

static GHashTable *received; /* name -> descriptor */

void fd_store_receive(void) {
        char **names = NULL;
        int n = sd_listen_fds_with_names(true, &names);

        received = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        for (int i = 0; i < n; i++) {
                int fd = SD_LISTEN_FDS_START + i, twin = fd_store_take(names[i]);
                /* The same name twice: a crash between two messages. Either is good. */
                close_fd(twin);
                g_hash_table_insert(received, g_strdup(names[i]), GINT_TO_POINTER(fd));
        }
        for (char **name = names; name && *name; name++)
                free(*name);
        free(names);
        if (n < 0)
                log_warning("descriptors of the last instance: %s", g_strerror(-n));
}

void fd_store_push(const char *name, int fd, FdStorePolling polling) {
        g_autofree char *text = g_strdup_printf("FDSTORE=1\nFDNAME=%s%s", name, polling == FD_STORE_KEEP ? "\nFDPOLL=0" : "");
        int r = sd_pid_notify_with_fds(0, false, text, &fd, 1);

        if (r < 0)
                log_debug("store the descriptor %s: %s", name, g_strerror(-r));
}

void fd_store_remove(const char *name) {
        (void) sd_notifyf(false, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

int fd_store_take(const char *name) {
        void *key, *value;

        if (!received || !g_hash_table_steal_extended(received, name, &key, &value))
                return -1;
        g_free(key);
        return GPOINTER_TO_INT(value);
}

char **fd_store_list(const char *prefix) {
        GPtrArray *names = g_ptr_array_new();
        GHashTableIter iter;
        void *key;

        if (received) {
                g_hash_table_iter_init(&iter, received);
                while (g_hash_table_iter_next(&iter, &key, NULL))
                        if (g_str_has_prefix(key, prefix))
                                g_ptr_array_add(names, g_strdup(key));
        }
        g_ptr_array_add(names, NULL);
        return (char **) g_ptr_array_free(names, FALSE);
}

void fd_store_drop_rest(void) {
        g_auto(GStrv) names = fd_store_list("");

        for (char **name = names; *name; name++) {
                close_fd(fd_store_take(*name));
                fd_store_remove(*name);
        }
        g_clear_pointer(&received, g_hash_table_unref);
}
