/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ExecCapture: what is answered, where it is cut, and that nothing is left of it, whatever fails, whoever leaves. */

#define FAKES_UNIT "capture"
#include "executed.h"
#include "operation/capture.h"
#include "base/clock.h"
#include "model/session.h"
#include "runtime/cgroup.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define LONG_USEC (60 * G_USEC_PER_SEC) /* no capture of these tests takes it */
#define PATIENCE_USEC (5 * G_USEC_PER_SEC) /* of capture.c, and of nothing else in the fixture */
#define GROUP "conbus-capture-"

/* Linked with --wrap=clock_boottime_in: the patience with processes that do not die lasts for ever, or is over at once. */
static bool impatient;

guint64 __real_clock_boottime_in(guint64 usec);
guint64 __wrap_clock_boottime_in(guint64 usec);

guint64 __wrap_clock_boottime_in(guint64 usec) {
        if (usec == PATIENCE_USEC)
                return impatient ? clock_boottime_usec() : UINT64_MAX;
        return __real_clock_boottime_in(usec);
}

typedef struct Captured {
        unsigned n;
        int code, signal;
        GByteArray *output, *errors;
        bool truncated;
        GError *error;
} Captured;

static void captured_clear(Captured *captured) {
        g_clear_pointer(&captured->output, g_byte_array_unref);
        g_clear_pointer(&captured->errors, g_byte_array_unref);
        g_clear_error(&captured->error);
        captured->n = 0;
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Captured, captured_clear)

static void on_captured(const CaptureResult *result, const GError *error, void *userdata) {
        Captured *captured = userdata;

        g_assert_cmpuint(captured->n++, ==, 0);
        g_assert_true((result == NULL) == (error != NULL));
        captured->error = error ? g_error_copy(error) : NULL;
        if (!result)
                return;
        captured->code = result->exit_code;
        captured->signal = result->exit_signal;
        captured->output = g_byte_array_ref(result->output);
        captured->errors = g_byte_array_ref(result->errors);
        captured->truncated = result->truncated;
}

/* What sh runs, with more keys as GVariant text, or NULL. */
static GVariant *request_of(const char *script, const char *more) {
        const char *const command[] = {"sh", "-c", script, NULL};
        g_autoptr(GVariant) added = testing_parse(more ? more : "@a{sv} {}");
        g_autoptr(GError) error = NULL;
        GVariantDict dict;

        g_variant_dict_init(&dict, added);
        if (!g_variant_dict_contains(&dict, "command"))
                g_variant_dict_insert(&dict, "command", "^as", command);
        GVariant *request = g_variant_ref_sink(g_variant_dict_end(&dict));
        g_assert_true(session_request_check(request, &error));
        return request;
}

static Capture *begin_with(Fixture *fixture, Container *container, const char *script, const char *more, gsize bytes_max, guint64 timeout_usec, Actor *actor, Captured *captured) {
        g_autoptr(GVariant) request = request_of(script, more);
        g_autoptr(GError) error = NULL;

        captured_clear(captured);
        Capture *capture = capture_begin(fixture->engine, container, &(CapturePlan) {.request = request, .bytes_max = bytes_max, .timeout_usec = timeout_usec}, actor, on_captured, captured, &error);
        g_assert_no_error(error);
        g_assert_nonnull(capture);
        g_assert_cmpuint(captured->n, ==, 0);
        return capture;
}

static Capture *begin(Fixture *fixture, Container *container, const char *script, Captured *captured) {
        return begin_with(fixture, container, script, NULL, CAPTURE_BYTES_DEFAULT, LONG_USEC, NULL, captured);
}

static void await(Fixture *fixture, Captured *captured) {
        testing_run_until_count(fixture->event, &captured->n, 1);
}

static void run(Fixture *fixture, Container *container, const char *script, const char *more, gsize bytes_max, Captured *captured) {
        (void) begin_with(fixture, container, script, more, bytes_max, LONG_USEC, NULL, captured);
        await(fixture, captured);
}

