#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ends that conmon tells wrongly, late or not at all: the kernel's word counts before the exit file's, and a run of which nobody knows anything is lost, never 0."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import faults  # noqa: E402
from census import Census  # noqa: E402
from harness import CONTAINER, Skip, kernel_tells_status, main, options, wait_for  # noqa: E402


def ended(client, path, answer, run=1):
    assert client.call(path, CONTAINER, "Wait") == (run, *answer), client.call(path, CONTAINER, "Wait")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    record = client.call(path, CONTAINER, "GetRun", "t", run)[0]
    assert (record["exit-code"], record["result"]) == (answer[0], answer[2])
    client.call(path, CONTAINER, "Remove")


def test_an_exit_file_that_disagrees(client):
    if not kernel_tells_status():
        raise Skip("the kernel does not tell the status of a process that somebody else has reaped")
    census = Census(client)
    for text in ("42", "0", "-1", "3", "37", "300", "garbage", "7x", " ", "7 8", "", "99999999999999999999"):
        path = client.create("web", "sh", "-c", "exit 7")
        faults.order("conmon", "ended", "code", text)
        client.call(path, CONTAINER, "Start")
        ended(client, path, (7, 0, "exit-code"))
    path = client.create("web", "sleep", "1000")
    faults.order("conmon", "ended", "code", "0")
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "Kill", "si", "leader", 9)
    ended(client, path, (137, 9, "signal"))
    census.check()


def test_no_exit_file(client):
    if not kernel_tells_status():
        raise Skip("the kernel does not tell the status of a process that somebody else has reaped")
    census = Census(client)
    for order in (("no-file",), ("die", 9), ("fail", "disk full"), ("silent",)):
        path = client.create("web", "sh", "-c", "exit 7")
        faults.order("conmon", "ended", *order)
        client.call(path, CONTAINER, "Start")
        ended(client, path, (7, 0, "exit-code"))
    census.check()


def test_conmon_hangs_at_the_end(client):
    if not kernel_tells_status():
        raise Skip("the kernel does not tell the status of a process that somebody else has reaped")
    census = Census(client)
    with client.settings(ExitFileUSec=2000000):  # twice that long conmon has to get so far as to hang
        path = client.create("web", "sh", "-c", "exit 7")
        faults.order("conmon", "ended", "hang")
        client.call(path, CONTAINER, "Start")
        ended(client, path, (7, 0, "exit-code"))
    census.check()


def test_conmon_hangs_after_its_answer(client):
    """It reaps nobody; once it has been killed PID 1 is the service's own child."""
    census = Census(client)
    with client.settings(ExitFileUSec=100000):
        path = client.create("web", "sh", "-c", "exit 7")
        faults.order("conmon", "answered", "hang")
        client.call(path, CONTAINER, "Start")
        ended(client, path, (7, 0, "exit-code"))
    census.check()


def test_a_late_exit_file_is_waited_for(client):
    """Until it is there, output may still be on its way to the log."""
    census = Census(client)
    path = client.create("web", "sh", "-c", "exit 7")
    gate = faults.Gate("conmon", "ended")
    client.call(path, CONTAINER, "Start")
    waiting = client.begin(path, CONTAINER, "Wait")
    gate.reached()
    assert client.get(path, "State") == "running" and not waiting
    gate.open()
    assert client.finish(waiting) == (1, 7, 0, "exit-code")
    ended(client, path, (7, 0, "exit-code"))
    census.check()


def test_conmon_lingers_after_the_exit_file(client):
    """The end is told, the container goes, its name is free, and conmon's group goes with conmon."""
    census = Census(client)
    path = client.create("web", "sh", "-c", "exit 7")
    gate = faults.Gate("conmon", "exited")
    client.call(path, CONTAINER, "Start")
    gate.reached()
    ended(client, path, (7, 0, "exit-code"))
    gate.open()
    census.check()


def test_conmon_lingers_while_the_service_is_restarted(client):
    census = Census(client)
    path = client.create("web", "sh", "-c", "exit 7")
    gate = faults.Gate("conmon", "exited")
    client.call(path, CONTAINER, "Start")
    gate.reached()
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    client.kill_service()
    ended(client, path, (7, 0, "exit-code"))
    gate.open()
    census.check()


def end_without_the_service(client, *order):
    """A run that ends while the service is down, and what conmon says of it."""
    path = client.create("web", "sleep", "1000")
    faults.order("conmon", "ended", *order)
    gate = faults.Gate("conmon", "exited")
    client.call(path, CONTAINER, "Start")
    pid = client.get(path, "MainPID")
    client.kill_service()
    os.kill(pid, 15)
    os.kill(pid, 9)
    gate.reached()
    return path, gate


def test_nobody_knows_how_it_ended(client):
    census = Census(client)
    for order in (("no-file",), ("code", "garbage"), ("code", ""), ("code", "-1")):
        with client.settings(ExitFileUSec=100000):
            path, gate = end_without_the_service(client, *order)
            gate.open()
            assert client.call(path, CONTAINER, "Wait") == (1, -1, 0, "lost"), order
            assert client.get(path, "LastErrorName") == "io.conbus1.Error.MonitorLost"
            assert client.get(path, "StateReason") == "monitor-lost"
            ended(client, path, (-1, 0, "lost"))
    census.check()


def test_the_exit_file_is_the_last_source(client):
    census = Census(client)
    for text, answer in (("42", (42, 0, "exit-code")), ("0", (0, 0, "success")), ("143", (143, 15, "signal"))):
        path, gate = end_without_the_service(client, "code", text)
        gate.open()
        ended(client, path, answer)
    census.check()


def test_conmon_hangs_while_the_service_is_down(client):
    census = Census(client)
    with client.settings(ExitFileUSec=100000):
        path = client.create("web", "sleep", "1000")
        faults.order("conmon", "ended", "hang")
        client.call(path, CONTAINER, "Start")
        pid = client.get(path, "MainPID")
        with open(os.environ["CONBUS_CONFIG"], encoding="utf-8") as file:
            assert "ExitFileUSec" in file.read()
        client.kill_service()
        os.kill(pid, 9)
        wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "its end", poll=True)
        ended(client, path, (-1, 0, "lost"))
    census.check()


def test_a_stop_waits_for_the_word_of_conmon(client):
    """What is dead does not resist: the reply is not given up at the time for processes that SIGKILL does not end, but comes with the record."""
    census = Census(client)
    with client.settings(KillUSec=100000, ExitFileUSec=600000000):
        path = client.create("web", "sleep", "1000")
        gate = faults.Gate("conmon", "ended")
        client.call(path, CONTAINER, "Start")
        stop = client.begin(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
        gate.reached()
        assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(timeout_usec=400000))[0] == "timeout"
        assert client.get(path, "State") == "stopping" and not stop
        gate.open()
        assert client.finish(stop) == (1,) and client.get(path, "LastErrorName") == ""
        ended(client, path, (137, 9, "signal"))
    census.check()



if __name__ == "__main__":
    main(fakes=True)
