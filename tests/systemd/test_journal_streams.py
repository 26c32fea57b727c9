#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Attachments to containers whose log is in the journal: they are fed from it from its beginning, or the run's, through to what is live, so that nothing is missed or seen twice. conmon holds an unfinished line back until its newline or its end."""

import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from attached import attach, demultiplex, end_of, running, start, wait_no_streamers  # noqa: E402
from harness import CONTAINER, DEADLINE, GLib, expect, main, options, run  # noqa: E402
from logs import read_log  # noqa: E402

COUNT = 4000  # lines; journald takes 10000 in 30 s from one service
COUNTING = f"read x; i=0; while [ $i -lt {COUNT} ]; do echo $i; i=$((i+1)); done; read x; exit 5"
NUMBERS = b"".join(b"%d\n" % i for i in range(COUNT))


def write(client, path, text):
    """To the standard input of a container."""
    client.call(path, CONTAINER, "OpenAttach", "a{sv}", options(streams=["stdin"]))
    os.write(client.fds.get(0), b"\0" + text)


def end(client, path):
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})


def test_the_seam_between_journal_and_stream(client):
    """Clients come before, while and after the lines are written."""
    path = running(client, "a", "sh", "-c", "echo before; " + COUNTING, log_driver="journald", stdin_open=True)
    early = attach(client, path, **{"from": "run-start"})
    early.read_until(b"before\n")
    write(client, path, b"\n")
    clients = [early]
    for seen in (b"\n100\n", b"\n1000\n", b"\n2500\n"):
        early.read_until(seen)
        clients += [attach(client, path, **{"from": start_}) for start_ in ("run-start", "log-start")]
    write(client, path, b"\n")
    for attached in clients:
        attached.read_to_end()
        assert attached.out == b"before\n" + NUMBERS, (len(attached.out), attached.out[-30:])
        assert attached.last == {"reason": "exited", "run": 1, "exit-code": 5}, attached.last
        assert end_of(client, attached.job)[1]["exit-code"] == 5
    wait_no_streamers()


def test_runs_and_cursors(client):
    path = client.create("a", "sh", "-c", "echo begin; echo oops >&2; printf half; read x; echo on", log_driver="journald", stdin_open=True)
    for number in (1, 2):
        client.call(path, CONTAINER, "Start")
        whole = attach(client, path, streams=["stdout"], **{"from": "log-start"})
        this = attach(client, path, streams=["stdout"], **{"from": "run-start"})
        this.read_until(b"begin\n")
        write(client, path, b"\n")
        assert whole.read_to_end().out == b"begin\nhalfon\n" * number
        assert this.read_to_end().out == b"begin\nhalfon\n"
        end(client, path)
    entries, cursor = read_log(client, path, 2, cursor=client.call(path, CONTAINER, "GetRun", "t", 2)[0]["log-cursor"], streams=["stdout"])
    assert entries == [("stdout", "begin"), ("stdout", "halfon")], entries
    attached = attach(client, path, follow=False, **{"from": "log-start"}).read_to_end()
    assert (attached.out, attached.errors, attached.last) == (b"begin\nhalfon\n" * 2, b"oops\n" * 2, {"reason": "log-end"})
    attached = attach(client, path, follow=False, streams=["stdout"], **{"from": "run-start"}).read_to_end()
    assert attached.out == b"begin\nhalfon\n"
    assert attach(client, path, follow=False, **{"from": cursor}).read_to_end().out == b""
    expect("InvalidArgs", attach, client, path, follow=False, **{"from": "1:0"})


def test_every_byte(client):
    """What is no UTF-8, NUL, a line that is longer than 64 KiB, no newline at the end."""
    script = "printf 'a\\000b\\377\\n\\n'; head -c 200000 /dev/zero | tr '\\0' x; echo; printf 'end'"
    path = running(client, "a", "sh", "-c", script + "; read x", log_driver="journald", stdin_open=True)
    live = attach(client, path, **{"from": "log-start"})
    live.read_until(b"x\n")
    write(client, path, b"\n")
    end(client, path)
    wanted = b"a\0b\377\n\n" + b"x" * 200000 + b"\nend"
    assert live.read_to_end().out == wanted
    assert attach(client, path, follow=False, **{"from": "log-start"}).read_to_end().out == wanted


def test_the_service_restarts_in_mid_stream(client):
    path = running(client, "a", "sh", "-c", "echo one; read x; echo two; exit 3", log_driver="journald", stdin_open=True)
    attached = attach(client, path, **{"from": "log-start"})
    attached.read_until(b"one\n")
    run("systemctl", "restart", "conbus")
    attached.send(b"\n")
    assert attached.read_to_end().out == b"one\ntwo\n"
    assert attached.last["exit-code"] == 3


def test_a_client_that_never_reads_holds_up_nobody(client):
    path = running(client, "a", "sh", "-c", COUNTING, log_driver="journald", stdin_open=True)
    stalled = attach(client, path, **{"from": "run-start"})
    write(client, path, b"\n\n")
    end(client, path)
    assert stalled.read_to_end().out == NUMBERS


def test_from_the_first_byte(client):
    """Who is there from the start on and asks for the run has it from conmon itself."""
    path = client.create("a", "sh", "-c", "echo first; echo second >&2", log_driver="journald")
    attached = start(client, path, **{"from": "run-start"}).read_to_end()
    assert (attached.out, attached.errors) == (b"first\n", b"second\n")


def test_http_logs_and_stream(client):
    path = running(client, "a", "sh", "-c", "echo one; printf half; read x; echo two", log_driver="journald", stdin_open=True)
    mine, theirs = socket.socketpair()
    mine.settimeout(DEADLINE)
    client.call(path, CONTAINER, "HttpAttach", "haya{sv}", 0, b"", options(logs=True, stream=True, streams=["stdout", "stdin"]), fds=[theirs.fileno()])
    theirs.close()
    mine.send(b"\n")
    answer = b""
    while piece := mine.recv(65536):
        answer += piece
    head, body = answer.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert [data for _, data in demultiplex(body)] == [b"one\n", b"halftwo\n"], body


if __name__ == "__main__":
    main("machine")
