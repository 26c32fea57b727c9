/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What conbusd says and hears, when the server leaves, and where the output of each client comes from. */

#include "server-fixture.h"
#include "stream/ring.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* --- clients --- */

static void test_a_client_comes_and_goes(Fixture *fixture, gconstpointer unused) {
        begin_with_pair(fixture);
        autofd int peer = add(fixture, 5, RAW, -1);
        expect_word(fixture, "added 5");
        autofd int input = fake_conmon_accept(fixture->conmon);
        fixture->output = fake_conmon_accept(fixture->conmon);
        fake_conmon_send(fixture->output, 2, "out", 3);
        expect_got(fixture, peer, "out");
        g_assert_cmpint(send(peer, "in", 2, 0), ==, 2);
        settle(fixture);
        g_autofree char *read = fake_conmon_read(input, NULL, NULL);
        g_assert_cmpstr(read, ==, "in");
        channel_send(fixture->channel, STREAM_REMOVE, g_variant_new_parsed("{'id': <uint64 6>}"), NULL, 0); /* nobody's */
        expect_silence(fixture);
        channel_send(fixture->channel, STREAM_REMOVE, g_variant_new_parsed("{'id': <uint64 5>}"), NULL, 0);
        expect_word(fixture, "gone 5 {'job': <5>} 2 3 detached");
        expect_silence(fixture);
        g_assert_false(has_left(fixture)); /* others may come: the run goes on */
}

static void test_clients_share_connections(Fixture *fixture, gconstpointer unused) {
        begin_with_pair(fixture);
        autofd int one = add(fixture, 1, RAW, -1), other = add(fixture, 2, READER, -1);
        expect_word(fixture, "added 1");
        expect_word(fixture, "added 2");
        autofd int input = fake_conmon_accept(fixture->conmon);
        fixture->output = fake_conmon_accept(fixture->conmon);
        g_assert_false(fake_conmon_is_asked(fixture->conmon));
        fake_conmon_send(fixture->output, 3, "both", 4);
        expect_got(fixture, one, "both");
        expect_got(fixture, other, "both");
        one = close_fd(one);
        expect_word(fixture, "gone 1 {'job': <1>} 0 4 client-closed");
        fake_conmon_send(fixture->output, 2, "one", 3);
        expect_got(fixture, other, "one");
}

static void test_cancelling(Fixture *fixture, gconstpointer unused) {
        autofd int cancel = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

        begin_with_pair(fixture);
        autofd int peer = add(fixture, 5, READER, cancel);
        expect_word(fixture, "added 5");
        g_assert_no_errno(eventfd_write(cancel, 1));
        expect_word(fixture, "gone 5 {'job': <5>} 0 0 detached");
}

static void test_what_cannot_be_added_is_refused(Fixture *fixture, gconstpointer unused) {
        static const struct {
                const char *fields, *words;
        } table[] = {
                {"'streams': <uint32 6>", "refused 1 Internal: an attachment without framing or tag"},
                {"'framing': <'odd'>, 'streams': <uint32 6>", "refused 1 Internal: an attachment without framing or tag"},
                {READER ", 'from': <'run-start'>", "refused 1 NoLogs: the container's log driver keeps no log that can be read"},
                {READER ", 'from': <'nonsense'>", "refused 1 NoLogs: the container's log driver keeps no log that can be read"},
                {READER ", 'follow': <false>", "refused 1 NoLogs: the container's log driver keeps no log that can be read"},
        };

        begin_with_pair(fixture);
        for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
                unsigned before = testing_count_descriptors();
                autofd int peer = add(fixture, 1, table[i].fields, -1);
                expect_word(fixture, table[i].words);
                g_assert_cmpint(recv(peer, &(char) {0}, 1, MSG_DONTWAIT), ==, 0); /* its socket is closed */
                g_assert_cmpuint(testing_count_descriptors(), ==, before + 1);
        }
        channel_send(fixture->channel, STREAM_ADD, g_variant_new_parsed("{'id': <uint64 9>, 'tag': <'text'>, " READER "}"), (const int[]) {STDIN_FILENO}, 1);
        expect_word(fixture, "refused 9 Internal: an attachment without framing or tag");
        autofd int peer = add(fixture, 1, READER ", 'detach-keys': <'ctrl-'>", -1);
        settle(fixture);
        g_assert_true(g_str_has_prefix(fixture->words->pdata[fixture->n_taken], "refused 1 InvalidArgs: "));
        g_assert_false(fake_conmon_is_asked(fixture->conmon));
}

