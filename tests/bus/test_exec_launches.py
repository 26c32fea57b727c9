#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who comes, and what dies, while a process is launched: clients get all bytes and then the code, and no process is left that nobody knows of."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from attached import Attached, end_of, wait_no_streamers  # noqa: E402
from census import Census  # noqa: E402
from executed import attach, container, execute, wait  # noqa: E402
from faults import Gate, order  # noqa: E402
from harness import CONTAINER, PROCESS, expect, main, options, wait_for  # noqa: E402


def finish(client, path, census):
    client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
    wait_no_streamers()
    census.check()


def check_end(client, attached, output, code):
    attached.read_to_end()
    assert attached.out == output, attached.out
    assert attached.last["reason"] == "exited" and attached.last["exit-code"] == code, attached.last
    state, result = end_of(client, attached.job)
    assert (state, result["reason"], result["exit-code"]) == ("done", "exited", code), (state, result)


def test_whoever_joins_a_client_in_the_launch(client):
    """The process has ended by the time that its start is answered."""
    census = Census(client)
    path = container(client)
    for point in ("create", "created", "answered"):
        process, _ = execute(client, path, "sh", "-c", "echo x; exit 3", start=False)
        first = attach(client, process)
        gate = Gate("conmon", point)
        started = client.begin(process, PROCESS, "Start")
        gate.reached()
        second = attach(client, process)
        gate.open()
        client.finish(started)
        check_end(client, first, b"x\n", 3)
        second.read_to_end()
        assert second.last["reason"] == "exited" and second.last["exit-code"] == 3, (point, second.last)
        assert point != "create" or second.out == b"x\n", second.out
        client.call(process, PROCESS, "Remove", "s", "normal")
    finish(client, path, census)


def attach_during_launch(client, path, point, *command):
    """A client comes when the launch has reached this point, the first one; conmon does not wait for it."""
    process, _ = execute(client, path, *command, start=False)
    gate = Gate("conmon", point)
    started = client.begin(process, PROCESS, "Start")
    gate.reached()
    box = client.begin(process, PROCESS, "OpenAttach", "a{sv}", {})
    client.get(process, "State", PROCESS)  # the service has seen it
    gate.open()
    client.finish(started)
    _, framing, job = client.finish(box)
    return process, Attached(client.fds.get(0), framing, job)


def test_whoever_comes_first_in_the_launch(client):
    census = Census(client)
    path = container(client)
    for point in ("begin", "create", "created", "answered"):
        process, attached = attach_during_launch(client, path, point, "sh", "-c", "exit 4")
        check_end(client, attached, b"", 4)  # it may have ended before anybody could be connected
        client.call(process, PROCESS, "Remove", "s", "normal")
        process, attached = attach_during_launch(client, path, point, "sh", "-c", "while :; do echo x; sleep 0.01; done")
        attached.read_until(b"x\n")
        client.call(process, PROCESS, "Kill", "i", 9)
        attached.read_to_end()
        assert attached.last["exit-code"] == 137, attached.last
        client.call(process, PROCESS, "Remove", "s", "normal")
    finish(client, path, census)


def test_a_launch_that_fails_under_a_client(client):
    """Told before the launch was: it ends with the code. Not told yet: it is refused."""
    census = Census(client)
    path = container(client)
    for point in ("create", "created"):
        process, _ = execute(client, path, "true", start=False)
        early = attach(client, process)
        order("conmon", point, "die", "9")
        expect("MonitorFailed", client.call, process, PROCESS, "Start")
        check_end(client, early, b"", 125)
        client.call(process, PROCESS, "Remove", "s", "normal")
    process, _ = execute(client, path, "true", start=False)
    gate = Gate("conmon", "begin")
    started = client.begin(process, PROCESS, "Start")
    gate.reached()
    late = client.begin(process, PROCESS, "OpenAttach", "a{sv}", {})
    client.get(process, "State", PROCESS)
    order("conmon", "create", "die", "9")
    gate.open()
    expect("MonitorFailed", client.finish, started)
    assert "before it could be attached to" in expect("InvalidState", client.finish, late)
    client.call(process, PROCESS, "Remove", "s", "normal")
    finish(client, path, census)


def conmon_of_process():
    """The pid of the conmon whose crun exec is under way."""
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if b"--exec-process-spec" in words and b"--sync" in words:
            return int(entry)
    raise AssertionError("no conmon executes anything")


def test_conmon_dies_in_a_launch(client):
    """The call fails when nothing is left of it."""
    census = Census(client)
    path = container(client)
    for program, point in (("crun", "exec"), ("crun", "exec-done"), ("conmon", "created")):
        process, _ = execute(client, path, "sleep", "1000", start=False)
        gate = Gate(program, point)
        started = client.begin(process, PROCESS, "Start")
        gate.reached()
        os.kill(conmon_of_process(), 9)
        if program == "crun":  # it goes on without conmon
            client.get(process, "State", PROCESS)
            gate.open()
        expect("MonitorFailed", client.finish, started)
        assert wait(client, process) == (125, 0), point
        assert len(client.call(path, CONTAINER, "GetProcesses")[0]) == 1, (program, point)
        client.call(process, PROCESS, "Remove", "s", "normal")
    finish(client, path, census)


def test_the_service_dies_in_a_launch(client):
    """conmon does not miss it, and keeps the code."""
    census = Census(client)
    path = container(client)
    for program, point in (("conmon", "create"), ("crun", "exec"), ("crun", "exec-done"), ("conmon", "created")):
        process, _ = execute(client, path, "sh", "-c", "exit 6", start=False)
        gate = Gate(program, point)
        client.begin(process, PROCESS, "Start")
        gate.reached()
        client.kill_service()
        gate.open()
        assert wait(client, process) == (6, 0), (program, point)
        client.call(process, PROCESS, "Remove", "s", "normal")
    finish(client, path, census)


def test_conmon_dies_in_a_launch_without_a_service(client):
    """Neither lost nor hidden: the process is there as one without a conmon, and ends with the container or before."""
    census = Census(client)
    path = container(client)
    for program, point in (("crun", "exec"), ("crun", "exec-done"), ("conmon", "created")):
        for service_first in (True, False):
            process, _ = execute(client, path, "sleep", "1000", start=False)
            gate = Gate(program, point)
            client.begin(process, PROCESS, "Start")
            gate.reached()
            client.kill_service()
            if service_first:
                client.manager("ListContainers")
            os.kill(conmon_of_process(), 9)
            client.manager("ListContainers")
            if program == "crun":
                gate.open()
            wait_for(lambda process=process: client.get(process, "State", PROCESS) == "running", f"the process of {program} {point}", poll=True)
            assert client.get(process, "Pid", PROCESS) in [pid for _, pid, _ in client.call(path, CONTAINER, "GetProcesses")[0]]
            client.call(process, PROCESS, "Stop", "t", 0)
            assert client.get(process, "State", PROCESS) == "stopped"
            client.call(process, PROCESS, "Remove", "s", "normal")
    process, _ = execute(client, path, "sleep", "1000", start=False)
    gate = Gate("conmon", "created")
    client.begin(process, PROCESS, "Start")
    gate.reached()
    client.kill_service()
    os.kill(conmon_of_process(), 9)
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert client.get(process, "State", PROCESS) == "stopped"
    client.call(process, PROCESS, "Remove", "s", "normal")
    finish(client, path, census)


if __name__ == "__main__":
    main(fakes=True)