static void refuse_as(Fixture *fixture, Container *container, const char *more, Actor *actor, ConbusError code, const char *part) {
        g_autoptr(GVariant) request = request_of("true", more);
        g_autoptr(GError) error = NULL;

        if (capture_begin(fixture->engine, container, &(CapturePlan) {.request = request, .bytes_max = 100, .timeout_usec = LONG_USEC}, actor, on_captured, NULL, &error))
                g_error("not refused: %s", part);
        testing_expect_error(&error, code, part);
}

static void expect_text(const GByteArray *bytes, const char *text) {
        g_autofree char *got = g_strndup((const char *) bytes->data, bytes->len);

        g_assert_cmpstr(got, ==, text);
}

/* --- where it is --- */

/* A name in the directory that begins so, or NULL. */
static char *find_entry(const char *directory, const char *prefix) {
        g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);

        for (const char *name = dir ? g_dir_read_name(dir) : NULL; name; name = g_dir_read_name(dir))
                if (g_str_has_prefix(name, prefix))
                        return g_strdup(name);
        return NULL;
}

static char *find_group(const char *cgroup, const char *hierarchy) {
        g_autofree char *directory = g_build_filename("/sys/fs/cgroup", hierarchy, cgroup, NULL), *name = find_entry(directory, GROUP);

        return name ? g_build_filename(cgroup, name, NULL) : NULL;
}

static char *group_of_capture(Container *container) {
        return find_group(container->life.cgroup, cgroup_is_unified() ? "" : "pids");
}

static void expect_nothing_is_left(Fixture *fixture, const char *cgroup) {
        static const char *const hierarchies[] = {"pids", "freezer", "", NULL};
        g_autofree char *exec = g_build_filename(fixture->paths.run, "exec", NULL), *directory = find_entry(exec, "");

        if (directory)
                g_error("%s/%s is left", exec, directory);
        for (const char *const *hierarchy = hierarchies; *hierarchy; hierarchy++) {
                g_autofree char *group = find_group(cgroup, *hierarchy);
                if (group)
                        g_error("the group %s is left in \"%s\"", group, *hierarchy);
        }
        g_assert_cmpuint(fixture->engine->quotas ? g_hash_table_size(fixture->engine->quotas) : 0, ==, 0);
}

/* One of the processes of the capture's group, or 0. */
static pid_t find_member(Container *container) {
        g_autofree char *group = group_of_capture(container);
        g_autoptr(GPtrArray) members = group ? cgroup_list(group) : g_ptr_array_new();

        return members->len > 0 ? ((CgroupProcess *) members->pdata[0])->pid : 0;
}

static bool has_member(void *userdata) {
        return find_member(userdata) > 0;
}

#define SAY_AND_SLEEP "echo here; sleep 1000" /* what it says wakes the loop once it is in its group */

static pid_t await_member(Fixture *fixture, Container *container) {
        testing_run_until(fixture->event, has_member, container);
        return find_member(container);
}

static bool is_idle(void *userdata) {
        const Fixture *fixture = userdata;
        g_autofree char *exec = g_build_filename(fixture->paths.run, "exec", NULL), *directory = find_entry(exec, "");

        return !directory;
}

/* One without an answer is over when its directory is gone. */
static void await_idle(Fixture *fixture) {
        testing_run_until(fixture->event, is_idle, fixture);
}

static void expect_last_end(Fixture *fixture, int code, int signal) {
        bool gap;
        g_autoptr(GPtrArray) events = store_list_events(fixture->store, 0, 1000, UINT64_MAX, NULL, &gap, NULL);
        const Event *last = events->pdata[events->len - 1];
        gint32 last_code = -2, last_signal = -2;

        g_assert_cmpstr(last->action, ==, "exec-died");
        g_assert_true(g_variant_lookup(last->details, "exit-code", "i", &last_code) && g_variant_lookup(last->details, "signal", "i", &last_signal));
        g_assert_cmpint(last_code, ==, code);
        g_assert_cmpint(last_signal, ==, signal);
}

/* --- the answer --- */

