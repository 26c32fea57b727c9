#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Volumes: named ones are shared and stay, anonymous ones belong to a container; a new one gets what the image has."""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from census import Census  # noqa: E402
from harness import CONTAINER, Error, GLib, expect, main, on_real_runtime, options, wait_for, wait_output  # noqa: E402
from test_ends import CRASH  # noqa: E402

VOLUMES = "/var/lib/conbus/volumes"
ROOTFS = os.environ.get("CONBUS_TEST_ROOTFS", "")


def seed():
    """The image has a directory /seed with a file of user 1000 in it, and links that lead out."""
    if not os.path.exists(f"{ROOTFS}/seed"):
        os.makedirs(f"{ROOTFS}/seed/deep")
        with open(f"{ROOTFS}/seed/deep/file", "w", encoding="utf-8") as file:
            file.write("from the image\n")
        os.chown(f"{ROOTFS}/seed/deep/file", 1000, 1000)
        os.symlink("/etc/passwd", f"{ROOTFS}/seed/link")
        os.makedirs(f"{os.environ['CONBUS_SANDBOX']}/outside", exist_ok=True)
        with open(f"{os.environ['CONBUS_SANDBOX']}/outside/precious", "w", encoding="utf-8") as file:
            file.write("of the host\n")
        os.symlink(f"{os.environ['CONBUS_SANDBOX']}/outside", f"{ROOTFS}/evil")


def run(client, name, script, volumes, **config):
    path = client.create(name, "sh", "-c", script, volumes=volumes, **config)
    client.call(path, CONTAINER, "Start")
    return path


def code(client, name, script, volumes, **config):
    return client.call(run(client, name, script, volumes, **config), CONTAINER, "Wait")[1]


def remove(client, path, **keys):
    client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0, **keys))


def all_volumes():
    return sorted(os.listdir(VOLUMES)) if os.path.exists(VOLUMES) else []


@on_real_runtime
def test_a_named_volume_is_shared_and_stays(client):
    seed()
    census = Census(client)
    first = run(client, "first", "cat /seed/deep/file; echo more >/seed/new; sync; echo written; exec sleep 1000", ["shared:/seed"])
    wait_output(first, "from the image")
    wait_output(first, "written")
    second = run(client, "second", "cat /elsewhere/new; (echo x >/elsewhere/x) 2>/dev/null || echo refused; exec sleep 1000", ["shared:/elsewhere:ro"])
    wait_output(second, "more")
    wait_output(second, "refused")
    mount = json.loads(client.call(second, CONTAINER, "Inspect")[0])["Mounts"][0]
    assert mount["Type"] == "volume" and mount["Name"] == "shared" and mount["Source"] == f"{VOLUMES}/shared/data" and not mount["RW"]
    entry = [mount for mount in json.loads(client.call(first, CONTAINER, "GetSpec")[0])["mounts"] if mount["destination"] == "/seed"][0]
    assert entry["source"] == f"{VOLUMES}/shared/data" and {"nosuid", "nodev", "rprivate"} <= set(entry["options"])
    for path in (first, second):
        remove(client, path, volumes=True)
    census.check()
    assert "shared" in all_volumes()
    assert os.stat(VOLUMES).st_mode & 0o777 == 0o700 and os.stat(f"{VOLUMES}/shared").st_mode & 0o777 == 0o700
    assert code(client, "third", "cmp /seed/new /dev/stdin <<END\nmore\nEND", ["shared:/seed"]) == 0


@on_real_runtime
def test_what_is_copied_is_what_there_was(client):
    seed()
    script = "test \"$(stat -c %u /seed/deep/file)\" = 1000 && test -L /seed/link && test \"$(readlink /seed/link)\" = /etc/passwd && test \"$(stat -c '%a %u' /seed)\" = \"$(stat -c '%a %u' /bin)\""
    assert code(client, "attributes", script, ["attributes:/seed"]) == 0
    assert code(client, "empty", "test -z \"$(ls /seed)\"", ["empty:/seed:nocopy"]) == 0
    # One that is empty and not new stays empty.
    assert code(client, "again", "test -z \"$(ls /seed)\"", ["empty:/seed"]) == 0


@on_real_runtime
def test_an_image_cannot_have_files_of_the_host_copied(client):
    seed()
    path = client.create("evil", "true", volumes=["evil:/evil"])
    try:
        client.call(path, CONTAINER, "Start")
    except Error as error:
        assert error.name in ("RuntimeFailed", "RuntimeCommandNotFound"), error  # what crun makes of the link is its own
    for _, _, names in os.walk(VOLUMES):
        assert "precious" not in names


@on_real_runtime
def test_users_and_user_namespaces_can_write(client):
    seed()
    ids = GLib.Variant("a(uuu)", [(0, 100000, 65536)])
    assert code(client, "user", "echo x >/own/x", ["user:/own"], user="user") == 0
    assert os.stat(f"{VOLUMES}/user/data").st_uid == 1000
    assert code(client, "mapped", "echo x >/seed/x && echo y >/tmp/y", ["mapped:/seed", "/tmp:nocopy"], uid_map=ids, gid_map=ids) == 0
    assert os.stat(f"{VOLUMES}/mapped/data").st_uid == 100000
    for mode in ("direct", "read-only"):
        assert code(client, mode, "echo x >/seed/x", [f"{mode}:/seed"], rootfs_mode=mode) == 0
    assert not os.path.exists(f"{ROOTFS}/seed/x")


