/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A control connection between conbusd and a conbus-stream: packets of the GVariant type (sa{sv}), a word and its fields, with descriptors. The words are in protocol.h. */

#include "base/error.h"
#include <systemd/sd-event.h>

#define CHANNEL_FDS_MAX 4

typedef struct Channel Channel;

/* fds: descriptors that came with the packet; taken by replacing one with -1, else closed afterwards. The channel may be freed in it. */
typedef void (*ChannelReceived)(const char *word, GVariant *fields, int fds[CHANNEL_FDS_MAX], void *userdata);
/* The other side has gone, or sends what is no packet; called once. The channel may be freed in it. */
typedef void (*ChannelClosed)(void *userdata);

Channel *channel_new(sd_event *event, int fd, ChannelReceived received, ChannelClosed closed, void *userdata, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* takes fd, also when it fails */
void channel_free(Channel *channel);
/* fields: floating a{sv}. The descriptors are duplicated. What cannot be sent at once waits. */
void channel_send(Channel *channel, const char *word, GVariant *fields, const int *fds, unsigned n_fds);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Channel, channel_free)