static void test_codes(Fixture *fixture, gconstpointer unused) {
        static const struct {
                const char *script;
                int code, signal;
        } table[] = {
                {"true", 0, 0},
                {"exit 3", 3, 0},
                {"exit 125", 125, 0},
                {"exit 127", 127, 0},
                {"kill -9 $$", 137, 9},
                {"kill -15 $$", 143, 15},
                {"exit 255", 255, 0},
        };
        Container *container = fakes_add_started(fixture, "web", NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_auto(Captured) captured = {0};
                run(fixture, container, table[i].script, NULL, 100, &captured);
                g_assert_no_error(captured.error);
                if (captured.code != table[i].code || captured.signal != table[i].signal)
                        g_error("%s: %d, %d", table[i].script, captured.code, captured.signal);
                expect_last_end(fixture, table[i].code, table[i].signal);
                expect_nothing_is_left(fixture, container->life.cgroup);
        }
}

static void test_output_and_errors(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", "{'env': <['A=1']>}");
        g_auto(Captured) captured = {0};

        run(fixture, container, "echo out; echo err >&2; exit 4", NULL, 100, &captured);
        g_assert_cmpint(captured.code, ==, 4);
        expect_text(captured.output, "out\n");
        expect_text(captured.errors, "err\n");
        g_assert_false(captured.truncated);
        captured_clear(&captured);
        run(fixture, container, "id -u; pwd; echo $A $B", "{'user': <'12'>, 'cwd': <'/etc'>, 'env': <['B=2']>}", 100, &captured);
        expect_text(captured.output, "12\n/etc\n1 2\n");
        fixture_expect_events(fixture, "init start exec exec-died exec exec-died ");
}

static void test_output_is_cut(Fixture *fixture, gconstpointer unused) {
        static const struct {
                const char *script;
                gsize max;
                guint output, errors;
                bool truncated;
        } table[] = {
                {"printf 12345", 5, 5, 0, false},
                {"printf 123456", 5, 5, 0, true},
                {"printf 123456 >&2", 5, 0, 5, true},
                {"printf 12345; printf 12345 >&2", 5, 5, 5, false}, /* each for itself */
                {"true", 0, 0, 0, false},
                {"printf 1", 0, 0, 0, true},
                {"yes | head -c 3000000", 1000, 1000, 0, true}, /* more than a pipe holds: it does not wait for ever */
                {"yes | head -c 1048576; yes | head -c 1048576 >&2", CAPTURE_BYTES_MAX, CAPTURE_BYTES_MAX, CAPTURE_BYTES_MAX, false},
                {"yes | head -c 1048577", CAPTURE_BYTES_MAX, CAPTURE_BYTES_MAX, 0, true},
        };
        Container *container = fakes_add_started(fixture, "web", NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_auto(Captured) captured = {0};
                run(fixture, container, table[i].script, NULL, table[i].max, &captured);
                g_assert_no_error(captured.error);
                if (captured.code != 0 || captured.output->len != table[i].output || captured.errors->len != table[i].errors || captured.truncated != table[i].truncated)
                        g_error("%s, %zu: %d, %u, %u, %d", table[i].script, table[i].max, captured.code, captured.output->len, captured.errors->len, captured.truncated);
        }
}

static void test_what_it_leaves_behind_is_killed(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Captured) captured = {0};

        run(fixture, container, "sleep 1000 & sh -c 'trap \"\" TERM HUP; sleep 1000' & echo gone", NULL, 100, &captured);
        g_assert_cmpint(captured.code, ==, 0);
        expect_text(captured.output, "gone\n");
        expect_nothing_is_left(fixture, container->life.cgroup);
        g_autoptr(GPtrArray) members = cgroup_list(container->life.cgroup);
        g_assert_cmpuint(members->len, ==, 1);
        g_assert_cmpint(((CgroupProcess *) members->pdata[0])->pid, ==, container->main.pid);
}

static void test_two_do_not_meet(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Captured) first = {0}, second = {0};

        Capture *capture = begin(fixture, container, SAY_AND_SLEEP, &first);
        pid_t pid = await_member(fixture, container);
        run(fixture, container, "exit 2", NULL, 100, &second); /* its group dies with it, and nothing else */
        g_assert_cmpint(second.code, ==, 2);
        g_assert_cmpuint(first.n, ==, 0);
        g_assert_cmpint(find_member(container), ==, pid);
        capture_abandon(capture);
        await_idle(fixture);
        expect_nothing_is_left(fixture, container->life.cgroup);
}

