/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the creator of a container gives by descriptor and the container keeps for its life. Mounts (`source-fd`) and a network namespace (`netns-fd`) are mounts in RUN/containers/ID/kept, so a restart of the service does not concern them; a reboot ends them.
 * Values (`secrets`) are read to their end and stored, durable before the creation is, in STATE/containers/ID/secrets.
 * A handle in a stored configuration is the number of such a thing; in the message it was the number of the descriptor. */

#include "operation/operation.h"

/* Descriptors between the call and the step that puts them into their place. */
typedef struct Kept Kept;

/* Duplicates what the configuration refers to. fds: the descriptors of the message, as bus/call.h has them; NULL: none. InvalidConfig for one that is missing or of the wrong kind. */
Kept *kept_new(GVariant *config, const GArray *fds, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kept_free(Kept *kept);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Kept, kept_free)
bool kept_is_empty(const Kept *kept); /* the container keeps nothing, and its creation makes nothing */

/* Puts everything into its place; ends in operation_continue, and what failed is the operation's error. kept stays the caller's and must live until then. */
void kept_begin(Operation *operation, Kept *kept);
/* A creation has failed: nothing of it stays. Ends in operation_continue. */
void kept_discard(Operation *operation);

/* The creation is durable: nothing of it will be discarded any more. Before that a power cut may take the row away again. */
void kept_commit(const Paths *paths, Container *container);

/* At a run: whether everything is where the creation has put it; NoSuchPath. */
bool kept_check(const Paths *paths, Container *container, GError **error) G_GNUC_WARN_UNUSED_RESULT;
char *kept_path(const Paths *paths, const Container *container) G_GNUC_WARN_UNUSED_RESULT; /* of the place */
char *kept_secret_path(const Paths *paths, const char *id, gint32 number) G_GNUC_WARN_UNUSED_RESULT; /* where a value is stored */
char *kept_network_path(const Paths *paths, const Container *container) G_GNUC_WARN_UNUSED_RESULT; /* of the network namespace; NULL: none is kept */
bool kept_release(const Paths *paths, const char *id, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* unmounts all of it */

/* At the start of the service: directories that belong to no container, left by a service that died within a creation, are unmounted and removed. */
void kept_remove_strays(Engine *engine);
