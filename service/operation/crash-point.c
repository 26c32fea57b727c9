/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Death on request, for the tests of adoption. CONBUS_CRASH_AT=NAME:N counts only after the file NAME exists, so that a test can bring a container where it wants it first;
 * the file is removed by the death, so that the next service lives. */

#include "operation/crash-point.h"

#ifdef CONBUS_CRASH_POINTS
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void crash_point(void) {
        static int n_passed = 0;
        const char *setting = getenv("CONBUS_CRASH_AT");
        const char *colon = setting ? strrchr(setting, ':') : NULL;

        if (!colon)
                return;
        char file[256] = "";
        strncat(file, setting, (size_t) (colon - setting) < sizeof file ? (size_t) (colon - setting) : sizeof file - 1);
        if (access(file, F_OK) < 0)
                return;
        if (++n_passed == atoi(colon + 1)) {
                unlink(file);
                raise(SIGKILL);
        }
}
#endif
