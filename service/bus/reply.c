/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one place where an error becomes a named D-Bus error, and where a fault is logged, once. */

#include "bus/call.h"
#include "bus/dispatch.h"
#include "base/log.h"
#include <string.h>

static bool is_fault(const GError *error) {
        return error->domain != CONBUS_ERROR || error->code == CONBUS_ERROR_INTERNAL || error->code == CONBUS_ERROR_STORAGE_FULL || error->code == CONBUS_ERROR_STORAGE_CORRUPT ||
               error->code == CONBUS_ERROR_MONITOR_FAILED || error->code == CONBUS_ERROR_MONITOR_LOST;
}

#define MESSAGE_MAX 2000

/* What is told can hold bytes of anybody: a program's output, a name cut in the middle of a character, a key of a megabyte. D-Bus takes only UTF-8, and people read no more than a few lines. */
static char *message_of(const GError *error) {
        size_t length = strlen(error->message);
        g_autofree char *valid = g_utf8_make_valid(error->message, (gssize) MIN(length, MESSAGE_MAX));

        return g_strconcat(valid, length > MESSAGE_MAX ? "…" : "", NULL);
}

void call_reply_error(Call *call, const GError *error) {
        g_autofree char *message = message_of(error);

        if (is_fault(error))
                log_error("%s: %s", call->member, message);
        else
                log_debug("%s: %s (%s)", call->member, message, error_to_name(error));
        if (!call_take_answer(call))
                return;
        int r = sd_bus_reply_method_errorf(call->message, error_to_name(error), "%s", message);
        if (r < 0)
                log_error("answer %s: %s", call->member, g_strerror(-r));
        bus_activity(call->bus);
}
