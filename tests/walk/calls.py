# SPDX-License-Identifier: LGPL-2.1-or-later
"""Calls, and what their answers must be: between the moment it was sent and its answer a container had certain lives, and the table of operations, the signals and the waits say which answers those allow."""

import json
import os
import time

from life import check, expected, run_is_open
from processes import COMMANDS, ENDLESS, ended_by
from waits import NEVER, Request, answers, refusal
from wire import Variant
from world import CONTAINER, HEALTH, MANAGER, MANAGER_PATH, NAME

PREFIXES = ("io.conbus1.Error.", "org.freedesktop.DBus.Error.")
LEFT = ("NoReply", "ServiceUnknown", "Disconnected", "NameHasNoOwner")  # the service died before it could answer
GONE = ("Removed", "UnknownObject", "UnknownMethod", "NoSuchContainer")
EXECS = ("Exec", "ExecCapture")
FAILED_EXECS = {"RuntimeFailed", "UnitFailed", "MonitorFailed", "RuntimePermissionDenied", "RuntimeCommandNotFound"}
LAUNCHES = ("Init", "Start", "Restart")
KEPT = {"Init", "Start", "Restart", "Stop"}  # whose failures LastErrorName remembers
SIGNATURES = {"InitWith": "a{sv}", "StartWith": "a{sv}", "StopWith": "a{sv}", "RestartWith": "a{sv}", "RemoveWith": "a{sv}", "Kill": "si", "Rename": "s", "SetRestartPolicy": "su", "Cleanup": "a{sv}",
              "Exec": "asa{sv}", "ExecCapture": "asa{sv}", "WaitFor": "asa{sv}", "OpenWait": "asa{sv}", "WaitAny": "a(ot)asa{sv}"}


class Cause:
    """A call as what may change one container."""

    def __init__(self, call, container, verb):
        self.call, self.path, self.verb, self.sender = call, container.path, verb, call.sender

    def may_still_cause(self, epoch, index):
        """Whether its effect may come after this life: it has not been answered, or not been answered by then."""
        call = self.call
        return not call.is_over or (call.reply_epoch == epoch and call.ends[self.path] > index)


