#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""tests/measure/follow.py [MEGABYTES [ROUNDS]]: how fast a follower gets a log, as a share of cat(1) of the same file through a pipe, in turns, in the sandbox; for lines of 60 bytes and for bytes at random, at the rates of the log file's bytes; and how
fast a follower gets what a container is writing, as a share of conmon's bare socket. The median of the rounds counts."""

import os
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if "CONBUS_SANDBOX" not in os.environ:
    os.execv(f"{SOURCE}/tests/sandbox", [f"{SOURCE}/tests/sandbox", os.path.abspath(__file__), *sys.argv[1:]])
import attach  # noqa: E402
from harness import CONTAINER, Client, options  # noqa: E402

SHAPES = {"lines of 60 bytes": lambda: b"".join(b"%09d %s\n" % (i, b"x" * 49) for i in range(1000000 // 60)), "bytes at random": lambda: os.urandom(1000000)}


def written(client, make):
    """A container that has written its log."""
    attach.prepare(attach.size // 1000000, make)
    path = client.create("measured", "cat", "/data")
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {}, timeout=600)
    return path


def followed(client, path, log):
    client.call(path, CONTAINER, "OpenLog", "a{sv}", options(follow=True))
    return client.fds.steal_fds()[0], None


def cat(client, path, log):
    read, write = os.pipe()
    process = subprocess.Popen(["cat", log], stdout=write)
    os.close(write)
    return read, process


def rate(client, way, path, log):
    fd, process = way(client, path, log)
    reader = subprocess.run([attach.READER, str(fd)], stdout=subprocess.PIPE, pass_fds=[fd], text=True, check=True)
    os.close(fd)
    if process:
        process.wait()
    _, seconds = reader.stdout.split()
    return os.path.getsize(log) / float(seconds) / 1e6


def followed_live(client, path):
    return os.fdopen(followed(client, path, None)[0], "rb", buffering=0)


def measure_live(client, rounds):
    rates = {attach.bare: [], followed_live: []}
    for _ in range(rounds):
        for connect, found in rates.items():
            found.append(attach.rate(client, connect, "k8s-file"))
    socket_, follower = (statistics.median(found) for found in rates.values())
    print(f"a container that writes: bare socket {socket_:.0f} MB/s, follower {follower:.0f} MB/s, {100 * follower / socket_:.0f} %", flush=True)


def measure_stored(client, rounds):
    for name, make in SHAPES.items():
        path = written(client, make)
        log = f"/var/lib/conbus/containers/{path.rsplit('/', 1)[1]}/log"
        rates = {cat: [], followed: []}
        for _ in range(rounds):
            for way, found in rates.items():
                found.append(rate(client, way, path, log))
        plain, follower = (statistics.median(found) for found in rates.values())
        print(f"{name}, {os.path.getsize(log) // 1000000} MB: cat {plain:.0f} MB/s, follower {follower:.0f} MB/s, {100 * follower / plain:.0f} %", flush=True)
        client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))


def main():
    client, rounds = Client(), int(sys.argv[2] if len(sys.argv) > 2 else 5)
    attach.prepare(int(sys.argv[1] if len(sys.argv) > 1 else 300))
    measure_stored(client, rounds)
    measure_live(client, rounds)


if __name__ == "__main__":
    main()
