#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""conbus-container@NAME.service at shutdown and at boot: nothing is stopped or started twice, in the order of units and of dependencies, and nothing waits for what waits for it."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import CONTAINER, boot, main, options, run, wait_for, wait_output  # noqa: E402
from units import owner, show, systemctl, unit_of  # noqa: E402

TIME = "/machine/time-of-shutdown"
SLOW = ("sh", "-c", "trap 'sleep 0.3; exit 0' TERM; echo up; while :; do sleep 0.05; done")
ENABLED = ("db", "web", "auto")


def records(client, name):
    path = client.manager("GetContainer", "s", name)[0]
    return {record["run"]: record for record in client.call(path, CONTAINER, "ListRuns", "u", 0)[0]}


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def shut_down_now():
    write(TIME, str(time.time()))


def check_shutdown():
    with open(TIME, encoding="ascii") as file:
        took = time.time() - float(file.read())
    assert took < 60, f"{took:.1f} s from the shutdown to the next boot"


def test_what_runs_at_shutdown(client):
    run("systemctl", "enable", "conbus.service")
    # Units in an order of their own: web goes before db.
    write(f"/etc/systemd/system/{unit_of('web')}.d/order.conf", f"[Unit]\nRequires={unit_of('db')}\nAfter={unit_of('db')}\n")
    # Or restarted by systemd, had it a say at shutdown.
    write(f"/etc/systemd/system/{unit_of('auto')}.d/restart.conf", "[Service]\nRestart=always\nRestartSec=0\n")
    run("systemctl", "daemon-reload")
    for name, config in {"db": {}, "web": {}, "auto": {"auto_start": True, "restart_policy": "always"}, "loose": {"restart_policy": "unless-stopped"}, "down": {"restart_policy": "unless-stopped"}}.items():
        client.create(name, *SLOW, **config)
        assert systemctl("start", unit_of(name)) == (0, "")
        wait_output(client.manager("GetContainer", "s", name)[0], "up")
    # It is nobody's, and depends on what a unit owns.
    path = client.create("plain", *SLOW, depends=["db"], restart_policy="always")
    client.call(path, CONTAINER, "Start")
    wait_output(path, "up")
    run("systemctl", "enable", *[unit_of(name) for name in ENABLED])
    run("systemctl", "stop", unit_of("down"))
    shut_down_now()


@boot(2)
def test_the_shutdown_was_quick_and_in_order(client):
    check_shutdown()
    client.manager("ListContainers")
    ended = {name: records(client, name)[1] for name in ("db", "web", "auto", "loose", "plain")}
    for name, record in ended.items():
        assert (record["exit-code"], record["result"]) == (0, "success"), (name, record)
    assert ended["web"]["finish"] < ended["db"]["finish"], "the order of units"
    assert ended["plain"]["finish"] < ended["db"]["finish"], "the order of dependencies"


@boot(2)
def test_everything_has_been_started_once(client):
    for name in ENABLED:
        assert show(unit_of(name), "ActiveState") == "active"
        path = client.manager("GetContainer", "s", name)[0]
        assert (client.get(path, "State"), client.get(path, "Run"), owner(client, path)) == ("running", 2, unit_of(name)), name
    assert records(client, "db")[2]["start"] < records(client, "web")[2]["start"]
    for name, state, run_number in ("loose", "running", 2), ("plain", "running", 2), ("down", "exited", 1):
        path = f"/container/{name}"
        assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", [state], options(timeout_usec=30000000))[0] == state, (name, client.get(path, "State"), client.get(path, "LastErrorMessage"))
        assert (client.get(path, "Run"), owner(client, path)) == (run_number, ""), name
    assert client.get("/container/down", "StoppedByUser") and not client.get("/container/web", "StoppedByUser")
    # The next boot is without the service: the units call it.
    run("systemctl", "disable", "conbus.service")
    for name in "db", "web", "auto":
        wait_output(client.manager("GetContainer", "s", name)[0], "up")
    # And it does not live at the next shutdown.
    client.call("/container/loose", CONTAINER, "RemoveWith", "a{sv}", options(force=True))
    client.call("/container/plain", CONTAINER, "RemoveWith", "a{sv}", options(force=True))
    run("systemctl", "stop", "conbus.service")
    run("systemctl", "mask", "--runtime", "conbus.service")
    shut_down_now()


@boot(3)
def test_a_shutdown_without_the_service(client):
    check_shutdown()
    for name in ENABLED:
        wait_for(lambda unit=unit_of(name): show(unit, "ActiveState") == "active", unit_of(name), poll=True)
        path = client.manager("GetContainer", "s", name)[0]
        assert (client.get(path, "State"), client.get(path, "Run"), owner(client, path)) == ("running", 3, unit_of(name)), name
        assert records(client, name)[2]["result"] in ("lost", "success"), records(client, name)[2]
    run("systemctl", "stop", *[unit_of(name) for name in ENABLED])
    assert [client.get(f"/container/{name}", "State") for name in ENABLED] == ["exited"] * 3


if __name__ == "__main__":
    main("machine")
