# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tests of the running service. A test file imports this, defines functions test_*, and calls main(): the file is run again inside tests/sandbox, each function is one TAP case, containers are removed between cases,
and at the end the service must leave without a complaint on its log and without a process, mount or control group left. main("machine") does the same inside tests/machine, where systemd is PID 1; there a function marked
@boot(2) runs after the machine has been rebooted, and containers are not removed before the end. main("vm") does it in tests/vm, a machine whose power can be cut.

Arguments of a test file: words that the names of the tests to run contain. With CONBUS_SANDBOX_FAKES=1 the same files run on tests/fakes instead of crun and conmon."""

import contextlib
import glob
import inspect
import os
import re
import select
import signal
import subprocess
import sys
import time

import gi

gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

SLOWNESS = int(os.environ.get("CONBUS_TEST_SLOWNESS", "1"))  # how many times as slow as usual the machine is, roughly
DEADLINE = 60 * SLOWNESS  # seconds for anything that is waited for
SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NAME, MANAGER, CONTAINER, HEALTH, JOB, PROCESS = "io.conbus1", "io.conbus1.Manager", "io.conbus1.Container", "io.conbus1.Health", "io.conbus1.Job", "io.conbus1.Process"
FAULT_PLAN = "/run/conbus/faults"  # of tests/fakes, see tests/faults.py
COMPLAINTS = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "CRITICAL", "GLib-WARNING", "Assertion")


class Error(Exception):
    """A D-Bus error: name without the common prefix, message."""

    def __init__(self, name, message):
        super().__init__(f"{name}: {message}")
        self.name = name.removeprefix("io.conbus1.Error.").removeprefix("org.freedesktop.DBus.Error.")
        self.message = message


class Skip(Exception):
    pass


def kernel_tells_status():
    """Whether it still knows how a process has ended that is nobody's child any more (PIDFD_GET_INFO, Linux 6.15)."""
    return [int(word) for word in os.uname().release.split("-")[0].split(".")[:2]] >= [6, 15]


def on_real_runtime(function):
    """Marks a test of what crun makes (namespaces, mounts); on the fakes it is not run."""
    function.on_real_runtime = True
    return function


def variant(signature, *values):
    return GLib.Variant(f"({signature})", values)


def options(**keys):
    """a{sv} from Python values with their usual types; a GLib.Variant stands for itself. Underscores are dashes."""
    result = {}
    for key, value in keys.items():
        if isinstance(value, bool):
            value = GLib.Variant("b", value)
        elif isinstance(value, int):
            value = GLib.Variant("t", value)
        elif isinstance(value, str):
            value = GLib.Variant("s", value)
        elif isinstance(value, dict):
            value = GLib.Variant("a{ss}", value)
        elif isinstance(value, (list, tuple)):
            value = GLib.Variant("as", list(value))
        result[key.replace("_", "-")] = value
    return result


