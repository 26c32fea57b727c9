#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Inspect: libpod's fields, none missing, none of another moment; sizes are found out beside everything else."""

import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, DEADLINE, Client, GLib, expect, main, on_real_runtime, options, wait_for  # noqa: E402

FIELDS = """Id Name Created Path Args Image Driver MountLabel ProcessLabel State RestartCount ExecIDs Mounts Dependencies IsInfra Pod Config HostConfig NetworkSettings LogPath PidFile ConmonPidFile
BoundingCaps EffectiveCaps Run""".split()
STATE_FIELDS = """Status Running Paused Restarting OOMKilled Dead Pid ConmonPid ExitCode Error StartedAt FinishedAt Checkpointed CheckpointedAt CheckpointPath CheckpointLog Restored RestoredAt RestoreLog
CgroupPath StoppedByUser""".split()
NEVER = "0001-01-01T00:00:00Z"


def inspect(client, path, **keys):
    return json.loads(client.call(path, CONTAINER, "InspectWith", "a{sv}", options(**keys))[0])


def test_every_field_is_there_in_every_state(client):
    path = client.create("whole", "sleep", "1000", health=GLib.Variant("a{sv}", options(test=["true"], interval_usec=0)))

    def look(status, running):
        document = json.loads(client.call(path, CONTAINER, "Inspect")[0])
        missing = [name for name in FIELDS if name not in document] + [name for name in STATE_FIELDS if name not in document["State"]]
        assert not missing, f"{status}: {missing}"
        state = document["State"]
        assert state["Status"] == status and state["Running"] == running
        assert state["Pid"] == client.get(path, "MainPID") and (state["Pid"] > 0) == (status in ("initialized", "running", "paused"))
        assert set(state["Health"]) == {"Status", "FailingStreak", "Log"}
        assert "SizeRw" not in document and "SizeRootFs" not in document
        return document

    first = look("created", False)
    assert first["State"]["StartedAt"] == NEVER and first["State"]["FinishedAt"] == NEVER and first["Run"] == 0 and first["BoundingCaps"] == []
    assert first["Id"] == path.rsplit("/", 1)[1] and first["Name"] == "whole" and first["Path"] == "sleep" and first["Args"] == ["1000"]
    client.call(path, CONTAINER, "Init")
    look("initialized", False)
    client.call(path, CONTAINER, "Start")
    document = look("running", True)
    assert document["State"]["StartedAt"] > document["Created"] > NEVER and document["State"]["FinishedAt"] == NEVER
    assert "CAP_CHOWN" in document["BoundingCaps"] and "CAP_CHOWN" in document["EffectiveCaps"] and "CAP_SYS_ADMIN" not in document["BoundingCaps"]
    assert document["NetworkSettings"]["SandboxKey"] == f"/proc/{document['State']['Pid']}/ns/net"
    client.call(path, CONTAINER, "Pause")
    assert look("paused", True)["State"]["Paused"]
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    document = look("exited", False)
    assert document["State"]["ExitCode"] == 137 and document["State"]["FinishedAt"] > document["State"]["StartedAt"] and document["State"]["StoppedByUser"]


def test_configuration_reads_as_libpod_writes_it(client):
    mounts = [options(type="tmpfs", target="/scratch"), options(source="/etc", target="/mnt", options=["ro"])]
    path = client.create("configured", "1000", entrypoint=["sleep"], user="1000:1000", env=["A=b"], labels={"team": "web"}, cwd="/tmp", memory=64 << 20, mounts=GLib.Variant("aa{sv}", mounts), auto_remove=True)
    client.call(path, CONTAINER, "Start")
    document = inspect(client, path)
    assert document["Path"] == "sleep" and document["Args"] == ["1000"]
    config = document["Config"]
    assert config["User"] == "1000:1000" and config["Env"] == ["A=b"] and config["Labels"] == {"team": "web"} and config["WorkingDir"] == "/tmp" and config["Cmd"] == ["1000"] and config["Entrypoint"] == ["sleep"]
    assert document["HostConfig"]["Memory"] == 64 << 20 and document["HostConfig"]["AutoRemove"]
    assert [(mount["Type"], mount["Source"], mount["Destination"], mount["RW"]) for mount in document["Mounts"]] == [("tmpfs", "", "/scratch", True), ("bind", "/etc", "/mnt", False)]
    assert document["EffectiveCaps"] == [] and "CAP_CHOWN" in document["BoundingCaps"], "another user than root has no effective capabilities"


