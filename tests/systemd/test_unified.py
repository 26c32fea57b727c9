#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Control groups of version 2 with all their controllers: what the kernel has of limits, counts and freezers, who is in which group, and payloads that manage groups of their own."""

import glob
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from executed import execute, output, wait  # noqa: E402
from harness import CONTAINER, HEALTH, GLib, expect, main, options, run, wait_for, wait_output  # noqa: E402

FOREST = "mkdir /sys/fs/cgroup/init && echo 1 >/sys/fs/cgroup/init/cgroup.procs && echo +pids >/sys/fs/cgroup/cgroup.subtree_control && echo ready; exec sleep 1000"


def start(client, name, *command, **config):
    path = client.create(name, *(command or ("sleep", "1000")), **config)
    client.call(path, CONTAINER, "Start")
    return path, "/sys/fs/cgroup" + client.get(path, "ControlGroup")


def read(*parts):
    with open("/".join(parts), encoding="ascii") as file:
        return file.read().strip()


def group_of(pid):
    return "/sys/fs/cgroup" + read("/proc", str(pid), "cgroup").removeprefix("0::")


def events(group, file):
    return dict(line.split() for line in read(group, file).splitlines())


def test_every_controller_is_there(client):
    assert {"cpu", "cpuset", "io", "memory", "pids"} <= set(read("/sys/fs/cgroup/cgroup.controllers").split())
    _, group = start(client, "box")
    assert {"cpu", "memory", "pids"} <= set(read(group, "cgroup.controllers").split())


def test_limits_are_the_kernels(client):
    _, group = start(client, "box", memory=64 << 20, memory_high=48 << 20, pids=21, cpu_quota_usec=50000, cpu_weight=37)
    files = {name: read(group, name) for name in ("memory.max", "memory.high", "pids.max", "cpu.max", "cpu.weight")}
    assert files == {"memory.max": str(64 << 20), "memory.high": str(48 << 20), "pids.max": "21", "cpu.max": "50000 100000", "cpu.weight": "37"}, files


def test_no_more_processes_than_allowed(client):
    path, group = start(client, "box", "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; wait", pids=5)
    wait_for(lambda: int(events(group, "pids.events")["max"]) > 0, "a fork that was refused", poll=True)
    assert int(read(group, "pids.peak")) <= 5
    assert client.call(path, CONTAINER, "Wait")[1] != 0  # the shell gives up


def test_groups_with_children_hold_no_processes(client):
    path, group = start(client, "box")
    scope = os.path.dirname(group)
    assert scope.endswith(f"/machine.slice/machine-conbus.slice/conbus-{path.rsplit('/', 1)[1]}.scope"), scope
    assert group_of(client.get(path, "MainPID")) == group and group_of(client.get(path, "MonitorPID")) == scope + "/monitor"
    assert read(scope, "cgroup.procs") == "" and {"memory", "pids"} <= set(read(scope, "cgroup.subtree_control").split())
    process, pid = execute(client, path, "sleep", "1000")
    assert group_of(pid) == group, group_of(pid)
    assert len(read(scope, "monitor/cgroup.procs").split()) == 2, "conmon of the run and that of the session"
    client.call(process, "io.conbus1.Process", "Kill", "i", 9)
    wait(client, process)
    wait_for(lambda: len(read(scope, "monitor/cgroup.procs").split()) == 1, "the end of the session's conmon", poll=True)


def test_an_out_of_memory_kill_beside_the_first_process_is_counted(client):
    path, group = start(client, "box", "sh", "-c", "tail /dev/zero; echo killed; read x", memory=16 << 20, stdin_open=True)
    wait_output(path, "killed")
    assert int(events(group, "memory.events")["oom_kill"]) == 1
    assert client.get(path, "State") == "running"


def test_the_freezer_says_what_the_state_says(client):
    path, group = start(client, "box", "sh", "-c", "while :; do :; done")
    client.call(path, CONTAINER, "Pause")
    assert (client.get(path, "State"), read(group, "cgroup.freeze"), events(group, "cgroup.events")["frozen"]) == ("paused", "1", "1")
    client.call(path, CONTAINER, "Resume")
    assert (client.get(path, "State"), read(group, "cgroup.freeze"), events(group, "cgroup.events")["frozen"]) == ("running", "0", "0")
    client.call(path, CONTAINER, "Pause")
    client.call(path, CONTAINER, "Kill", "si", "leader", 9)
    assert client.call(path, CONTAINER, "Wait")[2] == 9


def test_a_check_dies_as_a_group(client):
    health = GLib.Variant("a{sv}", options(test=["CMD-SHELL", "setsid sleep 777 & sleep 777"], timeout_usec=3000000, interval_usec=0))
    path, group = start(client, "box", health=health)
    expect("HealthCheckTimeout", client.call, path, HEALTH, "Check")
    wait_for(lambda: not any(read(file) for file in glob.glob(f"{group}/*/cgroup.procs")), "an empty group", poll=True)
    assert client.get(path, "State") == "running"


def test_a_payload_with_groups_of_its_own(client):
    """As that of a systemd in a container: the container's own group has children with controllers, so that nobody may enter it."""
    health = GLib.Variant("a{sv}", options(test=["CMD", "true"], interval_usec=0))
    path, group = start(client, "box", "sh", "-c", FOREST, privileged=True, health=health)
    wait_output(path, "ready")
    assert group_of(client.get(path, "MainPID")) == group + "/init"
    assert client.manager("GetContainerByPID", "u", client.get(path, "MainPID")) == (path,)
    assert output(client, path, "echo", "within") == "within\n"
    assert client.call(path, CONTAINER, "ExecCapture", "asa{sv}", ["echo", "captured"], {})[2] == list(b"captured\n")
    assert client.call(path, HEALTH, "Check")[:2] == ("healthy", 0)
    run("systemctl", "restart", "conbus.service")
    assert client.get(path, "State") == "running" and len(client.call(path, CONTAINER, "GetProcesses")[0]) == 1
    client.call(path, CONTAINER, "Pause")
    assert events(group + "/init", "cgroup.events")["frozen"] == "1"
    client.call(path, CONTAINER, "Resume")
    client.call(path, CONTAINER, "Kill", "si", "all", 9)
    assert client.call(path, CONTAINER, "Wait")[2] == 9
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    assert not os.path.exists(group)


if __name__ == "__main__":
    main("vm")
