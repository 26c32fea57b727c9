/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One part of an OCI configuration, written alone from a configuration that is given as GVariant text. */

#include "runtime/spec-build.h"
#include "json-facts.h"
#include "model/config.h"
#include "testing.h"

typedef struct Part {
        GVariant *config;
        SpecInput input;
        SpecBuild build;
} Part;

static inline void part_clear(Part *part) {
        g_clear_pointer(&part->build.root, json_object_unref);
        g_clear_pointer(&part->build.account, account_free);
        g_clear_pointer(&part->config, g_variant_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Part, part_clear)

/* keys: what is in the braces of the configuration; it must be one that is accepted at a creation. */
static inline void part_init(Part *part, const char *rootfs, const char *keys) {
        g_autofree char *text = g_strdup_printf("@a{sv} {%s}", keys);
        g_autoptr(GError) error = NULL;

        *part = (Part) {.config = testing_parse(text)};
        if (!config_check(part->config, CONFIG_CREATE, &error))
                g_error("%s: %s", keys, error->message);
        part->input = (SpecInput) {.id = "0123456789abcdef", .name = "web", .config = part->config, .rootfs = rootfs};
        part->build = (SpecBuild) {.input = &part->input, .config = part->config, .root = json_object_new()};
        part->build.process = document_object(part->build.root, "process");
        part->build.os = document_object(part->build.root, "linux");
        part->build.privileged = config_bool(part->config, "privileged", false);
        g_autoptr(GVariant) map = config_value(part->config, "uid-map");
        part->build.has_user_namespace = map != NULL;
}

/* write is one of spec_process_add, spec_linux_add, spec_mounts_add. */
static inline void part_write(Part *part, bool (*write)(SpecBuild *build, GError **error)) {
        g_autoptr(GError) error = NULL;

        if (!write(&part->build, &error))
                g_error("%s", error->message);
        g_assert_no_error(error);
}

static inline void part_refuse(Part *part, bool (*write)(SpecBuild *build, GError **error), ConbusError code, const char *words) {
        g_autoptr(GError) error = NULL;

        g_assert_false(write(&part->build, &error));
        testing_expect_error(&error, code, words);
}
