# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processes in containers, for tests."""

import os

from attached import Attached
from harness import CONTAINER, PROCESS, GLib, options, wait_for


def container(client, name="a", **config):
    path = client.create(name, "sleep", "1000", **config)
    client.call(path, CONTAINER, "Start")
    return path


def execute(client, path, *command, **keys):
    """(object, pid)"""
    return client.call(path, CONTAINER, "Exec", "asa{sv}", list(command), options(**keys))


def wait(client, process):
    return client.call(process, PROCESS, "Wait")


def attach(client, process, **keys):
    _, framing, job = client.call(process, PROCESS, "OpenAttach", "a{sv}", options(**keys))
    return Attached(client.fds.get(0), framing, job)


def run(client, path, *command, attach_keys=None, **keys):
    """A process that is attached to before it starts: the attachment; its path is in .process."""
    process, pid = execute(client, path, *command, start=False, **keys)
    assert pid == 0
    attached = attach(client, process, **(attach_keys or {}))
    attached.process = process
    attached.pid = client.call(process, PROCESS, "Start")[0]
    return attached


def output(client, path, *command, **keys):
    """What a process writes, once it has ended; the object is removed."""
    attached = run(client, path, *command, **keys).read_to_end()
    client.call(attached.process, PROCESS, "Remove", "s", "normal")
    return attached.out.decode()


def spawn(client, path, *argv, fds=None, env=None, cwd="", **keys):
    """fds: {number: descriptor}"""
    fds = fds or {}
    handles = {number: index for index, number in enumerate(fds)}
    arguments = [word.encode() + b"\0" for word in argv]
    return client.call(path, CONTAINER, "Spawn", "ayaaya{uh}a{ss}a{sv}", cwd.encode(), arguments, handles, env or {}, options(**keys), fds=list(fds.values()))


def read_all(fd):
    data = bytearray()
    while chunk := os.read(fd, 65536):
        data += chunk
    os.close(fd)
    return bytes(data)


def handles(signature, value):
    return GLib.Variant(signature, value)


def processes(client, path):
    return client.get(path, "Processes")


def wait_gone(client, path):
    """No process object is left of the container."""
    wait_for(lambda: processes(client, path) == [], "end of the processes", poll=True)


def events(client, action):
    return [details for _, _, _, name, _, _, details in client.manager("GetEvents", "tua{sv}", 0, 1000000, {})[0] if name == action]
