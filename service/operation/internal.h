/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of this layer share among themselves. Nothing above includes it. */

#include "operation/operation.h"
#include "operation/health.h"
#include "operation/policy.h"
#include <signal.h>

#define PRIORITY_END (SD_EVENT_PRIORITY_NORMAL - 5) /* of what tells an end: it goes before whatever is asked meanwhile */

/* operation.c */
void operation_run_beside(Operation *operation);
void operations_forget(Container *container); /* the service leaves: adoption takes up what was in progress */
void operation_leave_queue(Operation *operation); /* it goes on beside the queue, in which the next one begins */
void operation_answer(Operation *operation, const GError *error); /* now, though its steps go on: what they still have to do may last */
void operation_give_slot_back(Operation *operation); /* while it waits for other containers */
Operation *operation_begin_create(Engine *engine, Container *container, Actor *actor, OperationDone done, void *userdata);

/* verbs.c */
Step verb_step(Verb verb); /* the first step */
/* What the state refuses without a look at the queue: everything but Remove and Sync in `removing`, and in `stopping` what its row refuses. options may be NULL. */
bool verb_check_state(Verb verb, Container *container, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool option_bool(const Operation *operation, const char *key);
guint64 option_uint64(const Operation *operation, const char *key, guint64 absent);
gint32 option_int32(Operation *operation, const char *key, gint32 absent);
const char *option_string(Operation *operation, const char *key, const char *absent); /* valid while the operation lives */
/* Sets InvalidState: `VERB container "web": it is STATE; possible when it is LIST`. */
void operation_fail_state(Operation *operation, const char *possible);
void operation_fail_code(Operation *operation, ConbusError code, const char *why); /* `VERB container "web": WHY` */
void operation_set_result(Operation *operation, GVariant *tuple);
/* Applies the commit; a failure becomes the operation's. */
bool operation_commit(Operation *operation, Commit *commit) G_GNUC_WARN_UNUSED_RESULT;
void failure_remember(Operation *operation); /* LastError* of the verbs that keep one */
/* Runs crun as this operation's process; the next step on the stack runs after it with operation->step_error set or NULL and operation->output. */
void operation_crun(Operation *operation, const char *const *arguments);
void operation_process(Operation *operation, const char *const *argv); /* the same for another helper */
void operation_process_or(Operation *operation, bool (*spare)(const char *const *argv), const char *const *argv); /* the same, where the child may do without the program (ProcessSpec.spare) */
void operation_call(Operation *operation, int (*call)(const char *const *argv), const char *const *argv); /* and for a system call that can take long (ProcessSpec.call) */

/* Verbs: first steps. */
void init_step(Operation *operation);
void start_step(Operation *operation);
void stop_step(Operation *operation);
void restart_step(Operation *operation);
void kill_step(Operation *operation);
void pause_step(Operation *operation);
void resume_step(Operation *operation);
void remove_step(Operation *operation);
void rename_step(Operation *operation);
void update_step(Operation *operation);
void sync_step(Operation *operation);
void cleanup_step(Operation *operation);
void create_step(Operation *operation);
void exec_step(Operation *operation);

/* Parts of verbs that others use: each ends in operation_continue. */
void init_begin(Operation *operation); /* launch.c: a state in which Init is allowed → initialized, or undone with an error */
void launch_kill(Engine *engine, Container *container); /* launch.c: ends what a launch that is undone has begun */
void removal_ensure(Engine *engine, Container *container); /* remove.c: submits the removal of an auto-remove container whose policy has declined, if it is one and does not wait for its time to be tried again */
void removal_retry(Engine *engine, Container *container); /* remove.c: the same when that time has come, and what is left of any other removal */
void removal_of_dependents(Operation *operation); /* remove.c: those that there are; then operation_continue */
void removal_failed(Operation *operation); /* remove.c: after a Remove with an error */
Reason start_reason(const Operation *operation); /* start.c: of the states that its start enters */
void start_set_result(Operation *operation); /* start.c: of operation->run */
void start_begin(Operation *operation); /* start.c: created, initialized, stopped or exited → running, or undone */
void stop_begin(Operation *operation); /* stop.c: active → stopped and torn down (exited) */
void stop_resume(Container *container); /* stop.c: adoption: sends the signal of a stop that may not have been sent */
bool stop_belongs_to(const Operation *operation); /* a Stop, and what stops on its way: Restart, and Remove with force */
void stop_keep_down(Operation *operation); /* stop.c: the wish to stay down, where nothing lives: fails with NotRunning; no continue */
void stop_join(Operation *operation); /* stop.c: at submission: a call that comes during a stop shortens it; a Stop shares its end */
void teardown_begin(Operation *operation); /* teardown.c: stopped, or an undone launch → nothing left in the runtime; then the commit of `exited` */
void runtime_discard(Operation *operation); /* teardown.c: crun delete, cgroups, root file system unless operation->keep_rootfs, exit file; no commit */

/* teardown.c */
/* Delivers a signal to PID 1, or to its whole cgroup when it shares our PID namespace. */
bool signal_leader(Container *container, int signal, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool signal_all(Container *container, int signal, unsigned *ret_n, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void kill_now(Container *container); /* SIGKILL to PID 1 and its cgroup, thawed; failures are logged */

/* lifecycle.c: the processes of an open run */
void lifecycle_attach(Engine *engine, Container *container, Conmon *conmon); /* after the launch (conmon owned from now on) or at adoption (NULL) */
void lifecycle_detach(Container *container);
void lifecycle_hold(Container *container); /* an end is noted but not committed: while crun start runs */
void lifecycle_release(Container *container);
bool lifecycle_has_ended(Container *container); /* PID 1 is known dead, committed or not */
guint64 lifecycle_patience(const Container *container); /* how long conmon still has to say how, at most; 0: nobody is waited for */
/* operation_continue once the run has ended (now, if none is open). */
void lifecycle_await_end(Operation *operation);
void lifecycle_forget(Operation *operation);
bool lifecycle_is_awaited(const Container *container); /* an operation waits for the end that it has brought about */
void lifecycle_set_kill_deadline(Engine *engine, Container *container, guint64 boottime_usec); /* SIGKILL at that time; UINT64_MAX never */
void lifecycle_main_is_gone(Container *container); /* adoption: PID 1 was not found any more */
void lifecycle_ensure_cleanup(Engine *engine, Container *container); /* stopped and nothing runs: queue the cleanup at the head */
void lifecycle_exit_file(Engine *engine, const char *id); /* inotify saw it */
/* In the commit of its end: life, record, RunFinished and the event `died` of the open run, whatever way it ends. */
void lifecycle_close_run(Commit *commit, Result result, Reason reason, int code, int signal);
/* How a raw wait status or the number of an exit file reads as code, signal and result. */
void lifecycle_set_outcome(Life *life, bool has_status, int wait_status, bool has_file, int file_code, guint64 oom_kills);

/* exec.c */
/* The process that a request asks for, for crun exec; path NULL: only checked. size: rows and columns, or 0. StorageFull, and as spec_exec_write. */
bool sessions_write_process(Engine *engine, Container *container, GVariant *request, const guint16 size[2], const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* sessions.c */
void session_has_ended(Engine *engine, Session *session); /* after the commit of its end */
void session_remove_directory(Engine *engine, const Session *session);
void sessions_await_ends(Operation *operation); /* kills those of the container, and waits until their ends are recorded; then operation_continue */
bool sessions_remove_all(Engine *engine, Container *container, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool sessions_adopt(Engine *engine, Container *container, bool same_boot, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void sessions_forget(Container *container); /* the service leaves */

/* capture.c */
void captures_free(Engine *engine); /* the service leaves: they are killed and not answered; their groups go with that of the container */
void captures_adopt(Engine *engine); /* what a service that was killed has left behind is ended */

/* session-watch.c */
bool session_commit_running(Session *session, Actor *actor, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* with the process of session->main */
void session_watch_begin(Engine *engine, Session *session, Conmon *conmon); /* takes conmon; NULL: after a restart, with what could be found again in session->main and monitor */
/* A launch came to nothing: that is its end. False: something of it lives still, and is being ended; session_watch_await. */
bool session_watch_fail(Engine *engine, Session *session, int code) G_GNUC_WARN_UNUSED_RESULT;
void session_watch_free(struct SessionWatch *watch);
void session_watch_await(Session *session, Operation *operation); /* operation_continue once the end is recorded */
void session_watch_kill(Session *session); /* the process, or what is about to begin it */
void session_watch_kill_at(Session *session, guint64 boottime_usec); /* UINT64_MAX: never; the earliest counts */

/* repair.c: cleanups and removals that failed */
void repair_later(Engine *engine, Container *container);
bool repair_is_due(const Container *container); /* one will be tried again by itself */
void repair_forget(Container *container);

/* monitors.c: conmons whose run is over */
void monitors_watch(Engine *engine, const char *id, PidRef *pid); /* takes pid */
void monitors_watch_group(Engine *engine, const char *id); /* whoever is in it */
void monitors_adopt(Engine *engine); /* those of an earlier service */
void monitor_free(void *monitor);

/* descriptors.c */
void descriptors_follow(const Change *change); /* the store of descriptors holds the pidfds of open runs */
bool descriptors_restore(const Container *container, const char *role, const StoredProcess *process, PidRef *ret) G_GNUC_WARN_UNUSED_RESULT; /* "main" or "monitor": the stored pidfd, also of a process that has ended, else as pidref_find */

/* managed.c */
void managed_claim(Operation *operation); /* of a Start with the option managed: the unit whose main process the caller is takes charge of the container; then operation_continue. NotSupported, InvalidArgs, ManagedByUnit (another one has it), UnitFailed */
bool managed_release(Operation *operation); /* a start or restart with force-direct takes it out of the unit's hands; false: the operation has failed */
bool managed_stops_itself(const Operation *operation); /* a stop from within the unit, to be prepared */
void managed_prepare_stop(Operation *operation); /* is it the machine that goes down, how long may it take; then operation_continue */
bool managed_goes_by_unit(Operation *operation); /* when it is its turn: managed_step instead of the verb's own first step */
void managed_step(Operation *operation);
void managed_adopt(Engine *engine, Container *container); /* the unit may have ended meanwhile */
void managed_forget(Container *container); /* the container goes, or the service */
void managed_forget_operations(Engine *engine); /* jobs go on */

/* shutdown.c */
bool shutdown_has_dependents_up(Engine *engine, Container *container);
void shutdown_stop_dependents(Operation *operation); /* those that are up, as at the machine's end, within the grace of this operation; then operation_continue */
void shutdown_look_again(Engine *engine);
void shutdown_free(Engine *engine);

/* scope.c */
char *group_of(Engine *engine, const Container *container); /* its control group, also when no run has said where it is (teardown.c) */
void scope_begin(Operation *operation); /* conmon, still held, is put into its scope; then operation_continue, with step_error when that failed; only where engine->units is */
void scope_end(Operation *operation); /* what is left in the group is killed and has ended, and its scope is gone; then operation_continue; failures are logged */
char *scope_group(Engine *engine, const Container *container); /* where it is, or is to be */
void scope_forget(Operation *operation); /* the service leaves */

/* pace.c: how many launches are under way at once */
struct Pace *pace_new(Engine *engine);
void pace_free(struct Pace *pace);
void pace_step(Operation *operation); /* operation_continue when it is its turn to launch something, or when it is cancelled; it has given its slot back if it had to wait */
bool pace_is_waiting(const Operation *operation);
void pace_leave(Operation *operation); /* it is over, or goes on to something else */

/* dependencies.c */
void dependencies_step(Operation *operation); /* all running, or started when recursive; else DependencyFailed */
/* Refuses a configuration whose dependencies would close a cycle or do not exist (WouldDeadlock, NoSuchContainer). id: of the container itself or NULL. */
bool dependencies_check(Registry *registry, const char *id, GVariant *config, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A checked configuration with ids in place of names: a container that takes the name of a dependency later is none. New reference. */
GVariant *dependencies_resolve(Registry *registry, GVariant *config) G_GNUC_WARN_UNUSED_RESULT;

/* attachments.c: called by the steps of a run */
struct Attachments *attachments_new(void);
void attachments_free(struct Attachments *attachments); /* clients stay attached */
void attachments_settle(Operation *operation); /* operation_continue once a streamer that is being started is connected to conmon: nothing may execute before */
void attachments_run_ended(Engine *engine, Container *container); /* after the commit of the end */
void attachments_monitor_lost(Engine *engine, Container *container);
bool attachments_are_ready(const Engine *engine); /* every streamer has said who is attached */
void adoption_look(Engine *engine); /* something of a former life has been heard of */
void attachments_adopt(Engine *engine, Container *container); /* finds the streamer of the latest run */

/* logs.c */
struct Logs *logs_new(void);
void logs_free(struct Logs *logs);
void logs_changed(Engine *engine, const Change *change); /* tells followers */
void logs_adopt(Engine *engine, Container *container);
void logs_watch(Engine *engine, Container *container); /* rotates its log where it has a limit, while conmon lives */
void logs_settle(Engine *engine, Container *container); /* conmon is at its end: finishes a rotation without it */
void logs_unwatch(Engine *engine, Container *container);
char *logs_begin_run(Engine *engine, Container *container, guint64 run) G_GNUC_WARN_UNUSED_RESULT; /* marks the log, and where it will hold the first byte of the run: its log-cursor, "" for a driver without a log */

/* session-streams.c: called by the steps of an exec session */
bool attachments_session_has(Engine *engine, const Session *session);
bool attachments_session_wants_input(Engine *engine, const Session *session);
void attachments_session_size(Engine *engine, const Session *session, guint16 *ret_rows, guint16 *ret_columns); /* that one of them has asked for; else untouched */
typedef void (*SessionConnected)(void *userdata);
/* conmon serves streams: settled is called, perhaps at once, when those that attached before are connected. It is not called any more after one of the next two. */
void attachments_session_connect(Engine *engine, Session *session, SessionConnected settled, void *userdata);
void attachments_session_running(Engine *engine, Session *session); /* after its commit */
void attachments_session_ended(Engine *engine, Session *session); /* likewise */
void attachments_session_lost(Engine *engine, Session *session); /* its conmon died */
void attachments_session_adopt(Engine *engine, Session *session);

/* policy.c */
/* In the commit that enters exited: is a restart due, and when. failed_attempt: the run was the policy's own and did not get as far as crun start; it counts and is tried again. */
void policy_plan(Engine *engine, Container *container, Commit *commit, bool failed_attempt);
void policy_attempt_failed(Operation *operation); /* a policy restart that failed before a run was opened: counts, and is planned again */
void policy_arm(Engine *engine, Container *container); /* timer for life.next_restart_usec; 0 disarms */
void policy_arm_after(Engine *engine, Container *container, guint64 usec);
void policy_forget(Container *container); /* the container goes */

/* readiness.c */
bool readiness_prepare(Engine *engine, Container *container, guint64 run, char **ret_directory, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* notify=ready: the socket */
bool readiness_comes_with_start(const Container *container); /* notify=started: the commit of `running` says so, too */
void readiness_started(Engine *engine, Container *container); /* start timeout, ready at once for notify=started if that has not been said */
void readiness_set_ready(Engine *engine, Container *container); /* notify=healthy: the health layer says so */
void readiness_close(Container *container);
void readiness_attach(Engine *engine, Container *container); /* at adoption */
void readiness_fail_unhealthy(Operation *operation);

/* health.c */
void health_started(Engine *engine, Container *container); /* a run is running */
void health_adopt(Engine *engine, Container *container); /* the same after a restart of the service: the status is kept, and the startup check counts as passed if it had ever led to more than `starting` */
void health_adopt_ended(Engine *engine, Container *container); /* its run has ended meanwhile or is being stopped, which health_ended is going to be told */
void health_adopt_rest(Engine *engine, Container *container); /* no run is open; the service may have ended between the end of the last one and health_ended */
void health_save(Container *container); /* the service leaves: streak and entries for health_adopt */
void health_ended(Container *container);
void health_paused(Container *container);
void health_resumed(Container *container);
void health_forget(Container *container);

char *health_last_output(Container *container) G_GNUC_WARN_UNUSED_RESULT; /* of the last check, "" if none */
