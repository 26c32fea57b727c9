#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Calls of every method of every interface with random arguments, many at a time, from clients that come and go: each gets its answer, each refusal has a name and a sentence, the service lives, and nothing is left.
What the methods and their options are comes from the introspection XML and config-keys.txt, so a new one takes part by itself.

CONBUS_CALLS_SECONDS  how long (default 15)
CONBUS_CALLS_SEED     a run's seed, which it prints"""

import glob
import os
import random
import re
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, HEALTH, JOB, MANAGER, PROCESS, SOURCE, Client, Gio, GLib, main, options, remove_all, wait_for  # noqa: E402

sys.path.insert(0, f"{SOURCE}/introspection")
from config_keys import read_keys  # noqa: E402
from description import read_interface  # noqa: E402

SECONDS = float(os.environ.get("CONBUS_CALLS_SECONDS", "15"))
SEED = int(os.environ.get("CONBUS_CALLS_SEED") or random.randrange(1 << 32))
INTERFACES = [read_interface(path) for path in sorted(glob.glob(f"{SOURCE}/introspection/*.xml"))]
PROPERTIES = "org.freedesktop.DBus.Properties"
PENDING, CONTAINERS = 40, 12  # calls of a client at a time; containers, above which none is made but removed
HANDLES = 10  # descriptors in unanswered calls of a client: a bus lets 64 wait for the service
STANDARD = ("InvalidArgs", "UnknownObject", "UnknownInterface", "UnknownMethod", "UnknownProperty", "PropertyReadOnly", "Timeout", "LimitsExceeded", "NoReply")
with open(f"{SOURCE}/introspection/errors.txt", encoding="utf-8") as lines:
    ERRORS = [line.split()[1] for line in lines if not line.startswith("#")] + [f"org.freedesktop.DBus.Error.{name}" for name in STANDARD]

# Words that mean something somewhere, with some that mean nothing anywhere.
WORDS = ["", "self", "c1", "c2", "c3", "c4", "a/b", "ü", "x" * 300, "-1", "0", "started", "ready", "healthy", "final", "exited", "running", "removed", "always", "no", "on-failure", "unless-stopped", "enabled", "auto", "overlay", "direct",
         "read-only", "host", "none", "private", "container:c1", "SIGTERM", "main", "all", "stdout", "stderr", "stdin", "run-start", "log-start", "now", "0:0", "1:5,1:9", "text", "json", "export", "raw", "packets", "multiplexed",
         "ctrl-p,ctrl-q", "client", "detached", "start", "stop", "remove", "update", "kill", "state", "k8s-file", "journald", "root", "1000:1000", "/", "/tmp", "/nowhere", "../..", "\n", "NAME=VALUE", "CAP_NET_ADMIN", "ALL", "/dev/null", "{}",
         '{"process":{"cwd":7}}', "[", "machine-x.slice", "15", "web"]  # fmt: skip
NUMBERS = [0, 1, 2, 3, 9, 15, 64, 1000, 65536, 1000000, (1 << 31) - 1, (1 << 32) - 1, (1 << 63) - 1, (1 << 64) - 1]
LIMITS = {"y": (0, 255), "n": (-(1 << 15), (1 << 15) - 1), "q": (0, (1 << 16) - 1), "i": (-(1 << 31), (1 << 31) - 1), "u": (0, (1 << 32) - 1), "x": (-(1 << 63), (1 << 63) - 1), "t": (0, (1 << 64) - 1)}
COMMANDS = [["true"], ["false"], ["sleep", "1000"], ["sh", "-c", "echo out; echo err >&2; exit 3"], ["cat"], ["nosuch"], ["sh", "-c", "trap '' TERM; sleep 1000"], []]


