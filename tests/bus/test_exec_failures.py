#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processes in containers on peers that fail, hang, die and lie, on a service that dies between any two steps of theirs, and on a full disk: a named error or a code, and nothing left."""

import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from attached import wait_no_streamers  # noqa: E402
from census import Census  # noqa: E402
from executed import attach, container, execute, processes, run, spawn, wait  # noqa: E402
from faults import Gate, order  # noqa: E402
from harness import CONTAINER, PROCESS, Error, expect, main, options, wait_for  # noqa: E402


def fails_with(client, path, name, code):
    expect(name, execute, client, path, "true")
    failed = processes(client, path)[-1]
    assert wait(client, failed) == (code, 0)
    execute(client, path, "true")  # the next one can be executed


def check_each(client, path, program, point, *faults):
    for action, argument, name, code in faults:
        order(program, point, action, argument)
        fails_with(client, path, name, code)


def test_crun_fails(client):
    census = Census(client)
    path = container(client)
    check_each(client, path, "crun", "exec", ("fail", "it broke", "RuntimeFailed", 125), ("fail", "executable file `x` not found in $PATH", "RuntimeCommandNotFound", 127),
               ("fail", "open executable: Permission denied", "RuntimePermissionDenied", 126), ("silent", "", "MonitorFailed", 125), ("die", "9", "MonitorFailed", 125))
    finish(client, path, census)


def finish(client, path, census):
    client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
    wait_no_streamers()
    census.check()


def test_conmon_fails(client):
    census = Census(client)
    path = container(client)
    for point in ("begin", "create", "created"):
        check_each(client, path, "conmon", point, ("silent", "", "MonitorFailed", 125), ("die", "9", "MonitorFailed", 125))
    check_each(client, path, "conmon", "created", ("packet", "nonsense", "MonitorFailed", 125), ("packet", '{"data": -1, "message": "no"}', "RuntimeFailed", 125), ("mute", "", "MonitorFailed", 125))
    finish(client, path, census)


def test_a_conmon_that_hangs(client):
    census = Census(client)
    path = container(client)
    with client.settings(CreateUSec=500000):
        for program, point in (("conmon", "begin"), ("conmon", "create"), ("crun", "exec")):
            order(program, point, "hang")
            fails_with(client, path, "MonitorFailed", 125)
        order("conmon", "attach", "hang")
        process, _ = execute(client, path, "true", start=False)
        attached = attach(client, process)
        expect("MonitorFailed", client.call, process, PROCESS, "Start")
        attached.read_to_end()
        assert wait(client, process) == (125, 0)
    finish(client, path, census)


def test_a_pid_that_is_none_of_its_own(client):
    """Whatever conmon names: no other process is watched, shown as alive, or signalled."""
    census = Census(client)
    path = container(client)
    bystander = os.fork()
    if bystander == 0:
        signal.pause()
        os._exit(0)
    order("conmon", "created", "pid", str(bystander))
    process, _ = execute(client, path, "sh", "-c", "exit 3")
    assert wait(client, process) == (3, 0)
    order("conmon", "created", "pid", str(bystander))
    with client.settings(ExitFileUSec=200000):
        process, _ = execute(client, path, "sleep", "1000")
        client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
        assert client.get(process, "State", PROCESS) == "stopped"
    assert os.waitpid(bystander, os.WNOHANG) == (0, 0)
    os.kill(bystander, signal.SIGKILL)
    os.waitpid(bystander, 0)
    finish(client, path, census)


def test_ends_that_are_told_badly(client):
    census = Census(client)
    path = container(client)
    with client.settings(ExitFileUSec=300000):
        for action, argument in (("no-file", ""), ("code", "nonsense"), ("silent", ""), ("die", "9"), ("hang", "")):
            order("conmon", "ended", action, argument)
            process, _ = execute(client, path, "sh", "-c", "exit 4")
            code, number = wait(client, process)
            assert number == 0 and code in (4, -1), (action, code)  # what the kernel still tells, or nothing; never another one
    finish(client, path, census)


