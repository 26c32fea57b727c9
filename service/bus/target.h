/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a call is aimed at, as the gate sees it. */

#include "container/container.h"
#include <stdint.h>

typedef struct Target {
        const Container *container; /* NULL: none */
        guint32 owner_uid; /* UINT32_MAX: none */
} Target;

#define TARGET_NONE ((Target) {.owner_uid = UINT32_MAX})

void target_of_container(const void *container, Target *ret);
void target_of_job(const void *job, Target *ret);
void target_of_session(const void *session, Target *ret);
