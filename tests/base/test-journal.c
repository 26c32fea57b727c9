/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Entries as they arrive at a socket in journald's place, and what happens when nobody reads or listens there. */

#include "base/journal.h"
#include "testing.h"
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct Fixture {
        char *directory, *path;
        int journal;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer unused) {
        fixture->directory = testing_directory_new();
        fixture->path = g_build_filename(fixture->directory, "socket", NULL);
        fixture->journal = testing_listen(fixture->path, SOCK_DGRAM);
        journal_set_socket(fixture->path);
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        journal_set_socket("/no/such/socket");
        fixture->journal = close_fd(fixture->journal);
        testing_directory_free(fixture->directory);
        g_free(fixture->path);
}

/* The next field of a datagram: its value, which is not ended by a NUL. */
static const char *take_field(const char **position, const char *end, const char *name, gsize *ret_size) {
        gsize length = strlen(name);
        guint64 size;

        g_assert_cmpint(end - *position, >, length + 1 + sizeof size);
        g_assert_cmpmem(*position, length, name, length);
        g_assert_cmpint((*position)[length], ==, '\n');
        memcpy(&size, *position + length + 1, sizeof size);
        *ret_size = GUINT64_FROM_LE(size);
        const char *value = *position + length + 1 + sizeof size;
        g_assert_cmpint(end - value, >, *ret_size);
        g_assert_cmpint(value[*ret_size], ==, '\n');
        *position = value + *ret_size + 1;
        return value;
}

static gsize receive(Fixture *fixture, char *data, gsize size) {
        ssize_t n = recv(fixture->journal, data, size, MSG_DONTWAIT);

        g_assert_cmpint(n, >, 0);
        return (gsize) n;
}

static void test_whatever_a_value_holds_it_stays_one_value(Fixture *fixture, gconstpointer unused) {
        static const struct {
                const char *given, *arrives;
        } values[] = {
                {"plain", "plain"}, {"", ""}, {"two\nMESSAGE=forged\nlines\n", "two\nMESSAGE=forged\nlines\n"}, {"\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9"}, {"no \xff\xfe text", "no \xef\xbf\xbd\xef\xbf\xbd text"}, {"=", "="},
        };
        g_autoptr(JournalEntry) entry = journal_entry_new();
        char data[4096];
        gsize size;

        for (size_t i = 0; i < G_N_ELEMENTS(values); i++)
                journal_entry_add(entry, "CONBUS_VALUE", values[i].given);
        journal_entry_add_number(entry, "CONBUS_NUMBER", -7);
        g_assert_cmpint(journal_send(entry), ==, JOURNAL_SENT);
        const char *position = data, *end = data + receive(fixture, data, sizeof data);
        for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
                const char *value = take_field(&position, end, "CONBUS_VALUE", &size);
                g_assert_cmpmem(value, size, values[i].arrives, strlen(values[i].arrives));
        }
        const char *number = take_field(&position, end, "CONBUS_NUMBER", &size);
        g_assert_cmpmem(number, size, "-7", 2);
        g_assert_true(position == end);
}

static void test_a_long_value_is_cut_between_two_characters(Fixture *fixture, gconstpointer unused) {
        g_autoptr(JournalEntry) entry = journal_entry_new();
        g_autoptr(GString) text = g_string_new("x");
        char data[8192];
        gsize size;

        while (text->len < 5000)
                g_string_append(text, "\xe2\x82\xac");
        journal_entry_add(entry, "LONG", text->str);
        journal_entry_add(entry, "NEXT", "here");
        g_assert_cmpint(journal_send(entry), ==, JOURNAL_SENT);
        const char *position = data, *end = data + receive(fixture, data, sizeof data), *value = take_field(&position, end, "LONG", &size);
        g_assert_cmpuint(size, ==, 2047);
        g_assert_true(g_utf8_validate_len(value, size, NULL));
        value = take_field(&position, end, "NEXT", &size);
        g_assert_cmpmem(value, size, "here", 4);
}

/* Were the socket blocking the test would hang here. */
static void test_a_journal_that_does_not_read_is_not_waited_for(Fixture *fixture, gconstpointer unused) {
        g_autoptr(JournalEntry) entry = journal_entry_new();
        JournalOutcome outcome;
        unsigned n = 0;
        char data[64];

        journal_entry_add(entry, "A", "b");
        while ((outcome = journal_send(entry)) == JOURNAL_SENT && n < 1000000)
                n++;
        g_assert_cmpint(outcome, ==, JOURNAL_FULL);
        while (recv(fixture->journal, data, sizeof data, MSG_DONTWAIT) > 0)
                n--;
        g_assert_cmpuint(n, ==, 0);
        g_assert_cmpint(journal_send(entry), ==, JOURNAL_SENT);
}

static void test_where_there_is_no_journal_nothing_is_sent(Fixture *fixture, gconstpointer unused) {
        g_autoptr(JournalEntry) entry = journal_entry_new();
        unsigned n = testing_count_descriptors();

        journal_entry_add(entry, "A", "b");
        journal_set_socket("/no/such/socket");
        g_assert_cmpint(journal_send(entry), ==, JOURNAL_ABSENT);
        g_autofree char *long_path = g_strnfill(200, 'x');
        journal_set_socket(long_path);
        g_assert_cmpint(journal_send(entry), ==, JOURNAL_ABSENT);
        g_assert_cmpuint(testing_count_descriptors(), ==, n);
}

static void test_a_journal_that_comes_back_is_found_again(Fixture *fixture, gconstpointer unused) {
        g_autoptr(JournalEntry) entry = journal_entry_new();
        char data[64];

        journal_entry_add(entry, "A", "b");
        g_assert_cmpint(journal_send(entry), ==, JOURNAL_SENT);
        fixture->journal = close_fd(fixture->journal);
        g_assert_cmpint(journal_send(entry), ==, JOURNAL_ABSENT);
        g_assert_cmpint(unlink(fixture->path), ==, 0);
        fixture->journal = testing_listen(fixture->path, SOCK_DGRAM);
        g_assert_cmpint(journal_send(entry), ==, JOURNAL_SENT);
        receive(fixture, data, sizeof data);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/journal/whatever-a-value-holds-it-stays-one-value", Fixture, NULL, set_up, test_whatever_a_value_holds_it_stays_one_value, tear_down);
        g_test_add("/journal/a-long-value-is-cut-between-two-characters", Fixture, NULL, set_up, test_a_long_value_is_cut_between_two_characters, tear_down);
        g_test_add("/journal/a-journal-that-does-not-read-is-not-waited-for", Fixture, NULL, set_up, test_a_journal_that_does_not_read_is_not_waited_for, tear_down);
        g_test_add("/journal/where-there-is-no-journal-nothing-is-sent", Fixture, NULL, set_up, test_where_there_is_no_journal_nothing_is_sent, tear_down);
        g_test_add("/journal/a-journal-that-comes-back-is-found-again", Fixture, NULL, set_up, test_a_journal_that_comes_back_is_found_again, tear_down);
        return g_test_run();
}
