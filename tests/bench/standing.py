# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the service costs while containers run: memory, system calls, health checks."""

import os
import subprocess
import sys

from contenders import PROGRAMS, ROOTFS, resident
from rows import Row, at_most, at_most_floor

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "system"))
from test_idle import Trace  # noqa: E402


def idle_calls(conbus, seconds):
    """System calls of the service's own in so much time, as tests/system/test_idle.py looks at them."""
    trace = Trace(conbus)
    trace.rest()
    before = len(trace.lines())
    try:
        trace.process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        pass
    calls = len(trace.lines()) - before
    trace.end()
    return calls


def running(conbus, floor, podman, scale):
    """Memory and idle system calls of a service that was started for this, with running containers. The floor of memory is linked.c."""
    rows, have = [], 0
    conbus.end_service()
    for n in (10, 100) if scale == 1 else (10, 100, 500, 1000):
        conbus.client("create", ROOTFS, n - have, f"run{n}-")
        conbus.client("start", f"run{n}-", n - have)
        have = n
        memory = Row(f"resident memory, {n} running", "B", "at most 8 MB + 4 KB each", met=at_most(8 * 2**20 + 4096 * n))
        memory.add("conbus", [resident(conbus.pid())])
        if n == 10:
            memory.add("floor", [int(subprocess.run([f"{PROGRAMS}/linked"], stdout=subprocess.PIPE, check=True).stdout)])
        rows.append(memory)
        if n in (100, 500):
            seconds = 60 if scale > 1 else 5
            rows.append(Row(f"system calls in {seconds} idle s, {n} running", "", "0", {"conbus": [idle_calls(conbus, seconds)]}, met=at_most(0)))
    conbus.remove_all()
    return rows


def health(conbus, floor, podman, scale):
    n = 100 * scale
    row = Row("one health check", "us", "at most 1.2x a bare crun exec", met=at_most_floor(1.2))
    conbus.create("checked", "/bin/sleep", "100000", config=("key", "health", "a{sv}", 2, "test", "as", 2, "CMD", "/bin/true", "interval-usec", "t", 0))
    conbus.container("checked", "Start")
    conbus.client("call", 1, "/container/checked", "io.conbus1.Health", "Check")
    wal = "/var/lib/conbus/conbus.db-wal"
    before = os.stat(wal)
    for _ in range(5):
        row.add("conbus", conbus.client("call", n // 5, "/container/checked", "io.conbus1.Health", "Check")[0])
        row.add("floor", floor.measure("sleep", "exec", 20)[0])
    after = os.stat(wal)
    writes = Row(f"store writes in {n} unchanged checks", "", "0", met=at_most(0))
    writes.add("conbus", [int((before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size))])
    conbus.remove_all()
    return [row, writes]
