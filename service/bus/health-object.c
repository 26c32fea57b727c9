/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The face of a container's health check. */

#include "health-interface.h"
#include "operation/health.h"

static HealthSettings settings_of(Container *container) {
        HealthSettings settings;

        health_settings(container, &settings);
        return settings;
}

#define PROPERTY(name, type, kind, value)                                                    \
        int health_property_##name(Bus *bus, Container *container, sd_bus_message *reply) {  \
                kind wire = value;                                                           \
                return sd_bus_message_append_basic(reply, type, &wire);                      \
        }
#define STRING(name, value)                                                                  \
        int health_property_##name(Bus *bus, Container *container, sd_bus_message *reply) {  \
                return sd_bus_message_append_basic(reply, 's', value);                       \
        }

STRING(status, health_status(container))
STRING(on_failure, settings_of(container).on_failure)
PROPERTY(failing_streak, 'u', guint32, health_streak(container))
PROPERTY(last_check_timestamp, 't', guint64, health_last_check_usec(container))
PROPERTY(interval_usec, 't', guint64, settings_of(container).interval_usec)
PROPERTY(timeout_usec, 't', guint64, settings_of(container).timeout_usec)
PROPERTY(start_period_usec, 't', guint64, settings_of(container).start_period_usec)
PROPERTY(retries, 'u', guint32, settings_of(container).retries)

typedef struct CheckCall {
        Call *call;
        Container *container;
} CheckCall;

static void check_call_free(CheckCall *check_call) {
        call_unref(check_call->call);
        container_unref(check_call->container);
        g_free(check_call);
}

static void on_checked(Container *container, const HealthEntry *entry, const GError *error, void *userdata) {
        CheckCall *check_call = userdata;

        if (error)
                call_reply_error(check_call->call, error);
        else
                health_reply_check(check_call->call, health_status(container), entry->code, entry->output);
        check_call_free(check_call);
}

static void on_caller_left(Call *call, void *userdata) {
        CheckCall *check_call = userdata;

        health_check_forget(check_call->container, check_call);
        check_call_free(check_call);
}

bool health_object_check(Call *call, Container *container, GError **error) {
        CheckCall *check_call = g_new0(CheckCall, 1);

        if (!health_check(call->bus->engine, container, on_checked, check_call, error)) {
                g_free(check_call);
                return false;
        }
        check_call->call = call_ref(call);
        check_call->container = container_ref(container);
        call->caller_left = on_caller_left;
        call->userdata = check_call;
        return true;
}

bool health_object_get_log(Call *call, Container *container, guint32 max, GError **error) {
        g_autoptr(GPtrArray) log = health_log(container);
        GVariantBuilder entries;

        g_variant_builder_init(&entries, G_VARIANT_TYPE("a(ttis)"));
        for (guint i = 0; i < log->len && (max == 0 || i < max); i++) {
                const HealthEntry *entry = log->pdata[i];
                g_variant_builder_add(&entries, "(ttis)", entry->start_usec, entry->end_usec, entry->code, entry->output);
        }
        health_reply_get_log(call, g_variant_builder_end(&entries));
        return true;
}
