# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is said of a batch in which something was wrong."""

import os


class Trace(list):
    """Printed when something is wrong; only the present batch is kept."""

    def append(self, line):
        if line.startswith("batch "):
            self.clear()
        super().append(line)
        if os.environ.get("CONBUS_WALK_TRACE"):
            print(f"# {line}", flush=True)


def report(batch, wrong, trace, command):
    print(f"# batch {batch.seed}: {wrong}")
    for line in [*str(batch).splitlines(), "trace:", *trace]:
        print(f"# {line[:400]}")
    print(f"# again: CONBUS_WALK_REPLAY='{batch.to_text()}' {command}", flush=True)


def summary(driver, seconds, first):
    return f"{driver.n_sequences} sequences in {seconds:.0f} s from CONBUS_WALK_SEED={first}, {driver.n_steps} steps, {driver.n_checked} answers, {driver.n_services - 1} restarts of the service, {driver.n_executed} processes and {driver.n_captured} captures executed, commits: {dict(sorted(driver.rules_seen.items()))}"
