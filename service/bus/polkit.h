/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Questions to org.freedesktop.PolicyKit1, over the same connection and without blocking. So many are on the bus at once, for each user and in all, and the rest wait in line: a bus daemon lets a client have 128 unanswered calls,
 * and a user whose prompts stand open holds up nobody else. */

#include "bus/question.h"
#include "bus/users.h"

typedef struct PolkitCheck PolkitCheck;

typedef enum PolkitAnswer {
        POLKIT_YES,
        POLKIT_NO,
        POLKIT_CHALLENGE, /* yes after an authentication, which did not take place */
        POLKIT_DISMISSED, /* the prompt was closed */
        POLKIT_FAILED, /* polkit could not be asked */
} PolkitAnswer;

typedef enum PolkitManner {
        POLKIT_PROMPT, /* the user may be prompted */
        POLKIT_PATIENT, /* no prompt; it lasts as long as polkit, whose rules may run programs, and as the caller */
        POLKIT_QUICK, /* no prompt; POLKIT_FAILED after 10 s, the time in line included: for what is answered in any case */
} PolkitManner;

/* Exactly once unless cancelled, never before polkit_ask has returned; the check is gone when it is called. why: what failed, else "". */
typedef void (*PolkitDone)(PolkitAnswer answer, const char *why, void *userdata);

/* Asks whether the client with this unique name may do it. question must live as long as the check. LimitsExceeded when the user has too many open. */
PolkitCheck *polkit_ask(User *user, const char *sender, const Question *question, PolkitManner manner, PolkitDone done, void *userdata, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* A prompt that stands open is closed. */
void polkit_cancel(PolkitCheck *check);

int polkit_new(Bus *bus);
void polkit_free(Bus *bus);
