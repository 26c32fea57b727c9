#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""conbusctl as a script would use it: exit codes, output, errors."""

import json
import os
import pty
import re
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
    assert "HEALTH" in conbusctl("ps")[1] and "healthy" in conbusctl("ps")[1].splitlines()[1]


def test_waits(client):
    name = ["--name", "job", "--set", "restart-sec-usec=60000000", "--restart", "always"]
    assert conbusctl("create", *name, rootfs(), "--", "sh", "-c", "exit 4")[0] == 0
    assert conbusctl("wait", "job")[0] == 125 and "never started" in conbusctl("wait", "job")[2]
    conbusctl("start", "job")
    assert conbusctl("wait", "--after-run", "0", "job")[:2] == (4, "stopped 4\n")
    assert conbusctl("wait", "--condition", "exited", "--condition", "removed", "--run", "1", "job")[:2] == (4, "exited 4\n")
    assert conbusctl("wait", "--after-run", "1", "--timeout", "50ms", "job")[:2] == (124, "timeout -1\n")
    assert conbusctl("wait", "--final", "--timeout=50ms", "job")[0] == 124
    answer = json.loads(conbusctl("--json", "wait", "--run=1", "job")[1])
    assert answer[:5] == ["stopped", 1, 4, 0, "exit-code"] and answer[5]["run"] == 1
    listed = conbusctl("ps", "-a")[1].splitlines()
    assert "NEXT RESTART" in listed[0] and " in " in listed[1] and " s " in listed[1]
    assert conbusctl("set-restart-policy", "job", "no")[0] == 0
    assert conbusctl("wait", "--final", "job")[:2] == (4, "stopped 4\n")
    assert conbusctl("wait", "--condition", "never", "job")[0] == 125
    for option in (("--timeout", "soon"), ("--run", "last"), ("--run", "-1"), ("--after-run", "1x"), ("--after-run=",)):
        assert conbusctl("wait", *option, "job")[0] == 2, option
    assert conbusctl("events", "--since", "now")[0] == 2
    assert conbusctl("wait", "--condition", "running", "--run", "1", "job")[:2] == (4, "stopped 4\n"), "a run that has ended runs no more"
    assert conbusctl("wait", "--run", "1", "--after-run", "1", "job")[0] == 125


def test_jobs(client):
    assert conbusctl("run", "-d", "--name", "web", rootfs(), "sleep", "1000")[0] == 0
    status, output, _ = conbusctl("stop", "--no-block", "-t", "infinity", "web")
    assert status == 0 and output.startswith("/io/conbus1/job/")
    assert conbusctl("job", "cancel", output.strip())[0] == 1, "a stop that runs is finished"
    assert conbusctl("kill", "web")[0] == 0
    assert conbusctl("job", "wait", output.strip())[:2] == (0, '{"run":1}\n')
    assert conbusctl("job", "release", output.strip())[0] == 0 and conbusctl("job", "wait", output.strip())[0] == 1
    for words in (["start", "--wait", "started"], ["pause"], ["resume"], ["enable"], ["disable"], ["restart", "-t", "0"], ["kill", "-s", "CONT"], ["rm", "-f", "-t", "0"]):
        status, output, errors = conbusctl(words[0], "--no-block", *words[1:], "web")
        assert status == 0, errors
        assert conbusctl("job", "wait", output.strip())[0] == 0, words
    assert client.manager("ListContainers")[0] == []
    assert conbusctl("job", "wait", "no path")[0] == 2 and conbusctl("job", "fly", "/io/conbus1/job/1")[0] == 2


def on_terminal(*words, **environment):
    """What the program writes to a terminal."""
    ours, theirs = pty.openpty()
    program = f"{os.environ['CONBUS_BUILD_DIR']}/client/conbusctl"
    subprocess.run([program, *words], stdout=theirs, env={**os.environ, **environment}, timeout=60, check=True)
    os.close(theirs)
    text = b""
    try:
        while more := os.read(ours, 65536):
            text += more
    except OSError:
        pass
    os.close(ours)
    return text.decode()


def test_colours_are_for_terminals(client):
    check = "health={'test': <['CMD', 'false']>, 'retries': <uint32 1>, 'interval-usec': <uint64 20000>}"
    assert conbusctl("run", "-d", "--name", "ill", "--set", check, rootfs(), "sleep", "1000")[0] == 0
    assert conbusctl("wait", "--condition", "unhealthy", "ill")[0] == 0
    os.environ.pop("NO_COLOR", None)
    listed = on_terminal("ps")
    assert "\033[32mrunning" in listed and "\033[31munhealthy" in listed and listed.startswith("\033[1m"), listed
    assert "\033" not in on_terminal("ps", NO_COLOR="1") and "\033" not in conbusctl("ps")[1]
    assert "unhealthy" in conbusctl("ps")[1] and "HEALTH" in conbusctl("ps")[1]
    code, text, _ = conbusctl("health", "run", "ill")
    assert (code, text) == (1, "unhealthy 1 \n")
    table = conbusctl("health", "log", "ill")[1].splitlines()
    assert table[0].split() == ["STARTED", "TOOK", "CODE", "OUTPUT"] and table[1].split()[-1] == "1"
    assert json.loads(conbusctl("--json", "health", "log", "ill")[1])[0][2] == 1


def test_everything_speaks_json(client):
    ident = json.loads(conbusctl("--json", "create", "--name", "web", rootfs(), "--", "sleep", "1000")[1])
    assert len(ident) == 64
    assert json.loads(conbusctl("--json", "start", "web")[1]) == [1, {"started": True, "ready": True}]
    assert json.loads(conbusctl("--json", "ps")[1])[0][1]["Name"] == "web"
    assert json.loads(conbusctl("--json", "stop", "-t", "0", "web")[1]) == [1]
    assert json.loads(conbusctl("--json", "runs", "web")[1])[0]["result"] == "signal"
    assert json.loads(conbusctl("--json", "events")[1])[0][3] and json.loads(conbusctl("--json", "rm", "web")[1]) == []


def test_help(client):
    text = conbusctl("--help")[1]
    for word in ("Commands", "Exit status", "124", "NO_COLOR", "Examples"):
        assert word in text, word
    for name in re.findall(r"^  ([a-z-]+) ", text.split("Options:", maxsplit=1)[0], re.MULTILINE):
        code, own, _ = conbusctl(name, "--help")
        assert code == 0 and own.startswith(f"Usage: conbusctl {name} "), name
    assert "--after-run N" in conbusctl("wait", "--help")[1]


def test_errors_are_told(client):
    status, _, errors = conbusctl("start", "nobody")
    assert status == 1 and "nobody" in errors
    assert conbusctl("fly")[0] == 2 and conbusctl("wait")[0] == 2 and conbusctl("create", "--colour")[0] == 1
    assert "type" in conbusctl("create", "--set", "memory=much", rootfs(), "true")[2]
    assert conbusctl("--help")[0] == 0


if __name__ == "__main__":
    main()
