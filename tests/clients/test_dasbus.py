#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client in Python that knows conbus by its introspection alone (dasbus): everything for which descriptors go over the bus, either way."""

import json
import os
import select
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from dasbus.connection import AddressedMessageBus  # noqa: E402
from dasbus.error import DBusError  # noqa: E402
from dasbus.typing import get_variant  # noqa: E402
from dasbus.unix import GLibClientUnix  # noqa: E402
from harness import DEADLINE, main  # noqa: E402

BUS = AddressedMessageBus(os.environ["DBUS_SYSTEM_BUS_ADDRESS"]) if "CONBUS_SANDBOX" in os.environ else None


def proxy(path):
    return BUS.get_proxy("io.conbus1", path, client=GLibClientUnix)


def container(*command, **config):
    given = {"rootfs": get_variant("s", os.environ["CONBUS_TEST_ROOTFS"]), "command": get_variant("as", list(command)), **config}
    return proxy(proxy("/io/conbus1").CreateContainer("", "", given))


def sleeping():
    made = container("sleep", "1000")
    made.Start()
    return made


def read_to_end(fd):
    data = b""
    while select.select([fd], [], [], DEADLINE)[0] and (piece := os.read(fd, 65536)):
        data += piece
    os.close(fd)
    return data


def packets(fd):
    """(standard output, standard error, last packet) of the framing `packets`."""
    streams, last = {1: b"", 2: b""}, None
    with socket.socket(fileno=fd) as connection:
        connection.settimeout(DEADLINE)
        while packet := connection.recv(40000):
            if packet[0] == 3:
                last = json.loads(packet[1:])
            else:
                streams[packet[0]] += packet[1:]
    return streams[1], streams[2], last


def test_start_with_attach(client):
    made = container("sh", "-c", "read x; echo got $x; echo oops >&2; exit 3", **{"stdin-open": get_variant("b", True)})
    run, result = made.StartWith({"attach": get_variant("a{sv}", {"streams": get_variant("as", ["stdin", "stdout", "stderr"])})})
    fd = result["stream"].unpack()
    assert run == 1
    os.write(fd, b"\0word\n")
    assert packets(fd) == (b"got word\n", b"oops\n", {"reason": "exited", "run": 1, "exit-code": 3})


def test_open_attach(client):
    made = container("cat", **{"stdin-open": get_variant("b", True), "stdin-once": get_variant("b", True)})
    made.Start()
    fd, framing, job = made.OpenAttach({"framing": get_variant("s", "raw")})
    assert framing == "raw"
    os.write(fd, b"round and back\n")
    with socket.socket(fileno=fd) as connection:
        connection.settimeout(DEADLINE)
        connection.shutdown(socket.SHUT_WR)
        data = b""
        while piece := connection.recv(4096):
            data += piece
    assert data == b"round and back\n"
    assert proxy(job).Wait()["reason"].unpack() == "exited"


def test_exec_with_input(client):
    made = sleeping()
    process, pid = made.Exec(["sh", "-c", "cat; exit 4"], {"start": get_variant("b", False)})
    assert pid == 0
    process = proxy(process)
    fd, framing, _ = process.OpenAttach({})
    assert framing == "packets" and process.Start() > 0
    os.write(fd, b"\0to it\n")
    os.write(fd, b"\0")  # the end of its input
    assert packets(fd) == (b"to it\n", b"", {"reason": "exited", "run": 1, "exit-code": 4})
    assert process.Wait() == (4, 0)


def test_spawn_with_own_descriptors(client):
    made = sleeping()
    (in_read, in_write), (out_read, out_write), (extra_read, extra_write) = os.pipe(), os.pipe(), os.pipe()
    words = [b"sh\0", b"-c\0", b"cat; pwd; echo $A; echo more >&3\0"]
    process, pid = made.Spawn(b"/etc", words, {0: in_read, 1: out_write, 3: extra_write}, {"A": "b"}, {})
    assert pid > 0  # dasbus has closed what it sent
    os.write(in_write, b"mine\n")
    os.close(in_write)
    assert read_to_end(out_read) == b"mine\n/etc\nb\n" and read_to_end(extra_read) == b"more\n"
    assert proxy(process).Wait() == (0, 0)


def test_open_shell(client):
    made = sleeping()
    fd, name = made.OpenShell("", "/bin/sh", [], ["PS1=> "])
    assert name.startswith("/dev/"), name
    os.write(fd, b"echo $((40+2)); exit\n")
    data = b""
    while select.select([fd], [], [], DEADLINE)[0]:
        try:
            data += os.read(fd, 4096)
        except OSError:  # the terminal's end
            break
    os.close(fd)
    assert b"\r\n42\r\n" in data, data


def test_open_log(client):
    made = container("sh", "-c", "echo one; read x; echo two; exit 5", **{"stdin-open": get_variant("b", True)})
    made.Start()
    fd = made.OpenLog({"follow": get_variant("b", True), "format": get_variant("s", "json")})
    seen = os.read(fd, 65536)
    stdin, _, _ = made.OpenAttach({"streams": get_variant("as", ["stdin"])})
    os.write(stdin, b"\0\n")
    lines = [json.loads(line) for line in (seen + read_to_end(fd)).splitlines()]
    os.close(stdin)
    assert [line.get("text") for line in lines] == ["one", "two", None] and lines[2]["exit-code"] == 5, lines


def test_open_wait_and_pidfd(client):
    made = sleeping()
    fd = made.OpenWait(["stopped"], {})
    pidfd, pid, run = made.OpenPidFd()
    process = proxy(made.Exec(["sleep", "1000"], {})[0])
    process_wait, (process_fd, process_pid) = process.OpenWait(), process.OpenPidFd()
    assert (pid, run, process_pid) == (made.MainPID, 1, process.Pid)
    process.Kill(9)
    assert select.select([process_fd], [], [], DEADLINE)[0] and json.loads(read_to_end(process_wait))["exit-code"] == 137
    made.Kill("leader", 9)
    assert select.select([pidfd], [], [], DEADLINE)[0] and json.loads(read_to_end(fd))["exit-code"] == 137
    os.close(pidfd)
    os.close(process_fd)


def test_errors_have_their_names(client):
    made = container("true")
    try:
        made.OpenAttach({})
    except DBusError as error:
        assert error.dbus_name == "io.conbus1.Error.NotRunning", error.dbus_name
    else:
        raise AssertionError("attached to nothing")


if __name__ == "__main__":
    main()
