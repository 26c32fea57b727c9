/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The error domain: names, and the conversion of errno where a failure enters. */

#include "base/error.h"
#include <errno.h>

G_DEFINE_QUARK(conbus-error, conbus_error)

const char *error_to_name(const GError *error) {
        ConbusError code = CONBUS_ERROR_INTERNAL;

        if (error->domain == CONBUS_ERROR && error->code >= 0 && error->code < CONBUS_N_ERRORS)
                code = error->code;
        return conbus_error_names[code];
}

int error_code_from_name(const char *name) {
        for (int i = 0; i < CONBUS_N_ERRORS; i++)
                if (g_str_equal(conbus_error_names[i], name))
                        return i;
        return -1;
}

bool error_errno(GError **error, int errnum, const char *format, ...) {
        va_list arguments;
        ConbusError code = errnum == ENOSPC || errnum == EDQUOT ? CONBUS_ERROR_STORAGE_FULL : CONBUS_ERROR_INTERNAL;

        va_start(arguments, format);
        g_autofree char *text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        g_set_error(error, CONBUS_ERROR, code, "%s: %s", text, g_strerror(errnum));
        return false;
}

bool error_set(GError **error, ConbusError code, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        g_autofree char *text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        g_set_error_literal(error, CONBUS_ERROR, code, text);
        return false;
}
