#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What bash offers after words of conbusctl: the built completion in a real bash, with a service that has containers."""

import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import SOURCE, main  # noqa: E402

SCRIPT = """
PATH=$CONBUS_BUILD_DIR/client:$PATH
. "$CONBUS_BUILD_DIR/client/conbusctl.bash"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_conbusctl
printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete(*words, folder="/"):
    """What is offered for the last of some words, as bash cuts them."""
    done = subprocess.run(["bash", "-uc", SCRIPT, "bash", "conbusctl", *words], capture_output=True, text=True, timeout=60, check=False, cwd=folder, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert done.returncode == 0 and not done.stderr, done.stderr
    return sorted(done.stdout.split())


def commands():
    return [line.split()[0] for line in open(f"{SOURCE}/client/commands.txt", encoding="utf-8") if re.match("[a-z]", line)]


def test_commands(client):
    assert complete("") == sorted([*commands(), "--json", "--help"])
    assert complete("re") == ["rename", "restart", "resume"]
    assert complete("--json", "ru") == ["run", "runs"] and complete("--j") == ["--json"]
    assert complete("never", "") == []


def test_options(client):
    for command in commands():
        text = subprocess.run([f"{os.environ['CONBUS_BUILD_DIR']}/client/conbusctl", command, "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
        known = re.findall(r"(?:^ {6}|, )(--?[a-z][a-z-]*)", text, flags=re.M)
        assert complete(command, "-") == sorted([*known, "--help"]), command
    assert complete("run", "--re") == ["--read-only", "--restart"]
    assert complete("stop", "-t", "5s", "--no") == ["--no-block"]
    assert complete("run", "sh", "--re") == [], "options of the command that is run are its own"


def test_values(client):
    assert complete("start", "--wait", "") == ["healthy", "ready", "started"]
    assert complete("start", "--wait", "=", "re") == ["ready"] and complete("start", "--wait", "=") == ["healthy", "ready", "started"]
    assert complete("wait", "--condition", "un") == ["unhealthy", "unknown"]
    assert complete("create", "--set", "mem") == ["memory-high=", "memory="]
    assert complete("create", "--name", "") == [] and complete("stop", "-t", "") == []
    assert complete("health", "") == ["log", "run"] and complete("job", "ca") == ["cancel"]
    known = re.search(r"names\[\] = \{(.*?)\};", open(f"{SOURCE}/client/verbs.c", encoding="utf-8").read())[1]
    assert complete("kill", "-s", "") == sorted(re.findall('"([A-Z0-9]+)"', known))


def test_files(client):
    here = f"{SOURCE}/tests"
    assert complete("run", "--rootfs", "sys", folder=here) == ["system", "systemd"]
    assert complete("run", "--rootfs", "=", "wal", folder=here) == ["walk"]
    assert complete("run", "--seccomp", "harn", folder=here) == ["harness.py"] and complete("run", "--seccomp", "unc", folder=here) == ["unconfined"]


def test_containers(client):
    assert complete("start", "") == []
    for name in ("web", "well", "job"):
        client.create(name, "sleep", "1000")
    for command in commands():
        places = {"health": ["log"], "job": ["wait"]}.get(command, [])
        wanted = [] if command in ("create", "run", "ps", "job", "events") else ["job", "web", "well"]
        assert complete(command, *places, "") == wanted, command
    assert complete("stop", "web", "we") == ["web", "well"] and complete("stop", "--no-block", "web", "job", "j") == ["job"]
    assert complete("exec", "web", "") == [] and complete("inspect", "web", "") == [] and complete("rename", "web", "") == []


if __name__ == "__main__":
    main()