static void test_a_run_whose_place_in_the_log_is_not_known(Fixture *fixture, gconstpointer unused) {
        fake_conmon_log(fixture->conmon, "stdout", "of another run");
        fixture->plan.log = fixture->log;
        fixture->plan.log_start = "";
        begin_with_pair(fixture);
        autofd int peer = add(fixture, 1, READER ", 'from': <'run-start'>, 'run-start': <''>, 'follow': <false>", -1);
        expect_word(fixture, "refused 1 NoLogs: nobody knows where in the log the run begins; log-start and cursors lead into it");
        autofd int live = add(fixture, 2, READER ", 'from': <'run-start'>, 'run-start': <''>", -1);
        expect_word(fixture, "added 2"); /* all of it will be seen */
        fixture->output = fake_conmon_accept(fixture->conmon);
        fake_conmon_send(fixture->output, 2, "out", 3);
        expect_got(fixture, live, "out");
}

/* Who comes after the last byte and before the record has the code all the same. */
static void test_without_conmon_a_client_waits_for_the_end(Fixture *fixture, gconstpointer unused) {
        begin_with_pair(fixture);
        fake_conmon_stop(fixture->conmon);
        autofd int peer = add(fixture, 1, PACKETS, -1);
        expect_word(fixture, "added 1");
        autofd int other = add(fixture, 2, RAW, -1);
        expect_word(fixture, "added 2");
        g_assert_no_errno(send(other, "word", 4, MSG_NOSIGNAL));
        expect_silence(fixture);
        tell_end(fixture, "{'run': <uint64 1>, 'exit-code': <2>}");
        expect_word(fixture, "gone 1 {'job': <1>} 0 0 exited");
        expect_word(fixture, "gone 2 {'job': <2>} 4 0 exited");
        expect_got(fixture, peer, "\3{\"reason\":\"exited\",\"run\":1,\"exit-code\":2}");
}

static void test_words_that_are_not_known(Fixture *fixture, gconstpointer unused) {
        begin_with_pair(fixture);
        channel_send(fixture->channel, "dance", g_variant_new_parsed("@a{sv} {}"), NULL, 0);
        channel_send(fixture->channel, STREAM_ADD, g_variant_new_parsed("{'id': <uint64 1>, 'tag': <@a{sv} {}>, 'framing': <'raw'>, 'streams': <uint32 6>}"), NULL, 0); /* without a socket */
        channel_send(fixture->channel, STREAM_REMOVE, g_variant_new_parsed("{'id': <'text'>}"), NULL, 0);
        expect_silence(fixture);
        autofd int peer = add(fixture, 5, READER, -1);
        expect_word(fixture, "added 5");
}

/* --- ends --- */

static void test_end_of_the_run(Fixture *fixture, gconstpointer unused) {
        begin_with_pair(fixture);
        autofd int peer = add(fixture, 5, PACKETS, -1);
        expect_word(fixture, "added 5");
        fixture->output = fake_conmon_accept(fixture->conmon);
        fake_conmon_send(fixture->output, 2, "out ", 4); /* what waits is taken */
        tell_end(fixture, "{'run': <uint64 3>, 'exit-code': <42>}");
        tell_end(fixture, "{'run': <uint64 4>, 'exit-code': <43>}");
        expect_word(fixture, "gone 5 {'job': <5>} 0 4 exited");
        expect_got(fixture, peer, "\1out \3{\"reason\":\"exited\",\"run\":3,\"exit-code\":42}");
        expect_silence(fixture);
        g_assert_true(has_left(fixture));
}

static void test_streams_that_are_lost(Fixture *fixture, gconstpointer unused) {
        begin_with_pair(fixture);
        autofd int peer = add(fixture, 5, READER, -1), writer = add(fixture, 6, "'framing': <'raw'>, 'streams': <uint32 1>", -1);
        expect_word(fixture, "added 5");
        expect_word(fixture, "added 6");
        tell_end(fixture, "{'lost': <true>}");
        expect_word(fixture, "gone 5 {'job': <5>} 0 71 conmon died: the container may run on, but its streams are lost");
        expect_word(fixture, "gone 6 {'job': <6>} 0 71 conmon died: the container may run on, but its streams are lost");
        expect_got(fixture, peer, "Error: conmon died: the container may run on, but its streams are lost\n");
        g_assert_true(has_left(fixture));
}