static void test_without_a_group(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_autofree char *program = testing_program(fixture->directory, "crun", "echo \"$6 $7 $9\"; echo err >&2; exit 4");
        char *cgroup = container->life.cgroup, *crun = fixture->paths.crun;
        g_auto(Captured) captured = {0};

        fixture->paths.crun = program;
        container->life.cgroup = g_strdup("");
        (void) begin(fixture, container, "true", &captured);
        g_free(container->life.cgroup);
        container->life.cgroup = cgroup;
        fixture->paths.crun = crun;
        await(fixture, &captured);
        g_assert_cmpint(captured.code, ==, 4);
        expect_text(captured.output, "exec --cgroup --process\n");
        expect_text(captured.errors, "err\n");
        expect_nothing_is_left(fixture, container->life.cgroup);
}

/* --- what fails --- */

static void test_states_that_refuse(Fixture *fixture, gconstpointer unused) {
        static const struct {
                State state;
                ConbusError code;
                const char *part;
        } table[] = {
                {STATE_CREATED, CONBUS_ERROR_NOT_RUNNING, "execute in container \"c0\": it is created"},
                {STATE_STOPPED, CONBUS_ERROR_NOT_RUNNING, "it is stopped"},
                {STATE_EXITED, CONBUS_ERROR_NOT_RUNNING, "it is exited"},
                {STATE_UNKNOWN, CONBUS_ERROR_INVALID_STATE, "it is unknown; possible when it is running"},
                {STATE_REMOVING, CONBUS_ERROR_REMOVED, "it is being removed"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *name = g_strdup_printf("c%zu", i);
                Container *container = fakes_add(fixture, name, NULL);
                if (table[i].state != STATE_CREATED)
                        fixture_enter(container, table[i].state);
                refuse_as(fixture, container, NULL, NULL, table[i].code, table[i].part);
                expect_nothing_is_left(fixture, container->life.cgroup);
        }
}

static void test_one_that_is_paused(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_PAUSE, NULL, &answer);
        refuse_as(fixture, container, NULL, NULL, CONBUS_ERROR_INVALID_STATE, "it is paused; possible when it is running");
        expect_nothing_is_left(fixture, container->life.cgroup);
        fixture_do(fixture, container, VERB_RESUME, NULL, &answer);
        g_assert_no_error(answer.error);
}

static void test_what_crun_says(Fixture *fixture, gconstpointer unused) {
        static const struct {
                const char *fault, *more;
                ConbusError code;
                const char *part;
                int exit_code;
        } table[] = {
                {"crun exec 1 fail it broke", NULL, CONBUS_ERROR_RUNTIME_FAILED, "execute in container \"web\": it broke", 125},
                {"crun exec 1 die 9", NULL, CONBUS_ERROR_RUNTIME_FAILED, "execute in container \"web\": crun was killed", 125},
                {NULL, "{'command': <['/no/such']>}", CONBUS_ERROR_RUNTIME_COMMAND_NOT_FOUND, "execute in container \"web\"", 127},
                {NULL, "{'command': <['/etc/passwd']>}", CONBUS_ERROR_RUNTIME_PERMISSION_DENIED, "execute in container \"web\"", 126},
        };
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Captured) captured = {0};

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                if (table[i].fault)
                        fakes_order(table[i].fault);
                run(fixture, container, "true", table[i].more, 100, &captured);
                testing_expect_error(&captured.error, table[i].code, table[i].part);
                expect_last_end(fixture, table[i].exit_code, 0);
                expect_nothing_is_left(fixture, container->life.cgroup);
        }
        fakes_order("crun exec 1 silent"); /* who says nothing has not failed: it is the command's own code */
        run(fixture, container, "true", NULL, 100, &captured);
        g_assert_cmpint(captured.code, ==, 1);
        fakes_order("crun exec-done 1 die 9"); /* the command has ended, but nobody knows how */
        run(fixture, container, "true", NULL, 100, &captured);
        testing_expect_error(&captured.error, CONBUS_ERROR_RUNTIME_FAILED, "crun was killed");
        run(fixture, container, "exit 6", NULL, 100, &captured); /* and the next one is none the worse for it */
        g_assert_cmpint(captured.code, ==, 6);
        expect_nothing_is_left(fixture, container->life.cgroup);
}

