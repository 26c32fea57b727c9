/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What polkit is asked about a call: an action, and the details that a site's rules can look at. */

#include "bus/target.h"
#include "model/actor.h"

typedef struct Question {
        char *action; /* "io.conbus1.manage" */
        GVariant *details; /* a{ss} */
        char *place; /* id of the container, or "": what is asked about one place by one client is decided in order */
} Question;

/* What a call that makes a container says of it; empty strings where it says nothing. */
typedef struct NewContainer {
        const char *name, *image, *profile;
} NewContainer;

/* action: the last part. The owner of a container that came from a profile is asked about manage-own instead of manage, read-logs and exec. */
Question *question_new(const Actor *actor, const char *action, const char *verb, const Target *target) G_GNUC_WARN_UNUSED_RESULT;
Question *question_new_create(const char *action, const char *verb, const NewContainer *wanted) G_GNUC_WARN_UNUSED_RESULT;
void question_free(Question *question);
bool question_equal(const Question *a, const Question *b);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Question, question_free)
