#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""failures.py [--names] LOG: prints the tests of a meson test log (testlog.json) that failed, each with its failed cases and the end of what it printed; or their names alone, as meson test takes them.

Said once more at the end of a long run, since of that some see the last page only.
"""

import json
import sys

LINES = 60

with open(sys.argv[-1], encoding="utf-8", errors="replace") as log:
    for test in map(json.loads, log):
        if test["result"] in ("OK", "SKIP", "EXPECTEDFAIL"):
            continue
        if sys.argv[1] == "--names":
            print(test["name"].split(" / ", 1)[1])
            continue
        output = test.get("stdout", "").splitlines()
        print(f"failed: {test['name']} ({test['result']}, {test['duration']:.0f} s)")
        print("\n".join([line for line in output[:-LINES] if line.startswith("not ok")] + output[-LINES:] + test.get("stderr", "").splitlines()[-LINES:]))
