#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the README shows of a whole machine: scopes, and who may do what."""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import CONTAINER, main, options, run  # noqa: E402
from readme import Reader, read, steps  # noqa: E402

USER = "conbus-reader"
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "bash", "-c"]


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text + "\n")


def test_at_home_in_systemd(client):
    Reader({"#": ["bash", "-c"]}).follow("At home in systemd")
    client.call("/container/web", CONTAINER, "RemoveWith", "a{sv}", options(force=True))


def test_who_may_do_what(client):
    """The user of the examples is in the group web and, as if it sat at the machine, has create-from-profile."""
    run("groupadd", "web")
    run("useradd", "--groups", "web", USER)
    for name in ("web", "db"):
        client.create(name, "sleep", "1000", labels={"team": name})
    rule, typed, profile, made = read("Who may do what")
    write("/etc/polkit-1/rules.d/50-web.rules", rule)
    write("/etc/polkit-1/rules.d/60-seat.rules", f'polkit.addRule(function(action, subject) {{ if (action.id == "io.conbus1.create-from-profile" && subject.user == "{USER}") return polkit.Result.YES; }});')
    write("/etc/conbus/profiles.d/web.conf", profile)
    shutil.copytree(os.environ["CONBUS_TEST_ROOTFS"], "/srv/web", symlinks=True)
    run("systemctl", "restart", "polkit.service")
    reader = Reader({"$": AS_USER})
    for block in (typed, made):
        for step in steps(block):
            reader.type(*step)
    assert subprocess.run([*AS_USER, "busctl call io.conbus1 /container/web io.conbus1.Container Stop"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).returncode != 0, "the rule is for restart alone"


if __name__ == "__main__":
    main("machine")