def test_anonymous_volumes_belong_to_their_container(client):
    seed()
    before = all_volumes()
    path = client.create("own", "sleep", "1000", volumes=["/seed", "/two"])
    assert all_volumes() == before, "a creation makes none"
    for _ in range(2):
        client.call(path, CONTAINER, "Start")
        client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
        client.kill_service()
    mine = sorted(set(all_volumes()) - set(before))
    assert len(mine) == 2 and all(name.startswith(path.rsplit("/", 1)[1]) for name in mine)
    assert "cannot be the name" in expect("InvalidConfig", client.create, "thief", "true", volumes=[f"{mine[0]}:/x"])
    client.call(path, CONTAINER, "Remove")
    assert set(mine) <= set(all_volumes()), "without the option they stay"
    before = all_volumes()
    path = client.create("own", "sleep", "1000", volumes=["/seed"])
    client.call(path, CONTAINER, "Start")
    assert all_volumes() != before
    remove(client, path, volumes=True)
    assert all_volumes() == before


def test_auto_remove_and_failed_runs_take_them_along(client):
    seed()
    before = all_volumes()
    path = client.create("passing", "true", volumes=["/seed"], auto_remove=True)
    gone = client.begin(path, CONTAINER, "WaitFor", "asa{sv}", ["removed"], {})  # before the start: behind it there may be nobody left to ask
    client.call(path, CONTAINER, "Start")
    client.finish(gone)
    wait_for(lambda: not client.manager("ListContainers")[0], "removal", poll=True)
    assert all_volumes() == before
    config = options(rootfs=ROOTFS, volumes=["/seed"])
    expect("RuntimeCommandNotFound", client.manager, "RunContainer", "ssasa{sv}", "x", "", ["nosuch"], config)
    assert all_volumes() == before


def test_bad_volumes_are_refused(client):
    census, before = Census(client), all_volumes()
    for volume in ("data", "data:relative", "../x:/x", "a/b:/x", "/etc:/x", ":/x", "data:/", "data:/a/../b", "data:/x:sideways", "data:/x:ro,rw", "data:/x:ro:z", "\u00e4:/x", ""):
        assert "volumes" in expect("InvalidConfig", client.create, "x", "true", volumes=[volume]), volume
    expect("InvalidConfig", client.create, "x", "true", volumes=["a:/x", "b:/x/"])
    expect("InvalidConfig", client.create, "x", "true", volumes="a:/x")
    expect("UnknownOption", client.manager, "CreateContainerFromBundle", "ssa{sv}", "x", "/", options(volumes=["a:/x"]))
    path = client.create("x", "true", volumes=["a:/etc/passwd"])
    assert "/etc/passwd" in expect("NotADirectory", client.call, path, CONTAINER, "Start")
    assert client.get(path, "State") == "created" and client.get(path, "LastErrorName") == "io.conbus1.Error.NotADirectory"
    client.call(path, CONTAINER, "Remove")
    census.check()
    assert all_volumes() == before


def test_two_that_need_the_same_new_volume(client):
    seed()
    paths = [client.create(f"race{number}", "sleep", "1000", volumes=["race:/seed"]) for number in range(4)]
    starts = [client.begin(path, CONTAINER, "Start") for path in paths]
    for start in starts:
        assert client.finish(start) == (1,)
    assert os.listdir(f"{VOLUMES}/race") == ["data"]
    with open(f"{VOLUMES}/race/data/deep/file", encoding="utf-8") as file:
        assert file.read() == "from the image\n"


def test_death_at_each_step_of_a_start_that_makes_one(client):
    """The volume is there whole, or not at all, and the next start has it."""
    seed()
    for step in range(1, 60):
        path = client.create("x", "sleep", "1000", volumes=[f"walk{step}:/seed"])
        with open(CRASH, "w", encoding="utf-8") as file:
            file.write(str(step))
        died = False
        try:
            client.call(path, CONTAINER, "Start")
        except Error as error:
            died = error.name in ("NoReply", "Disconnected")
            assert died, error
        if os.path.exists(CRASH):
            os.unlink(CRASH)
        volume = f"{VOLUMES}/walk{step}"
        assert not os.path.exists(f"{volume}/data") or os.path.exists(f"{volume}/data/deep/file")
        wait_for(lambda: client.get(path, "Operation") == "" and client.get(path, "State") in ("created", "initialized", "running", "exited"), "rest", poll=True)
        if client.get(path, "State") != "running":
            client.call(path, CONTAINER, "Start")
        assert os.listdir(volume) == ["data"] and os.path.exists(f"{volume}/data/deep/file")
        remove(client, path)
        if not died:
            assert step > 2, "the service has no crash points: is it built with -Dcrash-points=true?"
            return
    raise AssertionError("the start has more than 60 steps")


if __name__ == "__main__":
    main()
