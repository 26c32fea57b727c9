#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""No end is lost: waits, the death of conmon, the death of the service at any step."""

import json
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, Client, Error, expect, main, options, wait_for, wait_output  # noqa: E402


def test_waits_before_and_after_the_end_agree(client):
    path = client.create("job", "sh", "-c", "read line < /proc/self/stat; sleep 0.3; exit 9")
    later = client.begin(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(after_run=0))
    client.call(path, CONTAINER, "Start")
    before = client.begin(path, CONTAINER, "Wait")
    answers = [client.finish(before), client.finish(later)[1:5], client.call(path, CONTAINER, "Wait"), client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(run=1))[1:5]]
    assert answers == [(1, 9, 0, "exit-code")] * 4


def test_conditions_timeouts_and_errors_of_waits(client):
    path = client.create("long", "sleep", "1000")
    expect("InvalidArgs", client.call, path, CONTAINER, "WaitFor", "asa{sv}", [], {})
    expect("InvalidArgs", client.call, path, CONTAINER, "WaitFor", "asa{sv}", ["done"], {})
    expect("NoHealthCheck", client.call, path, CONTAINER, "WaitFor", "asa{sv}", ["healthy"], {})
    waiting = client.begin(path, CONTAINER, "WaitFor", "asa{sv}", ["initialized"], {})
    client.call(path, CONTAINER, "Start")
    assert client.finish(waiting)[0] == "initialized"
    assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(timeout_usec=50000))[:2] == ("timeout", 1)
    assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["running"], {})[0] == "running"
    expect("Timeout", client.call, path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=300000, reply_timeout_usec=20000))
    gone = client.begin(path, CONTAINER, "WaitFor", "asa{sv}", ["removed"], {})
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    client.call(path, CONTAINER, "Remove")
    assert client.finish(gone)[0] == "removed"


def test_open_wait_is_one_line(client):
    path = client.create("pipe", "sh", "-c", "exit 6")
    index = client.call(path, CONTAINER, "OpenWait", "asa{sv}", ["stopped"], options(after_run=0))[0]
    fd = client.fds.steal_fds()[index]
    client.call(path, CONTAINER, "Start")
    with os.fdopen(fd, encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    assert len(lines) == 1 and json.loads(lines[0])["exit-code"] == 6


def test_the_limit_of_waits(client):
    path = client.create("many", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    other = Client()
    boxes = [other.begin(path, CONTAINER, "Wait") for _ in range(1024)]
    expect("LimitsExceeded", other.call, path, CONTAINER, "Wait")
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert {other.finish(box) for box in boxes} == {(1, 137, 9, "signal")}


def test_conmon_dies_and_the_code_is_known(client):
    path = client.create("orphan", "sh", "-c", "trap 'exit 11' TERM; echo ready; while :; do sleep 0.05; done")
    client.call(path, CONTAINER, "Start")
    wait_output(path, "ready")
    os.kill(client.get(path, "MonitorPID"), signal.SIGKILL)
    wait_for(lambda: not client.get(path, "Supervised"), "the loss of supervision", poll=True)
    assert client.get(path, "State") == "running"
    client.call(path, CONTAINER, "Stop")
    assert client.get(path, "ExitCode") == 11


def test_the_service_dies_while_containers_live(client):
    running = client.create("running", "sleep", "1000")
    paused = client.create("paused", "sleep", "1000")
    prepared = client.create("prepared", "sleep", "1000")
    short = client.create("short", "sh", "-c", "sleep 0.5; exit 12")
    for path in (running, paused, short):
        client.call(path, CONTAINER, "Start")
    client.call(paused, CONTAINER, "Pause")
    client.call(prepared, CONTAINER, "Init")
    pids = {path: client.get(path, "MainPID") for path in (running, paused, prepared, short)}
    client.kill_service()
    wait_for(lambda: not os.path.exists(f"/proc/{pids[short]}"), "the end of the short one", poll=True)
    assert client.call(short, CONTAINER, "Wait") == (1, 12, 0, "exit-code")
    assert [client.get(path, "State") for path in (running, paused, prepared)] == ["running", "paused", "initialized"]
    assert all(client.get(path, "MainPID") == pids[path] for path in (running, paused, prepared))
    client.call(paused, CONTAINER, "Resume")
    client.call(prepared, CONTAINER, "Start")
    for path in (running, paused, prepared):
        assert client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0)) == (1,)


