/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What unit tests share: a directory of their own, an event loop with a deadline, named errors, configurations as text, processes that live until they are killed. */

#include "base/auto.h"
#include "base/error.h"
#include "runtime/reaper.h"
#include <stdbool.h>
#include <sys/types.h>

#define TESTING_DEADLINE_USEC (20 * G_USEC_PER_SEC) /* of every wait; a loaded machine reaches none of it */

/* A fresh directory, removed with all that is in it. */
char *testing_directory_new(void) G_GNUC_WARN_UNUSED_RESULT;
void testing_directory_free(char *directory);
typedef char TestingDirectory;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TestingDirectory, testing_directory_free)

void testing_write(const char *directory, const char *name, const char *text); /* DIRECTORY/NAME, whose parents are made */
char *testing_read(const char *directory, const char *name) G_GNUC_WARN_UNUSED_RESULT; /* NULL if there is no such file */
char *testing_program(const char *directory, const char *name, const char *script) G_GNUC_WARN_UNUSED_RESULT; /* a /bin/sh script; its path */

/* Runs the loop until the condition holds; the test fails after the deadline. */
void testing_run_until(sd_event *event, bool (*condition)(void *userdata), void *userdata);
void testing_run_until_count(sd_event *event, const unsigned *count, unsigned wanted);
/* Runs what is due now, and what that makes due, until nothing is. */
void testing_run_idle(sd_event *event);

/* As long as a few programs take: for what should not happen meanwhile. */
void testing_let_time_pass(sd_event *event, Reaper *reaper);

/* The error has this code and its sentence this part; it is cleared. */
void testing_expect_error(GError **error, ConbusError code, const char *part);

GVariant *testing_parse(const char *text) G_GNUC_WARN_UNUSED_RESULT; /* an a{sv} written as GVariant text, not floating */

char *testing_built(const char *program) G_GNUC_WARN_UNUSED_RESULT; /* its path below CONBUS_BUILD_DIR, which must be set */
int testing_listen(const char *path, int type) G_GNUC_WARN_UNUSED_RESULT; /* a UNIX socket of that type, not blocking */
unsigned testing_count_descriptors(void); /* that this process holds: what a test has opened it must close */
/* From now on this process has its mounts for itself. Where that is not allowed the test is skipped: false, and the plan has been printed. */
bool testing_unshare_mounts(void) G_GNUC_WARN_UNUSED_RESULT;

bool testing_is_under_valgrind(void); /* which keeps some limits for itself */

/* A child that waits to be killed. Its reaping is the caller's. */
pid_t testing_child_new(void) G_GNUC_WARN_UNUSED_RESULT;
