#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""From an earlier commit's service to this one, as a package does it: files are replaced, the manager is reloaded, the service restarted. Meanwhile containers run, waits are open, streams are attached and a log is followed; nothing of it is lost, and the database is brought up to date."""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import previous  # noqa: E402
from attached import Attached  # noqa: E402
from executed import run as execute  # noqa: E402
from executed import wait  # noqa: E402
from harness import CONTAINER, MANAGER, Skip, in_machine, main, options, remove_all, run  # noqa: E402
from logs import Log  # noqa: E402

LIBEXEC, STATE = "/usr/libexec", "/var/lib/conbus"
ECHO = "while read x; do echo got $x; done; exit 6"


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def install(build):
    """Each file in one step, so that what runs keeps the one it has."""
    files = {f"{build}/{program}": f"{LIBEXEC}/{os.path.basename(program)}" for program in previous.PROGRAMS} | {f"{build}/{source}": target for source, target in previous.UNITS.items()}
    for source, target in files.items():
        shutil.copy(source, f"{target}.new")
        os.rename(f"{target}.new", target)
    run("systemctl", "daemon-reload")


def begin_anew(client, build):
    """A machine on which this build has always been. No service may write to the database of a newer one."""
    run("systemctl", "stop", "conbus.service")
    for name in os.listdir(STATE):
        shutil.rmtree(f"{STATE}/{name}") if os.path.isdir(f"{STATE}/{name}") else os.unlink(f"{STATE}/{name}")
    install(build)
    client.manager("ListContainers")
    assert digest(f"/proc/{client.service_pid()}/exe") == digest(f"{build}/service/conbusd")


def attach(client, path):
    _, framing, job = client.call(path, CONTAINER, "OpenAttach", "a{sv}", {})
    return Attached(client.fds.get(0), framing, job)


def read_end(pipe):
    text = b""
    while piece := os.read(pipe, 65536):
        text += piece
    os.close(pipe)
    return json.loads(text)


def knows(client, path, method):
    """An older service may not have it yet."""
    return f'<method name="{method}">' in client.call(path, "org.freedesktop.DBus.Introspectable", "Introspect")[0]


