/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is written into an output pipe is kept up to the limit, however much there is, and no writer is kept waiting. */

#include "runtime/output-pipe.h"
#include "testing.h"
#include <string.h>
#include <unistd.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(OutputPipe, output_pipe_free)

static sd_event *loop_new(void) {
        sd_event *event = NULL;

        g_assert_cmpint(sd_event_new(&event), >=, 0);
        return event;
}

/* As much as a pipe takes at once, until all of it has been taken. */
static void write_all(sd_event *event, int fd, gsize size) {
        g_autofree char *text = g_malloc(size + 1);

        memset(text, 'x', size);
        for (gsize written = 0; written < size;) {
                ssize_t n = write(fd, text + written, MIN(size - written, 65536));
                g_assert_cmpint(n, >, 0);
                written += (gsize) n;
                testing_run_idle(event);
        }
}

static void expect(OutputPipe *pipe, gsize size, bool truncated) {
        g_assert_cmpuint(output_pipe_bytes(pipe)->len, ==, size);
        g_assert_true(output_pipe_is_truncated(pipe) == truncated);
}

static void test_what_is_kept(void) {
        static const struct {
                gsize written, kept;
                bool truncated;
        } table[] = {{0, 0, false}, {1, 1, false}, {999, 999, false}, {1000, 1000, false}, {1001, 1000, true}, {5000000, 1000, true}};

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(sd_event) event = loop_new();
                autofd int fd = -1;
                g_autoptr(OutputPipe) pipe = output_pipe_new(event, 1000, &fd, NULL);

                write_all(event, fd, table[i].written);
                testing_run_idle(event);
                expect(pipe, table[i].kept, table[i].truncated);
        }
}

static void test_a_limit_of_nothing(void) {
        g_autoptr(sd_event) event = loop_new();
        autofd int fd = -1;
        g_autoptr(OutputPipe) pipe = output_pipe_new(event, 0, &fd, NULL);

        write_all(event, fd, 1);
        expect(pipe, 0, true);
}

/* What nobody has been told of yet is there when it is asked for. */
static void test_the_rest_is_drained(void) {
        g_autoptr(sd_event) event = loop_new();
        autofd int fd = -1;
        g_autoptr(OutputPipe) pipe = output_pipe_new(event, 100, &fd, NULL);

        g_assert_cmpint(write(fd, "abc", 3), ==, 3);
        output_pipe_drain(pipe);
        expect(pipe, 3, false);
        g_assert_cmpint(memcmp(output_pipe_bytes(pipe)->data, "abc", 3), ==, 0);
        fd = close_fd(fd);
        output_pipe_drain(pipe);
        testing_run_idle(event); /* the end is no event any more */
        expect(pipe, 3, false);
}

static int on_other(sd_event_source *source, void *userdata) {
        ++*(unsigned *) userdata;
        return 0;
}

/* Once it is only to be dropped, whatever else there is to do comes first. */
static void test_what_is_dropped_comes_last(void) {
        g_autoptr(sd_event) event = loop_new();
        autofd int fd = -1;
        g_autoptr(OutputPipe) pipe = output_pipe_new(event, 1, &fd, NULL);
        sd_event_source *other = NULL;
        unsigned n = 0;

        write_all(event, fd, 10);
        g_assert_cmpint(sd_event_add_defer(event, &other, on_other, &n), >=, 0);
        g_assert_cmpint(sd_event_source_set_enabled(other, SD_EVENT_ON), >=, 0);
        g_assert_cmpint(write(fd, "more", 4), ==, 4);
        for (unsigned i = 0; i < 10; i++)
                g_assert_cmpint(sd_event_run(event, 0), >, 0);
        g_assert_cmpuint(n, ==, 10);
        sd_event_source_disable_unref(other);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/output-pipe/what-is-kept", test_what_is_kept);
        g_test_add_func("/output-pipe/a-limit-of-nothing", test_a_limit_of_nothing);
        g_test_add_func("/output-pipe/the-rest-is-drained", test_the_rest_is_drained);
        g_test_add_func("/output-pipe/what-is-dropped-comes-last", test_what_is_dropped_comes_last);
        return g_test_run();
}