static void test_a_crun_that_cannot_be_executed(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_autofree char *broken = g_build_filename(fixture->directory, "crun", NULL);
        char *crun = fixture->paths.crun;
        g_auto(Captured) captured = {0};

        testing_write(fixture->directory, "crun", "#!/no/interpreter\n");
        g_assert_cmpint(chmod(broken, 0755), ==, 0);
        fixture->paths.crun = broken;
        run(fixture, container, "true", NULL, 100, &captured);
        fixture->paths.crun = crun;
        testing_expect_error(&captured.error, CONBUS_ERROR_RUNTIME_FAILED, "/crun: No such file or directory");
        expect_last_end(fixture, 125, 0);
        expect_nothing_is_left(fixture, container->life.cgroup);
}

static void test_what_fails_at_once(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_autofree char *exec = g_build_filename(fixture->paths.run, "exec", NULL), *long_name = g_strnfill(5000, 'x'), *too_long = g_strconcat("/conbus/", long_name, NULL);
        g_autoptr(Actor) alice = actor_new(1000, 2, "", "", ":1.2");
        char *crun = fixture->paths.crun, *cgroup = container->life.cgroup;

        refuse_as(fixture, container, "{'user': <'nobody-here'>}", alice, CONBUS_ERROR_INVALID_ARGS, "nobody-here");
        expect_nothing_is_left(fixture, cgroup);
        fixture->paths.crun = (char *) "/no/crun";
        refuse_as(fixture, container, NULL, alice, CONBUS_ERROR_HELPER_MISSING, "/no/crun");
        fixture->paths.crun = crun;
        expect_nothing_is_left(fixture, cgroup);
        container->life.cgroup = too_long;
        refuse_as(fixture, container, NULL, alice, CONBUS_ERROR_INTERNAL, "make the control group /conbus/xxx");
        container->life.cgroup = cgroup;
        expect_nothing_is_left(fixture, cgroup);
        g_assert_cmpint(rmdir(exec), ==, 0);
        testing_write(fixture->paths.run, "exec", "in the way");
        refuse_as(fixture, container, NULL, alice, CONBUS_ERROR_INTERNAL, "make the directory");
        g_assert_cmpint(unlink(exec), ==, 0);
        g_assert_cmpint(g_mkdir_with_parents(exec, 0700), ==, 0);
        expect_nothing_is_left(fixture, cgroup);
        fixture_expect_events(fixture, "init start "); /* as if nothing had been asked for */
}

/* The limit of descriptors that leaves room for so many more; open: what this process has now. */
static void leave_room(unsigned room, rlim_t whole) {
        struct rlimit limit;
        int fds[64];
        unsigned n = 0;

        g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
        while (n < room + 1) /* the lowest that are free */
                g_assert_cmpint(fds[n++] = fcntl(0, F_DUPFD_CLOEXEC, 3), >=, 0);
        limit.rlim_cur = MIN(whole, (rlim_t) fds[room]);
        while (n > 0)
                close(fds[--n]);
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
}

