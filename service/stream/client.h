/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One attached client: what it has asked for, where it is in the output, and what of its input has not been passed on. */

#include "stream/detach-keys.h"
#include "stream/framing.h"
#include "stream/log-marks.h"
#include "stream/replay.h"
#include "stream/source.h"

typedef struct Client Client;
typedef struct Server Server;

typedef struct ClientPlan {
        guint64 id;
        GVariant *tag; /* a{sv}, borrowed */
        unsigned streams; /* mask */
        Framing framing;
        DetachKeys detach_keys;
        GVariant *head, *ahead; /* ay, borrowed, or NULL */
        Replay *log; /* taken; NULL: from the ring */
        guint64 position; /* in the ring */
        bool follow;
        bool is_writer; /* input that the container does not take is its failure */
        bool ends_input; /* the end of what it sends is the end of the standard input, also when it leaves with it; and its own */
} ClientPlan;

/* How a client's attachment ended: a reason, or an error with a sentence. */
typedef struct ClientEnd {
        const char *reason; /* "exited", "detached", "client-closed", "log-end"; NULL with an error */
        ConbusError error;
        const char *message;
} ClientEnd;

/* What a client needs of the others, given by server.c. ended is called once; the client is freed in it. */
typedef struct ClientHost {
        sd_event *event;
        Source *source;
        const LogMarks *marks; /* of what the ring has been fed with from its first byte, in the log; NULL: that is not known, or there is no log */
        guint64 stall_usec;
        bool stdin_once;
        bool patient; /* output waits for the slowest client (client_lags), which goes only if it takes nothing for stall_usec while others wait for it */
        unsigned n_clients;
        Client *writer; /* of whose input conmon has taken a part and has no room for the rest; the others wait for it. NULL: none */
        bool run_ended; /* its record is there, or conmon is lost */
        ClientEnd run_end;
        char *run_result; /* JSON of the last packet */
        void (*progressed)(void *userdata); /* a client has taken some output */
        void (*ended)(Client *client, const ClientEnd *end, void *userdata);
        void *userdata;
} ClientHost;

/* Takes fd and cancel_fd (-1: none), also when it fails. */
Client *client_new(ClientHost *host, const ClientPlan *plan, int fd, int cancel_fd, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void client_free(Client *client);

guint64 client_id(const Client *client);
GVariant *client_tag(const Client *client);
guint64 client_bytes_in(const Client *client);
guint64 client_bytes_out(const Client *client);

/* Sends what there is, and ends the client if that was all. False: it is gone. */
bool client_pump(Client *client);
/* Passes on what waits for the standard input. False: it is gone. */
bool client_pump_input(Client *client);
/* Half of the ring waits for it: the other half is for what comes after the process's end, when nothing may be held up any more. */
bool client_lags(const Client *client);
bool client_needs_ring(const Client *client); /* for what the ring holds now */
/* The ring is about to overwrite what lies before tail: a client that still needs it goes on from the log, or is too slow. May free it. */
void client_lose_before(Client *client, guint64 tail);
void client_notice_files(Client *client); /* the log is being rotated */
/* Ends it now. Frees it. */
void client_end(Client *client, const ClientEnd *end);
