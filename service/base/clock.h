/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

guint64 clock_realtime_usec(void); /* microseconds since the epoch, the times of the bus and the store */
guint64 clock_boottime_usec(void); /* microseconds since boot, for deadlines that must survive a restart of the service (CLOCK_BOOTTIME) */
guint64 clock_add_usec(guint64 usec, guint64 span); /* the sum, or UINT64_MAX, which is never, where it would pass the end; spans come from callers */
guint64 clock_boottime_in(guint64 span); /* now and the span, for sd_event_add_time with CLOCK_BOOTTIME */
const char *clock_boot_id(void); /* /proc/sys/kernel/random/boot_id, or $CONBUS_BOOT_ID for the tests of reboots; 36 characters */