class Call:
    def __init__(self, peer, container, member, values=(), verb=None, request=None, entries=None, step=None):
        self.world, self.sender, self.container, self.member, self.values = peer.world, peer.name, container, member, values
        self.verb, self.request, self.entries = verb, request, entries
        self.path = container.path if container else None
        self.step, self.awaits = step or {}, self._awaited(step or {})
        self.recursive, self.with_dependents = bool(step and step.get("recursive")), bool(step and step.get("dependents"))
        self.watched = [container, *container.all_dependencies(), *container.all_dependents()] if container else [entry for entry, _ in entries]
        self.first = {other.path: peer.position(other.path) for other in self.watched}
        self.epoch, self.sent, self.sent_time = peer.epoch, peer.position(self.path), time.monotonic()
        self.received = None  # the latest position at which it can have been received, once that is known
        self.reply = None
        self.is_over, self.n_left = False, peer.world.n_left
        self.codes = self._possible_codes() if verb == "Check" else ()
        path, interface = (self.path, HEALTH if verb == "Check" else CONTAINER) if container else (MANAGER_PATH, MANAGER)
        self.serial = peer.connection.send(NAME, path, interface, member, SIGNATURES.get(member, ""), *values)
        peer.pending[self.serial] = self
        if container and verb:
            self._become_cause()

    def _awaited(self, step):
        """What a start waits for before it is answered: "healthy", "ready" or nothing."""
        if self.verb not in ("Start", "Restart"):
            return None
        notify = self.container.config["notify"]
        wait = step.get("wait", notify)
        return wait if wait == "healthy" or wait == "ready" and notify != "started" else None

    def _become_cause(self):
        if self.verb == "Restart":
            self.container.restarts.append(self)
        self.container.calls.append(Cause(self, self.container, "Remove" if self.verb == "RemoveForce" else "Cleanup" if self.verb == "CleanupOnlyStopped" else self.verb))
        if self.recursive:
            for other in self.container.all_dependencies():
                other.calls.append(Cause(self, other, "Start"))
        if self.with_dependents:
            for other in self.container.all_dependents():
                other.calls.append(Cause(self, other, "Remove"))

    def _possible_codes(self):
        """From when on the file counts: a check that is under way is joined."""
        config = self.container.config["health"]
        alone = not config["interval"] and not config["startup"] and not self.container.causes({"Check"})
        return self.sent_time if alone else 0

    def may_be_in_line(self, epoch, index):
        """Whether it may have been received and not be over when this life was told."""
        if self.reply is None or self.reply_epoch > epoch:
            return self.epoch < epoch or self.epoch == epoch and self.first[self.path] <= index
        return self.reply_epoch == epoch and self.first[self.path] <= index < self.ends[self.path]

    def __str__(self):
        words = [self.sender, self.container.life["Name"] if self.container else "", self.member]
        return " ".join([*words, str(self.request) if self.request else "", *[show(value) for value in self.values if self.verb]])

    def answer(self, message, fds, peer):
        name = message.error
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        self.reply, self.fds = (name, message.body), fds
        self.reply_epoch, self.reply_seq, self.reply_time = peer.epoch, peer.seq, time.monotonic()
        self.end = peer.position(self.path)
        self.ends = {path: peer.position(path) for path in self.first}
        if self.epoch != self.reply_epoch:  # it was answered by a successor, which knew it from its first moment at the earliest
            self.sent, self.first = 0, dict.fromkeys(self.first, 0)
        self.world.answered.append(self)

    # --- checks; False: the observer has not come so far ---

    def check(self):
        world = self.world
        if world.epoch < self.reply_epoch or not world.synced or world.epoch == self.reply_epoch and world.seq < self.reply_seq:
            return False
        error, body = self.reply
        unseen = any(len(container.lives_of(self.reply_epoch)) <= position for container, position in self._positions())
        if unseen and world.epoch == self.reply_epoch:
            return False
        if error not in LEFT and not unseen:  # unseen: a service that died before it had told the observer anything
            if self.verb:
                self._check_verb(error, body)
            elif self.member == "WaitAny":
                self._check_any(error, body)
            else:
                self._check_wait(error, body)
        self.is_over = error not in LEFT
        return True

    def _positions(self):
        return [(other, self.ends[other.path]) for other in self.watched]

    def _window(self, container=None):
        container = container or self.container
        return container.lives_of(self.reply_epoch)[self.first[container.path] : self.ends[container.path] + 1]

    def _was_down(self, dependency):
        return any(life is None or life["State"] != "running" for life in self._window(dependency))

    def _was(self, container, status):
        return any(life and life["Health"] == status for life in self._window(container))

    def _allowed_by_others(self):
        """Errors that come from what it depends on, or what depends on it."""
        container, allowed = self.container, set()
        if self.verb in LAUNCHES:
            dependencies = container.all_dependencies() if self.recursive else container.dependencies
            if any(self._was_down(other) or self.recursive and self._was(other, "unhealthy") for other in dependencies):
                allowed.add("DependencyFailed")
            if self.awaits == "healthy" or self.awaits and container.config["notify"] == "healthy":
                allowed |= {"NoHealthCheck"} if not container.config["health"] else {"Unhealthy"} if self._was(container, "unhealthy") else set()
        if self.verb in ("Remove", "RemoveForce"):
            if not self.with_dependents and any(self._window(other)[0] is not None for other in container.dependents):
                allowed.add("DependentsExist")
            if self.with_dependents:
                allowed |= {expected(self.verb, life["State"]) for other in container.all_dependents() for life in self._window(other) if life} - {"ok"}
        return allowed

    def _events(self, action):
        return [event for epoch, index, event in self.container.log if epoch == self.reply_epoch and self.sent <= index <= self.end and event["action"] == action and event["actor"] in (self.sender, "")]

    def _check_verb(self, error, body):
        window = [life for life in self._window() if life is not None]
        states = {life["State"] for life in window}
        was_gone = len(window) < len(self._window()) or "removing" in states
        allowed = {expected(self.verb, state) for state in states} | self._allowed_by_others()
        if not error:
            check("ok" in allowed, f"{self} succeeds, though it was only {sorted(states)}")
            self._check_effect(body, window)
            self._check_others()
            return
        run_ended = len({life["Result"] for life in window}) > 1 or len({life["Run"] for life in window}) > 1 or any(self.container.outcomes(life) for life in window)
        allowed |= set(GONE) if was_gone else set()
        if run_ended and self.verb in ("Init", "Start", "Restart", "Kill", "Pause", "Resume", "Cleanup", "Check", *EXECS):
            allowed |= {"NotRunning"}
        if self.verb in EXECS and (run_ended or self.container.disturbed):
            allowed |= FAILED_EXECS
        if self.verb in EXECS and self.values[0][0] == "missing":
            allowed |= {"RuntimeCommandNotFound"}
        if self.verb == "ExecCapture" and self.values[0] == ENDLESS:
            allowed |= {"Timeout"}
        if self.verb in ("Init", "Start", "Restart") and self.container.disturbed:
            allowed |= {"MonitorFailed", "RuntimeFailed"} | ({"UnitFailed"} if self.container.killed_monitors else set())  # its scope could not be started
        if was_gone and self.verb == "Check":
            allowed |= {"Cancelled"}
        if self.verb == "Rename":
            allowed |= {"NameInUse"} if self.world.is_taken(self.values[0], self.container) else set()
        check(error in allowed, f"{self} fails with {error} ({body[0] if body else ''}); {sorted(states)} allows {sorted(allowed)}")
        if self.verb in KEPT and error in ("MonitorFailed", "RuntimeFailed", "UnitFailed", "DependencyFailed"):
            check(was_gone or any(life["LastErrorName"].endswith("." + error) for life in window), f"{self} failed with {error}, but LastErrorName does not say so")

    def _check_others(self):
        if self.verb in LAUNCHES:
            for other in self.container.dependencies:
                check(any(life and life["State"] == "running" for life in self._window(other)), f"{self} succeeds, though {other.life['Name']} did not run")
        elif self.verb in ("Remove", "RemoveForce"):
            for other in self.container.dependents:
                check(self._window(other)[-1] is None, f"{self} succeeds, though {other.life['Name']} depends on it")

    def _check_health(self, body, window):
        """The status is that of the answer, the code one that the file allows."""
        status, code, _ = body
        now = self._window()[-1]
        check(now is None or status == now["Health"], f"{self} says {status}, it is {now and now['Health']}")
        dying = len({life["Run"] for life in window}) > 1 or any(life["State"] != "running" or self.container.outcomes(life) for life in window)
        allowed = {0 if passes else 1 for passes in self.container.verdicts.since(self.codes)}
        check(dying or code in allowed, f"{self} says {code}, the file allows {sorted(allowed)}")

    def _check_exec(self, body):
        path, pid = body
        check(path in self.world.processes and path.startswith(self.path + "/process/"), f"{self} returns {path}, which was never announced")
        if "start" in self.values[1] and not self.values[1]["start"].value:
            check(pid == 0, f"{self} says that it runs")
        else:
            check(any(f"{self.path}/process/{event.get('session')}" == path for event in self._events("exec")), f"{self} returns {path}, but no event says that it runs")

    def _check_capture(self, body, window):
        code = COMMANDS[self.step["command"]][1]
        allowed = {(code, 0)}
        if any(self.container.outcomes(life) for life in window) or len({life["Run"] for life in window}) > 1 or any(not run_is_open(life) for life in window):
            # 255: crun's, without a word, when the end of PID 1 has killed what it had not executed yet
            allowed |= {ended_by(number) for number in (9, 15, 1, 10, 12)} | {(255, 0)}
        check(body[:2] in allowed, f"{self} says {body[:2]}; possible: {sorted(allowed, key=str)}")
        check(self._events("exec"), f"{self} succeeds without an event")

    def _check_effect(self, body, window):
        last = window[-1]
        if self.verb in ("Init", "Start", "Restart"):
            runs = [event["run"] for event in self._events("init" if self.verb == "Init" else "start")]
            check(body[0] in runs, f"{self} returns run {body[0]}, but {runs} were {'initialized' if self.verb == 'Init' else 'started'}")
            if self.awaits:
                check(any(life["Run"] == body[0] and (life["Health"] == "healthy" if self.awaits == "healthy" else life["Ready"]) for life in window), f"{self} succeeds before it is {self.awaits}")
        elif self.verb == "Stop":
            check(body[0] in self.container.finished, f"{self} returns run {body[0]}, which has no end")
            check(any(life["State"] in ("exited", "removing") and life["Run"] == body[0] for life in window) or last["Run"] > body[0] or self._window()[-1] is None, f"{self} is answered before the cleanup")
        elif self.verb == "Kill":
            check(self._events("kill"), f"{self} succeeds without an event")
            if self.values[1] == 9:
                check(any(life["Run"] in self.container.finished for life in window), f"{self} is answered before the record")
        elif self.verb in ("Pause", "Resume"):
            check(self._events(self.verb.lower()), f"{self} succeeds without an event")
        elif self.verb in ("Remove", "RemoveForce"):
            check(self._window()[-1] is None, f"{self} succeeds before it is gone")
        elif self.verb == "Check":
            self._check_health(body, window)
        elif self.verb == "Exec":
            self._check_exec(body)
        elif self.verb == "ExecCapture":
            self._check_capture(body, window)
        elif self.verb == "Rename":
            check(self._events("rename") or any(life["Name"] == self.values[0] for life in window), f"{self} has no effect")
        elif self.verb == "SetRestartPolicy":
            check(any((life["RestartPolicy"], life["RestartMax"]) == self.values for life in window), f"{self} has no effect")
        elif self.verb == "Sync":
            check({body[0], body[1]} <= {life["State"] for life in window}, f"{self} answers {body}")
        elif self.verb.startswith("Cleanup"):
            check(any(life["State"] in ("created", "exited", "removing") for life in window), f"{self} succeeds before it is cleaned up")

    def _check_wait(self, error, body):
        if self.member == "OpenWait" and not error:
            self.world.pipes.append(Pipe(self, self.fds[0]))
            return
        if self.member == "Wait":
            body = ("stopped", *body) if not error else body
        gone = self._window()[0] is None or self._window()[-1] is None
        # Once it is known to have been received, it is answered with the very commit that meets it.
        last = self.end if self.received is None or self.epoch != self.reply_epoch else min(self.received, self.end)
        check_answer(self, self.container, self.request, (self.sent, last, self.end), error, body, self.end, gone)

    def _request_for(self, run):
        return Request(self.request.conditions, run, None, self.request.final, self.request.timeout)

    def _check_any(self, error, body):
        if error:
            refused = {refusal(self._request_for(wanted), life) for container, wanted in self.entries for life in container.lives_of(self.reply_epoch)[self.first[container.path] : self.ends[container.path] + 1] if life}
            was_gone = any(container.lives_of(self.reply_epoch)[self.ends[container.path]] is None for container, _ in self.entries)
            check(error in refused or was_gone and error in ("NoSuchRun", "NoSuchContainer"), f"{self} fails with {error}")
            return
        index, path, run, condition, details = body
        if condition == "timeout":
            self._check_any_in_time(body)
            return
        container, wanted = self.entries[index]
        check(path == container.path, f"{self} answers for another container")
        request = self._request_for(wanted)
        end = self.ends[path]
        answer = (condition, run, details["exit-code"], details["signal"], details["result"], details)
        was_gone = None in container.lives_of(self.reply_epoch)[self.first[path] : end + 1]  # then the records alone answer, whatever the condition
        check_answer(self, container, request, (self.first[path], end, end), "", answer, end, was_gone)

    def _check_any_in_time(self, body):
        """The time was that of all of them, and none need have been met in it."""
        check(body == (0, "/", 0, "timeout", {}), f"{self} times out with {body}")
        check(self.request.timeout is not None and self.reply_time - self.sent_time >= self.request.timeout / 1e6 - 0.001, f"{self} times out too early")
        for container, wanted in self.entries:
            possible = answers(self._request_for(wanted), container.lives_of(self.reply_epoch), self.first[container.path], self.ends[container.path], self.ends[container.path], container.restarts_in(self.reply_epoch))
            check(any(condition is NEVER for _, condition, _ in possible) or not possible, f"{self} times out, though {container.life['Name']} met it: {sorted(str(condition) for _, condition, _ in possible)}")

    def is_overdue(self):
        """After all is quiet: a wait that must have been answered by now."""
        if self.verb or self.epoch != self.world.epoch or not self.container or self.request.timeout is not None:
            return False
        lives = self.container.lives
        last = min(len(lives) - 1, self.received if self.received is not None else len(lives) - 1)
        possible = answers(self.request, lives, self.sent, last, len(lives) - 1, self.container.restarts_in(self.epoch))
        return possible and all(condition is not NEVER for _, condition, _ in possible)


