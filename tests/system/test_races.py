#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the random walk (tests/walk) has found, each by the shortest way to it."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, expect, main, options  # noqa: E402


def test_calls_queued_behind_a_removal_are_refused(client):
    path = client.create("going", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    pid = client.service_pid()
    removal = client.begin(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
    queued = [client.begin(path, CONTAINER, verb) for verb in ("Start", "Restart", "Init", "Stop", "Pause", "Resume", "Sync")]
    client.finish(removal)
    for box in queued:
        expect("Removed", client.finish, box)
    assert client.service_pid() == pid and client.manager("ListContainers")[0] == []


def test_a_wait_for_the_cleanup_after_a_run_that_is_over(client):
    path = client.create("over", "sh", "-c", "exit 4")
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], options(after_run=0), timeout=5)[:3] == ("exited", 1, 4)


def test_a_restart_never_comes_before_its_time(client):
    path = client.create("punctual", "false", restart_policy="always", restart_sec_usec=20000)
    client.call(path, CONTAINER, "Start")
    for run in range(1, 5):
        client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], options(after_run=run))
    client.call(path, CONTAINER, "SetRestartPolicy", "su", "no", 0)
    planned = [changed["NextRestartTimestamp"] for _, _, member, arguments in client.signals if member == "PropertiesChanged" for changed in [arguments[1]] if changed.get("NextRestartTimestamp")]
    restarts = [event[1] for event in client.signals_of("Event") if event[3] == "restart"]
    assert len(restarts) >= 4 and all(due <= usec for due, usec in zip(planned, restarts)), (planned, restarts)


if __name__ == "__main__":
    main()
