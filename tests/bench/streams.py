# SPDX-License-Identifier: LGPL-2.1-or-later
"""What flows: attachments, processes in containers, logs. Throughput is in MB/s; tests/measure has the ways."""

import os
import sys

from contenders import own_memory
from rows import Row, at_least_floor, at_most, at_most_floor

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "measure"))
import attach  # noqa: E402
import follow  # noqa: E402
from harness import CONTAINER, Client, options  # noqa: E402


def streams(conbus, floor, podman, scale):
    """The floor of an attachment is conmon's bare socket, that of a log is cat(1) of its file through a pipe."""
    client, n = Client(), 2 + scale
    attach.prepare(50 if scale == 1 else 200)
    to_container = Row("throughput of an attachment", "MB/s", "at least 90 % of conmon's bare socket", met=at_least_floor(0.9))
    to_process = Row("throughput of a process in a container", "MB/s", "at least 90 % of conmon's bare socket", met=at_least_floor(0.9))
    for _ in range(n):
        to_container.add("floor", [attach.rate(client, attach.bare, "k8s-file")])
        to_container.add("conbus", [attach.rate(client, attach.attached, "k8s-file")])
        to_process.add("floor", [attach.rate(client, attach.bare, "none")])
        to_process.add("conbus", [attach.rate_of_process(client, attach.bare, "none")])
    return [to_container, to_process, *(log_row(client, shape, make, n) for shape, make in follow.SHAPES.items())]


def log_row(client, shape, make, n):
    row = Row(f"throughput of a log that is followed, {shape}", "MB/s", "at least 90 % of cat", met=at_least_floor(0.9))
    path = follow.written(client, make)
    log = f"/var/lib/conbus/containers/{path.rsplit('/', 1)[1]}/log"
    for _ in range(n):
        row.add("floor", [follow.rate(client, follow.cat, path, log)])
        row.add("conbus", [follow.rate(client, follow.followed, path, log)])
    client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
    return row


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def execs(conbus, floor, podman, scale):
    """The first tenth makes the service what it is from then on."""
    n = 100 if scale == 1 else 1000
    row = Row(f"{n} execs of /bin/true, each", "us", "at most 1.2x a bare conmon exec", met=at_most_floor(1.2))
    memory, files = Row(f"growth of the service's own memory over {n} execs", "B", "none", met=at_most(64 * 1024)), Row(f"growth of open descriptors over {n} execs", "", "none", met=at_most(0))
    conbus.create("executed", "/bin/sleep", "100000")
    conbus.container("executed", "Start")
    floor.learn_process("executed")
    conbus.client("exec", "executed", n // 10)
    pid = conbus.pid()
    before = own_memory(pid), descriptors(pid)
    for _ in range(10):
        row.add("conbus", conbus.client("exec", "executed", n // 10)[0])
        row.add("floor", floor.measure("sleep", "conmon-exec", max(n // 50, 5))[0])
    memory.add("conbus", [max(0, own_memory(pid) - before[0])])
    files.add("conbus", [max(0, descriptors(pid) - before[1])])
    conbus.remove_all()
    return [row, memory, files]
