/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The keys uid-map and gid-map: which id of the host an id in the container is. */

#include <glib.h>
#include <stdbool.h>

/* map: a checked a(uuu), or NULL where there is no user namespace and every id is itself. False: the id is not mapped. */
bool id_map_find(GVariant *map, guint32 inside, guint32 *ret_outside) G_GNUC_WARN_UNUSED_RESULT;
