/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus/bus.h"

/* org.freedesktop.LogControl1 at /org/freedesktop/LogControl1; its two writable properties are for root alone. */
int log_control_add(Bus *bus);
