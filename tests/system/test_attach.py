#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attaching to containers: streams, framings, terminals, the log, every end, bad clients, restarts in between."""

import os
import select
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from attached import attach, attach_options, demultiplex, end_of, error_of, running, start, streamers, wait_no_streamers  # noqa: E402
from harness import CONTAINER, JOB, Client, GLib, expect, main, options, wait_for  # noqa: E402


# --- one client ---


def test_output_and_errors_apart(client):
    attached = start(client, client.create("a", "sh", "-c", "echo out; echo error >&2; exit 3")).read_to_end()
    assert (attached.out, attached.errors) == (b"out\n", b"error\n")
    assert attached.last == {"reason": "exited", "run": 1, "exit-code": 3}, attached.last
    assert end_of(client, attached.job) == ("done", {"reason": "exited", "run": 1, "exit-code": 3})
    wait_no_streamers()


def test_the_code_comes_after_the_record(client):
    path = client.create("a", "sh", "-c", "exit 5")
    attached = start(client, path).read_to_end()
    assert client.call(path, CONTAINER, "GetRun", "t", attached.last["run"])[0]["exit-code"] == 5


def test_the_first_byte_is_never_lost(client):
    path = client.create("a", "echo", "first and last")
    for run in range(1, 101):
        attached = start(client, path).read_to_end()
        assert attached.out == b"first and last\n", (run, attached.out)
        assert attached.last == {"reason": "exited", "run": run, "exit-code": 0}, (run, attached.last)
        client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    wait_no_streamers()


def test_streams_can_be_chosen(client):
    path = client.create("a", "sh", "-c", "echo out; echo error >&2")
    only_errors = start(client, path, streams=["stderr"]).read_to_end()
    assert (only_errors.out, only_errors.errors) == (b"", b"error\n")
    only_input = attach(client, running(client, "b", "sh", "-c", "read x; exit 9", stdin_open=True), streams=["stdin"])
    only_input.send(b"go\n")
    only_input.read_to_end()
    assert (only_input.out, only_input.last["exit-code"]) == (b"", 9)


def test_input_comes_back(client):
    attached = start(client, client.create("a", "cat", stdin_open=True, stdin_once=True))
    attached.send(b"one\n")
    attached.read_until(b"one\n")
    attached.send(b"two\n")
    attached.end_input()
    attached.read_to_end()
    assert attached.out == b"one\ntwo\n" and attached.last["exit-code"] == 0, (attached.out, attached.last)


def test_an_empty_packet_ends_the_input(client):
    attached = start(client, client.create("a", "cat", stdin_open=True, stdin_once=True))
    attached.send(b"one\n")
    attached.socket.send(b"\0")
    assert attached.read_to_end().out == b"one\n"


def test_input_is_not_ended_by_leaving(client):
    path = client.create("a", "sh", "-c", "read x; echo got $x; read y; echo got $y", stdin_open=True)
    first = start(client, path)
    first.send(b"one\n")
    first.read_until(b"got one\n")
    first.end_input()
    first.socket.close()
    assert end_of(client, first.job)[1]["reason"] == "client-closed"
    second = attach(client, path)
    second.send(b"two\n")
    assert second.read_to_end().out == b"got two\n"


def test_stdin_once_ends_only_when_it_is_said(client):
    path = client.create("a", "sh", "-c", "cat; echo end", stdin_open=True, stdin_once=True)
    first = start(client, path)
    first.send(b"one\n")
    first.read_until(b"one\n")
    first.socket.close()  # not an end of the input: the client has gone
    assert end_of(client, first.job)[1]["reason"] == "client-closed"
    second = attach(client, path)
    second.send(b"two\n")
    second.end_input()
    assert second.read_to_end().out == b"two\nend\n"


def test_the_last_words_of_a_client_that_has_gone(client):
    path = running(client, "a", "sh", "-c", "read x; exit 7", stdin_open=True)
    attached = attach(client, path)
    attached.send(b"last words\n")
    attached.socket.close()
    assert client.call(path, CONTAINER, "Wait")[1] == 7


