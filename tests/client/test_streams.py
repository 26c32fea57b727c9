#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""conbusctl between a user and a container: pipes, a pseudo-terminal that a program drives, signals, and the terminal as it was before."""

import fcntl
import hashlib
import os
import signal
import struct
import subprocess
import sys
import termios
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from attached import streamers  # noqa: E402
from harness import CONTAINER, DEADLINE, main, options, wait_for  # noqa: E402
from terminal import CONBUSCTL, Terminal, run  # noqa: E402


def rootfs():
    return f"--rootfs={os.environ['CONBUS_TEST_ROOTFS']}"


def test_output_errors_and_code(client):
    assert run("run", "--rm", rootfs(), "--", "sh", "-c", "echo out; echo error >&2; exit 4") == (4, b"out\n", b"error\n")
    assert client.manager("ListContainers")[0] == []


def test_pipes(client):
    assert run("run", "--rm", "-i", rootfs(), "cat", data=b"x\n") == (0, b"x\n", b"")
    data = os.urandom(30 * 1000 * 1000)  # detach keys among it
    status, out, _ = run("run", "--rm", "-i", rootfs(), "cat", data=data)
    assert status == 0 and hashlib.sha256(out).digest() == hashlib.sha256(data).digest(), (status, len(out))


def test_input_is_not_taken_without_being_asked_for(client):
    assert run("run", "--rm", rootfs(), "sh", "-c", "read x; echo $x", data=b"secret\n")[1] == b"\n"


def test_a_reader_that_leaves(client):
    run_ = subprocess.Popen([CONBUSCTL, "run", "--name", "a", rootfs(), "yes"], stdout=subprocess.PIPE)
    assert run_.stdout.readline() == b"y\n"
    run_.stdout.close()
    assert run_.wait(DEADLINE) == 128 + signal.SIGPIPE
    assert client.get("/container/a", "State") == "running"


def test_signals_go_on_to_the_container(client):
    script = "trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.1; done"
    process = subprocess.Popen([CONBUSCTL, "run", "--rm", rootfs(), "sh", "-c", script], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.read() == b"caught\n"
    assert process.wait(DEADLINE) == 9


def test_the_third_signal_ends_us(client):
    process = subprocess.Popen([CONBUSCTL, "run", "--name", "a", rootfs(), "sh", "-c", "trap '' INT; echo ready; while :; do sleep 0.1; done"], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0)  # signals of one kind that wait are one
        client.get("/container/a", "State")
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        client.get("/container/a", "State")
    assert process.returncode == 128 + signal.SIGINT
    assert client.get("/container/a", "State") == "running"


def test_a_terminal(client):
    terminal = Terminal("run", "--rm", "-it", rootfs(), "sh", "-c", "stty size; read x; stty size; echo got $x; exit 5", rows=33, columns=77)
    terminal.expect(b"33 77\r\n")
    assert terminal.is_raw()
    terminal.resize(10, 20)
    terminal.process.send_signal(signal.SIGWINCH)
    path = "/io/conbus1/container/" + client.manager("ListContainers")[0][0][0]
    pid = client.get(path, "MainPID")

    def has_size():
        fd = os.open(f"/proc/{pid}/fd/0", os.O_RDWR | os.O_NOCTTY)
        try:
            return struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, b"\0" * 8))[:2] == (10, 20)
        finally:
            os.close(fd)

    wait_for(has_size, "size", poll=True)
    terminal.type(b"word\r")
    terminal.expect(b"10 20\r\n")
    terminal.expect(b"got word\r\n")
    assert terminal.wait() == 5


def test_control_keys_reach_the_container(client):
    terminal = Terminal("run", "--rm", "-it", rootfs(), "sh", "-c", "trap 'echo caught; exit 6' INT; echo ready; while :; do sleep 0.1; done")
    terminal.expect(b"ready\r\n")
    terminal.type(b"\x03")
    terminal.expect(b"caught\r\n")
    assert terminal.wait() == 6


def test_detach_and_attach_again(client):
    terminal = Terminal("run", "--name", "a", "-it", rootfs(), "sh")
    terminal.expect(b"# ")
    terminal.type(b"\x10\x11")
    assert terminal.wait() == 0
    assert client.get("/container/a", "State") == "running"
    again = Terminal("attach", "--detach-keys", "ctrl-x", "a")
    again.type(b"echo on$((1+1))\r")
    again.expect(b"on2\r\n")
    again.type(b"\x18")
    assert again.wait() == 0
    last = Terminal("attach", "a")
    last.type(b"exit 8\r")
    assert last.wait() == 8


def test_the_terminal_is_given_back_at_a_signal(client):
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT):
        terminal = Terminal("run", "--rm", "-it", rootfs(), "sh", "-c", "echo ready; read x")
        terminal.expect(b"ready\r\n")
        assert terminal.is_raw()
        terminal.process.send_signal(number)
        assert terminal.wait() == 128 + number


def test_the_terminal_is_given_back_when_the_streams_are_lost(client):
    terminal = Terminal("run", "--name", "a", "-it", rootfs(), "sh", "-c", "echo ready; read x")
    terminal.expect(b"ready\r\n")
    os.kill(streamers()[0], signal.SIGKILL)
    terminal.expect(b"were lost")
    assert terminal.wait() == 125


def test_attach_without_input(client):
    path = client.create("a", "sh", "-c", "read x; echo got $x; exit 3", stdin_open=True)
    client.call(path, CONTAINER, "Start")
    watching = subprocess.Popen([CONBUSCTL, "attach", "--no-stdin", "a"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    watching.stdin.close()
    wait_for(lambda: [event for event in client.signals_of("Event") if event[3] == "attach"], "the attachment")
    assert run("attach", "a", data=b"word\n")[:2] == (3, b"got word\n")
    assert watching.stdout.read() == b"got word\n" and watching.wait(DEADLINE) == 3


def test_run_goes_on_through_a_restart_of_the_service(client):
    process = subprocess.Popen([CONBUSCTL, "run", "--rm", "-i", rootfs(), "sh", "-c", "while read x; do echo got $x; done; exit 7"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    process.stdin.write(b"1\n")
    assert process.stdout.readline() == b"got 1\n"
    client.kill_service()
    process.stdin.write(b"2\n")
    assert process.stdout.readline() == b"got 2\n"
    process.stdin.close()
    client.manager("ListContainers")
    assert process.wait(DEADLINE) == 7


def test_errors(client):
    assert run("attach")[0] == 2 and run("attach", "a", "b")[0] == 2 and run("attach", "--colour", "a")[0] == 2
    status, _, errors = run("attach", "nobody")
    assert status == 1 and b"nobody" in errors
    client.create("a", "true")
    status, _, errors = run("attach", "a")
    assert status == 1 and b"created" in errors
    assert run("run", "--rm", rootfs(), "--detach-keys", "ctrl-", "true")[0] == 125
    assert run("run", rootfs(), "nosuch")[0] == 127
    client.call("/container/a", CONTAINER, "RemoveWith", "a{sv}", options(force=True))


if __name__ == "__main__":
    main()
