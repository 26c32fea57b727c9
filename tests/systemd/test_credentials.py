#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Credentials that systemd hands to the service, handed on to containers."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import CONTAINER, expect, main, options, run, wait_output  # noqa: E402

DROPIN = "/etc/systemd/system/conbus.service.d/credentials.conf"


def test_a_loaded_credential_reaches_the_payload(client):
    assert "LoadCredential" in expect("NoSuchPath", client.create, "x", "true", credentials=["token"])
    os.makedirs(os.path.dirname(DROPIN), exist_ok=True)
    with open("/etc/token", "w", encoding="ascii") as file:
        file.write("handed on\n")
    with open(DROPIN, "w", encoding="ascii") as file:
        file.write("[Service]\nLoadCredential=token:/etc/token\n")
    # As on a real machine, where systemd shares all mounts: it mounts credentials in a namespace of a child.
    run("mount", "--make-rshared", "/")
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "conbus.service")
    # A mount namespace of the service's own would be each payload's, and gone with the next restart.
    assert os.readlink(f"/proc/{client.service_pid()}/ns/mnt") == os.readlink("/proc/1/ns/mnt")
    path = client.create("box", "sh", "-c", "cat $CREDENTIALS_DIRECTORY/token; exec sleep 1000", credentials=["token"])
    client.call(path, CONTAINER, "Start")
    wait_output(path, "handed on")
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    os.unlink(DROPIN)
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "conbus.service")
    assert '"token"' in expect("NoSuchPath", client.call, path, CONTAINER, "Start")


if __name__ == "__main__":
    main("machine")