/* Each step that opens something fails in its turn. */
static void test_no_descriptors(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_autoptr(GVariant) request = request_of("true", NULL), input = g_variant_ref_sink(g_variant_new_bytestring("input"));
        g_auto(Captured) captured = {0};
        struct rlimit whole;
        Capture *capture = NULL;
        unsigned n_failed = 0;

        if (testing_is_under_valgrind()) {
                g_test_skip("valgrind keeps the limit of descriptors for itself");
                return;
        }
        g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &whole), ==, 0);
        for (unsigned room = 0; !capture; room++) {
                g_autoptr(GError) error = NULL;
                unsigned before = testing_count_descriptors();
                g_assert_cmpuint(room, <, 32);
                leave_room(room, whole.rlim_cur);
                capture = capture_begin(fixture->engine, container, &(CapturePlan) {.request = request, .input = input, .bytes_max = 100, .timeout_usec = LONG_USEC}, NULL, on_captured, &captured, &error);
                g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &whole), ==, 0);
                g_assert_true((capture == NULL) == (error != NULL));
                if (capture)
                        continue;
                n_failed++;
                g_assert_cmpuint(testing_count_descriptors(), ==, before);
                expect_nothing_is_left(fixture, container->life.cgroup);
        }
        g_assert_cmpuint(n_failed, >=, 5); /* the process, two pipes, and what a child needs */
        await(fixture, &captured);
        testing_expect_error(&captured.error, CONBUS_ERROR_RUNTIME_FAILED, "Invalid argument"); /* the child has the limit too */
        expect_nothing_is_left(fixture, container->life.cgroup);
        fixture_expect_events(fixture, "init start exec exec-died ");
}

static void test_a_store_that_refuses(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Captured) captured = {0};

        fixture_refuse(fixture, "INSERT ON event WHEN new.action LIKE 'exec%'");
        run(fixture, container, "echo well; exit 4", NULL, 100, &captured); /* it is done all the same */
        fixture_allow(fixture);
        g_assert_cmpint(captured.code, ==, 4);
        expect_text(captured.output, "well\n");
        fixture_expect_events(fixture, "init start ");
        expect_nothing_is_left(fixture, container->life.cgroup);
}

static void test_users_have_a_limit(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_autoptr(Actor) alice = actor_new(1000, 2, "", "", ":1.2"), bob = actor_new(1001, 3, "", "", ":1.3");
        g_auto(Captured) first = {0}, other = {0};

        fixture->engine->settings.operations_per_user = 1;
        Gate *gate = fakes_gate(fixture, "crun exec");
        (void) begin_with(fixture, container, "exit 1", NULL, 100, LONG_USEC, alice, &first);
        gate_reach(gate);
        refuse_as(fixture, container, NULL, alice, CONBUS_ERROR_LIMITS_EXCEEDED, "user 1000 has 1 operations");
        (void) begin_with(fixture, container, "exit 2", NULL, 100, LONG_USEC, bob, &other);
        await(fixture, &other);
        gate_open(gate);
        await(fixture, &first);
        g_assert_cmpint(first.code, ==, 1);
        g_assert_cmpint(other.code, ==, 2);
        (void) begin_with(fixture, container, "exit 3", NULL, 100, LONG_USEC, alice, &first);
        await(fixture, &first);
        g_assert_cmpint(first.code, ==, 3);
        expect_nothing_is_left(fixture, container->life.cgroup);
}

/* --- it does not end --- */

static void test_the_time_is_up(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Captured) captured = {0};

        fakes_order("crun exec * hang"); /* before anything executes */
        (void) begin_with(fixture, container, "true", NULL, 100, 1000, NULL, &captured);
        await(fixture, &captured);
        testing_expect_error(&captured.error, CONBUS_ERROR_TIMEOUT, "execute in container \"web\": it did not end in 0.001 s and was killed");
        expect_last_end(fixture, 125, 0);
        expect_nothing_is_left(fixture, container->life.cgroup);
        fakes_cancel(); /* the time may have been up before it came so far */
}

static void test_the_time_of_what_never_stops_is_up(Fixture *fixture, gconstpointer unused) {
        static const char *const scripts[] = {"yes", "sleep 1000 & sleep 1000"};
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Captured) captured = {0};

        for (size_t i = 0; i < G_N_ELEMENTS(scripts); i++) {
                (void) begin_with(fixture, container, scripts[i], NULL, 100, 200000, NULL, &captured);
                await(fixture, &captured);
                testing_expect_error(&captured.error, CONBUS_ERROR_TIMEOUT, "it did not end in 0.2 s");
                expect_nothing_is_left(fixture, container->life.cgroup);
        }
        fixture_expect(fixture, container, STATE_RUNNING);
}

