#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The README from top to bottom, as somebody types it in `tests/sandbox bash`. What it says of a whole machine is in tests/systemd/test_readme.py."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import main, on_real_runtime  # noqa: E402
from readme import Reader  # noqa: E402


@on_real_runtime
def test_the_examples_show_what_is_shown(client):
    reader = Reader({"#": ["bash", "-c"]})
    for title in ("Five lines of busctl", "Volumes, secrets, credentials", "Waits and policies", "Health", "Jobs", "Processes", "Logs", "conbusctl"):
        reader.follow(title)


if __name__ == "__main__":
    main()
