/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "container/registry.h"
#include "model/actor.h"

/* The whole configuration of a container that the actor creates from a profile: the file /etc/conbus/profiles.d/NAME.conf is read now. given has been checked by config_check; so has the result to be. NULL actor: the service itself. Root is held to the keys that the
 * profile opens like everyone, but belongs to every list of users and has no limit of containers.
 * InvalidConfig when there is no such profile or it cannot be used, or for a value; AccessDenied for users and keys; LimitsExceeded. *ret_most: how many containers of the profile the actor may have, 0 for no limit; the creation looks again when its turn has come. */
GVariant *profiles_apply(Registry *registry, const char *name, Actor *actor, GVariant *given, guint *ret_most, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool profiles_check_room(Registry *registry, const char *name, guint32 uid, guint most, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* LimitsExceeded */