/* A log that no socket takes at once: who reads it stays for a while. */
static char *write_long_log(Fixture *fixture) {
        GString *text = g_string_new(NULL);

        for (unsigned i = 0; i < 1000; i++) {
                g_autofree char *line = g_strnfill(1000, (char) ('a' + i % 26));
                fake_conmon_log(fixture->conmon, "stdout", line);
                g_string_append_printf(text, "%s\n", line);
        }
        fixture->plan.log = fixture->log;
        return g_string_free(text, FALSE);
}

static char *read_all(Fixture *fixture, int peer) {
        g_autoptr(GString) text = g_string_new(NULL);
        char bytes[65536];
        ssize_t n;

        do {
                settle(fixture);
                n = recv(peer, bytes, sizeof bytes, MSG_DONTWAIT);
                if (n > 0)
                        g_string_append_len(text, bytes, n);
        } while (n > 0);
        return g_string_free(g_steal_pointer(&text), FALSE);
}

static void test_one_that_comes_after_the_end(Fixture *fixture, gconstpointer unused) {
        g_autofree char *log = write_long_log(fixture), *last = g_strconcat(log, "\3{\"reason\":\"exited\",\"run\":3,\"exit-code\":42}", NULL);

        begin_with_pair(fixture);
        autofd int stays = add(fixture, 5, READER ", 'from': <'log-start'>", -1);
        expect_word(fixture, "added 5");
        tell_end(fixture, "{'run': <uint64 3>, 'exit-code': <42>}");
        tell_end(fixture, "{'run': <uint64 4>, 'exit-code': <43>}"); /* the first one counts */
        expect_silence(fixture);
        g_assert_false(has_left(fixture));
        fake_conmon_stop(fixture->conmon);
        autofd int late = add(fixture, 6, "'framing': <'packets'>, 'streams': <uint32 7>", -1); /* its input is nobody's */
        expect_word(fixture, "added 6");
        expect_word(fixture, "gone 6 {'job': <6>} 0 0 exited");
        expect_got(fixture, late, strrchr(last, '\3'));
        g_autofree char *found = read_all(fixture, stays);
        g_assert_cmpstr(found, ==, log);
        settle(fixture);
        g_assert_true(g_str_has_suffix(fixture->words->pdata[fixture->n_taken++], " exited"));
        g_assert_true(has_left(fixture));
}

static void test_what_is_written_later_is_not_of_a_log_that_is_not_followed(Fixture *fixture, gconstpointer unused) {
        g_autofree char *log = write_long_log(fixture);

        begin_with_pair(fixture);
        autofd int peer = add(fixture, 5, READER ", 'from': <'log-start'>, 'follow': <false>", -1);
        expect_word(fixture, "added 5");
        expect_silence(fixture);
        fake_conmon_log(fixture->conmon, "stdout", "later");
        g_autofree char *found = read_all(fixture, peer);
        g_assert_cmpstr(found, ==, log);
}

static void test_a_log_in_a_place_that_is_gone(Fixture *fixture, gconstpointer unused) {
        fixture->plan.log = "/nonexistent/directory/log";
        begin_with_pair(fixture);
        autofd int peer = add(fixture, 5, READER, -1);
        expect_word(fixture, "refused 5 Internal: watch the log: No such file or directory");
}

static void test_end_of_output_is_not_the_end(Fixture *fixture, gconstpointer unused) {
        begin_with_pair(fixture);
        autofd int peer = add(fixture, 5, READER, -1);
        expect_word(fixture, "added 5");
        fixture->output = fake_conmon_accept(fixture->conmon);
        fixture->output = close_fd(fixture->output);
        expect_silence(fixture);
        tell_end(fixture, "{'run': <uint64 3>, 'exit-code': <0>}");
        expect_word(fixture, "gone 5 {'job': <5>} 0 0 exited");
        g_assert_true(has_left(fixture));
}