class Client:
    """One connection to the private bus. Without signals it gets answers alone."""

    def __init__(self, signals=True):
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        self.connection = Gio.DBusConnection.new_for_address_sync(os.environ["DBUS_SYSTEM_BUS_ADDRESS"], flags, None, None)
        self.signals = []
        if signals:
            self.subscription = self.connection.signal_subscribe(NAME, None, None, None, None, Gio.DBusSignalFlags.NONE, self._on_signal)

    def ignore_signals(self):
        self.connection.signal_unsubscribe(self.subscription)

    def _on_signal(self, connection, sender, path, interface, member, arguments):
        self.signals.append((path, interface, member, arguments.unpack()))

    def begin(self, path, interface, method, signature="", *values, timeout=DEADLINE, fds=()):
        """Sends a call; finish() of the result waits for its answer. A handle among the values is an index into fds."""
        return self.begin_variant(path, interface, method, variant(signature, *values) if signature else None, fds, timeout)

    def begin_input(self, path, interface, data, timeout=DEADLINE, **keys):
        """As begin, for WriteInput, whose bytes would be slow one by one."""
        data = GLib.Variant.new_from_bytes(GLib.VariantType("ay"), GLib.Bytes.new(data), True)
        return self.begin_variant(path, interface, "WriteInput", GLib.Variant.new_tuple(data, GLib.Variant("a{sv}", options(**keys))), timeout=timeout)

    def begin_variant(self, path, interface, method, arguments, fds=(), timeout=DEADLINE):
        """As begin, with the arguments as a tuple, or None."""
        box = []
        fd_list = Gio.UnixFDList() if fds else None
        for fd in fds:
            fd_list.append(fd)

        def done(connection, result):
            try:
                box.append((connection.call_with_unix_fd_list_finish(result), None))
            except GLib.Error as error:
                box.append((None, error))

        self.connection.call_with_unix_fd_list(NAME, path, interface, method, arguments, None, Gio.DBusCallFlags.NONE, int(timeout * 1000), fd_list, None, done)
        return box

    def finish(self, box):
        wait_for(lambda: box, "an answer")
        answer, error = box[0]
        if error:
            name = Gio.DBusError.get_remote_error(error) or error.domain
            Gio.DBusError.strip_remote_error(error)
            raise Error(name, error.message)
        value, self.fds = answer
        return value.unpack()

    def call(self, path, interface, method, signature="", *values, timeout=DEADLINE, fds=()):
        return self.finish(self.begin(path, interface, method, signature, *values, timeout=timeout, fds=fds))

    def manager(self, method, signature="", *values, **keys):
        return self.call("/io/conbus1", MANAGER, method, signature, *values, **keys)

    def get(self, path, name, interface=CONTAINER):
        return self.call(path, "org.freedesktop.DBus.Properties", "Get", "ss", interface, name)[0]

    def create(self, name, *command, **config):
        config.setdefault("rootfs", os.environ["CONBUS_TEST_ROOTFS"])
        if command:
            config["command"] = list(command)
        return self.manager("CreateContainer", "ssa{sv}", name, "", options(**config))[0]

    def signals_of(self, member):
        return [arguments for _, _, name, arguments in self.signals if name == member]

    def wait_signal(self, member, count=1):
        wait_for(lambda: len(self.signals_of(member)) >= count, f"{count} signals {member}")
        return self.signals_of(member)

    def service_pid(self):
        reply = self.connection.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixProcessID", GLib.Variant("(s)", (NAME,)), None, 0, -1, None)
        return reply.unpack()[0]

    def configure(self, text):
        """The text of conbus.conf from now on, told to the service by SIGHUP; "" for none."""
        self.manager("ListContainers")
        with open(os.environ["CONBUS_CONFIG"], "w", encoding="utf-8") as file:
            file.write(text)
        reloads = len(self.signals_of("Reloaded"))
        os.kill(self.service_pid(), signal.SIGHUP)
        self.wait_signal("Reloaded", reloads + 1)

    @contextlib.contextmanager
    def settings(self, **keys):
        """Settings of the section [Service] of conbus.conf for a while, told to the service by SIGHUP."""
        self.configure("\n".join(["[Service]", *(f"{key}={value}" for key, value in keys.items())]))
        try:
            yield
        finally:
            self.configure("")

    def environment(self, **variables):
        """For whatever service the bus activates from now on: by a call, or by an exit command of conmon."""
        arguments = GLib.Variant("(a{ss})", (variables,))
        self.connection.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "UpdateActivationEnvironment", arguments, None, 0, -1, None)

    def restart_with(self, **variables):
        """A new service, with these variables in its environment."""
        self.environment(**variables)
        if self.name_owner():
            self.kill_service(15)
        self.manager("ListContainers")

    def kill_service(self, signal=9):
        """Ends the service and waits until its process is gone, with whatever it has to say at its end, and its name is free or another's; the next call activates it."""
        owner, pid = self.name_owner(), self.service_pid()
        pidfd = os.pidfd_open(pid)
        os.kill(pid, signal)
        wait_for(lambda: select.select([pidfd], [], [], 0)[0] and self.name_owner() != owner, "the service's end", poll=True)
        os.close(pidfd)

    def name_owner(self):
        """The unique name of the service; "" when it does not run."""
        try:
            return self.connection.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner", GLib.Variant("(s)", (NAME,)), None, 0, -1, None).unpack()[0]
        except GLib.Error:
            return ""


