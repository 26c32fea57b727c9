#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The key init: a process in front of the command, which reaps, passes signals on and ends with the command's code."""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, GLib, expect, leftovers, main, options, wait_for, wait_output  # noqa: E402

ORPHAN = "((while [ ! -e /go ]; do sleep 0.05; done) & echo $! >/orphan); exec sleep 1000"


def run(client, name, *command, **config):
    path = client.create(name, *command, **config)
    client.call(path, CONTAINER, "Start")
    return path


def state_of_orphan(client, path):
    """The state letter of the process that nobody waits for, "" when it has been reaped."""
    top = f"/proc/{client.get(path, 'MainPID')}/root"
    with open(f"{top}/orphan", encoding="utf-8") as file:
        pid = file.read().strip()
    try:
        with open(f"{top}/proc/{pid}/stat", encoding="utf-8") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_orphans_are_reaped(client):
    plain, with_init = run(client, "plain", "sh", "-c", ORPHAN), run(client, "init", "sh", "-c", ORPHAN, init=True)
    for path in (plain, with_init):
        wait_for(lambda: any(command == "sleep 1000" for _, _, command in client.call(path, CONTAINER, "GetProcesses")[0]), "payload that waits for nobody", poll=True)
        with open(f"/proc/{client.get(path, 'MainPID')}/root/go", "w", encoding="utf-8"):
            pass
    wait_for(lambda: state_of_orphan(client, with_init) == "", "reaping", poll=True)
    wait_for(lambda: state_of_orphan(client, plain) == "Z", "zombie where there is no init", poll=True)


def test_who_is_first_and_how_it_is_shown(client):
    path = run(client, "first", "sh", "-c", "tr '\\0' ' ' </proc/1/cmdline; echo; touch /run/conbus-init || echo no; sleep 1000", init=True)
    wait_output(path, "/run/conbus-init -- sh -c")
    wait_output(path, "no")
    inspected = json.loads(client.call(path, CONTAINER, "Inspect")[0])
    assert inspected["HostConfig"]["Init"] is True and inspected["Path"] == "sh"
    spec = json.loads(client.call(path, CONTAINER, "GetSpec")[0])
    assert spec["process"]["args"][:3] == ["/run/conbus-init", "--", "sh"]
    assert client.get(path, "CommandName") == "sh"


def test_codes_stay(client):
    for script, code in (("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137), ("kill -SEGV $$", 139)):
        path = run(client, f"code{code}", "sh", "-c", script, init=True)
        assert client.call(path, CONTAINER, "Wait")[1] == code, script


def test_signals_are_passed_on(client):
    script = "trap 'exit 9' TERM; trap 'echo hup' HUP; echo armed; while :; do sleep 0.1; done"
    path = run(client, "signals", "sh", "-c", script, init=True)
    wait_output(path, "armed")
    client.call(path, CONTAINER, "Kill", "si", "leader", 1)
    wait_output(path, "hup")
    client.call(path, CONTAINER, "Stop")
    assert client.call(path, CONTAINER, "Wait")[1] == 9


def test_in_roots_that_nobody_may_write_to(client):
    ids = GLib.Variant("a(uuu)", [(0, 100000, 65536)])
    for name, more in (("mapped", {"uid_map": ids, "gid_map": ids, "user": "user"}), ("closed", {"read_only": True}), ("base", {"rootfs_mode": "read-only"})):
        path = run(client, name, "sh", "-c", "exit 5", init=True, **more)
        assert client.call(path, CONTAINER, "Wait")[1] == 5, name
    assert os.listdir(f"{os.environ['CONBUS_TEST_ROOTFS']}/run") == [], "the base has been written to"


def test_an_init_that_is_not_installed(client):
    path = client.create("before", "true", init=True)
    client.restart_with(CONBUS_INIT="/nowhere/catatonit")
    try:
        assert "/nowhere/catatonit" in expect("HelperMissing", client.create, "x", "true", init=True)
        expect("HelperMissing", client.call, path, CONTAINER, "Start")
        assert client.get(path, "State") == "created" and client.get(path, "LastErrorName") == "io.conbus1.Error.HelperMissing"
        assert "no-catatonit" in client.get("/io/conbus1", "Degraded", "io.conbus1.Manager")
        assert client.create("without", "true", init=False)
        assert len(client.manager("ListContainers")[0]) == 2 and not leftovers()
    finally:
        client.restart_with(CONBUS_INIT="")
    client.call(path, CONTAINER, "Start")
    assert client.call(path, CONTAINER, "Wait")[1] == 0
    expect("InvalidConfig", client.create, "x", "true", init="yes")
    expect("UnknownOption", client.manager, "CreateContainerFromBundle", "ssa{sv}", "x", "/", options(init=True))


if __name__ == "__main__":
    main()
