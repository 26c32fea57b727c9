#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The random walk: sequences of calls, ends, kills and restarts of the service against the model of behaviour.md, until the time is over.

CONBUS_WALK_SECONDS  how long (default 60 on tests/fakes, 20 on the real conmon and crun)
CONBUS_WALK_SEED     begins with this sequence; the number is printed at the beginning, and that of the sequence at a failure
CONBUS_WALK_TRACE=1  prints every step as it is done"""

import os
import random
import sys
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
import harness  # noqa: E402
from driver import N_PEERS, Driver  # noqa: E402
from life import Wrong  # noqa: E402
from sequence import Sequence  # noqa: E402

FAKES = os.environ.get("CONBUS_SANDBOX_FAKES") == "1"
SECONDS = float(os.environ.get("CONBUS_WALK_SECONDS") or (60 if FAKES else 20))
MINIMISE_TRIES = 40


class Trace(list):
    """Printed when something is wrong; only the present sequence is kept."""

    def append(self, line):
        if line.startswith("sequence "):
            self.clear()
        super().append(line)
        if os.environ.get("CONBUS_WALK_TRACE"):
            print(f"# {line}", flush=True)


def attempt(sequence):
    """A sequence on its own, on a fresh view of the service: what was wrong, and the trace."""
    trace = Trace()
    try:
        harness.remove_all(harness.Client())
        Driver(FAKES, trace).perform(sequence)
    except (Wrong, harness.Error) as wrong:
        return str(wrong), trace
    return None, trace


def minimise(sequence, end):
    """Leaves out steps as long as it still goes wrong."""
    best, size = None, len(sequence.steps) // 2
    while size >= 1 and time.monotonic() < end:
        start = 0
        while start < len(sequence.steps) and time.monotonic() < end:
            shorter = sequence.without(start, size)
            wrong, trace = attempt(shorter)
            if wrong:
                sequence, best = shorter, (wrong, trace)
            else:
                start += size
        size //= 2
    return sequence, best


def report(sequence, wrong, trace):
    print(f"# sequence {sequence.seed}: {wrong}")
    for line in [*str(sequence).splitlines(), "trace:", *trace]:
        print(f"# {line[:400]}")
    sys.stdout.flush()


def test_walk(client):
    first = int(os.environ.get("CONBUS_WALK_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"# CONBUS_WALK_SEED={first}", flush=True)
    client.restart_with(CONBUS_CONFIG=f"{harness.SOURCE}/tests/walk/walk.conf")
    trace, end, seed = Trace(), time.monotonic() + SECONDS, first
    driver = Driver(FAKES, trace)
    try:
        while time.monotonic() < end:
            sequence = Sequence(seed, N_PEERS)
            driver.perform(sequence)
            seed += 1
    except Exception as wrong:
        report(sequence, wrong, trace)
        shorter, best = minimise(sequence, time.monotonic() + MINIMISE_TRIES)
        if best:
            print(f"# with {len(shorter.steps)} of {len(sequence.steps)} steps:")
            report(shorter, *best)
        raise
    finally:
        print(f"# {driver.n_sequences} sequences, {driver.n_steps} steps, {driver.n_checked} answers, {driver.n_services - 1} restarts of the service, commits: {dict(sorted(driver.rules_seen.items()))}", flush=True)


if __name__ == "__main__":
    harness.main()
