/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Volumes: STATE/volumes/NAME/data, made when a run needs one that is not there yet. Named ones are shared by all containers that name them and outlive them; anonymous ones belong to one container. */

#include "model/volume.h"
#include "operation/operation.h"

/* A step of a launch: makes what is missing, with a copy of what the image has there. Ends in operation_continue; what failed is operation->step_error, and nothing half-made is left. */
void volumes_prepare(Operation *operation);
void volumes_work_free(struct VolumeWork *work);

/* How the entry of `volumes` is mounted: its directory on the host. */
char *volumes_path(const Paths *paths, const char *id, const Volume *volume) G_GNUC_WARN_UNUSED_RESULT;

/* Adds to paths what goes with the removal of a container: what it was making, and, with the container's wish or anonymous, its own volumes. */
void volumes_add_removed(const Paths *paths, const Container *container, bool anonymous, GPtrArray *to);
