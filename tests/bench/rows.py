# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is measured. Each function takes the contenders and a scale (1 for --quick) and returns Rows."""

import os
import re
import sqlite3
import subprocess
import time
from dataclasses import dataclass, field

from contenders import ROOTFS, resident, run


@dataclass
class Row:
    name: str
    unit: str
    goal: str
    samples: dict = field(default_factory=dict)  # contender -> values
    met: object = None  # function of the medians to a truth value

    def add(self, contender, values):
        self.samples.setdefault(contender, []).extend(values)


def at_most_floor(factor):
    return lambda m: m["conbus"] <= factor * m["floor"]


def interleave(contenders, rounds, measure):
    """A B C A B C …: measure(contender) is called for each in turn."""
    for _ in range(rounds):
        for contender in contenders:
            measure(contender)


def life(conbus, floor, podman, scale):
    row = Row("create + start + wait + remove of /bin/true", "us", "at most 1.10x the floor, at least 4x faster than podman", met=lambda m: m["conbus"] <= 1.1 * m["floor"] and m["peer"] >= 4 * m["conbus"])
    interleave((conbus, floor, podman), 5 * scale, lambda one: row.add(one.name, one.lifecycle(4 if one is not podman else 1)))
    start = Row("start alone", "us", "at most 1.10x the floor", met=at_most_floor(1.1))
    stop = Row("stop alone (SIGKILL)", "us", "at most 1.10x the floor", met=at_most_floor(1.1))

    def both(one):
        starts, stops = one.start_stop(4 if one is not podman else 1)
        start.add(one.name, starts)
        stop.add(one.name, stops)

    interleave((conbus, floor, podman), 5 * scale, both)
    return [row, start, stop]


def death(conbus, floor, podman, scale):
    row = Row("death of PID 1 to a waiting client's answer", "us", "median at most 3 ms, at least 20x faster than podman", met=lambda m: m["conbus"] <= 3000 and m["peer"] >= 20 * m["conbus"])
    interleave((conbus, floor, podman), 5 * scale, lambda one: row.add(one.name, one.death(4 if one is not podman else 1)))
    return [row]


def reads(conbus, floor, podman, scale):
    """With 1000 containers, of which ten run."""
    n = 1000
    conbus.client("create", ROOTFS, n, "many")
    conbus.client("start", "many", 10)
    for i in range(n if scale > 1 else 100):
        podman.create(f"many{i}", "/bin/sleep", "100000")
    rows = [Row("ListContainers, 1000 containers", "us", "at most 5 ms, at least 30x faster than podman", met=lambda m: m["conbus"] <= 5000 and m["peer"] >= 30 * m["conbus"]),
            Row("GetManagedObjects, 1000 containers", "us", "at most 50 ms", met=lambda m: m["conbus"] <= 50000),
            Row("GetAll of one container", "us", "at most 0.3 ms", met=lambda m: m["conbus"] <= 300),
            Row("Inspect", "us", "at most 1 ms", met=lambda m: m["conbus"] <= 1000)]
    calls = [("/io/conbus1", "io.conbus1.Manager", "ListContainers"), ("/io/conbus1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"),
             ("/container/many0", "org.freedesktop.DBus.Properties", "GetAll", "io.conbus1.Container"), ("/container/many0", "io.conbus1.Container", "Inspect")]
    for _ in range(3 * scale):
        for row, words in zip(rows, calls):
            row.add("conbus", conbus.client("call", 10, *words)[0])
        rows[0].add("peer", podman.timed(2, "/containers/json?all=true"))
        rows[3].add("peer", podman.timed(10, "/containers/many0/json"))
    if scale == 1:
        rows[0].name += " (podman: 100)"
    conbus.remove_all()
    for i in range(n if scale > 1 else 100):
        podman.remove(f"many{i}")
    return rows


