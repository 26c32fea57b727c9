/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a run is given beside its root file system: secrets, in RUN/containers/ID/private, a place in memory that lasts as long as the run. */

#include "operation/operation.h"

/* Makes everything anew. NoSuchPath when a stored value is missing, InvalidConfig, StorageFull, Internal. What has been made on failure is released with the run. */
bool materials_prepare(const Paths *paths, Container *container, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The mounts that show it to the container: of SpecMount, for runtime/spec.h. */
GPtrArray *materials_mounts(const Paths *paths, Container *container) G_GNUC_WARN_UNUSED_RESULT;
/* After the run; true if nothing is left. */
bool materials_release(const Paths *paths, const char *id, GError **error) G_GNUC_WARN_UNUSED_RESULT;