class Busy:
    """What goes on while the service is upgraded."""

    def __init__(self, client):
        self.client, self.restarted = client, {}
        self.paths = {
            "echo": client.create("echo", "sh", "-c", ECHO, stdin_open=True, stdin_once=True),
            "chatty": client.create("chatty", "sh", "-c", "trap 'exit 5' TERM; echo begin; while test ! -e /more; do sleep 0.02; done; echo more; while :; do sleep 0.02; done", restart_policy="on-failure"),
            "frozen": client.create("frozen", "sleep", "1000"),
            "ended": client.create("ended", "sh", "-c", "exit 3", labels={"team": "web"}),
            "never": client.create("never", "true", auto_start=True),
        }
        for name in ("echo", "chatty", "frozen", "ended"):
            client.call(self.paths[name], CONTAINER, "Start")
        client.call(self.paths["ended"], CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
        self.attached = attach(client, self.paths["echo"])
        self.attached.send(b"1\n")
        self.attached.read_until(b"got 1\n")
        self.log = self.process = None
        if knows(client, self.paths["chatty"], "OpenLog"):
            self.log = Log(client, self.paths["chatty"], follow=True)
            self.log.read_until(b"begin")
        if knows(client, self.paths["chatty"], "Exec"):
            self.process = execute(client, self.paths["chatty"], "sh", "-c", "echo ready; read x; exit 7")
            self.process.read_until(b"ready\n")
        client.call(self.paths["frozen"], CONTAINER, "Pause")
        client.call(self.paths["echo"], CONTAINER, "OpenWait", "asa{sv}", ["stopped"], {})
        self.pipe = client.fds.steal_fds()[0]
        self.before = self.look()
        self.seq = client.get("/io/conbus1", "EventSeq", MANAGER)

    def look(self):
        names = ("Name", "Id", "State", "Run", "MainPID", "MonitorPID", "ExitCode", "Result", "RestartPolicy", "AutoStart", "CreatedTimestamp", "StartTimestamp", "ControlGroup")
        return {name: {word: self.client.get(path, word) for word in names} for name, path in self.paths.items()}

    def check(self):
        client, paths = self.client, self.paths
        now = self.look()
        assert now == self.before, (now, self.before)
        events, _, gap = client.manager("GetEvents", "tua{sv}", 0, 10000, {})
        assert not gap and [event[0] for event in events][:self.seq] == list(range(1, self.seq + 1))
        assert client.call(paths["ended"], CONTAINER, "GetRun", "t", 1)[0]["exit-code"] == 3
        self.attached.send(b"2\n")
        self.attached.read_until(b"got 2\n")
        if self.process:
            self.process.send(b"\n")
            assert self.process.read_to_end().last["exit-code"] == 7
            assert wait(client, self.process.process) == (7, 0)
        client.call(paths["chatty"], CONTAINER, "ExecCapture", "asa{sv}", ["touch", "/more"], {})
        if self.log:
            self.log.read_until(b"more")
        self.attached.end_input()
        assert self.attached.read_to_end().last["exit-code"] == 6
        end = read_end(self.pipe)
        assert (end["run"], end["exit-code"]) == (1, 6), end
        self.check_verbs()

    def check_verbs(self):
        """What was begun by the one is ended by the other."""
        client, paths = self.client, self.paths
        client.call(paths["frozen"], CONTAINER, "Resume")
        client.call(paths["frozen"], CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
        client.call(paths["chatty"], CONTAINER, "Stop")
        if self.log:
            self.log.read_to_end()
        for name, code in (("frozen", 137), ("chatty", 5)):
            assert client.get(paths[name], "ExitCode") == code, name
        client.call(paths["never"], CONTAINER, "Start")
        client.call(paths["never"], CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
        assert client.call(paths["ended"], CONTAINER, "Start") == (2,)
        client.call(paths["ended"], CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})


def schema():
    with sqlite3.connect(f"file:{STATE}/conbus.db?mode=ro", uri=True) as database:
        return database.execute("PRAGMA user_version").fetchone()[0]


def set_schema(number):
    database = sqlite3.connect(f"{STATE}/conbus.db")
    database.execute(f"PRAGMA user_version = {number}")
    database.close()


def newest_schema():
    with open(f"{previous.SOURCE}/service/store/schema.sql", encoding="utf-8") as file:
        return max(int(line.split()[-1]) for line in file if line.startswith("-- migration "))


def upgrade(client, commit, build):
    begin_anew(client, build)
    old = schema()
    busy = Busy(client)
    install(previous.BUILD)
    run("systemctl", "restart", "conbus.service")
    assert digest(f"/proc/{client.service_pid()}/exe") == digest(f"{previous.BUILD}/service/conbusd")
    busy.check()
    assert schema() == newest_schema(), (schema(), newest_schema())
    print(f"# from {commit[:7]}, schema {old} to {schema()}", flush=True)


def test_an_upgrade_loses_nothing(client):
    plan = previous.plan()
    if "skip" in plan:
        raise Skip(plan["skip"])
    for commit, build in plan["builds"]:
        try:
            upgrade(client, commit, build)
        finally:
            install(previous.BUILD)
        remove_all(client)


def test_a_service_older_than_its_database_does_not_touch_it(client):
    """A downgrade fails in so many words, once for each attempt, and what runs runs on."""
    path = client.create("lasting", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    pid, known = client.get(path, "MainPID"), schema()
    run("systemctl", "stop", "conbus.service")
    set_schema(newest_schema() + 1)
    for number in range(2):
        assert subprocess.run(["systemctl", "start", "conbus.service"], stderr=subprocess.DEVNULL, check=False).returncode != 0
        run("journalctl", "--sync")
        assert run("journalctl", "-b", "--no-pager", "-u", "conbus.service").count("use the newer conbus") == number + 1
    assert run("systemctl", "show", "conbus.service", "--property=ActiveState", "--property=NRestarts").split() == ["NRestarts=0", "ActiveState=failed"]
    assert os.path.exists(f"/proc/{pid}")
    set_schema(known)
    assert client.get(path, "MainPID") == pid


if __name__ == "__main__":
    if not in_machine():
        previous.prepare()
    main("machine")
