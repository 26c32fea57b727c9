/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* conbusd: arguments, then the manager. */

#include "base/log.h"
#include "manager.h"
#include "storage/secret.h"
#include "store/store.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static int usage(FILE *to, int status) {
        fputs("Usage: conbusd [OPTION]…\n"
              "Containers on the system bus; started by it (io.conbus1).\n\n"
              "  --state-directory=DIR  where containers are kept (/var/lib/conbus)\n"
              "  --run-directory=DIR    what does not survive a reboot (/run/conbus)\n"
              "  --log-level=LEVEL      emerg … debug (info)\n"
              "  --version              print the version\n"
              "  --help                 print this\n",
              to);
        return status;
}

int main(int argc, char *argv[]) {
        enum { STATE = 1, RUN, LEVEL, CHECKPOINT, STORE_SECRET, VERSION, HELP };
        static const struct option options[] = {{"state-directory", required_argument, NULL, STATE}, {"run-directory", required_argument, NULL, RUN}, {"log-level", required_argument, NULL, LEVEL},
                                                {"checkpoint", required_argument, NULL, CHECKPOINT}, {"store-secret", required_argument, NULL, STORE_SECRET}, {"version", no_argument, NULL, VERSION},         {"help", no_argument, NULL, HELP},
                                                {NULL, 0, NULL, 0}};
        const char *state = NULL, *run = NULL;

        for (int c; (c = getopt_long(argc, argv, "", options, NULL)) >= 0;)
                switch (c) {
                case STATE:
                        state = optarg;
                        break;
                case RUN:
                        run = optarg;
                        break;
                case LEVEL:
                        if (!log_set_level_name(optarg))
                                return usage(stderr, 2);
                        break;
                case CHECKPOINT: /* the service's own child */
                        return store_checkpoint_main(optarg);
                case STORE_SECRET: /* as well */
                        return secret_store_main(optarg);
                case VERSION:
                        puts("conbusd " CONBUS_VERSION);
                        return EXIT_SUCCESS;
                case HELP:
                        return usage(stdout, EXIT_SUCCESS);
                default:
                        return usage(stderr, 2);
                }
        return manager_run(state, run);
}