def test_the_service_dies_between_any_two_steps(client):
    census = Census(client)
    path = container(client)
    for program, point in (("conmon", "begin"), ("conmon", "create"), ("crun", "exec"), ("crun", "exec-done"), ("conmon", "created"), ("conmon", "answered"), ("conmon", "ended"), ("conmon", "exited")):
        process, _ = execute(client, path, "sh", "-c", "exit 5", start=False)
        gate = Gate(program, point)
        started = client.begin(process, PROCESS, "Start")
        gate.reached()
        client.kill_service()
        state = client.get(process, "State", PROCESS)
        assert state in ("created", "running") or (point, state) == ("exited", "stopped"), (program, point, state)
        gate.open()
        assert wait(client, process) == (5, 0), (program, point)
        try:
            client.finish(started)
        except Error:
            pass
        client.call(process, PROCESS, "Remove", "s", "normal")
    finish(client, path, census)


def test_the_service_dies_before_the_clients_are_connected(client):
    census = Census(client)
    path = container(client)
    process, _ = execute(client, path, "sh", "-c", "echo x; exit 6", start=False)
    attached = attach(client, process)
    gate = Gate("conmon", "attach")
    client.begin(process, PROCESS, "Start")
    gate.reached()
    client.kill_service()
    client.manager("ListContainers")
    gate.open()
    assert wait(client, process) == (6, 0)
    attached.read_to_end()  # it was lost with the service, and is not left hanging
    client.call(process, PROCESS, "Remove", "s", "normal")
    finish(client, path, census)


def test_what_crun_said_while_no_service_was_there(client):
    census = Census(client)
    path = container(client)
    process, _ = execute(client, path, "/no/such", start=False)
    gate = Gate("crun", "exec")
    client.begin(process, PROCESS, "Start")
    gate.reached()
    client.kill_service()
    client.manager("ListContainers")
    gate.open()
    assert wait(client, process) == (127, 0)
    client.call(process, PROCESS, "Remove", "s", "normal")
    finish(client, path, census)


def test_the_container_ends_in_the_middle_of_a_launch(client):
    census = Census(client)
    path = container(client)
    gate = Gate("crun", "exec")
    box = client.begin(path, CONTAINER, "Exec", "asa{sv}", ["true"], {})
    gate.reached()
    client.call(path, CONTAINER, "Kill", "si", "leader", 9)
    gate.open()
    try:
        client.finish(box)
    except Error as error:
        assert error.name in ("RuntimeFailed", "MonitorFailed"), error
    wait_for(lambda: client.get(path, "State") == "exited", "the end", poll=True)
    assert all(client.get(process, "State", PROCESS) == "stopped" for process in processes(client, path))
    finish(client, path, census)


def test_clients_that_leave_in_the_middle(client):
    from harness import Client

    census = Census(client)
    path = container(client)
    for method, signature, arguments in (("Exec", "asa{sv}", (["sleep", "1000"], {})), ("ExecCapture", "asa{sv}", (["sleep", "1000"], {}))):
        gate = Gate("crun", "exec")
        other = Client(signals=False)
        other.begin(path, CONTAINER, method, signature, *arguments)
        gate.reached()
        other.connection.close_sync(None)
        wait_for(lambda: client.manager("ListContainers"), "the service", poll=True)
        if method == "Exec":
            gate.open()
            wait_for(lambda: [client.get(process, "State", PROCESS) for process in processes(client, path)] == ["running"], "the process", poll=True)
        else:
            wait_for(lambda: os.listdir("/run/conbus/exec") != [] and not any("capture" in name for name in os.listdir("/run/conbus/exec")), "the end of the capture", poll=True)
    finish(client, path, census)


def test_spawn_and_attach_after_failures(client):
    census = Census(client)
    path = container(client)
    order("crun", "exec", "fail", "it broke")
    expect("RuntimeFailed", spawn, client, path, "true")
    attached = run(client, path, "echo", "well").read_to_end()
    assert attached.out == b"well\n"
    finish(client, path, census)


if __name__ == "__main__":
    main(fakes=True)
