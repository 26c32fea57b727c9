/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What goes into a message comes out the same, of every type and at every edge; what cannot be read says so and leaves nothing open. */

#include "base/variant.h"
#include "testing.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

typedef struct Fixture {
        sd_bus *bus; /* over a pair of sockets; nothing is sent on it */
        int peer;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer unused) {
        int ends[2];
        sd_id128_t id;

        g_assert_no_errno(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends));
        g_assert_cmpint(sd_id128_randomize(&id), >=, 0);
        g_assert_cmpint(sd_bus_new(&fixture->bus), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(fixture->bus, ends[0], ends[0]), >=, 0);
        g_assert_cmpint(sd_bus_set_server(fixture->bus, true, id), >=, 0);
        g_assert_cmpint(sd_bus_set_anonymous(fixture->bus, true), >=, 0);
        g_assert_cmpint(sd_bus_negotiate_fds(fixture->bus, true), >=, 0);
        g_assert_cmpint(sd_bus_start(fixture->bus), >=, 0);
        fixture->peer = ends[1];
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        sd_bus_close_unref(fixture->bus);
        close_fd(fixture->peer);
}

static sd_bus_message *message_new(Fixture *fixture) {
        sd_bus_message *message = NULL;

        g_assert_cmpint(sd_bus_message_new_signal(fixture->bus, &message, "/a", "a.b", "C"), >=, 0);
        return message;
}

static void seal(sd_bus_message *message) {
        g_assert_cmpint(sd_bus_message_seal(message, 1, 0), >=, 0);
        g_assert_cmpint(sd_bus_message_rewind(message, true), >=, 0);
}

static GVariant *parse(const char *text) {
        g_autoptr(GError) error = NULL;
        GVariant *value = g_variant_parse(NULL, text, NULL, NULL, &error);

        g_assert_no_error(error);
        return value;
}

static void test_every_type_comes_back(Fixture *fixture, gconstpointer unused) {
        static const char *const texts[] = {
                "byte 0x00", "byte 0xff", "true", "false", "int16 -32768", "int16 32767", "uint16 65535", "-2147483648", "uint32 4294967295", "int64 -9223372036854775808", "uint64 18446744073709551615",
                "-0.0", "1.7976931348623157e308", "''", "'ä\\n'", "objectpath '/'", "objectpath '/a/b_1'", "signature ''", "signature 'a{sv}(ii)'",
                "@as []", "['a', '']", "@a{sv} {}", "@a(sv) []", "@aay []", "[@ay [], [byte 1]]", "(1, 'a', true)", "(byte 1, (int64 2, [@as []]))", "{'a': <1>, 'b': <@a{sv} {'c': <['d']>}>}",
                "@a{ub} {1: true, 2: false}", "<<<'deep'>>>", "<(1, <@as []>)>", "[<1>, <'a'>, <true>]", "@a(tt) [(1, 2), (3, 4)]", "b'bytes'",
        };
        g_autoptr(sd_bus_message) message = message_new(fixture);

        for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
                g_autoptr(GVariant) value = parse(texts[i]);
                g_assert_cmpint(variant_append(message, value), >=, 0);
        }
        seal(message);
        for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
                g_autoptr(GVariant) wanted = parse(texts[i]);
                g_autoptr(GError) error = NULL;
                g_autoptr(GVariant) found = variant_read(message, g_variant_get_type_string(wanted), NULL, &error);
                g_assert_no_error(error);
                g_assert_cmpvariant(found, wanted);
                g_assert_false(g_variant_is_floating(found));
        }
        g_assert_cmpint(sd_bus_message_at_end(message, true), ==, 1);
}

static void test_what_the_bus_cannot_carry_is_not_appended(Fixture *fixture, gconstpointer unused) {
        static const char *const texts[] = {"@mi 1", "@ms nothing", "[@mi 1]", "<@mi 1>", "handle 0", "[handle 0]", "()", "@a() []", "<()>", "(1, ())"};

        for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
                g_autoptr(sd_bus_message) message = message_new(fixture);
                g_autoptr(GVariant) value = parse(texts[i]);
                if (variant_append(message, value) >= 0)
                        g_error("%s is appended", texts[i]);
        }
}

