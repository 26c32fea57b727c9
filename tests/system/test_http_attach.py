#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""HttpAttach, byte for byte."""

import os
import signal
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from attached import demultiplex, end_of, running  # noqa: E402
from harness import CONTAINER, DEADLINE, JOB, GLib, expect, main, options  # noqa: E402


# --- HttpAttach ---


def http(client, path, ahead=b"", **keys):
    mine, theirs = socket.socketpair()
    job = client.call(path, CONTAINER, "HttpAttach", "haya{sv}", 0, ahead, options(**keys), fds=[theirs.fileno()])[0]
    theirs.close()
    mine.settimeout(DEADLINE)
    return mine, job


def read_all(connection):
    data = b""
    while True:
        piece = connection.recv(65536)
        if not piece:
            return data
        data += piece


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n\r\n"
UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.%s-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


def piece(stream, data):
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def test_http_logs(client):
    path = client.create("a", "sh", "-c", "echo one; echo two; printf half")
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    connection, job = http(client, path, logs=True)
    assert read_all(connection) == ANSWER + piece(1, b"one\n") + piece(1, b"two\n") + piece(1, b"half")
    assert client.get(job, "Stage", JOB) == "hijacked"
    assert client.get(path, "State") == "exited"


def test_http_stream_with_input(client):
    path = client.create("a", "sh", "-c", "read x; echo got $x; read x; echo got $x >&2; cat", stdin_open=True, stdin_once=True)
    connection, job = http(client, path, ahead=b"early\n", stream=True, upgrade=True)
    assert client.get(path, "State") == "initialized"
    assert client.get(job, "Stage", JOB) == "hijacked"
    client.call(path, CONTAINER, "Start")
    answer = b""
    while b"got early\n" not in answer:
        answer += connection.recv(65536)
    connection.sendall(b"late\n")
    connection.shutdown(socket.SHUT_WR)
    assert answer + read_all(connection) == UPGRADED % b"multiplexed" + piece(1, b"got early\n") + piece(2, b"got late\n")
    assert end_of(client, job)[1]["reason"] == "exited"


def test_http_terminal(client):
    path = client.create("a", "sh", "-c", "echo one", terminal=True)
    connection, _ = http(client, path, stream=True, upgrade=True)
    client.call(path, CONTAINER, "Start")
    assert read_all(connection) == UPGRADED % b"raw" + b"one\r\n"


def test_http_logs_and_stream(client):
    count = 20000
    path = client.create("a", "sh", "-c", f"i=0; while [ $i -lt {count} ]; do echo $i; i=$((i+1)); done; read x", stdin_open=True)
    client.call(path, CONTAINER, "Start")
    connection, _ = http(client, path, logs=True, stream=True)
    connection.sendall(b"\n")
    answer = read_all(connection)
    assert answer.startswith(ANSWER)
    pieces = demultiplex(answer[len(ANSWER):])
    assert b"".join(data for _, data in pieces) == b"".join(b"%d\n" % i for i in range(count))


def test_http_cancel(client):
    path = running(client, "a", "sleep", "100")
    reading, writing = os.pipe()
    mine, theirs = socket.socketpair()
    keys = options(stream=True, cancel=GLib.Variant("h", 1))
    job = client.call(path, CONTAINER, "HttpAttach", "haya{sv}", 0, b"", keys, fds=[theirs.fileno(), reading])[0]
    theirs.close()
    os.close(writing)
    assert read_all(mine) == ANSWER
    assert end_of(client, job)[1]["reason"] == "detached"
    assert client.get(path, "State") == "running"


def test_http_tells_of_a_lost_monitor(client):
    path = running(client, "a", "sleep", "100")
    connection, _ = http(client, path, stream=True)
    os.kill(client.get(path, "MonitorPID"), signal.SIGKILL)
    (stream, text), = demultiplex(read_all(connection)[len(ANSWER):])
    assert stream == 2 and text.startswith(b"Error: "), text


def test_http_errors_come_before_anything_is_written(client):
    path = running(client, "a", "sleep", "100")
    none = running(client, "b", "sleep", "100", log_driver="none")

    def fails(error, where, keys, fds=1):
        mine, theirs = socket.socketpair()
        pipe = os.pipe()
        expect(error, client.call, where, CONTAINER, "HttpAttach", "haya{sv}", 0, b"", keys, fds=[theirs.fileno() if fds else pipe[0]])
        theirs.close()
        assert mine.recv(1) == b""

    fails("InvalidArgs", path, options())
    fails("InvalidArgs", path, options(stream=False, logs=False))
    fails("InvalidArgs", path, options(stream=True, streams=GLib.Variant("as", [])))
    fails("InvalidArgs", path, options(stream=True), fds=0)
    fails("UnknownOption", path, options(stream=True, follow=True))
    fails("NoLogs", none, options(logs=True))


if __name__ == "__main__":
    main()
