# SPDX-License-Identifier: LGPL-2.1-or-later
"""One connection to the bus whose messages are taken one by one in the order in which the bus sent them. GDBus spreads signals and replies over a thread and idle sources and promises no order between them, and that order is what the walk checks."""

import os
import socket
import struct

import wire

BUS = "org.freedesktop.DBus"


class Connection:
    def __init__(self, rules=()):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(os.environ["DBUS_SYSTEM_BUS_ADDRESS"].removeprefix("unix:path="))
        self.data, self.fds, self.serial = bytearray(), [], 0
        self._authenticate()
        self.name = self.ask("Hello")[0]
        for rule in rules:
            self.ask("AddMatch", "s", rule)

    def _authenticate(self):
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n")
        lines = b""
        while lines.count(b"\r\n") < 2:
            lines += self.socket.recv(1)
        assert lines.startswith(b"OK ") and b"AGREE_UNIX_FD" in lines, lines

    def close(self):
        self.socket.close()

    def send(self, destination, path, interface, member, signature="", *values):
        """Sends a call and returns its serial."""
        self.serial += 1
        self.socket.sendall(wire.method_call(self.serial, destination, path, interface, member, signature, values))
        return self.serial

    def ask(self, member, signature="", *values):
        """Asks the bus itself and waits; only before anything else is under way."""
        serial = self.send(BUS, "/org/freedesktop/DBus", BUS, member, signature, *values)
        while True:
            self._receive(0)
            for message, _ in self.messages():
                if message.reply_serial == serial:
                    return message.body

    def _receive(self, flags):
        """False when there is nothing more at present."""
        try:
            data, control, _, _ = self.socket.recvmsg(1 << 18, socket.CMSG_SPACE(16 * 4), socket.MSG_CMSG_CLOEXEC | flags)
        except BlockingIOError:
            return False
        if not data:
            raise AssertionError("the bus has closed a connection")
        for level, kind, bytes_ in control:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self.fds += struct.unpack(f"{len(bytes_) // 4}i", bytes_)
        self.data += data
        return True

    def messages(self):
        """The complete messages received so far: (message, descriptors)."""
        while True:
            size = wire.size_of(self.data)
            if size is None or len(self.data) < size:
                return
            message = wire.parse(bytes(self.data[:size]))
            del self.data[:size]
            fds, self.fds = self.fds[: message.n_fds], self.fds[message.n_fds :]
            yield message, fds

    def read(self):
        while self._receive(socket.MSG_DONTWAIT):
            yield from self.messages()
