/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Clients that are attached to the streams of containers. The bytes go through a conbus-stream for each run (runtime/streamer.h); here is who is attached, what happens to them when a run, conmon or the streamer ends, and how they are found again after a restart. */

#include "operation/operation.h"
#include "stream/framing.h"
#include "stream/log-reader.h"

typedef struct Attachment Attachment;

/* What a client wants; the keys of OpenAttach. */
typedef struct AttachPlan {
        unsigned streams; /* mask of STREAM_MASK() */
        Framing framing;
        char *detach_keys, *from;
        bool follow;
        bool is_writer; /* input that the container does not take fails it: NotRunning */
        bool ends_input; /* the end of its input is the container's (stdin-once), however it comes */
        guint16 rows, columns; /* 0: as it is */
        bool records; /* each record of the log is a frame of its own */
        GVariant *head, *ahead; /* ay, sent before everything else, and input that was read already; or NULL */
} AttachPlan;
void attach_plan_clear(AttachPlan *plan);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(AttachPlan, attach_plan_clear)
/* UnknownOption, InvalidArgs. */
bool attach_plan_read(GVariant *options, bool terminal, AttachPlan *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool attach_streams_read(GVariant *options, unsigned *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* the key `streams`; all of them when it is absent */

/* Never before attachment_connect has returned, exactly once. */
typedef void (*AttachmentConnected)(Attachment *attachment, const GError *error, void *userdata);
/* After a successful connection, once; the attachment is freed after it. result: a{sv} with reason, run, exit-code. */
typedef void (*AttachmentEnded)(Attachment *attachment, GVariant *result, const GError *error, void *userdata);

/* To the container itself, or to one of its exec sessions. Takes fd (the streamer's end of the client's socket), cancel_fd (-1: none) and what plan holds. tag: a{sv} that attachments_adopt gives back after a restart. */
Attachment *attachment_new(Engine *engine, Container *container, Session *session, AttachPlan *plan, GVariant *tag, int fd, int cancel_fd) G_GNUC_WARN_UNUSED_RESULT;
void attachment_on_end(Attachment *attachment, AttachmentEnded ended, void *userdata);
/* NotRunning, InvalidState, Removed, NotAttachable, NoLogs, NoTerminal (with a size), Cancelled, and what goes wrong with the streamer. */
void attachment_connect(Attachment *attachment, AttachmentConnected connected, void *userdata);
void attachment_cancel(Attachment *attachment); /* detaches; the callbacks come */
void attachment_free(Attachment *attachment); /* forgets it; a client that is connected stays so */
Session *attachment_session(const Attachment *attachment); /* NULL: to the container itself */
guint64 attachment_bytes_in(const Attachment *attachment); /* known at its end */
guint64 attachment_bytes_out(const Attachment *attachment);

/* An attachment of a former life of the service that goes on; attachment_on_end is to be called for it. tag: as given to attachment_new. */
typedef void (*AttachmentAdopted)(Container *container, Attachment *attachment, GVariant *tag, void *userdata);
void attachments_on_adopted(Engine *engine, AttachmentAdopted adopted, void *userdata); /* before engine_adopt */

/* The size of the terminal. NoTerminal, NotRunning, InvalidState, InvalidArgs. */
bool attachments_resize(Engine *engine, Container *container, unsigned rows, unsigned columns, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool attachments_resize_session(Engine *engine, Session *session, unsigned rows, unsigned columns, GError **error) G_GNUC_WARN_UNUSED_RESULT;
