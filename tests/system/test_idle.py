#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A service with nothing to do makes no system call, however many containers run, with logs that are bounded and followed; and how many it makes for a call."""

import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, main, on_real_runtime, options, wait_for  # noqa: E402
from logs import Log  # noqa: E402

SECONDS = int(os.environ.get("CONBUS_IDLE_SECONDS", "10"))
CONTAINERS = 20
QUIET_SECONDS = 2.5
# A third more than there are on Debian 12; CONBUS_COSTS=1 prints them.
READ_CALLS, START_CALLS = 13, 520
# The call that strace interrupts when it comes and leaves: the loop's one wait.
WAITING = re.compile(r"epoll_p?wait2?\(|restart_syscall\(<\.\.\. resuming interrupted ")


class Trace:
    """strace of the service into a file, with all its threads and children or alone."""

    def __init__(self, client, follow=True):
        self.path = os.environ["CONBUS_SANDBOX"] + "/trace"
        self.process = subprocess.Popen(["strace", *(("-f",) if follow else ()), "-o", self.path, "-p", str(client.service_pid())], stderr=subprocess.PIPE, encoding="utf-8")
        assert "attached" in self.process.stderr.readline()

    def lines(self):
        """Without the process id in front, which a trace of one process does not have."""
        with open(self.path, encoding="utf-8") as trace:
            return [re.sub(r"^\d+ +", "", line) for line in trace if " " in line]

    def is_waiting(self):
        """The last line is the loop's one wait, which has not returned."""
        lines = self.lines()
        return bool(lines) and bool(WAITING.match(lines[-1])) and not lines[-1].endswith("\n")

    def rest(self):
        """Waits until nothing has come for a while: what follows from what was done last, as the second look at a log that was written into, is not idleness. Somebody who polls never rests."""
        seen = [0, 0.0]

        def quiet():
            if len(self.lines()) != seen[0]:
                seen[:] = [len(self.lines()), time.monotonic()]
            return self.is_waiting() and time.monotonic() - seen[1] > QUIET_SECONDS

        wait_for(quiet, "rest", poll=True)

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()
        self.process.stderr.close()


def watches(pid):
    """Files and directories that the service watches; a log that was written a moment ago is looked at by a timer instead."""
    found = 0
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        with open(f"/proc/{pid}/fdinfo/{fd}", encoding="utf-8") as info:
            found += sum(line.startswith("inotify ") for line in info)
    return found


@on_real_runtime
def test_no_system_call_while_nothing_happens(client):
    for number in range(CONTAINERS):
        client.call(client.create(f"idle{number}", "sh", "-c", "echo up; exec sleep 1000000", log_size_max=1000000), CONTAINER, "Start")
    followed = Log(client, client.manager("GetContainer", "s", "idle0")[0], follow=True)
    followed.read_until(b"up")
    wait_for(lambda: all(client.get(path, "Operation") == "" for *_, path in client.manager("ListContainers")[0]), "rest", poll=True)
    wait_for(lambda: watches(client.service_pid()) > CONTAINERS, "rest of the logs", poll=True)
    trace = Trace(client)
    trace.rest()
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
    followed.close()
    for *_, path in client.manager("ListContainers")[0]:
        client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))


@on_real_runtime
def test_system_calls_of_a_read_and_a_start(client):
    """As tests/system/test_costs.py counts instructions."""
    path = client.create("cost", "sleep", "1000")
    client.get(path, "State")
    trace = Trace(client, follow=False)

    def calls(function):
        wait_for(trace.is_waiting, "the end of what the service was at", poll=True)
        before = len(trace.lines())
        function()
        wait_for(trace.is_waiting, "the end of the call", poll=True)
        return len(trace.lines()) - before

    def start():
        """What takes a lock of all control groups, which others hold for tens of milliseconds, is done by children."""
        before = len(trace.lines())
        client.call(path, CONTAINER, "Start")
        lines = trace.lines()[before:]
        assert any("config.json" in line for line in lines), "the trace does not show the start"
        looks = [line for line in lines if "/sys/fs/cgroup" in line]
        assert not looks, "".join(looks)

    def read():
        for _ in range(20):
            client.get(path, "State")

    for what, count, most in (("a property read", calls(read) / 20, READ_CALLS), ("a start", calls(start), START_CALLS)):
        if "CONBUS_COSTS" in os.environ:
            print(f"# {what}: {count} system calls, at most {most}", flush=True)
        assert count <= most, f"{what}: {count} system calls, at most {most}"
    trace.end()
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))


@on_real_runtime
def test_the_service_goes_first_and_nothing_that_it_starts(client):
    path = client.create("plain", "sleep", "1000")
    before = os.getpriority(os.PRIO_PROCESS, 0)
    may = before == 0 and not subprocess.run(["nice", "-n", "-10", "true"], stderr=subprocess.PIPE, check=True).stderr
    client.call(path, CONTAINER, "Start")
    assert os.getpriority(os.PRIO_PROCESS, client.service_pid()) == (-10 if may else before)
    for what in ("MainPID", "MonitorPID"):
        nice = os.getpriority(os.PRIO_PROCESS, client.get(path, what))
        assert nice == before, f"{what} has the nice value {nice}"
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))


if __name__ == "__main__":
    main()
