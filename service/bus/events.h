/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The event log on the bus: GetEvents, and OpenEvents as JSON lines that follow. */

#include "bus/bus.h"

void events_published(Bus *bus, const Event *event); /* to followed streams */
void events_free(Bus *bus);
/* The call says who asks and whether he may know everything (call->whole). */
GVariant *events_query(Call *call, guint64 after, guint32 limit, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* (a(ttssosa{sv})tb) */
int events_open(Call *call, guint64 after, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* a descriptor, or -1; LimitsExceeded */
