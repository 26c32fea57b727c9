/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.freedesktop.login1.Manager.Inhibit (org.freedesktop.login1(5)): the lock is held by the descriptor of the answer. */

#include "bus/sleep-lock.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>

struct SleepLock {
        sd_bus_slot *question;
        int fd;
};

static int on_answer(sd_bus_message *answer, void *userdata, sd_bus_error *ret_error) {
        SleepLock *lock = userdata;
        const sd_bus_error *error = sd_bus_message_get_error(answer);
        int fd = -1;

        g_clear_pointer(&lock->question, sd_bus_slot_unref);
        if (error)
                log_info("no lock against sleep: %s", error->message);
        else if (sd_bus_message_read(answer, "h", &fd) < 0)
                log_warning("no lock against sleep: logind's answer cannot be read");
        else
                lock->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return 1;
}

SleepLock *sleep_lock_take(Bus *bus, const char *why) {
        g_autoptr(sd_bus_message) message = NULL;
        g_autofree char *text = g_strdup_printf("conbus: %s", why);
        SleepLock *lock = g_new0(SleepLock, 1);

        lock->fd = -1;
        int r = sd_bus_message_new_method_call(bus->connection, &message, "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "Inhibit");
        if (r >= 0)
                r = sd_bus_message_set_auto_start(message, false);
        if (r >= 0)
                r = sd_bus_message_append(message, "ssss", "sleep", "conbusd", text, "block");
        if (r >= 0)
                r = sd_bus_call_async(bus->connection, &lock->question, message, on_answer, lock, 0);
        if (r < 0)
                log_warning("ask for a lock against sleep: %s", g_strerror(-r));
        return lock;
}

void sleep_lock_free(void *data) {
        SleepLock *lock = data;

        if (!lock)
                return;
        g_clear_pointer(&lock->question, sd_bus_slot_unref);
        close_fd(lock->fd);
        g_free(lock);
}