def test_multiplexed_and_raw(client):
    path = client.create("a", "sh", "-c", "printf out; read x; printf error >&2", stdin_open=True)
    attached = start(client, path, framing="multiplexed")
    assert attached.framing == "multiplexed"
    attached.read_until(b"out")
    attached.send(b"\n")
    attached.read_to_end()
    assert demultiplex(attached.out) == [(1, b"out"), (2, b"error")], attached.out
    attached = start(client, path, framing="raw")
    attached.read_until(b"out")
    attached.send(b"\n")
    assert attached.read_to_end().out == b"outerror", attached.out


# --- the log ---


def test_from_the_start_of_the_run_and_of_the_log(client):
    path = client.create("a", "sh", "-c", "echo one; read x; echo two", stdin_open=True)
    client.call(path, CONTAINER, "Start")
    first = attach(client, path)
    first.send(b"\n")
    first.read_to_end()
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    client.call(path, CONTAINER, "Start")
    now = attach(client, path)
    run = attach(client, path, **{"from": "run-start"})
    log = attach(client, path, **{"from": "log-start"})
    run.read_until(b"one\n")
    now.send(b"\n")
    assert run.read_to_end().out == b"one\ntwo\n", run.out
    assert log.read_to_end().out == b"one\ntwo\none\ntwo\n", log.out
    assert now.read_to_end().out in (b"two\n", b"one\ntwo\n"), now.out
    cursor = client.call(path, CONTAINER, "GetRun", "t", 2)[0]["log-cursor"]
    stored = attach(client, path, follow=False, **{"from": cursor}).read_to_end()
    assert stored.out == b"one\ntwo\n" and stored.last == {"reason": "log-end"}, (stored.out, stored.last)


def test_the_seam_between_log_and_stream(client):
    count = 60000
    path = client.create("a", "sh", "-c", f"i=0; while [ $i -lt {count} ]; do echo $i; i=$((i+1)); done; read x", stdin_open=True)
    client.call(path, CONTAINER, "Start")
    clients = [attach(client, path, **{"from": "run-start"}) for _ in range(5)]
    clients[0].send(b"\n")
    expected = b"".join(b"%d\n" % i for i in range(count))
    for attached in clients:
        assert attached.read_to_end().out == expected, len(attached.out)


def test_the_log_alone_in_every_state(client):
    path = client.create("a", "sh", "-c", "printf 'stored\\nhalf'")
    assert attach(client, path, follow=False, **{"from": "log-start"}).read_to_end().out == b""
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    stored = attach(client, path, follow=False, **{"from": "log-start"})
    assert stored.read_to_end().out == b"stored\nhalf"
    assert end_of(client, stored.job)[1]["reason"] == "log-end"
    assert client.get(path, "State") == "exited"
    wait_no_streamers()


def test_drivers(client):
    none = client.create("none", "echo", "live", log_driver="none")
    assert start(client, none).read_to_end().out == b"live\n"
    assert expect("NoLogs", attach, client, none, follow=False, **{"from": "log-start"})
    client.call(none, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    assert start(client, none, **{"from": "run-start"}).read_to_end().out == b"live\n"
    through = client.create("through", "sleep", "100", log_driver="passthrough")
    client.call(through, CONTAINER, "Start")
    expect("NotAttachable", attach, client, through)


# --- terminals ---


def test_a_terminal(client):
    path = client.create("a", "sh", "-c", "stty size; read x; stty size; tty >/dev/null && echo terminal", terminal=True, stdin_open=True)
    attached = start(client, path, size=GLib.Variant("(qq)", (33, 77)))
    assert attached.framing == "raw"
    attached.read_until(b"33 77\r\n")
    client.call(path, CONTAINER, "ResizeTerminal", "qq", 10, 20)
    wait_for(lambda: size_of(client, path) == (10, 20), "size", poll=True)
    attached.send(b"\n")
    attached.read_to_end()
    assert attached.out.endswith(b"10 20\r\nterminal\r\n"), attached.out


def size_of(client, path):
    import fcntl
    import struct
    import termios

    pid = client.get(path, "MainPID")
    fd = os.open(f"/proc/{pid}/fd/0", os.O_RDWR | os.O_NOCTTY)
    try:
        return struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, b"\0" * 8))[:2]
    finally:
        os.close(fd)


