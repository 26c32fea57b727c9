# SPDX-License-Identifier: LGPL-2.1-or-later
"""Faults of tests/fakes/crun and conmon, ordered by a test: what the programs know is told in tests/fakes/fault.h. harness.main() fails a test that has left a fault unused."""

import contextlib
import fcntl
import itertools
import os
import subprocess

from harness import FAULT_PLAN, wait_for

_numbers = itertools.count()


def order(program, point, action, argument="", nth=1):
    """At the nth passage of the point from now on (1 is the next one, "*" each) the program does this instead."""
    with open(FAULT_PLAN, "a", encoding="utf-8") as plan:
        fcntl.flock(plan, fcntl.LOCK_EX)
        plan.write(f"{program} {point} {nth} {action} {argument}".rstrip() + "\n")


def cancel():
    """Takes back whatever is still ordered."""
    os.unlink(FAULT_PLAN)


@contextlib.contextmanager
def busy_files(path):
    """The files of this container, which has been prepared before, cannot be removed."""
    busy = f"/var/lib/conbus/containers/{path.rsplit('/', 1)[1]}/busy"
    os.mkdir(busy)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", busy], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", busy], check=True)


class Gate:
    """A point at which a fake waits: reached() returns when it is there, open() lets it go on."""

    def __init__(self, program, point, nth=1):
        self.path = f"{os.environ['CONBUS_SANDBOX']}/gate{next(_numbers)}"
        self.what = f"{program} at {point}"
        self.fd = -1
        os.mkfifo(self.path)
        order(program, point, "gate", self.path, nth)

    def _try(self):
        try:
            self.fd = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads yet
            return False
        return True

    def reached(self):
        wait_for(self._try, self.what, poll=True)
        return self

    def open(self):
        if self.fd < 0:
            self.reached()
        os.close(self.fd)
        os.unlink(self.path)
