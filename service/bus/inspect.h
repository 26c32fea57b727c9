/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reading at length: Inspect in libpod's shape, the effective OCI specification, records, the debugging dump. */

#include "bus/bus.h"
#include "bus/call.h"

typedef struct InspectSize {
        guint64 layer, whole; /* bytes: SizeRw and SizeRootFs */
} InspectSize;

char *inspect_container(Bus *bus, Container *container, const InspectSize *size) G_GNUC_WARN_UNUSED_RESULT; /* size NULL: without */
/* inspect-size.c: answers the call when a child process has found the size out. */
bool inspect_size_begin(Call *call, Container *container, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;
char *inspect_spec(Bus *bus, Container *container, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* config.json of the current or last run */
GVariant *inspect_list_runs(Call *call, const char *id, guint32 max, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* floating aa{sv} */
char *inspect_dump(Bus *bus) G_GNUC_WARN_UNUSED_RESULT;
