/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus/bus.h"

/* Becomes the registry's announce observer: every change becomes signals, in the order of api.md section 4. */
void announce_begin(Bus *bus);
void announce_end(Bus *bus);
