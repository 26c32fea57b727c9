#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What cannot be has a name and leaves nothing half-made."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, Client, expect, leftovers, main, options  # noqa: E402


def nothing_is_left(client):
    assert client.manager("ListContainers")[0] == []
    assert not leftovers()
    assert os.listdir("/var/lib/conbus/containers") == [] and os.listdir("/run/conbus/containers") == []


def test_creation_is_checked(client):
    rootfs = os.environ["CONBUS_TEST_ROOTFS"]
    expect("UnknownOption", client.create, "x", "true", colour="red")
    expect("InvalidConfig", client.create, "x", "true", memory="much")
    expect("InvalidConfig", client.create, "x")
    expect("InvalidName", client.create, "bad name", "true")
    expect("InvalidName", client.create, "self", "true")
    expect("NoSuchPath", client.create, "x", "true", rootfs="/nowhere")
    expect("NotADirectory", client.create, "x", "true", rootfs=f"{rootfs}/etc/passwd")
    expect("NoSuchImage", client.manager, "CreateContainer", "ssa{sv}", "x", "busybox", {})
    expect("NoSuchContainer", client.create, "x", "true", depends=["nobody"])
    nothing_is_left(client)


def test_a_taken_name(client):
    client.create("same", "true")
    expect("NameInUse", client.create, "same", "true")


def test_commands_that_cannot_run(client):
    config = options(rootfs=os.environ["CONBUS_TEST_ROOTFS"])
    expect("RuntimeCommandNotFound", client.manager, "RunContainer", "ssasa{sv}", "x", "", ["nosuch"], config)
    expect("RuntimePermissionDenied", client.manager, "RunContainer", "ssasa{sv}", "x", "", ["/etc/passwd"], config)
    nothing_is_left(client)
    path = client.create("x", "nosuch")
    expect("RuntimeCommandNotFound", client.call, path, CONTAINER, "Start")
    assert client.get(path, "State") == "created" and client.get(path, "Result") == "start-failed" and client.get(path, "ExitCode") == 127
    assert client.get(path, "LastErrorName") == "io.conbus1.Error.RuntimeCommandNotFound"
    assert client.call(path, CONTAINER, "Wait") == (1, 127, 0, "start-failed")
    assert not leftovers()


def test_bundles(client):
    expect("NoSuchPath", client.manager, "CreateContainerFromBundle", "ssa{sv}", "b", "/nowhere", {})
    bundle = os.environ["CONBUS_SANDBOX"] + "/bundle"
    os.makedirs(bundle, exist_ok=True)
    with open(f"{bundle}/config.json", "w", encoding="utf-8") as config:
        config.write("{ not json")
    expect("InvalidConfig", client.manager, "CreateContainerFromBundle", "ssa{sv}", "b", bundle, {})
    nothing_is_left(client)


def test_a_caller_that_leaves_is_forgotten(client):
    path = client.create("busy", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    other = Client()
    other.begin(path, CONTAINER, "Wait")
    other.begin(path, CONTAINER, "Pause")
    other.connection.flush_sync(None)
    other.connection.close_sync(None)
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert client.get(path, "State") == "exited"


def test_wrong_signature_is_named(client):
    path = client.create("typed", "true")
    expect("InvalidArgs", client.call, path, CONTAINER, "Kill", "s", "leader")


if __name__ == "__main__":
    main()
