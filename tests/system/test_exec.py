#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processes that are put into containers: Exec, Spawn, OpenShell, and the objects they make."""

import os
import select
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from attached import end_of, wait_no_streamers  # noqa: E402
from executed import attach, container, events, execute, handles, output, processes, read_all, run, spawn, wait, wait_gone  # noqa: E402
from harness import CONTAINER, JOB, PROCESS, Client, expect, main, on_real_runtime, options, wait_for  # noqa: E402


# --- life ---


def test_code_signal_and_properties(client):
    path = container(client)
    process, pid = execute(client, path, "sh", "-c", "read x; exit 3", start=False, user="0")
    assert pid == 0 and process.startswith(path + "/process/"), process
    assert processes(client, path) == [process]
    held = attach(client, process)  # its input is open
    pid = client.call(process, PROCESS, "Start")[0]
    assert client.get(process, "Pid", PROCESS) == pid and pid > 0
    assert client.get(process, "State", PROCESS) == "running"
    assert client.get(process, "Container", PROCESS) == path
    assert client.get(process, "CommandName", PROCESS) == "sh"
    assert client.get(process, "User", PROCESS) == "0"
    assert client.get(process, "ExitCode", PROCESS) == -1
    held.send(b"\n")
    assert wait(client, process) == (3, 0)
    assert client.get(process, "State", PROCESS) == "stopped"
    assert client.get(process, "Pid", PROCESS) == 0
    assert client.wait_signal("Exited") == [(3, 0)]
    killed, _ = execute(client, path, "sleep", "1000")
    client.call(killed, PROCESS, "Kill", "i", 9)
    assert wait(client, killed) == (137, 9)


def test_a_process_that_ends_at_once(client):
    path = container(client)
    for _ in range(50):
        process, _ = execute(client, path, "sh", "-c", "exit 5")
        assert wait(client, process) == (5, 0)


def test_signals_come_in_order(client):
    path = container(client)
    client.signals.clear()
    process, _ = execute(client, path, "true")
    wait(client, process)
    client.wait_signal("Exited")
    mine = [(member, arguments) for where, _, member, arguments in client.signals if where == process]
    states = [arguments[1]["State"] for member, arguments in mine if member == "PropertiesChanged"]
    assert states == ["running", "stopped"], mine
    assert mine[-1][0] == "Exited"
    added = [arguments for _, _, member, arguments in client.signals if member == "InterfacesAdded" and arguments[0] == process]
    assert len(added) == 1 and added[0][1][PROCESS]["State"] == "created", added


def test_events_hold_the_code_and_no_arguments(client):
    path = container(client)
    process, _ = execute(client, path, "sh", "-c", "exit 7 # secret")
    wait(client, process)
    number = int(process.rsplit("/", 1)[1])
    started = [details for details in events(client, "exec") if details["session"] == number]
    died = [details for details in events(client, "exec-died") if details["session"] == number]
    assert len(started) == 1 and len(died) == 1, (started, died)
    assert died[0]["exit-code"] == 7 and started[0]["actor"]["uid"] == 0
    assert "secret" not in str(started + died)


def test_it_goes_by_itself(client):
    path = container(client)
    with client.settings(ProcessKeepUSec=100000):
        process, _ = execute(client, path, "true")
        kept, _ = execute(client, path, "true", start=False)
        client.call(kept, PROCESS, "Start")
        wait(client, kept)
        wait_for(lambda: processes(client, path) == [kept], "end of the first process", poll=True)
        expect("UnknownObject", client.call, process, PROCESS, "Wait")
        client.call(kept, PROCESS, "Remove", "s", "normal")
        assert processes(client, path) == []


def test_start_false_and_auto_remove(client):
    path = container(client)
    with client.settings(ProcessKeepUSec=100000):
        process, _ = execute(client, path, "true", start=False, auto_remove=True)
        client.call(process, PROCESS, "Start")
        wait_gone(client, path)


