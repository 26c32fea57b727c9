#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Much through attachments, compared by checksum; many clients, slow ones, and one that never reads."""

import hashlib
import os
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from attached import LARGE, attach, demultiplex, end_of, error_of, noise, start, wait_no_streamers  # noqa: E402
from harness import CONTAINER, GLib, main  # noqa: E402


def digest(data):
    return hashlib.sha256(data).hexdigest()


def write_in_thread(attached, data):
    def write():
        attached.send(data)
        attached.end_input()

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def test_100_mb_out(client):
    data = noise(LARGE)
    attached = start(client, client.create("a", "cat", "/noise")).read_to_end()
    assert attached.last["exit-code"] == 0, attached.last
    assert digest(attached.out) == digest(data), len(attached.out)


def test_100_mb_in(client):
    data = os.urandom(LARGE)
    attached = start(client, client.create("a", "sha256sum", stdin_open=True, stdin_once=True), detach_keys="")
    thread = write_in_thread(attached, data)
    attached.read_to_end()
    thread.join()
    assert attached.out.split()[0].decode() == digest(data)


def test_both_ways_at_once(client):
    data = os.urandom(LARGE // 5)
    attached = start(client, client.create("a", "cat", stdin_open=True, stdin_once=True), framing="raw", detach_keys="")
    thread = write_in_thread(attached, data)
    attached.read_to_end()
    thread.join()
    assert digest(attached.out) == digest(data), len(attached.out)


def test_ten_clients(client):
    data = noise(LARGE // 10)
    path = client.create("a", "cat", "/noise")
    client.call(path, CONTAINER, "Init")
    framings = ["packets", "raw", "multiplexed"]
    clients = [attach(client, path, framing=framings[i % 3]) for i in range(10)]
    threads = [threading.Thread(target=attached.read_to_end) for attached in clients]
    for thread in threads:
        thread.start()
    client.call(path, CONTAINER, "Start")
    for thread in threads:
        thread.join()
    for i, attached in enumerate(clients):
        out = b"".join(piece for _, piece in demultiplex(attached.out)) if i % 3 == 2 else attached.out
        assert digest(out) == digest(data), (i, len(out))
        assert end_of(client, attached.job)[1]["reason"] == "exited"


def check_client_that_never_reads(client, driver):
    data = noise(LARGE)
    path = client.create("a", "cat", "/noise", log_driver=driver)
    client.call(path, CONTAINER, "Init")
    idle = attach(client, path)
    reader = attach(client, path) if driver == "k8s-file" else None
    client.call(path, CONTAINER, "Start")
    if reader:
        assert digest(reader.read_to_end().out) == digest(data)
    run, code, _, _ = client.call(path, CONTAINER, "Wait")
    assert (run, code) == (1, 0)
    assert error_of(client, idle.job) == "ClientTooSlow"
    wait_no_streamers()


def test_a_client_that_never_reads(client):
    check_client_that_never_reads(client, "k8s-file")


def test_a_client_that_never_reads_without_a_log(client):
    check_client_that_never_reads(client, "none")


def test_a_slow_client_gets_everything_from_the_log(client):
    data = noise(LARGE // 10)
    path = client.create("a", "cat", "/noise")
    slow = start(client, path)
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], {})  # all of it is written before it reads a byte
    slow.read_to_end()
    assert digest(slow.out) == digest(data), len(slow.out)
    assert slow.last["reason"] == "exited"


def test_streams_that_are_mixed_survive_the_way_to_the_log(client):
    script = "i=0; while [ $i -lt 30000 ]; do echo out $i; echo error $i >&2; i=$((i+1)); done; head -c 3000000 /dev/zero | tr '\\0' x"
    path = client.create("a", "sh", "-c", script)
    slow = start(client, path, framing="multiplexed")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], {})
    pieces = demultiplex(slow.read_to_end().out)
    out = b"".join(data for stream, data in pieces if stream == 1)
    errors = b"".join(data for stream, data in pieces if stream == 2)
    assert out == b"".join(b"out %d\n" % i for i in range(30000)) + b"x" * 3000000
    assert errors == b"".join(b"error %d\n" % i for i in range(30000))


if __name__ == "__main__":
    main()
