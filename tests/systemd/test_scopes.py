#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Containers in scopes: what the service manager, the kernel and the bus say of them."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import CONTAINER, GLib, expect, main, options, run, wait_for, wait_output  # noqa: E402


def start(client, name="box", *command, **config):
    path = client.create(name, *(command or ("sleep", "1000")), **config)
    client.call(path, CONTAINER, "Start")
    return path, f"conbus-{path.rsplit('/', 1)[1]}.scope"


def show(unit, name):
    return run("systemctl", "show", unit, f"--property={name}", "--value").strip()


def groups_of(pid):
    with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
        return {line.split(":", 2)[1]: line.strip().split(":", 2)[2] for line in file}


def test_conmon_and_container_are_in_one_scope(client):
    path, scope = start(client)
    expected = f"/machine.slice/machine-conbus.slice/{scope}"
    assert show(scope, "ActiveState") == "active" and show(scope, "Description") == "Container box" and show(scope, "Delegate") == "yes"
    assert show(scope, "ControlGroup") == expected
    payload, monitor = groups_of(client.get(path, "MainPID")), groups_of(client.get(path, "MonitorPID"))
    if "name=systemd" in payload:
        assert all(group == expected + "/container" for controllers, group in payload.items() if controllers), payload
        assert monitor["name=systemd"] == monitor["pids"] == expected, monitor
    else:
        assert payload[""] == expected + "/container" and monitor[""] == expected + "/monitor", (payload, monitor)
    assert client.get(path, "Unit") == scope and client.get(path, "Slice") == "machine-conbus.slice"
    assert client.get(path, "ControlGroup") == expected + "/container"
    assert client.manager("GetContainerByUnit", "s", scope) == (path,)
    other = client.create("other", "true")
    found = {unit: [at for at, _ in client.manager("QueryContainers", "a{sv}as", options(unit=unit), ["Id"])[0]] for unit in (scope, "", "no.scope")}
    assert found == {scope: [path], "": [other], "no.scope": []}
    client.call(other, CONTAINER, "Remove")
    assert client.manager("GetContainerByPID", "u", client.get(path, "MainPID")) == (path,)
    assert "sleep 1000" in run("systemd-cgls", "--no-pager", "--unit", scope)


def test_no_scope_is_left_after_a_run_and_its_name_is_free_at_once(client):
    path, scope = start(client)
    for _ in range(10):
        client.call(path, CONTAINER, "RestartWith", "a{sv}", {"timeout-usec": GLib.Variant("t", 0)})
        assert show(scope, "ActiveState") == "active"
    client.call(path, CONTAINER, "StopWith", "a{sv}", {"timeout-usec": GLib.Variant("t", 0)})
    assert show(scope, "LoadState") == "not-found"
    assert client.get(path, "Unit") == "" and client.get(path, "Slice") == "" and client.get(path, "ControlGroup") == ""
    expect("NoSuchContainer", client.manager, "GetContainerByUnit", "s", scope)
    assert run("systemctl", "--failed", "--plain", "--no-legend").strip() == ""


def test_slice_and_properties_are_the_callers(client):
    properties = GLib.Variant("a(sv)", [("TasksMax", GLib.Variant("t", 77)), ("Wants", GLib.Variant("as", ["network.target"]))])
    path, scope = start(client, slice="machine-web.slice", unit_properties=properties)
    assert show(scope, "Slice") == "machine-web.slice" == client.get(path, "Slice")
    assert show(scope, "TasksMax") == "77" and "network.target" in show(scope, "Wants")


def test_limits_freezer_and_oom_count_work_below_the_scope(client):
    path, scope = start(client, "box", "sh", "-c", "exec tail /dev/zero", memory=16 << 20)
    assert client.call(path, CONTAINER, "Wait")[3] == "oom-kill"
    path, scope = start(client, "still", pids=9)
    client.call(path, CONTAINER, "Pause")
    assert client.get(path, "State") == "paused"
    client.call(path, CONTAINER, "Resume")
    assert "sleep" in run("systemctl", "status", "--no-pager", scope)


def test_what_the_manager_refuses_has_a_name_and_leaves_nothing(client):
    path = client.create("box", "sleep", "1000", unit_properties=GLib.Variant("a(sv)", [("NoSuchProperty", GLib.Variant("s", "x"))]))
    message = expect("UnitFailed", client.call, path, CONTAINER, "Start")
    assert "NoSuchProperty" in message, message
    assert client.get(path, "State") == "created" and client.get(path, "Result") == "start-failed" and client.get(path, "MonitorPID") == 0
    assert client.get(path, "LastErrorName") == "io.conbus1.Error.UnitFailed"
    assert run("systemctl", "list-units", "--all", "--plain", "--no-legend", f"conbus-{path.rsplit('/', 1)[1]}.scope").strip() == ""


def test_names_that_supervision_needs_are_refused(client):
    for name in "Delegate", "PIDs", "Slice", "KillMode":
        expect("InvalidConfig", client.create, "box", "true", unit_properties=GLib.Variant("a(sv)", [(name, GLib.Variant("b", True))]))
    for name in "web", "a--b.slice", "-a.slice", "a/b.slice", ".slice":
        expect("InvalidConfig", client.create, "box", "true", slice=name)


def test_stopping_the_scope_stops_the_container(client):
    path, scope = start(client, "box", "sh", "-c", "trap 'exit 4' TERM; echo ready; while :; do sleep 0.05; done", stop_timeout_usec=0)
    wait_output(path, "ready")
    run("systemctl", "stop", "--no-block", scope)
    # In control groups of version 1 systemd does not wait for what is in a delegated unit, but kills it at once (unit_kill_context of core/unit.c): who is first there?
    ends = [(4, 0, "exit-code"), *([] if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else [(137, 9, "signal")])]
    assert client.call(path, CONTAINER, "Wait")[1:] in ends
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    wait_for(lambda: show(scope, "LoadState") == "not-found", "scope to go", poll=True)
    client.call(path, CONTAINER, "Start")


def test_no_scope_is_waited_for_without_end(client):
    """Where the service has been killed, nobody but the manager stops what is in it, and a machine would never go down."""
    _, scope = start(client, stop_timeout_usec=2**64 - 1)
    assert show(scope, "TimeoutStopUSec") == run("systemctl", "show", "--property=DefaultTimeoutStopUSec", "--value").strip()
    _, scope = start(client, "other", stop_timeout_usec=1000000)
    assert show(scope, "TimeoutStopUSec") == "6s"


def test_payloads_inherit_no_hardening_of_the_service(client):
    path, _ = start(client, seccomp="unconfined")
    with open(f"/proc/{client.get(path, 'MainPID')}/status", encoding="ascii") as file:
        status = dict(line.split(":", 1) for line in file)
    assert (status["Seccomp"].strip(), status["NoNewPrivs"].strip()) == ("0", "0")


if __name__ == "__main__":
    main("machine")
