# SPDX-License-Identifier: LGPL-2.1-or-later
"""A reader of a log, for tests."""

import json
import os
import select
import time

from harness import CONTAINER, DEADLINE, GLib, options, wait_for


def read_log(client, path, lines, **keys):
    """[(stream, text)] and the cursor."""
    entries, cursor = client.call(path, CONTAINER, "ReadLog", "ua{sv}", lines, log_options(**keys))
    return [(stream, text) for _, stream, text in entries], cursor


def log_options(tail=None, **keys):
    found = options(**keys)
    if tail is not None:
        found["tail"] = GLib.Variant("u", tail)
    return found


class Log:
    """The reading end of an OpenLog."""

    def __init__(self, client, path, **keys):
        client.call(path, CONTAINER, "OpenLog", "a{sv}", log_options(**keys))
        self.fd = client.fds.steal_fds()[0]
        self.data = bytearray()

    def read_some(self, timeout=DEADLINE):
        """False at the end."""
        assert select.select([self.fd], [], [], timeout)[0], f"nothing comes after {bytes(self.data[-200:])}"
        piece = os.read(self.fd, 1 << 20)
        self.data += piece
        return bool(piece)

    def read_until(self, text):
        while text not in self.data:
            assert self.read_some(), f"the end came before {text}: {bytes(self.data[-200:])}"

    def read_to_end(self):
        while self.read_some():
            pass
        self.close()
        return bytes(self.data)

    def lines_to_end(self):
        """The objects of format json."""
        return [json.loads(line) for line in self.read_to_end().splitlines()]

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


def readers():
    """Process ids of readers of logs."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if len(words) > 1 and words[0].endswith(b"conbus-stream") and words[1] == b"log":
                found.append(int(entry))
    return found


def wait_no_readers():
    wait_for(lambda: not readers(), "end of the readers", poll=True)


def texts(objects, stream="stdout"):
    return [entry.get("text") for entry in objects if entry.get("stream") == stream]


def now_usec():
    return time.time_ns() // 1000
