# SPDX-License-Identifier: LGPL-2.1-or-later
"""The model of what is executed in containers (behaviour.md section 12): which commit may follow which state of a process, how it may end, and that each one that has run has exactly one end, with one code, whoever asks and however often the service was restarted in between.

The name of a command says how it ends by itself, so that nothing else need be known of a process that was made by a call whose answer was lost."""

from life import STOP_VERBS, check, run_is_open

ENDLESS = ("sleep", "200000")  # the payload has another one
COMMANDS = {"true": (("true",), 0), "false": (("false",), 1), "sh": (("sh", "-c", "exit 5"), 5), "/bin/sh": (("/bin/sh", "-c", "sleep 0.02; exit 6"), 6), "sleep": (ENDLESS, None), "missing": (("missing",), None)}
STAYS = "0:0"  # user of those that stay after their end
FAILURES = {(125, 0), (126, 0), (127, 0)}
ORDER = ("created", "running", "stopped")


def ended_by(signal):
    """What a signal makes of any of the commands: they handle none."""
    return (128 + signal, signal)


class Process:
    """As a Container, its lives are those of the present service; None: it has gone."""

    def __init__(self, container, path, life):
        self.container, self.world, self.path, self.number = container, container.world, path, number_of(path)
        self.lives, self.history, self.last = [life], {}, life
        self.calls, self.ends = [], set()  # what may end it: calls, and what else was brought about
        self.run = container.life["Run"]  # in which it was started
        self.owes = []  # what has to be told yet of its last commit
        self.monitor_killed = self.service_killed = self.lossy = self.gone = False

    @property
    def life(self):
        """The last one, also when it is gone."""
        self.last = self.lives[-1] or self.last
        return self.last

    @property
    def name(self):
        return f"{self.container.token}/{self.number}"

    def lives_of(self, epoch):
        return self.lives if epoch == self.world.epoch else self.history.get(epoch, [])

    def has_run_ended(self):
        """The container's run, and with it everything in it."""
        life = self.container.life
        return life["Run"] != self.run or not run_is_open(life) or life["State"] == "stopping" or self.container.outcomes(life) or self.container.causes(STOP_VERBS)

    def outcomes(self):
        possible, code = set(self.ends), COMMANDS[self.life["CommandName"]][1]
        if code is not None:
            possible.add((code, 0))
        for call in self.calls:
            possible |= call.outcomes()
        if self.has_run_ended():
            possible.add(ended_by(9))
        for cause in self.container.calls:
            if cause.verb == "Kill" and cause.call.values[0] == "all":
                possible.add(ended_by(cause.call.values[1]))
        if self.monitor_killed and (self.service_killed or not self.world.has_exit_info):
            possible.add((-1, 0))
        return possible

    @property
    def goes_by_itself(self):
        """After its end, or before its start with its creator; the walk lets the user say so, which everybody can read."""
        return self.life["User"] != STAYS

    # --- what is announced ---

    def on_properties(self, changed):
        check(not self.gone, f"{self.name} changes after it has gone")
        check(not self.owes, f"{self.name}: {self.owes} was not told")
        old, new = self.lives[-1], {**self.lives[-1], **changed}
        self.lives.append(new)
        if old["State"] != new["State"]:
            self.world.trace(f"      {self.name} {old['State']} -> {new['State']} {new['ExitCode']}")
        if not self.world.synced:  # what belongs to it may be told before that or after it
            self.owes = None
            return
        self._explain(old, new)
        self.owes = {"running": ["exec"], "stopped": ["Exited", "exec-died"]}[new["State"]] if old["State"] != new["State"] else []

    def _explain(self, old, new):
        step, outcome = (old["State"], new["State"]), (new["ExitCode"], new["ExitSignal"])
        if step == ("created", "running"):
            self.run = self.container.life["Run"]
            check(new["Pid"] > 0 and new["StartTimestamp"] > 0 and outcome == (-1, 0), f"{self.name} runs, but is {new}")
            check(new["CommandName"] != "missing", f"{self.name} runs, though there is no such program")
            check(run_is_open(self.container.life) or self.has_run_ended(), f"{self.name} runs in a container that does not")
        elif step == ("running", "stopped"):
            check(new["Pid"] == 0, f"{self.name} has ended, but has the number {new['Pid']}")
            check(outcome in self.outcomes(), f"{self.name} ended with {outcome}, what was done to it allows {sorted(self.outcomes())}")
        elif step == ("created", "stopped"):
            fails = new["CommandName"] == "missing" or self.container.was_disturbed() or self.has_run_ended()
            allowed = (FAILURES if fails else set()) | (self.outcomes() if self.service_killed else set())
            check(outcome in allowed, f"{self.name} could not be started, with {outcome}; possible: {sorted(allowed)}")
        else:
            check(False, f"{self.name} goes from {step[0]} to {step[1]}: {new}")

    def on_exited(self, code, signal):
        if self.owes is None:
            return
        check(self.owes[:1] == ["Exited"] and (code, signal) == (self.life["ExitCode"], self.life["ExitSignal"]), f"{self.name}: Exited({code}, {signal}) is not its end")
        self.owes.pop(0)

    def on_event(self, event):
        if self.owes is None:
            return
        check(self.owes == [event["action"]], f"{self.name}: the event {event['action']} comes unasked, {self.owes} is due")
        self.owes.pop(0)

    def on_gone(self):
        check(not self.gone and not self.owes, f"{self.name} goes, but {self.owes} was not told")
        check(self.life["State"] != "running", f"{self.name} goes while it runs")
        self.gone, self.last = True, self.lives[-1]
        self.lives.append(None)

    # --- a successor of the service ---

    def on_service_left(self, crashed):
        self.history[self.world.epoch] = self.lives
        self.lives, self.owes = [self.lives[-1]], []
        self.lossy = self.lossy or crashed
        self.service_killed = self.service_killed or not self.gone and self.life["State"] != "stopped"

    def on_read(self, life):
        """What the successor says is true."""
        if life is None:
            if not self.gone:
                check(self.lossy or self.goes_by_itself or self.container.gone, f"{self.name} vanished without a signal")
                self.gone, self.last = True, self.lives[-1]
                self.lives = [None] * len(self.lives)
            return
        old = self.life
        check(not self.gone and ORDER.index(life["State"]) >= ORDER.index(old["State"]), f"after the restart of the service {self.name} is {life['State']}, it was {old['State']}")
        if life["State"] == old["State"]:
            check(life == old, f"after the restart of the service {self.name} is another: {life}, it was {old}")
        self.world.trace(f"      {self.name} is {life['State']} {life['ExitCode']}")
        self.lives[-1], self.owes = life, []


