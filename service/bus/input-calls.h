/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* WriteInput: bytes for the standard input of a container or of a process in it, for callers without descriptors. */

#include "bus/bus.h"

/* session: NULL for the container itself. */
bool input_calls_write(Call *call, Container *container, Session *session, GVariant *data, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;