def check_answer(call, container, request, window, error, body, end, was_gone, exact=True):
    """window: first and last life in which it can have been received, and the last one that can have been told before the answer."""
    lives = container.lives_of(call.reply_epoch)
    first, last, _ = window
    possible = answers(request, lives, first, last, end, container.restarts_in(call.reply_epoch))
    shown = sorted({f"{condition if condition is not NEVER else 'open'} of run {run}" for _, condition, run in possible})
    if error:
        check(any(condition == error for _, condition, _ in possible) or (was_gone and error in (*GONE, "NoSuchRun")) or (error == "NoSuchRun" and request.run), f"{call} fails with {error}; possible: {shown}")
        return
    condition, run, code, signal, result = body[:5]
    if condition == "timeout":
        check(request.timeout is not None and call.reply_time - call.sent_time >= request.timeout / 1e6 - 0.001, f"{call} times out too early")
        check(any(other is NEVER and (number == run or request.final) for _, other, number in possible) or not exact, f"{call} times out with run {run}; possible: {shown}")
        check((code, signal, result) == (-1, 0, ""), f"{call} has a code though it timed out")
        return
    met = [index for index, other, number in possible if other == condition and (number == run or condition in ("removing", "removed") or other == condition and number == 0)]
    check(met or was_gone, f"{call} answers {condition} of run {run} with life {end}; possible: {shown}")
    check(not exact or was_gone or end in met or min(met) <= last, f"{call} answers {condition} late: it was met by life {met}, the answer came with {end}")
    record = container.finished.get(run)
    if record and (condition in ("stopped", "exited", "removing", "removed") or code != -1):
        check((code, signal, result) == record, f"{call} answers {code} {signal} {result}, the record says {record}")
    else:
        check(record is None or (code, signal, result) == (-1, 0, ""), f"{call} answers {code} {signal} {result} without a record")
        check(condition not in ("stopped", "exited") or container.lossy, f"{call} answers {condition} of run {run}, which has no end")


