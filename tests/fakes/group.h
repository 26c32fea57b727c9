/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The control group of a fake container: a real directory in the unified hierarchy, or in pids and freezer of version 1. */

#include <stdbool.h>
#include <sys/types.h>

bool group_join(const char *cgroup, pid_t pid); /* what is missing is made */
void group_join_existing(const char *cgroup, pid_t pid); /* as `crun exec --cgroup`: hierarchies without the directory are passed over */
bool group_freeze(const char *cgroup, bool freeze); /* returns when it is done */
bool group_is_frozen(const char *cgroup);
void group_destroy(const char *cgroup); /* kills every process in it and below, then removes the directories */