static void test_it_leaves_when_conmon_has_gone_and_nobody_is_left(Fixture *fixture, gconstpointer unused) {
        begin_with_pair(fixture);
        autofd int peer = add(fixture, 5, READER, -1);
        expect_word(fixture, "added 5");
        g_assert_no_errno(eventfd_write(fixture->monitor, 1));
        expect_silence(fixture);
        g_assert_false(has_left(fixture));
        peer = close_fd(peer);
        expect_word(fixture, "gone 5 {'job': <5>} 0 0 client-closed");
        g_assert_true(has_left(fixture));
}

/* The service has connected before the server is started, and its word about the client is on its way. */
static void test_the_client_it_was_started_for_is_waited_for(Fixture *fixture, gconstpointer unused) {
        fixture->plan.control_fd = testing_listen(fixture->control_path, SOCK_SEQPACKET);
        fake_conmon_stop(fixture->conmon);
        g_assert_no_errno(eventfd_write(fixture->monitor, 1));
        begin(fixture);
        settle(fixture);
        g_assert_false(has_left(fixture));
        connect_control(fixture);
        expect_word(fixture, "hello []");
        g_assert_false(has_left(fixture));
        autofd int peer = add(fixture, 5, PACKETS, -1);
        expect_word(fixture, "added 5");
        tell_end(fixture, "{'run': <uint64 3>, 'exit-code': <4>}");
        expect_word(fixture, "gone 5 {'job': <5>} 0 0 exited");
        expect_got(fixture, peer, "\3{\"reason\":\"exited\",\"run\":3,\"exit-code\":4}");
        g_assert_true(has_left(fixture));
}

static void test_a_service_that_has_died_brings_nobody(Fixture *fixture, gconstpointer unused) {
        begin_listening(fixture);
        g_assert_no_errno(eventfd_write(fixture->monitor, 1));
        settle(fixture);
        g_assert_false(has_left(fixture));
        g_clear_pointer(&fixture->channel, channel_free);
        settle(fixture);
        g_assert_true(has_left(fixture));
}

static void test_a_pair_that_is_closed_brings_nobody(Fixture *fixture, gconstpointer unused) {
        begin_with_pair(fixture);
        autofd int peer = add(fixture, 5, READER, -1);
        expect_word(fixture, "added 5");
        g_clear_pointer(&fixture->channel, channel_free);
        settle(fixture);
        g_assert_false(has_left(fixture)); /* the client stays attached */
        fixture->output = fake_conmon_accept(fixture->conmon);
        fake_conmon_send(fixture->output, 2, "out", 3);
        expect_got(fixture, peer, "out");
        peer = close_fd(peer); /* its end can be told to nobody */
        settle(fixture);
        g_assert_true(has_left(fixture));
}

/* --- lives of the service --- */

static void test_the_next_service_finds_the_clients(Fixture *fixture, gconstpointer unused) {
        begin_listening(fixture);
        autofd int one = add(fixture, 1, READER, -1), other = add(fixture, 2, READER, -1);
        expect_word(fixture, "added 1");
        expect_word(fixture, "added 2");
        g_clear_pointer(&fixture->channel, channel_free); /* the service was killed */
        settle(fixture);
        one = close_fd(one);
        settle(fixture);
        g_assert_false(has_left(fixture));
        connect_control(fixture);
        expect_word(fixture, "gone 1 {'job': <1>} 0 0 client-closed"); /* which nobody had heard */
        expect_word(fixture, "hello [(2, {'job': <2>})]");
        expect_silence(fixture);
        connect_control(fixture);
        expect_word(fixture, "hello [(2, {'job': <2>})]");
        expect_silence(fixture); /* once */
}

static void test_a_report_that_nobody_has_heard_keeps_it(Fixture *fixture, gconstpointer unused) {
        begin_listening(fixture);
        autofd int peer = add(fixture, 1, READER, -1);
        expect_word(fixture, "added 1");
        g_clear_pointer(&fixture->channel, channel_free);
        settle(fixture);
        g_assert_no_errno(eventfd_write(fixture->monitor, 1));
        peer = close_fd(peer);
        settle(fixture);
        g_assert_false(has_left(fixture));
        connect_control(fixture);
        expect_word(fixture, "gone 1 {'job': <1>} 0 0 client-closed");
        expect_word(fixture, "hello []");
        g_clear_pointer(&fixture->channel, channel_free);
        settle(fixture);
        g_assert_true(has_left(fixture));
}