def key_pool():
    """Every option and key that the documents name, with the type they give it."""
    pool = {name: signature for _, name, signature, _, _ in read_keys(f"{SOURCE}/introspection/config-keys.txt")}
    for interface in INTERFACES:
        for method in interface.methods:
            for text in method.argument_texts.values():
                for name, signature in re.findall(r"\b([a-z]+(?:-[a-z]+)*) \(([a-z(){}]+)[,)]", text):
                    if GLib.VariantType.string_is_valid(signature) and GLib.VariantType(signature).is_definite():
                        pool.setdefault(name, signature)
    return pool


def about(name, text):
    """What a text about several options says of one."""
    found = re.search(rf"\b{name} \(([^()]|\([^()]*\))*\)", text)
    return found.group() if found else ""


def split(signature):
    """The complete types of a sequence of types."""
    parts, start, depth = [], 0, 0
    for i, character in enumerate(signature):
        depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(character, 0)
        if depth == 0 and character != "a":
            parts.append(signature[start : i + 1])
            start = i + 1
    return parts


KEYS = key_pool()
CREATION_KEYS = [name for group, name, _, uses, _ in read_keys(f"{SOURCE}/introspection/config-keys.txt") if not group and "C" in uses]


OBJECTS = {CONTAINER: "/container/[0-9a-f]{64}$", HEALTH: "/container/[0-9a-f]{64}$", JOB: "/job/", PROCESS: "/process/"}


