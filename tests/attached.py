# SPDX-License-Identifier: LGPL-2.1-or-later
"""The other end of an attachment, for tests."""

import json
import os
import socket

from harness import CONTAINER, DEADLINE, JOB, GLib, options, wait_for

LARGE = 100 * 1000 * 1000


def attach_options(**keys):
    return GLib.Variant("a{sv}", options(**keys))


def noise(size):
    """Every byte there is, with a newline now and then, as a file /noise of the containers' root file system; its contents."""
    path = f"{os.environ['CONBUS_TEST_ROOTFS']}/noise"
    data = os.urandom(size)
    with open(path, "wb") as file:
        file.write(data)
    return data


class Attached:
    """A client on the other end of an attachment; packets unless told otherwise."""

    def __init__(self, fd, framing, job):
        self.socket = socket.socket(fileno=fd)
        self.socket.settimeout(DEADLINE)
        self.framing, self.job = framing, job
        self.streams = {1: bytearray(), 2: bytearray()}
        self.last = None

    def send(self, data):
        for at in range(0, len(data), 32768):
            self.socket.sendall((b"\0" if self.framing == "packets" else b"") + data[at:at + 32768])

    def end_input(self):
        self.socket.shutdown(socket.SHUT_WR)

    def read_packet(self):
        """False at the end."""
        packet = self.socket.recv(40000)
        if not packet:
            return False
        if self.framing != "packets":
            self.streams[1] += packet
        elif packet[0] == 3:
            self.last = json.loads(packet[1:])
        else:
            self.streams[packet[0]] += packet[1:]
        return True

    def read_to_end(self):
        while self.read_packet():
            pass
        self.socket.close()
        return self

    def read_until(self, text):
        while text not in self.streams[1]:
            assert self.read_packet(), f"the end came before {text}: {bytes(self.streams[1])[-200:]}"

    @property
    def out(self):
        return bytes(self.streams[1])

    @property
    def errors(self):
        return bytes(self.streams[2])


def demultiplex(data):
    """[(stream, bytes)] of the multiplexed framing."""
    pieces = []
    while data:
        assert data[1:4] == b"\0\0\0", data[:8]
        size = int.from_bytes(data[4:8], "big")
        assert len(data) >= 8 + size, "a piece is cut off"
        pieces.append((data[0], data[8:8 + size]))
        data = data[8 + size:]
    return pieces


def start(client, path, **keys):
    run, result = client.call(path, CONTAINER, "StartWith", "a{sv}", options(attach=attach_options(**keys)))
    attached = Attached(client.fds.get(0), result["framing"], result["job"])
    attached.run, attached.started = run, result["started"]
    return attached


def attach(client, path, **keys):
    _, framing, job = client.call(path, CONTAINER, "OpenAttach", "a{sv}", options(**keys))
    return Attached(client.fds.get(0), framing, job)


def end_of(client, job):
    """State and result of a job, once it has ended."""
    for _ in range(DEADLINE):
        state, result = client.call(job, JOB, "WaitFor", "t", 1000000)
        if state not in ("queued", "running", "cancelling"):
            return state, result
    raise AssertionError(f"{job} does not end")


def error_of(client, job):
    state, _ = end_of(client, job)
    assert state == "failed", state
    return client.get(job, "ErrorName", JOB).rsplit(".", 1)[1]


def streamers():
    """Process ids of conbus-stream."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/comm", encoding="utf-8") as comm:
                    if comm.read().strip() == "conbus-stream":
                        found.append(int(entry))
            except OSError:
                pass
    return found


def wait_no_streamers():
    wait_for(lambda: not streamers(), "end of the streamers", poll=True)


def running(client, name, *command, **config):
    path = client.create(name, *command, **config)
    client.call(path, CONTAINER, "Start")
    return path
