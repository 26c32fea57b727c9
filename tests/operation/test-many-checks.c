/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Five hundred health checks: due together they are worked off a few at a time, each keeps its interval, nothing is committed where nothing changes, whatever else comes has its turn, and a service that starts anew makes no herd of them. A check is /bin/true in
 * place of crun exec: what is looked at is the service's own work. */

#include "fixture.h"
#include "base/clock.h"
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define INTERVAL_USEC (2 * G_USEC_PER_SEC)
#define EARLY_USEC (10 * G_TIME_SPAN_MILLISECOND) /* times of results are of the clock on the wall, which may be adjusted, the timers' are not */

typedef struct Many {
        Fixture *fixture;
        GPtrArray *containers; /* borrowed */
        unsigned n_changes, most, n_calls;
        guint64 slowest_usec, called_usec; /* of a call that comes beside the checks */
        int call;
} Many;

static void on_change(const Change *change, void *userdata) {
        ((Many *) userdata)->n_changes++;
}

static int on_call(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Many *many = userdata;
        guint64 count;

        g_assert_cmpint(read(fd, &count, sizeof count), ==, sizeof count);
        many->slowest_usec = MAX(many->slowest_usec, clock_boottime_usec() - many->called_usec);
        many->called_usec = 0;
        many->n_calls++;
        return 0;
}

/* One turn of the loop, with a call that waits for its own. */
static void turn(Many *many) {
        if (many->called_usec == 0) {
                many->called_usec = clock_boottime_usec();
                g_assert_cmpint(eventfd_write(many->call, 1), ==, 0);
        }
        g_assert_cmpint(sd_event_run(many->fixture->event, TESTING_DEADLINE_USEC), >, 0);
        many->most = MAX(many->most, many->fixture->engine->n_checks);
}

static unsigned n_checks(Container *container) {
        g_autoptr(GPtrArray) log = health_log(container);

        return log->len;
}

static void run_until_checks(Many *many, unsigned wanted) {
        for (guint i = 0; i < many->containers->len; i++)
                while (n_checks(many->containers->pdata[i]) < wanted)
                        turn(many);
}

/* Each began an interval after the end of the one before. What it is late is the line that it has waited in, and that is no longer at the last than at the first: nothing drifts. */
static void check_intervals(Many *many) {
        gint64 latest = 0;

        for (guint i = 0; i < many->containers->len; i++) {
                g_autoptr(GPtrArray) log = health_log(many->containers->pdata[i]); /* newest first */
                for (guint n = 1; n < log->len; n++) {
                        const HealthEntry *later = log->pdata[n - 1], *earlier = log->pdata[n];
                        gint64 late = (gint64) (later->start_usec - earlier->end_usec) - INTERVAL_USEC;
                        g_assert_cmpint(late, >=, -EARLY_USEC);
                        latest = MAX(latest, late);
                }
        }
        g_test_message("a check was late by %.1f ms at most; a call beside them waited %.1f ms at most", (double) latest / 1000, (double) many->slowest_usec / 1000);
}

/* As the next service finds them: status and log alone are kept. */
static void adopt_all(Many *many, bool in_order) {
        for (guint i = 0; i < many->containers->len; i++) {
                Container *container = many->containers->pdata[i];
                g_autofree char *state = paths_state_of(&many->fixture->paths, container->id, NULL);
                g_assert_cmpint(g_mkdir_with_parents(state, 0700), ==, 0);
                if (in_order)
                        health_save(container);
                health_forget(container);
                health_adopt(many->fixture->engine, container);
        }
        many->called_usec = MIN(many->called_usec, 1) * clock_boottime_usec(); /* a call that was waiting has not waited for the loop */
}

/* How many of the first checks began in the fullest tenth of an interval; on a slow machine they take more than one. */
static unsigned fullest_tenth(Many *many, guint64 began) {
        unsigned tenths[1000] = {0}, most = 0;

        for (guint i = 0; i < many->containers->len; i++) {
                g_autoptr(GPtrArray) log = health_log(many->containers->pdata[i]);
                const HealthEntry *first = log->pdata[log->len - 1];
                guint64 tenth = (first->start_usec - MIN(began, first->start_usec)) * 10 / INTERVAL_USEC;
                most = MAX(most, ++tenths[MIN(tenth, G_N_ELEMENTS(tenths) - 1)]);
        }
        return most;
}

static void test_five_hundred(Fixture *fixture, gconstpointer unused) {
        unsigned count = testing_is_under_valgrind() ? 50 : 500;
        g_autoptr(GPtrArray) containers = g_ptr_array_new();
        autofd int call = eventfd(0, EFD_CLOEXEC);
        Many many = {.fixture = fixture, .containers = containers, .call = call};
        sd_event_source *source = NULL;

        g_assert_cmpint(sd_event_add_io(fixture->event, &source, call, EPOLLIN, on_call, &many), >=, 0);
        for (unsigned i = 0; i < count; i++) {
                g_autofree char *name = g_strdup_printf("c%u", i);
                Container *container = fixture_add(fixture, name, "{'health': <{'test': <['CMD', 'true']>, 'interval-usec': <uint64 2000000>, 'log-count': <uint32 0>}>}");
                (void) fixture_run(fixture, container, STATE_RUNNING);
                g_ptr_array_add(containers, container);
        }
        for (unsigned i = 0; i < count; i++)
                health_started(fixture->engine, containers->pdata[i]);
        run_until_checks(&many, 1);
        g_assert_cmpuint(many.most, ==, 8);
        registry_set_observer(fixture->registry, OBSERVER_ANNOUNCE, on_change, &many);
        run_until_checks(&many, 3);
        g_assert_cmpuint(many.most, ==, 8);
        g_assert_cmpuint(many.n_changes, ==, 0);
        g_assert_cmpuint(many.n_calls, >, count); /* one between any few of the others' turns */
        check_intervals(&many);

        adopt_all(&many, true); /* each goes on where it was */
        run_until_checks(&many, 4);
        check_intervals(&many);
        g_assert_cmpuint(many.n_changes, ==, 0);

        guint64 began = clock_realtime_usec();
        adopt_all(&many, false); /* nobody remembers when the last one was */
        run_until_checks(&many, 1);
        unsigned fullest = fullest_tenth(&many, began);
        g_test_message("after a crash %u of %u checks were in the fullest tenth of an interval", fullest, count);
        g_assert_cmpuint(fullest, <, count * 6 / 10);
        g_assert_cmpuint(many.most, ==, 8);
        registry_set_observer(fixture->registry, OBSERVER_ANNOUNCE, NULL, NULL);
        sd_event_source_disable_unref(source);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/many-checks/five-hundred", Fixture, NULL, fixture_set_up, test_five_hundred, fixture_tear_down);
        return g_test_run();
}
