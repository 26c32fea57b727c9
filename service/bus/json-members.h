/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Members of an object that is being built, in one line each. */

#include <json-glib/json-glib.h>
#include <stdbool.h>

static inline void add_string(JsonBuilder *builder, const char *name, const char *value) {
        json_builder_set_member_name(builder, name);
        json_builder_add_string_value(builder, value);
}

static inline void add_int(JsonBuilder *builder, const char *name, gint64 value) {
        json_builder_set_member_name(builder, name);
        json_builder_add_int_value(builder, value);
}

static inline void add_bool(JsonBuilder *builder, const char *name, bool value) {
        json_builder_set_member_name(builder, name);
        json_builder_add_boolean_value(builder, value);
}
