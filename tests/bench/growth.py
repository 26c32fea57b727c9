# SPDX-License-Identifier: LGPL-2.1-or-later
"""What grows with the number of containers, and what must not."""

import os
import sqlite3
import statistics

from rows import Row, at_most

COUNTS = (10, 100, 1000, 10000)
READS = {
    "ListContainers": ("/io/conbus1", "io.conbus1.Manager", "ListContainers"),
    "GetManagedObjects": ("/io/conbus1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"),
    "GetAll of one": ("/container/stored", "org.freedesktop.DBus.Properties", "GetAll", "io.conbus1.Container"),
    "GetContainer by prefix": ("/io/conbus1", "io.conbus1.Manager", "GetContainer", f"{2:064x}"),
}
ANSWERS_GROW = ("ListContainers", "GetManagedObjects")


def store(conbus, first, last):
    """Rows of one container copied under new ids while the service is away: as many stored containers as one likes."""
    conbus.end_service()
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


def start_rows(conbus, n):
    """From a call to a service that is not there until it owns its name, and until it has answered, for which it has to know all containers."""
    last = n == COUNTS[-1]
    owned = Row(f"start of the service until its name is owned, {n} stored containers", "us", "within 50 ms" if last else "", met=at_most(50000) if last else None)
    answered = Row(f"start of the service, {n} stored containers", "us", "everything answered within 300 ms" if last else "", met=at_most(300000) if last else None)
    for i in range(5):
        if i:
            conbus.end_service()
        for row, samples in zip((owned, answered), conbus.client("wake", "/io/conbus1", "io.conbus1.Manager", "GetContainer", "stored")):
            row.add("conbus", samples)
    return [owned, answered]


def samples_of(name, n):
    """Enough that the first ones, whose code and data are in no cache, do not count."""
    return 300 if name not in ANSWERS_GROW else 10 if n < 10000 else 5


def judge(rows, name):
    """The last row of a name against the first: an answer that grows may take as much longer as it is longer, others are flat. Half as much again is left to the machine, and 0.15 ms: so much depends on which of two processors three processes wake each other."""
    first, last = rows[0], rows[-1]
    first_median = statistics.median(first.samples["conbus"])
    factor = COUNTS[-1] / COUNTS[0] if name in ANSWERS_GROW else 1
    last.goal = "grows as its answer" if name in ANSWERS_GROW else "flat"
    last.met = at_most(max(1.5 * factor * first_median, first_median + 150))


def growth(conbus, floor, podman, scale):
    """The cost of a read, of a whole life and of a start of the service with 10, 100, 1000 and 10 000 stored containers."""
    rows, series, have = [], {}, 1
    conbus.create("stored", "/bin/true")
    for n in COUNTS:
        store(conbus, have, n)
        have = n
        rows.extend(start_rows(conbus, n))
        for name, words in READS.items():
            series.setdefault(name, []).append(Row(f"{name}, {n} stored containers", "us", "", {"conbus": list(conbus.client("call", samples_of(name, n), *words)[0])}))
        series.setdefault("create + start + wait + remove", []).append(Row(f"create + start + wait + remove, {n} stored containers", "us", "", {"conbus": list(conbus.lifecycle(4 + 4 * scale, "overlay"))}))
        rows.extend(found[-1] for found in series.values())
    for name, found in series.items():
        judge(found, name)
    conbus.end_service()
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(f"/var/lib/conbus/conbus.db{suffix}"):
            os.unlink(f"/var/lib/conbus/conbus.db{suffix}")
    return rows
