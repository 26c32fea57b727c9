#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The random walk (tests/walk) on the installed service under a real systemd, which restarts it a hundred times meanwhile: `systemctl restart`, and SIGKILL, after which the unit restarts it or a call activates it. Nothing may be lost, and everything is compared with the model after each batch.

CONBUS_WALK_SEED, CONBUS_WALK_REPLAY and CONBUS_WALK_TRACE are those of tests/walk/test_walk.py."""

import itertools
import os
import random
import shutil
import subprocess
import sys
import time

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [TESTS, os.path.join(TESTS, "walk")]
from driver import N_PEERS, Driver  # noqa: E402
from harness import main, run  # noqa: E402
from report import Trace, report, summary  # noqa: E402
from sequence import Batch  # noqa: E402

RESTARTS, DEADLINE = 100, 600  # seconds, on a machine that has much else to do
N_SEQUENCES, WEIGHTS, SIGNALS = 24, {"service": 8, "exec": 20, "process": 20}, (15, 15, 9)


class Machine(Driver):
    """Whose service is the manager's to restart."""

    def kill_service(self, signal):
        if signal == 9:
            super().kill_service(signal)
            return
        self.crashed, self.killed = False, True
        subprocess.run(["systemctl", "restart", "--no-block", "conbus.service"], check=True)


def batches(first):
    replayed = os.environ.get("CONBUS_WALK_REPLAY")
    for number in itertools.count():
        yield Batch.from_text(replayed) if replayed else Batch(first + number * N_SEQUENCES, N_SEQUENCES, N_PEERS, WEIGHTS, SIGNALS)


def test_a_hundred_restarts_lose_nothing(client):
    client.ignore_signals()
    shutil.copy(f"{TESTS}/walk/walk.conf", "/etc/conbus/conbus.conf")
    run("systemctl", "restart", "conbus.service")
    first, trace, begun = int(os.environ.get("CONBUS_WALK_SEED") or random.SystemRandom().randrange(1 << 32)), Trace(), time.monotonic()
    print(f"# CONBUS_WALK_SEED={first}", flush=True)
    driver = Machine(False, trace)
    try:
        for batch in batches(first):
            if driver.n_services > RESTARTS:
                break
            assert time.monotonic() < begun + DEADLINE, f"only {driver.n_services - 1} restarts of the service in {DEADLINE} s"
            driver.perform(batch)
    except Exception as wrong:
        report(batch, wrong, trace, "tests/systemd/test_walk.py")
        raise
    finally:
        print(f"# {summary(driver, time.monotonic() - begun, first)}", flush=True)


if __name__ == "__main__":
    main("machine")
