# SPDX-License-Identifier: LGPL-2.1-or-later
"""conbusctl with pipes, and on a pseudo-terminal that a program drives; for tests."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

from harness import DEADLINE

CONBUSCTL = f"{os.environ.get('CONBUS_BUILD_DIR')}/client/conbusctl"


def run(*words, data=b"", **keys):
    done = subprocess.run([CONBUSCTL, *words], input=data, capture_output=True, timeout=DEADLINE * 2, check=False, **keys)
    return done.returncode, done.stdout, done.stderr


class Terminal:
    """A pseudo-terminal with conbusctl, or another program, in it."""

    def __init__(self, *words, rows=24, columns=80, stdout=None, program=CONBUSCTL):
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.mode = termios.tcgetattr(slave)
        self.slave = slave
        self.text = b""
        self.process = subprocess.Popen([program, *words], stdin=slave, stdout=slave if stdout is None else stdout, stderr=slave, start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text)

    def expect(self, text):
        end = time.monotonic() + DEADLINE
        while text not in self.text:
            assert select.select([self.master], [], [], max(0, end - time.monotonic()))[0], f"{text} did not come: {self.text}"
            self.text += os.read(self.master, 65536)
        self.text = self.text[self.text.index(text) + len(text):]

    def expect_size(self, rows, columns):
        """Until what runs in it has heard of its size; it answers the word `size`."""
        wanted, end = f"{rows} {columns}\r\n".encode(), time.monotonic() + DEADLINE
        while wanted not in self.text:
            assert time.monotonic() < end, f"the size does not come: {self.text}"
            self.type(b"size\r")
            self.expect(b"size\r\n")
            before = self.text
            self.expect(b"got size\r\n")
            if wanted in before + self.text:
                return

    def is_as_before(self):
        return termios.tcgetattr(self.slave) == self.mode

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    def wait(self):
        """The exit status; the terminal must be as it was."""
        status = self.process.wait(DEADLINE)
        assert termios.tcgetattr(self.slave) == self.mode, "the terminal was not given back"
        os.close(self.master)
        os.close(self.slave)
        return status
