/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One SIGCHLD source for every child; waitid(2) with WNOWAIT first, so that the watcher is known before the pid is free for reuse. */

#include "runtime/reaper.h"
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

typedef struct Watch {
        ReaperEnded ended;
        void (*forget)(void *userdata); /* NULL: somebody else's business */
        void *userdata;
} Watch;

struct Reaper {
        sd_event *event;
        sd_event_source *source, *more; /* more: there may be another one; NULL: nothing is left */
        GHashTable *watches; /* pid -> Watch */
};

static void reap(Reaper *reaper, pid_t pid) {
        Watch *watch = g_hash_table_lookup(reaper->watches, GINT_TO_POINTER(pid));
        int status = 0;

        if (waitpid(pid, &status, WNOHANG) != pid)
                return;
        if (!watch)
                return;
        ReaperEnded ended = watch->ended;
        void *userdata = watch->userdata;
        g_hash_table_remove(reaper->watches, GINT_TO_POINTER(pid));
        ended(pid, status, userdata);
}

static int on_more(sd_event_source *source, void *userdata);

/* One in a turn of the loop: whoever is told of it may begin another child, which may have ended before this returns, and so on, while nothing else would come to its turn. */
static void reap_next(Reaper *reaper) {
        siginfo_t info = {0};

        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
                return;
        if (!reaper->more) {
                int r = sd_event_add_defer(reaper->event, &reaper->more, on_more, reaper);
                g_assert(r >= 0);
        }
        reap(reaper, info.si_pid);
}

static int on_more(sd_event_source *source, void *userdata) {
        Reaper *reaper = userdata;

        g_clear_pointer(&reaper->more, sd_event_source_disable_unref);
        reap_next(reaper);
        return 0;
}

static int on_sigchld(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        reap_next(userdata);
        return 0;
}

Reaper *reaper_new(sd_event *event) {
        Reaper *reaper = g_new0(Reaper, 1);
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        (void) prctl(PR_SET_CHILD_SUBREAPER, 1);
        reaper->event = sd_event_ref(event);
        reaper->watches = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        int r = sd_event_add_signal(event, &reaper->source, SIGCHLD, on_sigchld, reaper);
        g_assert(r >= 0);
        return reaper;
}

void reaper_free(Reaper *reaper) {
        GHashTableIter iter;
        void *watch;

        if (!reaper)
                return;
        sd_event_source_disable_unref(reaper->source);
        sd_event_source_disable_unref(reaper->more);
        sd_event_unref(reaper->event);
        g_hash_table_iter_init(&iter, reaper->watches);
        while (g_hash_table_iter_next(&iter, NULL, &watch))
                if (((Watch *) watch)->forget)
                        ((Watch *) watch)->forget(((Watch *) watch)->userdata);
        g_hash_table_unref(reaper->watches);
        g_free(reaper);
}

void reaper_watch_owned(Reaper *reaper, pid_t pid, ReaperEnded ended, void (*forget)(void *userdata), void *userdata) {
        Watch *watch = g_new(Watch, 1);

        *watch = (Watch) {.ended = ended, .forget = forget, .userdata = userdata};
        g_hash_table_insert(reaper->watches, GINT_TO_POINTER(pid), watch);
}

void reaper_watch(Reaper *reaper, pid_t pid, ReaperEnded ended, void *userdata) {
        reaper_watch_owned(reaper, pid, ended, NULL, userdata);
}

static gboolean is_owned_by(void *pid, void *watch, void *userdata) {
        return ((Watch *) watch)->userdata == userdata;
}

void reaper_unwatch_owner(Reaper *reaper, void *userdata) {
        g_hash_table_foreach_remove(reaper->watches, is_owned_by, userdata);
}

void reaper_check(Reaper *reaper, pid_t pid) {
        siginfo_t info = {0};

        if (waitid(P_PID, (id_t) pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid)
                reap(reaper, pid);
}