def test_a_stop_goes_on_after_the_service_died(client):
    path = client.create("slow", "sh", "-c", "trap 'sleep 0.5; exit 13' TERM; echo ready; while :; do sleep 0.05; done")
    client.call(path, CONTAINER, "Start")
    wait_output(path, "ready")
    client.begin(path, CONTAINER, "Stop")
    wait_for(lambda: client.get(path, "State") == "stopping", "the stop", poll=True)
    client.kill_service()
    assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})[0] == "exited"
    assert client.get(path, "StoppedByUser") and client.get(path, "State") == "exited" and client.get(path, "ExitCode") == 13


CRASH = os.environ.get("CONBUS_SANDBOX", "") + "/crash"


def crash_walk(client, begin, check):
    """Lets the service die at each crash point of one operation; begin starts it on a fresh container, check looks at what a new service makes of it. Ends when the operation is through without a death."""
    for step in range(1, 40):
        path = client.create(f"crash{step}", "sleep", "1000")
        prepared = begin(client, path, True)
        with open(CRASH, "w", encoding="utf-8") as file:
            file.write(str(step))
        died = False
        try:
            begin(client, path, False)
        except Error as error:
            died = error.name in ("NoReply", "Disconnected", "UnknownObject", "ServiceUnknown")
            if not died:
                raise
        if os.path.exists(CRASH):
            os.unlink(CRASH)
        check(client, path, died, prepared)
        try:
            client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
        except Error as error:
            assert error.name in ("UnknownObject", "UnknownMethod", "Removed", "NoSuchContainer"), error
            wait_for(lambda: not client.manager("ListContainers")[0], "the removal that goes on", poll=True)
        if not died:
            assert step > 2, "the service has no crash points: is it built with -Dcrash-points=true?"
            return
    raise AssertionError("the operation has more than 40 steps")


def settled(client, path):
    """Waits until nothing is in progress."""
    wait_for(lambda: client.get(path, "Operation") == "" and client.get(path, "State") in ("created", "initialized", "running", "exited"), "rest", poll=True)
    return client.get(path, "State")


def test_death_at_each_step_of_start(client):
    def begin(bus, path, prepare):
        return None if prepare else bus.call(path, CONTAINER, "Start")

    def check(bus, path, died, _):
        state = settled(bus, path)
        assert state in ("created", "initialized", "running", "exited"), state
        run = bus.get(path, "Run")
        records = bus.call(path, CONTAINER, "ListRuns", "u", 0)[0]
        assert [record["run"] for record in records] == list(range(run, 0, -1)), records
        if state in ("created", "exited"):
            assert all(record["result"] for record in records)
            assert bus.call(path, CONTAINER, "Start") == (run + 1,)
        elif state == "initialized":
            assert bus.call(path, CONTAINER, "Start") == (run,)
        assert bus.get(path, "State") == "running"

    crash_walk(client, begin, check)


def test_death_at_each_step_of_stop(client):
    def begin(bus, path, prepare):
        return bus.call(path, CONTAINER, "Start") if prepare else bus.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))

    def check(bus, path, died, _):
        state = settled(bus, path)
        if state == "running":  # it died before the wish was stored
            bus.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
        assert bus.get(path, "State") == "exited" and bus.call(path, CONTAINER, "Wait") == (1, 137, 9, "signal")

    crash_walk(client, begin, check)


def test_death_at_each_step_of_remove(client):
    def begin(bus, path, prepare):
        return bus.call(path, CONTAINER, "Start") if prepare else bus.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))

    def check(bus, path, died, _):
        record = bus.manager("GetRun", "st", path.rsplit("/", 1)[1], 1)[0]
        assert record["run"] == 1

    crash_walk(client, begin, check)


def test_a_run_that_ends_while_the_service_starts(client):
    """The end is then recorded while children of the service are between fork and exec, with copies of its pidfds."""
    path = client.create("early", "true")
    for _ in range(15):
        client.call(path, CONTAINER, "Start")
        client.kill_service(15)
        assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})[2] == 0


if __name__ == "__main__":
    main()
