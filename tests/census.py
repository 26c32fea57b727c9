# SPDX-License-Identifier: LGPL-2.1-or-later
"""What there is beside the objects on the bus: processes, descriptors of the service, mounts, control groups, files. A Census taken before a test and checked after it says what the test, or the service, has left behind."""

import os
import re

from harness import CONTAINER, options, wait_for

_warm = set()  # pids of services that have opened what they open once


def _warm_up(client):
    """The first container makes the service open what it keeps open: the database's log, a context for its syncs."""
    client.manager("ListContainers")
    if client.service_pid() in _warm:
        return
    path = client.create("warm-up", "true", rootfs_mode="direct")
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True))
    _warm.add(client.service_pid())


def _processes():
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
                words = stat.read().rsplit(")", 1)
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[f"process {pid}"] = words[0].split("(", 1)[1] + " " + words[1].split()[0].replace("R", "S").replace("D", "S")
    return found


def _has_children(pid):
    """As those that ask crun and conmon for their versions when the service begins."""
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stat:
                if stat.read().rsplit(")", 1)[1].split()[1] == str(pid):
                    return True
        except (FileNotFoundError, ProcessLookupError):
            continue
    return False


def _descriptors(pid):
    found = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = re.sub(r":\[\d+\]", "", os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            continue
        found[f"descriptor to {target}"] = found.get(f"descriptor to {target}", 0) + 1
    return found


def _groups():
    return {f"group {top}": "" for hierarchy in os.listdir("/sys/fs/cgroup") for top, _, _ in os.walk(f"/sys/fs/cgroup/{hierarchy}/conbus")} | {f"group {top}": "" for top, _, _ in os.walk("/sys/fs/cgroup/conbus")}


def _files():
    found = {}
    for top in ("/run/conbus", "/var/lib/conbus/containers"):
        for directory, _, names in os.walk(top):
            found |= {f"file {directory}/{name}": "" for name in names if name != "faults"}
            found[f"file {directory}/"] = ""
    return found


def _mounts():
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        return {f"mount {line.split()[1]}": "" for line in mounts}


class Census:
    """Taken where no container exists."""

    def __init__(self, client):
        self.client = client
        _warm_up(client)
        self.pid = client.service_pid()
        wait_for(lambda: not _has_children(self.pid) and not any("/conbus/" in group for group in _groups()) and not any(name.startswith("exe ") or name.endswith(" Z") for name in _processes().values()), "rest", poll=True)
        self.before = self._take()

    def _take(self):
        return _processes() | _descriptors(self.client.service_pid()) | _groups() | _files() | _mounts()

    def _same(self):
        self.client.manager("Dump")  # a service that is only looked at would leave
        now = self._take()
        if self.client.service_pid() != self.pid:  # it was restarted by the test: another pid, and its descriptors are its own
            now = {key: value for key, value in now.items() if not key.startswith("descriptor") and value != "conbusd S"}
            self.before = {key: value for key, value in self.before.items() if not key.startswith("descriptor") and value != "conbusd S"}
        self.new = sorted(f"{key} {value}" for key, value in now.items() - self.before.items())
        self.gone = sorted(f"{key} {value}" for key, value in self.before.items() - now.items())
        return not self.new and not self.gone

    def check(self):
        """Everything is as it was; ends of processes and what follows from them are waited for."""
        assert self.client.manager("ListContainers")[0] == []
        try:
            wait_for(self._same, "return to what there was before", poll=True)
        except AssertionError as late:
            raise AssertionError(f"left behind: {self.new}; gone: {self.gone}") from late
