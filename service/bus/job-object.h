/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Jobs on the bus: properties, signals, methods. */

#include "bus/bus.h"

Jobs *job_objects_new(Bus *bus) G_GNUC_WARN_UNUSED_RESULT; /* the table, with the bus as its observer */