/* What was executed, with its group frozen and its crun killed: it waits for processes that do not die. */
static Capture *begin_dying(Fixture *fixture, Container *container, Captured *captured, char **ret_group, pid_t *ret_pid) {
        g_autoptr(GError) error = NULL;

        Capture *capture = begin(fixture, container, SAY_AND_SLEEP, captured);
        *ret_pid = await_member(fixture, container);
        *ret_group = group_of_capture(container);
        pid_t crun = pid_parent(*ret_pid);
        g_assert_true(cgroup_freeze(*ret_group, true, &error));
        g_assert_cmpint(kill(crun, SIGKILL), ==, 0);
        fakes_run_until_gone(fixture, crun);
        return capture;
}

static void test_what_does_not_die_is_waited_for(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Captured) captured = {0};
        g_autofree char *group = NULL;
        pid_t pid;

        (void) begin_dying(fixture, container, &captured, &group, &pid);
        testing_let_time_pass(fixture->event, fixture->reaper);
        g_assert_cmpuint(captured.n, ==, 0);
        g_assert_true(cgroup_thaw(group, NULL));
        await(fixture, &captured);
        testing_expect_error(&captured.error, CONBUS_ERROR_RUNTIME_FAILED, "crun was killed");
        expect_nothing_is_left(fixture, container->life.cgroup);
}

static void test_what_does_not_die_is_not_waited_for_for_ever(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Captured) captured = {0};
        g_autofree char *group = NULL;
        pid_t pid;

        impatient = true;
        (void) begin_dying(fixture, container, &captured, &group, &pid);
        await(fixture, &captured);
        testing_expect_error(&captured.error, CONBUS_ERROR_RUNTIME_FAILED, "crun was killed");
        g_assert_true(is_idle(fixture));
        g_assert_true(fakes_group_exists(group)); /* it goes with the container's */
        g_assert_true(cgroup_thaw(group, NULL));
        fakes_run_until_gone(fixture, pid);
        impatient = false;
}

/* --- whoever leaves --- */

static void test_a_caller_that_leaves(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_autoptr(Actor) alice = actor_new(1000, 2, "", "", ":1.2");
        g_auto(Captured) captured = {0};

        capture_abandon(begin_with(fixture, container, "sleep 1000", NULL, 100, LONG_USEC, alice, &captured)); /* at once */
        await_idle(fixture);
        expect_nothing_is_left(fixture, container->life.cgroup);
        Capture *capture = begin_with(fixture, container, SAY_AND_SLEEP, NULL, 100, LONG_USEC, alice, &captured);
        pid_t pid = await_member(fixture, container);
        capture_abandon(capture);
        await_idle(fixture);
        fakes_run_until_gone(fixture, pid);
        expect_nothing_is_left(fixture, container->life.cgroup);
        g_assert_cmpuint(captured.n, ==, 0);
        fixture_expect_events(fixture, "init start exec exec-died exec exec-died ");
}

static void test_a_caller_that_leaves_what_does_not_die(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Captured) captured = {0};
        g_autofree char *group = NULL;
        pid_t pid;

        capture_abandon(begin_dying(fixture, container, &captured, &group, &pid));
        g_assert_true(cgroup_thaw(group, NULL));
        await_idle(fixture);
        g_assert_cmpuint(captured.n, ==, 0);
        expect_nothing_is_left(fixture, container->life.cgroup);
}

static void test_a_container_that_is_stopped(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_autofree char *cgroup = g_strdup(container->life.cgroup);
        g_auto(Captured) captured = {0};
        g_auto(Answer) answer = {0};

        (void) begin(fixture, container, SAY_AND_SLEEP, &captured);
        (void) await_member(fixture, container);
        fixture_do(fixture, container, VERB_STOP, "{'timeout-usec': <uint64 0>}", &answer);
        g_assert_no_error(answer.error);
        testing_run_until_count(fixture->event, &captured.n, 1);
        g_assert_cmpint(captured.code, ==, 137);
        g_assert_cmpint(captured.signal, ==, SIGKILL);
        expect_nothing_is_left(fixture, cgroup);
}

