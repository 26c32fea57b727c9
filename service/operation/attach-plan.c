/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a client that attaches can ask for. */

#include "operation/attachments.h"
#include "stream/detach-keys.h"
#include <string.h>

#define ALL_STREAMS (STREAM_MASK(STREAM_STDIN) | STREAM_MASK(STREAM_STDOUT) | STREAM_MASK(STREAM_STDERR))

static const OptionKey keys[] = {{"streams", "as"}, {"from", "s"}, {"follow", "b"}, {"detach-keys", "s"}, {"size", "(qq)"}, {"framing", "s"}, {"reply-timeout-usec", "t"}, {NULL}};

void attach_plan_clear(AttachPlan *plan) {
        g_clear_pointer(&plan->detach_keys, g_free);
        g_clear_pointer(&plan->from, g_free);
        g_clear_pointer(&plan->head, g_variant_unref);
        g_clear_pointer(&plan->ahead, g_variant_unref);
}

bool attach_streams_read(GVariant *options, unsigned *ret, GError **error) {
        static const char *const names[] = {"stdin", "stdout", "stderr"};
        g_autofree const char **streams = NULL;
        unsigned mask = 0;

        *ret = ALL_STREAMS;
        if (!g_variant_lookup(options, "streams", "^a&s", &streams))
                return true;
        for (const char **stream = streams; *stream; stream++) {
                unsigned i = 0;
                while (i < G_N_ELEMENTS(names) && !g_str_equal(names[i], *stream))
                        i++;
                if (i == G_N_ELEMENTS(names))
                        return error_set(error, CONBUS_ERROR_INVALID_ARGS, "\"%s\" is no stream; there are stdin, stdout and stderr", *stream);
                mask |= STREAM_MASK(i);
        }
        if (mask == 0)
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "streams is empty; it takes at least one of stdin, stdout and stderr");
        *ret = mask;
        return true;
}

static bool check_from(const char *from, bool follow, GError **error) {
        LogPosition position;

        if (g_str_equal(from, "now") && !follow)
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "from now and without follow there is nothing to read");
        if (g_str_equal(from, "now") || g_str_equal(from, "run-start") || g_str_equal(from, "log-start") || log_position_parse(from, &position, NULL))
                return true;
        return error_set(error, CONBUS_ERROR_INVALID_ARGS, "from is \"%s\"; it can be now, run-start, log-start or the cursor of a log", from);
}

bool attach_plan_read(GVariant *options, bool terminal, AttachPlan *ret, GError **error) {
        const char *framing = terminal ? "raw" : "packets", *detach_keys = DETACH_KEYS_DEFAULT, *from = "now";
        g_auto(AttachPlan) plan = {0};
        gboolean follow = TRUE;
        DetachKeys parsed;

        if (!options_check(options, keys, error) || !attach_streams_read(options, &plan.streams, error))
                return false;
        (void) g_variant_lookup(options, "framing", "&s", &framing);
        (void) g_variant_lookup(options, "detach-keys", "&s", &detach_keys);
        (void) g_variant_lookup(options, "from", "&s", &from);
        (void) g_variant_lookup(options, "follow", "b", &follow);
        if (!framing_from_string(framing, &plan.framing))
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "framing is \"%s\"; it can be packets, multiplexed or raw", framing);
        if (g_variant_lookup(options, "size", "(qq)", &plan.rows, &plan.columns) && (plan.rows < 1 || plan.columns < 1))
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "a terminal of %u rows and %u columns is not possible", plan.rows, plan.columns);
        if (!check_from(from, follow, error) || !detach_keys_parse(detach_keys, &parsed, error))
                return false;
        plan.follow = follow;
        plan.detach_keys = g_strdup(detach_keys);
        plan.from = g_strdup(from);
        *ret = plan;
        plan = (AttachPlan) {0};
        return true;
}