def wait_for(condition, what, poll=False, deadline=DEADLINE):
    """Runs the main loop until the condition holds. With poll the condition asks for itself and there is no event to wait for: only for ends of processes."""
    context = GLib.MainContext.default()
    end = time.monotonic() + deadline
    timer = GLib.timeout_add(5 if poll else 200, lambda: True)
    try:
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"no {what} within {deadline} s")
            context.iteration(True)
    finally:
        GLib.source_remove(timer)


def wait_output(path, text):
    """Waits until the container has written the text: its payload has come so far."""
    log = f"/var/lib/conbus/containers/{path.rsplit('/', 1)[1]}/log"
    wait_for(lambda: os.path.exists(log) and text in open(log, encoding="utf-8", errors="replace").read(), f"output \"{text}\"", poll=True)


def expect(name, function, *arguments, **keys):
    """The call must fail with this error; its message is returned."""
    try:
        function(*arguments, **keys)
    except Error as error:
        assert error.name == name, f"expected {name}, got {error}"
        return error.message
    raise AssertionError(f"expected {name}, but the call succeeded")


def remove_all(client):
    for _, name, _, _, _, path in client.manager("ListContainers")[0]:
        try:
            client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, dependents=True, timeout_usec=0))
        except Error as error:
            if error.name not in ("UnknownObject", "UnknownMethod", "NoSuchContainer", "Removed"):
                raise


def leftovers():
    found = []
    with open("/proc/mounts", encoding="utf-8") as mounts:
        found += [line.split()[1] for line in mounts if "/containers/" in line and "conbus" in line]
    if in_machine():
        found += run("systemctl", "list-units", "--all", "--plain", "--no-legend", "conbus-*.scope").splitlines()
        found = [line for line in found if not line.startswith("conbus-test-")]
    for top in [".", *os.listdir("/sys/fs/cgroup")]:
        found += glob.glob(f"/sys/fs/cgroup/{top}/**/conbus-{'[0-9a-f]' * 64}.scope", recursive=True)
        group = f"/sys/fs/cgroup/{top}/conbus"
        if os.path.isdir(group):
            found += [f"{group}/{name}" for name in os.listdir(group) if os.path.isdir(f"{group}/{name}") and not name.startswith("monitor-")]
    return found


def in_machine():
    return "CONBUS_MACHINE" in os.environ


def run(*words, check=True, **keys):
    """A program's standard output; it must succeed."""
    return subprocess.run(words, check=check, stdout=subprocess.PIPE, encoding="utf-8", errors="replace", **keys).stdout


def service_log():
    if in_machine():
        return run("journalctl", "--no-pager", "-o", "cat", "-b", "-u", "conbus.service")
    with open(os.environ["CONBUS_LOG"], encoding="utf-8", errors="replace") as log:
        return log.read()


def is_swept():
    """In control groups of version 1 without a release agent, as tests/machine has them, nobody tells systemd that a group has become empty: what had ended before that stays listed, as inactive, until systemd looks at all units again."""
    left = leftovers()
    if any(" loaded inactive dead " in line for line in left) and not os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        run("systemctl", "daemon-reload")
    return not left


def check_end(client):
    if in_machine():
        run("systemctl", "stop", "conbus.service")
    else:
        client.kill_service(15)
    log = service_log()
    complaints = [line for line in log.splitlines() if any(word in line for word in COMPLAINTS)]
    assert not complaints, "the service complained: " + "\n".join(complaints[:5])
    if "valgrind" in os.environ.get("CONBUS_WRAPPER", ""):
        summaries = re.findall(r"ERROR SUMMARY: (\d+) errors", log)
        assert summaries, "valgrind has not reported"
        reports = re.findall(r"==\d+== .*", log)
        assert set(summaries) == {"0"}, "valgrind complained:\n" + "\n".join(reports[:200])
    if in_machine():  # systemd ends its jobs after the service has left
        with contextlib.suppress(AssertionError):  # what is still there says more
            wait_for(is_swept, "end of the scopes", poll=True)
    left = leftovers()
    assert not left, f"left behind: {left}"


