/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store_sync: an fdatasync of the WAL that does not block the loop, by Linux AIO (IOCB_CMD_FDSYNC, Linux 4.18; io_submit(2)) with an eventfd in the loop. libaio would be a dependency for three system calls.
 * Calls that come while one sync is in flight wait for the next one, since what they committed may not be in the first. Where the file system does not take the request (EINVAL), it is synced at once. */

#include "store/internal.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

struct Waiter {
        StoreSynced done;
        void *userdata;
};

struct Flush {
        Store *store;
        char *path; /* of the write-ahead log; NULL for a database in memory */
        aio_context_t context;
        int wal_fd, event_fd;
        sd_event_source *source, *defer;
        struct iocb request;
        bool in_flight, blocking; /* blocking: this file system knows no asynchronous sync */
        int blocking_result;
        GArray *current, *next; /* of struct Waiter */
};

static void start(struct Flush *flush);

static void answer(GArray *waiters, int errnum) {
        g_autoptr(GError) error = NULL;

        if (errnum != 0)
                error_errno(&error, errnum, "write the database to disk");
        for (guint i = 0; i < waiters->len; i++) {
                struct Waiter *waiter = &g_array_index(waiters, struct Waiter, i);
                waiter->done(error, waiter->userdata);
        }
        g_array_unref(waiters);
}

static void finish(struct Flush *flush, int errnum) {
        GArray *done = flush->current;

        flush->in_flight = false;
        flush->current = g_steal_pointer(&flush->next);
        flush->next = g_array_new(FALSE, FALSE, sizeof(struct Waiter));
        if (flush->current->len > 0)
                start(flush);
        answer(done, errnum);
}

static int on_complete(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct Flush *flush = userdata;
        struct io_event event;
        guint64 count;

        if (read(fd, &count, sizeof count) < 0 || syscall(SYS_io_getevents, flush->context, 0, 1, &event, NULL) != 1)
                return 0;
        finish(flush, event.res < 0 ? (int) -event.res : 0);
        return 0;
}

static int on_blocking_done(sd_event_source *source, void *userdata) {
        struct Flush *flush = userdata;

        g_clear_pointer(&flush->defer, sd_event_source_disable_unref);
        finish(flush, flush->blocking_result);
        return 0;
}

/* 0 or an errno. A database on disk whose log cannot be opened, as without descriptors left, has not been synced: it is tried again each time. */
static int sync_now(struct Flush *flush) {
        if (!flush->path)
                return 0;
        if (flush->wal_fd < 0)
                flush->wal_fd = open(flush->path, O_RDWR | O_CLOEXEC);
        return flush->wal_fd < 0 || fdatasync(flush->wal_fd) < 0 ? errno : 0;
}

static void sync_blocking(struct Flush *flush) {
        flush->blocking_result = sync_now(flush);
        int r = sd_event_add_defer(flush->store->event, &flush->defer, on_blocking_done, flush);
        g_assert(r >= 0);
}

static void start(struct Flush *flush) {
        struct iocb *request = &flush->request;

        flush->in_flight = true;
        flush->request = (struct iocb) {.aio_lio_opcode = IOCB_CMD_FDSYNC, .aio_fildes = (guint32) flush->wal_fd, .aio_flags = IOCB_FLAG_RESFD, .aio_resfd = (guint32) flush->event_fd};
        if (!flush->blocking && syscall(SYS_io_submit, flush->context, 1, &request) == 1)
                return;
        if (!flush->blocking)
                log_debug("asynchronous sync of the database is not possible here: %s", g_strerror(errno));
        flush->blocking = true;
        sync_blocking(flush);
}

static struct Flush *flush_new(Store *store) {
        struct Flush *flush = g_new0(struct Flush, 1);

        flush->store = store;
        flush->path = store->directory ? g_build_filename(store->directory, "conbus.db-wal", NULL) : NULL;
        flush->current = g_array_new(FALSE, FALSE, sizeof(struct Waiter));
        flush->next = g_array_new(FALSE, FALSE, sizeof(struct Waiter));
        flush->wal_fd = flush->path ? open(flush->path, O_RDWR | O_CLOEXEC) : -1;
        flush->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        flush->blocking = flush->wal_fd < 0 || flush->event_fd < 0 || syscall(SYS_io_setup, 1, &flush->context) < 0 ||
                          sd_event_add_io(store->event, &flush->source, flush->event_fd, EPOLLIN, on_complete, flush) < 0;
        return flush;
}

void flush_free(struct Flush *flush) {
        g_clear_pointer(&flush->source, sd_event_source_disable_unref);
        g_clear_pointer(&flush->defer, sd_event_source_disable_unref);
        if (flush->context)
                (void) syscall(SYS_io_destroy, flush->context);
        close_fd(flush->wal_fd);
        close_fd(flush->event_fd);
        g_array_unref(flush->current);
        g_array_unref(flush->next);
        g_free(flush->path);
        g_free(flush);
}

void store_sync(Store *store, StoreSynced done, void *userdata) {
        struct Waiter waiter = {.done = done, .userdata = userdata};

        if (!store->event) { /* tests without a loop: a database in memory, or one that need not survive a power cut */
                done(NULL, userdata);
                return;
        }
        if (!store->flush)
                store->flush = flush_new(store);
        if (store->flush->in_flight) {
                g_array_append_val(store->flush->next, waiter);
                return;
        }
        g_array_append_val(store->flush->current, waiter);
        start(store->flush);
}
