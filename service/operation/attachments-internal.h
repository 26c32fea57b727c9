/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What attachments.c and session-streams.c share. */

#include "operation/attachments.h"
#include "operation/internal.h"
#include "runtime/streamer.h"
#include "runtime/terminal.h"

/* The streams of a run or of an exec session. Lives until its streamer has ended and the run or session too. */
typedef struct RunStreams {
        Engine *engine;
        Container *container; /* reference */
        guint64 run; /* 0: no run, one client that reads the log */
        Session *session; /* reference; NULL: of the container itself */
        Streamer *streamer; /* NULL once it has ended */
        int exit_code;
        int connections[2]; /* StdinOnce, and the streamer has ended: they keep the standard input open */
        bool ready, over;
        GQueue attachments; /* of Attachment */
        GPtrArray *waiting; /* of Operation with a reference: attachments_settle */
        unsigned n_adding; /* attachments that were there before the session, and are not yet connected */
        SessionConnected settled; /* called once they are; or NULL */
        void *settled_userdata;
} RunStreams;

struct Attachment {
        Engine *engine;
        Container *container; /* reference */
        Session *session; /* reference; NULL: to the container itself */
        RunStreams *streams; /* NULL before attachment_connect and after the end */
        guint64 id;
        AttachPlan plan;
        GVariant *tag;
        int fd, cancel_fd; /* until it is connected */
        sd_event_source *defer;
        GError *failure;
        AttachmentConnected connected; /* NULL once it has been called */
        AttachmentEnded ended;
        void *connected_userdata, *ended_userdata;
        guint64 bytes_in, bytes_out;
        bool tried_again, cancelled;
        bool early; /* to a session that has not begun */
        bool adding; /* counted in n_adding: an early one that has been given to a streamer */
};

struct Attachments {
        GQueue runs; /* of RunStreams */
        GHashTable *terminals; /* container id -> Terminal of its present run */
        AttachmentAdopted adopted;
        void *userdata;
};

/* attachments.c */
extern const StreamerEvents attachments_streamer_events;
RunStreams *run_streams_new(Engine *engine, Container *container, Session *session, guint64 run);
void run_streams_free(RunStreams *streams);
void run_streams_let_go(RunStreams *streams); /* whoever waits for its first clients goes on */
void attachment_join(Attachment *attachment, RunStreams *streams);
void attachment_send(Attachment *attachment); /* to the streamer of its streams, which is there */
void attachment_succeed_later(Attachment *attachment); /* connected is told in a turn of its own */
void attachment_fail_later(Attachment *attachment, GError *error); /* takes the error; so is the end of one that had been told of its connection */
void attachment_end(Attachment *attachment, GVariant *result, const GError *error); /* frees it */
GVariant *run_streams_result(RunStreams *streams, const char *reason);

/* session-streams.c */
bool attachment_connect_to_session(Attachment *attachment, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void session_streams_settle(RunStreams *streams); /* one of the early ones has been answered */

/* terminals.c */
bool terminals_resize(Engine *engine, const char *key, const char *directory, unsigned rows, unsigned columns, GError **error) G_GNUC_WARN_UNUSED_RESULT;
