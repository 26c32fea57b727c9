/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* ExecCapture: a short command whose output is the answer. No session, no conmon: what it has left behind dies with it, and it with the service. */

#include "operation/operation.h"

#define CAPTURE_BYTES_DEFAULT (64 * 1024)
#define CAPTURE_BYTES_MAX (1 << 20) /* of each stream */
#define CAPTURE_INPUT_MAX (1 << 20)
#define CAPTURE_USEC_DEFAULT (20 * G_USEC_PER_SEC)

typedef struct Capture Capture;

typedef struct CaptureResult {
        int exit_code, exit_signal;
        GByteArray *output, *errors;
        bool truncated; /* there was more */
} CaptureResult;

/* Exactly once, never before capture_begin has returned; the Capture is gone then. Errors: as of Exec, and Timeout. */
typedef void (*CaptureDone)(const CaptureResult *result, const GError *error, void *userdata);

typedef struct CapturePlan {
        GVariant *request; /* checked (model/session.h); borrowed */
        GVariant *input; /* ay, what is on its standard input; NULL: nothing; borrowed */
        gsize bytes_max;
        guint64 timeout_usec;
} CapturePlan;

/* NotRunning, InvalidState, LimitsExceeded, InvalidArgs (the user), HelperMissing, Internal at once. */
Capture *capture_begin(Engine *engine, Container *container, const CapturePlan *plan, Actor *actor, CaptureDone done, void *userdata, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void capture_abandon(Capture *capture); /* kills it, without an answer; engine_free does so with those that are left, which are gone then */
