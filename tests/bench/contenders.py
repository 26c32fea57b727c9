# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who is measured: conbus through a C client, the floor (floor.c), podman through its REST socket and its command line. Each has a private state inside tests/sandbox; samples are microseconds."""

import http.client
import json
import os
import socket
import subprocess
import threading
import time

SANDBOX = os.environ.get("CONBUS_SANDBOX", "")
ROOTFS = os.environ.get("CONBUS_TEST_ROOTFS", "")
MODES = ("read-only", "overlay")  # of a root file system: as it is, or an overlay over it for each container
PROGRAMS = os.environ.get("CONBUS_BUILD_DIR", "") + "/tests/bench"


def run(*words, **keys):
    return subprocess.run([str(word) for word in words], check=True, stdout=subprocess.PIPE, text=True, **keys).stdout


def numbers(text):
    """Lines of numbers to columns."""
    return list(zip(*[[int(word) for word in line.split()] for line in text.splitlines() if line]))


def clock():
    return time.monotonic_ns() // 1000


class Conbus:
    name = "conbus"

    def client(self, *words):
        return numbers(run(f"{PROGRAMS}/client", *words))

    def busctl(self, path, interface, member, *words):
        answer = run("busctl", "--json=short", "--timeout=infinity", "call", "--", "io.conbus1", path, f"io.conbus1.{interface}", member, *words)
        return json.loads(answer)["data"] if answer else []

    def container(self, name, member, *words):
        return self.busctl(name if name.startswith("/") else f"/container/{name}", "Container", member, *words)

    def create(self, name, *command, config=()):
        """config: words of busctl for more keys."""
        count = 3 + sum(1 for word in config if word == "key")
        words = [word for word in config if word != "key"]
        return self.busctl("/io/conbus1", "Manager", "CreateContainer", "ssa{sv}", name, "", count, "rootfs", "s", ROOTFS, "network", "s", "none", "command", "as", len(command), *command, *words)[0]

    def pid(self):
        return int(run("busctl", "--json=short", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixProcessID", "s", "io.conbus1").split("[")[1].split("]")[0])

    service_pid = pid  # as the tests call it

    def end_service(self):
        """SIGTERM, and the name is free again."""
        os.kill(self.pid(), 15)
        end = time.monotonic() + 30
        while time.monotonic() < end and "true" in run("busctl", "--json=short", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner", "s", "io.conbus1"):
            time.sleep(0.02)

    def remove_all(self):
        for *_, path in self.busctl("/io/conbus1", "Manager", "ListContainers")[0]:
            self.container(path, "RemoveWith", "a{sv}", 2, "force", "b", "true", "timeout-usec", "t", 0)

    def lifecycle(self, n, mode):
        return self.client("lifecycle", ROOTFS, n, mode)[0]

    def start_stop(self, n, mode):
        return self.client("start-stop", ROOTFS, n, mode)

    def death(self, n):
        return self.client("death", ROOTFS, n, "read-only")[0]


class Floor:
    name = "floor"

    def __init__(self, conbus):
        """The floor runs what conbus runs: its config.json, with the filter that the service has learnt by then; `compiling` is the same without that filter."""
        self.directory = f"{SANDBOX}/floor"
        os.makedirs(self.directory)
        conbus.lifecycle(1, "read-only")
        for mode in MODES:
            path = conbus.create("template", "/bin/true", config=("key", "rootfs-mode", "s", mode))
            conbus.container("template", "Init")
            spec = json.loads(conbus.container("template", "GetSpec")[0])
            conbus.remove_all()
            if mode == "overlay":
                spec["root"]["path"] = f"{self.directory}/bundles/@ID@/rootfs"
            container = path.rsplit("/", 1)[1]
            for name, command in (("true", ["/bin/true"]), ("sleep", ["/bin/sleep", "100000"]), ("compiling", ["/bin/sleep", "100000"])):
                spec["process"]["args"] = command
                if name == "compiling":
                    spec.get("annotations", {}).pop("run.oci.seccomp_bpf_data", None)
                with open(f"{self.directory}/{name}-{mode}.json", "w", encoding="utf-8") as file:
                    file.write(json.dumps(spec).replace(container, "@ID@").replace(container[:12], "floor"))

    def measure(self, template, what, n, mode="read-only"):
        return numbers(run(f"{PROGRAMS}/floor", self.directory, f"{self.directory}/{template}-{mode}.json", what, n, *([ROOTFS] if mode == "overlay" else [])))

    def lifecycle(self, n, mode):
        return self.measure("true", "lifecycle", n, mode)[0]

    def start_stop(self, n, mode, template="sleep"):
        return self.measure(template, "start-stop", n, mode)

    def learn_process(self, name):
        """The process of a bare conmon exec: that of the container that runs under this name, with another command."""
        identity = Conbus().busctl("/io/conbus1", "Manager", "GetContainer", "s", name)[0].rsplit("/", 1)[1]
        with open(f"/run/conbus/crun/{identity}/config.json", encoding="utf-8") as file:
            process = json.load(file)["process"]
        process["args"] = ["/bin/true"]
        with open(f"{self.directory}/process.json", "w", encoding="utf-8") as file:
            json.dump(process, file)

    def death(self, n):
        return self.measure("sleep", "death", n)[1]


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("podman")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Podman:
    """The persistent REST service of podman with a storage of its own; the same root file system, no network. Always under an overlay, whatever the mode is: podman makes files of its own in a root file system (etc/hosts, run/.containerenv), which all contenders share."""

    name = "peer"

    def __init__(self):
        self.socket = f"{SANDBOX}/podman.sock"
        self.words = ["podman", "--root", f"{SANDBOX}/podman", "--runroot", f"{SANDBOX}/podman-run", "--tmpdir", f"{SANDBOX}/podman-tmp", "--cgroup-manager", "cgroupfs", "--events-backend", "file",
                      "--log-level", "error", "--runtime", "crun"]
        os.environ["HOME"] = SANDBOX
        self.version = run("podman", "--version").split()[-1]
        self.service = subprocess.Popen([*self.words, "system", "service", "--time=0", f"unix://{self.socket}"], stderr=subprocess.DEVNULL)
        end = time.monotonic() + 30
        while not os.path.exists(self.socket) and time.monotonic() < end:
            time.sleep(0.01)
        self.connection = Connection(self.socket)

    def call(self, method, path, body=None, connection=None):
        connection = connection or self.connection
        connection.request(method, f"/v4.0.0/libpod{path}", json.dumps(body) if body else None, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        data = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"podman {method} {path}: {answer.status} {data[:200]}")
        return data

    def create(self, name, *command):
        self.call("POST", "/containers/create", {"name": name, "rootfs": ROOTFS, "rootfs_overlay": True, "command": list(command), "netns": {"nsmode": "none"}})

    def remove(self, name):
        self.call("DELETE", f"/containers/{name}?force=true&timeout=0")

    def remove_all(self):
        run(*self.words, "rm", "--all", "--force", "--time", "0")

    def lifecycle(self, n, mode):
        samples = []
        for _ in range(n):
            begin = clock()
            self.create("life", "/bin/true")
            self.call("POST", "/containers/life/start")
            self.call("POST", "/containers/life/wait")
            self.remove("life")
            samples.append(clock() - begin)
        return samples

    def start_stop(self, n, mode):
        starts, stops = [], []
        for _ in range(n):
            self.create("once", "/bin/sleep", "100000")
            begin = clock()
            self.call("POST", "/containers/once/start")
            starts.append(clock() - begin)
            begin = clock()
            self.call("POST", "/containers/once/stop?timeout=0")
            stops.append(clock() - begin)
            self.remove("once")
        return starts, stops

    def death(self, n):
        samples = []
        for _ in range(n):
            self.create("dying", "/bin/sleep", "100000")
            self.call("POST", "/containers/dying/start")
            pid = json.loads(self.call("GET", "/containers/dying/json"))["State"]["Pid"]
            answered, waiting = [], Connection(self.socket)
            waiting.connect()
            thread = threading.Thread(target=lambda: (self.call("POST", "/containers/dying/wait", connection=waiting), answered.append(clock())))
            thread.start()
            time.sleep(0.3)  # nothing tells when the other side waits
            begin = clock()
            os.kill(pid, 9)
            thread.join()
            samples.append(answered[0] - begin)
            self.remove("dying")
        return samples

    def timed(self, n, path):
        samples = []
        for _ in range(n):
            begin = clock()
            self.call("GET", path)
            samples.append(clock() - begin)
        return samples

    def command(self, n, *words):
        samples = []
        for _ in range(n):
            begin = clock()
            run(*self.words, *words)
            samples.append(clock() - begin)
        return samples

    def resident(self):
        return resident(self.service.pid)

    def close(self):
        self.service.terminate()
        self.service.wait()


def own_memory(pid):
    """Anonymous pages alone: those of files come and go as the service gives them back (service/base/pages.c)."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon:"))


def resident(pid):
    """Resident memory of a process in bytes."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
