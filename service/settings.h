/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "operation/operation.h"

/* Defaults, then /etc/conbus/conbus.conf, then its drop-ins /etc/conbus/conbus.conf.d/NAME.conf in order of name; $CONBUS_CONFIG names another file, whose drop-ins are in FILE.d. What cannot be understood is logged and passed over: a file as a whole, a value by itself. */
void settings_load(Settings *settings);
