/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A plan as the text of a GVariant. */

#include "stream/log-plan.h"

#define PLAN_TYPE "(msmsmsmsmsmsuttxttubbb)"

void log_plan_clear(LogPlan *plan) {
        g_clear_pointer(&plan->id, g_free);
        g_clear_pointer(&plan->name, g_free);
        g_clear_pointer(&plan->path, g_free);
        g_clear_pointer(&plan->directory, g_free);
        g_clear_pointer(&plan->from, g_free);
        g_clear_pointer(&plan->end, g_free);
}

char *log_plan_to_string(const LogPlan *plan) {
        g_autoptr(GVariant) value = g_variant_ref_sink(g_variant_new(PLAN_TYPE, plan->id, plan->name, plan->path, plan->directory, plan->from, plan->end, (guint32) plan->streams, plan->since_usec, plan->until_usec,
                                                                     plan->tail, plan->limit, plan->run, (guint32) plan->format, (gboolean) plan->follow, (gboolean) plan->timestamps, (gboolean) plan->from_run));

        return g_variant_print(value, FALSE);
}

bool log_plan_parse(const char *text, LogPlan *ret, GError **error) {
        g_autoptr(GError) failure = NULL;
        g_autoptr(GVariant) value = g_variant_parse(G_VARIANT_TYPE(PLAN_TYPE), text, NULL, NULL, &failure);
        gboolean follow, timestamps, from_run;
        g_auto(LogPlan) plan = {0};
        guint32 streams, format;

        if (!value)
                return error_set(error, CONBUS_ERROR_INTERNAL, "what is to be read of a log is not understood: %s", failure->message);
        g_variant_get(value, PLAN_TYPE, &plan.id, &plan.name, &plan.path, &plan.directory, &plan.from, &plan.end, &streams, &plan.since_usec, &plan.until_usec, &plan.tail, &plan.limit, &plan.run, &format, &follow, &timestamps, &from_run);
        if (!plan.id || !plan.name || format >= N_LOG_FORMATS)
                return error_set(error, CONBUS_ERROR_INTERNAL, "what is to be read of a log is not complete");
        plan.streams = streams;
        plan.format = format;
        plan.follow = follow;
        plan.timestamps = timestamps;
        plan.from_run = from_run;
        *ret = plan;
        plan = (LogPlan) {0};
        return true;
}

LogFilter log_plan_filter(const LogPlan *plan) {
        return (LogFilter) {.streams = plan->streams, .since_usec = plan->since_usec, .until_usec = plan->until_usec};
}
