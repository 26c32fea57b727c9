/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sd-bus messages to GVariants and back: the rest of the service handles dictionaries as GVariants, which know their types and can be kept. */

#include "base/variant.h"
#include "base/auto.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

static GVariant *read_one(sd_bus_message *m, GArray *fds, GError **error);

static GVariant *fail(GError **error, int r) {
        error_set(error, CONBUS_ERROR_INVALID_ARGS, "the message cannot be read: %s", g_strerror(-r));
        return NULL;
}

static GVariant *read_handle(sd_bus_message *m, GArray *fds, GError **error) {
        int fd = -1, r = sd_bus_message_read_basic(m, 'h', &fd);

        if (r < 0)
                return fail(error, r);
        if (!fds) {
                error_set(error, CONBUS_ERROR_INVALID_ARGS, "a descriptor is not possible here");
                return NULL;
        }
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (copy < 0)
                return fail(error, -errno);
        g_array_append_val(fds, copy);
        return g_variant_ref_sink(g_variant_new_handle((gint32) fds->len - 1));
}

static GVariant *read_basic(sd_bus_message *m, char type, GArray *fds, GError **error) {
        union {
                guint8 y;
                gint16 n;
                guint16 q;
                gint32 i;
                guint32 u;
                gint64 x;
                guint64 t;
                double d;
                int b;
                const char *s;
        } value = {0};

        if (type == 'h')
                return read_handle(m, fds, error);
        int r = sd_bus_message_read_basic(m, type, &value);
        if (r <= 0)
                return fail(error, r < 0 ? r : -EBADMSG);
        switch (type) {
        case 'y':
                return g_variant_ref_sink(g_variant_new_byte(value.y));
        case 'b':
                return g_variant_ref_sink(g_variant_new_boolean(value.b));
        case 'n':
                return g_variant_ref_sink(g_variant_new_int16(value.n));
        case 'q':
                return g_variant_ref_sink(g_variant_new_uint16(value.q));
        case 'i':
                return g_variant_ref_sink(g_variant_new_int32(value.i));
        case 'u':
                return g_variant_ref_sink(g_variant_new_uint32(value.u));
        case 'x':
                return g_variant_ref_sink(g_variant_new_int64(value.x));
        case 't':
                return g_variant_ref_sink(g_variant_new_uint64(value.t));
        case 'd':
                return g_variant_ref_sink(g_variant_new_double(value.d));
        case 's':
                return g_variant_ref_sink(g_variant_new_string(value.s));
        case 'o':
                return g_variant_ref_sink(g_variant_new_object_path(value.s));
        case 'g':
                return g_variant_ref_sink(g_variant_new_signature(value.s));
        default:
                return fail(error, -EBADMSG);
        }
}

static GVariant *read_container(sd_bus_message *m, char type, const char *contents, GArray *fds, GError **error) {
        g_autofree char *whole = type == 'a' ? g_strconcat("a", contents, NULL) : type == 'v' ? g_strdup("v") : type == 'r' ? g_strdup_printf("(%s)", contents) : g_strdup_printf("{%s}", contents);
        g_autoptr(GVariantType) variant_type = g_variant_type_new(whole);
        GVariantBuilder builder;

        int r = sd_bus_message_enter_container(m, type, contents);
        if (r < 0)
                return fail(error, r);
        g_variant_builder_init(&builder, variant_type);
        while ((r = sd_bus_message_at_end(m, false)) == 0) {
                g_autoptr(GVariant) child = read_one(m, fds, error);
                if (!child) {
                        g_variant_builder_clear(&builder);
                        return NULL;
                }
                g_variant_builder_add_value(&builder, child);
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r < 0) {
                g_variant_builder_clear(&builder);
                return fail(error, r);
        }
        return g_variant_ref_sink(g_variant_builder_end(&builder));
}

static GVariant *read_one(sd_bus_message *m, GArray *fds, GError **error) {
        const char *contents = NULL;
        char type;
        int r = sd_bus_message_peek_type(m, &type, &contents);

        if (r <= 0)
                return fail(error, r < 0 ? r : -EBADMSG);
        if (strchr("avre", type))
                return read_container(m, type, contents, fds, error);
        return read_basic(m, type, fds, error);
}

GVariant *variant_read(sd_bus_message *message, const char *type, GArray *fds, GError **error) {
        g_autoptr(GVariant) value = read_one(message, fds, error);

        if (value && type && !g_variant_is_of_type(value, G_VARIANT_TYPE(type))) {
                error_set(error, CONBUS_ERROR_INVALID_ARGS, "an argument has the type %s instead of %s", g_variant_get_type_string(value), type);
                return NULL;
        }
        return g_steal_pointer(&value);
}

static int append_basic(sd_bus_message *m, GVariant *value, char type) {
        switch (type) {
        case 'b': {
                int b = g_variant_get_boolean(value);
                return sd_bus_message_append_basic(m, 'b', &b);
        }
        case 's':
        case 'o':
        case 'g':
                return sd_bus_message_append_basic(m, type, g_variant_get_string(value, NULL));
        case 'h': /* the index of a descriptor that only its reader has */
                return -EINVAL;
        default:
                return sd_bus_message_append_basic(m, type, g_variant_get_data(value));
        }
}

int variant_append(sd_bus_message *message, GVariant *value) {
        const char *type = g_variant_get_type_string(value);
        char kind = *type == '(' ? 'r' : *type == '{' ? 'e' : *type;

        if (strstr(type, "()")) /* D-Bus has no empty structures, which sd-bus does not mind; the daemon would cut the connection */
                return -EINVAL;
        if (!strchr("avre", kind))
                return append_basic(message, value, kind);
        g_autofree char *inner = NULL;
        if (kind == 'a')
                inner = g_strdup(type + 1);
        else if (kind == 'v') {
                g_autoptr(GVariant) child = g_variant_get_variant(value);
                inner = g_strdup(g_variant_get_type_string(child));
        } else
                inner = g_strndup(type + 1, strlen(type) - 2);
        int r = sd_bus_message_open_container(message, kind, inner);
        for (gsize i = 0; r >= 0 && i < g_variant_n_children(value); i++) {
                g_autoptr(GVariant) child = g_variant_get_child_value(value, i);
                r = variant_append(message, child);
        }
        return r < 0 ? r : sd_bus_message_close_container(message);
}
