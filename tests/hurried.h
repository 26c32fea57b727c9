/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For a test that is linked with --wrap=clock_boottime_in: every time that the code under test would wait is over at once, or never. */

#include "base/clock.h"
#include <stdbool.h>

static bool hurry;

guint64 __wrap_clock_boottime_in(guint64 usec);

guint64 __wrap_clock_boottime_in(guint64 usec) {
        return hurry ? clock_boottime_usec() : UINT64_MAX;
}
