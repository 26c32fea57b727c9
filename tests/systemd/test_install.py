#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""./bootstrap install and uninstall on a machine that has never seen conbus: what is there afterwards works, what is said is true, and what is removed is gone. No network: whatever packages it needs are here."""

import json
import os
import shutil
import subprocess
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [f"{SOURCE}/tests", f"{SOURCE}/introspection"]
from harness import CONTAINER, Skip, leftovers, main, options, run, wait_for  # noqa: E402
from messages import read_messages  # noqa: E402

BUILD = os.environ.get("CONBUS_BUILD_DIR", f"{SOURCE}/build")
SETTINGS = "/etc/conbus/conbus.conf"
MESSAGE = read_messages(f"{SOURCE}/introspection/messages.txt")[0][1]
LIST = ("busctl", "call", "io.conbus1", "/io/conbus1", "io.conbus1.Manager", "ListContainers")


def bootstrap(word):
    done = subprocess.run(["./bootstrap", word], cwd=SOURCE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print("".join(f"# {line}\n" for line in done.stdout.splitlines()), end="", flush=True)
    return done.returncode, done.stdout


def make_writable(directory):
    """The tree under test is read-only here; what is written to it, a log of the installation, stays in the machine."""
    layer = f"/run/layers/{os.path.basename(directory)}"
    os.makedirs(f"{layer}/upper")
    os.makedirs(f"{layer}/work")
    run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={directory},upperdir={layer}/upper,workdir={layer}/work", directory)


def files():
    """What is installed, as meson knows it."""
    return sorted(set(json.loads(run("meson", "introspect", BUILD, "--installed")).values()))


def unit_state(name):
    return run("systemctl", "show", "conbus.service", f"--property={name}", "--value").strip()


def take_away():
    """tests/machine has installed it in its own way, which is taken back by hand."""
    run("systemctl", "stop", "conbus.service")
    for path in files():
        shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    run("systemctl", "daemon-reload")
    run("busctl", "--quiet", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "ReloadConfig")
    assert not is_there()


def is_there():
    return unit_state("LoadState") != "not-found" or run(*LIST, check=False, stderr=subprocess.DEVNULL) != ""


def need_meson():
    if not shutil.which("meson"):
        raise Skip("meson is not installed in this machine")


def test_it_is_installed_and_works(client):
    need_meson()
    make_writable(SOURCE)
    make_writable(BUILD)
    take_away()
    status, said = bootstrap("install")
    assert status == 0 and "./bootstrap uninstall" in said and "installing" not in said.split("\n", 1)[0]
    assert all(os.path.exists(path) for path in files())
    assert unit_state("LoadState") == "loaded" and unit_state("ActiveState") == "inactive"
    assert unit_state("UnitFileState") == unit_state("UnitFilePreset"), "the site's presets decide what happens at boot"
    assert run(*LIST) == "a(ssssto) 0\n" and unit_state("ActiveState") == "active"
    assert MESSAGE in run("journalctl", "--list-catalog")
    path = client.create("first", "sleep", "1000")
    client.call(path, CONTAINER, "Start")


def test_it_is_installed_over_itself(client):
    need_meson()
    path = client.create("lasting", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    pid, service = client.get(path, "MainPID"), client.service_pid()
    run("systemctl", "disable", "conbus.service")
    with open(SETTINGS, "a", encoding="ascii") as file:
        file.write("WaitsPerCaller=77\n")
    assert bootstrap("install")[0] == 0
    assert client.get(path, "MainPID") == pid and client.service_pid() != service
    assert unit_state("UnitFileState") == "disabled", "what the site has decided since stays"
    with open(SETTINGS, encoding="ascii") as file:
        assert file.read().endswith("WaitsPerCaller=77\n")
    assert os.path.exists(f"{SETTINGS}.new")
    os.unlink(f"{SETTINGS}.new")
    status, said = bootstrap("uninstall")
    assert status == 1 and f"conbus-{path.rsplit('/', 1)[1]}.scope" in said and client.get(path, "State") == "running"
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))


def test_it_is_removed(client):
    need_meson()
    wait_for(lambda: not leftovers(), "the scopes to go", poll=True)
    assert bootstrap("uninstall")[0] == 0
    assert [path for path in files() if os.path.exists(path)] == [SETTINGS], "changed settings stay, and nothing else"
    assert not is_there()
    assert run("systemctl", "--failed", "--plain", "--no-legend") == ""
    assert MESSAGE not in run("journalctl", "--list-catalog")
    with open(SETTINGS, encoding="ascii") as file:
        assert file.read().endswith("WaitsPerCaller=77\n")
    os.unlink(SETTINGS)
    assert os.path.exists("/var/lib/conbus")
    bootstrap("install")  # for the end of this file


if __name__ == "__main__":
    main("machine")
