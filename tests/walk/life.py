# SPDX-License-Identifier: LGPL-2.1-or-later
"""The model of a container's life (behaviour.md sections 2, 5, 6, 8, 10): which commit may follow which state of affairs, what must have caused it, and which values it must bring.

A life is the properties as the signals of one commit left them. `explain` takes two lives in a row, the other signals of that commit and what is under way, and returns the name of the rule that allows the step; it raises Wrong when there is none."""

ACTIVE = ("initialized", "running", "paused", "stopping")
STAMPS = {"StateTimestamp", "StartTimestamp", "FinishTimestamp", "LastErrorTimestamp"}
STATE = {"State", "StateReason", "StateTimestamp", "Operation"}
PLACE = {"ControlGroup", "Unit", "Slice"}  # the latter two where there is a service manager
ERRORS = {"LastErrorName", "LastErrorMessage", "LastErrorTimestamp"}
STOP_VERBS = {"Stop", "Restart", "Remove"}  # Remove ends what is initialized
START_VERBS = {"Start", "Restart"}
WISHES = (2, 3, 9, 15)  # signals of Kill that say that it is to be down
LAUNCH_VERBS = START_VERBS | {"Init"}

# Operations against states, the table of behaviour.md section 2; "ok" where the call succeeds, else the error.
STATES = ("created", "initialized", "running", "paused", "stopping", "stopped", "exited", "unknown")
IS, AR, NR, AP, NP = "InvalidState", "AlreadyRunning", "NotRunning", "AlreadyPaused", "NotPaused"
TABLE = {
    "Init": ("ok", IS, IS, IS, IS, "ok", "ok", IS),
    "Start": ("ok", "ok", AR, IS, IS, "ok", "ok", IS),
    "Restart": ("ok", "ok", "ok", IS, "ok", "ok", "ok", IS),
    "Stop": (NR, "ok", "ok", "ok", "ok", NR, NR, "ok"),
    "Kill": (NR, IS, "ok", "ok", "ok", NR, NR, "ok"),
    "Pause": (NR, IS, "ok", AP, IS, NR, NR, IS),
    "Resume": (NP, NP, NP, "ok", NP, NP, NP, IS),
    "Rename": ("ok",) * 8,
    "SetRestartPolicy": ("ok",) * 8,
    "Cleanup": ("ok", "ok", IS, IS, "ok", "ok", "ok", "ok"),
    "CleanupOnlyStopped": (IS, IS, IS, IS, "ok", "ok", IS, IS),
    "Remove": ("ok", "ok", IS, IS, IS, "ok", "ok", IS),
    "RemoveForce": ("ok",) * 8,
    "Sync": ("ok",) * 8,
    "Check": (NR, IS, "ok", IS, IS, NR, NR, IS),
    "Exec": (NR, IS, "ok", IS, IS, NR, NR, IS),
    "ExecCapture": (NR, IS, "ok", IS, IS, NR, NR, IS),
}


def expected(operation, state):
    if state == "removing":
        return "ok" if operation in ("Sync", "Remove", "RemoveForce") else "Removed"
    return TABLE[operation][STATES.index(state)]


class Wrong(Exception):
    """What was observed is not what behaviour.md says."""


def check(condition, message):
    if not condition:
        raise Wrong(message)


class Facts:
    """The signals of one commit beside its properties."""

    def __init__(self):
        self.transitions, self.started, self.finished, self.ready, self.statuses, self.events = [], [], [], [], [], []
        # Of the moment when the commit was told: a dependent is being restarted by its policy, and starts this one; every dependency has run since the present operation began.
        self.dependent_is_due, self.dependencies_were_up = False, True

    def is_empty(self):
        return not (self.transitions or self.started or self.finished or self.ready or self.statuses or self.events)

    def event(self, action):
        return next((event for event in self.events if event["action"] == action), None)


def run_is_open(life):
    return life["Run"] > 0 and life["Result"] == ""


def decide(life):
    """Would the restart policy restart it: (answer, reason), the order of section 10."""
    if life["StoppedByUser"]:
        return False, "stopped-by-user"
    if life["Run"] == 0 or run_is_open(life) or life["StartTimestamp"] == 0 or life["StateReason"] == "boot":
        return False, "no-end-seen"
    policy = life["RestartPolicy"]
    if policy == "on-failure":
        if life["ExitCode"] == 0:
            return False, "policy"
        if life["RestartMax"] and life["RestartCount"] >= life["RestartMax"]:
            return False, "retries-exhausted"
        return True, "policy"
    return policy in ("always", "unless-stopped"), "policy"