def test_resize_before_the_start_and_in_a_hurry(client):
    path = client.create("a", "sh", "-c", "stty size; sleep 100", terminal=True)
    client.call(path, CONTAINER, "Init")
    attached = attach(client, path)
    client.call(path, CONTAINER, "ResizeTerminal", "qq", 44, 55)
    wait_for(lambda: size_of(client, path) == (44, 55), "size", poll=True)
    client.call(path, CONTAINER, "Start")
    attached.read_until(b"44 55\r\n")
    for i in range(1, 301):
        client.begin(path, CONTAINER, "ResizeTerminal", "qq", i, 1000 - i)
    client.call(path, CONTAINER, "ResizeTerminal", "qq", 12, 34)
    wait_for(lambda: size_of(client, path) == (12, 34), "the last size", poll=True)


def test_resize_errors(client):
    path = client.create("a", "sleep", "100")
    expect("NoTerminal", client.call, path, CONTAINER, "ResizeTerminal", "qq", 10, 10)
    terminal = client.create("b", "sleep", "100", terminal=True)
    expect("NotRunning", client.call, terminal, CONTAINER, "ResizeTerminal", "qq", 10, 10)
    client.call(terminal, CONTAINER, "Start")
    for rows, columns in ((0, 10), (10, 0), (1001, 10), (10, 1001), (65535, 65535)):
        expect("InvalidArgs", client.call, terminal, CONTAINER, "ResizeTerminal", "qq", rows, columns)
    expect("NoTerminal", attach, client, running(client, "c", "sleep", "100"), size=GLib.Variant("(qq)", (10, 10)))


# --- leaving ---


def test_detach_keys(client):
    path = running(client, "a", "cat", stdin_open=True)
    attached = attach(client, path)
    attached.send(b"x\n")
    attached.read_until(b"x\n")
    attached.send(b"\x10")
    attached.send(b"\x11")
    attached.read_to_end()
    assert attached.last == {"reason": "detached"}, attached.last
    assert end_of(client, attached.job) == ("done", {"reason": "detached", "run": 1, "exit-code": -1})
    assert client.get(path, "State") == "running"
    other = attach(client, path, detach_keys="ctrl-x,x")
    other.send(b"\x10\x11\n")
    other.read_until(b"\x10\x11\n")
    other.send(b"\x18x")
    assert other.read_to_end().last == {"reason": "detached"}


def test_a_beginning_of_the_keys_is_passed_on(client):
    attached = attach(client, running(client, "a", "cat", stdin_open=True))
    attached.send(b"\x10")  # nothing follows
    attached.read_until(b"\x10")
    attached.send(b"\x10x\n")
    attached.read_until(b"\x10x\n")


def test_cancel_detaches(client):
    path = running(client, "a", "sleep", "100")
    attached = attach(client, path)
    client.call(attached.job, JOB, "Cancel")
    assert attached.read_to_end().last == {"reason": "detached"}
    assert end_of(client, attached.job)[1]["reason"] == "detached"
    assert client.get(path, "State") == "running"


def test_a_job_that_lives_as_long_as_its_caller(client):
    path = running(client, "a", "sleep", "100")
    other = Client()
    attached = attach(other, path, job_lifetime="client")
    other.connection.close_sync(None)
    assert attached.read_to_end().last == {"reason": "detached"}


def test_the_end_with_auto_remove(client):
    path = client.create("a", "sh", "-c", "echo last; exit 4", auto_remove=True)
    attached = start(client, path).read_to_end()
    assert (attached.out, attached.last["exit-code"]) == (b"last\n", 4)
    assert end_of(client, attached.job)[1] == {"reason": "exited", "run": 1, "exit-code": 4}


