#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Namespaces of containers: user namespaces of their own, and network namespaces that somebody else has made."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, GLib, expect, leftovers, main, options, wait_for, wait_output  # noqa: E402

MAP = GLib.Variant("a(uuu)", [(0, 100000, 65536)])


def run(client, name, *command, **config):
    path = client.create(name, *command, **config)
    client.call(path, CONTAINER, "Start")
    return path


def test_root_of_a_user_namespace_is_nobody_outside(client):
    path = run(client, "mapped", "sh", "-c", "echo inside $(id -u); cat /proc/self/uid_map; exec sleep 1000", uid_map=MAP, gid_map=MAP)
    wait_output(path, "inside 0")
    with open(f"/proc/{client.get(path, 'MainPID')}/status", encoding="utf-8") as status:
        assert "Uid:\t100000\t100000" in status.read()
    # Others may pass by, but not look around, and not into the container's directory.
    assert os.stat("/run/conbus").st_mode & 0o777 == 0o711 and os.stat("/run/conbus/containers").st_mode & 0o777 == 0o711
    place = os.stat(f"/run/conbus/containers/{path.rsplit('/', 1)[1]}")
    assert (place.st_uid, place.st_mode & 0o777) == (100000, 0o700)
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    client.call(path, CONTAINER, "Start")
    wait_for(lambda: client.get(path, "State") == "running", "second run")


def test_every_mode_of_the_root_file_system_in_a_user_namespace(client):
    for mode in ("overlay", "direct", "read-only"):
        path = run(client, mode, "sh", "-c", "exit 3", rootfs_mode=mode, uid_map=MAP, gid_map=MAP, user="user")
        assert client.call(path, CONTAINER, "Wait")[1] == 3, mode


def test_a_map_without_root_is_refused(client):
    ids = GLib.Variant("a(uuu)", [(1, 100000, 10)])
    assert "map 0" in expect("InvalidConfig", client.create, "x", "true", uid_map=ids, gid_map=MAP)
    assert "map 0" in expect("InvalidConfig", client.create, "x", "true", uid_map=MAP, gid_map=ids)
    assert not leftovers()


if __name__ == "__main__":
    main()
