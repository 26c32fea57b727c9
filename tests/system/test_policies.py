#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Restart policies, dependencies and readiness."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, GLib, expect, main, on_real_runtime, options, wait_for  # noqa: E402


def u32(value):
    return GLib.Variant("u", value)


def test_on_failure_tries_as_often_as_it_may(client):
    path = client.create("flaky", "sh", "-c", "exit 3", restart_policy="on-failure", restart_max=u32(2), restart_sec_usec=20000)
    client.call(path, CONTAINER, "Start")
    answer = client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(final=True))
    assert answer[:3] == ("stopped", 3, 3), answer
    assert client.get(path, "RestartCount") == 2
    assert client.call(path, CONTAINER, "ShouldRestart") == (False, "retries-exhausted")
    assert [run["restarts"] for run in client.call(path, CONTAINER, "ListRuns", "u", 0)[0]] == [2, 1, 0]


def test_a_wait_keeps_its_run_under_a_policy(client):
    path = client.create("loop", "sh", "-c", "exit 4", restart_policy="always", restart_sec_usec=1000)
    client.call(path, CONTAINER, "Start")
    for run in range(1, 6):
        assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(run=run))[:3] == ("stopped", run, 4)
    client.call(path, CONTAINER, "SetRestartPolicy", "su", "no", 0)
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(final=True))


def test_stop_wins(client):
    path = client.create("forever", "sh", "-c", "exit 1", restart_policy="always", restart_sec_usec=60000000)
    client.call(path, CONTAINER, "Start")
    wait_for(lambda: client.get(path, "NextRestartTimestamp") > 0, "a planned restart", poll=True)
    assert client.get(path, "State") == "exited"
    expect("NotRunning", client.call, path, CONTAINER, "Stop")
    assert client.get(path, "NextRestartTimestamp") == 0 and client.get(path, "StoppedByUser")
    assert client.call(path, CONTAINER, "ShouldRestart") == (False, "stopped-by-user")


def test_a_planned_restart_survives_the_service(client):
    path = client.create("planned", "sh", "-c", "exit 1", restart_policy="always", restart_sec_usec=700000)
    client.call(path, CONTAINER, "Start")
    wait_for(lambda: client.get(path, "NextRestartTimestamp") > 0, "a planned restart", poll=True)
    client.kill_service()
    assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(run=2))[1] == 2
    client.call(path, CONTAINER, "SetRestartPolicy", "su", "no", 0)


def test_dependencies(client):
    base = client.create("base", "sleep", "1000")
    middle = client.create("middle", "sleep", "1000", depends=["base"])
    top = client.create("top", "sleep", "1000", depends=["middle", "base"])
    assert base.rsplit("/", 1)[1] in expect("DependencyFailed", client.call, middle, CONTAINER, "Start")
    client.call(top, CONTAINER, "StartWith", "a{sv}", options(recursive=True))
    assert [client.get(path, "State") for path in (base, middle, top)] == ["running"] * 3
    assert sorted(client.get(top, "Dependencies")) == sorted([base, middle])
    for path in (base, middle, top):
        client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert "middle" in expect("DependentsExist", client.call, base, CONTAINER, "Remove")
    client.call(base, CONTAINER, "RemoveWith", "a{sv}", options(dependents=True))
    assert client.manager("ListContainers")[0] == []


@on_real_runtime
def test_a_joined_network(client):
    one = client.create("one", "sleep", "1000")
    client.call(one, CONTAINER, "Start")
    two = client.create("two", "sleep", "1000", network="container:one")
    client.call(two, CONTAINER, "Start")
    links = [os.readlink(f"/proc/{client.get(path, 'MainPID')}/ns/net") for path in (one, two)]
    assert links[0] == links[1] != os.readlink("/proc/self/ns/net")


def test_auto_start_is_a_setting(client):
    path = client.create("boot", "true")
    client.call(path, CONTAINER, "SetAutoStart", "s", "enabled")
    assert client.get(path, "AutoStart")
    client.kill_service()
    assert client.get(path, "AutoStart")
    expect("InvalidArgs", client.call, path, CONTAINER, "SetAutoStart", "s", "perhaps")
    expect("InvalidConfig", client.call, path, CONTAINER, "SetRestartPolicy", "su", "always", 3)


def test_a_container_that_is_never_ready_is_killed(client):
    path = client.create("mute", "sleep", "1000", notify="ready", start_timeout_usec=200000)
    client.call(path, CONTAINER, "Start")
    assert not client.get(path, "Ready")
    assert client.call(path, CONTAINER, "Wait")[3] == "timeout"
    plain = client.create("plain", "sleep", "1000")
    client.call(plain, CONTAINER, "Start")
    assert client.get(plain, "Ready")


def test_auto_remove_waits_for_dependents(client):
    base = client.create("base", "sleep", "1000", auto_remove=True)
    top = client.create("top", "sleep", "1000", depends=["base"])
    client.call(base, CONTAINER, "Start")
    client.call(base, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert client.get(base, "State") == "exited"
    wait = client.begin(base, CONTAINER, "WaitFor", "asa{sv}", ["removed"], {})
    client.call(top, CONTAINER, "Remove")
    assert client.finish(wait)[:2] == ("removed", 1)


if __name__ == "__main__":
    main()
