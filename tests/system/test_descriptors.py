#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mounts that come by descriptor: they outlive their names and the service, and go with their container."""

import ctypes
import json
import os
import socket
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from census import Census  # noqa: E402
from harness import CONTAINER, Error, GLib, Skip, expect, main, on_real_runtime, options, wait_for, wait_output  # noqa: E402
from test_ends import CRASH  # noqa: E402

LIBC = ctypes.CDLL(None, use_errno=True)
DETACH = 2


def handle(number):
    return GLib.Variant("h", number)


def mounts(*entries):
    return GLib.Variant("aa{sv}", [options(**entry) for entry in entries])


def create(client, name, *command, fds=(), method="CreateContainer", **config):
    config.setdefault("rootfs", os.environ["CONBUS_TEST_ROOTFS"])
    words = [list(command)] if method == "RunContainer" else []
    if not words:
        config["command"] = list(command)
    return client.manager(method, "ssasa{sv}" if words else "ssa{sv}", name, "", *words, options(**config), fds=fds)[0]


def make_directory(name):
    path = f"{os.environ['CONBUS_SANDBOX']}/{name}"
    os.makedirs(path, exist_ok=True)
    with open(f"{path}/file", "w", encoding="utf-8") as file:
        file.write(f"content of {name}\n")
    return path


def open_path(path):
    return os.open(path, os.O_PATH | os.O_CLOEXEC)


def started(client, path):
    client.call(path, CONTAINER, "Start")
    return path


def stop(client, path):
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))


@on_real_runtime
def test_a_directory_outlives_its_name_and_the_service(client):
    census = Census(client)
    source = make_directory("source")
    fd = open_path(source)
    path = create(client, "kept", "sh", "-c", "cat /mnt/file; touch /mnt/made; exec sleep 1000", fds=[fd], mounts=mounts({"target": "/mnt", "source_fd": handle(0)}))
    os.close(fd)
    os.rename(source, f"{source}-moved")
    client.kill_service()
    wait_output(started(client, path), "content of source")
    wait_for(lambda: os.path.exists(f"{source}-moved/made"), "file that the container makes", poll=True)
    place = f"/run/conbus/containers/{path.rsplit('/', 1)[1]}/kept"
    assert json.loads(client.call(path, CONTAINER, "Inspect")[0])["Mounts"][0]["Source"] == f"{place}/0"
    assert f"{place}/0" in [mount["source"] for mount in json.loads(client.call(path, CONTAINER, "GetSpec")[0])["mounts"]]
    assert os.stat(place).st_mode & 0o777 == 0o700
    stop(client, path)
    client.kill_service(15)
    started(client, path)
    stop(client, path)
    client.call(path, CONTAINER, "Remove")
    census.check()
    assert os.path.exists(f"{source}-moved/file")


@on_real_runtime
def test_files_options_and_user_namespaces(client):
    source = make_directory("both")
    fds = [open_path(source), open_path(f"{source}/file")]
    ids = GLib.Variant("a(uuu)", [(0, 100000, 65536)])
    for name, more in (("plain", {}), ("mapped", {"uid_map": ids, "gid_map": ids})):
        given = mounts({"target": "/var", "source_fd": handle(0), "options": ["ro"]}, {"target": "/etc/group", "source_fd": handle(1)})
        path = create(client, name, "sh", "-c", "cmp /etc/group /var/file && cat /var/file; touch /var/x || echo refused; exec sleep 1000", fds=fds, mounts=given, **more)
        wait_output(started(client, path), "content of both")
        wait_output(path, "refused")
    for fd in fds:
        os.close(fd)


def detached_tmpfs():
    context = LIBC.syscall(430, b"tmpfs", 1)  # fsopen
    assert context >= 0 and LIBC.syscall(431, context, 6, None, None, 0) == 0  # fsconfig: create
    mount = LIBC.syscall(432, context, 1, 0)  # fsmount
    os.close(context)
    assert mount >= 0
    return mount


@on_real_runtime
def test_a_detached_mount(client):
    fd = detached_tmpfs()
    with open(os.open("inside", os.O_CREAT | os.O_WRONLY, dir_fd=fd), "w", encoding="utf-8") as file:
        file.write("was detached\n")
    path = create(client, "detached", "sh", "-c", "cat /mnt/inside; exec sleep 1000", fds=[fd], mounts=mounts({"target": "/mnt", "source_fd": handle(0)}))
    os.close(fd)
    client.kill_service()
    wait_output(started(client, path), "was detached")


