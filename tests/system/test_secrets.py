#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Secrets: values that come by descriptor, lie in memory for a run, and are shown by nothing."""

import os
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from census import Census  # noqa: E402
from harness import CONTAINER, Error, GLib, expect, main, on_real_runtime, options, service_log, wait_for, wait_output  # noqa: E402
from test_ends import CRASH  # noqa: E402

VALUE = "the-one-value-that-nobody-may-see"


def pipe_with(value):
    reader, writer = os.pipe()
    os.write(writer, value.encode())
    os.close(writer)
    return reader


def secret(name, number=0, **keys):
    keys = {key: GLib.Variant("u", value) if isinstance(value, int) else value for key, value in keys.items()}
    return options(name=name, value_fd=GLib.Variant("h", number), **keys)


def create(client, name, *command, secrets, fds, begin=False, **config):
    config = options(rootfs=os.environ["CONBUS_TEST_ROOTFS"], command=list(command), secrets=GLib.Variant("aa{sv}", secrets), **config)
    function = client.begin if begin else client.call
    answer = function("/io/conbus1", "io.conbus1.Manager", "CreateContainer", "ssa{sv}", name, "", config, fds=fds)
    return answer if begin else answer[0]


def create_and_close(client, name, *command, secrets, fds, **config):
    try:
        return create(client, name, *command, secrets=secrets, fds=fds, **config)
    finally:
        for fd in fds:
            os.close(fd)


def stored(path, number=0):
    return f"/var/lib/conbus/containers/{path.rsplit('/', 1)[1]}/secrets/{number}"


def place(path):
    return f"/run/conbus/containers/{path.rsplit('/', 1)[1]}/private"


def stop(client, path):
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))


LOOK = "stat -c '%a %u %g' /run/secrets/key; cmp /run/secrets/key /etc/other && echo same; stat -f -c %T /run/secrets/key; (echo x >/run/secrets/key) 2>/dev/null || echo closed; echo done; exec sleep 1000"


@on_real_runtime
def test_a_secret_is_a_file_in_memory(client):
    census = Census(client)
    given = [secret("key", 0, uid=1000, gid=10, mode=0o440), secret("key", 1, target="/etc/other")]
    path = create_and_close(client, "s", "sh", "-c", LOOK, secrets=given, fds=[pipe_with(VALUE), pipe_with(VALUE)])
    assert os.stat(stored(path)).st_mode & 0o7777 == 0o600 and os.stat(os.path.dirname(stored(path))).st_mode & 0o777 == 0o700
    for _ in range(2):  # each run has it anew, also from another service
        client.kill_service()
        client.call(path, CONTAINER, "Start")
        for line in ("440 1000 10", "same", "tmpfs", "closed", "done"):
            wait_output(path, line)
        stop(client, path)
        assert not os.path.exists(place(path)), "what was for the run has outlived it"
        os.truncate(f"/var/lib/conbus/containers/{path.rsplit('/', 1)[1]}/log", 0)
    client.call(path, CONTAINER, "Remove")
    census.check()


def everything_that_is_shown(client, path):
    yield "Inspect", client.call(path, CONTAINER, "Inspect")[0]
    yield "GetSpec", client.call(path, CONTAINER, "GetSpec")[0]
    yield "Dump", client.manager("Dump")[0]
    yield "events", str(client.manager("GetEvents", "tua{sv}", 0, 10000, {}))
    yield "records", str(client.call(path, CONTAINER, "ListRuns", "u", 0))
    yield "properties", str(client.call(path, "org.freedesktop.DBus.Properties", "GetAll", "s", CONTAINER))
    yield "log", service_log()


def test_a_value_is_shown_by_nothing(client):
    path = create_and_close(client, "s", "sleep", "1000", secrets=[secret("key")], fds=[pipe_with(VALUE)])
    client.call(path, CONTAINER, "Start")
    for where, text in everything_that_is_shown(client, path):
        assert VALUE not in text, where
    assert '"Name" : "key"' in client.call(path, CONTAINER, "Inspect")[0]
    for top in ("/var/lib/conbus", "/run/conbus"):
        for directory, _, names in os.walk(top):
            for name in names:
                file = f"{directory}/{name}"
                if os.path.isfile(file) and file not in (stored(path), f"{place(path)}/secret-0"):
                    with open(file, "rb") as content:
                        assert VALUE.encode() not in content.read(), file
    with open(f"/proc/{client.service_pid()}/environ", "rb") as environment:
        assert VALUE.encode() not in environment.read()


