#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A service with nothing to do makes no system call, however many containers run."""

import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, main, on_real_runtime, options, wait_for  # noqa: E402

SECONDS = int(os.environ.get("CONBUS_IDLE_SECONDS", "10"))
CONTAINERS = 20
# The call that strace interrupts when it comes and leaves: the loop's one wait.
WAITING = re.compile(r"epoll_p?wait2?\(|restart_syscall\(<\.\.\. resuming interrupted ")


class Trace:
    """strace of the service and all its threads and children, into a file."""

    def __init__(self, client):
        self.path = os.environ["CONBUS_SANDBOX"] + "/trace"
        self.process = subprocess.Popen(["strace", "-f", "-o", self.path, "-p", str(client.service_pid())], stderr=subprocess.PIPE, encoding="utf-8")
        assert "attached" in self.process.stderr.readline()

    def lines(self):
        with open(self.path, encoding="utf-8") as trace:
            return [line.split(None, 1)[1] for line in trace if " " in line]

    def is_waiting(self):
        """The last line is the loop's one wait, which has not returned."""
        lines = self.lines()
        return bool(lines) and bool(WAITING.match(lines[-1])) and not lines[-1].endswith("\n")

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        self.process.stderr.close()


@on_real_runtime
def test_no_system_call_while_nothing_happens(client):
    for number in range(CONTAINERS):
        client.call(client.create(f"idle{number}", "sleep", "1000000"), CONTAINER, "Start")
    wait_for(lambda: all(client.get(path, "Operation") == "" for *_, path in client.manager("ListContainers")[0]), "rest", poll=True)
    trace = Trace(client)
    wait_for(trace.is_waiting, "the end of what the service was at", poll=True)
    before = trace.lines()
    try:
        trace.process.wait(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        pass
    assert trace.process.poll() is None, "strace has ended"
    calls = trace.lines()[len(before) - 1 :]
    assert calls == before[-1:], f"in {SECONDS} s:\n" + "".join(calls[:20])
    # That it looked at the right process and would have seen one:
    client.manager("Dump")
    wait_for(lambda: any("sendmsg" in line for line in trace.lines()), "a call in the trace", poll=True)
    trace.end()
    for *_, path in client.manager("ListContainers")[0]:
        client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))


if __name__ == "__main__":
    main()
