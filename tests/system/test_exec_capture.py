#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""ExecCapture: a command whose output is the answer; bounded in time and memory, and nothing of it stays."""

import glob
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from executed import container, events, processes  # noqa: E402
from harness import CONTAINER, Client, GLib, expect, main, on_real_runtime, options, run, wait_for  # noqa: E402


def capture(client, path, *command, **keys):
    code, signal, output, errors, truncated = client.call(path, CONTAINER, "ExecCapture", "asa{sv}", list(command), options(**keys))
    return code, signal, bytes(output), bytes(errors), truncated


def nothing_left(client, path):
    group = client.get(path, "ControlGroup")
    return os.listdir("/run/conbus/exec") == [] and not glob.glob(f"/sys/fs/cgroup/*{group}/conbus-capture-*") and not glob.glob(f"/sys/fs/cgroup{group}/conbus-capture-*")


def test_code_and_streams(client):
    path = container(client)
    assert capture(client, path, "sh", "-c", "echo out; echo error >&2; exit 3") == (3, 0, b"out\n", b"error\n", False)
    assert capture(client, path, "sh", "-c", "kill -9 $$") == (137, 9, b"", b"", False)
    assert capture(client, path, "printf", "\\000\\377") == (0, 0, b"\0\xff", b"", False)
    assert capture(client, path, "cat") == (0, 0, b"", b"", False)
    assert processes(client, path) == [] and nothing_left(client, path)
    assert [details["exit-code"] for details in events(client, "exec-died") if details["name"] == "a"][-4:] == [3, 137, 0, 0]


def test_input(client):
    path = container(client)
    assert capture(client, path, "cat", input=GLib.Variant("ay", b"one\0\xfftwo")) == (0, 0, b"one\0\xfftwo", b"", False)
    assert capture(client, path, "cat", input=GLib.Variant("ay", b"")) == (0, 0, b"", b"", False)
    large = os.urandom(2**20)
    assert capture(client, path, "cat", input=GLib.Variant("ay", large), max_bytes=2**20)[2] == large
    assert capture(client, path, "true", input=GLib.Variant("ay", large))[0] == 0  # nobody reads it
    assert capture(client, path, "sh", "-c", "echo more >&0", input=GLib.Variant("ay", b"x"))[0] != 0
    assert capture(client, path, "sh", "-c", "echo more >>/proc/self/fd/0; cat", user="12", input=GLib.Variant("ay", b"kept"))[2] == b"kept"
    message = expect("InvalidArgs", capture, client, path, "cat", input=GLib.Variant("ay", large + b"x"))
    assert "1048577" in message and "1048576" in message, message
    expect("InvalidArgs", capture, client, path, "cat", input="text")
    assert nothing_left(client, path)


def test_by_hand(client):
    container(client, "web")
    text = run("busctl", "--address=" + os.environ["DBUS_SYSTEM_BUS_ADDRESS"], "call", "io.conbus1", "/container/web", "io.conbus1.Container", "ExecCapture", "asa{sv}", "2", "echo", "hi", "0")
    assert text.startswith('iiayayb 0 0 3 104 105 10 0 false'), text
    text = run("busctl", "--address=" + os.environ["DBUS_SYSTEM_BUS_ADDRESS"], "call", "io.conbus1", "/container/web", "io.conbus1.Container", "ExecCapture", "asa{sv}", "1", "cat", "1", "input", "ay", "2", "104", "105")
    assert text.startswith('iiayayb 0 0 2 104 105 0 false'), text


def test_settings_of_the_process(client):
    path = container(client, env=["A=1"])
    assert capture(client, path, "sh", "-c", "id -u; pwd; echo $A $B", user="12", cwd="/etc", env=["B=2"])[2] == b"12\n/etc\n1 2\n"


