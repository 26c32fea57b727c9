/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Cleanup forms for the types that GLib does not know: descriptors and the sd-* objects. */

#include <glib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

static inline int close_fd(int fd) {
        if (fd >= 0)
                close(fd);
        return -1;
}

static inline void autofd_clear(int *fd) {
        *fd = close_fd(*fd);
}

/* Takes the descriptor out of *fd, so that its cleanup does not close it. */
static inline int steal_fd(int *fd) {
        int stolen = *fd;
        *fd = -1;
        return stolen;
}

/* A local descriptor that is closed at the end of its scope: autofd int fd = -1; */
#define autofd __attribute__((cleanup(autofd_clear)))

G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus, sd_bus_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_message, sd_bus_message_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_slot, sd_bus_slot_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_bus_creds, sd_bus_creds_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_event, sd_event_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(sd_event_source, sd_event_source_disable_unref)
