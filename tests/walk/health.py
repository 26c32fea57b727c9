# SPDX-License-Identifier: LGPL-2.1-or-later
"""The model of health checks (behaviour.md section 11). Whether a check passes is what a file says that the driver makes and removes: the container is sick while it is there.

The verdict of a single check depends on the moment, and most of them are not announced. So a status is compared with what the file may have said when it is told, and, when all is quiet, with what the results that GetLog returns must have led to, one after the other."""

import time

from life import ACTIVE, check
from wire import Variant

CLOCK_SLACK = 100_000  # usec by which the wall clock seems to have been set when this process has only been interrupted
FOLDER = "/sick"  # in the root file system: a file for each container that is sick


def keys_of(config, token):
    """What CreateContainer takes."""
    test = Variant("as", ["CMD", "test", "!", "-e", f"{FOLDER}/{token}"])
    keys = {"test": test, "interval-usec": Variant("t", config["interval"]), "timeout-usec": Variant("t", 600_000_000), "retries": Variant("u", config["retries"]), "on-failure": Variant("s", config["on_failure"]),
            "start-period-usec": Variant("t", config["start_period"]), "log-count": Variant("u", 0)}
    if config["startup"]:
        keys |= {"startup-test": test, "startup-interval-usec": Variant("t", config["interval"]), "startup-timeout-usec": Variant("t", 600_000_000), "startup-successes": Variant("u", config["startup"]["successes"]),
                 "startup-retries": Variant("u", config["startup"]["retries"])}
    return keys


class Verdicts:
    """What the file has said since when."""

    def __init__(self, sick):
        self.changes = [(0.0, not sick)]

    @property
    def passes(self):
        return self.changes[-1][1]

    def set(self, passes):
        """To be called when the file is as it will be; the other answer was possible up to now."""
        self.changes.append((time.monotonic(), passes))

    def since(self, moment):
        """Everything that a check which ended after this moment may have found."""
        current = max(index for index, (begun, _) in enumerate(self.changes) if begun <= moment)
        return {passes for _, passes in self.changes[current:]}


class Judge:
    """Goes through the results of one run."""

    def __init__(self, config):
        self.config, self.status, self.startup = config, "starting", bool(config["startup"])
        self.streak, self.successes, self.failures, self.troubles, self.actions, self.was_healthy = 0, 0, 0, 0, 0, False
        self.statuses = ["starting"]

    def enter(self, status):
        if status != self.status:
            self.status = status
            self.statuses.append(status)

    def pause(self):
        self.was_healthy = self.status == "healthy"
        self.enter("suspended")

    def take(self, code):
        if code == 125:
            self.troubles += 1
            if self.troubles == 1:
                return
        else:
            self.troubles = 0
        if self.startup:
            self.take_startup(code == 0)
        else:
            self.take_regular(code == 0)

    def take_startup(self, passes):
        if self.status == "suspended":
            self.enter("starting")
        if passes:
            self.failures, self.successes = 0, self.successes + 1
            self.startup = self.successes < self.config["startup"]["successes"]
            return
        self.successes, self.failures = 0, self.failures + 1
        if self.failures == self.config["startup"]["retries"]:
            self.failures, self.actions = 0, self.actions + 1

    def take_regular(self, passes):
        if passes:
            self.streak = 0
            if (self.status, self.config["on_failure"]) != ("unhealthy", "kill"):  # a stop whose turn has not come is taken back
                self.actions = 0
            self.enter("healthy")
        elif self.config["start_period"] and self.status != "healthy":
            if self.status == "suspended":
                self.enter("starting")
        else:
            self.streak += 1
            if self.streak >= self.config["retries"]:
                self.actions += self.status != "unhealthy" and self.config["on_failure"] != "none"
                self.enter("unhealthy")
            elif self.status == "suspended":
                self.enter("healthy" if self.was_healthy else "starting")


def judge(config, entries, freezes, ended):
    """entries: of GetLog, newest first; freezes: times of the pauses; ended: time from which no result counts any more, or None."""
    result, pauses = Judge(config), sorted(freezes)
    for _, end, code, _ in reversed(entries):
        while pauses and pauses[0] <= end:
            result.pause()
            pauses.pop(0)
        if ended is None or end < ended:
            result.take(code)
    for _ in pauses:
        result.pause()
    return result


def compare(container, entries, streak, later):
    """When all is quiet. `later` are the results that there were when the streak had been read."""
    life, run = container.life, container.life["Run"]
    status = life["Health"]
    if life["State"] not in ("running", "paused"):
        check(status in ("stopped", ""), f"nothing of it runs, but its health is {status}")
    if not container.statuses.get(run) or run in container.killed_services or container.clock_slack() > CLOCK_SLACK:
        return  # it has not been started, a service that was killed has taken results with it, or times do not compare
    result = judge(container.config["health"], entries, container.freezes.get(run, ()), container.stops.get(run))
    told = [told for told in container.statuses[run] if told != "stopped"]
    check(told == result.statuses, f"the results {[entry[2] for entry in reversed(entries)]} of run {run} make {result.statuses}, told was {told}")
    most = judge(container.config["health"], later, container.freezes.get(run, ()), container.stops.get(run)).streak
    check(result.streak <= streak <= most, f"the results {[entry[2] for entry in reversed(entries)]} of run {run} make a streak of {result.streak}, not {streak}")
    check(life["State"] not in ACTIVE or not result.actions, f"run {run} turned unhealthy, and nothing was done")


def is_settled(container):
    """Whether its checks change nothing any more, as long as the file says what it says."""
    config, life = container.config["health"], container.life
    if not config or not config["interval"] or life["State"] != "running":
        return True
    if container.verdicts.passes:
        return life["Health"] == "healthy"
    return life["Health"] == "unhealthy" or (config["start_period"] and life["Health"] == "starting")


def may_rest_sick(config):
    """A container that is sick and stays so comes to rest."""
    return not config["interval"] or (config["on_failure"] == "none" and not config["startup"])
