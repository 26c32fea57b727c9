/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The names of the limits of setrlimit(2), as the OCI specification spells them. */

/* "RLIMIT_NOFILE" or "nofile" is RLIMIT_NOFILE; -1 for another text. */
int rlimit_from_name(const char *name);
const char *rlimit_to_name(int resource); /* "RLIMIT_NOFILE" */
