#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Streams of processes in containers: first and last bytes, input and its end, terminals, much data by checksum, many clients, bad ones, restarts in between; and a thousand processes that leave nothing."""

import fcntl
import hashlib
import os
import signal
import struct
import sys
import termios
import threading

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from attached import LARGE, demultiplex, end_of, error_of, noise, streamers, wait_no_streamers  # noqa: E402
from census import Census  # noqa: E402
from executed import attach, container, execute, processes, read_all, run, spawn, wait  # noqa: E402
from harness import CONTAINER, JOB, PROCESS, GLib, expect, main, options, wait_for  # noqa: E402


def digest(data):
    return hashlib.sha256(data).hexdigest()


def in_thread(function, *arguments):
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    return thread


# --- one client ---


def test_output_and_errors_apart(client):
    attached = run(client, container(client), "sh", "-c", "echo out; echo error >&2; exit 3").read_to_end()
    assert (attached.out, attached.errors) == (b"out\n", b"error\n")
    assert attached.last == {"reason": "exited", "run": 1, "exit-code": 3}, attached.last
    assert end_of(client, attached.job) == ("done", {"reason": "exited", "run": 1, "exit-code": 3})
    assert client.get(attached.job, "Objects", JOB)[1] == attached.process
    wait_no_streamers()


def test_the_first_byte_is_never_lost(client):
    path = container(client)
    for number in range(100):
        attached = run(client, path, "echo", "first and last").read_to_end()
        assert attached.out == b"first and last\n", (number, attached.out)
        assert attached.last["exit-code"] == 0, attached.last
    wait_no_streamers()


def test_the_code_comes_after_the_record(client):
    attached = run(client, container(client), "sh", "-c", "echo bye; exit 5").read_to_end()
    assert attached.last["exit-code"] == 5
    assert client.get(attached.process, "ExitCode", PROCESS) == 5


def test_input_and_its_end(client):
    attached = run(client, container(client), "cat")
    attached.send(b"one\n")
    attached.read_until(b"one\n")
    attached.send(b"two\n")
    attached.end_input()
    assert attached.read_to_end().out == b"one\ntwo\n"


def test_input_before_the_start(client):
    path = container(client)
    process, _ = execute(client, path, "cat", start=False)
    attached = attach(client, process)
    attached.send(b"early\n")
    attached.end_input()
    client.call(process, PROCESS, "Start")
    assert attached.read_to_end().out == b"early\n"


def test_nobody_wants_to_write(client):
    path = container(client)
    attached = run(client, path, "cat", attach_keys={"streams": ["stdout", "stderr"]}).read_to_end()
    assert attached.last["exit-code"] == 0
    process, _ = execute(client, path, "cat")
    assert wait(client, process) == (0, 0)


def test_leaving_does_not_end_the_input(client):
    path = container(client)
    first = run(client, path, "sh", "-c", "read x; echo got $x; read y; echo got $y")
    first.send(b"one\n")
    first.read_until(b"got one\n")
    first.socket.close()
    assert end_of(client, first.job)[1]["reason"] == "client-closed"
    second = attach(client, first.process)
    second.send(b"two\n")
    assert second.read_to_end().out == b"got two\n"


def test_cancel_and_detach_keys(client):
    path = container(client)
    attached = run(client, path, "cat", detach_keys="ctrl-x")
    client.call(attached.job, JOB, "Cancel")
    attached.read_to_end()
    assert end_of(client, attached.job) == ("done", {"reason": "detached", "run": 1, "exit-code": -1})
    again = attach(client, attached.process)
    again.send(b"\x18")
    again.read_to_end()
    assert end_of(client, again.job)[1]["reason"] == "detached"
    assert client.get(attached.process, "State", PROCESS) == "running"


def test_an_attachment_that_is_cancelled_before_the_start(client):
    path = container(client)
    process, _ = execute(client, path, "echo", "x", start=False)
    early, stays = attach(client, process), attach(client, process)
    client.call(early.job, JOB, "Cancel")
    assert end_of(client, early.job)[0] == "cancelled"
    assert early.read_to_end().last is None
    client.call(process, PROCESS, "Start")
    assert stays.read_to_end().out == b"x\n"
    gone, _ = execute(client, path, "echo", "x", start=False)
    left = attach(client, gone)
    client.call(gone, PROCESS, "Remove", "s", "normal")
    assert end_of(client, left.job)[1]["exit-code"] == -1
    left.read_to_end()


