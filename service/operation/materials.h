/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a run is given beside its root file system: secrets and credentials, and volumes where a user namespace could not walk to them, in RUN/containers/ID/private, a place in memory that lasts as long as the run. */

#include "operation/operation.h"

/* Whether the service has received every credential of the configuration; NoSuchPath names one that it has not. A creation asks, for that is when a name that was mistyped should be told, and each run asks again, since a service that was restarted may have received others. */
bool materials_check_credentials(const Paths *paths, GVariant *config, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Makes everything anew. rootfs: where the user of the container is looked up. NoSuchPath when a value is missing, InvalidConfig, StorageFull, Internal. What has been made on failure is released with the run. */
bool materials_prepare(const Paths *paths, Container *container, const char *rootfs, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The mounts that show it to the container: of SpecMount, for runtime/spec.h. */
GPtrArray *materials_mounts(const Paths *paths, Container *container) G_GNUC_WARN_UNUSED_RESULT;
const char *materials_credentials_directory(Container *container) G_GNUC_WARN_UNUSED_RESULT; /* in the container; NULL: none. Static */
/* After the run; true if nothing is left. */
bool materials_release(const Paths *paths, const char *id, GError **error) G_GNUC_WARN_UNUSED_RESULT;