static void test_one_that_listens_stays_while_the_run_goes_on(Fixture *fixture, gconstpointer unused) {
        begin_listening(fixture);
        g_clear_pointer(&fixture->channel, channel_free);
        settle(fixture);
        g_assert_false(has_left(fixture));
}

/* The output of a short run may have ended before the service has connected. */
static void test_the_first_connection_is_waited_for(Fixture *fixture, gconstpointer unused) {
        fixture->plan.control_fd = testing_listen(fixture->control_path, SOCK_SEQPACKET);
        fixture->plan.log_start = "0:0";
        begin(fixture);
        fixture->output = fake_conmon_accept(fixture->conmon);
        fake_conmon_send(fixture->output, 2, "all", 3);
        fixture->output = close_fd(fixture->output);
        settle(fixture);
        g_assert_false(has_left(fixture));
        connect_control(fixture);
        expect_word(fixture, "hello []");
        autofd int peer = add(fixture, 1, READER ", 'from': <'run-start'>", -1);
        expect_word(fixture, "added 1");
        expect_got(fixture, peer, "all");
}

static void test_the_latest_connection_counts(Fixture *fixture, gconstpointer unused) {
        begin_listening(fixture);
        Channel *former = fixture->channel;
        fixture->channel = NULL;
        connect_control(fixture);
        expect_word(fixture, "hello []");
        settle(fixture);
        g_assert_cmpuint(fixture->n_closed, ==, 1);
        channel_free(former);
        autofd int peer = add(fixture, 1, READER, -1);
        expect_word(fixture, "added 1");
}

