/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The event log on the bus: GetEvents, and OpenEvents as JSON lines that follow. */

#include "bus/bus.h"

void events_published(Bus *bus, const Event *event); /* to followed streams */
void events_free(Bus *bus);
/* A line of JSON for an event or any a{sv}, without newline. */
char *events_to_line(const Event *event) G_GNUC_WARN_UNUSED_RESULT;
GVariant *events_query(Bus *bus, guint64 after, guint32 limit, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* (a(ttssosa{sv})tb) */
int events_open(Bus *bus, guint64 after, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* a descriptor, or -1 */
