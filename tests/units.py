# SPDX-License-Identifier: LGPL-2.1-or-later
"""conbus-container@NAME.service in a test of the machine: drop-ins, and what systemd and the bus say of one."""

import os
import shutil
import subprocess

from harness import CONTAINER, DEADLINE, run, wait_for, wait_output

HEEDS = ("sh", "-c", "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done")
DROPINS = "/run/systemd/system"


def unit_of(name):
    return f"conbus-container@{name}.service"


def show(unit, *names):
    """One value, or a list of several."""
    lines = run("systemctl", "show", unit, *[f"--property={name}" for name in names]).splitlines()
    values = dict(line.split("=", 1) for line in lines)
    return values[names[0]] if len(names) == 1 else [values[name] for name in names]


def systemctl(*words):
    """Exit status and what was said."""
    done = subprocess.run(["systemctl", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=4 * DEADLINE, check=False)
    return done.returncode, done.stdout


def drop_in(unit, text):
    """A drop-in for one unit, or none with an empty text."""
    directory = f"{DROPINS}/{unit}.d"
    if text:
        os.makedirs(directory, exist_ok=True)
        with open(f"{directory}/test.conf", "w", encoding="ascii") as file:
            file.write(text)
    else:
        shutil.rmtree(directory, ignore_errors=True)
    run("systemctl", "daemon-reload")


def managed(client, name, *command, service="", **config):
    """A container that runs because its unit was started: its path and its unit. service: lines of [Service] for a drop-in."""
    path, unit = client.create(name, *(command or HEEDS), **config), unit_of(name)
    drop_in(unit, f"[Service]\n{service}\n" if service else "")
    status, said = systemctl("start", unit)
    assert status == 0, said + run("journalctl", "--no-pager", "-n", "30", "-u", unit)
    if not command:
        wait_output(path, "up")
    return path, unit


def owner(client, path):
    return client.get(path, "ManagedBy")


def wait_state(unit, *states):
    wait_for(lambda: show(unit, "ActiveState") in states, f"{unit} {' or '.join(states)}", poll=True)
    return show(unit, "ActiveState")


def wait_free(client, path):
    """Until no unit owns it any more."""
    wait_for(lambda: owner(client, path) == "", "end of the unit's charge")


def results(unit):
    """How the main process has ended (1 exited, 2 killed), with which number, and what systemd makes of it."""
    return show(unit, "ExecMainCode", "ExecMainStatus", "Result")


def journal(unit):
    """What there is of a unit since it was last started."""
    text = run("journalctl", "--no-pager", "-o", "cat", "-b", "-u", unit)
    return text[max(text.rfind(f"Starting {unit}"), 0) :]


def has_ended_well(unit):
    """Of a unit that nothing refers to systemd keeps no more than this."""
    return f"{unit}: Deactivated successfully." in journal(unit)


def end_of(client, path, number=0):
    return client.call(path, CONTAINER, "GetRun", "t", number)[0]
