#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What calls cost in conbusd: instructions, counted by callgrind. They are the same on a busy machine and an idle one, so that a regression is seen where a time would say nothing. tests/system/test_idle.py counts system calls."""

import os
import re
import shutil
import sqlite3
import sys
from types import SimpleNamespace

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [f"{SOURCE}/tests", f"{SOURCE}/tests/bench"]
if "CONBUS_SANDBOX" not in os.environ:
    os.environ["CONBUS_WRAPPER"] = f"{SOURCE}/tests/measure/callgrind"
import growth  # noqa: E402
from harness import CONTAINER, Skip, main, on_real_runtime  # noqa: E402

# Measured on Debian 12 in the debug build, and a third more: another compiler or library may take that, a search that has become linear does not. CONBUS_COSTS=1 prints what there is.
READ_MOST, LIST_MOST, START_MOST, LIFE_MOST = 46_000, 12_000, 5_800_000, 14_000_000
READS, STARTS, LISTED = 200, 5, 50
# Stored containers, and how much dearer they may make what has nothing to do with them. To look at the configuration of each would be many times as much.
STORED, GROWTH_MOST = 1000, 1.5


def say(what, cost, most):
    if "CONBUS_COSTS" in os.environ:
        print(f"# {what}: {cost} instructions, at most {most}", flush=True)
    assert cost <= most, f"{what}: {cost} instructions, at most {most}"


def instructions(client, function):
    """Of one life of the service, with the function in the middle."""
    client.manager("Dump")
    pid = client.service_pid()
    function()
    client.kill_service(15)
    path = f"{os.environ['CONBUS_SANDBOX']}/callgrind.{pid}"
    with open(path, encoding="utf-8") as sums:
        return int(re.search(r"^(?:summary|totals): (\d+)", sums.read(), re.M)[1])


def need_valgrind():
    if not shutil.which("valgrind"):
        raise Skip("valgrind is not installed")


@on_real_runtime
def test_instructions(client):
    need_valgrind()
    paths = [client.create(f"cost{number}", "sleep", "1000") for number in range(LISTED)]
    client.kill_service(15)

    def read(times):
        for _ in range(times):
            client.get(paths[0], "State")

    def start():
        for path in paths[:STARTS]:
            client.call(path, CONTAINER, "Start")

    def live():
        for _ in range(STARTS):
            path = client.create("life", "true")
            client.call(path, CONTAINER, "Start")
            client.call(path, CONTAINER, "Wait")
            client.call(path, CONTAINER, "Remove")

    def list_all():
        for _ in range(10):
            client.manager("ListContainers")

    nothing = instructions(client, lambda: read(1))
    say("a property read", (instructions(client, lambda: read(1 + READS)) - nothing) // READS, READ_MOST)
    say("a container of ListContainers", (instructions(client, list_all) - nothing) // 10 // LISTED, LIST_MOST)
    say("a life", (instructions(client, live) - nothing) // STARTS, LIFE_MOST)
    say("a start", (instructions(client, start) - nothing) // STARTS, START_MOST)


@on_real_runtime
def test_what_is_stored_makes_no_other_container_dearer(client):
    need_valgrind()
    client.create("first", "true")

    def come_and_go():
        for number in range(STARTS):
            path = client.create(f"passing{number}", "true")
            client.manager("GetContainer", "s", path.rsplit("/", 1)[1][:12])
            client.call(path, CONTAINER, "Remove")

    def cost():
        nothing = instructions(client, lambda: client.manager("ListRuns", "su", "first", 0))
        return (instructions(client, come_and_go) - nothing) // STARTS

    client.kill_service(15)
    alone = cost()
    client.manager("Dump")
    growth.store(SimpleNamespace(end_service=lambda: client.kill_service(15)), 1, STORED)
    say(f"a creation, a search by prefix and a removal beside {STORED} stored containers", cost(), int(GROWTH_MOST * alone))
    with sqlite3.connect("/var/lib/conbus/conbus.db") as database:  # to remove them one by one would take longer than all of the test
        for table in ("container", "life"):
            database.execute(f"DELETE FROM {table} WHERE id GLOB '0000000000*'")
    database.close()


if __name__ == "__main__":
    sys.exit(main())
