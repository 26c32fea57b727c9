/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the two files of the fake conmon share: options, descriptors, the payload's end. */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#define CLIENTS_MAX 16

typedef struct Conmon {
        gboolean sync, systemd_cgroup, terminal, stdin_open, leave_stdin_open, version;
        gboolean executes, attach_first; /* crun exec; wait for a second start byte */
        char *process; /* its specification */
        char **runtime_options;
        char *id, *runtime, *bundle, *pid_file, *exit_directory, *persist_directory, *log, *console_path, *exit_command;
        char **runtime_arguments, **exit_arguments;
        int sync_fd, signal_fd;
        int input_fd, output_fd, errors_fd; /* ours; of a terminal output_fd alone */
        int other_input, other_output, other_errors; /* the payload's, until crun has them */
        int console_fd, listen_fd, control_fd, log_fd;
        int clients[CLIENTS_MAX];
        bool ended[CLIENTS_MAX]; /* has nothing more to say */
        unsigned n_clients;
        pid_t create_pid, main;
        int wait_status;
} Conmon;

bool streams_are_callers(const Conmon *conmon); /* passthrough: none are ours */
void streams_prepare(Conmon *conmon); /* log file, attach socket, ctl and winsz FIFOs in the bundle */
void streams_open(Conmon *conmon); /* pipes, or the socket that brings the terminal */
void streams_enter(Conmon *conmon); /* in the child: they become its standard streams */
void streams_close_other_side(Conmon *conmon);
void streams_take_terminal(Conmon *conmon);
char *streams_read_errors(Conmon *conmon); /* what a crun that failed has said */
void streams_serve(Conmon *conmon); /* until the payload has ended and its output is drained */
void streams_remove(Conmon *conmon); /* attach socket */
