#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""tests/measure/attach.py [MEGABYTES [ROUNDS]]: the throughput of an attachment, to a container and to a process in one, as a share of conmon's bare socket, in turns, in the sandbox. The median of the rounds counts."""

import os
import socket
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if "CONBUS_SANDBOX" not in os.environ:
    os.execv(f"{SOURCE}/tests/sandbox", [f"{SOURCE}/tests/sandbox", os.path.abspath(__file__), *sys.argv[1:]])
from harness import CONTAINER, PROCESS, Client, options  # noqa: E402

READER = f"{os.environ['CONBUS_SANDBOX']}/reader"
size = 300 * 1000 * 1000


def prepare(megabytes, make=lambda: os.urandom(1000000)):
    """The reader, and what containers write: so much of what make() returns again and again."""
    global size
    size = megabytes * 1000 * 1000
    if not os.path.exists(READER):
        subprocess.run(["cc", "-O2", "-o", READER, f"{SOURCE}/tests/measure/reader.c"], check=True)
    with open(f"{os.environ['CONBUS_TEST_ROOTFS']}/data", "wb") as file:
        while file.tell() < size:
            file.write(make())


def bare(client, path):
    """conmon's own socket."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    directory = os.open(f"/run/conbus/containers/{path.rsplit('/', 1)[1]}/1", os.O_PATH)
    connection.connect(f"/proc/self/fd/{directory}/attach")
    os.close(directory)
    return connection


def attached(client, path):
    client.call(path, CONTAINER, "OpenAttach", "a{sv}", options(streams=["stdout", "stderr"]))
    return socket.socket(fileno=client.fds.get(0))


def rate(client, connect, driver):
    path = client.create("measured", "cat", "/data", log_driver=driver)
    client.call(path, CONTAINER, "Init")
    connection = connect(client, path)
    reader = subprocess.Popen([READER, str(connection.fileno())], stdout=subprocess.PIPE, pass_fds=[connection.fileno()], text=True)
    connection.close()
    client.call(path, CONTAINER, "Start")
    total, seconds = reader.communicate()[0].split()
    assert int(total) >= size, total
    client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
    return int(total) / float(seconds) / 1e6


def rate_of_process(client, _connect, _driver):
    """The same through a process in a container, attached to before it starts."""
    path = client.create("measured", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    process, _ = client.call(path, CONTAINER, "Exec", "asa{sv}", ["cat", "/data"], options(start=False))
    client.call(process, PROCESS, "OpenAttach", "a{sv}", options(streams=["stdout", "stderr"]))
    fd = client.fds.get(0)
    reader = subprocess.Popen([READER, str(fd)], stdout=subprocess.PIPE, pass_fds=[fd], text=True)
    os.close(fd)
    client.call(process, PROCESS, "Start")
    total, seconds = reader.communicate()[0].split()
    assert int(total) >= size, total
    client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
    return int(total) / float(seconds) / 1e6


def main():
    client, rounds = Client(), int(sys.argv[2] if len(sys.argv) > 2 else 5)
    prepare(int(sys.argv[1] if len(sys.argv) > 1 else 300))
    for driver in ("k8s-file",):
        rates = {bare: [], attached: []}
        for _ in range(rounds):
            for connect, found in rates.items():
                found.append(rate(client, connect, driver))
        socket_, attachment = (statistics.median(found) for found in rates.values())
        print(f"{driver}: bare socket {socket_:.0f} MB/s, attachment {attachment:.0f} MB/s, {100 * attachment / socket_:.0f} %", flush=True)
    rates = {rate: [], rate_of_process: []}
    for _ in range(rounds):
        for measure, found in rates.items():
            found.append(measure(client, bare, "none"))
    socket_, attachment = (statistics.median(found) for found in rates.values())
    print(f"none: bare socket {socket_:.0f} MB/s, a process in a container {attachment:.0f} MB/s, {100 * attachment / socket_:.0f} %", flush=True)


if __name__ == "__main__":
    main()
