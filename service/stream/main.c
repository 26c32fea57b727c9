/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* conbus-stream [--log PATH | --journal ID] [--from-start CURSOR] [--stdin-once] [--patient] [--stall-usec N]: serves the streams of one container or exec session, outside the service's loop and past its restarts. Descriptors: protocol.h.
 * conbus-stream log PLAN: serves one reader of a log (log-feed.h). */

#include "base/auto.h"
#include "base/log.h"
#include "stream/log-feed.h"
#include "stream/protocol.h"
#include "stream/server.h"
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define STALL_USEC (10 * G_USEC_PER_SEC) /* a client that takes nothing, although more than a ring waits for it */

static bool read_arguments(char **words, ServerPlan *plan) {
        for (words++; *words; words++) {
                if (g_str_equal(*words, "--stdin-once")) {
                        plan->stdin_once = true;
                        continue;
                }
                if (g_str_equal(*words, "--patient")) {
                        plan->patient = true;
                        continue;
                }
                const char *value = words[1];
                if (!value)
                        return false;
                if (g_str_equal(*words, "--log"))
                        plan->log = value;
                else if (g_str_equal(*words, "--journal"))
                        plan->journal = value;
                else if (g_str_equal(*words, "--from-start"))
                        plan->log_start = value;
                else if (!g_str_equal(*words, "--stall-usec") || !g_ascii_string_to_unsigned(value, 10, 1, G_MAXINT64, &plan->stall_usec, NULL))
                        return false;
                words++;
        }
        return true;
}

int main(int argc, char *argv[]) {
        ServerPlan plan = {.control_fd = STREAM_FD_CONTROL, .directory_fd = STREAM_FD_DIRECTORY, .monitor_fd = STREAM_FD_MONITOR, .stall_usec = STALL_USEC};
        g_autoptr(sd_event) event = NULL;
        g_autoptr(GError) error = NULL;

        (void) signal(SIGPIPE, SIG_IGN);
        if (argc == 3 && g_str_equal(argv[1], "log"))
                return log_feed_main(argv[2]);
        if (!read_arguments(argv, &plan) || fcntl(plan.control_fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(plan.directory_fd, F_SETFD, FD_CLOEXEC) < 0) {
                log_error("conbus-stream is started by conbusd alone");
                return EXIT_FAILURE;
        }
        if (fcntl(plan.monitor_fd, F_SETFD, FD_CLOEXEC) < 0)
                plan.monitor_fd = -1;
        int r = sd_event_new(&event);
        if (r < 0) {
                log_error("make the event loop: %s", g_strerror(-r));
                return EXIT_FAILURE;
        }
        g_autoptr(Server) server = server_new(event, &plan, &error);
        if (!server) {
                log_error("%s", error->message);
                return EXIT_FAILURE;
        }
        return sd_event_loop(event) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