@on_real_runtime
def test_what_a_value_can_come_from(client):
    memory, pair = os.memfd_create("m"), socket.socketpair()
    os.write(memory, b"memory\n")
    os.lseek(memory, 0, os.SEEK_SET)
    pair[1].sendall(b"socket\n")
    pair[1].close()
    given = [secret("a", 0), secret("b", 1), secret("c", 2)]
    reader = pipe_with("pipe\n")
    os.set_blocking(reader, False)
    path = create_and_close(client, "s", "sh", "-c", "cat /run/secrets/*; exec sleep 1000", secrets=given, fds=[memory, os.dup(pair[0].fileno()), reader])
    pair[0].close()
    client.call(path, CONTAINER, "Start")
    for word in ("memory", "socket", "pipe"):
        wait_output(path, word)


@on_real_runtime
def test_in_user_namespaces_and_closed_roots(client):
    ids = GLib.Variant("a(uuu)", [(0, 100000, 65536)])
    for name, more in (("mapped", {"uid_map": ids, "gid_map": ids}), ("closed", {"read_only": True}), ("base", {"rootfs_mode": "read-only"})):
        given = [secret("key", uid=1000, mode=0o400)]
        path = create_and_close(client, name, "sh", "-c", "cat /run/secrets/key; stat -c %u /run/secrets/key; exec sleep 1000", secrets=given, fds=[pipe_with("seen\n")], user="user", **more)
        client.call(path, CONTAINER, "Start")
        wait_output(path, "seen")
        wait_output(path, "1000")
    assert os.listdir(f"{os.environ['CONBUS_TEST_ROOTFS']}/run") == []


@on_real_runtime
def test_credentials_of_the_service_are_handed_on(client):
    received = f"{os.environ['CONBUS_SANDBOX']}/received"
    os.makedirs(received, exist_ok=True)
    with open(f"{received}/token", "w", encoding="utf-8") as file:
        file.write(f"{VALUE}\n")
    before = client.create("before", "true", rootfs_mode="direct")
    assert '"token"' in expect("NoSuchPath", client.create, "x", "true", credentials=["token"])
    client.restart_with(CREDENTIALS_DIRECTORY=received)
    try:
        assert '"other"' in expect("NoSuchPath", client.create, "x", "true", credentials=["token", "other"])
        for name in ("../token", "", "a/b"):
            expect("InvalidConfig", client.create, "x", "true", credentials=[name])
        ids = GLib.Variant("a(uuu)", [(0, 100000, 65536)])
        script = "id -u; stat -c '%a %u' $CREDENTIALS_DIRECTORY $CREDENTIALS_DIRECTORY/token; cat $CREDENTIALS_DIRECTORY/token; (echo x >$CREDENTIALS_DIRECTORY/new) 2>/dev/null || echo closed; exec sleep 1000"
        for name, more in (("plain", {"user": "user"}), ("mapped", {"user": "user", "uid_map": ids, "gid_map": ids})):
            path = client.create(name, "sh", "-c", script, credentials=["token"], **more)
            client.call(path, CONTAINER, "Start")
            for line in ("1000", "500 1000", "400 1000", VALUE, "closed"):
                wait_output(path, line)
            assert VALUE not in client.call(path, CONTAINER, "Inspect")[0] and VALUE not in client.call(path, CONTAINER, "GetSpec")[0]
            stop(client, path)
            assert not os.path.exists(place(path))
        os.unlink(f"{received}/token")
        assert '"token"' in expect("NoSuchPath", client.call, path, CONTAINER, "Start")
        assert not os.path.exists(place(path))
    finally:
        client.restart_with(CREDENTIALS_DIRECTORY="")
    assert '"token"' in expect("NoSuchPath", client.call, path, CONTAINER, "Start")
    client.call(before, CONTAINER, "Start")