def attempts_left(life):
    return life["RestartPolicy"] != "no" and (not life["RestartMax"] or life["RestartCount"] < life["RestartMax"])


def result_of(life, code, signal):
    if life["StartTimestamp"] == 0 and signal:
        return "never-ran"
    if signal:
        return "signal"
    if code < 0:
        return "lost"
    return "exit-code" if code else "success"


REASONS = {"signal": "signal", "never-ran": "not-started", "start-failed": "start-failed", "lost": "monitor-lost"}


class Rules:
    """The steps of one container. `world` says what is under way: causes(verbs), outcomes(run), was_disturbed()."""

    def __init__(self, config, world):
        self.auto_remove, self.first_backoff, self.backoff_max = config["auto_remove"], config["restart_sec"], config["backoff_max"]
        self.notify = config["notify"]
        self.health, self.health_restart = config["health"], False  # health_restart: the stop that is under way is that of a restart by health; None: perhaps
        self.health_owes = False  # health has planned a restart, and no run has been started since: a launch that a restart of the service has undone is made again
        self.world, self.backoffs = world, {0}  # what the service may count as the last back-off; more than one after a restart of the service, which may have planned unseen

    def explain(self, old, new, facts):
        changed = {key for key in new if new[key] != old[key]}
        if old["State"] != new["State"]:
            rule = self._transition_rule(old, new)
        else:
            rule = self._rule_in_place(old, new, changed)
        allowed, events = getattr(self, "_" + rule)(old, new, facts)
        check(changed <= allowed | {"Operation"}, f"the step {rule} must not change {sorted(changed - allowed)}")
        self._check_facts(old, new, facts, rule, events)
        return rule

    def _transition_rule(self, old, new):
        before, after = old["State"], new["State"]
        if after == "initialized" and before in ("created", "exited", "stopped"):
            return "init"
        if (before, after) == ("initialized", "running"):
            return "start"
        if (before, after) in (("running", "paused"), ("paused", "running")):
            return "freeze"
        if after == "stopping" and before in ACTIVE:
            return "stopping"
        if after == "stopped" and (before in ACTIVE or (before in ("created", "exited") and run_is_open(old))):
            return "end" if before in ACTIVE else "undone"
        if before == "stopped" and after == "exited" and run_is_open(old):
            return "undone"
        if before == "stopped" and after in ("exited", "created"):
            return "cleanup"
        if after == "removing":
            return "removing"
        raise Wrong(f"no rule leads from {before} to {after}")

    def _rule_in_place(self, old, new, changed):
        rest = changed - {"Operation"}
        if not rest:
            return "nothing"
        if rest <= ERRORS:
            return "failure"
        if rest <= {"Processes"}:
            return "processes"
        if "Run" in rest:
            return "open"
        if "Name" in rest or "RestartPolicy" in rest or "RestartMax" in rest or "ConfigGeneration" in rest:
            return "config"
        if "Result" in rest:
            return "undone"
        if rest <= {"Health", "Ready"}:
            return "health"
        if rest <= {"MonitorPID", "Supervised"}:
            return "launch" if new["MonitorPID"] else "supervision_lost"
        if rest <= {"StoppedByUser", "NextRestartTimestamp"}:
            return "wish"
        if rest <= {"RestartCount", "NextRestartTimestamp"}:
            return "failed_attempt"
        raise Wrong(f"no rule changes {sorted(rest)} at once")

    # Each rule returns the properties it may change and the events it brings.

    def _nothing(self, old, new, facts):
        return set(), ()

    def _processes(self, old, new, facts):
        """Each of them has a life of its own (processes.py)."""
        return {"Processes"}, ()

    def _failure(self, old, new, facts):
        check(self.world.causes(LAUNCH_VERBS | STOP_VERBS) or old["RestartPolicy"] != "no" or self.health or facts.dependent_is_due, "an error is remembered, but nothing that could fail is under way")
        return ERRORS, ()

    def _open(self, old, new, facts):
        check(old["State"] in ("created", "stopped", "exited"), f"a run is opened in the state {old['State']}")
        check(not run_is_open(old), f"run {old['Run']} is still open")
        check(new["Run"] == old["Run"] + 1, f"run {new['Run']} follows {old['Run']}")
        check((new["ExitCode"], new["ExitSignal"], new["Result"], new["StartTimestamp"], new["FinishTimestamp"], new["NextRestartTimestamp"]) == (-1, 0, "", 0, 0, 0), "a fresh run is not empty")
        check(facts.dependencies_were_up, "a run is opened before what it depends on runs")
        event, self.health_restart = facts.event("restart"), False
        if event and not event["actor"]:
            # Adoption goes on with a restart whose run was initialized; it has been killed before its turn came.
            goes_on = self.world.was_disturbed() and old["StartTimestamp"] == 0 and old["Run"]
            check(old["NextRestartTimestamp"] or goes_on, "the policy restarts, but no restart was planned")
            early = old["NextRestartTimestamp"] - event["usec"]
            check(early <= 2000 + self.world.clock_slack(), f"the policy restarts {early} us before its time")
            check(new["RestartCount"] == old["RestartCount"] + 1, "RestartCount does not count")
        else:
            check(self.world.causes(LAUNCH_VERBS) or facts.dependent_is_due, "a run is opened that nobody asked for")
            check(new["RestartCount"] == 0, "RestartCount is not reset by a caller's start")
            self.backoffs = {0}
        return {"Run", "InvocationId", "ExitCode", "ExitSignal", "Result", "StartTimestamp", "FinishTimestamp", "NextRestartTimestamp", "RestartCount"}, ("restart",) if event else ()

    def _launch(self, old, new, facts):
        check(run_is_open(old) and old["State"] not in ACTIVE, "conmon comes up without a run")
        return {"MonitorPID"}, ()

    def _init(self, old, new, facts):
        check(run_is_open(old), "initialized without an open run")
        check(not new["StoppedByUser"] and new["Supervised"] and new["MainPID"] > 0 and not new["LastErrorName"], "what Init resets is not reset")
        return STATE | ERRORS | {"StoppedByUser", "Supervised", "MainPID"} | PLACE, ("init",)

    def _start(self, old, new, facts):
        check(new["StartTimestamp"] > 0 and len(facts.started) == 1 and facts.started[0] == (new["Run"], new["MainPID"]), "RunStarted is missing or wrong")
        check(self.world.causes(START_VERBS) or old["StateReason"] == "policy" or facts.dependent_is_due, "a start that nobody asked for")
        check(facts.dependencies_were_up, "it is started before what it depends on runs")
        check(new["Ready"] == (self.notify == "started"), "Ready without readiness, or not with the start")
        self.health_owes = False
        return STATE | {"StartTimestamp", "Ready"}, ("start",)

    def _health(self, old, new, facts):
        event, status = facts.event("health-status"), new["Health"]
        check(event and event["status"] == status and not event["actor"], f"the event of health {status} is {event}")
        possible = {"starting": new["State"] == "running" and (old["Health"] in ("", "stopped", "suspended") or self.world.was_disturbed()),
                    "healthy": new["State"] == "running" and (self.world.may_have_found(True) or old["Health"] == "suspended"),
                    "unhealthy": new["State"] == "running" and (self.world.may_have_found(False) or self.world.outcomes(old)),
                    "suspended": new["State"] == "paused", "stopped": not run_is_open(new)}
        check(possible[status], f"its health goes from {old['Health']} to {status} while it is {new['State']}")
        check(self.notify != "healthy" or new["Ready"] == (status == "healthy" or old["Ready"]), f"Ready is {new['Ready']} when it is {status}")
        return {"Health", "Ready"} if self.notify == "healthy" else {"Health"}, ("health-status",)

    def _acts(self, old, *actions):
        """Health may do one of these things with the run."""
        told = "unhealthy" in self.world.statuses.get(old["Run"], ())
        return self.health and (told and self.health["on_failure"] in actions or "restart" in actions and self.health["startup"] and self.health["startup"]["retries"] > 0)

    def _freeze(self, old, new, facts):
        pause = new["State"] == "paused"
        check(self.world.causes({"Pause" if pause else "Resume"}), "a freeze or thaw that nobody asked for")
        if facts.event("sync"):  # the service was killed between the freezer and the commit; its successor found out
            check(self.world.was_disturbed() and not facts.event("sync")["actor"], "a Sync finds what nobody has interrupted")
            return STATE, ()
        return STATE, ("pause" if pause else "resume",)

    def _stopping(self, old, new, facts):
        causes, event = self.world.causes(STOP_VERBS), facts.event("stop")
        check(new["NextRestartTimestamp"] == 0, "a stop leaves a restart pending")
        self.health_restart = new["StateReason"] == "health"
        if event and not event["actor"]:
            check(self._acts(old, "restart" if self.health_restart else "stop"), "a stop that nobody asked for")
            check(new["StoppedByUser"] != self.health_restart, "StoppedByUser does not say what health does")
            return STATE | {"StoppedByUser", "NextRestartTimestamp"}, ("stop",)
        check(causes, "a stop that nobody asked for")
        restart, stop = causes & {"Restart"}, causes - {"Restart"}
        check((stop if new["StoppedByUser"] else restart) or not restart or not stop, "StoppedByUser does not say who stopped it")
        check(new["StoppedByUser"] or restart, "a Stop does not set StoppedByUser")
        return STATE | {"StoppedByUser", "NextRestartTimestamp"}, ("stop",)

    def _end(self, old, new, facts):
        outcome = (new["ExitCode"], new["ExitSignal"])
        possible = self.world.outcomes(old)
        check(run_is_open(old), "an end without an open run")
        if new["Result"] == "start-failed":
            check(old["State"] == "initialized" and new["ExitCode"] in (125, 126, 127) and self.world.was_disturbed(), "a start failed without a reason")
        else:
            check(outcome in possible, f"it ended with {outcome}, what was done to it allows {sorted(possible)}")
            check(new["Result"] == result_of(old, *outcome), f"Result is {new['Result']}")
        check(new["StateReason"] == REASONS.get(new["Result"], "exit"), f"the reason is {new['StateReason']}")
        check((new["MainPID"], new["MonitorPID"], new["Supervised"], new["Ready"]) == (0, 0, False, False), "what ends with the run goes on")
        errors = ERRORS if new["Result"] == "lost" else set()
        return STATE | errors | {"FinishTimestamp", "ExitCode", "ExitSignal", "Result", "MainPID", "MonitorPID", "Supervised", "Ready"}, ("died",)

    def _undone(self, old, new, facts):
        check(new["Result"] == "start-failed" and new["ExitCode"] in (125, 126, 127), "a launch is undone, but not start-failed")
        check(self.world.was_disturbed(), "a launch failed without a reason")
        if new["NextRestartTimestamp"]:
            self._check_plan(old, new)
        return STATE | {"FinishTimestamp", "ExitCode", "Result", "MonitorPID", "NextRestartTimestamp", "Supervised"} | PLACE, ("died",)

    def _failed_attempt(self, old, new, facts):
        check(self.world.was_disturbed() or self.world.dependencies, "an attempt of the policy failed without a reason")
        check(new["RestartCount"] == old["RestartCount"] + 1, "an attempt that failed does not count")
        left = attempts_left(new)
        check(bool(new["NextRestartTimestamp"]) == left, f"after {new['RestartCount']} attempts another one is {'not ' if left else ''}planned")
        if left:
            self._check_plan(old, new)
        return {"RestartCount", "NextRestartTimestamp"}, ()

    def _check_plan(self, old, new):
        """The time is taken after those of the commit and before the commit is told; how much later the service comes to it is the machine's affair."""
        lasted = new["FinishTimestamp"] - new["StartTimestamp"] >= 10_000_000 and new["StartTimestamp"]
        due, slack = new["NextRestartTimestamp"], self.world.clock_slack()
        earliest = max(new["StateTimestamp"], new["FinishTimestamp"])  # a launch that is undone changes no state
        planned = {self._next_backoff(backoff, lasted) for backoff in self.backoffs}
        self.backoffs = {backoff for backoff in planned if earliest + backoff - slack <= due <= self.world.told_usec + backoff + slack}
        check(self.backoffs, f"the restart is due {due - earliest} us after the end, the back-off should be {sorted(planned)}")

    def _next_backoff(self, backoff, lasted):
        return self.first_backoff if not backoff or lasted else max(self.first_backoff, min(2 * backoff, self.backoff_max))

    def resume(self, life):
        """A successor of the service: what it has planned before it was asked nobody was told."""
        more = {self._next_backoff(backoff, False) for backoff in self.backoffs}
        self.backoffs |= more | {self._next_backoff(backoff, False) for backoff in more} | {0, self.first_backoff}

    def _cleanup(self, old, new, facts):
        event = facts.event("cleanup")
        check(event, "no event cleanup")
        check(new["ControlGroup"] == "", "a control group is left")
        if new["State"] == "created":
            check(old["Result"] in ("never-ran", "start-failed"), "only a run that never ran leads back to created")
        verbs = self.world.causes(STOP_VERBS | {"Cleanup"}, event["actor"]) if event["actor"] else set()
        own = verbs & {"Restart", "Remove"}
        planned, due = new["NextRestartTimestamp"] != 0, {True} if self.health_restart else {decide(old)[0]}
        if self.health_restart is None or self._acts(old, "restart"):
            due.add(True)
        if self.health_owes and old["StartTimestamp"] == 0 and not old["StoppedByUser"]:
            due.add(True)
        if old["StartTimestamp"] == 0 and old["RestartCount"]:  # the policy's own attempt, which counts as one that failed if it came to its end in its hands
            due.add(not old["StoppedByUser"] and attempts_left(old))
        if not own or verbs - own:
            check(planned in due or (own and not planned), f"a restart is {'planned' if planned else 'not planned'}, but the policy says {due}")
        else:
            check(not planned, "a restart is planned in the middle of another operation")
        self.health_owes = planned and (self.health_owes or self.health_restart is not False or bool(self._acts(old, "restart")))
        self.health_restart = False
        if planned:
            self._check_plan(old, new)
        return STATE | PLACE | {"NextRestartTimestamp"}, ("cleanup",)

    def _removing(self, old, new, facts):
        mine = self.auto_remove and old["State"] == "exited" and not old["NextRestartTimestamp"]
        check(mine or self.world.causes({"Remove"}), "a removal that nobody asked for")
        return STATE | {"NextRestartTimestamp"}, ()

    def _supervision_lost(self, old, new, facts):
        check(self.world.monitor_was_killed(old["Run"]), "supervision was lost, but conmon was not killed")
        return {"MonitorPID", "Supervised"}, ("supervision-lost",)

    def _wish(self, old, new, facts):
        kill = facts.event("kill")
        if new["StoppedByUser"] and not old["StoppedByUser"]:
            check(self.world.causes(STOP_VERBS) or self._acts(old, "stop") or (kill and kill["signal"] in WISHES), "StoppedByUser without a user")
            self.health_restart = False if self.world.causes({"Stop"}) and not kill else None
        elif new["StoppedByUser"] != old["StoppedByUser"]:
            check(self.world.causes({"Restart"}) or kill and not kill["actor"], "the wish to stay down was forgotten")
        if new["NextRestartTimestamp"] != old["NextRestartTimestamp"]:
            check(new["NextRestartTimestamp"] == 0 and (self.world.causes(STOP_VERBS) or self._acts(old, "stop")), "a restart was cancelled or planned by nobody")
        return {"StoppedByUser", "NextRestartTimestamp"}, ()

    def _config(self, old, new, facts):
        renamed = new["Name"] != old["Name"]
        check(self.world.causes({"Rename" if renamed else "SetRestartPolicy"}), "the configuration changed by itself")
        check(new["ConfigGeneration"] == old["ConfigGeneration"] + 1, "ConfigGeneration does not count")
        if new["NextRestartTimestamp"] != old["NextRestartTimestamp"]:
            check(new["RestartPolicy"] == "no" and new["NextRestartTimestamp"] == 0, "an update plans a restart")
        return {"Name", "RestartPolicy", "RestartMax", "ConfigGeneration", "NextRestartTimestamp"}, ("rename" if renamed else "update",)

    def _check_facts(self, old, new, facts, rule, events):
        moved = old["State"] != new["State"]
        check(len(facts.transitions) == moved, f"{len(facts.transitions)} signals StateChanged")
        if moved:
            check(facts.transitions[0][:4] == (old["State"], new["State"], new["StateReason"], new["Run"]), f"StateChanged says {facts.transitions[0]}")
        closed = run_is_open(old) and not run_is_open(new)
        check(len(facts.finished) == closed, f"{len(facts.finished)} signals RunFinished")
        if closed:
            check(facts.finished[0][:4] == (new["Run"], new["ExitCode"], new["ExitSignal"], new["Result"]), f"RunFinished says {facts.finished[0]}")
        check(len(facts.started) == (rule == "start"), f"{len(facts.started)} signals RunStarted")
        check([ready for ready in facts.ready] == ([(new["Run"], new["Ready"])] if old["Ready"] != new["Ready"] else []), f"ReadyChanged says {facts.ready}")
        check(facts.statuses == ([(old["Health"], new["Health"], new["Run"])] if old["Health"] != new["Health"] else []), f"StatusChanged says {facts.statuses}")
        kill = facts.event("kill")
        check(not kill or kill["actor"] or self._acts(old, "kill"), "health kills without a reason")
        check(not kill or not kill["actor"] or kill["signal"] not in WISHES or new["StoppedByUser"], "a Kill that is a wish to stop is none")
        # These come without a change of a property as well.
        free = {"kill", "sync", "exec", "exec-died"} | ({"restart"} if rule != "open" else set())
        seen = [event["action"] for event in facts.events]
        check([action for action in seen if action not in free] == list(events), f"the events of {rule} are {seen}, not {list(events)}")
        died = facts.event("died")
        if died:
            check((died["exit-code"], died["signal"], died["result"], died["run"]) == (new["ExitCode"], new["ExitSignal"], new["Result"], new["Run"]), f"the event died says {died}")
