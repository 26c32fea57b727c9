#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What calls cost in conbusd: instructions, counted by callgrind. They are the same on a busy machine and an idle one, so that a regression is seen where a time would say nothing. tests/system/test_idle.py counts system calls."""

import os
import re
import shutil
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, f"{SOURCE}/tests")
if "CONBUS_SANDBOX" not in os.environ:
    os.environ["CONBUS_WRAPPER"] = f"{SOURCE}/tests/measure/callgrind"
from harness import CONTAINER, Skip, main, on_real_runtime  # noqa: E402

# Measured on Debian 12 in the debug build, and a third more: another compiler or library may take that, a search that has become linear does not. CONBUS_COSTS=1 prints what there is.
READ_MOST, LIST_MOST, START_MOST, LIFE_MOST = 46_000, 40_000, 5_800_000, 14_000_000
READS, STARTS, LISTED = 200, 5, 50


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


@on_real_runtime
def test_instructions(client):
    if not shutil.which("valgrind"):
        raise Skip("valgrind is not installed")
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


if __name__ == "__main__":
    sys.exit(main())