static void test_a_container_that_is_removed(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_autofree char *cgroup = g_strdup(container->life.cgroup);
        g_auto(Captured) captured = {0};
        g_auto(Answer) answer = {0};

        Gate *gate = fakes_gate(fixture, "crun exec-done");
        (void) begin(fixture, container, "echo x", &captured);
        gate_reach(gate);
        fixture_do(fixture, container, VERB_REMOVE, "{'force': <true>, 'timeout-usec': <uint64 0>}", &answer);
        g_assert_no_error(answer.error);
        g_autofree char *before = fixture_events(fixture);
        gate_open(gate);
        await(fixture, &captured);
        g_assert_cmpint(captured.code, ==, 0);
        expect_text(captured.output, "x\n");
        fixture_expect_events(fixture, before); /* nothing is told of a container that is gone */
        expect_nothing_is_left(fixture, cgroup);
}

/* --- the service leaves --- */

static void expect_gone_with_the_service(Fixture *fixture, pid_t pid, Captured *captured) {
        Container *container = registry_get_by_name(fixture->registry, "web");

        g_assert_true(is_idle(fixture)); /* before anything of the next one has run */
        fakes_run_until_gone(fixture, pid);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(captured->n, ==, 0);
        fixture_expect(fixture, container, STATE_RUNNING);
        g_autoptr(GPtrArray) members = cgroup_list(container->life.cgroup);
        g_assert_cmpuint(members->len, ==, 1);
}

static void test_it_dies_with_the_service(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_autoptr(Actor) alice = actor_new(1000, 2, "", "", ":1.2");
        g_auto(Captured) captured = {0};

        (void) begin_with(fixture, container, SAY_AND_SLEEP, NULL, 100, LONG_USEC, alice, &captured);
        pid_t pid = await_member(fixture, container);
        (void) executed_crash(fixture, NULL);
        expect_gone_with_the_service(fixture, pid, &captured);
}

static void test_the_service_leaves_after_the_caller(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Captured) captured = {0};

        Capture *capture = begin(fixture, container, SAY_AND_SLEEP, &captured);
        pid_t pid = await_member(fixture, container);
        capture_abandon(capture);
        (void) executed_crash(fixture, NULL);
        expect_gone_with_the_service(fixture, pid, &captured);
}

static void test_the_service_leaves_what_does_not_die(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Captured) captured = {0};
        g_autofree char *group = NULL;
        pid_t pid;

        (void) begin_dying(fixture, container, &captured, &group, &pid);
        testing_run_idle(fixture->event);
        (void) executed_crash(fixture, NULL);
        g_assert_true(cgroup_thaw(group, NULL));
        expect_gone_with_the_service(fixture, pid, &captured);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        FAKES_ADD(codes);
        FAKES_ADD(output_and_errors);
        FAKES_ADD(output_is_cut);
        FAKES_ADD(what_it_leaves_behind_is_killed);
        FAKES_ADD(two_do_not_meet);
        FAKES_ADD(without_a_group);
        FAKES_ADD(states_that_refuse);
        FAKES_ADD(one_that_is_paused);
        FAKES_ADD(what_crun_says);
        FAKES_ADD(a_crun_that_cannot_be_executed);
        FAKES_ADD(what_fails_at_once);
        FAKES_ADD(no_descriptors);
        FAKES_ADD(a_store_that_refuses);
        FAKES_ADD(users_have_a_limit);
        FAKES_ADD(the_time_is_up);
        FAKES_ADD(the_time_of_what_never_stops_is_up);
        FAKES_ADD(a_caller_that_leaves);
        FAKES_ADD(a_container_that_is_stopped);
        FAKES_ADD(a_container_that_is_removed);
        FAKES_ADD(it_dies_with_the_service);
        FAKES_ADD(the_service_leaves_after_the_caller);
        if (!cgroup_is_unified()) { /* the freezer of version 2 lets SIGKILL through */
                FAKES_ADD(what_does_not_die_is_waited_for);
                FAKES_ADD(what_does_not_die_is_not_waited_for_for_ever);
                FAKES_ADD(a_caller_that_leaves_what_does_not_die);
                FAKES_ADD(the_service_leaves_what_does_not_die);
        }
        return g_test_run();
}