static int on_child(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        *(unsigned *) userdata = 1;
        return sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

/* Everything that would be for the service would be for anybody who can open its socket. */
static void test_strangers_are_refused(Fixture *fixture, gconstpointer unused) {
        g_autoptr(sd_event_source) source = NULL;
        unsigned ended = 0;
        int status = 0, pipe_fds[2];

        begin_listening(fixture);
        g_assert_no_errno(chmod(fixture->conmon->directory, 0755));
        g_assert_no_errno(chmod(fixture->control_path, 0777));
        g_assert_no_errno(pipe2(pipe_fds, O_CLOEXEC));
        pid_t pid = fork();
        if (pid == 0) {
                if (setresuid(65534, 65534, 65534) < 0)
                        _exit(2);
                int fd = dial(fixture->control_path);
                _exit(recv(fd, &(char) {0}, 1, 0) == 0 ? 0 : 1);
        }
        autofd int end = pipe_fds[0];
        close(pipe_fds[1]); /* the child's copy goes with it */
        g_assert_cmpint(sd_event_add_io(fixture->event, &source, end, EPOLLIN, on_child, &ended), >=, 0);
        testing_run_until_count(fixture->event, &ended, 1);
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_cmpint(status, ==, 0);
        expect_silence(fixture);
        autofd int peer = add(fixture, 1, READER, -1); /* ours has not been replaced */
        expect_word(fixture, "added 1");
}

/* --- where output comes from --- */

static void test_from_the_first_byte_on(Fixture *fixture, gconstpointer unused) {
        fixture->plan.log_start = "0:0";
        begin_with_pair(fixture);
        fixture->output = fake_conmon_accept(fixture->conmon); /* before anybody has asked for anything */
        fake_conmon_send(fixture->output, 2, "one ", 4);
        settle(fixture);
        autofd int now = add(fixture, 1, READER, -1), start = add(fixture, 2, READER ", 'from': <'run-start'>", -1);
        expect_word(fixture, "added 1");
        expect_word(fixture, "added 2");
        fake_conmon_send(fixture->output, 2, "two", 3);
        expect_got(fixture, now, "two");
        expect_got(fixture, start, "one two"); /* though there is no log */
}

static void test_a_run_that_began_before_is_read_from_the_log(Fixture *fixture, gconstpointer unused) {
        fixture->plan.log = fixture->log;
        fake_conmon_log(fixture->conmon, "stdout", "one");
        begin_with_pair(fixture);
        autofd int now = add(fixture, 1, READER, -1), start = add(fixture, 2, READER ", 'from': <'run-start'>, 'run-start': <'0:0'>", -1), log = add(fixture, 3, PACKETS ", 'from': <'log-start'>, 'records': <true>", -1);
        expect_word(fixture, "added 1");
        expect_word(fixture, "added 2");
        expect_word(fixture, "added 3");
        expect_got(fixture, now, "");
        expect_got(fixture, start, "one\n");
        expect_got(fixture, log, "\1one\n");
        fake_conmon_log(fixture->conmon, "stderr", "two");
        fake_conmon_log(fixture->conmon, "stderr", "three");
        expect_got(fixture, now, "two\nthree\n");
        expect_got(fixture, start, "two\nthree\n");
        expect_got(fixture, log, "\2two\nthree\n"); /* framing packets */
        g_assert_false(fake_conmon_is_asked(fixture->conmon)); /* who reads the log needs no conmon */
        tell_end(fixture, "{'run': <uint64 3>, 'exit-code': <0>}");
        expect_word(fixture, "gone 1 {'job': <1>} 0 10 exited");
        expect_word(fixture, "gone 2 {'job': <2>} 0 14 exited");
        expect_word(fixture, "gone 3 {'job': <3>} 0 14 exited");
        g_assert_true(has_left(fixture));
}

static void test_without_following_the_log_ends(Fixture *fixture, gconstpointer unused) {
        fixture->plan.log = fixture->log;
        fake_conmon_log(fixture->conmon, "stdout", "one");
        begin_with_pair(fixture);
        autofd int peer = add(fixture, 1, "'framing': <'packets'>, 'streams': <uint32 7>, 'from': <'log-start'>, 'follow': <false>", -1);
        expect_word(fixture, "added 1");
        expect_word(fixture, "gone 1 {'job': <1>} 0 4 log-end");
        expect_got(fixture, peer, "\1one\n\3{\"reason\":\"log-end\"}");
        g_assert_false(fake_conmon_is_asked(fixture->conmon)); /* nor its input */
}

static void test_places_in_the_log_that_do_not_exist(Fixture *fixture, gconstpointer unused) {
        static const char *const places[] = {"nonsense", "63:0", "1:7fffffff", ""};

        fixture->plan.log = fixture->log;
        fake_conmon_log(fixture->conmon, "stdout", "one");
        begin_with_pair(fixture);
        for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
                g_autofree char *fields = g_strdup_printf(READER ", 'from': <'%s'>", places[i]);
                unsigned before = testing_count_descriptors();
                autofd int peer = add(fixture, 1, fields, -1);
                settle(fixture);
                g_assert_true(g_str_has_prefix(fixture->words->pdata[fixture->n_taken++], "refused 1 InvalidArgs: "));
                g_assert_cmpuint(testing_count_descriptors(), ==, before + 1);
        }
}

static void test_a_start_that_the_ring_has_lost_and_no_log_has(Fixture *fixture, gconstpointer unused) {
        g_autofree char *filling = g_strnfill(RING_FRAME_MAX, 'x');

        fixture->plan.log_start = "0:0";
        begin_with_pair(fixture);
        fixture->output = fake_conmon_accept(fixture->conmon);
        for (unsigned i = 0; i < RING_SIZE / RING_FRAME_MAX + 4; i++) {
                fake_conmon_send(fixture->output, 2, filling, RING_FRAME_MAX);
                settle(fixture);
        }
        autofd int peer = add(fixture, 1, READER ", 'from': <'run-start'>", -1);
        expect_word(fixture, "refused 1 NoLogs: the container's log driver keeps no log that can be read");
        autofd int now = add(fixture, 2, READER, -1);
        expect_word(fixture, "added 2");
}

static void test_with_a_log_what_was_comes_from_it(Fixture *fixture, gconstpointer unused) {
        fixture->plan.log = fixture->log;
        fixture->plan.log_start = "0:0";
        fake_conmon_log(fixture->conmon, "stdout", "first");
        begin_with_pair(fixture);
        fixture->output = fake_conmon_accept(fixture->conmon);
        fake_conmon_send(fixture->output, 2, "of the socket", 13);
        settle(fixture);
        autofd int start = add(fixture, 1, READER ", 'from': <'run-start'>", -1), now = add(fixture, 2, READER, -1);
        expect_word(fixture, "added 1");
        expect_word(fixture, "added 2");
        fake_conmon_send(fixture->output, 2, "live", 4);
        expect_got(fixture, start, "first\n");
        expect_got(fixture, now, "live");
}