def system_calls(pid, seconds):
    """System calls of the service's own: strace counts what it interrupted when it attached as one restart."""
    process = subprocess.run(["timeout", "-s", "INT", str(seconds), "strace", "-f", "-c", "-p", str(pid)], stderr=subprocess.PIPE, text=True, check=False)
    return sum(int(found[1]) for line in process.stderr.splitlines() if (found := re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)(?:\s+\d+)?\s+(\w+)$", line)) and found[2] not in ("total", "restart_syscall", "epoll_wait"))


def running(conbus, floor, podman, scale):
    """Memory and idle system calls with running containers."""
    rows, have = [], 0
    for n in (10, 100) if scale == 1 else (10, 100, 500, 1000):
        conbus.client("create", ROOTFS, n - have, f"run{n}-")
        conbus.client("start", f"run{n}-", n - have)
        have = n
        limit = 8 * 2**20 + 4096 * n
        memory = Row(f"resident memory, {n} running", "B", "at most 8 MB + 4 KB each", met=lambda m, limit=limit: m["conbus"] <= limit)
        memory.add("conbus", [resident(conbus.pid())])
        rows.append(memory)
        if n in (100, 500):
            seconds = 60 if scale > 1 else 5
            calls = Row(f"system calls in {seconds} idle s, {n} running", "", "0", met=lambda m: m["conbus"] == 0)
            time.sleep(2)
            calls.add("conbus", [system_calls(conbus.pid(), seconds)])
            rows.append(calls)
    conbus.remove_all()
    return rows


def parallel(conbus, floor, podman, scale):
    n = 100 if scale > 1 else 30
    row = Row(f"{n} starts at once", "us", "at least 95 % of the floor's throughput", met=lambda m: m["conbus"] * 0.95 <= m["floor"])
    read = Row("slowest property read meanwhile", "us", "at most 5 ms", met=lambda m: m["conbus"] <= 5000)
    for _ in range(1 if scale == 1 else 3):
        row.add("floor", floor.measure("sleep", "parallel", n)[0])
        conbus.client("create", ROOTFS, n, "crowd")
        total, _, slowest = conbus.client("start", "crowd", n)
        row.add("conbus", total)
        read.add("conbus", slowest)
        conbus.remove_all()
    return [row, read]


def waits(conbus, floor, podman, scale):
    registered, answered = conbus.client("waits", ROOTFS, 10, 1000)
    return [Row("10 000 waits on one end: made", "us", "", {"conbus": registered}), Row("10 000 waits on one end: last answer", "us", "all answered", {"conbus": answered}, met=lambda m: True)]


def health(conbus, floor, podman, scale):
    row = Row("one health check", "us", "at most 1.2x a bare crun exec", met=at_most_floor(1.2))
    writes = Row("store writes in 1000 unchanged checks" if scale > 1 else "store writes in 100 unchanged checks", "", "0", met=lambda m: m["conbus"] == 0)
    conbus.create("checked", "/bin/sleep", "100000", config=("key", "health", "a{sv}", 2, "test", "as", 2, "CMD", "/bin/true", "interval-usec", "t", 0))
    conbus.container("checked", "Start")
    conbus.client("call", 1, "/container/checked", "io.conbus1.Health", "Check")
    wal = "/var/lib/conbus/conbus.db-wal"
    before = os.stat(wal)
    for _ in range(5):
        row.add("conbus", conbus.client("call", 20 * scale, "/container/checked", "io.conbus1.Health", "Check")[0])
        row.add("floor", floor.measure("sleep", "exec", 20)[0])
    after = os.stat(wal)
    writes.add("conbus", [int((before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size))])
    conbus.remove_all()
    return [row, writes]


def end_service(conbus):
    """SIGTERM, and the name is free again."""
    os.kill(conbus.pid(), 15)
    end = time.monotonic() + 30
    while time.monotonic() < end and "true" in run("busctl", "--json=short", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner", "s", "io.conbus1"):
        time.sleep(0.02)


def store(conbus, first, last):
    """Rows of one container copied under new ids while the service is away: as many stored containers as one likes."""
    end_service(conbus)
    with sqlite3.connect("/var/lib/conbus/conbus.db") as database:
        for table in ("container", "life"):
            names = [column[1] for column in database.execute(f"PRAGMA table_info({table})")]
            row = dict(zip(names, database.execute(f"SELECT * FROM {table}").fetchone()))
            for i in range(first, last):
                row["id"] = f"{i + 1:064x}"
                if "name" in row:
                    row["name"] = f"stored{i}"
                database.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(names))})", list(row.values()))
    database.close()


GROWTH = {
    "ListContainers": ("/io/conbus1", "io.conbus1.Manager", "ListContainers"),
    "GetManagedObjects": ("/io/conbus1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"),
    "GetAll of one": ("/container/stored", "org.freedesktop.DBus.Properties", "GetAll", "io.conbus1.Container"),
    "GetContainer by prefix": ("/io/conbus1", "io.conbus1.Manager", "GetContainer", "s"),
}


def growth(conbus, floor, podman, scale):
    """The cost of a read and of a start of the service with 10, 100, 1000 and 10 000 stored containers."""
    rows, have = [], 1
    conbus.create("stored", "/bin/true")
    for n in (10, 100, 1000, 10000):
        store(conbus, have, n)
        have = n
        start = Row(f"start of the service, {n} stored containers", "us", "everything answered within 300 ms" if n == 10000 else "", met=(lambda m: m["conbus"] <= 300000) if n == 10000 else None)
        for i in range(3):
            if i:
                end_service(conbus)
            begin = time.monotonic_ns()
            conbus.container("stored", "ListRuns", "u", 0)
            start.add("conbus", [(time.monotonic_ns() - begin) // 1000])
        rows.append(start)
        for name, words in GROWTH.items():
            if name == "GetContainer by prefix":
                words = (*words[:3], f"{2:064x}")
            row = Row(f"{name}, {n} stored containers", "us", "")
            row.add("conbus", conbus.client("call", 10 if n < 10000 else 3, *words)[0])
            rows.append(row)
    end_service(conbus)
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(f"/var/lib/conbus/conbus.db{suffix}"):
            os.unlink(f"/var/lib/conbus/conbus.db{suffix}")
    return rows


ALL = (life, death, reads, parallel, running, waits, health, growth)
