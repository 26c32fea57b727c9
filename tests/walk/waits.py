# SPDX-License-Identifier: LGPL-2.1-or-later
"""The model of waits (api.md section 10). A wait is put through the lives of its container from the moment it may have been received; the answers are what those rules say, and nothing else."""

from life import run_is_open

TIED = {"ready", "healthy", "unhealthy"}
ENDS = {"stopped", "exited"}
HEALTH = {"healthy", "unhealthy"}
NEVER = object()  # not yet


class Request:
    def __init__(self, conditions, run=0, after_run=None, final=False, timeout=None):
        self.conditions, self.run, self.after_run, self.final, self.timeout = conditions, run, None if run else after_run, final, timeout

    def __str__(self):
        keys = [f"run={self.run}"] if self.run else []
        keys += [f"after-run={self.after_run}"] if self.after_run is not None else []
        keys += ["final"] if self.final else []
        keys += [f"timeout={self.timeout}"] if self.timeout is not None else []
        return " ".join(["|".join(self.conditions), *keys])


def is_cleaned_up(run, life):
    return life["Run"] > run or (life["State"] != "stopped" and not run_is_open(life))


def is_over(run, life):
    return run != 0 and (life["Run"] > run or (life["Run"] == run and not run_is_open(life)))


def nothing_will_restart(life):
    return life["Run"] > 0 and not run_is_open(life) and not life["NextRestartTimestamp"] and life["Operation"] != "restart" and life["State"] in ("exited", "created", "removing")


def may_still_come(condition, request, run, life):
    """Of a run that is over; a wait that names no run waits for a state of whichever comes."""
    if condition in TIED:
        return False
    if not request.run and request.after_run is None or condition in ("exited", "removing", "removed"):
        return True
    return condition == "created" and life["Run"] == run and life["State"] == "stopped"


class Wait:
    """A wait while it is put through the lives; `run` is the bound one."""

    def __init__(self, request, life):
        self.request, self.run = request, request.run
        if not self.run and request.after_run is None and not request.final:
            self.run = life["Run"]
        self.bind(life)

    def bind(self, life):
        after = self.request.after_run
        if self.run == 0 and after is not None and life["Run"] > after:
            self.run = after + 1
        elif self.run == 0 and after is None and run_is_open(life):
            self.run = life["Run"]

    def met(self, life):
        """The set of (condition, run) that are true of this life."""
        request = self.request
        self.bind(life)
        if request.after_run is not None and self.run == 0:
            return set()
        if request.final:
            late_enough = life["Run"] >= request.run and (request.after_run is None or life["Run"] > request.after_run)
            return {(condition, life["Run"]) for condition in ENDS & set(request.conditions) or {"stopped"} if late_enough and nothing_will_restart(life)}
        found = set()
        another = self.run != life["Run"] and (request.run or request.after_run is not None)
        over = is_over(self.run, life)
        for condition in request.conditions:
            if condition == "stopped" and over or condition == "exited" and over and is_cleaned_up(self.run, life):
                found.add((condition, self.run))
            elif condition not in ENDS and not another and (condition == life["State"] or condition == "ready" and run_is_open(life) and life["Ready"] or condition in HEALTH and run_is_open(life) and condition == life["Health"]):
                found.add((condition, self.run if request.run or request.after_run is not None else life["Run"]))
        if not found and over and not any(may_still_come(condition, request, self.run, life) for condition in request.conditions):
            found.add(("stopped", self.run))
        return found


def refusal(request, life):
    """The error of a wait that is refused at once, or None."""
    if life["Health"] is None and HEALTH & set(request.conditions):
        return "NoHealthCheck"
    alone = set(request.conditions) <= ENDS
    if life["Run"] == 0 and request.after_run is None and not request.run and (request.final or alone):
        return "NeverStarted"
    return None


def answers(request, lives, first, last, end, restart_in_line):
    """Every answer that this wait may have got by lives[end] if it was received at any moment from lives[first] to lives[last]: a set of (index, condition, run), where the index is that of the life that met it; NEVER is the condition of one that may still be open, an error stands in its place.
    restart_in_line: whether a Restart may be waiting for its turn in the life of an index; a final wait goes on then."""
    possible = set()
    for received in range(first, last + 1):
        if lives[received] is None:  # gone: the object knows no calls any more
            continue
        error = refusal(request, lives[received])
        possible |= {(received, error, 0)} if error else _from(request, lives, received, end, restart_in_line)
    return possible


def _from(request, lives, received, end, restart_in_line):
    wait, found = Wait(request, lives[received]), set()
    at_once = wait.met(lives[received])
    if at_once:
        found = {(received, condition, run) for condition, run in at_once}
        if not (request.final and restart_in_line(received)):
            return found
    for index in range(received + 1, end + 1):
        if lives[index] is None:
            return found | {(index, "removed", wait.run)} | {(index, condition, run) for condition, run in wait.met(lives[index - 1])}
        met = wait.met(lives[index])
        found |= {(index, condition, run) for condition, run in met}
        if met and not (request.final and restart_in_line(index)):
            return found
    return found | {(end, NEVER, wait.run)}
