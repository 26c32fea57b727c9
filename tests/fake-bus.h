/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A bus daemon and whoever is on it, played by the test: one connection, whose calls the test answers as it likes, late, wrong or never. */

#include "base/auto.h"
#include <stdbool.h>

typedef struct FakeBus FakeBus;

/* A call of the other side, but for Hello, AddMatch and RemoveMatch, which are answered. It is answered in it, or kept and answered later, or never. */
typedef void (*FakeBusCall)(FakeBus *bus, sd_bus_message *call, void *userdata);

struct FakeBus {
        sd_event *event;
        sd_bus *client; /* for the code under test: connected and in the loop; NULL with fake_bus_listen */
        sd_bus *side; /* ours; NULL before anybody is connected, or after fake_bus_hang_up */
        sd_event_source *listening;
        int n_matches; /* added and not removed */
        unsigned n_connections;
        bool refuses_hello;
        FakeBusCall call;
        void *userdata;
};

FakeBus *fake_bus_new(sd_event *event, FakeBusCall call, void *userdata) G_GNUC_WARN_UNUSED_RESULT;
/* For a program: ADDRESS of its environment is unix:path=PATH. */
FakeBus *fake_bus_listen(sd_event *event, const char *path, FakeBusCall call, void *userdata) G_GNUC_WARN_UNUSED_RESULT;
void fake_bus_free(FakeBus *bus);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FakeBus, fake_bus_free)

/* MEMBER ARGUMENT… of a call, as GVariant text. fds: of int, takes the descriptors that came along. */
char *fake_bus_text_of(sd_bus_message *call, GArray *fds) G_GNUC_WARN_UNUSED_RESULT;
/* A signal of the service manager: object, interface and arguments as for sd_bus_message_append. */
void fake_bus_signal(FakeBus *bus, const char *path, const char *interface, const char *member, const char *types, ...);
void fake_bus_hang_up(FakeBus *bus); /* the daemon dies */
