#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What follows from health when the run that it is about is over before its turn comes, and when that run ends while there is no service."""

import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import faults  # noqa: E402
from harness import CONTAINER, HEALTH, GLib, main, options, wait_for  # noqa: E402

SICK = "/sick"


def moody(client, **config):
    """Runs, and is well until its root file system has the file."""
    health = GLib.Variant("a{sv}", options(test=["CMD", "test", "!", "-e", SICK], interval_usec=20000, retries=GLib.Variant("u", 1), **config.pop("health")))
    path = client.create("moody", "sleep", "1000", health=health, stop_timeout_usec=0, restart_sec_usec=1000, **config)
    client.call(path, CONTAINER, "Start")
    wait_health(client, path, "healthy")
    return path


def wait_health(client, path, status):
    assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", [status], {})[0] == status


def set_sick(client, path, sick):
    file = f"/run/conbus/containers/{path.rsplit('/', 1)[1]}/rootfs{SICK}"
    if sick:
        open(file, "w", encoding="utf-8").close()
    else:
        os.unlink(file)


def end_while_paused(client, path):
    """The action of health waits behind a Pause, and PID 1 ends before that is over."""
    gate = faults.Gate("crun", "pause")
    pause = client.begin(path, CONTAINER, "Pause")
    gate.reached()
    set_sick(client, path, True)
    wait_health(client, path, "unhealthy")
    os.kill(client.get(path, "MainPID"), signal.SIGKILL)
    client.wait_signal("RunFinished")
    set_sick(client, path, False)
    gate.open()
    return pause


def test_a_restart_by_health_whose_run_is_over(client):
    path = moody(client, health={"on_failure": "restart"})
    end_while_paused(client, path)
    wait_for(lambda: client.get(path, "Run") == 2 and client.get(path, "State") == "running", "the restart", poll=True)
    wait_health(client, path, "healthy")
    assert not client.get(path, "StoppedByUser") and client.get(path, "Operation") == ""


def test_a_stop_by_health_whose_run_is_over(client):
    """It was to stay down, and it does."""
    path = moody(client, health={"on_failure": "stop"}, restart_policy="always")
    end_while_paused(client, path)
    wait_for(lambda: client.get(path, "StoppedByUser"), "the stop", poll=True)
    assert client.get(path, "State") == "exited" and client.get(path, "NextRestartTimestamp") == 0


def test_a_run_that_ends_while_there_is_no_service(client):
    path = moody(client, health={"on_failure": "none"})
    pid = client.get(path, "MainPID")
    client.kill_service(9)
    os.kill(pid, signal.SIGKILL)
    assert client.call(path, CONTAINER, "Wait")[:2] == (1, 137)
    wait_for(lambda: client.get(path, "State") == "exited" and client.get(path, "Status", HEALTH) == "stopped", "health stopped", poll=True)


def test_a_startup_check_after_a_pause(client):
    """The first result ends `suspended`, also that of a startup check which has not passed yet."""
    never = GLib.Variant("as", ["CMD", "false"])
    path = client.create("slow", "sleep", "1000", stop_timeout_usec=0, health=GLib.Variant("a{sv}", options(test=["CMD", "true"], startup_test=never, startup_interval_usec=20000)))
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "Pause")
    client.call(path, CONTAINER, "Resume")
    wait_for(lambda: client.get(path, "Status", HEALTH) == "starting", "health starting", poll=True)


if __name__ == "__main__":
    main(fakes=True)