def test_the_container_takes_its_processes_with_it(client):
    path = container(client)
    process, _ = execute(client, path, "sleep", "1000")
    never, _ = execute(client, path, "sleep", "1000", start=False)
    waiting, starting = client.begin(process, PROCESS, "Wait"), client.begin(never, PROCESS, "Wait")
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert client.finish(waiting) == (137, 9)
    assert client.get(process, "State", PROCESS) == "stopped"
    assert client.get(never, "State", PROCESS) == "created"
    client.call(path, CONTAINER, "Remove")
    expect("Removed", client.finish, starting)
    removed = [arguments for _, _, member, arguments in client.signals if member == "InterfacesRemoved"]
    assert [path for path, _ in removed if "/process/" in path] == [process, never], removed


def test_a_created_one_survives_a_restart_of_the_container(client):
    path = container(client)
    process, _ = execute(client, path, "sh", "-c", "exit 4", start=False)
    client.call(path, CONTAINER, "RestartWith", "a{sv}", options(timeout_usec=0))
    client.call(process, PROCESS, "Start")
    assert wait(client, process) == (4, 0)


# --- verbs and states ---


def test_the_table_of_verbs(client):
    path = container(client)
    created, _ = execute(client, path, "sleep", "1000", start=False)
    for method, *arguments in (("Kill", "i", 15), ("Stop", "t", 0), ("ResizeTerminal", "qq", 24, 80)):
        expect("NoTerminal" if method == "ResizeTerminal" else "InvalidState", client.call, created, PROCESS, method, *arguments)
    expect("NotRunning", client.call, created, PROCESS, "OpenPidFd")
    assert [client.manager("Can", "os", created, verb)[0] for verb in ("start", "kill", "stop", "open-attach", "wait", "remove")] == ["yes", "na", "na", "yes", "yes", "yes"]
    client.call(created, PROCESS, "Start")
    assert [client.manager("Can", "os", created, verb)[0] for verb in ("start", "kill", "stop", "open-attach")] == ["na", "yes", "yes", "yes"]
    expect("InvalidState", client.call, created, PROCESS, "Start")
    expect("InvalidState", client.call, created, PROCESS, "Remove", "s", "normal")
    expect("InvalidArgs", client.call, created, PROCESS, "Remove", "s", "softly")
    expect("InvalidArgs", client.call, created, PROCESS, "Kill", "i", 65)
    client.call(created, PROCESS, "Kill", "i", 10)
    assert wait(client, created) == (138, 10)
    for method, *arguments in (("Start",), ("Kill", "i", 15), ("OpenAttach", "a{sv}", {})):
        expect("InvalidState", client.call, created, PROCESS, method, *arguments)
    client.call(created, PROCESS, "Stop", "t", 0)
    client.call(created, PROCESS, "Remove", "s", "force")
    expect("UnknownObject", client.call, created, PROCESS, "Remove", "s", "normal")
    assert processes(client, path) == []


def test_states_of_the_container(client):
    path = client.create("a", "sh", "-c", "trap '' TERM; sleep 1000", stop_timeout_usec=2**64 - 1)
    expect("NotRunning", execute, client, path, "true")
    client.call(path, CONTAINER, "Init")
    expect("InvalidState", execute, client, path, "true")
    client.call(path, CONTAINER, "Start")
    process, _ = execute(client, path, "sleep", "1000", start=False)
    client.call(path, CONTAINER, "Pause")
    assert "paused" in expect("InvalidState", execute, client, path, "true")
    expect("InvalidState", client.call, process, PROCESS, "Start")
    expect("InvalidState", spawn, client, path, "true")
    expect("InvalidState", client.call, path, CONTAINER, "OpenShell", "ssasas", "", "", [], [])
    client.call(path, CONTAINER, "Resume")
    stop = client.begin(path, CONTAINER, "Stop")
    wait_for(lambda: client.get(path, "State") == "stopping", "the stop")
    assert "stopping" in expect("InvalidState", execute, client, path, "true")
    expect("InvalidState", client.call, process, PROCESS, "Start")
    client.call(path, CONTAINER, "Kill", "si", "leader", 9)
    client.finish(stop)
    expect("NotRunning", execute, client, path, "true")
    expect("NotRunning", client.call, process, PROCESS, "Start")
    assert client.get(process, "State", PROCESS) == "created"
    assert client.manager("Can", "os", path, "exec") == ("na",)


