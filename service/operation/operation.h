/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a caller asked for, as a sequence of asynchronous steps. One first-in-first-out queue per container, a cap on how many run at once, exactly one answer for each accepted call.
 *
 * A step is a function on the Operation. It ends by calling operation_continue, now or from a callback; that runs the step which operation_then pushed last (a stack).
 * A step that fails sets operation->error first; the steps after it look at it, undo, and continue. When the stack is empty the operation is over: answered, and the next one of the container begins. */

#include "container/commit.h"
#include "container/waits.h"
#include "runtime/conmon.h"
#include "runtime/crun.h"
#include "runtime/units.h"

typedef enum Verb {
        VERB_CREATE,
        VERB_INIT,
        VERB_START,
        VERB_STOP,
        VERB_RESTART,
        VERB_KILL,
        VERB_PAUSE,
        VERB_RESUME,
        VERB_REMOVE,
        VERB_RENAME,
        VERB_UPDATE, /* SetAutoStart, SetRestartPolicy */
        VERB_SYNC,
        VERB_CLEANUP,
        VERB_EXEC, /* operation/exec.c; not of Queue */
        N_VERBS,
} Verb;
const char *verb_to_string(Verb verb) G_GNUC_WARN_UNUSED_RESULT; /* as Queue and the property Operation spell it */
bool verb_from_string(const char *text, Verb *ret) G_GNUC_WARN_UNUSED_RESULT;
/* Checks the options of a verb's ...With form (UnknownOption, InvalidArgs). */
bool verb_is_cancellable(Verb verb); /* also while it runs: Init, Start and Restart are undone; the others are finished */
bool verb_check_options(Verb verb, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef struct Engine Engine;
typedef struct Operation Operation;
typedef void (*Step)(Operation *operation);

/* Exactly once, never before operation_submit has returned. result: a tuple as the verb's method returns it, borrowed; NULL with error. */
typedef void (*OperationDone)(Operation *operation, GVariant *result, const GError *error, void *userdata);

typedef struct JobLimits {
        unsigned unfinished_per_caller; /* 64 */
        guint64 keep_usec; /* after the end, 5 min; UINT64_MAX: until Release */
} JobLimits;

/* Settings of conbus.conf and what tests set small; times in usec. */
typedef struct Settings {
        unsigned operations_max; /* running at once, 64 */
        unsigned launches_max; /* of conmon and crun, at work at once; 0: one more than there are processors */
        unsigned operations_queued_max; /* accepted, 1024: Busy */
        guint64 exit_file_usec; /* 5 s */
        guint64 kill_usec; /* after SIGKILL before the reply gives up, 5 s */
        guint64 create_usec; /* crun create under conmon, 240 s */
        guint64 runtime_usec; /* every other verb of crun, 60 s */
        guint64 launch_hold_usec; /* of a launch while others wait, 100 ms; then it is no work (pace.c) */
        guint64 repair_usec, repair_max_usec; /* before a cleanup that failed is tried again, 1 s, doubled up to 60 s */
        guint64 backoff_max_usec; /* 60 s */
        guint64 backoff_reset_usec; /* 10 s */
        guint64 idle_exit_usec; /* 30 s; UINT64_MAX never */
        unsigned waits_per_caller; /* 1024 */
        unsigned streams_per_user; /* of events, opened by one who is not root, 16 */
        unsigned operations_per_user; /* accepted, of one who is not root, 128: LimitsExceeded */
        unsigned processes_per_user; /* in containers, also those that have ended and are not removed yet, of one who is not root, 256 */
        guint64 process_keep_usec; /* a process that has ended, 60 s */
        unsigned checks_per_user; /* calls of one user that wait for an authorization, 256 */
        char slice[256]; /* of scopes, machine-conbus.slice */
        StoreLimits limits;
        JobLimits jobs;
} Settings;

struct Engine {
        sd_event *event;
        Reaper *reaper;
        const Paths *paths;
        Registry *registry;
        Store *store;
        Waits *waits;
        struct Shutdown *shutdown; /* the machine goes down; NULL */
        Units *units; /* NULL where PID 1 is not systemd; the manager's */
        Settings settings;
        GQueue ready; /* operations that wait for a slot */
        struct Pace *pace; /* operation/pace.c */
        unsigned n_sessions_leaving; /* exec sessions in their last minute */
        unsigned n_running, n_accepted, n_supervised; /* operations; containers whose processes are watched (lifecycle.c) */
        GHashTable *quotas; /* operation/quota.c */
        sd_event_source *exit_watch; /* inotify of the exit directory */
        GPtrArray *monitors; /* of struct Monitor: conmons that outlive their runs (monitors.c) */
        struct Attachments *attachments; /* operation/attachments.c */
        struct Logs *logs; /* operation/logs.c */
        GQueue captures; /* of Capture: operation/capture.c */
        GQueue checks_waiting; /* of struct Health: due, but CHECKS_MAX run already */
        unsigned n_checks;
        sd_event_source *pump_source; /* begins one queued operation in a fresh turn of the loop; NULL: none is waiting for one */
        unsigned n_adopting; /* operations that adoption waits for */
        void (*adopted)(void *userdata); /* NULL once it has been called: engine_when_adopted */
        void *adopted_userdata;
        sd_event_source *adopted_timer;
        GPtrArray *by_unit; /* of Operation, not owned: those that wait for a job on a unit (managed.c) */
        bool goes_down; /* a unit's stop has told that the machine does; before engine_shut_down */
        bool stopping; /* the service leaves: nothing new begins */
        char *group_file; /* cgroup_own_file */
        guint64 moved_usec; /* when a launch has last begun a move between control groups ahead of crun's (launch.c) */
        void (*busy_changed)(void *userdata); /* manager: look at idleness again; may be NULL */
        void *busy_userdata;
};

Engine *engine_new(sd_event *event, Reaper *reaper, const Paths *paths, Registry *registry, Waits *waits, const Settings *settings, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* becomes OBSERVER_ENGINE; makes the run directories */
void engine_save(Engine *engine); /* what the next service is to know and no row holds; before the name is given back, for then the next one may come */
void engine_free(Engine *engine); /* containers live on */
/* Calls adopted once everything of a former life is there again, jobs of attachments included, and is known to be as it says, which may be at once; a crun or a streamer that says nothing for three seconds is not waited for. After engine_adopt. */
void engine_when_adopted(Engine *engine, void (*adopted)(void *userdata), void *userdata);
bool engine_adopt(Engine *engine, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* after registry_load: matches rows with processes, resumes what was in progress, boot rule */
/* The machine goes down: policies are suspended, everything is stopped in the order of dependencies, killed when the time is up. done: nothing is up any more. */
void engine_shut_down(Engine *engine, guint64 budget_usec, void (*done)(void *userdata), void *userdata);
bool engine_is_busy(const Engine *engine); /* an operation, an active container, a pending restart */
void settings_init(Settings *settings);

struct Operation {
        unsigned n_references;
        Engine *engine;
        Container *container; /* reference */
        Verb verb;
        GVariant *options; /* a{sv}, never NULL */
        Actor *actor; /* NULL: the service itself */
        GError *error; /* first failure */
        GVariant *result; /* tuple; set by the verb's steps */
        char *job; /* object path of the job that it is, or NULL; owned */
        bool running, finished, cancelled;
        OperationDone done;
        void (*begun)(Operation *operation, void *userdata); /* set after submission, or NULL: its first step is due */
        void *userdata;
        GArray *steps; /* stack of Step */
        void (*cancel)(Operation *operation); /* the running step's own way to end early, or NULL */

        /* what steps share */
        guint64 run;
        char *rootfs;
        unsigned unfiltered_profile; /* 0, or the number of the seccomp profile whose filter this launch makes known */
        PidRef main;
        Conmon *conmon;
        Process *process;
        UnitJob *unit_job; /* of the scope, or on the unit that owns the container */
        struct ServiceQuestion *question; /* about that unit */
        struct ScopeEnd *scope_end;
        struct VolumeWork *volume_work; /* operation/volumes.c */
        sd_event_source *timer;
        GError *step_error;
        gint64 number; /* verb-specific: of a health action the run that it is about; of a restart by policy the planned one, life.next_restart_usec; of a creation from a profile how many of it its creator may have, 0 for no limit */
        bool internal_restart; /* policy: RestartCount is kept and grows */
        bool at_shutdown; /* of the machine: StoppedByUser stays as it is */
        bool not_by_user; /* a health action: the policy still applies */
        guint64 joined_run; /* a Stop that came while this run was stopping, a Cleanup while it was stopping or stopped */
        bool boot_rule; /* its start */
        bool is_due; /* a restart of a policy that adoption goes on with: due without a pending one */
        bool stopped_for_restart; /* Restart: nothing runs any more, the start follows */
        bool dependencies_seen; /* dependencies_step has started them already */
        bool keep_rootfs; /* the next run uses it */
        bool undoes_launch; /* of its conmon nothing stays */
        bool removing_is_synced; /* a removal, which no power cut undoes any more */
        bool to_created; /* teardown ends in created: nothing ever ran */
        State from_state; /* where Init or Start began */
        bool has_slot;
        guint64 launch_usec; /* since when it has had a place among the launches (pace.c), CLOCK_BOOTTIME; 0: it has none */
        char *output; /* of the last crun_begin or process; owned */
        const char *await_condition; /* Start: "ready" or "healthy" before the answer; static string */
        Wait *await;
        struct Attachment *attachment; /* StartWith: to be connected before crun start; borrowed from whoever submitted the operation, who forgets it in done; NULL: none */
        bool attach_only; /* it ran already */
        unsigned n_dependents; /* stopped before it, not done yet (shutdown.c) */
        bool asked_unit; /* managed.c has asked about the unit that the caller is in */
        void *data;
        void (*free_data)(void *data);
};

/* Checks what can be checked now (Removed, Busy) and queues. options NULL: none. The operation is referenced by its queue; done may be NULL. */
Operation *operation_submit(Engine *engine, Container *container, Verb verb, GVariant *options, Actor *actor, OperationDone done, void *userdata, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The same at the head of the queue, behind the one that runs: automatic cleanup. */
Operation *operation_submit_first(Engine *engine, Container *container, Verb verb, GVariant *options, OperationDone done, void *userdata);
/* Before a call of a client submits anything: LimitsExceeded when its user has too many operations. what: for the message. */
bool operation_check_quota(const Engine *engine, const Actor *actor, const char *what, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The caller has left: a waiting operation is dropped without effect, a running one finishes without an answer (its done is not called). */
void operation_abandon(Operation *operation);
/* Cancels as a Job does: waiting → ended with Cancelled; running → ended as soon as it can be, and undone, if verb_is_cancellable; a Start that only waits for readiness ends, and the container runs on. */
void operation_cancel(Operation *operation);

Operation *operation_ref(Operation *operation);
void operation_unref(Operation *operation);

/* CreateContainer and CreateContainerFromBundle. name "" generates one; bundle NULL: none. The result is (o). Validated before it returns: InvalidName, NameInUse, UnknownOption, InvalidConfig, NoSuchPath, NoSuchImage. fds: the descriptors
 * that handles in config are the numbers of, duplicated here; NULL: none. The container is durable (store_sync) when done is called. */
Operation *operation_create(Engine *engine, const char *name, const char *image, const char *bundle, GVariant *config, const GArray *fds, Actor *actor, OperationDone done, void *userdata, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* For steps. */
bool operation_check_cancelled(Operation *operation); /* fails it with Cancelled when that is asked for; true: go on */
void operation_then(Operation *operation, Step step);
void operation_continue(Operation *operation);
void operation_fail(Operation *operation, GError *error); /* takes it; keeps the first error, logs the later ones; does not continue */
