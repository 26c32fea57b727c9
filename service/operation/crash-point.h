/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* In builds with -Dcrash-points=true, the file $CONBUS_CRASH_FILE with a number N kills the service when the Nth crash point is passed: the tests let it die between every two steps. Else nothing. */
#ifdef CONBUS_CRASH_POINTS
void crash_point(void);
#else
static inline void crash_point(void) {
}
#endif
