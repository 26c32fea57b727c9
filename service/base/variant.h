/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/error.h"
#include <systemd/sd-bus.h>

/* sd-bus <-> GVariant. Handles become indices into fds (may be NULL: InvalidArgs on a handle); descriptors there are duplicates and belong to the array. */
GVariant *variant_read(sd_bus_message *message, const char *type, GArray *fds, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* one complete type; new full reference */
int variant_append(sd_bus_message *message, GVariant *value); /* one complete value */