def test_a_stop_ends_the_streams(client):
    path = client.create("a", "sleep", "100")
    attached = start(client, path)
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert attached.read_to_end().last == {"reason": "exited", "run": 1, "exit-code": 137}


def test_a_start_that_fails(client):
    path = client.create("a", "/no/such/program")
    expect("RuntimeCommandNotFound", start, client, path)
    assert client.get(path, "State") == "created"
    wait_no_streamers()


# --- states and options ---


def test_states(client):
    path = client.create("a", "sh", "-c", "echo begin; sleep 100")
    expect("NotRunning", attach, client, path)
    client.call(path, CONTAINER, "Init")
    initialized = attach(client, path)
    client.call(path, CONTAINER, "Start")
    initialized.read_until(b"begin\n")
    running = start(client, path)
    assert (running.run, running.started) == (1, False)
    client.call(path, CONTAINER, "Pause")
    paused = start(client, path)
    assert not paused.started
    client.call(path, CONTAINER, "Resume")
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    for attached in (initialized, running, paused):
        assert attached.read_to_end().last["exit-code"] == 137
    expect("NotRunning", attach, client, path)


def test_wrong_options(client):
    path = running(client, "a", "sleep", "100")
    string = lambda text: GLib.Variant("s", text)  # noqa: E731
    expect("UnknownOption", attach, client, path, colour=True)
    for keys in ({"streams": GLib.Variant("as", [])}, {"streams": ["stdin", "stdthree"]}, {"framing": string("frames")}, {"from": string("yesterday")}, {"from": string("ff:1")},
                 {"detach_keys": string("ctrl-")}, {"size": GLib.Variant("(qq)", (0, 1))}, {"follow": GLib.Variant("b", False)}, {"streams": string("stdin")}, {"job_token": string("a b")}):
        expect("InvalidArgs", attach, client, path, **keys)
    expect("InvalidArgs", client.call, path, CONTAINER, "StartWith", "a{sv}", options(attach=GLib.Variant("s", "please")))
    expect("UnknownOption", client.call, path, CONTAINER, "Queue", "sa{sv}", "start", options(attach=attach_options()))


def test_the_event(client):
    path = running(client, "a", "sleep", "100")
    attach(client, path)
    events, _, _ = client.manager("GetEvents", "tua{sv}", 0, 1000, {})
    assert [event for event in events if event[3] == "attach" and event[4] == path]


# --- bad clients ---


def test_packets_that_are_none(client):
    path = running(client, "a", "cat", stdin_open=True)
    good = attach(client, path)
    for packet in (b"\1hello", b"\xff", b"\0" + b"x" * 40000):
        bad = attach(client, path)
        bad.socket.send(packet)
        bad.read_to_end()
        assert error_of(client, bad.job) == "InvalidArgs"
        assert "error" in bad.last, bad.last
    good.send(b"still here\n")
    good.read_until(b"still here\n")


def test_clients_that_vanish(client):
    wait_no_streamers()
    path = running(client, "a", "sh", "-c", "while read x; do echo $x; done", stdin_open=True)
    stays = attach(client, path)
    for i in range(50):
        attached = attach(client, path)
        if i % 2:
            attached.send(b"x" * 1000)
        attached.socket.close()
    stays.send(b"\nstill here\n")
    stays.read_until(b"still here\n")
    assert len(streamers()) == 1


def test_a_client_does_not_wait_for_another_that_floods(client):
    """Nobody reads the container's standard input: the one that writes waits, the others have their output."""
    path = running(client, "a", "sh", "-c", "while :; do echo tick; sleep 0.1; done", stdin_open=True)
    flood, other = attach(client, path), attach(client, path)
    flood.socket.setblocking(False)
    while select.select([], [flood.socket], [], 1)[1]:
        try:
            flood.socket.send(b"\0" + b"x" * 32768)
        except BlockingIOError:
            break
    other.read_until(b"tick\ntick\n")
    flood.socket.close()
    assert end_of_soon(client, other)


def end_of_soon(client, attached):
    client.call(attached.job, JOB, "Cancel")
    attached.read_to_end()
    return end_of(client, attached.job)[0] == "done"


