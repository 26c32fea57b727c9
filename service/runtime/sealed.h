/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A program in a file that nobody can write to, for crun: against a container that would overwrite the program that runs it (CVE-2019-5736) it copies or mounts itself and executes itself a second time, unless it finds that it runs from a memory file
 * with every seal. That costs more than a millisecond in each of its calls, and is spared by a copy that all of them share. */

/* The descriptor of a copy of this program (a path), which belongs to this file and stays valid until the next call; the copy is made when it is first asked for, and anew when the file has changed. -1: the file itself is to be run, since it is a script, memory
 * files cannot be executed here (vm.memfd_noexec), or the type of the file decides what it may do (SELinux). */
int sealed_program(const char *path);
void sealed_forget(void); /* the service leaves: the copy is closed */
