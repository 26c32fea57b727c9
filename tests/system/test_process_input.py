#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""WriteInput of a process: a standard input without a descriptor, before the start and after it; byte for byte, in order, bounded, over restarts of the service."""

import hashlib
import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from attached import streamers, wait_no_streamers  # noqa: E402
from executed import attach, container, execute, handles, wait  # noqa: E402
from harness import CONTAINER, PROCESS, Client, Error, GLib, expect, main, on_real_runtime, options, run, wait_for  # noqa: E402
from other_user import UserClient  # noqa: E402
from polkit import USERS, Polkit, rule  # noqa: E402

LIMIT = 64 * 1024
IDLE = "while :; do sleep 0.05; done"  # reads nothing


def begin(client, process, data, **keys):
    return client.begin_input(process, PROCESS, data, **keys)


def write(client, process, data, **keys):
    client.finish(begin(client, process, data, **keys))


def capture(client, path, *command):
    """What a command writes, by a call that needs no descriptor either."""
    return bytes(client.call(path, CONTAINER, "ExecCapture", "asa{sv}", list(command), {})[2])


def text_of(client, path, file):
    return capture(client, path, "cat", file)


def reads(client, path, *command, **keys):
    """A process that is created, and what sees its output."""
    process, _ = execute(client, path, *command, start=False, **keys)
    return process, attach(client, process, streams=["stdout", "stderr"])


def start(client, process):
    return client.call(process, PROCESS, "Start")[0]


def pieces(data):
    return [data[at:at + LIMIT] for at in range(0, len(data), LIMIT)]


