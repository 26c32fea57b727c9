/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* conmon's side of its attach socket, and its log, played by the test. */

#include "testing.h"
#include <sys/types.h>

typedef struct FakeConmon {
        char *directory;
        int directory_fd, listening;
} FakeConmon;

FakeConmon *fake_conmon_new(void) G_GNUC_WARN_UNUSED_RESULT; /* in a fresh directory */
void fake_conmon_free(FakeConmon *conmon);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FakeConmon, fake_conmon_free)

int fake_conmon_accept(FakeConmon *conmon) G_GNUC_WARN_UNUSED_RESULT; /* the next connection; not blocking */
bool fake_conmon_is_asked(FakeConmon *conmon); /* another connection waits */
void fake_conmon_stop(FakeConmon *conmon); /* serves nobody any more; connections go on */

/* A packet of output: 2 is standard output, 3 standard error. It must not block. */
void fake_conmon_send(int connection, guint8 kind, const void *data, size_t size);
/* All packets that wait, joined; NULL at the end of input. ret_largest may be NULL. */
char *fake_conmon_read(int connection, size_t *ret_size, size_t *ret_largest) G_GNUC_WARN_UNUSED_RESULT;

/* Appends a line to DIRECTORY/log, as the driver k8s-file does. stream: stdout or stderr. */
void fake_conmon_log(FakeConmon *conmon, const char *stream, const char *text);
char *fake_conmon_log_path(FakeConmon *conmon) G_GNUC_WARN_UNUSED_RESULT;