# --- restarts ---


def test_the_service_restarts_in_mid_stream(client):
    path = client.create("a", "sh", "-c", "while read x; do echo got $x; done; exit 6", stdin_open=True, stdin_once=True)
    attached = start(client, path)
    attached.send(b"1\n")
    attached.read_until(b"got 1\n")
    client.kill_service()
    attached.send(b"2\n")  # nobody but the streamer is there
    attached.read_until(b"got 2\n")
    assert client.get(path, "State") == "running"
    assert client.get(attached.job, "State", JOB) == "running"
    client.kill_service()
    attached.send(b"3\n")
    attached.end_input()
    attached.read_to_end()
    assert attached.out == b"got 1\ngot 2\ngot 3\n", attached.out
    assert attached.last == {"reason": "exited", "run": 1, "exit-code": 6}, attached.last
    assert end_of(client, attached.job) == ("done", {"reason": "exited", "run": 1, "exit-code": 6})


def test_a_client_leaves_while_the_service_is_down(client):
    path = client.create("a", "sleep", "100")
    attached = start(client, path)
    client.kill_service()
    attached.socket.close()
    client.get(path, "State")
    assert end_of(client, attached.job)[1]["reason"] == "client-closed"


def test_a_silent_streamer_is_not_waited_for(client):
    wait_no_streamers()
    path = client.create("a", "sleep", "100")
    attached = start(client, path)
    (streamer,) = streamers()
    os.kill(streamer, signal.SIGSTOP)
    try:
        client.kill_service()
        assert client.get(path, "State") == "running"
    finally:
        os.kill(streamer, signal.SIGCONT)
    attached.socket.close()


def test_the_streamer_is_killed(client):
    wait_no_streamers()
    path = client.create("a", "sh", "-c", "while read x; do echo got $x; done; exit 6", stdin_open=True, stdin_once=True)
    attached = start(client, path)
    attached.send(b"1\n")
    attached.read_until(b"got 1\n")
    os.kill(streamers()[0], signal.SIGKILL)
    assert error_of(client, attached.job) == "Interrupted"
    attached.read_to_end()
    assert client.get(path, "State") == "running"
    again = attach(client, path)
    again.send(b"2\n")
    again.read_until(b"got 2\n")
    again.end_input()
    assert again.read_to_end().last["exit-code"] == 6


def test_a_stopped_streamer_does_not_last_for_ever(client):
    """A streamer that hangs in the middle of a run is found out by nobody but its clients; the run and its record do not depend on it once it is gone."""
    wait_no_streamers()
    path = client.create("a", "sh", "-c", "echo begin; read x", stdin_open=True)
    attached = start(client, path)
    attached.read_until(b"begin\n")
    pid = streamers()[0]
    os.kill(pid, signal.SIGSTOP)
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert client.get(path, "ExitCode") == 137
    os.kill(pid, signal.SIGCONT)
    assert attached.read_to_end().last["exit-code"] == 137


def test_conmon_is_killed(client):
    path = client.create("a", "sh", "-c", "echo begin; sleep 100")
    attached = start(client, path)
    attached.read_until(b"begin\n")
    os.kill(client.get(path, "MonitorPID"), signal.SIGKILL)
    attached.read_to_end()
    assert attached.last["error"] == "io.conbus1.Error.MonitorLost", attached.last
    assert error_of(client, attached.job) == "MonitorLost"
    assert client.get(path, "State") == "running"
    expect("MonitorLost", attach, client, path)
    wait_no_streamers()


def test_conmon_is_killed_while_the_service_is_down(client):
    path = client.create("a", "sh", "-c", "echo begin; sleep 100")
    attached = start(client, path)
    attached.read_until(b"begin\n")
    monitor = client.get(path, "MonitorPID")
    client.kill_service()
    os.kill(monitor, signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{monitor}/exe"), "end of conmon", poll=True)
    client.get(path, "State")
    assert attached.read_to_end().last["error"] == "io.conbus1.Error.MonitorLost"


if __name__ == "__main__":
    main()
