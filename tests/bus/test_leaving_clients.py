#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client that leaves in the middle of its call: what waited in the queue has no effect, what ran is finished, waits are forgotten, and nothing is left."""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import faults  # noqa: E402
from census import Census  # noqa: E402
from harness import CONTAINER, HEALTH, MANAGER, Client, GLib, main, options, wait_for  # noqa: E402


def count(client, what):
    return int(re.search(rf"{what} (\d+)", client.manager("Dump")[0]).group(1))


def leave(client, other):
    """The other's calls have been received; it goes, and the service has heard of it."""
    name = other.connection.get_unique_name()
    other.manager("ListContainers")
    other.connection.close_sync(None)

    def gone():
        reply = client.connection.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner", GLib.Variant("(s)", (name,)), None, 0, -1, None)
        return not reply.unpack()[0]

    wait_for(gone, "the client's end", poll=True)
    client.manager("ListContainers")


def remove(client, path):
    client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))


QUEUED = (
    ("Start",), ("StartWith", "a{sv}", {}), ("Init",), ("Stop",), ("StopWith", "a{sv}", options(timeout_usec=0)), ("Restart",), ("RestartWith", "a{sv}", {}), ("Pause",), ("Resume",), ("Remove",),
    ("RemoveWith", "a{sv}", options(force=True, timeout_usec=0)), ("Rename", "s", "site"), ("SetAutoStart", "s", "enabled"), ("SetRestartPolicy", "su", "always", 0), ("Cleanup", "a{sv}", {}), ("Sync",),
)  # fmt: skip


def test_what_waits_in_the_queue_has_no_effect(client):
    census = Census(client)
    path = client.create("web", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    gate = faults.Gate("crun", "pause")
    pausing = client.begin(path, CONTAINER, "Pause")
    gate.reached()
    others = [Client() for _ in QUEUED]
    for other, call in zip(others, QUEUED):
        other.begin(path, CONTAINER, *call)
    assert count(client, "operations") <= 1 + len(QUEUED)
    for other in others:
        leave(client, other)
    assert count(client, "operations") == 1, client.manager("Dump")[0]
    gate.open()
    client.finish(pausing)
    assert (client.get(path, "State"), client.get(path, "Run"), client.get(path, "Name"), client.get(path, "AutoStart"), client.get(path, "RestartPolicy")) == ("paused", 1, "web", False, "no")
    assert not client.get(path, "StoppedByUser")
    remove(client, path)
    census.check()


# What is called, in which state, where it is held, and the state that it ends in.
RUNNING = (
    (("Init",), "created", ("conmon", "created"), "initialized"),
    (("Start",), "created", ("crun", "create"), "running"),
    (("Start",), "created", ("crun", "start"), "running"),
    (("Start",), "initialized", ("crun", "start-done"), "running"),
    (("Stop",), "running", ("crun", "delete"), "exited"),
    (("Restart",), "running", ("crun", "delete"), "running"),
    (("Restart",), "running", ("conmon", "create"), "running"),
    (("Pause",), "running", ("crun", "pause-done"), "paused"),
    (("Resume",), "paused", ("crun", "resume"), "running"),
    (("Cleanup", "a{sv}", {}), "initialized", ("crun", "delete"), "created"),
    (("Sync",), "running", ("crun", "state"), "running"),
    (("RemoveWith", "a{sv}", options(force=True, timeout_usec=0)), "running", ("crun", "delete"), None),
)


def bring_to(client, state):
    path = client.create("web", "sleep", "1000", stop_timeout_usec=0)
    for method in {"created": [], "initialized": ["Init"], "running": ["Start"], "paused": ["Start", "Pause"]}[state]:
        client.call(path, CONTAINER, method)
    return path


def test_what_runs_is_finished(client):
    census = Census(client)
    for call, before, held, after in RUNNING:
        path = bring_to(client, before)
        gate = faults.Gate(*held)
        other = Client()
        other.begin(path, CONTAINER, *call)
        gate.reached()
        leave(client, other)
        gate.open()
        if after is None:
            wait_for(lambda: client.manager("ListContainers")[0] == [], "the removal", poll=True)
            continue
        wait_for(lambda: (client.get(path, "Operation"), client.get(path, "State")) == ("", after), f"{call[0]}: {after}", poll=True)
        remove(client, path)
    census.check()


def test_a_created_container_stays_and_runs(client):
    census = Census(client)
    other = Client()
    gate = faults.Gate("crun", "create")
    other.begin("/io/conbus1", MANAGER, "RunContainer", "ssasa{sv}", "web", "", ["sleep", "1000"], options(rootfs=os.environ["CONBUS_TEST_ROOTFS"]))
    gate.reached()
    leave(client, other)
    gate.open()
    wait_for(lambda: client.get("/container/web", "State") == "running", "the container", poll=True)
    remove(client, client.manager("GetContainer", "s", "web")[0])
    census.check()


def test_a_check_that_nobody_waits_for(client):
    check = GLib.Variant("a{sv}", options(test=["CMD", "true"], interval_usec=0))
    path = client.create("web", "sleep", "1000", health=check)
    client.call(path, CONTAINER, "Start")
    assert client.call(path, HEALTH, "Check")[1] == 0
    checks = len(client.call(path, HEALTH, "GetLog", "u", 0)[0])
    gate = faults.Gate("crun", "exec")
    other = Client()
    other.begin(path, HEALTH, "Check")
    gate.reached()
    leave(client, other)
    gate.open()
    wait_for(lambda: len(client.call(path, HEALTH, "GetLog", "u", 0)[0]) == checks + 1, "the check", poll=True)
    assert client.call(path, HEALTH, "Check")[1] == 0


def test_waits_are_forgotten(client):
    census = Census(client)
    check = GLib.Variant("a{sv}", options(test=["CMD", "false"], interval_usec=0, retries=GLib.Variant("u", 1000)))
    path = client.create("web", "sleep", "1000", health=check)
    fresh = client.create("fresh", "sleep", "1000")
    other = Client()
    other.begin(path, CONTAINER, "StartWith", "a{sv}", options(wait="healthy"))
    wait_for(lambda: client.get(path, "State") == "running", "the start", poll=True)
    other.begin(path, CONTAINER, "Wait")
    other.begin(fresh, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(after_run=0))
    other.begin(path, CONTAINER, "WaitFor", "asa{sv}", ["healthy", "removed"], {})
    other.begin("/io/conbus1", MANAGER, "WaitAny", "a(ot)asa{sv}", [(path, 0)], ["exited"], {})
    other.manager("ListContainers")
    assert count(client, "waits") >= 5, client.manager("Dump")[0]
    leave(client, other)
    assert count(client, "waits") == 0, client.manager("Dump")[0]
    assert client.get(path, "State") == "running", "a wait that is given up changes nothing"
    for each in (path, fresh):
        remove(client, each)
    del other
    census.check()


if __name__ == "__main__":
    main(fakes=True)
