#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""WriteInput: the standard input of a container without a descriptor; in order, bounded, and nothing of it stays."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from attached import attach, running, wait_no_streamers  # noqa: E402
from harness import CONTAINER, Client, GLib, expect, main, on_real_runtime, options, run, wait_for  # noqa: E402

LIMIT = 64 * 1024


def write(client, path, data, **keys):
    client.finish(client.begin_input(path, CONTAINER, data, **keys))


def texts(client, path):
    return [text for _, _, text in client.call(path, CONTAINER, "ReadLog", "ua{sv}", 100, {})[0]]


def end_of(client, path):
    return client.call(path, CONTAINER, "Wait", timeout=60)[1]


def test_input_and_its_end(client):
    path = running(client, "a", "sh", "-c", "cat; echo end; exit 3", stdin_open=True, stdin_once=True)
    write(client, path, b"one\n")
    write(client, path, b"")
    write(client, path, b"two\n")
    assert client.get(path, "State") == "running"
    write(client, path, b"three\n", eof=True)
    assert end_of(client, path) == 3
    assert texts(client, path) == ["one", "two", "three", "end"], texts(client, path)
    wait_no_streamers()


def test_the_end_alone(client):
    path = running(client, "a", "sh", "-c", "cat; exit 4", stdin_open=True, stdin_once=True)
    write(client, path, b"", eof=True)
    assert end_of(client, path) == 4


def test_without_stdin_once_it_stays_open(client):
    path = running(client, "a", "sh", "-c", "read x; echo got $x; read y; echo got $y", stdin_open=True)
    write(client, path, b"one\n")
    message = expect("InvalidArgs", write, client, path, b"two\n", eof=True)
    assert "stdin-once" in message, message
    write(client, path, b"two\n")
    assert end_of(client, path) == 0
    assert texts(client, path) == ["got one", "got two"]


def test_before_the_start(client):
    path = client.create("a", "cat", stdin_open=True, stdin_once=True)
    client.call(path, CONTAINER, "Init")
    write(client, path, b"early\n", eof=True)
    client.call(path, CONTAINER, "Start")
    assert end_of(client, path) == 0
    assert texts(client, path) == ["early"]


def test_a_terminal(client):
    path = running(client, "a", "sh", "-c", "read x; echo got $x", terminal=True)
    write(client, path, b"typed\n")
    assert end_of(client, path) == 0
    assert any("got typed" in text for text in texts(client, path)), texts(client, path)


def test_beside_an_attachment(client):
    path = running(client, "a", "cat", stdin_open=True)
    attached = attach(client, path)
    write(client, path, b"by hand\n")
    attached.read_until(b"by hand\n")
    attached.send(b"by socket\n")
    attached.read_until(b"by socket\n")


def test_by_hand(client):
    path = running(client, "web", "sh", "-c", "read x; echo got $x", stdin_open=True)
    run("busctl", "--address=" + os.environ["DBUS_SYSTEM_BUS_ADDRESS"], "call", "io.conbus1", "/container/web", "io.conbus1.Container", "WriteInput", "aya{sv}", "3", "104", "105", "10", "0")
    assert end_of(client, path) == 0
    assert texts(client, path) == ["got hi"]


@on_real_runtime
def test_one_that_does_not_read_keeps_its_callers_waiting(client):
    path = running(client, "a", "sh", "-c", "trap 'cat >/dev/null; exit 5' USR1; while :; do sleep 0.05; done", stdin_open=True, stdin_once=True)
    other = Client(signals=False)
    boxes = [other.begin_input(path, CONTAINER, b"x" * LIMIT, timeout=60) for _ in range(30)]
    expect("Timeout", write, client, path, b"x" * LIMIT, reply_timeout_usec=300000)
    client.call(path, CONTAINER, "Kill", "si", "leader", 10)
    for box in boxes:
        other.finish(box)
    write(client, path, b"", eof=True)
    assert end_of(client, path) == 5
    expect("NotRunning", write, client, path, b"late")


@on_real_runtime
def test_an_end_before_everything_is_taken(client):
    path = running(client, "a", "sleep", "1000", stdin_open=True)
    other = Client(signals=False)
    boxes = [other.begin_input(path, CONTAINER, b"x" * LIMIT, timeout=60) for _ in range(30)]
    expect("Timeout", write, client, path, b"x" * LIMIT, reply_timeout_usec=300000)
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    message = expect("NotRunning", other.finish, boxes[-1])
    assert "before everything was taken" in message, message
    wait_no_streamers()


@on_real_runtime
def test_a_caller_that_leaves(client):
    path = running(client, "a", "sh", "-c", "trap 'head -c 1000000000 | wc -c; exit 6' USR1; while :; do sleep 0.05; done", stdin_open=True, stdin_once=True)
    other = Client(signals=False)
    for _ in range(30):
        other.begin_input(path, CONTAINER, b"x" * LIMIT)
    expect("Timeout", write, other, path, b"x" * LIMIT, reply_timeout_usec=300000)
    other.connection.close_sync(None)
    client.call(path, CONTAINER, "Kill", "si", "leader", 10)
    write(client, path, b"", eof=True)
    assert end_of(client, path) == 6
    assert int(texts(client, path)[0]) < 31 * LIMIT, texts(client, path)


def test_refusals(client):
    plain = client.create("plain", "cat")
    expect("NotAttachable", write, client, plain, b"x")
    path = client.create("a", "cat", stdin_open=True)
    expect("NotRunning", write, client, path, b"x")
    client.call(path, CONTAINER, "Start")
    message = expect("InvalidArgs", write, client, path, b"x" * (LIMIT + 1))
    assert "65537" in message and "65536" in message, message
    expect("UnknownOption", write, client, path, b"x", end=True)
    expect("InvalidArgs", write, client, path, b"x", eof="yes")
    write(client, path, b"x" * LIMIT)
    passing = client.create("b", "cat", stdin_open=True, log_driver="passthrough")
    client.call(passing, CONTAINER, "Start")
    expect("NotAttachable", write, client, passing, b"x")


def test_the_service_restarts_under_it(client):
    path = running(client, "a", "sh", "-c", "while read x; do echo got $x; done; exit 6", stdin_open=True, stdin_once=True)
    write(client, path, b"one\n")
    client.kill_service()
    write(client, path, b"two\n")
    write(client, path, b"three\n", eof=True)
    assert end_of(client, path) == 6
    assert texts(client, path) == ["got one", "got two", "got three"]


if __name__ == "__main__":
    main()
