#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Operations that meet in the queue: a restart by policy that is due while a caller's start is under way, and a stop that waits behind a slower one."""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import faults  # noqa: E402
from harness import CONTAINER, GLib, main, options, wait_for, wait_output  # noqa: E402

BACKOFF = 1_000_000  # usec


def test_a_restart_that_is_out_of_date_is_no_restart(client):
    """The run that the caller has started is over when the turn of that restart comes: the back-off after this run counts."""
    base = client.create("base", "sleep", "1000", stop_timeout_usec=0)
    top = client.create("top", "false", depends=["base"], restart_policy="always", restart_sec_usec=BACKOFF)
    client.call(top, CONTAINER, "StartWith", "a{sv}", options(recursive=True))
    wait_for(lambda: client.get(top, "NextRestartTimestamp"), "the plan of a restart", poll=True)
    due = client.get(top, "NextRestartTimestamp")
    client.call(base, CONTAINER, "Stop")

    create, started = faults.Gate("crun", "create"), faults.Gate("crun", "start-done", nth=2)
    start = client.begin(top, CONTAINER, "StartWith", "a{sv}", options(recursive=True))
    create.reached()
    wait_for(lambda: time.time_ns() // 1000 > due + BACKOFF // 10, "the time of the restart", poll=True)
    create.open()
    started.reached()
    wait_for(lambda: os.path.exists(f"/run/conbus/exits/{top.rsplit('/', 1)[1]}"), "the end of the payload", poll=True)
    started.open()
    run = client.finish(start)[0]

    client.call(top, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(after_run=run))
    ended, next_one = (client.call(top, CONTAINER, "GetRun", "t", number)[0] for number in (run, run + 1))
    assert next_one["start"] - ended["finish"] >= BACKOFF, f"run {run + 1} began {next_one['start'] - ended['finish']} us after the end of run {run}"


def test_a_shorter_stop_in_the_queue_counts(client):
    """The stop that is first in the queue would never kill; who comes after it, before it has begun, wants to kill at once."""
    path = client.create("stubborn", "sh", "-c", "trap '' TERM; echo ready; sleep 1000")
    client.call(path, CONTAINER, "Start")
    wait_output(path, "ready")
    pausing = faults.Gate("crun", "pause")
    pause = client.begin(path, CONTAINER, "Pause")
    pausing.reached()
    slow = client.begin(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=GLib.Variant("t", (1 << 64) - 1)))
    quick = client.begin(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
    client.manager("ListContainers")
    pausing.open()
    client.finish(pause)
    assert client.finish(slow) == (1,)
    client.finish(quick)


if __name__ == "__main__":
    main(fakes=True)
