/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Entries with fields for the journal, by its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL). One entry is one datagram on a socket that never blocks; sd_journal_sendv(3) would wait while journald does not read. */

#include <glib.h>
#include <stdbool.h>

typedef struct JournalEntry JournalEntry;

typedef enum JournalOutcome {
        JOURNAL_SENT,
        JOURNAL_FULL, /* it does not read at present: the entry is lost */
        JOURNAL_ABSENT, /* there is none */
} JournalOutcome;

JournalEntry *journal_entry_new(void) G_GNUC_WARN_UNUSED_RESULT;
void journal_entry_free(JournalEntry *entry);
/* field: capitals, digits and underscores. value: any text; it ends at the first NUL, is cut after 2048 bytes, and what is no UTF-8 in it is replaced. */
void journal_entry_add(JournalEntry *entry, const char *field, const char *value);
void journal_entry_add_number(JournalEntry *entry, const char *field, gint64 value);
JournalOutcome journal_send(const JournalEntry *entry) G_GNUC_WARN_UNUSED_RESULT;
void journal_set_socket(const char *path); /* another one than journald's, for tests; a static string */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(JournalEntry, journal_entry_free)