def check_faults():
    """Every fault that was ordered of the fakes has struck."""
    if os.path.exists(FAULT_PLAN):
        with open(FAULT_PLAN, encoding="utf-8") as plan:
            left = plan.read()
        os.unlink(FAULT_PLAN)
        assert not left, f"ordered, but never reached: {left}"


def boot(number):
    """Marks a test of a later boot of tests/machine."""

    def mark(function):
        function.boot = number
        return function

    return mark


def run_test(number, name, function, client, keep=False):
    client.signals.clear()
    try:
        function(client)
        check_faults()
        if not keep:
            remove_all(client)
        print(f"ok {number} {name}", flush=True)
        return True
    except Skip as skip:
        print(f"ok {number} {name} # SKIP {skip}", flush=True)
        return True
    except BaseException as failure:  # noqa: B902
        import traceback

        for line in traceback.format_exc().splitlines():
            print(f"# {line}", flush=True)
        print(f"not ok {number} {name}", flush=True)
        if isinstance(failure, KeyboardInterrupt):
            raise
        try:
            if os.path.exists(FAULT_PLAN):
                os.unlink(FAULT_PLAN)
            if not keep:
                remove_all(client)
        except BaseException as error:  # noqa: B902
            print(f"# cleaning up: {error}", flush=True)
        return False


def find_tests():
    words = sys.argv[1:]
    module = sys.modules["__main__"]
    tests = [(name, function) for name, function in inspect.getmembers(module, inspect.isfunction) if name.startswith("test_") and (not words or any(word in name for word in words))]
    fakes = os.environ.get("CONBUS_SANDBOX_FAKES") == "1"
    tests = [(name, function) for name, function in tests if not (fakes and hasattr(function, "on_real_runtime"))]
    tests.sort(key=lambda test: (getattr(test[1], "boot", 1), test[1].__code__.co_firstlineno))
    return tests


def next_boot(passed, until_power_cut, client):
    """A failure of this boot is remembered for the last one. Does not return: the machine takes this process with it."""
    if not passed:
        with open(os.environ["CONBUS_MACHINE"] + "/failed", "w", encoding="utf-8") as file:
            os.fsync(file.fileno())
    if until_power_cut:
        until_power_cut(client)
    else:
        run("systemctl", "reboot")
    wait_for(lambda: False, "end of the machine")


def cut_power(seconds):
    """In tests/vm: the machine has no power any more after that time, wherever it is then."""
    print(f"vm: cut {int(seconds * 1000)}", flush=True)


def main(place="sandbox", fakes=False, until_power_cut=None):
    """place: tests/sandbox, tests/machine or tests/vm. fakes: whatever the environment says, the file needs tests/fakes. until_power_cut: called at the end of each boot but the last, instead of a reboot; it calls cut_power() and goes on until it is cut off."""
    if fakes:
        os.environ["CONBUS_SANDBOX_FAKES"] = "1"
    if f"CONBUS_{place.upper()}" not in os.environ:
        os.execv(f"{SOURCE}/tests/{place}", [f"{SOURCE}/tests/{place}", *os.environ.get("CONBUS_PLACE_OPTIONS", "").split(), os.path.abspath(sys.argv[0]), *sys.argv[1:]])
    tests = find_tests()
    this_boot = int(os.environ.get("CONBUS_MACHINE_BOOT", "1"))
    boots = max([getattr(function, "boot", 1) for _, function in tests], default=1)
    if this_boot == 1:
        print(f"1..{len(tests) + 1}", flush=True)
    client = Client()
    mine = [(i + 1, name, function) for i, (name, function) in enumerate(tests) if getattr(function, "boot", 1) == this_boot]
    passed = all([run_test(number, name, function, client, keep=boots > 1) for number, name, function in mine])
    if this_boot < boots:
        next_boot(passed, until_power_cut, client)
    if boots > 1:
        remove_all(client)
    passed = run_test(len(tests) + 1, "the_service_leaves_nothing_behind", lambda _: check_end(client), client, keep=True) and passed
    passed = passed and not os.path.exists(os.environ.get("CONBUS_MACHINE", "/nonexistent") + "/failed")
    if not passed and not in_machine():
        subprocess.run(["tail", "-n", "30", os.environ["CONBUS_LOG"]], stdout=sys.stderr, check=False)
    sys.exit(0 if passed else 1)
