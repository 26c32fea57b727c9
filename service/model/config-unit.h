/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <glib.h>

bool config_unit_check_slice(const char *key, GVariant *value, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* a(sv): names that this service sets itself, and counts on, are refused; the rest is the service manager's to judge. */
bool config_unit_check_properties(const char *key, GVariant *value, GError **error) G_GNUC_WARN_UNUSED_RESULT;