def test_a_terminal(client):
    path = container(client)
    size = GLib.Variant("(qq)", (33, 77))
    attached = run(client, path, "sh", "-c", "read x; stty size; tty; read x; stty size; echo $TERM", terminal=True, attach_keys={"size": size})
    assert attached.framing == "raw"
    assert terminal_size(attached.pid) == (33, 77)  # when Start has been answered: crun sets the size while the program begins
    attached.send(b"\n")
    attached.read_until(b"/dev/pts/")
    assert b"33 77\r\n" in attached.out, attached.out
    client.call(attached.process, PROCESS, "ResizeTerminal", "qq", 40, 100)
    expect("InvalidArgs", client.call, attached.process, PROCESS, "ResizeTerminal", "qq", 0, 100)
    wait_for(lambda: terminal_size(attached.pid) == (40, 100), "the size", poll=True)
    attached.send(b"\n")
    attached.read_to_end()
    assert attached.out.endswith(b"40 100\r\nxterm\r\n"), attached.out
    plain, _ = execute(client, path, "sleep", "1000")
    expect("NoTerminal", client.call, plain, PROCESS, "ResizeTerminal", "qq", 24, 80)
    expect("NoTerminal", attach, client, plain, size=size)


def terminal_size(pid):
    fd = os.open(f"/proc/{pid}/fd/0", os.O_RDWR | os.O_NOCTTY)
    try:
        return struct.unpack("hhhh", fcntl.ioctl(fd, termios.TIOCGWINSZ, b"\0" * 8))[:2]
    finally:
        os.close(fd)


def test_what_a_process_cannot_show(client):
    process, _ = execute(client, container(client), "sleep", "1000")
    for keys in ({"from": GLib.Variant("s", "run-start")}, {"follow": False, "from": GLib.Variant("s", "log-start")}):
        expect("NoLogs", attach, client, process, **keys)
    expect("UnknownOption", attach, client, process, colour=True)


def test_an_http_connection(client):
    import socket

    path = container(client)
    process, _ = execute(client, path, "cat", start=False)
    ours, theirs = socket.socketpair()
    ours.settimeout(30)
    expect("NoLogs", client.call, process, PROCESS, "HttpAttach", "haya{sv}", 0, b"", options(logs=True, stream=True), fds=[theirs.fileno()])
    client.call(process, PROCESS, "HttpAttach", "haya{sv}", 0, b"ahead\n", options(stream=True, upgrade=True), fds=[theirs.fileno()])
    theirs.close()
    client.call(process, PROCESS, "Start")
    ours.shutdown(socket.SHUT_WR)
    data = b""
    while piece := ours.recv(4096):
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 UPGRADED"), head
    assert demultiplex(body) == [(1, b"ahead\n")], body
    ours.close()


# --- much ---


def test_100_mb_out(client):
    data = noise(LARGE)
    attached = run(client, container(client), "cat", "/noise").read_to_end()
    assert attached.last["exit-code"] == 0, attached.last
    assert digest(attached.out) == digest(data), len(attached.out)


def test_100_mb_in(client):
    data = os.urandom(LARGE)
    attached = run(client, container(client), "sha256sum", attach_keys={"detach_keys": ""})
    thread = in_thread(lambda: (attached.send(data), attached.end_input()))
    attached.read_to_end()
    thread.join()
    assert attached.out.split()[0].decode() == digest(data)