def test_stop_with_grace(client):
    path = container(client)
    gentle = run(client, path, "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done")
    gentle.read_until(b"ready\n")
    client.call(gentle.process, PROCESS, "Stop", "t", 2**64 - 1)
    assert wait(client, gentle.process) == (9, 0)
    stubborn = run(client, path, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    stubborn.read_until(b"ready\n")
    client.call(stubborn.process, PROCESS, "Stop", "t", 100000)
    assert wait(client, stubborn.process) == (137, 9)


def test_a_shorter_grace_counts(client):
    path = container(client)
    stubborn = run(client, path, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    stubborn.read_until(b"ready\n")
    first = client.begin(stubborn.process, PROCESS, "Stop", "t", 1000000000)
    client.call(stubborn.process, PROCESS, "Stop", "t", 0)
    client.finish(first)


def test_waits_and_pipes(client):
    path = container(client)
    process, _ = execute(client, path, "sh", "-c", "sleep 1000")
    waits = [client.begin(process, PROCESS, "Wait") for _ in range(10)]
    client.call(process, PROCESS, "OpenWait")
    pipe = client.fds.get(0)
    pid = client.call(process, PROCESS, "OpenPidFd")[1]
    pidfd = client.fds.get(0)
    assert pid == client.get(process, "Pid", PROCESS)
    signal.pidfd_send_signal(pidfd, signal.SIGUSR1)
    assert [client.finish(one) for one in waits] == [(138, 10)] * 10
    assert select.select([pidfd], [], [], 0)[0]
    os.close(pidfd)
    line = f'{{"process":"{process}","exit-code":138,"signal":10}}\n'.encode()
    assert read_all(pipe) == line
    client.call(process, PROCESS, "OpenWait")
    assert read_all(client.fds.get(0)) == line


# --- what cannot be executed ---


def test_failures_by_class(client):
    path = container(client)
    for command, name, code in ((["/no/such"], "RuntimeCommandNotFound", 127), (["no-such"], "RuntimeCommandNotFound", 127), (["/etc/passwd"], "RuntimePermissionDenied", 126)):
        message = expect(name, execute, client, path, *command)
        assert "execute in container \"a\"" in message, message
        failed = processes(client, path)[-1]
        assert (client.get(failed, "State", PROCESS), client.get(failed, "ExitCode", PROCESS)) == ("stopped", code)
        assert wait(client, failed) == (code, 0)
        process, _ = execute(client, path, *command, start=False)
        attached = attach(client, process)
        expect(name, client.call, process, PROCESS, "Start")
        assert attached.read_to_end().last is None or attached.last["exit-code"] == code
        assert wait(client, process) == (code, 0)
        assert end_of(client, attached.job)[1]["exit-code"] == code


def test_bad_requests(client):
    path = container(client)
    expect("InvalidArgs", execute, client, path)
    expect("InvalidArgs", execute, client, path, "true", cwd="relative")
    expect("InvalidArgs", execute, client, path, "true", env=["A"])
    expect("InvalidArgs", execute, client, path, "true", cgroup="../x")
    expect("InvalidArgs", execute, client, path, "true", lifetime="short")
    expect("InvalidArgs", execute, client, path, "true", terminal="yes")
    expect("UnknownOption", execute, client, path, "true", exit_command=["true"])
    expect("UnknownOption", execute, client, path, "true", own_stdio=True)
    assert "nobody-here" in expect("InvalidArgs", execute, client, path, "true", user="nobody-here")
    expect("InvalidArgs", execute, client, path, "true", start=False, user="nobody-here")
    expect("InvalidArgs", execute, client, path, "true", stdio="x")
    expect("InvalidArgs", client.call, path, CONTAINER, "Exec", "asa{sv}", ["true"], {"stdio": handles("ah", [0, 0])}, fds=[0])
    expect("InvalidArgs", client.call, path, CONTAINER, "Exec", "asa{sv}", ["true"], {"preserve-fds": handles("a{uh}", {2: 0})}, fds=[0])
    expect("InvalidArgs", client.call, path, CONTAINER, "Exec", "asa{sv}", ["true"], {"preserve-fds": handles("a{uh}", {35: 0})}, fds=[0])
    expect("InvalidArgs", spawn, client, path, "a\0b")
    expect("UnknownOption", spawn, client, path, "true", start=False)
    expect("UnknownObject", client.call, path + "/process/99999999", PROCESS, "Wait")
    expect("UnknownObject", client.call, path + "/process/x", PROCESS, "Wait")
    assert processes(client, path) == []


# --- what the process is ---


def test_environment_directory_and_user(client):
    path = container(client, env=["A=1", "B=2"], cwd="/etc")
    text = output(client, path, "sh", "-c", "echo $A $B $PWD $HOME")
    assert text == "1 2 /etc /root\n", text
    assert output(client, path, "sh", "-c", "echo $A $B $C $PWD", env=["B=3", "C=x=y"], cwd="/tmp") == "1 3 x=y /tmp\n"
    assert output(client, path, "id", "-u", user="12:34") == "12\n"
    assert output(client, path, "id", "-G", user="12:34") == "34\n"


@on_real_runtime
def test_capabilities(client):
    path = container(client)

    def sets(**keys):
        text = output(client, path, "cat", "/proc/self/status", **keys)
        return {line.split(":")[0]: int(line.split()[1], 16) for line in text.splitlines() if line.startswith("Cap")}

    root = sets()
    assert root["CapInh"] == root["CapAmb"] == 0 and root["CapEff"] == root["CapPrm"] == root["CapBnd"] != 0, root
    other = sets(user="1000")
    assert other["CapEff"] == other["CapPrm"] == other["CapInh"] == other["CapAmb"] == 0 and other["CapBnd"] == root["CapBnd"], other
    privileged = sets(privileged=True)
    assert privileged["CapEff"] == privileged["CapBnd"] and privileged["CapBnd"] & ~root["CapBnd"], privileged
    assert sets(user="1000", privileged=True)["CapEff"] == 0
    # A container without privileges of its own keeps them from its processes.
    path = container(client, "b", no_new_privileges=True)
    assert "NoNewPrivs:\t1" in output(client, path, "cat", "/proc/self/status")


@on_real_runtime
def test_a_lying_passwd_reaches_nothing_outside(client):
    path = client.create("a", "sh", "-c", "rm /etc/passwd; ln -s ../../../../../../etc/shadow /etc/passwd; rm /etc/group; mkfifo /etc/group; echo done; sleep 1000")
    attached_path = path
    client.call(attached_path, CONTAINER, "Start")
    wait_for(lambda: "done" in open(f"/var/lib/conbus/containers/{path.rsplit('/', 1)[1]}/log", encoding="utf-8").read(), "the trap", poll=True)
    expect("InvalidArgs", execute, client, path, "true", user="root")
    assert output(client, path, "id", "-u") == "0\n"


@on_real_runtime
def test_a_group_below_the_containers(client):
    path = container(client)
    attached = run(client, path, "sh", "-c", "cat /proc/self/cgroup; echo end; read x", cgroup="batch", attach_keys={"streams": ["stdin", "stdout"]})
    attached.read_until(b"end\n")
    groups = {group for group, _, line in client.call(path, CONTAINER, "GetProcesses")[0] if "cgroup" in line}
    assert any(group.endswith("/batch") for group in groups), groups
    attached.send(b"\n")
    attached.read_to_end()


# --- descriptors of the caller ---


def test_spawn(client):
    path = container(client)
    out_read, out_write = os.pipe()
    in_read, in_write = os.pipe()
    extra_read, extra_write = os.pipe()
    process, pid = spawn(client, path, "sh", "-c", "cat; echo $A $PWD; echo extra >&5; exit 6", fds={0: in_read, 1: out_write, 5: extra_write}, env={"A": "b c"}, cwd="/etc")
    for fd in (in_read, out_write, extra_write):
        os.close(fd)
    assert pid > 0
    os.write(in_write, b"through\n")
    os.close(in_write)
    assert read_all(out_read) == b"through\nb c /etc\n"
    assert read_all(extra_read) == b"extra\n"
    assert wait(client, process) == (6, 0)
    expect("NotAttachable", client.call, spawn(client, path, "sleep", "1000")[0], PROCESS, "OpenAttach", "a{sv}", {})


@on_real_runtime
def test_exec_with_the_callers_descriptors(client):
    path = container(client)
    out_read, out_write = os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    extra_read, extra_write = os.pipe()
    keys = {"stdio": handles("ah", [0, 1, 1]), "preserve-fds": handles("a{uh}", {4: 2})}
    process, _ = client.call(path, CONTAINER, "Exec", "asa{sv}", ["sh", "-c", "echo out; echo err >&2; echo extra >&4; ls /proc/self/fd"], keys, fds=[null, out_write, extra_write])
    os.close(out_write)
    os.close(extra_write)
    assert wait(client, process)[0] == 0
    assert read_all(extra_read) == b"extra\n"
    lines = read_all(out_read).split()
    assert lines[:2] == [b"out", b"err"] and set(lines[2:]) >= {b"0", b"1", b"2", b"3", b"4"}, lines
    assert set(lines[2:]) <= {b"0", b"1", b"2", b"3", b"4", b"5"}, lines  # 5 is the directory that ls reads


def test_descriptors_wait_for_the_start(client):
    path = container(client)
    out_read, out_write = os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    process, _ = client.call(path, CONTAINER, "Exec", "asa{sv}", ["echo", "late"], options(start=False) | {"stdio": handles("ah", [0, 1, 0])}, fds=[null, out_write])
    os.close(out_write)
    client.call(process, PROCESS, "Start")
    assert read_all(out_read) == b"late\n"
    lost, _ = client.call(path, CONTAINER, "Exec", "asa{sv}", ["echo", "late"], options(start=False) | {"stdio": handles("ah", [0, 0, 0])}, fds=[null])
    client.kill_service()
    expect("Interrupted", client.call, lost, PROCESS, "Start")


def test_open_shell(client):
    path = container(client)
    name = client.call(path, CONTAINER, "OpenShell", "ssasas", "", "/bin/sh", ["sh", "-i"], ["GREETING=hello there"])[1]
    terminal = client.fds.get(0)
    assert name.startswith("/dev/pts/"), name
    os.write(terminal, b"echo $GREETING; test -t 0 && echo at a terminal; exit 8\n")
    text = b""
    try:
        while chunk := os.read(terminal, 4096):
            text += chunk
    except OSError:  # the other side has gone
        pass
    assert b"hello there\r\nat a terminal\r\n" in text, text
    process = processes(client, path)[-1]
    assert wait(client, process) == (8, 0)
    assert client.get(process, "Terminal", PROCESS)
    expect("InvalidArgs", client.call, path, CONTAINER, "OpenShell", "ssasas", "nobody-here", "", [], [])
    expect("InvalidArgs", client.call, path, CONTAINER, "OpenShell", "ssasas", "", "sh", [], [])
    expect("RuntimeCommandNotFound", client.call, path, CONTAINER, "OpenShell", "ssasas", "", "/no/such", [], [])


# --- clients that leave ---


def test_lifetime_of_the_client(client):
    path = container(client)
    other = Client(signals=False)
    bound, _ = execute(other, path, "sleep", "1000", lifetime="client")
    free, _ = execute(other, path, "sleep", "1000")
    created, _ = execute(other, path, "sleep", "1000", start=False, lifetime="client")
    kept, _ = execute(other, path, "sleep", "1000", start=False)
    ended = client.begin(bound, PROCESS, "Wait")
    other.connection.close_sync(None)
    assert client.finish(ended) == (143, 15)
    assert client.get(free, "State", PROCESS) == "running"
    wait_for(lambda: created not in processes(client, path), "removal", poll=True)
    assert client.get(kept, "State", PROCESS) == "created"


def test_a_client_that_left_while_no_service_was_there(client):
    path = container(client)
    other = Client(signals=False)
    bound, _ = execute(other, path, "sleep", "1000", lifetime="client")
    pid = client.service_pid()
    os.kill(pid, signal.SIGSTOP)
    other.connection.close_sync(None)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not client.name_owner(), "end of the service", poll=True)
    client.manager("ListContainers")
    assert wait(client, bound) == (143, 15)


# --- restarts of the service ---


def test_the_code_survives_a_restart(client):
    path = container(client)
    before, _ = execute(client, path, "sh", "-c", "exit 11")
    assert wait(client, before) == (11, 0)
    attached = run(client, path, "sh", "-c", "read x; exit 12")
    during, _ = execute(client, path, "sleep", "1000")
    client.kill_service()
    assert wait(client, before) == (11, 0)
    assert client.get(during, "State", PROCESS) == "running"
    attached.send(b"\n")
    assert wait(client, attached.process) == (12, 0)
    client.call(during, PROCESS, "Kill", "i", 15)
    assert wait(client, during) == (143, 15)


def test_an_end_without_a_service(client):
    path = container(client)
    attached = run(client, path, "sh", "-c", "read x; exit 13")
    pid = client.service_pid()
    os.kill(pid, signal.SIGSTOP)  # it cannot see the end
    pidfd = os.pidfd_open(attached.pid)
    attached.send(b"\n")
    assert select.select([pidfd], [], [], 30)[0]
    os.close(pidfd)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not client.name_owner(), "end of the service", poll=True)
    assert wait(client, attached.process) == (13, 0)
    attached.read_to_end()
    assert attached.last["exit-code"] == 13, attached.last