def test_bad_values_leave_nothing(client):
    census = Census(client)
    one = [secret("key")]
    large = os.memfd_create("m")
    os.truncate(large, 512001)
    for fd, part in (
        (pipe_with(""), "empty"),
        (large, "512000"),
        (os.open("/", os.O_RDONLY), "cannot be read"),
        (os.open("/etc/passwd", os.O_PATH), "open for reading"),
        (os.open("/dev/null", os.O_WRONLY), "open for reading"),
    ):
        assert part in expect("InvalidConfig", create_and_close, client, "x", "true", secrets=one, fds=[fd]), part
    # The second one fails when the first is stored already.
    expect("InvalidConfig", create_and_close, client, "x", "true", secrets=[secret("a", 0), secret("b", 1)], fds=[pipe_with("x"), pipe_with("")])
    expect("InvalidConfig", client.create, "x", "true", secrets=GLib.Variant("aa{sv}", [options(name="a", value_fd="value")]))
    expect("UnknownOption", client.create, "x", "true", secrets=GLib.Variant("aa{sv}", [options(name="a", value="value")]))
    expect("InvalidConfig", client.create, "x", "true", secrets=GLib.Variant("aa{sv}", [options(name="a")]))
    expect("InvalidConfig", create_and_close, client, "x", "true", secrets=[secret("../a")], fds=[pipe_with("x")])
    expect("InvalidConfig", create_and_close, client, "x", "true", secrets=[secret("a", target="/run/../etc/passwd")], fds=[pipe_with("x")])
    census.check()
    client.call(create_and_close(client, "x", "true", secrets=one, fds=[pipe_with("x")]), CONTAINER, "Remove")
    census.check()


def test_a_value_without_end_holds_up_nobody(client):
    census = Census(client)
    reader, writer = os.pipe()
    with client.settings(OperationsMax=1, RuntimeUSec=8000000):
        endless = create(client, "endless", "true", secrets=[secret("key")], fds=[reader], begin=True)
        other = client.create("other", "true", rootfs_mode="direct")
        assert not endless, "the one that waits has been answered"
        client.call(other, CONTAINER, "Remove")
        assert "no end" in expect("InvalidConfig", client.finish, endless)
    for end in (reader, writer):
        os.close(end)
    census.check()


def test_a_value_that_was_taken_away(client):
    path = create_and_close(client, "s", "true", secrets=[secret("key")], fds=[pipe_with(VALUE)])
    os.unlink(stored(path))
    assert '"key"' in expect("NoSuchPath", client.call, path, CONTAINER, "Start")
    assert not os.path.exists(place(path))


def test_death_at_each_step_of_a_creation(client):
    """The service dies between every two steps: the container is there with all its values, or nothing is there."""
    census = Census(client)
    for step in range(1, 40):
        with open(CRASH, "w", encoding="utf-8") as file:
            file.write(str(step))
        died = False
        try:
            create_and_close(client, "x", "true", secrets=[secret("a", 0), secret("b", 1)], fds=[pipe_with(VALUE), pipe_with(VALUE)])
        except Error as error:
            died = error.name in ("NoReply", "Disconnected")
            assert died, error
        if os.path.exists(CRASH):
            os.unlink(CRASH)
        for _, _, _, _, _, path in client.manager("ListContainers")[0]:
            assert os.path.getsize(stored(path, 0)) == os.path.getsize(stored(path, 1)) == len(VALUE)
            client.call(path, CONTAINER, "Remove")
        census.check()
        if not died:
            assert step > 2, "the service has no crash points: is it built with -Dcrash-points=true?"
            return
    raise AssertionError("the creation has more than 40 steps")


def test_death_in_a_run(client):
    """What was placed for a run goes with the cleanup of the next service."""
    path = create_and_close(client, "s", "sleep", "1000", secrets=[secret("key")], fds=[pipe_with(VALUE)])
    client.call(path, CONTAINER, "Start")
    pid = client.get(path, "MainPID")
    client.kill_service()
    os.kill(pid, 9)
    wait_for(lambda: client.get(path, "State") == "exited", "cleanup", poll=True)
    assert not os.path.exists(place(path))


if __name__ == "__main__":
    main()
