/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* ReadLog and OpenLog. */

#include "bus/bus.h"

bool log_calls_read(Call *call, Container *container, guint32 lines, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool log_calls_open(Call *call, Container *container, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void log_calls_free(Bus *bus); /* readers go on */
