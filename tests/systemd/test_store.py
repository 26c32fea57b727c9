#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The descriptor store: what comes back after a restart and after a crash."""

import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import CONTAINER, Client, GLib, kernel_tells_status, main, options, run, wait_for, wait_output  # noqa: E402


def stored():
    return int(run("systemctl", "show", "conbus.service", "--property=NFileDescriptorStore", "--value"))


def restart(client, how):
    if how == "restart":
        run("systemctl", "restart", "conbus.service")
    else:
        client.kill_service(9)
        wait_for(lambda: run("systemctl", "is-active", "conbus.service", check=False).strip() == "active", "the service", poll=True)


def open_wait(client, path, conditions, **keys):
    other = Client()
    other.call(path, CONTAINER, "OpenWait", "asa{sv}", conditions, options(**keys))
    return other.fds.steal_fds()[0]


def read_line(fd):
    os.set_blocking(fd, False)
    text = []

    def ended():
        try:
            text.append(os.read(fd, 65536))
        except BlockingIOError:
            return False
        return not text[-1]

    wait_for(ended, "end of the pipe", poll=True)
    os.close(fd)
    return json.loads(b"".join(text)) if any(text) else None


def test_entries_come_with_a_run_and_go_with_it(client):
    before = stored()
    path = client.create("box", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    wait_for(lambda: stored() == before + 2, "two descriptors in the store", poll=True)
    for how in "restart", "crash":
        restart(client, how)
        assert client.get(path, "State") == "running" and stored() == before + 2
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    wait_for(lambda: stored() == before, "an empty store", poll=True)


def test_pipes_of_waits_survive_restart_and_crash(client):
    for how in "restart", "crash":
        path = client.create("box-" + how, "sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.05; done")
        client.call(path, CONTAINER, "Start")
        pipes = [open_wait(client, path, ["stopped"]), open_wait(client, path, ["exited", "removed"], run=1), open_wait(client, path, ["stopped"], final=True), open_wait(client, path, ["running"], after_run=1)]
        restart(client, how)
        client.call(path, CONTAINER, "StopWith", "a{sv}", {})
        answers = [read_line(fd) for fd in pipes[:3]]
        assert [(answer["condition"], answer["run"], answer["exit-code"]) for answer in answers] == [("stopped", 1, 5), ("exited", 1, 5), ("stopped", 1, 5)], answers
        client.call(path, CONTAINER, "Start")
        answer = read_line(pipes[3])
        assert (answer["condition"], answer["run"]) == ("running", 2), answer


def test_a_deadline_goes_on_over_a_restart(client):
    path = client.create("box", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    pipe = open_wait(client, path, ["stopped"], timeout_usec=1500000)
    restart(client, "restart")
    assert read_line(pipe)["condition"] == "timeout"


def test_an_end_while_nobody_was_there_is_told_by_the_stored_pidfd(client):
    """conmon is killed first, so that no exit file can say it; init reaps PID 1, and only the pidfd in the store still has its status (Linux 6.15)."""
    path = client.create("box", "sh", "-c", "trap 'exit 6' TERM; echo ready; while :; do sleep 0.05; done")
    client.call(path, CONTAINER, "Start")
    wait_output(path, "ready")
    pipe = open_wait(client, path, ["stopped"])
    main_pid, monitor, service = client.get(path, "MainPID"), client.get(path, "MonitorPID"), client.service_pid()
    os.kill(service, signal.SIGSTOP)
    os.kill(monitor, signal.SIGKILL)
    os.kill(service, signal.SIGKILL)
    os.kill(main_pid, signal.SIGTERM)
    code, result = (6, "exit-code") if kernel_tells_status() else (-1, "lost")
    assert read_line(pipe)["exit-code"] == code
    assert client.call(path, CONTAINER, "Wait") == (1, code, 0, result)


def test_a_stopped_service_finds_its_processes_with_and_without_the_store(client):
    """From systemd 254 on the store is kept while the service is stopped, as it is after an idle exit; before, pid and start time must do."""
    version = int(run("systemctl", "--version").split()[1].split(".")[0])
    path = client.create("kept", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    pid = client.get(path, "MainPID")
    wait_for(lambda: stored() == 2, "two descriptors in the store", poll=True)
    run("systemctl", "stop", "conbus.service")
    assert stored() == (2 if version >= 254 else 0), (version, stored())
    assert (client.get(path, "State"), client.get(path, "MainPID")) == ("running", pid)
    wait_for(lambda: stored() == 2, "two descriptors in the store again", poll=True)
    client.call(path, CONTAINER, "Kill", "si", "leader", 9)
    assert client.call(path, CONTAINER, "Wait") == (1, 137, 9, "signal")


if __name__ == "__main__":
    main("machine")
