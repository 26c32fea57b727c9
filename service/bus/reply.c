/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one place where an error becomes a named D-Bus error, and where a fault is logged, once. */

#include "bus/call.h"
#include "bus/dispatch.h"
#include "base/log.h"

static bool is_fault(const GError *error) {
        return error->domain != CONBUS_ERROR || error->code == CONBUS_ERROR_INTERNAL || error->code == CONBUS_ERROR_STORAGE_FULL || error->code == CONBUS_ERROR_STORAGE_CORRUPT ||
               error->code == CONBUS_ERROR_MONITOR_FAILED || error->code == CONBUS_ERROR_MONITOR_LOST;
}

void call_reply_error(Call *call, const GError *error) {
        if (is_fault(error))
                log_error("%s: %s", call->member, error->message);
        else
                log_debug("%s: %s (%s)", call->member, error->message, error_to_name(error));
        if (!call_take_answer(call))
                return;
        int r = sd_bus_reply_method_errorf(call->message, error_to_name(error), "%s", error->message);
        if (r < 0)
                log_error("answer %s: %s", call->member, g_strerror(-r));
        bus_activity(call->bus);
}
