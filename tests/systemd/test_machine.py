#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""tests/machine itself: what it promises to those who test in it."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import boot, main, run, wait_for  # noqa: E402

KEPT = "/machine/kept"


def boot_id():
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def test_systemd_is_pid_1_and_has_booted(client):
    with open("/proc/1/comm", encoding="ascii") as file:
        assert file.read().strip() == "systemd"
    assert run("systemctl", "is-system-running").strip() == "running"
    with open("/proc/self/cgroup", encoding="ascii") as file:
        assert "conbus-test-1.scope" in file.read()


def test_polkit_and_logind_answer(client):
    run("busctl", "call", "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.DBus.Peer", "Ping")
    run("busctl", "call", "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.DBus.Peer", "Ping")


def test_user_managers_start(client):
    run("useradd", "--create-home", "tester")
    run("loginctl", "enable-linger", "tester")
    uid = run("id", "-u", "tester").strip()
    wait_for(lambda: run("systemctl", "is-active", f"user@{uid}.service", check=False).strip() == "active", "user manager", poll=True)


def test_files_and_boot_id_are_kept_for_the_next_boot(client):
    assert os.environ["CONBUS_MACHINE_BOOT"] == "1"
    with open(KEPT, "w", encoding="ascii") as file:
        file.write(boot_id())


@boot(2)
def test_the_second_boot_has_another_boot_id_and_the_same_files(client):
    assert os.environ["CONBUS_MACHINE_BOOT"] == "2"
    with open(KEPT, encoding="ascii") as file:
        first = file.read()
    assert len(first) == len(boot_id()) and first != boot_id()
    assert run("id", "-u", "tester").strip()


if __name__ == "__main__":
    main("machine")
