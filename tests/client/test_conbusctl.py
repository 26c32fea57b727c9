#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""conbusctl as a script would use it: exit codes, output, errors."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import main  # noqa: E402


def conbusctl(*words):
    done = subprocess.run([f"{os.environ['CONBUS_BUILD_DIR']}/client/conbusctl", *words], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def rootfs():
    return f"--rootfs={os.environ['CONBUS_TEST_ROOTFS']}"


def test_run_exits_with_the_code(client):
    assert conbusctl("run", "--rm", rootfs(), "--", "sh", "-c", "exit 7")[0] == 7
    status, _, errors = conbusctl("run", rootfs(), "nosuch")
    assert status == 127 and "nosuch" in errors
    assert conbusctl("run", "--rootfs=/nowhere", "true")[0] == 125
    assert client.manager("ListContainers")[0] == []


def test_a_life_by_hand(client):
    status, output, _ = conbusctl("create", "--name", "web", "--label", "team=web", "--set", "stop-timeout-usec=0", rootfs(), "--", "sleep", "1000")
    assert status == 0 and len(output.strip()) == 64
    assert conbusctl("ps")[1].count("\n") == 1
    assert conbusctl("start", "web")[0] == 0
    listed = conbusctl("ps", "--label", "team=web")[1].splitlines()
    assert len(listed) == 2 and "web" in listed[1] and "running" in listed[1]
    assert conbusctl("pause", "web")[0] == 0 and conbusctl("resume", "web")[0] == 0
    assert conbusctl("wait", "--timeout", "50ms", "web")[:2] == (124, "timeout -1\n")
    assert conbusctl("restart", "web")[0] == 0
    assert conbusctl("stop", "web")[0] == 0
    assert conbusctl("wait", "web")[:2] == (137, "stopped 137\n")
    assert conbusctl("rename", "web", "site")[0] == 0
    assert json.loads(conbusctl("inspect", "site")[1])["State"]["ExitCode"] == 137
    assert len(json.loads(conbusctl("--json", "runs", "site")[1])) == 2
    assert "died" in conbusctl("events")[1]
    assert conbusctl("set-restart-policy", "site", "on-failure:3")[0] == 0 and conbusctl("enable", "site")[0] == 0
    assert conbusctl("rm", "site")[0] == 0
    assert conbusctl("ps", "-a")[1].count("\n") == 1


def test_health(client):
    assert conbusctl("run", "-d", "--name", "well", "--set", "health={'test': <['CMD', 'true']>}", rootfs(), "sleep", "1000")[0] == 0
    assert conbusctl("health", "run", "well")[:2] == (0, "healthy 0 \n")
    assert json.loads(conbusctl("health", "log", "well")[1])


def test_errors_are_told(client):
    status, _, errors = conbusctl("start", "nobody")
    assert status == 1 and "nobody" in errors
    assert conbusctl("fly")[0] == 2 and conbusctl("wait")[0] == 2 and conbusctl("create", "--colour")[0] == 1
    assert "type" in conbusctl("create", "--set", "memory=much", rootfs(), "true")[2]
    assert conbusctl("--help")[0] == 0


if __name__ == "__main__":
    main()
