/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Reading at length: Inspect in libpod's shape, the effective OCI specification, records, the debugging dump. */

#include "bus/bus.h"

char *inspect_container(Bus *bus, Container *container) G_GNUC_WARN_UNUSED_RESULT;
char *inspect_spec(Bus *bus, Container *container, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* config.json of the current or last run */
GVariant *inspect_list_runs(Bus *bus, const char *id, guint32 max, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* floating aa{sv} */
char *inspect_dump(Bus *bus) G_GNUC_WARN_UNUSED_RESULT;
