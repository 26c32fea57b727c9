/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* InspectWith(size): du(1) walks the container's own layer and its base in a child process; the text is made when it has ended, so that all of its other fields are of one moment. Both are counted as they are, files in the layer that hide one of the base
 * twice, as libpod counts them. */

#include "bus/inspect.h"
#include "container-interface.h"
#include "runtime/process.h"
#include "runtime/spec.h"
#include <string.h>
#include <unistd.h>

typedef struct Sizing {
        Call *call;
        Container *container;
        Process *process;
        bool has_layer, has_base;
} Sizing;

static void sizing_free(void *data) {
        Sizing *sizing = data;

        call_unref(sizing->call);
        container_unref(sizing->container);
        g_free(sizing);
}

/* One line for each directory: bytes, tab, path, which could hold anything and ends with a NUL. Files that vanish during the walk are not counted, and du fails then though its sums are good. */
static bool read_sums(const ProcessResult *result, unsigned n, guint64 *sums) {
        const char *at = result->output, *end = result->output + result->output_size;

        for (unsigned i = 0; i < n; i++) {
                const char *zero = memchr(at, '\0', (size_t) (end - at));
                if (!zero || !g_ascii_isdigit(*at))
                        return false;
                sums[i] = g_ascii_strtoull(at, NULL, 10);
                at = zero + 1;
        }
        return true;
}

static void on_measured(const ProcessResult *result, void *userdata) {
        Sizing *sizing = userdata;
        guint64 sums[2] = {0};
        unsigned n = (unsigned) sizing->has_layer + sizing->has_base;
        g_autoptr(GError) error = NULL;

        sizing->process = NULL;
        if (sizing->container->removed)
                error_set(&error, CONBUS_ERROR_REMOVED, "inspect %s: it was removed meanwhile", container_title(sizing->container));
        else if (!read_sums(result, n, sums))
                error_set(&error, CONBUS_ERROR_INTERNAL, "inspect %s: its size cannot be found out: %s", container_title(sizing->container), result->errors);
        if (error)
                call_reply_error(sizing->call, error);
        else {
                InspectSize size = {.layer = sizing->has_layer ? sums[0] : 0};
                size.whole = size.layer + (sizing->has_base ? sums[n - 1] : 0);
                g_autofree char *json = inspect_container(sizing->call->bus, sizing->container, &size);
                container_reply_inspect_with(sizing->call, json);
        }
        sizing_free(sizing);
}

static void on_caller_left(Call *call, void *userdata) {
        Sizing *sizing = userdata;

        process_abandon(sizing->process);
}

bool inspect_size_begin(Call *call, Container *container, GVariant *options, GError **error) {
        g_autofree char *layer = paths_state_of(call->bus->engine->paths, container->id, "upper");
        g_autofree char *base = NULL;
        const char *argv[] = {"du", "--summarize", "--bytes", "--one-file-system", "--null", "--", NULL, NULL, NULL};
        ProcessSpec spec = PROCESS_SPEC_INIT;
        unsigned n = 6;

        if (!spec_find_root(*container->bundle ? container->bundle : NULL, container->config, &base, error))
                return false;
        Sizing *sizing = g_new0(Sizing, 1);
        sizing->has_layer = access(layer, F_OK) == 0;
        sizing->has_base = access(base, F_OK) == 0; /* it may have gone since the container was made */
        if (sizing->has_layer)
                argv[n++] = layer;
        if (sizing->has_base)
                argv[n++] = base;
        else if (!sizing->has_layer)
                argv[0] = "true";
        spec.argv = argv;
        spec.forget = sizing_free;
        sizing->process = process_begin(call->bus->event, call->bus->engine->reaper, &spec, on_measured, sizing, error);
        if (!sizing->process) {
                g_free(sizing);
                return false;
        }
        sizing->call = call_ref(call);
        sizing->container = container_ref(container);
        call->caller_left = on_caller_left;
        call->userdata = sizing;
        call_arm_timeout(call, options);
        return true;
}
