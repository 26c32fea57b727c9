/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The object of a container and what follows from its configuration. */

#include "container/container.h"
#include "base/clock.h"
#include "container/session.h"
#include <signal.h>

#define STOP_TIMEOUT_USEC (10 * G_USEC_PER_SEC)

Container *container_new(const char *id, const char *name, guint32 owner_uid, GVariant *config) {
        Container *container = g_new0(Container, 1);

        container->n_references = 1;
        container->id = g_strdup(id);
        container->name = g_strdup(name);
        container->bundle = g_strdup("");
        container->owner_uid = owner_uid;
        container->created_usec = clock_realtime_usec();
        container->config = g_variant_ref_sink(config);
        life_init(&container->life);
        container->life.state_usec = container->created_usec;
        if (container_has_health(container))
                life_set_string(&container->life.health, "stopped");
        container->main = PIDREF_NULL;
        container->monitor = PIDREF_NULL;
        container->operation = "";
        container->sessions = g_ptr_array_new_with_free_func((GDestroyNotify) session_unref);
        g_queue_init(&container->operations);
        return container;
}

Container *container_ref(Container *container) {
        container->n_references++;
        return container;
}

void container_unref(Container *container) {
        if (!container || --container->n_references > 0)
                return;
        g_free(container->id);
        g_free(container->name);
        g_free(container->bundle);
        g_free(container->title);
        g_variant_unref(container->config);
        life_clear(&container->life);
        pidref_clear(&container->main);
        pidref_clear(&container->monitor);
        g_ptr_array_unref(container->sessions);
        g_queue_clear(&container->operations);
        g_free(container);
}

char *container_path(const Container *container) {
        return g_strconcat("/io/conbus1/container/", container->id, NULL);
}

const char *container_title(Container *container) {
        if (!container->title)
                container->title = g_strdup_printf("container \"%s\"", container->name);
        return container->title;
}

const char *container_command_name(const Container *container) {
        static const char *const keys[] = {"entrypoint", "command", NULL};

        for (const char *const *key = keys; *key; key++) {
                g_autofree const char **words = config_strv(container->config, *key);
                if (words && words[0])
                        return words[0];
        }
        return "";
}

Policy container_policy(const Container *container) {
        Policy policy = POLICY_NO;

        if (!policy_from_string(config_string(container->config, "restart-policy", "no"), &policy))
                return POLICY_NO;
        return policy;
}

static bool has_test(GVariant *health, const char *key) {
        g_autofree const char **test = config_strv(health, key);

        return test && test[0] && *test[0] && !g_str_equal(test[0], "NONE");
}

bool container_has_health(const Container *container) {
        g_autoptr(GVariant) health = config_value(container->config, "health");

        return health && !config_bool(health, "disable", false) && has_test(health, "test");
}

bool container_auto_start(const Container *container) {
        return config_bool(container->config, "auto-start", false);
}

guint64 container_stop_timeout(const Container *container) {
        return config_uint64(container->config, "stop-timeout-usec", STOP_TIMEOUT_USEC);
}

int container_stop_signal(const Container *container) {
        return config_int32(container->config, "stop-signal", SIGTERM);
}
