#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""tests/measure/streams.py [MEGABYTES [ROUNDS]]: everything of attach.py and follow.py in one run, in turns, in the sandbox: what an attachment, one to a process, a follower of what is being written and one of what is stored get,
each as a share of conmon's bare socket and of cat(1) of the same bytes through a pipe. The median of the rounds counts. Rates are of bytes of data; for a stored log of bytes of its file, of which cat passes on all and a follower the texts."""

import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if "CONBUS_SANDBOX" not in os.environ:
    os.execv(f"{SOURCE}/tests/sandbox", [f"{SOURCE}/tests/sandbox", os.path.abspath(__file__), *sys.argv[1:]])
import attach  # noqa: E402
import follow  # noqa: E402
from harness import Client  # noqa: E402

DATA = f"{os.environ['CONBUS_TEST_ROOTFS']}/data"
WAYS = {
    "cat": lambda client: follow.rate(client, follow.cat, None, DATA),
    "bare socket, k8s-file": lambda client: attach.rate(client, attach.bare, "k8s-file"),
    "attachment, k8s-file": lambda client: attach.rate(client, attach.attached, "k8s-file"),
    "follower of what is written": lambda client: attach.rate(client, follow.followed_live, "k8s-file"),
    "bare socket, none": lambda client: attach.rate(client, attach.bare, "none"),
    "a process in a container": lambda client: attach.rate_of_process(client, None, None),
}


def main():
    client, rounds = Client(), int(sys.argv[2] if len(sys.argv) > 2 else 5)
    attach.prepare(int(sys.argv[1] if len(sys.argv) > 1 else 300))
    rates = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, measure in WAYS.items():
            rates[name].append(measure(client))
    middle = {name: statistics.median(found) for name, found in rates.items()}
    for name, rate in middle.items():
        socket = middle["bare socket, k8s-file" if name in ("attachment, k8s-file", "follower of what is written") else "bare socket, none"]
        print(f"{name}: {rate:.0f} MB/s, {100 * rate / socket:.0f} % of the bare socket, {100 * rate / middle['cat']:.0f} % of cat", flush=True)
    follow.measure_stored(client, rounds)


if __name__ == "__main__":
    main()