class Executions:
    """What the event log says of all that was ever executed in one container."""

    def __init__(self):
        self.begun, self.died = {}, {}  # number of a process -> how often; (code, signal) of each end
        self.n_captured, self.n_captures_died = 0, 0
        self.captures = []  # calls

    def take(self, event):
        number = event.get("session")
        if number is None:
            self.n_captured += event["action"] == "exec"
            self.n_captures_died += event["action"] == "exec-died"
        elif event["action"] == "exec":
            self.begun[number] = self.begun.get(number, 0) + 1
        else:
            self.died.setdefault(number, []).append((event["exit-code"], event["signal"]))
            check(len(self.died[number]) == 1, f"process {number} has ended twice: {self.died[number]}")

    def compare(self, container, processes):
        """When all is quiet, and none is left."""
        for number, times in self.begun.items():
            check(times == 1 and number in self.died, f"process {number} of {container.token} has begun {times} times and has {len(self.died.get(number, ()))} ends")
        for process in processes:
            life = process.life
            if process.gone and life["State"] == "stopped":
                check(self.died.get(process.number) == [(life["ExitCode"], life["ExitSignal"])], f"{process.name} ended with {life['ExitCode']}, the event log says {self.died.get(process.number)}")
        open_ones = sum(1 for call in self.captures if not call.is_over)
        check(0 <= self.n_captured - self.n_captures_died <= open_ones, f"{container.token}: ExecCapture has begun {self.n_captured} times, ended {self.n_captures_died} times, and was cut off {open_ones} times")


def number_of(path):
    return int(path.rsplit("/", 1)[1])
