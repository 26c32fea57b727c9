/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The native protocol: each field is its name, a newline, the length of the value in 64 bits, the value and a newline. The shorter form for values without newlines is not used, so that no value can be taken for another field.
 * An entry is far smaller than a datagram may be, so the protocol's other form, a file, is never needed. */

#include "base/journal.h"
#include "base/auto.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define VALUE_MAX 2048

struct JournalEntry {
        GByteArray *bytes;
};

static const char *socket_path = "/run/systemd/journal/socket";
static int socket_fd = -1;

void journal_set_socket(const char *path) {
        socket_path = path;
        socket_fd = close_fd(socket_fd);
}

JournalEntry *journal_entry_new(void) {
        JournalEntry *entry = g_new0(JournalEntry, 1);

        entry->bytes = g_byte_array_new();
        return entry;
}

void journal_entry_free(JournalEntry *entry) {
        if (!entry)
                return;
        g_byte_array_unref(entry->bytes);
        g_free(entry);
}

static void append(JournalEntry *entry, const void *data, gsize size) {
        g_byte_array_append(entry->bytes, data, (guint) size);
}

void journal_entry_add(JournalEntry *entry, const char *field, const char *value) {
        g_autofree char *text = g_utf8_make_valid(value, (gssize) strnlen(value, VALUE_MAX + 1));
        const char *end = text + strlen(text);

        if (end - text > VALUE_MAX) /* not in the middle of a character */
                end = g_utf8_find_prev_char(text, text + VALUE_MAX + 1);
        guint64 size = GUINT64_TO_LE((guint64) (end - text));
        append(entry, field, strlen(field));
        append(entry, "\n", 1);
        append(entry, &size, sizeof size);
        append(entry, text, (gsize) (end - text));
        append(entry, "\n", 1);
}

void journal_entry_add_number(JournalEntry *entry, const char *field, gint64 value) {
        g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, value);

        journal_entry_add(entry, field, text);
}

static int open_socket(void) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        autofd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0 || g_strlcpy(address.sun_path, socket_path, sizeof address.sun_path) >= sizeof address.sun_path || connect(fd, (struct sockaddr *) &address, sizeof address) < 0)
                return -1;
        return steal_fd(&fd);
}

static bool is_full(int number) {
        return number == EAGAIN || number == ENOBUFS || number == ENOMEM;
}

JournalOutcome journal_send(const JournalEntry *entry) {
        /* The second time for a journal whose socket has been made anew. */
        for (int i = 0; i < 2; i++) {
                if (socket_fd < 0 && (socket_fd = open_socket()) < 0)
                        return JOURNAL_ABSENT;
                if (send(socket_fd, entry->bytes->data, entry->bytes->len, MSG_NOSIGNAL) >= 0)
                        return JOURNAL_SENT;
                if (is_full(errno))
                        return JOURNAL_FULL;
                socket_fd = close_fd(socket_fd);
        }
        return JOURNAL_ABSENT;
}
