#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""run, exec and attach of conbusctl at a pseudo-terminal: however each of them ends, or is stopped, the terminal is as it was before."""

import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from attached import streamers  # noqa: E402
from executed import container  # noqa: E402
from harness import CONTAINER, DEADLINE, main, options, wait_for  # noqa: E402
from terminal import CONBUSCTL, Terminal, run  # noqa: E402

ROOTFS = f"--rootfs={os.environ.get('CONBUS_TEST_ROOTFS')}"
SCRIPT = ["sh", "-c", "while read x; do test $x = end && exit 5; test $x = size && stty size; echo got $x; done"]
WORDS = {"run": ["run", "--name", "a", "-it", ROOTFS, *SCRIPT], "exec": ["exec", "-it", "a", *SCRIPT], "attach": ["attach", "a"]}


def begin(client, kind, **keys):
    """A terminal in which the program talks to a container or a process in it."""
    if kind == "exec":
        container(client)
    elif kind == "attach":
        client.call(client.create("a", *SCRIPT, terminal=True, stdin_open=True), CONTAINER, "Start")
    terminal = Terminal(*WORDS[kind], **keys)
    if not keys.get("stdout"):
        terminal.type(b"1\r")
        terminal.expect(b"got 1\r\n")
        assert terminal.is_raw()
    return terminal


def each(client, check):
    for kind in WORDS:
        try:
            check(kind, begin(client, kind))
        except AssertionError as failure:
            raise AssertionError(f"{kind}: {failure}") from failure
        client.call("/container/a", CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))


def test_the_end(client):
    def check(_, terminal):
        terminal.type(b"end\r")
        assert terminal.wait() == 5

    each(client, check)


def test_detach_keys(client):
    def check(_, terminal):
        terminal.type(b"\x10\x11")
        assert terminal.wait() == 0

    each(client, check)


def test_signals(client):
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):

        def check(_, terminal, number=number):
            terminal.process.send_signal(number)
            assert terminal.wait() == 128 + number

        each(client, check)


def test_streams_that_are_lost(client):
    def check(_, terminal):
        for pid in streamers():
            os.kill(pid, signal.SIGKILL)
        terminal.expect(b"were lost")
        assert terminal.wait() == 125

    each(client, check)


def test_the_service_has_gone(client):
    def check(_, terminal):
        client.kill_service()
        terminal.type(b"2\r")
        terminal.expect(b"got 2\r\n")
        client.kill_service() if client.name_owner() else None
        terminal.type(b"end\r")
        assert terminal.wait() == 5

    each(client, check)


def state_of(process):
    with open(f"/proc/{process.pid}/stat", encoding="utf-8") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0]


def test_stopped_and_continued(client):
    """As by a shell that is told to stop its jobs; ctrl-z itself is the container's."""

    def check(_, terminal):
        terminal.process.send_signal(signal.SIGTSTP)
        wait_for(lambda: state_of(terminal.process) == "T", "the stop", poll=True)
        assert terminal.is_as_before()
        terminal.resize(11, 22)
        terminal.process.send_signal(signal.SIGCONT)
        wait_for(terminal.is_raw, "raw mode", poll=True)
        terminal.expect_size(11, 22)
        terminal.type(b"end\r")
        assert terminal.wait() == 5

    each(client, check)


def test_ctrl_z_and_fg_in_a_shell(client):
    """Without a terminal of the container's own, ctrl-z is the shell's."""
    terminal = Terminal("--norc", "--noprofile", "-i", program="bash")
    terminal.type(f"{CONBUSCTL} run --rm -i {ROOTFS} sh -c 'echo ready; {SCRIPT[2]}'\r".encode())
    terminal.expect(b"ready\r\n")  # what is typed before that may be the shell's
    terminal.type(b"1\r")
    terminal.expect(b"got 1\r\n")
    terminal.type(b"\x1a")
    terminal.expect(b"Stopped")
    terminal.expect(b"# ")
    terminal.type(b"fg\r")
    terminal.expect(b"done'\r\n")  # the shell names what it continues
    terminal.type(b"2\r")
    terminal.expect(b"got 2\r\n")
    terminal.type(b"end\r")
    terminal.expect(b"# ")
    terminal.type(b"echo code $?\r")
    terminal.expect(b"code 5\r\n")
    terminal.type(b"exit\r")
    assert terminal.process.wait(DEADLINE) == 0


def test_a_size_that_changes(client):
    def check(_, terminal):
        terminal.resize(31, 97)
        terminal.expect_size(31, 97)
        terminal.type(b"end\r")
        assert terminal.wait() == 5

    each(client, check)


def test_nobody_reads_the_output(client):
    for kind in WORDS:
        reading, writing = os.pipe()
        os.close(reading)
        terminal = begin(client, kind, stdout=writing)
        os.close(writing)
        terminal.type(b"1\r")
        assert terminal.wait() == 128 + signal.SIGPIPE, kind
        client.call("/container/a", CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))


def test_a_terminal_that_hangs_up(client):
    def check(_, terminal):
        os.close(terminal.master)
        os.close(terminal.slave)
        assert terminal.process.wait(DEADLINE) == 128 + signal.SIGHUP

    each(client, check)


def test_descriptors_that_are_closed(client):
    """What is opened in their place must not be taken for them."""
    for redirection, out in ((">&-", b""), ("2>&-", b"out\n"), ("<&-", b"out\n"), ("<&- >&- 2>&-", b"")):
        line = f"exec {CONBUSCTL} run --rm -i {ROOTFS} sh -c 'echo out; echo error >&2; exit 3' {redirection}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, stdin=subprocess.DEVNULL, timeout=DEADLINE, check=False)
        assert (done.returncode, done.stdout) == (3, out), (redirection, done)
    assert client.manager("ListContainers")[0] == []


def test_a_pipe_into_a_terminal(client):
    """What is piped in has an end, also where a terminal is in between, which knows none."""
    container(client)
    for data, out in ((b"hello\n", b"hello\r\nhello\r\n"), (b"half", b"halfhalf"), (b"", b"")):
        assert run("exec", "-it", "a", "cat", data=data) == (0, out, b""), data
    assert run("run", "--rm", "-it", ROOTFS, "cat", data=b"x\n")[:2] == (0, b"x\r\nx\r\n")


def test_pipes_in_a_shell(client):
    line = f"echo x | {CONBUSCTL} run --rm -i {ROOTFS} cat | cat; echo ${{PIPESTATUS[1]}}; yes | head -c 200000 | {CONBUSCTL} run --rm -i {ROOTFS} cat | head -c 3; echo ${{PIPESTATUS[2]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, timeout=DEADLINE, check=True)
    assert done.stdout.startswith(b"x\n0\ny\ny"), done.stdout
    assert run("run", "--rm", "-i", ROOTFS, "head", "-c", "3", data=b"abcdef" * 100000)[:2] == (0, b"abc")


if __name__ == "__main__":
    main()