@on_real_runtime
def test_mounts_below_come_along_and_stay_where_they_are(client):
    source = make_directory("shared")
    os.makedirs(f"{source}/below", exist_ok=True)
    subprocess.run(["mount", "--bind", source, source], check=True)
    try:
        subprocess.run(["mount", "--make-shared", source], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", f"{source}/below"], check=True)
        with open(f"{source}/below/deep", "w", encoding="utf-8") as file:
            file.write("from below\n")
        fd = open_path(source)
        path = create(client, "shared", "sh", "-c", "cat /mnt/below/deep; exec sleep 1000", fds=[fd], mounts=mounts({"target": "/mnt", "source_fd": handle(0)}))
        os.close(fd)
        wait_output(started(client, path), "from below")
        client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
        assert os.path.ismount(f"{source}/below"), "the container's removal has unmounted what is the host's"
    finally:
        LIBC.umount2(f"{source}/below".encode(), DETACH)
        LIBC.umount2(source.encode(), DETACH)


def test_what_cannot_be_kept_is_refused_and_leaves_nothing(client):
    census = Census(client)
    directory, device, memory = open_path(make_directory("good")), os.open("/dev/null", os.O_RDWR), os.memfd_create("m")
    ends, pair = os.pipe(), socket.socketpair()
    one = mounts({"target": "/mnt", "source_fd": handle(0)})
    for fd in (device, memory, ends[0], pair[0].fileno()):
        message = expect("InvalidConfig", create, client, "x", "true", fds=[fd], mounts=one)
        assert "mounts/source-fd" in message and "give one" in message, message
    # The second one fails when the first is in its place already.
    expect("InvalidConfig", create, client, "x", "true", fds=[directory, memory], mounts=mounts({"target": "/a", "source_fd": handle(0)}, {"target": "/b", "source_fd": handle(1)}))
    assert "give one of them" in expect("InvalidConfig", create, client, "x", "true", fds=[directory], mounts=mounts({"target": "/a", "source": "/", "source_fd": handle(0)}))
    expect("InvalidConfig", create, client, "x", "true", fds=[directory], mounts=mounts({"target": "/a", "type": "tmpfs", "source_fd": handle(0)}))
    expect("InvalidConfig", create, client, "x", "true", mounts=mounts({"target": "/a", "source_fd": 5}))
    expect("InvalidArgs", create, client, "x", "true", fds=[directory], mounts=mounts({"target": "/a", "source_fd": handle(7)}))
    census.check()
    client.call(create(client, "x", "true", fds=[directory], mounts=one), CONTAINER, "Remove")
    for fd in (directory, device, memory, *ends):
        os.close(fd)
    for end in pair:
        end.close()
    census.check()


def test_a_file_system_that_never_answers_holds_up_nobody(client):
    """FUSE without a daemon: whatever asks it for anything waits."""
    census = Census(client)
    place = f"{os.environ['CONBUS_SANDBOX']}/silent"
    os.makedirs(place, exist_ok=True)
    try:
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise Skip(f"/dev/fuse: {error}") from error
    assert LIBC.mount(b"fuse", place.encode(), b"fuse", 0, f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()) == 0, os.strerror(ctypes.get_errno())
    fd = open_path(place)
    try:
        path = create(client, "silent", "true", fds=[fd], mounts=mounts({"target": "/mnt", "source_fd": handle(0)}))
        assert "netns-fd" in expect("InvalidConfig", create, client, "x", "true", fds=[fd], netns_fd=handle(0))
        assert client.call(path, CONTAINER, "Inspect")
        client.call(path, CONTAINER, "Remove")
    finally:
        os.close(fd)
        LIBC.umount2(place.encode(), DETACH)
        os.close(device)
    census.check()


@on_real_runtime
def test_a_run_that_fails_takes_it_along(client):
    census = Census(client)
    fd = open_path(make_directory("good"))
    expect("RuntimeCommandNotFound", create, client, "x", "nosuch", fds=[fd], method="RunContainer", mounts=mounts({"target": "/mnt", "source_fd": handle(0)}))
    os.close(fd)
    census.check()


def test_after_a_reboot_it_is_gone_and_said(client):
    fd = open_path(make_directory("good"))
    path = create(client, "rebooted", "sleep", "1000", fds=[fd], mounts=mounts({"target": "/mnt", "source_fd": handle(0)}))
    os.close(fd)
    place = f"/run/conbus/containers/{path.rsplit('/', 1)[1]}/kept"
    client.kill_service(15)
    assert LIBC.umount2(place.encode(), DETACH) == 0
    os.rmdir(place)
    assert "reboot" in expect("NoSuchPath", client.call, path, CONTAINER, "Start")
    assert client.get(path, "State") == "created" and client.get(path, "LastErrorName") == "io.conbus1.Error.NoSuchPath"
    client.call(path, CONTAINER, "Remove")


def test_death_at_each_step_of_a_creation(client):
    """The service dies between every two steps: the container is there with its mount, or nothing is there."""
    census = Census(client)
    fd = open_path(make_directory("good"))
    for step in range(1, 40):
        with open(CRASH, "w", encoding="utf-8") as file:
            file.write(str(step))
        died = False
        try:
            create(client, "x", "true", fds=[fd], mounts=mounts({"target": "/mnt", "source_fd": handle(0)}))
        except Error as error:
            died = error.name in ("NoReply", "Disconnected")
            assert died, error
        if os.path.exists(CRASH):
            os.unlink(CRASH)
        for _, _, _, _, _, path in client.manager("ListContainers")[0]:
            assert os.path.exists(f"/run/conbus/containers/{path.rsplit('/', 1)[1]}/kept/0/file")
            assert not os.path.exists(f"/var/lib/conbus/containers/{path.rsplit('/', 1)[1]}/creating")
            client.call(path, CONTAINER, "Remove")
        census.check()
        if not died:
            assert step > 2, "the service has no crash points: is it built with -Dcrash-points=true?"
            os.close(fd)
            return
    raise AssertionError("the creation has more than 40 steps")


if __name__ == "__main__":
    main()
