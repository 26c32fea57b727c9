#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processes in containers under a real systemd: they and their conmon are in the run's scope, outlive the service, and go with the run."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from attached import wait_no_streamers  # noqa: E402
from executed import container, execute, run, spawn, wait  # noqa: E402
from harness import CONTAINER, PROCESS, main, options  # noqa: E402
from harness import run as run_program  # noqa: E402


def groups_of(pid):
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
        return file.read()


def parent_of(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])


def test_everything_is_in_the_scope(client):
    path = container(client)
    scope = f"conbus-{path.rsplit('/', 1)[1]}.scope"
    attached = run(client, path, "sh", "-c", "echo ready; read x; exit 3")
    attached.read_until(b"ready\n")
    assert client.get(path, "Unit") == scope
    assert scope in groups_of(attached.pid)
    monitor = dict(line.split(":", 2)[1:] for line in groups_of(parent_of(attached.pid)).splitlines())
    if "name=systemd" in monitor:
        assert all(monitor[controller].endswith(scope) for controller in ("name=systemd", "pids", "freezer", "memory")), monitor
    else:
        assert monitor[""].endswith(f"{scope}/monitor"), monitor
    run_program("systemctl", "restart", "conbus.service")
    attached.send(b"\n")
    attached.read_to_end()
    assert attached.last["exit-code"] == 3, attached.last
    assert wait(client, attached.process) == (3, 0)


def test_it_goes_with_the_run(client):
    path = container(client, "b")
    attached = run(client, path, "sleep", "1000")
    process, _ = spawn(client, path, "sleep", "1000")
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert attached.read_to_end().last["exit-code"] == 137
    assert wait(client, process) == (137, 9)
    wait_no_streamers()
    client.call(path, CONTAINER, "Start")
    again, _ = execute(client, path, "true")
    assert wait(client, again) == (0, 0)
    assert client.get(again, "State", PROCESS) == "stopped"


if __name__ == "__main__":
    main("machine")
