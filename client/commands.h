/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Each takes the words after the command's own name, NULL-terminated, and returns an exit status; 2 is a usage error. */

int command_create(char **words);
int command_run(char **words);
int command_attach(char **words);
int command_logs(char **words);
int command_exec(char **words);
int command_verb(const char *verb, char **words); /* start stop restart kill pause resume rm enable disable */
int command_rename(char **words);
int command_set_restart_policy(char **words);
int command_wait(char **words);
int command_ps(char **words);
int command_runs(char **words);
int command_inspect(char **words);
int command_events(char **words);
int command_health(char **words);
int command_job(char **words);

/* Takes a leading option's value: true if *words begins with NAME VALUE or NAME=VALUE; *words is moved on. */
int take_option(char ***words, const char *name, char **ret);
bool parse_number(const char *text, guint64 *ret);
/* "5s", "200ms", "1min", "infinity" or plain seconds to microseconds. False for anything else. */
int parse_duration(const char *text, unsigned long *ret);