static void test_depth_has_an_end(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GVariant) value = g_variant_ref_sink(g_variant_new_string("bottom"));
        unsigned n = 0;
        int r;

        do { /* as deep as sd-bus allows comes back, one more is refused when it is written */
                g_autoptr(sd_bus_message) message = message_new(fixture);
                g_autoptr(GVariant) found = NULL, inner = g_steal_pointer(&value);
                g_autoptr(GError) error = NULL;
                value = g_variant_ref_sink(g_variant_new_variant(inner));
                r = variant_append(message, value);
                if (r < 0)
                        break;
                seal(message);
                found = variant_read(message, "v", NULL, &error);
                g_assert_no_error(error);
                g_assert_cmpvariant(found, value);
        } while (++n < 1000);
        g_assert_cmpint(r, <, 0);
        g_assert_cmpuint(n, >=, 32);
}

static void test_type_is_checked(Fixture *fixture, gconstpointer unused) {
        g_autoptr(sd_bus_message) message = message_new(fixture);
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) value = NULL;

        g_assert_cmpint(sd_bus_message_append(message, "sas", "a", 1, "b"), >=, 0);
        seal(message);
        g_assert_null(variant_read(message, "u", NULL, &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_ARGS, "an argument has the type s instead of u");
        value = variant_read(message, NULL, NULL, &error); /* whatever it is */
        g_assert_no_error(error);
        g_assert_cmpstr(g_variant_get_type_string(value), ==, "as");
}

static void test_no_more_values_is_an_error(Fixture *fixture, gconstpointer unused) {
        g_autoptr(sd_bus_message) message = message_new(fixture);
        g_autoptr(GError) error = NULL;

        g_assert_null(variant_read(message, "s", NULL, &error)); /* it is still being written */
        testing_expect_error(&error, CONBUS_ERROR_INVALID_ARGS, "the message cannot be read");
        seal(message);
        g_assert_null(variant_read(message, "s", NULL, &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_ARGS, "the message cannot be read");
}

static void test_descriptors_become_indices(Fixture *fixture, gconstpointer unused) {
        g_autoptr(sd_bus_message) message = message_new(fixture);
        g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
        g_autoptr(GError) error = NULL;
        int pipe_fds[2];

        g_assert_no_errno(pipe2(pipe_fds, O_CLOEXEC));
        g_assert_cmpint(sd_bus_message_append(message, "a{sv}", 2, "a", "h", pipe_fds[0], "b", "ah", 1, pipe_fds[1]), >=, 0);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        seal(message);
        g_autoptr(GVariant) value = variant_read(message, "a{sv}", fds, &error);
        g_assert_no_error(error);
        g_autofree char *text = g_variant_print(value, false);
        g_assert_cmpstr(text, ==, "{'a': <handle 0>, 'b': <[handle 1]>}");
        g_assert_cmpuint(fds->len, ==, 2);
        g_clear_pointer(&message, sd_bus_message_unref); /* they are duplicates, and not for children */
        autofd int reading = g_array_index(fds, int, 0), writing = g_array_index(fds, int, 1);
        g_assert_cmpint(fcntl(reading, F_GETFD), ==, FD_CLOEXEC);
        g_assert_cmpint(write(writing, "x", 1), ==, 1);
        g_assert_cmpint(read(reading, &(char) {0}, 1), ==, 1);
}

static void test_descriptors_that_are_not_wanted_are_refused(Fixture *fixture, gconstpointer unused) {
        unsigned before = testing_count_descriptors();
        g_autoptr(sd_bus_message) message = message_new(fixture);
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(sd_bus_message_append(message, "a{sv}", 2, "a", "s", "text", "b", "h", STDIN_FILENO), >=, 0);
        seal(message);
        g_assert_null(variant_read(message, "a{sv}", NULL, &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_ARGS, "a descriptor is not possible here");
        g_clear_pointer(&message, sd_bus_message_unref);
        g_assert_cmpuint(testing_count_descriptors(), ==, before);
}

#define ADD(name, function) g_test_add("/variant/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD("every-type-comes-back", test_every_type_comes_back);
        ADD("what-the-bus-cannot-carry-is-not-appended", test_what_the_bus_cannot_carry_is_not_appended);
        ADD("depth-has-an-end", test_depth_has_an_end);
        ADD("type-is-checked", test_type_is_checked);
        ADD("no-more-values-is-an-error", test_no_more_values_is_an_error);
        ADD("descriptors-become-indices", test_descriptors_become_indices);
        ADD("descriptors-that-are-not-wanted-are-refused", test_descriptors_that_are_not_wanted_are_refused);
        return g_test_run();
}
