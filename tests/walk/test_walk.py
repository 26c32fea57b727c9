#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The random walk: sequences of calls, ends, kills and restarts of the service against the model of behaviour.md, until the time is over.

A sequence is what one seed makes: one to three fresh containers, some with a health check or dependencies among them, 4 to 14 random steps with them and with what is executed in them, rest, a comparison of everything that can be read with the model, and the removal of the containers. It is counted when all that has passed.
N_SEQUENCES of consecutive seeds go through one service together, their steps interleaved (a batch); the service lives on from batch to batch, unless a step kills it, which then happens to all sequences of the batch.

CONBUS_WALK_SECONDS  how long (default on tests/fakes 60 and until there have been ENOUGH sequences, 20 on the real conmon and crun)
CONBUS_WALK_SEED     begins with the batch of this seed; the number is printed at the beginning, and that of the batch at a failure
CONBUS_WALK_REPLAY   does this batch again and again instead; a failure prints it, whole and with what could be left out left out
CONBUS_WALK_WEIGHTS  how often there are steps of a kind, beside what sequence.py says: service=7,exec=30
CONBUS_WALK_TRACE=1  prints every step as it is done"""

import os
import random
import sys
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
import harness  # noqa: E402
from driver import N_PEERS, Driver  # noqa: E402
from life import Wrong  # noqa: E402
from report import Trace, report, summary  # noqa: E402
from sequence import Batch  # noqa: E402

FAKES = os.environ.get("CONBUS_SANDBOX_FAKES") == "1"
SECONDS = float(os.environ.get("CONBUS_WALK_SECONDS") or (60 if FAKES else 20))
ENOUGH = 2000 if FAKES and not os.environ.get("CONBUS_WALK_SECONDS") else 0
MOST_SECONDS = 360  # a machine that is too slow for so many
N_SEQUENCES = 48  # at once
WEIGHTS = {kind: float(weight) for kind, weight in (words.split("=") for words in os.environ.get("CONBUS_WALK_WEIGHTS", "").split(",") if words)}
MINIMISE_SECONDS, ATTEMPTS = 60, 3
COMMAND = f"{'CONBUS_SANDBOX_FAKES=1 ' if FAKES else ''}tests/walk/test_walk.py"


def attempt(batch):
    """A batch on its own, on a fresh view of the service: what was wrong, and the trace."""
    trace = Trace()
    try:
        harness.remove_all(harness.Client())
        Driver(FAKES, trace).perform(batch)
    except (Wrong, harness.Error) as wrong:
        return str(wrong), trace
    return None, trace


def fails(batch, end):
    """What is wrong may depend on the moment: some attempts."""
    for _ in range(ATTEMPTS):
        wrong, trace = attempt(batch) if time.monotonic() < end else (None, None)
        if wrong:
            return wrong, trace
    return None


def leave_out(batch, count, without, end):
    """Slices of what it consists of, as long as it still goes wrong: the rest, and what was wrong with it (None: with nothing but the whole)."""
    best, size = None, count(batch) // 2
    while size >= 1 and time.monotonic() < end:
        start = 0
        while start < count(batch) and time.monotonic() < end:
            shorter = without(batch, start, size)
            found = fails(shorter, end)
            if found:
                batch, best = shorter, found
            else:
                start += size
        size //= 2
    return batch, best


def minimise(batch, end):
    batch, first = leave_out(batch, lambda batch: len(batch.sequences()), Batch.without_sequences, end)
    batch, best = leave_out(batch, lambda batch: len(batch.steps), Batch.without, end)
    return batch, best or first


def batches(first):
    """Of the seeds from the first on; with CONBUS_WALK_REPLAY that batch again and again."""
    replayed = os.environ.get("CONBUS_WALK_REPLAY")
    while True:
        yield Batch.from_text(replayed) if replayed else Batch(first, N_SEQUENCES, N_PEERS, WEIGHTS)
        first += N_SEQUENCES


def test_walk(client):
    first = int(os.environ.get("CONBUS_WALK_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"# CONBUS_WALK_SEED={first}", flush=True)
    client.ignore_signals()
    # What conmon executes at an end only wakes a service that is down; on the fakes it would take a tenth of the time, and the walk wakes it itself.
    client.restart_with(CONBUS_CONFIG=f"{harness.SOURCE}/tests/walk/walk.conf", **({"CONBUS_WAKE": "/nonexistent"} if FAKES else {}))
    trace, begun = Trace(), time.monotonic()
    driver = Driver(FAKES, trace)

    def is_over():
        passed = time.monotonic() - begun
        return passed >= SECONDS and (driver.n_sequences >= ENOUGH or passed >= MOST_SECONDS)

    try:
        for batch in batches(first):
            if is_over():
                break
            driver.perform(batch)
    except Exception as wrong:
        report(batch, wrong, trace, COMMAND)
        shorter, best = minimise(batch, time.monotonic() + MINIMISE_SECONDS)
        if best:
            print(f"# with {len(shorter.steps)} of {len(batch.steps)} steps:")
            report(shorter, *best, COMMAND)
        raise
    finally:
        print(f"# {summary(driver, time.monotonic() - begun, first)}", flush=True)


if __name__ == "__main__":
    harness.main()
