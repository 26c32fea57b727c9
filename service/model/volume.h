/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One entry of the key `volumes`: [NAME:]TARGET[:OPTIONS]. */

#include "base/error.h"
#include <glib.h>

typedef struct Volume {
        char *name; /* NULL: anonymous, the container's own */
        char *target; /* absolute, without . and .. */
        bool read_only, copy; /* copy: a new one gets what the image has at the target */
        GPtrArray *options; /* of static strings: mount options as the OCI specification has them, ended by NULL */
} Volume;

/* InvalidConfig names what is wrong; ret stays untouched. */
bool volume_parse(const char *text, Volume *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void volume_clear(Volume *volume);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Volume, volume_clear)

/* Whether a container can call one by this name: as containers are called, and not as the anonymous are. */
bool volume_is_name(const char *name);
/* What the anonymous volume of a container at a target is called. */
char *volume_anonymous_name(const char *container_id, const char *target) G_GNUC_WARN_UNUSED_RESULT;

/* The rule for the value of `volumes`. */
bool volume_check_value(const char *key, GVariant *value, GError **error) G_GNUC_WARN_UNUSED_RESULT;