static void test_a_slow_client_is_the_only_one_to_go(Fixture *fixture, gconstpointer unused) {
        g_autofree char *filling = g_strnfill(RING_FRAME_MAX, 'x');
        char bytes[65536];

        begin_with_pair(fixture);
        autofd int slow = add(fixture, 1, READER, -1), quick = add(fixture, 2, READER, -1);
        expect_word(fixture, "added 1");
        expect_word(fixture, "added 2");
        fixture->output = fake_conmon_accept(fixture->conmon);
        for (unsigned i = 0; i < 2 * RING_SIZE / RING_FRAME_MAX; i++) {
                fake_conmon_send(fixture->output, 2, filling, RING_FRAME_MAX);
                settle(fixture);
                while (recv(quick, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
                        settle(fixture);
        }
        g_assert_cmpuint(fixture->words->len, ==, fixture->n_taken + 1);
        g_assert_true(g_str_has_suffix(fixture->words->pdata[fixture->n_taken], " the client has not read its streams in time"));
        fixture->n_taken++;
        fake_conmon_send(fixture->output, 2, "quick", 5);
        expect_got(fixture, quick, "quick");
}

/* --- StdinOnce --- */

static void test_connections_are_lent_to_the_service(Fixture *fixture, gconstpointer unused) {
        fixture->plan.stdin_once = true;
        begin_with_pair(fixture);
        g_assert_cmpint(fixture->hello_fds[0], <, 0);
        autofd int peer = add(fixture, 1, RAW, -1);
        expect_word(fixture, "hello [(1, {'job': <1>})]");
        expect_word(fixture, "added 1");
        g_assert_cmpint(fixture->hello_fds[0], >=, 0);
        g_assert_cmpint(fixture->hello_fds[1], >=, 0);
        autofd int input = fake_conmon_accept(fixture->conmon);
        g_assert_cmpint(send(fixture->hello_fds[0], "x", 1, 0), ==, 1); /* the first one is for input */
        g_autofree char *read = fake_conmon_read(input, NULL, NULL);
        g_assert_cmpstr(read, ==, "x");
        autofd int other = add(fixture, 2, RAW, -1);
        expect_word(fixture, "added 2"); /* once */
        g_assert_no_errno(shutdown(peer, SHUT_WR));
        settle(fixture);
        g_autofree char *end = fake_conmon_read(input, NULL, NULL);
        g_assert_null(end);
}

/* --- beginnings that fail --- */

static void expect_no_server(Fixture *fixture, ConbusError code, const char *part) {
        g_autoptr(GError) error = NULL;

        g_assert_null(server_new(fixture->event, &fixture->plan, &error));
        testing_expect_error(&error, code, part);
}

static void test_a_start_that_is_no_place(Fixture *fixture, gconstpointer unused) {
        fixture->plan.control_fd = testing_listen(fixture->control_path, SOCK_SEQPACKET);
        fixture->plan.log_start = "nonsense";
        expect_no_server(fixture, CONBUS_ERROR_INVALID_ARGS, "nonsense");
}

static void test_a_start_without_a_way_to_conmon(Fixture *fixture, gconstpointer unused) {
        g_autofree char *path = g_build_filename(fixture->conmon->directory, "attach", NULL);

        fixture->plan.control_fd = testing_listen(fixture->control_path, SOCK_SEQPACKET);
        fixture->plan.log_start = "0:0";
        fake_conmon_stop(fixture->conmon);
        (void) unlink(path);
        autofd int other = testing_listen(path, SOCK_STREAM);
        expect_no_server(fixture, CONBUS_ERROR_INTERNAL, "connect to conmon");
}

static void test_a_monitor_that_cannot_be_watched(Fixture *fixture, gconstpointer unused) {
        fixture->plan.control_fd = testing_listen(fixture->control_path, SOCK_SEQPACKET);
        close_fd(fixture->plan.monitor_fd);
        fixture->plan.monitor_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        g_autofree char *path = g_build_filename(fixture->conmon->directory, "file", NULL);
        testing_write(fixture->conmon->directory, "file", "");
        close_fd(fixture->plan.monitor_fd);
        fixture->plan.monitor_fd = open(path, O_RDONLY | O_CLOEXEC); /* epoll takes no regular files */
        expect_no_server(fixture, CONBUS_ERROR_INTERNAL, "watch conmon");
}

static void test_whoever_is_there_at_the_end_is_closed(Fixture *fixture, gconstpointer unused) {
        begin_listening(fixture);
        autofd int peer = add(fixture, 1, RAW, -1);
        expect_word(fixture, "added 1");
        g_clear_pointer(&fixture->server, server_free);
        g_assert_cmpint(recv(peer, &(char) {0}, 1, MSG_DONTWAIT), ==, 0);
        expect_silence(fixture);
        g_assert_cmpuint(fixture->n_closed, ==, 1);
}

#define ADD(name, function) g_test_add("/server/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD("a-client-comes-and-goes", test_a_client_comes_and_goes);
        ADD("clients-share-connections", test_clients_share_connections);
        ADD("cancelling", test_cancelling);
        ADD("what-cannot-be-added-is-refused", test_what_cannot_be_added_is_refused);
        ADD("a-run-whose-place-in-the-log-is-not-known", test_a_run_whose_place_in_the_log_is_not_known);
        ADD("without-conmon-a-client-waits-for-the-end", test_without_conmon_a_client_waits_for_the_end);
        ADD("words-that-are-not-known", test_words_that_are_not_known);
        ADD("end-of-the-run", test_end_of_the_run);
        ADD("streams-that-are-lost", test_streams_that_are_lost);
        ADD("one-that-comes-after-the-end", test_one_that_comes_after_the_end);
        ADD("end-of-output-is-not-the-end", test_end_of_output_is_not_the_end);
        ADD("it-leaves-when-conmon-has-gone-and-nobody-is-left", test_it_leaves_when_conmon_has_gone_and_nobody_is_left);
        ADD("the-client-it-was-started-for-is-waited-for", test_the_client_it_was_started_for_is_waited_for);
        ADD("a-service-that-has-died-brings-nobody", test_a_service_that_has_died_brings_nobody);
        ADD("a-pair-that-is-closed-brings-nobody", test_a_pair_that_is_closed_brings_nobody);
        ADD("the-next-service-finds-the-clients", test_the_next_service_finds_the_clients);
        ADD("a-report-that-nobody-has-heard-keeps-it", test_a_report_that_nobody_has_heard_keeps_it);
        ADD("one-that-listens-stays-while-the-run-goes-on", test_one_that_listens_stays_while_the_run_goes_on);
        ADD("the-first-connection-is-waited-for", test_the_first_connection_is_waited_for);
        ADD("what-is-written-later-is-not-of-a-log-that-is-not-followed", test_what_is_written_later_is_not_of_a_log_that_is_not_followed);
        ADD("a-log-in-a-place-that-is-gone", test_a_log_in_a_place_that_is_gone);
        ADD("the-latest-connection-counts", test_the_latest_connection_counts);
        ADD("strangers-are-refused", test_strangers_are_refused);
        ADD("from-the-first-byte-on", test_from_the_first_byte_on);
        ADD("a-run-that-began-before-is-read-from-the-log", test_a_run_that_began_before_is_read_from_the_log);
        ADD("without-following-the-log-ends", test_without_following_the_log_ends);
        ADD("places-in-the-log-that-do-not-exist", test_places_in_the_log_that_do_not_exist);
        ADD("a-start-that-the-ring-has-lost-and-no-log-has", test_a_start_that_the_ring_has_lost_and_no_log_has);
        ADD("with-a-log-what-was-comes-from-it", test_with_a_log_what_was_comes_from_it);
        ADD("a-slow-client-is-the-only-one-to-go", test_a_slow_client_is_the_only_one_to_go);
        ADD("connections-are-lent-to-the-service", test_connections_are_lent_to_the_service);
        ADD("a-start-that-is-no-place", test_a_start_that_is_no_place);
        ADD("a-start-without-a-way-to-conmon", test_a_start_without_a_way_to_conmon);
        ADD("a-monitor-that-cannot-be-watched", test_a_monitor_that_cannot_be_watched);
        ADD("whoever-is-there-at-the-end-is-closed", test_whoever_is_there_at_the_end_is_closed);
        return g_test_run();
}
