#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""conbus.service: activation, what systemctl says of it, restarts."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import CONTAINER, main, run, wait_for  # noqa: E402


def show(*properties, unit="conbus.service"):
    lines = run("systemctl", "show", unit, *[f"--property={name}" for name in properties]).splitlines()
    values = dict(line.split("=", 1) for line in lines)
    return [values[name] for name in properties]


def test_the_first_call_starts_the_service(client):
    run("systemctl", "stop", "conbus.service")
    assert run("busctl", "call", "io.conbus1", "/io/conbus1", "io.conbus1.Manager", "ListContainers").strip() == "a(ssssto) 0"
    state, pid = show("ActiveState", "MainPID")
    assert state == "active" and int(pid) == client.service_pid()


def test_a_restart_and_a_crash_leave_containers_alone(client):
    path = client.create("box", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    pids = client.get(path, "MainPID"), client.get(path, "MonitorPID")
    run("systemctl", "restart", "conbus.service")
    assert (client.get(path, "MainPID"), client.get(path, "MonitorPID")) == pids
    client.kill_service(9)
    wait_for(lambda: show("ActiveState") == ["active"], "the service to come back", poll=True)
    assert (client.get(path, "State"), client.get(path, "MainPID")) == ("running", pids[0])


if __name__ == "__main__":
    main("machine")
