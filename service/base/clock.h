/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

guint64 clock_realtime_usec(void); /* microseconds since the epoch, the times of the bus and the store */
guint64 clock_boottime_usec(void); /* microseconds since boot, for deadlines that must survive a restart of the service (CLOCK_BOOTTIME) */
const char *clock_boot_id(void); /* /proc/sys/kernel/random/boot_id, or $CONBUS_BOOT_ID for the tests of reboots; 36 characters */