def test_much_is_cut_and_the_command_goes_on(client):
    path = container(client)
    code, _, output, _, truncated = capture(client, path, "sh", "-c", "head -c 30000000 /dev/zero; exit 4", max_bytes=1000)
    assert (code, len(output), truncated) == (4, 1000, True)
    code, _, output, errors, truncated = capture(client, path, "sh", "-c", "head -c 1048576 /dev/zero; head -c 1048576 /dev/zero >&2", max_bytes=1048576)
    assert (code, len(output), len(errors), truncated) == (0, 1048576, 1048576, False)
    assert nothing_left(client, path)


def test_one_that_never_stops_is_ended(client):
    path = container(client)
    message = expect("Timeout", capture, client, path, "yes", timeout_usec=500000)
    assert "0.5 s" in message
    expect("Timeout", capture, client, path, "sh", "-c", "sleep 1000 & sleep 1000", timeout_usec=300000)
    wait_for(lambda: len(client.call(path, CONTAINER, "GetProcesses")[0]) == 1, "end of what was executed", poll=True)
    assert nothing_left(client, path)


def test_what_it_leaves_behind_is_killed(client):
    path = container(client)
    assert capture(client, path, "sh", "-c", "sleep 1000 & echo gone")[2] == b"gone\n"
    wait_for(lambda: len(client.call(path, CONTAINER, "GetProcesses")[0]) == 1, "end of what was left", poll=True)


def test_a_caller_that_leaves(client):
    path = container(client)
    other = Client(signals=False)
    other.begin(path, CONTAINER, "ExecCapture", "asa{sv}", ["sleep", "1000"], {})
    wait_for(lambda: len(client.call(path, CONTAINER, "GetProcesses")[0]) == 2, "the command", poll=True)
    other.connection.close_sync(None)
    wait_for(lambda: len(client.call(path, CONTAINER, "GetProcesses")[0]) == 1 and nothing_left(client, path), "its end", poll=True)


def test_the_service_is_killed_meanwhile(client):
    path = container(client)
    box = client.begin(path, CONTAINER, "ExecCapture", "asa{sv}", ["sleep", "1000"], {})
    wait_for(lambda: len(client.call(path, CONTAINER, "GetProcesses")[0]) == 2, "the command", poll=True)
    client.kill_service(9)
    expect("NoReply", client.finish, box)
    wait_for(lambda: len(client.call(path, CONTAINER, "GetProcesses")[0]) == 1 and nothing_left(client, path), "its end", poll=True)
    assert capture(client, path, "echo", "again") == (0, 0, b"again\n", b"", False)


def test_what_cannot_be_executed(client):
    path = container(client)
    expect("RuntimeCommandNotFound", capture, client, path, "/no/such")
    expect("RuntimePermissionDenied", capture, client, path, "/etc/passwd")
    expect("InvalidArgs", capture, client, path, "true", user="nobody-here")
    expect("InvalidArgs", capture, client, path)
    expect("InvalidArgs", capture, client, path, "true", max_bytes=2**20 + 1)
    expect("UnknownOption", capture, client, path, "true", terminal=True)
    expect("UnknownOption", capture, client, path, "true", start=False)
    client.call(path, CONTAINER, "Pause")
    expect("InvalidState", capture, client, path, "true")
    client.call(path, CONTAINER, "Resume")
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    expect("NotRunning", capture, client, path, "true")


def test_a_container_that_stops_meanwhile(client):
    path = container(client)
    box = client.begin(path, CONTAINER, "ExecCapture", "asa{sv}", ["sleep", "1001"], {})
    wait_for(lambda: any(line == "sleep 1001" for _, _, line in client.call(path, CONTAINER, "GetProcesses")[0]), "the command", poll=True)
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert client.finish(box)[:2] == (137, 9)
    client.call(path, CONTAINER, "Remove")


@on_real_runtime
def test_many_at_once(client):
    path = container(client)
    boxes = [client.begin(path, CONTAINER, "ExecCapture", "asa{sv}", ["echo", str(i)], {}, timeout=60) for i in range(50)]
    assert [bytes(client.finish(box)[2]) for box in boxes] == [b"%d\n" % i for i in range(50)]
    assert nothing_left(client, path)


if __name__ == "__main__":
    main()
