/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Death on request, for the tests of adoption: CONBUS_CRASH_FILE names a file; while it exists crash points are counted from 1, and when the number in it is reached the file is removed and the service dies. */

#include "operation/crash-point.h"

#ifdef CONBUS_CRASH_POINTS
#include <glib.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

void crash_point(void) {
        static int n_passed = 0;
        const char *path = getenv("CONBUS_CRASH_FILE");
        g_autofree char *text = NULL;

        if (!path || !g_file_get_contents(path, &text, NULL, NULL)) {
                n_passed = 0;
                return;
        }
        if (++n_passed == atoi(text)) {
                unlink(path);
                raise(SIGKILL);
        }
}
#endif