@on_real_runtime
def test_sizes(client):
    base = os.environ["CONBUS_SANDBOX"] + "/sized"
    subprocess.run(["cp", "-a", os.environ["CONBUS_TEST_ROOTFS"], base], check=True)
    whole = int(subprocess.run(["du", "-sb", base], check=True, stdout=subprocess.PIPE).stdout.split()[0])
    path = client.create("sized", "dd", "if=/dev/zero", "of=/file", "bs=1M", "count=3", rootfs=base)
    document = inspect(client, path, size=True)
    assert (document["SizeRw"], document["SizeRootFs"]) == (0, whole)
    client.call(path, CONTAINER, "Start")
    assert client.call(path, CONTAINER, "Wait")[1] == 0
    document = inspect(client, path, size=True)
    assert 3 << 20 <= document["SizeRw"] < (3 << 20) + 100000 and document["SizeRootFs"] == whole + document["SizeRw"]
    assert "SizeRw" not in inspect(client, path, size=False)
    os.rename(base, base + "-away")  # then only the container's own layer can be counted
    document = inspect(client, path, size=True)
    assert document["SizeRootFs"] == document["SizeRw"]
    os.rename(base + "-away", base)
    direct = client.create("direct", "true", rootfs=base, rootfs_mode="direct")
    assert (inspect(client, direct, size=True)["SizeRw"], inspect(client, direct, size=True)["SizeRootFs"]) == (0, whole)


def find_du(service):
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and open(f"/proc/{name}/comm", encoding="utf-8").read() == "du\n" and f"PPid:\t{service}\n" in open(f"/proc/{name}/status", encoding="utf-8").read():
                return int(name)
        except OSError:
            pass
    return 0


def is_held(pid):
    """Stops it; False when it had come to its end already."""
    try:
        os.kill(pid, signal.SIGSTOP)
        while True:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
                state = stat.read().rsplit(")", 1)[1].split()[0]
            if state in "TZX":
                return state == "T"
    except (FileNotFoundError, ProcessLookupError):
        return False


def begin_and_hold(client, other, path, **keys):
    """A call for the size whose du is stopped in the middle of its walk."""
    service, end = client.service_pid(), time.monotonic() + DEADLINE
    while time.monotonic() < end:
        box = other.begin(path, CONTAINER, "InspectWith", "a{sv}", options(size=True, **keys))
        other.connection.flush_sync(None)
        while not box:
            du = find_du(service)
            if du and is_held(du):
                return box, du
            GLib.MainContext.default().iteration(False)
        other.finish(box)
    raise AssertionError("du was never seen")


def test_sizes_hold_up_nobody(client):
    base = os.environ["CONBUS_SANDBOX"] + "/many"
    os.makedirs(base)
    for number in range(20000):
        os.close(os.open(f"{base}/{number}", os.O_CREAT))
    path = client.create("many", "true", rootfs=base)
    other = Client()
    box, du = begin_and_hold(client, other, path)
    assert json.loads(client.call(path, CONTAINER, "Inspect")[0])["Name"] == "many"
    client.call(path, CONTAINER, "Rename", "s", "renamed")
    assert not box
    os.kill(du, signal.SIGCONT)
    assert json.loads(other.finish(box)[0])["Name"] == "renamed", "the text is of the moment when the size is known"

    box, du = begin_and_hold(client, other, path, reply_timeout_usec=300000)
    expect("Timeout", other.finish, box)
    os.kill(du, signal.SIGCONT)
    wait_for(lambda: not os.path.exists(f"/proc/{du}"), "the end of du", poll=True)

    box, du = begin_and_hold(client, other, path)
    other.connection.close_sync(None)
    wait_for(lambda: not os.path.exists(f"/proc/{du}"), "the end of du when its caller has left", poll=True)

    other = Client()
    box, du = begin_and_hold(client, other, path)
    client.call(path, CONTAINER, "Remove")
    os.kill(du, signal.SIGCONT)
    expect("Removed", other.finish, box)


def test_the_service_leaves_while_a_size_is_found_out(client):
    path = client.create("large", "true", rootfs="/")
    box, du = begin_and_hold(client, client, path, reply_timeout_usec=300000)
    expect("Timeout", client.finish, box)
    client.kill_service(15)
    wait_for(lambda: not os.path.exists(f"/proc/{du}"), "the end of du with the service", poll=True)


def test_bad_options(client):
    path = client.create("plain", "true")
    assert "nonsense" in expect("UnknownOption", inspect, client, path, nonsense=True)
    expect("InvalidArgs", inspect, client, path, size="yes")


if __name__ == "__main__":
    main()
