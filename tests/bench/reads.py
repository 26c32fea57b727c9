# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads and waits."""

from contenders import ROOTFS
from rows import Row, at_most


def reads(conbus, floor, podman, scale):
    """With 1000 containers, of which ten run."""
    n, of_podman = 1000, 1000 if scale > 1 else 100
    conbus.client("create", ROOTFS, n, "many")
    conbus.client("start", "many", 10)
    for i in range(of_podman):
        podman.create(f"many{i}", "/bin/sleep", "100000")
    rows = [Row("ListContainers, 1000 containers", "us", "at most 5 ms, at least 30x faster than podman", met=lambda m: m["conbus"] <= 5000 and m["peer"] >= 30 * m["conbus"]),
            Row("GetManagedObjects, 1000 containers", "us", "at most 50 ms", met=at_most(50000)),
            Row("GetAll of one container", "us", "at most 0.3 ms", met=at_most(300)),
            Row("Inspect", "us", "at most 1 ms", met=at_most(1000))]
    calls = [("/io/conbus1", "io.conbus1.Manager", "ListContainers"), ("/io/conbus1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"),
             ("/container/many0", "org.freedesktop.DBus.Properties", "GetAll", "io.conbus1.Container"), ("/container/many0", "io.conbus1.Container", "Inspect")]
    for _ in range(3 * scale):
        for row, words in zip(rows, calls):
            row.add("conbus", conbus.client("call", 10, *words)[0])
        rows[0].add("peer", podman.timed(2, "/containers/json?all=true"))
        rows[3].add("peer", podman.timed(10, "/containers/many0/json"))
    if of_podman != n:  # the goal is about as many
        rows[0].name += f" (podman: {of_podman})"
        rows[0].met = at_most(5000)
    conbus.remove_all()
    podman.remove_all()
    return rows


def waits(conbus, floor, podman, scale):
    registered, answered = conbus.client("waits", ROOTFS, 10, 1000)
    return [Row("10 000 waits on one end: made", "us", "", {"conbus": registered}), Row("10 000 waits on one end: last answer", "us", "all answered", {"conbus": answered}, met=lambda m: True)]