def test_both_ways_at_once(client):
    data = os.urandom(LARGE // 5)
    attached = run(client, container(client), "cat", attach_keys={"framing": "raw", "detach_keys": ""})
    thread = in_thread(lambda: (attached.send(data), attached.end_input()))
    attached.read_to_end()
    thread.join()
    assert digest(attached.out) == digest(data), len(attached.out)


def test_100_mb_through_the_callers_descriptors(client):
    data = os.urandom(LARGE)
    path = container(client)
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    process, _ = spawn(client, path, "cat", fds={0: in_read, 1: out_write})
    os.close(in_read)
    os.close(out_write)

    def write():
        view = memoryview(data)
        while view:
            view = view[os.write(in_write, view):]
        os.close(in_write)

    thread = in_thread(write)
    assert digest(read_all(out_read)) == digest(data)
    thread.join()
    assert wait(client, process) == (0, 0)


def test_a_slow_reader_holds_up_its_own_process_and_loses_nothing(client):
    data = noise(LARGE // 10)
    path = container(client)
    attached = run(client, path, "cat", "/noise")
    client.call(path, CONTAINER, "GetProcesses")
    other = run(client, path, "echo", "not held up").read_to_end()
    assert other.out == b"not held up\n"
    assert client.get(attached.process, "State", PROCESS) == "running"  # more waits than pipes and rings hold
    attached.read_to_end()
    assert digest(attached.out) == digest(data), len(attached.out)
    assert attached.last["exit-code"] == 0


def test_one_who_never_reads_does_not_keep_the_container(client):
    noise(LARGE // 10)
    path = container(client)
    idle = run(client, path, "cat", "/noise")
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert client.get(path, "State") == "exited"
    assert client.get(idle.process, "State", PROCESS) == "stopped"
    assert idle.read_to_end().last["exit-code"] == 137  # what it was behind with is there
    wait_no_streamers()


def test_ten_clients(client):
    data = noise(LARGE // 10)
    path = container(client)
    process, _ = execute(client, path, "cat", "/noise", start=False)
    framings = ["packets", "raw", "multiplexed"]
    clients = [attach(client, process, framing=framings[i % 3]) for i in range(10)]
    threads = [in_thread(attached.read_to_end) for attached in clients]
    client.call(process, PROCESS, "Start")
    for thread in threads:
        thread.join()
    for i, attached in enumerate(clients):
        out = b"".join(piece for _, piece in demultiplex(attached.out)) if i % 3 == 2 else attached.out
        assert digest(out) == digest(data), (i, len(out))
        assert end_of(client, attached.job)[1]["reason"] == "exited"


def test_one_of_many_who_never_reads_is_dropped(client):
    data = noise(LARGE // 10)
    path = container(client)
    process, _ = execute(client, path, "cat", "/noise", start=False)
    idle, reader = attach(client, process), attach(client, process)
    client.call(process, PROCESS, "Start")
    assert digest(reader.read_to_end().out) == digest(data)
    assert error_of(client, idle.job) == "ClientTooSlow"
    assert wait(client, process) == (0, 0)


def test_ten_processes_at_once(client):
    path = container(client)
    begun = [run(client, path, "sh", "-c", f"read x; echo {i} $x; exit {i}") for i in range(10)]
    for i, attached in enumerate(begun):
        attached.send(b"line\n")
    for i, attached in enumerate(begun):
        attached.read_to_end()
        assert (attached.out, attached.last["exit-code"]) == (b"%d line\n" % i, i)


def test_clients_that_vanish(client):
    path = container(client)
    stays = run(client, path, "sh", "-c", "while read x; do echo $x; done")
    for i in range(50):
        attached = attach(client, stays.process)
        if i % 2:
            attached.send(b"x" * 1000)
        attached.socket.close()
    stays.send(b"\nstill here\n")
    stays.read_until(b"still here\n")
    assert len(streamers()) == 1


def test_packets_that_are_none(client):
    good = run(client, container(client), "cat")
    for packet in (b"\1hello", b"\xff", b"\0" + b"x" * 40000):
        bad = attach(client, good.process)
        bad.socket.send(packet)
        bad.read_to_end()
        assert error_of(client, bad.job) == "InvalidArgs"
    good.send(b"still here\n")
    good.read_until(b"still here\n")


# --- restarts and deaths ---


def test_the_service_restarts_in_mid_stream(client):
    attached = run(client, container(client), "sh", "-c", "while read x; do echo got $x; done; exit 6")
    for number in (b"1", b"2", b"3"):
        client.manager("ListContainers")
        client.kill_service()
        attached.send(number + b"\n")  # nobody but the streamer is there
        attached.read_until(b"got " + number + b"\n")
        if number == b"2":
            assert client.get(attached.process, "State", PROCESS) == "running"
            assert client.get(attached.job, "State", JOB) == "running"
    attached.end_input()
    attached.read_to_end()
    client.manager("ListContainers")
    assert attached.out == b"got 1\ngot 2\ngot 3\n", attached.out
    assert wait(client, attached.process) == (6, 0)
    assert end_of(client, attached.job) == ("done", {"reason": "exited", "run": 1, "exit-code": 6})


def test_100_mb_while_the_service_restarts(client):
    data = noise(LARGE)
    path = container(client)
    attached = run(client, path, "cat", "/noise")
    thread = in_thread(attached.read_to_end)
    for _ in range(3):
        client.kill_service()
        client.manager("ListContainers")
    thread.join()
    assert digest(attached.out) == digest(data), len(attached.out)
    assert wait(client, attached.process) == (0, 0)


def test_the_streamer_is_killed(client):
    attached = run(client, container(client), "sh", "-c", "while read x; do echo got $x; done; exit 6")
    attached.send(b"1\n")
    attached.read_until(b"got 1\n")
    os.kill(streamers()[0], signal.SIGKILL)
    assert error_of(client, attached.job) == "Interrupted"
    assert client.get(attached.process, "State", PROCESS) == "running"
    again = attach(client, attached.process)
    again.send(b"2\n")
    again.read_until(b"got 2\n")
    again.end_input()
    assert again.read_to_end().last["exit-code"] == 6


# --- nothing is left ---


def test_a_thousand_processes_leave_nothing(client):
    with client.settings(ProcessKeepUSec=0):
        census = Census(client)
        path = container(client)
        for i in range(int(os.environ.get("CONBUS_EXECS", "1000"))):
            if i % 10 == 0:
                attached = run(client, path, "echo", str(i), auto_remove=True).read_to_end()
                assert attached.out == b"%d\n" % i
            elif i % 10 == 1:
                spawn(client, path, "true")
            else:
                process, _ = execute(client, path, "true")
            if i == 99:
                early = os.listdir(f"/proc/{client.service_pid()}/fd")
        wait_for(lambda: processes(client, path) == [] and os.listdir("/run/conbus/exec") == [], "the last ones", poll=True)
        wait_for(lambda: len(os.listdir(f"/proc/{client.service_pid()}/fd")) <= len(early) + 2, "the descriptors of the last ones to be closed", poll=True)
        for job in [object_ for object_ in client.call("/io/conbus1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0] if "/job/" in object_]:
            client.call(job, JOB, "Release")
        client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
        census.check()


if __name__ == "__main__":
    main()