def test_a_dead_conmon_loses_streams_alone(client):
    path = container(client)
    attached = run(client, path, "sh", "-c", "trap 'exit 14' USR1; echo out; while :; do sleep 0.1; done")
    attached.read_until(b"out\n")
    with open(f"/proc/{attached.pid}/stat", encoding="utf-8") as stat:
        monitor = int(stat.read().rsplit(")", 1)[1].split()[1])
    os.kill(monitor, signal.SIGKILL)
    state, _ = end_of(client, attached.job)
    assert state == "failed" and client.get(attached.job, "ErrorName", JOB).endswith("MonitorLost")
    assert client.get(attached.process, "State", PROCESS) == "running"
    client.call(attached.process, PROCESS, "Kill", "i", 10)
    got = wait(client, attached.process)
    assert got == (14, 0), got


def test_inspect(client):
    import json

    path = container(client)
    process, pid = execute(client, path, "sleep", "1000", user="0")
    text = json.loads(client.call(process, PROCESS, "Inspect")[0])
    assert text["Running"] and text["Pid"] == pid and text["ContainerID"] == path.rsplit("/", 1)[1]
    assert text["ProcessConfig"] == {"entrypoint": "sleep", "arguments": ["1000"], "privileged": False, "tty": False, "user": "0"}
    assert json.loads(client.call(path, CONTAINER, "Inspect")[0])["ExecIDs"] == [text["ID"]]
    managed = client.call("/io/conbus1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0]
    assert managed[process][PROCESS]["Pid"] == pid
    wait_no_streamers()


if __name__ == "__main__":
    main()
