/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* WriteInput: bytes for a container's standard input, for callers without descriptors. */

#include "bus/bus.h"

bool input_calls_write(Call *call, Container *container, GVariant *data, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;
