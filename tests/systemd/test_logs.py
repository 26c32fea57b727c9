#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logs under a real systemd: the driver journald, and readers that outlive the service."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from attached import running  # noqa: E402
from harness import CONTAINER, DEADLINE, GLib, expect, main, options, run, wait_for  # noqa: E402
from logs import Log, read_log, readers, texts, wait_no_readers  # noqa: E402


def ended(client, name, *command, **config):
    path = running(client, name, *command, log_driver="journald", **config)
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    return path


def scopes():
    return [line.split()[0] for line in run("systemctl", "list-units", "--plain", "--no-legend", "conbus-log-*.scope").splitlines()]


def test_the_journal_is_read(client):
    path = ended(client, "web", "sh", "-c", "echo one; echo oops >&2; echo two; printf 'three\\377'")
    entries, cursor = read_log(client, path, 10)
    assert sorted(entries) == [("stderr", "oops"), ("stdout", "one"), ("stdout", "three\ufffd"), ("stdout", "two")], entries
    assert read_log(client, path, 1, streams=["stderr"])[0] == [("stderr", "oops")]
    assert read_log(client, path, 2, streams=["stdout"])[0] == [("stdout", "two"), ("stdout", "three\ufffd")]
    assert Log(client, path, streams=["stdout"]).read_to_end() == b"one\ntwo\nthree\xff"
    lines = Log(client, path, format="json", streams=["stdout"]).lines_to_end()
    assert lines[-1]["end"] == "log-end" and lines[2]["partial"], lines
    assert Log(client, path, cursor=lines[0]["cursor"], streams=["stdout"]).read_to_end() == b"two\nthree\xff"
    assert Log(client, path, cursor=lines[-1]["cursor"]).read_to_end() == b""
    assert Log(client, path, since_usec=lines[1]["time"], streams=["stdout"]).read_to_end() == b"two\nthree\xff"
    assert Log(client, path, until_usec=lines[1]["time"], streams=["stdout"]).read_to_end() == b"one\n"
    assert Log(client, path, tail=0).read_to_end() == b""
    for wrong in ("1:0", "x"):
        expect("InvalidArgs", read_log, client, path, 1, cursor=wrong)


def test_pages_of_the_journal(client):
    count = 2500
    path = running(client, "a", "sh", "-c", f"i=0; while [ $i -lt {count} ]; do echo $i; i=$((i+1)); done", log_driver="journald")
    seen, cursor = [], client.call(path, CONTAINER, "GetRun", "t", 0)[0]["log-cursor"]
    while len(seen) < count:
        entries, cursor = read_log(client, path, 300, cursor=cursor)
        seen += [text for _, text in entries]
    assert seen == [str(i) for i in range(count)]
    assert Log(client, path, tail=3).read_to_end() == b"".join(b"%d\n" % i for i in range(count - 3, count))


def test_a_long_line_in_the_journal(client):
    path = ended(client, "a", "sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo; echo short")
    assert Log(client, path).read_to_end() == b"x" * 100000 + b"\nshort\n"
    assert Log(client, path, tail=1).read_to_end() == b"short\n"
    lines = Log(client, path, format="json", tail=2).lines_to_end()[:-1]
    assert lines[0]["partial"] and "".join(texts(lines)) == "x" * 100000 + "short", [len(text) for text in texts(lines)]


def test_runs_in_the_journal(client):
    path = ended(client, "a", "sh", "-c", "echo start; printf unfinished")
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    for number in (1, 2, 0):
        assert Log(client, path, run=number).read_to_end() == b"start\nunfinished", number
    assert read_log(client, path, 10, run=1)[0] == [("stdout", "start"), ("stdout", "unfinished")]


def test_the_journal_is_followed(client):
    path = running(client, "a", "sh", "-c", "echo one; read x; echo two; exit 4", log_driver="journald", stdin_open=True)
    log, second = Log(client, path, follow=True, format="json"), Log(client, path, follow=True)
    log.read_until(b"one")
    client.kill_service(9)
    client.manager("ListContainers")
    client.call(path, CONTAINER, "OpenAttach", "a{sv}", {"streams": GLib.Variant("as", ["stdin"])})
    os.write(client.fds.get(0), b"\0\n")
    lines = log.lines_to_end()
    assert texts(lines[:-1]) == ["one", "two"] and lines[-1]["end"] == "exited" and lines[-1]["exit-code"] == 4, lines
    assert second.read_to_end() == b"one\ntwo\n"
    wait_no_readers()


def test_others_cannot_write_into_it(client):
    path = ended(client, "a", "echo", "true")
    message = f"MESSAGE=forged\nCONTAINER_ID_FULL={path.rsplit('/', 1)[1]}\nPRIORITY=6\n"
    script = f"import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect('/run/systemd/journal/socket'); s.send({message.encode()!r})"
    subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", sys.executable, "-c", script], check=True)
    run("journalctl", "--sync")
    assert "forged" in run("journalctl", "-o", "cat", f"CONTAINER_ID_FULL={path.rsplit('/', 1)[1]}")
    assert read_log(client, path, 10)[0] == [("stdout", "true")]


def test_readers_have_scopes_of_their_own(client):
    path = running(client, "a", "sh", "-c", "echo one; exec sleep 1000")
    log = Log(client, path, follow=True)
    log.read_until(b"one\n")
    assert len(scopes()) == 1, scopes()
    run("systemctl", "restart", "conbus.service")
    assert len(readers()) == 1
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert log.read_to_end() == b"one\n"
    wait_no_readers()
    wait_for(lambda: not scopes(), "end of the scopes", poll=True)


def test_conbusctl_shows_the_journal(client):
    ended(client, "web", "sh", "-c", "echo one; echo two")
    done = subprocess.run(["conbusctl", "logs", "-f", "-n", "1", "web"], stdout=subprocess.PIPE, timeout=DEADLINE, check=True)
    assert done.stdout == b"two\n"


if __name__ == "__main__":
    main("machine")