class Caller:
    """Makes random calls; the known paths are shared by all callers."""

    def __init__(self, chance, paths):
        self.chance, self.paths = chance, paths
        self.client = Client(signals=False)
        self.boxes, self.fds = [], []

    def word(self, text=""):
        """One that the text names, when it names any."""
        named = re.findall(r'"([^"]+)"', text)
        if named and self.chance.random() < 0.8:
            return self.chance.choice(named)
        return self.chance.choice(WORDS if self.chance.random() < 0.9 or not self.paths else [path.rsplit("/", 1)[1] for path in self.paths])

    def handle(self):
        """The index of one of the call's descriptors: of a new one, unless many are on their way already."""
        if self.handles and len(self.handles) + self.on_the_way() >= HANDLES:
            return GLib.Variant("h", 0)
        kind = self.chance.randrange(5)
        if kind == 0:
            fd = os.open(self.chance.choice(["/", "/dev/null", "/proc/self/ns/net", "/etc/passwd"]), os.O_RDONLY)
        elif kind == 1:
            fd, other = os.pipe()
            self.fds.append(other)
        elif kind == 2:
            fd = os.pidfd_open(os.getpid())
        else:
            pair = socket.socketpair(socket.AF_UNIX, self.chance.choice([socket.SOCK_STREAM, socket.SOCK_SEQPACKET]))
            fd = pair[0].detach()
            self.fds.append(pair[1].detach())
        self.handles.append(fd)
        return GLib.Variant("h", len(self.handles) - 1)

    def value(self, signature, text=""):
        """A variant of the type; for a variant of any type, some type. text is what the documents say of it."""
        kind = signature[0]
        if kind in LIMITS:
            low, high = LIMITS[kind]
            number = self.chance.choice(NUMBERS) * self.chance.choice([1, 1, 1, -1])
            return GLib.Variant(kind, min(max(number, low), high))
        if kind == "b":
            return GLib.Variant("b", self.chance.random() < 0.5)
        if kind == "d":
            return GLib.Variant("d", self.chance.choice([0.0, -1.5, 1e300]))
        if kind == "s":
            return GLib.Variant("s", self.word(text))
        if kind == "o":
            return GLib.Variant("o", self.path())
        if kind == "g":
            return GLib.Variant("g", self.chance.choice(["", "s", "a{sv}"]))
        if kind == "h":
            return self.handle()
        if kind == "v":
            return GLib.Variant.new_variant(self.value(self.chance.choice(["s", "t", "b", "as", "a{sv}", "(qq)"])))
        if signature == "as" and self.chance.random() < 0.5:
            return GLib.Variant("as", self.chance.choice(COMMANDS))
        if signature == "a{sv}":
            return self.dictionary()
        if kind == "a":
            of = signature[1:]
            return GLib.Variant.new_array(GLib.VariantType(of), [self.value(of, text) for _ in range(self.chance.choice([0, 1, 1, 2, 5]))])
        of = [self.value(part) for part in split(signature[1:-1])]
        return GLib.Variant.new_tuple(*of) if kind == "(" else GLib.Variant.new_dict_entry(*of)

    def dictionary(self, names=(), text="", most=3):
        builder = GLib.VariantBuilder(GLib.VariantType("a{sv}"))
        for name in self.chance.sample(names or list(KEYS), min(len(names or KEYS), self.chance.randint(0, most))):
            value = self.value(KEYS.get(name, "s") if self.chance.random() < 0.95 else "t", about(name, text))
            builder.add_value(GLib.Variant.new_dict_entry(GLib.Variant("s", name), GLib.Variant.new_variant(value)))
        return builder.end()

    def config(self):
        """A configuration from which something can be made, more often than not, and that runs nothing of the host's."""
        builder = GLib.VariantBuilder(GLib.VariantType("a{sv}"))
        keys = options(rootfs=os.environ["CONBUS_TEST_ROOTFS"], command=self.chance.choice(COMMANDS))
        if self.chance.random() < 0.3:
            keys["health"] = GLib.Variant("a{sv}", options(test=["CMD"] + self.chance.choice(COMMANDS), interval_usec=self.chance.choice([0, 1000000])))
        for name in self.chance.sample(CREATION_KEYS, self.chance.choice([0, 0, 1, 2, 4])):
            keys.setdefault(name, self.value(KEYS[name]))
        if "rootfs-mode" in keys:
            keys["rootfs-mode"] = GLib.Variant("s", "overlay")
        for name, value in keys.items():
            builder.add_value(GLib.Variant.new_dict_entry(GLib.Variant("s", name), GLib.Variant.new_variant(value)))
        return builder.end()

    def path(self, interface=""):
        """One that has the interface, more often than not."""
        fitting = [path for path in sorted(self.paths) if re.search(OBJECTS.get(interface, ""), path)]
        if fitting and self.chance.random() < 0.95:
            return self.chance.choice(fitting)
        return self.chance.choice(["/io/conbus1", "/", "/io/conbus1/container/" + "0" * 64, "/container/c1", "/container/c2", "/container/nobody", "/io/conbus1/job/1", "/io/conbus1/job/99999999999999999999", "/io/conbus1/container"])

    def argument(self, argument, method):
        if argument.name == "config" and argument.type == "a{sv}":
            return self.config()
        if argument.type == "a{sv}":
            names = [name for name in re.findall(r"\b([a-z]+(?:-[a-z]+)*) \(", method.argument_texts[argument.name]) if name in KEYS]
            return self.dictionary(names if self.chance.random() < 0.95 else (), method.argument_texts[argument.name])
        if argument.name == "image":
            return GLib.Variant("s", "")
        if argument.name in ("name", "id", "container") and self.chance.random() < 0.7:
            return GLib.Variant("s", self.chance.choice(["", "c1", "c2", "c3", "c4"]))
        if argument.name == "command" and argument.type == "as":
            return GLib.Variant("as", self.chance.choice(COMMANDS))
        return self.value(argument.type, method.argument_texts[argument.name])

    def method(self):
        """Any; but few containers are made more, and many fewer."""
        containers = sum(path.count("/") == 4 and "/container/" in path for path in self.paths)
        if self.chance.random() > 0.05:
            interface = self.chance.choice(INTERFACES)
            return interface, self.chance.choice(interface.methods)
        wanted = "RemoveWith" if containers > CONTAINERS else self.chance.choice(["RunContainer", "StartWith", "Start", "Exec", "Queue"]) if containers > CONTAINERS / 2 else "CreateContainer"
        return next((interface, method) for interface in INTERFACES for method in interface.methods if method.name == wanted)

    def call(self):
        interface, method = self.method()
        self.handles = []
        arguments = [self.argument(argument, method) for argument in method.arguments]
        path = "/io/conbus1" if interface.name == MANAGER and self.chance.random() < 0.98 else self.path(interface.name)
        name = method.name
        if self.chance.random() < 0.05:
            interface, path = None, self.path()
            member = self.chance.choice([p.name for i in INTERFACES for p in i.properties])
            name = self.chance.choice(["Get", "Set", "GetAll"])
            arguments = [GLib.Variant("s", self.chance.choice(INTERFACES).name)] + [GLib.Variant("s", member)] * (name != "GetAll") + [GLib.Variant.new_variant(self.value("s"))] * (name == "Set")
        elif self.chance.random() < 0.02:
            arguments = arguments[1:] if self.chance.random() < 0.5 else arguments + [GLib.Variant("s", "")]
        text = f"{path} {interface.name if interface else PROPERTIES}.{name} {GLib.Variant.new_tuple(*arguments).print_(True)[:600]}"
        signature = "".join(argument.get_type_string() for argument in arguments)
        box = self.client.begin_variant(path, interface.name if interface else PROPERTIES, name, GLib.Variant.new_tuple(*arguments) if signature else None, self.handles)
        for fd in self.handles:
            os.close(fd)
        self.boxes.append((text, box, len(self.handles)))

    def look(self):
        """Takes what has been answered, and gives the number of calls that it was; a refusal must have a name and a sentence."""
        answered = [(text, box[0]) for text, box, _ in self.boxes if box]
        self.boxes = [call for call in self.boxes if not call[1]]
        for text, (answer, error) in answered:
            if error:
                if check_refusal(text, error).endswith(("UnknownObject", "NoSuchContainer")):
                    self.paths.discard(text.split()[0])
            else:
                self.learn(answer)
        return len(answered)

    def learn(self, answer):
        value, fds = answer
        for fd in fds.steal_fds() if fds else ():
            os.close(fd)
        self.paths.update(re.findall(r"/io/conbus1/(?:container/[0-9a-f]{64}(?:/process/\d+)?|job/\w+)", value.print_(False)))

    def on_the_way(self):
        """How many descriptors nobody has taken note of yet."""
        return sum(n for _, _, n in self.boxes)

    def close(self):
        self.client.connection.close_sync(None)
        for fd in self.fds:
            os.close(fd)


