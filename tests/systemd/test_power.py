#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Power cuts. Until the cut one container after the other is created, renamed, given a policy, removed; what was acknowledged is written to the witness, a disk without a file system, so that nothing else is synced by it. After the cut all of that is there, at most the call that was
cut off may have happened or not, and nothing is half-made."""

import json
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import CONTAINER, boot, cut_power, main, options, run, wait_for  # noqa: E402

WITNESS = "/dev/vdb"
STATE = "/var/lib/conbus/containers"
POLICIES = ("on-failure", "unless-stopped", "always")


class Witness:
    """Lines of JSON, each on the disk when write() returns."""

    def __init__(self):
        self.fd = os.open(WITNESS, os.O_WRONLY)
        os.pwrite(self.fd, bytes(4096), 0)
        self.end = 0

    def write(self, *words):
        line = json.dumps(words).encode() + b"\n"
        os.pwrite(self.fd, line + bytes(4096), self.end)
        os.fsync(self.fd)
        self.end += len(line)


def read_witness():
    with open(WITNESS, "rb") as disk:
        text = disk.read().split(b"\0", 1)[0]
    return [json.loads(line) for line in text.splitlines()]


def calls_of(client, number):
    """The calls for one container: (what, how)"""
    yield "create", lambda: client.create(f"box{number}", *(("true",) if number % 6 == 0 else ("sleep", "1000")))
    path = f"/container/box{number}"
    if number % 2:
        yield "rename", lambda: client.call(path, CONTAINER, "Rename", "s", f"renamed{number}")
        path = f"/container/renamed{number}"
    yield "policy", lambda: client.call(path, CONTAINER, "SetRestartPolicy", "su", POLICIES[number % 3], 0)
    if number % 5 == 0:
        yield "auto-start", lambda: client.call(path, CONTAINER, "SetAutoStart", "s", "enabled")
    if number % 6 == 0:  # it has a directory then
        yield "run", lambda: client.call(path, CONTAINER, "Start")
        client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], options(final=True))
    if number % 3 == 0:
        yield "remove", lambda: client.call(path, CONTAINER, "Remove")


def change_until_the_cut(client):
    witness = Witness()
    first = 1000 * int(os.environ["CONBUS_MACHINE_BOOT"])
    cut_power(random.uniform(2, 8))
    for number in range(first, first + 1000):
        for what, call in calls_of(client, number):
            witness.write("begin", what, number)
            call()
            witness.write("done", what, number)


def acknowledged():
    """{number: the calls that were}, and the one that was cut off, if any."""
    done, open_call = {}, None
    for word, what, number in read_witness():
        if word == "begin":
            open_call = (what, number)
        else:
            done.setdefault(number, []).append(what)
            open_call = None
    return done, open_call


def facts_of(client, path):
    """What a call has made of it; each is false of a container that has just been created."""
    return {"renamed": client.get(path, "Name").startswith("renamed"), "policy": client.get(path, "RestartPolicy") != "no", "auto-start": client.get(path, "AutoStart")}


def check_one(number, done, maybe, found):
    """What is there of one container agrees with what was acknowledged; maybe is the call that was cut off."""
    there = found is not None
    assert there or "remove" in done or maybe in ("create", "remove"), f"{number} was lost after {done}, {maybe}"
    assert not (there and "remove" in done), f"{number} was removed and is there: {found}"
    for what, fact in (("rename", "renamed"), ("policy", "policy"), ("auto-start", "auto-start")) if there else ():
        assert found[fact] == (what in done) or what == maybe, f"{number}: {what} of {done}, {maybe}: {found}"


def check_all(client):
    done, open_call = acknowledged()
    assert sum(len(calls) for calls in done.values()) >= 3, f"too little was acknowledged before the cut: {done}"
    print(f"# {sum(len(calls) for calls in done.values())} calls were acknowledged, {open_call} was cut off", flush=True)
    numbers = set(done) | ({open_call[1]} if open_call else set())
    listed = {name: (identity, path) for identity, name, _, _, _, path in client.manager("ListContainers")[0]}
    for number in numbers:
        names = [name for name in (f"box{number}", f"renamed{number}") if name in listed]
        assert len(names) <= 1, names
        found = facts_of(client, listed[names[0]][1]) if names else None
        check_one(number, done.get(number, []), open_call[0] if open_call and open_call[1] == number else None, found)
    strays = set(os.listdir(STATE)) - {identity for identity, _ in listed.values()}
    assert not strays, f"directories of no container: {strays}"
    return listed


def runs_of(client, path):
    return sorted((record["run"], record["result"]) for record in client.call(path, CONTAINER, "ListRuns", "u", 10)[0])


def test_containers_run_before_the_first_cut(client):
    run("systemctl", "enable", "conbus.service")
    for name, config in {"lasting": {"restart_policy": "unless-stopped"}, "auto": {"auto_start": True}, "plain": {}}.items():
        client.call(client.create(name, "sleep", "1000", **config), CONTAINER, "Start")
    run("sync")


def check_boot(client, number):
    wait_for(lambda: run("systemctl", "is-active", "conbus.service", check=False).strip() == "active", "the service", poll=True)
    listed = check_all(client)
    for name in "lasting", "auto":
        assert client.call(f"/container/{name}", CONTAINER, "WaitFor", "asa{sv}", ["running"], options(timeout_usec=120000000))[0] == "running"
        assert runs_of(client, f"/container/{name}") == [(run_number, "lost") for run_number in range(1, number)] + [(number, "")], (name, runs_of(client, f"/container/{name}"))
    assert client.get("/container/plain", "State") == "exited" and runs_of(client, "/container/plain") == [(1, "lost")]
    return listed


@boot(2)
def test_after_the_first_cut(client):
    listed = check_boot(client, 2)
    for name in [name for name in listed if name.startswith(("box", "renamed"))][:2]:
        client.call(f"/container/{name}", CONTAINER, "RestartWith", "a{sv}", options(timeout_usec=0))


@boot(3)
def test_after_the_second_cut(client):
    check_boot(client, 3)
    client.call(client.create("afterwards", "true"), CONTAINER, "Start")
    assert client.call("/container/afterwards", CONTAINER, "Wait")[1] == 0


if __name__ == "__main__":
    main("vm", until_power_cut=change_until_the_cut)
