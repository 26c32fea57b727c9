/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reader FD: reads a socket or a pipe to its end and prints bytes and seconds, from the first byte to the last. What stands in front of the data (a byte, as conmon and the framing `packets` have it) counts as well. */

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

int main(int argc, char *argv[]) {
        static char bytes[65536];
        unsigned long long total = 0;
        double begin = 0, end = 0;
        ssize_t n;

        while ((n = read(argc > 1 ? atoi(argv[1]) : 0, bytes, sizeof bytes)) > 0) {
                end = now();
                if (total == 0)
                        begin = end;
                total += (unsigned long long) n;
        }
        printf("%llu %f\n", total, end - begin);
        return n < 0;
}
