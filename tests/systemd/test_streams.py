#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Streams under a real systemd: whoever serves them has a scope of its own, which neither the end of the run nor a restart of the service touches, and which goes with it."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from attached import attach, start, streamers, wait_no_streamers  # noqa: E402
from harness import CONTAINER, JOB, expect, main, options, run, wait_for  # noqa: E402


def scopes():
    return [line.split()[0] for line in run("systemctl", "list-units", "--no-legend", "--plain", "conbus-stream-*.scope").splitlines()]


def group_of(pid):
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as groups:
        found = {line.split(":", 2)[1]: line.strip().split(":", 2)[2] for line in groups}
    return found.get("name=systemd", found.get(""))


def test_the_streams_have_a_scope_of_their_own(client):
    attached = start(client, client.create("a", "sh", "-c", "read x; echo got $x", stdin_open=True))
    group = group_of(streamers()[0])
    assert group.startswith("/machine.slice/machine-conbus.slice/conbus-stream-"), group
    assert len(scopes()) == 1
    attached.send(b"x\n")
    assert attached.read_to_end().out == b"got x\n"
    wait_no_streamers()
    wait_for(lambda: not scopes(), "the scope's end", poll=True)


def test_a_restart_of_the_service_does_not_cut_a_stream(client):
    path = client.create("a", "sh", "-c", "while read x; do echo got $x; done; exit 6", stdin_open=True, stdin_once=True)
    attached = start(client, path)
    attached.send(b"1\n")
    attached.read_until(b"got 1\n")
    run("systemctl", "restart", "conbus")
    attached.send(b"2\n")
    attached.read_until(b"got 2\n")
    assert client.get(attached.job, "State", JOB) == "running"
    attached.end_input()
    assert attached.read_to_end().last == {"reason": "exited", "run": 1, "exit-code": 6}, attached.last


def test_a_client_reads_on_after_the_run(client):
    size = 5 * 1000 * 1000
    path = client.create("a", "sh", "-c", f"head -c {size} /dev/zero")
    slow = start(client, path)
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})  # its scope is gone by now
    assert len(slow.read_to_end().out) == size
    assert slow.last["exit-code"] == 0


def test_a_client_of_the_log_alone_leaves_no_scope(client):
    path = client.create("a", "echo", "one")
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    assert attach(client, path, follow=False, **{"from": "log-start"}).read_to_end().out == b"one\n"
    expect("InvalidArgs", attach, client, path, follow=False, **{"from": "f:0"})
    wait_for(lambda: not scopes(), "the end of the scopes", poll=True)


def test_stopping_the_service_leaves_the_clients_attached(client):
    path = client.create("a", "cat", stdin_open=True)
    client.call(path, CONTAINER, "Start")
    attached = attach(client, path)
    run("systemctl", "stop", "conbus")
    attached.send(b"still here\n")
    attached.read_until(b"still here\n")
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert attached.read_to_end().last["exit-code"] == 137


if __name__ == "__main__":
    main("machine")
