#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""conbus.service: activation, what systemctl says of it, restarts."""

import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import CONTAINER, MANAGER, Client, main, run, service_log, wait_for, wait_output  # noqa: E402

DROPIN = "/etc/conbus/conbus.conf.d/test.conf"


def show(*properties, unit="conbus.service"):
    lines = run("systemctl", "show", unit, *[f"--property={name}" for name in properties]).splitlines()
    values = dict(line.split("=", 1) for line in lines)
    return [values[name] for name in properties]


def test_the_first_call_starts_the_service(client):
    run("systemctl", "stop", "conbus.service")
    assert run("busctl", "call", "io.conbus1", "/io/conbus1", "io.conbus1.Manager", "ListContainers").strip() == "a(ssssto) 0"
    state, pid = show("ActiveState", "MainPID")
    assert state == "active" and int(pid) == client.service_pid()


def settings(**keys):
    """Writes a drop-in with these keys of [Service] and reloads; none takes it away."""
    os.makedirs(os.path.dirname(DROPIN), exist_ok=True)
    with open(DROPIN, "w", encoding="ascii") as file:
        file.write("[Service]\n" + "".join(f"{key}={value}\n" for key, value in keys.items()))
    run("systemctl", "reload-or-restart", "conbus.service")


def test_status_says_how_many_run(client):
    path = client.create("box", "sleep", "1000")
    wait_for(lambda: show("StatusText") == ["0 of 1 containers running"], "status", poll=True)
    client.call(path, CONTAINER, "Start")
    wait_for(lambda: show("StatusText") == ["1 of 1 containers running"], "status", poll=True)
    client.call(path, CONTAINER, "Pause")
    wait_for(lambda: show("StatusText") == ["0 of 1 containers running, 1 paused"], "status", poll=True)


def test_reload_has_read_the_settings_when_it_returns(client):
    client.manager("ListContainers")
    for limit in (1, 7):
        settings(WaitsPerCaller=limit)
        path = client.create(f"box{limit}", "sleep", "1000")
        other = Client()
        waits = [other.begin(path, CONTAINER, "WaitFor", "asa{sv}", ["running"], {}) for _ in range(8)]
        wait_for(lambda: sum(len(box) for box in waits) == 8 - limit, "refusals")
        other.connection.close_sync(None)
    assert client.signals_of("Reloaded")
    assert show("ActiveState", "SubState") == ["active", "running"]
    settings()


def test_systemctl_sets_the_log_level(client):
    client.manager("ListContainers")
    run("systemctl", "service-log-level", "conbus.service", "debug")
    assert run("systemctl", "service-log-level", "conbus.service").strip() == "debug"
    run("systemctl", "service-log-level", "conbus.service", "info")


def test_the_end_of_a_container_wakes_the_stopped_service(client):
    path = client.create("box", "sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done")
    client.call(path, CONTAINER, "Start")
    wait_output(path, "ready")
    pid = client.get(path, "MainPID")
    run("systemctl", "stop", "conbus.service")
    assert show("ActiveState") == ["inactive"]
    os.kill(pid, 15)
    wait_for(lambda: show("ActiveState") == ["active"], "the service to be woken", poll=True)
    assert client.call(path, CONTAINER, "Wait") == (1, 3, 0, "exit-code")


def test_no_call_is_lost_while_the_service_leaves_and_comes_back(client):
    """With no idle time it leaves after each answer, so that the next call comes at any moment of a departure. Numbers of events go on without a gap."""
    settings(IdleExitUSec=1)
    path = client.create("box", "true")
    seq = client.call("/io/conbus1", "org.freedesktop.DBus.Properties", "Get", "ss", MANAGER, "EventSeq")[0]
    departures = service_log().count("nothing lives and nobody waits")
    for number in range(60):
        client.call(path, CONTAINER, "Rename", "s", f"box{number}")
        assert client.get(path, "Name") == f"box{number}"
    events = client.manager("GetEvents", "tua{sv}", seq, 1000, {})[0]
    renames = [event for event in events if event[3] == "rename"]
    assert len(renames) == 60 and [event[0] for event in events] == list(range(seq + 1, seq + 1 + len(events)))
    assert service_log().count("nothing lives and nobody waits") > departures + 5, "the service has not left in between"
    settings()


def test_a_restart_and_a_crash_leave_containers_alone(client):
    path = client.create("box", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    pids = client.get(path, "MainPID"), client.get(path, "MonitorPID")
    run("systemctl", "restart", "conbus.service")
    assert (client.get(path, "MainPID"), client.get(path, "MonitorPID")) == pids
    client.kill_service(9)
    wait_for(lambda: show("ActiveState") == ["active"], "the service to come back", poll=True)
    assert (client.get(path, "State"), client.get(path, "MainPID")) == ("running", pids[0])


def test_a_service_that_hangs_is_replaced(client):
    """By the watchdog of the service manager, which is given less patience here. What runs does not notice."""
    path = client.create("box", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    pid = client.get(path, "MainPID")
    dropin = "/run/systemd/system/conbus.service.d/test.conf"
    os.makedirs(os.path.dirname(dropin), exist_ok=True)
    with open(dropin, "w", encoding="ascii") as file:
        file.write("[Service]\nWatchdogSec=2s\nTimeoutAbortSec=500ms\n")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "conbus.service")
    hung = client.service_pid()
    assert show("Result") == ["success"]
    os.kill(hung, signal.SIGSTOP)
    wait_for(lambda: show("NRestarts", "ActiveState") == ["1", "active"], "the service to be replaced", poll=True)
    assert client.service_pid() != hung and client.get(path, "MainPID") == pid
    # One that does nothing, but is well, stays.
    alive = client.service_pid()
    other = client.create("other", "sleep", "5")
    client.call(other, CONTAINER, "Start")
    client.call(other, CONTAINER, "Wait")
    assert client.service_pid() == alive
    os.unlink(dropin)
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "conbus.service")


if __name__ == "__main__":
    main("machine")
