/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What conbusd and a conbus-stream say to each other over a Channel.
 *
 * conbusd connects to the listening socket that it passed to conbus-stream, or, after a restart, to its path in the run's directory. The latest connection counts. Clients have numbers that conbusd chooses at random, so that two lives of it do not choose the same.
 *
 * word      from      fields                                              descriptors
 * add       conbusd   see below                                           the client's socket, and one whose readability ends the attachment
 * remove    conbusd   id t                                                the client is to be detached
 * end       conbusd   run t, exit-code i, lost b                          the run's record is there; or conmon died
 * process   conbusd   none                                                a pidfd: clients that read slowly are waited for no longer than it lives (--patient); none: it has ended
 * hello     stream    pid u, clients a(ta{sv}): number, tag                    StdinOnce: the connections to conmon, whose end would end the standard input
 * added     stream    id t
 * refused   stream    id t, error s (D-Bus name), message s
 * gone      stream    id t, tag a{sv}, bytes-in t, bytes-out t, and reason s (exited, detached, client-closed, log-end) or error s, message s
 *
 * add: id t, tag a{sv} (given back as it is), streams u (mask), framing s, detach-keys s, from s (now, run-start, log-start or a cursor), run-start s (cursor, "" when nobody knows it), follow b, records b (a frame for each record of the log), head ay (sent first), ahead ay (input read already), writer b (input that is not taken is its failure), ends-input b (the end of its input is the container's) */

#define STREAM_ADD "add"
#define STREAM_REMOVE "remove"
#define STREAM_END_OF_RUN "end"
#define STREAM_PROCESS "process"
#define STREAM_HELLO "hello"
#define STREAM_ADDED "added"
#define STREAM_REFUSED "refused"
#define STREAM_GONE "gone"

/* What conbus-stream is started with, from descriptor 3 on. */
#define STREAM_FD_CONTROL 3 /* a listening socket, or one end of a connected pair */
#define STREAM_FD_DIRECTORY 4 /* where conmon's attach socket is; any directory where there is no conmon */
#define STREAM_FD_MONITOR 5 /* pidfd of conmon; absent where there is none */
