/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#define PRIORITY_NICE (-10)
#define PRIORITY_SLICE_NSEC 100000 /* the shortest that the kernel takes (kernel/sched/syscalls.c, __setparam_fair); without, it is 3 ms */

/* The service works for a fraction of a millisecond at a time, and everybody waits for it, while the containers that it starts work for long: so its turns are short and come soon (the slice, Linux 6.12), and it gets what it needs when there are many of them (the nice value).
 * What a unit says (Nice=, CPUSchedulingPolicy=) is left as it is, and so is what the kernel refuses. */
void priority_raise(void);
/* In a child, where SCHED_FLAG_RESET_ON_FORK would come too early: it keeps the priority while the service stands still for it (vfork), and nothing that is executed has it. System calls alone. */
void priority_restore(void);
