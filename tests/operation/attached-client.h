/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A client that is attached to a container of the fakes: its end of the socket, read in the test's loop, and what it has heard. */

#include "fakes.h"
#include "operation/attachments.h"

typedef struct Client {
        Fixture *fixture;
        Attachment *attachment; /* NULL once it is over */
        int fd;
        sd_event_source *source;
        GString *received;
        bool hung_up;
        unsigned n_connected, n_ended;
        GError *error; /* of either */
        char *result; /* reason, run, code */
} Client;
void client_clear(Client *client);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Client, client_clear)

/* Not connected yet; options as GVariant text, raw unless they say another framing. The tag is {'job': <'mine'>}. */
void client_begin(Client *client, Fixture *fixture, Container *container, const char *options);
void client_connect(Client *client);
void client_attach(Client *client, Fixture *fixture, Container *container, const char *options); /* both; it succeeds */
void client_refuse(Fixture *fixture, Container *container, const char *options, ConbusError code, const char *part); /* both; it does not */
/* The same with an exec session. */
void client_begin_session(Client *client, Fixture *fixture, Session *session, const char *options);
void client_attach_session(Client *client, Fixture *fixture, Session *session, const char *options);
void client_refuse_session(Fixture *fixture, Session *session, const char *options, ConbusError code, const char *part);
void client_ended(Attachment *attachment, GVariant *result, const GError *error, void *client); /* an AttachmentEnded */
void client_close(Client *client); /* its end of the socket */
void client_say(Client *client, const char *text);
void client_await(Client *client, const char *text); /* among what it has received */
void client_await_end(Client *client, const char *result);
void client_await_size(Client *client, const char *size); /* "ROWS COLUMNS", of a command that says the size of its terminal for each line */
