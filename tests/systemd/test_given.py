#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What containers are given, over a reboot: descriptors are gone, secrets and volumes are there."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import CONTAINER, GLib, boot, expect, main, options, run, wait_output  # noqa: E402

HANDLE = GLib.Variant("h", 0)
SHOW = "cat /run/secrets/key; echo kept >>/data/file; wc -l </data/file; exec sleep 1000"


def create(client, name, script, fd, **config):
    config = options(rootfs=os.environ["CONBUS_TEST_ROOTFS"], command=["sh", "-c", script], **config)
    path = client.manager("CreateContainer", "ssa{sv}", name, "", config, fds=[fd])[0]
    os.close(fd)
    client.call(path, CONTAINER, "Start")
    return path


def mounts_of(pid):
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8") as mounts:
        return [line for line in mounts if "/containers/" in line]


def test_containers_with_all_of_it_run(client):
    # As on a real machine, where what is mounted shows in every namespace that has /run.
    run("mount", "--make-rshared", "/")
    os.makedirs("/srv/given", exist_ok=True)
    with open("/srv/given/file", "w", encoding="ascii") as file:
        file.write("given\n")
    path = create(client, "mount", "cat /mnt/file; exec sleep 1000", os.open("/srv/given", os.O_PATH), mounts=GLib.Variant("aa{sv}", [options(target="/mnt", source_fd=HANDLE)]))
    wait_output(path, "given")
    # Another namespace gets the place, and nothing of what lies in it.
    elsewhere = [line for line in mounts_of(run("systemctl", "show", "--property=MainPID", "--value", "systemd-logind").strip()) if "/kept/" in line]
    assert elsewhere == [] and any("/kept/0" in line for line in mounts_of("self"))
    reader, writer = os.pipe()
    os.write(writer, b"nobody may see it\n")
    os.close(writer)
    path = create(client, "secret", SHOW, reader, secrets=GLib.Variant("aa{sv}", [options(name="key", value_fd=HANDLE)]), volumes=["data:/data"])
    wait_output(path, "nobody may see it")


@boot(2)
def test_descriptors_are_gone_and_the_rest_is_there(client):
    assert "reboot" in expect("NoSuchPath", client.call, "/container/mount", CONTAINER, "Start")
    assert client.get("/container/mount", "LastErrorName") == "io.conbus1.Error.NoSuchPath"
    assert not [line for line in mounts_of("self") if "/kept" in line]
    path = client.manager("GetContainer", "s", "secret")[0]
    os.truncate(f"/var/lib/conbus/containers/{path.rsplit('/', 1)[1]}/log", 0)
    client.call(path, CONTAINER, "Start")
    wait_output(path, "nobody may see it")
    wait_output(path, "2")
    client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
    client.call("/container/mount", CONTAINER, "Remove")
    assert os.path.exists("/srv/given/file") and os.path.exists("/var/lib/conbus/volumes/data/data/file")


if __name__ == "__main__":
    main("machine")
