#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""conbusctl exec: codes, pipes, a pseudo-terminal that a program drives, and nothing left behind."""

import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from executed import container, processes, wait_gone  # noqa: E402
from harness import PROCESS, main, wait_for  # noqa: E402
from terminal import CONBUSCTL, Terminal, run  # noqa: E402


def test_codes_and_streams(client):
    path = container(client)
    assert run("exec", "a", "sh", "-c", "echo out; echo error >&2; exit 3") == (3, b"out\n", b"error\n")
    assert run("exec", "a", "--", "sh", "-c", "kill -9 $$")[0] == 137
    code, out, errors = run("exec", "a", "/no/such")
    assert (code, out) == (127, b"") and b"not found" in errors, errors
    assert run("exec", "a", "/etc/passwd")[0] == 126
    code, out, errors = run("exec", "nobody", "true")
    assert code == 125 and b"nobody" in errors
    assert run("exec", "a")[0] == 2 and run("exec", "--colour", "a", "true")[0] == 2
    wait_gone(client, path)


def test_options(client):
    container(client)
    assert run("exec", "-u", "12:34", "-w", "/etc", "-e", "A=b c", "--env", "B=d", "a", "sh", "-c", "id -u; id -g; pwd; echo $A $B")[1] == b"12\n34\n/etc\nb c d\n"


def test_pipes(client):
    path = container(client)
    data = os.urandom(3000000)
    assert run("exec", "-i", "a", "cat", data=data) == (0, data, b"")
    assert run("exec", "a", "cat", data=b"not for it") == (0, b"", b"")
    wait_gone(client, path)


def test_detached(client):
    path = container(client)
    code, out, _ = run("exec", "-d", "a", "sleep", "1000")
    process = out.decode().strip()
    assert code == 0 and processes(client, path) == [process]
    assert client.get(process, "State", PROCESS) == "running"
    assert run("exec", "-d", "a", "no-such")[0] == 127


def test_signals_go_on(client):
    path = container(client)
    child = subprocess.Popen([CONBUSCTL, "exec", "a", "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done"], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"ready\n"
    child.send_signal(signal.SIGTERM)
    assert child.wait(60) == 9
    child.stdout.close()
    wait_gone(client, path)


def test_a_client_that_is_killed_leaves_no_object_for_ever(client):
    path = container(client)
    with client.settings(ProcessKeepUSec=100000):
        child = subprocess.Popen([CONBUSCTL, "exec", "-i", "a", "sh", "-c", "echo ready; read x; exit 1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert child.stdout.readline() == b"ready\n"
        child.kill()
        child.wait()
        process = processes(client, path)[0]
        assert client.get(process, "State", PROCESS) == "running"  # it reads on: leaving is no end of its input
        client.call(process, PROCESS, "Stop", "t", 0)
        wait_gone(client, path)
        child.stdin.close()
        child.stdout.close()


def test_a_terminal(client):
    path = container(client)
    terminal = Terminal("exec", "-it", "a", "sh", rows=30, columns=90)
    terminal.expect(b"# ")
    assert terminal.is_raw()
    terminal.type(b"stty size; echo $TERM\n")
    terminal.expect(b"30 90\r\nxterm\r\n")
    terminal.resize(40, 100)
    wait_for(lambda: size_of(client, path) == b"40 100", "the new size", poll=True)
    terminal.type(b"exit 7\n")
    assert terminal.wait() == 7
    wait_gone(client, path)


def size_of(client, path):
    pid = client.get(processes(client, path)[0], "Pid", PROCESS)
    with open(f"/proc/{pid}/fd/0", "rb") as file:
        return subprocess.run(["stty", "size"], stdin=file, capture_output=True, check=True).stdout.strip()


def test_detach_keys(client):
    path = container(client)
    terminal = Terminal("exec", "-it", "a", "sh")
    terminal.expect(b"# ")
    terminal.type(b"\x10\x11")
    assert terminal.wait() == 0
    assert client.get(processes(client, path)[0], "State", PROCESS) == "running"


if __name__ == "__main__":
    main()
