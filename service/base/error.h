/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The one error domain of conbus. Codes and D-Bus names come from introspection/errors.txt. Answers (no such container) and
 * faults (a full disk) share it; only CONBUS_ERROR_INTERNAL, _STORAGE_* and _MONITOR_* are faults and are logged, once, by the end of the chain. */

#include "conbus-errors.h"
#include <stdbool.h>
#include <glib.h>

#define CONBUS_ERROR (conbus_error_quark())
GQuark conbus_error_quark(void);

/* The D-Bus name of a code ("io.conbus1.Error.NoSuchContainer"); a foreign domain has the name of INTERNAL. */
const char *error_to_name(const GError *error) G_GNUC_WARN_UNUSED_RESULT;

/* The code of a D-Bus name, or -1. */
int error_code_from_name(const char *name) G_GNUC_WARN_UNUSED_RESULT;

/* Sets *error for errno value errnum (positive): StorageFull for ENOSPC and EDQUOT, Internal else. The message is the formatted text, then ": " and the
 * text of the number. Always returns false, so that callers can write return error_errno(...). */
bool error_errno(GError **error, int errnum, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Sets *error with a code of CONBUS_ERROR. Always returns false. */
bool error_set(GError **error, ConbusError code, const char *format, ...) G_GNUC_PRINTF(3, 4);
