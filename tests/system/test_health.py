#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Health checks: signals on change alone, rest while paused, action, the whole tree dies at the timeout."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, HEALTH, GLib, expect, main, options, wait_for  # noqa: E402


def health(*test, **keys):
    keys.setdefault("interval_usec", 50000)
    keys.setdefault("retries", GLib.Variant("u", 2))
    return GLib.Variant("a{sv}", options(test=list(test), **keys))


def test_healthy_is_told_once(client):
    path = client.create("well", "sleep", "1000", health=health("CMD", "true"), notify="healthy")
    client.call(path, CONTAINER, "Start")  # notify=healthy: replies when it is
    assert client.get(path, "Status", HEALTH) == "healthy" and client.get(path, "Ready")
    wait_for(lambda: len(client.call(path, HEALTH, "GetLog", "u", 0)[0]) >= 4, "four checks", poll=True)
    assert [arguments[:2] for arguments in client.signals_of("StatusChanged")] == [("stopped", "starting"), ("starting", "healthy")]
    assert sum(event[3] == "health-status" for event in client.signals_of("Event")) == 2
    status, code, output = client.call(path, HEALTH, "Check")
    assert (status, code, output) == ("healthy", 0, "")


def test_unhealthy_and_back(client):
    path = client.create("moody", "sleep", "1000", health=health("CMD-SHELL", "echo looking; test ! -e /bad"))
    client.call(path, CONTAINER, "Start")
    assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["healthy"], {})[0] == "healthy"
    open(f"/proc/{client.get(path, 'MainPID')}/root/bad", "w", encoding="utf-8").close()
    assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["unhealthy"], {})[0] == "unhealthy"
    assert client.manager("QueryContainers", "a{sv}as", options(health=["unhealthy"]), ["Name"])[0][0][1] == {"Name": "moody"}
    os.unlink(f"/proc/{client.get(path, 'MainPID')}/root/bad")
    assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["healthy"], {})[0] == "healthy"
    assert client.call(path, HEALTH, "GetLog", "u", 1)[0][0][3] == "looking"


def test_checks_rest_while_paused(client):
    path = client.create("resting", "sleep", "1000", health=health("CMD", "true"))
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["healthy"], {})
    client.call(path, CONTAINER, "Pause")
    assert client.get(path, "Status", HEALTH) == "suspended"
    expect("InvalidState", client.call, path, HEALTH, "Check")
    client.call(path, CONTAINER, "Resume")
    assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["healthy"], {})[0] == "healthy"


def test_a_check_that_hangs_dies_with_its_children(client):
    path = client.create("hang", "sleep", "1000", health=health("CMD-SHELL", "sleep 777 & sleep 777", timeout_usec=1000000, interval_usec=0))
    client.call(path, CONTAINER, "Start")
    expect("HealthCheckTimeout", client.call, path, HEALTH, "Check")
    wait_for(lambda: not [line for _, _, line in client.call(path, CONTAINER, "GetProcesses")[0] if "777" in line], "the end of the check's children", poll=True)
    assert client.get(path, "State") == "running"


def test_a_wait_for_health_ends_with_the_run(client):
    path = client.create("brief", "sh", "-c", "sleep 0.3; exit 2", health=health("CMD", "false", start_period_usec=60000000))
    client.call(path, CONTAINER, "Start")
    assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["healthy"], {})[:3] == ("stopped", 1, 2)


def test_an_unhealthy_one_is_restarted(client):
    path = client.create("ill", "sleep", "1000", health=health("CMD", "false", on_failure="restart"), stop_timeout_usec=0, restart_sec_usec=10000)
    client.call(path, CONTAINER, "Start")
    assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(run=2))[1] == 2
    assert client.get(path, "RestartCount") >= 1 and not client.get(path, "StoppedByUser")


def test_no_check_no_interface(client):
    path = client.create("bare", "true")
    try:
        client.call(path, HEALTH, "Check")
    except Exception as error:
        assert "Unknown" in error.name
    else:
        raise AssertionError("a container without a check has the interface Health")


if __name__ == "__main__":
    main()