class Pipe:
    """The reading end of OpenWait."""

    def __init__(self, call, fd):
        self.call, self.fd, self.text, self.n_left = call, fd, b"", call.n_left
        os.set_blocking(fd, False)

    def read(self):
        """True when it is over."""
        try:
            data = os.read(self.fd, 4096)
        except BlockingIOError:
            return False
        self.text += data
        if data:
            return False
        os.close(self.fd)
        return True

    def check(self):
        call = self.call
        if not self.text:
            check(call.world.n_left > self.n_left, f"{call}: the pipe ends without a line")
            return
        lines = self.text.decode().splitlines()
        check(len(lines) == 1, f"{call}: {len(lines)} lines")
        answer = json.loads(lines[0])
        call.reply_time = time.monotonic()
        call.world.trace(f"    {call} => {lines[0][:120]}")
        body = (answer["condition"], answer["run"], answer["exit-code"], answer["signal"], answer["result"])
        if call.reply_epoch != call.world.epoch:
            self._check_later(*body)
            return
        lives = call.container.lives_of(call.reply_epoch)
        check_answer(call, call.container, call.request, (call.sent, call.end, call.end), "", body, len(lives) - 1, lives[-1] is None, exact=False)

    def _check_later(self, condition, run, code, signal, result):
        """Told by a successor of the service, which was handed the pipe. What happened while there was none nobody has seen, so only ends can be judged."""
        call, container = self.call, self.call.container
        lives, record = container.lives_since(call.reply_epoch), container.finished.get(run)
        met = any(other == condition and number in (run, 0) for _, other, number in answers(call.request, lives, call.sent, call.end, len(lives) - 1, lambda index: True))
        if condition in ("stopped", "exited"):
            check(met or container.lossy, f"{call} answers {condition} of run {run} after a restart of the service, which did not happen")
            check(record is not None, f"{call} answers {condition} of run {run}, which has no end")
        check((code, signal, result) in (record, (-1, 0, "")), f"{call} answers {code} {signal} {result} after a restart of the service, the record says {record}")
        check(record != (code, signal, result) or condition != "timeout", f"{call} has a code though it timed out")

    def is_overdue(self):
        call = self.call
        if call.request.timeout is not None:
            return False
        lives, same = call.container.lives_since(call.reply_epoch), call.reply_epoch == call.world.epoch
        possible = answers(call.request, lives, call.sent, call.end, len(lives) - 1, call.container.restarts_in(call.reply_epoch) if same else lambda index: True)
        return possible and all(condition is not NEVER for _, condition, _ in possible)


def show(value):
    return " ".join(f"{key}={variant.value}" for key, variant in value.items()) if isinstance(value, dict) else str(value)


def options(**keys):
    types = {bool: "b", int: "t", str: "s"}
    return {key.replace("_", "-"): Variant(types[type(value)], value) for key, value in keys.items()}
