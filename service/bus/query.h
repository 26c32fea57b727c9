/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus/bus.h"

bool query_is_of_unit(const Container *container, const char *unit) G_GNUC_WARN_UNUSED_RESULT; /* it runs in the unit, or the unit owns it */
/* QueryContainers: floating a(oa{sv}) of those that pass the filter, with the named properties of io.conbus1.Container alone (none named: all). */
GVariant *query_containers(Bus *bus, GVariant *filter, const char *const *properties, GError **error) G_GNUC_WARN_UNUSED_RESULT;
