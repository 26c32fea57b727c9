# SPDX-License-Identifier: LGPL-2.1-or-later
"""Instructions in conbusd, as tests/system/test_costs.py counts them and holds them; that needs a place of its own, so it is asked before the bench enters its sandbox."""

import json
import os
import re
import subprocess

from rows import Row, at_most

VARIABLE = "CONBUS_BENCH_COSTS"


def count(source):
    """Into the environment."""
    found = subprocess.run([f"{source}/tests/system/test_costs.py"], env={**os.environ, "CONBUS_COSTS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
    os.environ[VARIABLE] = json.dumps(re.findall(r"^# (.*): (\d+) instructions, at most (\d+)$", found, re.M))


def costs(conbus, floor, podman, scale):
    return [Row(f"instructions of {what}", "", f"at most {int(most):,}".replace(",", " "), {"conbus": [int(number)]}, met=at_most(int(most))) for what, number, most in json.loads(os.environ.get(VARIABLE, "[]"))]
