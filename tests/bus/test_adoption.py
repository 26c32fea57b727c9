#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A service that starts has its name before it knows what lives; whoever calls it meanwhile waits and is told the truth."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import faults  # noqa: E402
from harness import CONTAINER, Client, GLib, main, options  # noqa: E402


def is_late():
    """crun was not waited for: that happens when the machine stops for seconds."""
    with open(os.environ["CONBUS_LOG"], encoding="utf-8") as log:
        return "they are not waited for" in log.read()


def begin_reads(client, path):
    properties = "org.freedesktop.DBus.Properties"
    return [client.begin(path, properties, "Get", "ss", CONTAINER, "State"), client.begin(path, properties, "GetAll", "s", CONTAINER), client.begin("/io/conbus1", "org.freedesktop.DBus.Peer", "Ping")]


def test_calls_wait_until_what_lives_is_known(client):
    path = client.create("doubtful", "sleep", "1000")
    client.call(path, CONTAINER, "Init")
    client.kill_service()
    gate = faults.Gate("crun", "state")
    other, gone = Client(), Client()
    reads = begin_reads(client, path)
    gate.reached()
    reads += begin_reads(other, path)
    begin_reads(gone, path)
    assert client.name_owner()
    gone.connection.close_sync(None)
    other.name_owner()
    while GLib.MainContext.default().iteration(False):
        pass
    assert not any(reads) or is_late()
    gate.open()
    answers = [client.finish(read) for read in reads]
    assert [answers[0], answers[3]] == [("initialized",)] * 2, answers
    assert answers[1][0]["State"] == answers[4][0]["State"] == "initialized", answers
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))


if __name__ == "__main__":
    main(fakes=True)
