/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One number for each uid that has an operation. */

#include "operation/quota.h"

static bool is_counted(const Actor *actor) {
        return actor && actor->uid != 0;
}

static guint count_of(const Engine *engine, guint32 uid) {
        return engine->quotas ? GPOINTER_TO_UINT(g_hash_table_lookup(engine->quotas, GUINT_TO_POINTER(uid))) : 0;
}

void quota_take(Engine *engine, const Actor *actor) {
        if (!is_counted(actor))
                return;
        if (!engine->quotas)
                engine->quotas = g_hash_table_new(NULL, NULL);
        g_hash_table_insert(engine->quotas, GUINT_TO_POINTER(actor->uid), GUINT_TO_POINTER(count_of(engine, actor->uid) + 1));
}

void quota_give(Engine *engine, const Actor *actor) {
        if (!is_counted(actor))
                return;
        guint count = count_of(engine, actor->uid);
        g_assert(count > 0);
        if (count == 1)
                g_hash_table_remove(engine->quotas, GUINT_TO_POINTER(actor->uid));
        else
                g_hash_table_insert(engine->quotas, GUINT_TO_POINTER(actor->uid), GUINT_TO_POINTER(count - 1));
}

bool operation_check_quota(const Engine *engine, const Actor *actor, const char *what, GError **error) {
        unsigned limit = engine->settings.operations_per_user;

        if (!is_counted(actor) || count_of(engine, actor->uid) < limit)
                return true;
        return error_set(error, CONBUS_ERROR_LIMITS_EXCEEDED, "%s: user %u has %u operations queued already; wait for their answers", what, actor->uid, limit);
}

void quota_free(Engine *engine) {
        g_clear_pointer(&engine->quotas, g_hash_table_unref);
}
