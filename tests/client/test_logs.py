#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""conbusctl logs."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from attached import running  # noqa: E402
from harness import CONTAINER, DEADLINE, main, options  # noqa: E402
from logs import Log, wait_no_readers  # noqa: E402

CONBUSCTL = f"{os.environ.get('CONBUS_BUILD_DIR')}/client/conbusctl"


def run(*words, **environment):
    done = subprocess.run([CONBUSCTL, "logs", *words], capture_output=True, timeout=DEADLINE * 2, check=False, env={**os.environ, **environment})
    return done.returncode, done.stdout, done.stderr


def ended(client, name, *command, **config):
    path = running(client, name, *command, **config)
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    return path


def test_all_of_it_and_parts(client):
    path = ended(client, "web", "sh", "-c", "echo one; echo oops >&2; echo two; printf '\\377'; exit 3")
    assert run("--stream", "stdout", "web") == (0, b"one\ntwo\n\xff", b"")
    assert run("--stream=stderr", "web") == (0, b"oops\n", b"")
    assert run("--stream", "stdout", "-n", "1", "web")[1] == b"\xff"
    assert len(run("--tail", "all", "web")[1]) == 14
    assert run("-f", "web")[0] == 0 and run("--run", "1", "web") == run("web") == run(path.rsplit("/", 1)[1])
    assert all(line[19:20] == b"." and b"Z " in line for line in run("-t", "web")[1].splitlines())
    lines = [json.loads(line) for line in run("--json", "-f", "web")[1].splitlines()]
    assert lines[-1]["exit-code"] == 3 and len(lines) == 5, lines
    assert run("--cursor", lines[-1]["cursor"], "web") == (0, b"", b"")


def test_following(client):
    path = running(client, "web", "sh", "-c", "echo one; exec sleep 1000")
    with subprocess.Popen([CONBUSCTL, "logs", "-f", "web"], stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"one\n"
        client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
        assert child.stdout.read() == b"" and child.wait(DEADLINE) == 0
    wait_no_readers()


def test_a_reader_that_leaves(client):
    running(client, "web", "sh", "-c", "yes")
    with subprocess.Popen([CONBUSCTL, "logs", "-f", "web"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        child.stdout.read(10)
        child.stdout.close()
        assert child.wait(DEADLINE) == 128 + 13 and child.stderr.read() == b""
    wait_no_readers()


def test_times(client):
    path = ended(client, "web", "echo", "one")
    usec = Log(client, path, format="json").lines_to_end()[0]["time"]
    before, after = [f"@{usec // 1000000}", "1h", "-1h30min", "2 hours 5 min ago", "yesterday", "today", "2020-01-01", "2020-01-01 12:30", "2020-01-01T00:00:00Z"], ["+1h", "tomorrow", "2099-12-31 23:59:59.5", "2099-12-31T23:59:59+02:00"]
    for time in before:
        assert run("--since", time, "web", TZ="UTC") == (0, b"one\n", b""), time
    for time in after:
        assert run("--since", time, "web", TZ="UTC") == (0, b"", b""), time
        assert run("--until", time, "web", TZ="UTC") == (0, b"one\n", b""), time
    for time in ("", "soon", "5 parsecs", "12:61", "2020-13-01", "1h-"):
        status, out, errors = run("--since", time, "web")
        assert (status, out) == (2, b"") and b"--since" in errors, (time, errors)


def test_errors(client):
    client.create("quiet", "true", log_driver="none")
    assert run()[0] == 2 and run("a", "b")[0] == 2 and run("--colour", "a")[0] == 2 and run("--tail", "x", "a")[0] == 2
    status, out, errors = run("nobody")
    assert status == 1 and out == b"" and b"nobody" in errors, errors
    status, out, errors = run("quiet")
    assert status == 1 and b"none" in errors, errors
    assert run("--stream", "stdin", "quiet")[0] == 1 and run("--tail", "1000001", "quiet")[0] == 1


if __name__ == "__main__":
    main()
