/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The names of capabilities(7), as the OCI specification spells them. */

/* "CAP_CHOWN" is 0; -1 for another text. */
int capability_from_name(const char *name);
const char *capability_to_name(int capability); /* NULL past the last one this service knows */