def leave(client, other):
    """When this returns the service has been told before it gets the next call."""
    name = GLib.Variant("(s)", (other.connection.get_unique_name(),))
    other.connection.close_sync(None)
    wait_for(lambda: not client.connection.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner", name, None, 0, -1, None).unpack()[0], "the end of a connection", poll=True)


def summed(data):
    return hashlib.sha256(data).hexdigest().encode() + b"  -\n"


# --- while it runs ---


def test_input_and_its_end(client):
    path = container(client)
    process, pid = execute(client, path, "sh", "-c", "cat >/tmp/a; echo end >>/tmp/a; exit 3", stdin_open=True)
    assert pid > 0
    write(client, process, b"one\n")
    write(client, process, b"")
    write(client, process, b"two\n")
    assert client.get(process, "State", PROCESS) == "running"
    write(client, process, b"three\n", eof=True)
    assert wait(client, process) == (3, 0)
    assert text_of(client, path, "/tmp/a") == b"one\ntwo\nthree\nend\n"
    wait_no_streamers()


def test_the_end_alone(client):
    process, _ = execute(client, container(client), "sh", "-c", "cat; exit 4", stdin_open=True)
    write(client, process, b"", eof=True)
    assert wait(client, process) == (4, 0)


def test_it_stays_open_without_anybody(client):
    process, _ = execute(client, container(client), "sh", "-c", "read a; read b; exit $a$b", stdin_open=True)
    assert streamers() == []  # nobody holds it but conmon
    write(client, process, b"1\n")
    write(client, process, b"2\n")
    assert wait(client, process) == (12, 0)


def test_byte_for_byte(client):
    data = os.urandom(2**20)
    process, attached = reads(client, container(client), "sha256sum", stdin_open=True)
    start(client, process)
    for piece in pieces(data):
        write(client, process, piece)
    assert client.get(process, "State", PROCESS) == "running"
    write(client, process, b"", eof=True)
    assert attached.read_to_end().out == summed(data)
    assert attached.last["exit-code"] == 0


def test_in_order_without_waiting(client):
    data = os.urandom(2**20)
    path = container(client)
    process, attached = reads(client, path, "sh", "-c", "read go </tmp/go; exec sha256sum", stdin_open=True)
    capture(client, path, "mkfifo", "/tmp/go")
    start(client, process)
    boxes = [begin(client, process, piece) for piece in pieces(data)] + [begin(client, process, b"last", eof=True)]
    client.finish(boxes[0])
    capture(client, path, "sh", "-c", "echo >/tmp/go")
    for box in boxes[1:]:
        client.finish(box)
    assert attached.read_to_end().out == summed(data + b"last")


def test_a_terminal(client):
    path = container(client)
    process, _ = execute(client, path, "sh", "-c", "read x; exit $x", terminal=True)
    message = expect("InvalidArgs", write, client, process, b"7\n", eof=True)
    assert "terminal" in message, message
    write(client, process, b"7\n")
    assert wait(client, process) == (7, 0)


def test_beside_an_attachment(client):
    process, _ = execute(client, container(client), "cat", start=False)
    attached = attach(client, process)
    start(client, process)
    write(client, process, b"by hand\n")
    attached.read_until(b"by hand\n")
    attached.send(b"by socket\n")
    attached.read_until(b"by socket\n")
    attached.socket.close()  # which ends nothing
    write(client, process, b"again\n", eof=True)
    assert wait(client, process) == (0, 0)


# --- before the start ---


def test_it_waits_for_the_start(client):
    process, attached = reads(client, container(client), "cat")
    box = begin(client, process, b"early\n")
    other = begin(client, process, b"too\n", reply_timeout_usec=1)
    expect("Timeout", client.finish, other)  # the effect goes on
    assert client.get(process, "State", PROCESS) == "created" and not box
    start(client, process)
    client.finish(box)
    attached.read_until(b"early\ntoo\n")
    write(client, process, b"late\n", eof=True)
    assert attached.read_to_end().out == b"early\ntoo\nlate\n"
    assert wait(client, process) == (0, 0)


def test_everything_before_the_start(client):
    data = os.urandom(2**20)
    process, attached = reads(client, container(client), "sha256sum")
    boxes = [begin(client, process, piece) for piece in pieces(data)] + [begin(client, process, b"", eof=True)]
    start(client, process)
    for box in boxes:
        client.finish(box)
    assert attached.read_to_end().out == summed(data)


def test_a_caller_that_leaves_before_the_start(client):
    process, _ = execute(client, container(client), "cat", start=False)
    other = Client(signals=False)
    begin(other, process, b"x" * LIMIT)
    assert other.get(process, "State", PROCESS) == "created"
    leave(client, other)
    start(client, process)
    assert wait(client, process) == (0, 0)  # nobody was there who writes


def test_one_that_is_never_started(client):
    path = container(client)
    process, _ = execute(client, path, "cat", start=False)
    box = begin(client, process, b"x")
    client.get(process, "State", PROCESS)
    client.call(process, PROCESS, "Remove", "s", "normal")
    assert "never started" in expect("Removed", client.finish, box)
    missing, _ = execute(client, path, "/no/such", start=False)
    boxes = [begin(client, missing, b"x" * LIMIT) for _ in range(30)]  # more than conmon may have taken before it is known
    expect("RuntimeCommandNotFound", start, client, missing)
    assert "before everything was taken" in expect("NotRunning", client.finish, boxes[-1])
    left, _ = execute(client, path, "cat", start=False)
    box = begin(client, left, b"x")
    client.get(left, "State", PROCESS)
    client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
    expect("Removed", client.finish, box)


# --- by hand ---


def busctl(*words):
    return run("busctl", "--address=" + os.environ["DBUS_SYSTEM_BUS_ADDRESS"], "--", "call", "io.conbus1", *words).strip()


def test_by_hand(client):
    path = container(client, "web")
    answer = busctl("/container/web", "io.conbus1.Container", "Exec", "asa{sv}", "3", "sh", "-c", "cat >/tmp/a; exit 5", "1", "stdin-open", "b", "true")
    process = answer.split('"')[1]
    busctl(process, "io.conbus1.Process", "WriteInput", "aya{sv}", "3", "104", "105", "10", "0")
    busctl(process, "io.conbus1.Process", "WriteInput", "aya{sv}", "0", "1", "eof", "b", "true")
    assert busctl(process, "io.conbus1.Process", "Wait") == "ii 5 0"
    assert text_of(client, path, "/tmp/a") == b"hi\n"


def test_by_hand_before_the_start(client):
    path = container(client, "web")
    process = busctl("/container/web", "io.conbus1.Container", "Exec", "asa{sv}", "3", "sh", "-c", "cat >/tmp/a; exit 5", "2", "start", "b", "false", "stdin-open", "b", "true").split('"')[1]
    words = ["busctl", "--address=" + os.environ["DBUS_SYSTEM_BUS_ADDRESS"], "call", "io.conbus1", process, "io.conbus1.Process", "WriteInput", "aya{sv}", "3", "104", "105", "10", "1", "eof", "b", "true"]
    with subprocess.Popen(words) as background:  # it may come before or after the start
        assert busctl(process, "io.conbus1.Process", "Start").startswith("u ")
        assert background.wait() == 0
    assert wait(client, process) == (5, 0)
    assert text_of(client, path, "/tmp/a") == b"hi\n"


# --- one that does not read ---


def fill(client, process):
    """More calls than conmon has room for."""
    boxes = [begin(client, process, b"x" * LIMIT) for _ in range(30)]
    expect("Timeout", write, client, process, b"x" * LIMIT, reply_timeout_usec=300000)
    client.finish(boxes[0])  # those that are taken are answered
    assert not boxes[-1]
    return boxes


@on_real_runtime
def test_one_that_does_not_read_keeps_its_callers_waiting(client):
    process, _ = execute(client, container(client), "sh", "-c", f"trap 'cat >/dev/null; exit 5' USR1; {IDLE}", stdin_open=True)
    other = Client(signals=False)
    boxes = fill(other, process)
    client.call(process, PROCESS, "Kill", "i", signal.SIGUSR1)
    for box in boxes:
        other.finish(box)
    write(client, process, b"", eof=True)
    assert wait(client, process) == (5, 0)
    expect("InvalidState", write, client, process, b"late")


@on_real_runtime
def test_an_end_before_everything_is_taken(client):
    process, _ = execute(client, container(client), "sleep", "1000", stdin_open=True)
    other = Client(signals=False)
    boxes = fill(other, process)
    client.call(process, PROCESS, "Stop", "t", 0)
    assert "before everything was taken" in expect("NotRunning", other.finish, boxes[-1])
    wait_no_streamers()


@on_real_runtime
def test_a_caller_that_leaves(client):
    path = container(client)
    process, _ = execute(client, path, "sh", "-c", f"trap 'wc -c >/tmp/a; exit 6' USR1; {IDLE}", stdin_open=True)
    other = Client(signals=False)
    fill(other, process)
    leave(client, other)
    client.call(process, PROCESS, "Kill", "i", signal.SIGUSR1)
    write(client, process, b"", eof=True)
    assert wait(client, process) == (6, 0)
    assert int(text_of(client, path, "/tmp/a")) < 31 * LIMIT


# --- refusals ---


def opens_input(client, process):
    return json.loads(client.call(process, PROCESS, "Inspect")[0])["OpenStdin"]


def test_without_a_standard_input(client):
    path = container(client)
    plain, _ = execute(client, path, "sleep", "1000")
    assert "stdin-open" in expect("NotAttachable", write, client, plain, b"x")
    watched, _ = reads(client, path, "sleep", "1000")
    assert opens_input(client, watched)  # of whoever comes before the start
    start(client, watched)
    expect("NotAttachable", write, client, watched, b"x")
    assert [opens_input(client, process) for process in (plain, watched)] == [False, False]
    client.kill_service()
    expect("NotAttachable", write, client, watched, b"x")  # which is known still
    with open(os.devnull, "r+b") as null:
        own, _ = client.call(path, CONTAINER, "Exec", "asa{sv}", ["sleep", "1000"], {"stdio": handles("ah", [0, 0, 0])}, fds=[null.fileno()])
        expect("NotAttachable", write, client, own, b"x")
        message = expect("InvalidArgs", client.call, path, CONTAINER, "Exec", "asa{sv}", ["true"], {"stdio": handles("ah", [0, 0, 0]), **options(stdin_open=True)}, fds=[null.fileno()])
        assert "descriptors of its caller" in message, message


def test_refusals(client):
    path = container(client)
    process, _ = execute(client, path, "cat", stdin_open=True, auto_remove=False)
    message = expect("InvalidArgs", write, client, process, b"x" * (LIMIT + 1))
    assert "65537" in message and "65536" in message, message
    expect("UnknownOption", write, client, process, b"x", end=True)
    expect("InvalidArgs", write, client, process, b"x", eof="yes")
    write(client, process, b"x" * LIMIT)
    write(client, process, b"", eof=True)
    assert wait(client, process) == (0, 0)
    expect("InvalidState", write, client, process, b"x")
    client.call(process, PROCESS, "Remove", "s", "normal")
    expect("UnknownObject", write, client, process, b"x")


def test_rights_and_limits(client):
    process, attached = reads(client, container(client), "cat")
    with client.settings(OperationsPerUser=3), Polkit(client) as polkit, UserClient(USERS["conbus-alice"]) as alice:
        polkit.start(rule("false"))
        expect("InteractiveAuthorizationRequired", alice.call, process, PROCESS, "WriteInput", "aya{sv}", b"x", {})
        polkit.start(rule("action.id == 'io.conbus1.exec' && action.lookup('verb') == 'write-input'"))
        boxes = [alice.begin(process, PROCESS, "WriteInput", "aya{sv}", b"%d\n" % i, {}) for i in range(3)]
        message = expect("LimitsExceeded", alice.call, process, PROCESS, "WriteInput", "aya{sv}", b"4\n", {})
        assert "3 operations" in message, message
        start(client, process)
        for box in boxes:
            alice.finish(box)
        alice.call(process, PROCESS, "WriteInput", "aya{sv}", b"5\n", options(eof=True))  # there is room again
    assert attached.read_to_end().out == b"0\n1\n2\n5\n"


@on_real_runtime
def test_after_the_end_of_the_input(client):
    process, _ = execute(client, container(client), "sh", "-c", "cat; exec sleep 1000", stdin_open=True)
    write(client, process, b"all\n", eof=True)
    assert "before everything was taken" in expect("NotRunning", write, client, process, b"more")
    assert client.get(process, "State", PROCESS) == "running"


def test_a_dead_conmon(client):
    process, pid = execute(client, container(client), "sleep", "1000", stdin_open=True)
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        os.kill(int(stat.read().rsplit(")", 1)[1].split()[1]), signal.SIGKILL)

    def is_told():
        try:
            write(client, process, b"x")
        except Error as error:
            return error.name == "MonitorLost"
        return False

    wait_for(is_told, "MonitorLost", poll=True)


# --- restarts ---


def test_the_service_restarts_between_two_writes(client):
    path = container(client)
    process, _ = execute(client, path, "sh", "-c", "while read x; do echo got $x; done >/tmp/a; exit 6", stdin_open=True)
    client.kill_service()  # nobody has written yet
    write(client, process, b"one\n")
    client.kill_service()
    write(client, process, b"two\n")
    os.kill(streamers()[0], signal.SIGKILL)
    wait_no_streamers()
    write(client, process, b"three\n")
    write(client, process, b"four\n", eof=True)
    assert wait(client, process) == (6, 0)
    assert text_of(client, path, "/tmp/a") == b"got one\ngot two\ngot three\ngot four\n"


def test_the_service_restarts_before_the_start(client):
    path = container(client)
    process, _ = execute(client, path, "sh", "-c", "cat >/tmp/a", start=False, stdin_open=True)
    box = begin(client, process, b"lost\n")
    client.get(process, "State", PROCESS)
    client.kill_service()
    expect("NoReply", client.finish, box)
    start(client, process)
    write(client, process, b"kept\n", eof=True)
    assert wait(client, process) == (0, 0)
    assert text_of(client, path, "/tmp/a") == b"kept\n"


if __name__ == "__main__":
    main()
