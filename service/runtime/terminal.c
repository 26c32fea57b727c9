/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Terminal sizes. A FIFO that conmon has not emptied yet is looked at again a moment later; there is no event for that. */

#include "runtime/terminal.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/control-fifo.h"

struct Terminal {
        sd_event *event;
        char *fifo;
        sd_event_source *timer;
        unsigned rows, columns;
};

Terminal *terminal_new(sd_event *event, const char *directory) {
        Terminal *terminal = g_new0(Terminal, 1);

        terminal->event = event;
        terminal->fifo = g_build_filename(directory, CONTROL_FIFO, NULL);
        return terminal;
}

void terminal_free(Terminal *terminal) {
        if (!terminal)
                return;
        g_clear_pointer(&terminal->timer, sd_event_source_disable_unref);
        g_free(terminal->fifo);
        g_free(terminal);
}

static bool send_size(Terminal *terminal, GError **error);

static int on_retry(sd_event_source *source, guint64 usec, void *userdata) {
        Terminal *terminal = userdata;
        g_autoptr(GError) error = NULL;

        g_clear_pointer(&terminal->timer, sd_event_source_disable_unref);
        if (!send_size(terminal, &error))
                log_debug("%s", error->message); /* the container has ended meanwhile */
        return 0;
}

static bool send_size(Terminal *terminal, GError **error) {
        g_autofree char *message = g_strdup_printf("1 %u %u\n", terminal->rows, terminal->columns);
        bool busy;

        if (control_fifo_send(terminal->fifo, message, &busy, error))
                return true;
        if (!busy) {
                g_prefix_error(error, "set the size of the terminal: ");
                return false;
        }
        int r = sd_event_add_time(terminal->event, &terminal->timer, CLOCK_BOOTTIME, clock_boottime_in(CONTROL_RETRY_USEC), 1000, on_retry, terminal);
        return r >= 0 || error_errno(error, -r, "set the size of the terminal");
}

bool terminal_resize(Terminal *terminal, unsigned rows, unsigned columns, GError **error) {
        if (rows < 1 || columns < 1 || rows > TERMINAL_SIZE_MAX || columns > TERMINAL_SIZE_MAX)
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "a terminal of %u rows and %u columns is not possible; both go from 1 to %d", rows, columns, TERMINAL_SIZE_MAX);
        terminal->rows = rows;
        terminal->columns = columns;
        return terminal->timer || send_size(terminal, error);
}
