# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lives of containers: how long their verbs take, and what all processes together work for one."""

import os

from contenders import MODES, ROOTFS
from rows import Row, at_most, at_most_floor, interleave


def n_of(one, podman):
    return 4 if one is not podman else 1


def title(row, mode):
    return row if mode == "read-only" else f"{row}, on an overlay of its own"


def life_in(mode, conbus, floor, podman, scale):
    row = Row(title("create + start + wait + remove of /bin/true", mode), "us", "at most 1.10x the floor, at least 4x faster than podman",
              met=lambda m: m["conbus"] <= 1.1 * m["floor"] and m["peer"] >= 4 * m["conbus"])
    interleave((conbus, floor, podman), 5 * scale, lambda one: row.add(one.name, one.lifecycle(n_of(one, podman), mode)))
    start = Row(title("start alone", mode), "us", "at most 1.10x the floor", met=at_most_floor(1.1))
    stop = Row(title("stop alone (SIGKILL)", mode), "us", "at most 1.10x the floor", met=at_most_floor(1.1))
    compiling = Row("start alone, crun compiles the filter", "us", "")

    def both(one):
        starts, stops = one.start_stop(n_of(one, podman), mode)
        start.add(one.name, starts)
        stop.add(one.name, stops)
        if one is floor and mode == "read-only":
            compiling.add(one.name, one.start_stop(4, mode, "compiling")[0])

    interleave((conbus, floor, podman), 5 * scale, both)
    return [row, start, *([compiling] if compiling.samples else []), stop]


def life(conbus, floor, podman, scale):
    return [row for mode in MODES for row in life_in(mode, conbus, floor, podman, scale)]


def processor_time():
    """Of everything in the sandbox, in microseconds."""
    for path, factor in (("/sys/fs/cgroup/cpuacct/cpuacct.usage", 1000), ("/sys/fs/cgroup/cpu.stat", 1)):
        if os.path.exists(path):
            with open(path, encoding="ascii") as file:
                return int(file.read().split()[0 if factor == 1000 else 1]) // factor
    return 0


def work_in(mode, conbus, floor, scale):
    row = Row(title("processor time of such a life, all processes", mode), "us", "at most 1.10x the floor", met=at_most_floor(1.1))

    def measure(one):
        before = processor_time()
        one.lifecycle(20, mode)
        row.add(one.name, [(processor_time() - before) // 20])

    interleave((conbus, floor), 3 * scale, measure)
    return row


def work(conbus, floor, podman, scale):
    """Processor time is nearly the same on a busy machine and an idle one."""
    return [work_in(mode, conbus, floor, scale) for mode in MODES]


def death(conbus, floor, podman, scale):
    row = Row("death of PID 1 to a waiting client's answer", "us", "median at most 3 ms, at least 20x faster than podman", met=lambda m: m["conbus"] <= 3000 and m["peer"] >= 20 * m["conbus"])
    interleave((conbus, floor, podman), 5 * scale, lambda one: row.add(one.name, one.death(n_of(one, podman))))
    return [row]


def parallel_in(mode, conbus, floor, n):
    """The floor of the property read is a question that the bus daemon answers itself, in turns with it."""
    row = Row(title(f"{n} starts at once", mode), "us", "at least 95 % of the floor's throughput", met=lambda m: m["conbus"] * 0.95 <= m["floor"])
    median = Row(title("property read meanwhile, median", mode), "us", "at most 5 ms", met=at_most(5000))
    slowest = Row(title("slowest property read meanwhile", mode), "us", "at most 5 ms", met=at_most(5000))
    for _ in range(5):
        row.add("floor", floor.measure("sleep", "parallel", n, mode)[0])
        conbus.client("create", ROOTFS, n, "crowd", mode)
        total, *reads = conbus.client("start", "crowd", n)
        row.add("conbus", total)
        for values, (which, who) in zip(reads, ((median, "conbus"), (slowest, "conbus"), (median, "floor"), (slowest, "floor"))):
            which.add(who, values)
        conbus.remove_all()
    return [row, median, slowest]


def parallel(conbus, floor, podman, scale):
    n = 100 if scale > 1 else 30
    return [row for mode in MODES for row in parallel_in(mode, conbus, floor, n)]
