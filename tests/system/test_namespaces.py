#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What holds containers in: user namespaces of their own, network namespaces that somebody else has made, the filter of system calls."""

import base64
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from census import Census  # noqa: E402
from harness import CONTAINER, GLib, expect, leftovers, main, on_real_runtime, options, wait_for, wait_output  # noqa: E402

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
    assert (place.st_uid, place.st_gid, place.st_mode & 0o777) == (0, 100000, 0o710)
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    client.call(path, CONTAINER, "Start")
    wait_for(lambda: client.get(path, "State") == "running", "second run")


def test_every_mode_of_the_root_file_system_in_a_user_namespace(client):
    for mode in ("overlay", "direct", "read-only"):
        path = run(client, mode, "sh", "-c", "exit 3", rootfs_mode=mode, uid_map=MAP, gid_map=MAP, user="user")
        assert client.call(path, CONTAINER, "Wait")[1] == 3, mode


def fresh_network():
    """A descriptor of a network namespace that nothing else refers to, with an interface of a name to tell it by."""
    with subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link add conbus-given type bridge && echo there && exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as maker:
        assert maker.stdout.readline() == b"there\n"
        fd = os.open(f"/proc/{maker.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    return fd


def create(client, name, *command, fds=(), **config):
    return client.manager("CreateContainer", "ssa{sv}", name, "", options(rootfs=os.environ["CONBUS_TEST_ROOTFS"], command=list(command), **config), fds=fds)[0]


def test_a_network_namespace_by_descriptor(client):
    census = Census(client)
    fd = fresh_network()
    path = create(client, "given", "sh", "-c", "ip link show conbus-given; exec sleep 1000", fds=[fd], netns_fd=GLib.Variant("h", 0), sysctls={"net.ipv4.ip_forward": "1"})
    inode = os.stat(fd).st_ino
    os.close(fd)
    client.kill_service()
    client.call(path, CONTAINER, "Start")
    wait_output(path, "conbus-given")
    assert os.stat(f"/proc/{client.get(path, 'MainPID')}/ns/net").st_ino == inode
    inspected = json.loads(client.call(path, CONTAINER, "Inspect")[0])
    kept = f"/run/conbus/containers/{path.rsplit('/', 1)[1]}/kept/0"
    assert inspected["HostConfig"]["NetworkMode"] == f"ns:{kept}" and inspected["NetworkSettings"]["SandboxKey"] == kept
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    client.call(path, CONTAINER, "Start")
    assert os.stat(f"/proc/{client.get(path, 'MainPID')}/ns/net").st_ino == inode, "another run, the same namespace"
    client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
    census.check()


def test_what_is_no_network_namespace_is_refused(client):
    census = Census(client)
    given = {"netns_fd": GLib.Variant("h", 0)}
    fresh = fresh_network()
    fds = [os.open(path, flags) for path, flags in (("/proc/self/ns/uts", os.O_RDONLY), ("/etc/passwd", os.O_RDONLY), ("/", os.O_PATH), ("/proc/self/ns/net", os.O_PATH), ("/dev/null", os.O_RDWR))]
    for fd in fds:
        assert "netns-fd" in expect("InvalidConfig", create, client, "x", "true", fds=[fd], **given)
        os.close(fd)
    own = os.open(f"/proc/{client.service_pid()}/ns/net", os.O_RDONLY)
    assert "network host" in expect("InvalidConfig", create, client, "x", "true", fds=[own], **given)
    os.close(own)
    for mode in ("private", "host", "none"):
        assert "give one of them" in expect("InvalidConfig", create, client, "x", "true", fds=[fresh], network=mode, **given)
    expect("InvalidConfig", create, client, "x", "true", netns_fd="/proc/1/ns/net")
    expect("UnknownOption", client.manager, "CreateContainerFromBundle", "ssa{sv}", "x", "/", options(**given), fds=[fresh])
    os.close(fresh)
    census.check()


def test_after_a_reboot_the_namespace_is_gone_and_said(client):
    fd = fresh_network()
    path = create(client, "rebooted", "sleep", "1000", fds=[fd], netns_fd=GLib.Variant("h", 0))
    os.close(fd)
    place = f"/run/conbus/containers/{path.rsplit('/', 1)[1]}/kept"
    subprocess.run(["umount", "--lazy", place], check=True)
    os.rmdir(place)
    assert "reboot" in expect("NoSuchPath", client.call, path, CONTAINER, "Start")


def test_a_map_without_root_is_refused(client):
    ids = GLib.Variant("a(uuu)", [(1, 100000, 10)])
    assert "map 0" in expect("InvalidConfig", client.create, "x", "true", uid_map=ids, gid_map=MAP)
    assert "map 0" in expect("InvalidConfig", client.create, "x", "true", uid_map=MAP, gid_map=ids)
    assert not leftovers()


@on_real_runtime
def test_the_filter_is_the_same_whoever_compiles_it(client):
    """crun has compiled the filter of the first, and is given it for the others."""
    filters, outputs = [], []
    for number in range(3):
        path = run(client, f"filtered{number}", "sh", "-c", "mount -t proc proc /proc 2>&1; unshare -m true 2>&1; grep Seccomp /proc/self/status; exec sleep 1000")
        wait_output(path, "Seccomp_filters")
        annotations = json.loads(client.call(path, CONTAINER, "GetSpec")[0]).get("annotations", {})
        with open(f"/run/conbus/crun/{path.rsplit('/', 1)[1]}/seccomp.bpf", "rb") as file:
            compiled = file.read()
        filters.append(compiled)
        given = annotations.get("run.oci.seccomp_bpf_data")
        assert given is None or base64.b64decode(given) == compiled
        assert number == 0 or given is not None or os.path.exists("/run/conbus/crun/.cache/seccomp"), "it is compiled each time"
        outputs.append([line for _, _, line in client.call(path, CONTAINER, "ReadLog", "ua{sv}", 20, {})[0]])
    assert filters[0] and filters.count(filters[0]) == 3
    assert "Seccomp:\t2" in outputs[0] and outputs.count(outputs[0]) == 3 and sum("denied" in line or "not permitted" in line for line in outputs[0]) == 2, outputs


if __name__ == "__main__":
    main()