def check_refusal(text, error):
    name = Gio.DBusError.get_remote_error(error)
    Gio.DBusError.strip_remote_error(error)
    assert name in ERRORS, f"{text}: {name}: {error.message}"
    assert len(error.message) > 10 and "(null)" not in error.message, f"{text}: {name}: \"{error.message}\" is no sentence"
    return name


def test_random_calls(client):
    print(f"# seed {SEED}", flush=True)
    chance = random.Random(SEED)
    paths = set()
    callers = [Caller(chance, paths) for _ in range(4)]
    client.manager("ListContainers")
    pid, end, calls = client.service_pid(), time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        caller = chance.choice(callers)
        if len(caller.boxes) < PENDING:
            caller.call()
        elif chance.random() < 0.2 and not caller.on_the_way():
            caller.close()
            callers[callers.index(caller)] = Caller(chance, paths)
        calls += sum(each.look() for each in callers)
        GLib.MainContext.default().iteration(False)
    print(f"# {calls} calls answered", flush=True)
    remove_all(client)

    def all_answered():
        for caller in callers:
            caller.look()
        return not any(caller.boxes for caller in callers)

    try:
        wait_for(all_answered, "answer to each call", poll=True)
    except AssertionError:
        raise AssertionError("never answered:\n" + "\n".join(text for caller in callers for text, *_ in caller.boxes))
    for caller in callers:
        caller.close()
    assert client.service_pid() == pid, "the service was replaced by another"


if __name__ == "__main__":
    sys.exit(main())
