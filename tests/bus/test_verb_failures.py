#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Verbs of crun that fail, hang or die once a container has been made, and programs that are not there: start, pause, resume, state, exec, delete."""

import contextlib
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import faults  # noqa: E402
from census import Census  # noqa: E402
from harness import CONTAINER, HEALTH, Error, GLib, expect, main, options, service_log, wait_for  # noqa: E402

ERROR = "io.conbus1.Error."


def running(client, name="web", *command, **config):
    path = client.create(name, *(command or ("sleep", "1000")), stop_timeout_usec=0, **config)
    client.call(path, CONTAINER, "Start")
    return path


def remove(client, path):
    client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))


@contextlib.contextmanager
def missing(*variables):
    """Programs that are not installed for a while: a file that nobody may execute lies over them."""
    empty = os.environ["CONBUS_SANDBOX"] + "/nothing"
    with open(empty, "w", encoding="ascii"):
        os.chmod(empty, 0o644)
    paths = [os.environ[variable] for variable in variables]
    for path in paths:
        subprocess.run(["mount", "--bind", empty, path], check=True)
    try:
        yield
    finally:
        for path in paths:
            subprocess.run(["umount", path], check=True)


def failed_start(client, path, error, code, run=1, state="created"):
    message = expect(error, client.call, path, CONTAINER, "Start")
    assert (client.get(path, "State"), client.get(path, "Result"), client.get(path, "ExitCode")) == (state, "start-failed", code)
    assert client.get(path, "LastErrorName") == ERROR + error and client.get(path, "MainPID") == 0
    record = client.call(path, CONTAINER, "GetRun", "t", run)[0]
    assert (record["result"], record["exit-code"]) == ("start-failed", code), record
    assert client.call(path, CONTAINER, "Wait") == (run, code, 0, "start-failed")
    return message


def check_start(client, order, error, code=125, words="crun start"):
    census = Census(client)
    path = client.create("web", "sleep", "1000")
    faults.order(*order)
    message = failed_start(client, path, error, code)
    assert words in message, message
    assert client.call(path, CONTAINER, "Start") == (2,)
    remove(client, path)
    census.check()


def test_crun_start_fails(client):
    check_start(client, ("crun", "start", "fail", "not today"), "RuntimeFailed", words="not today")
    check_start(client, ("crun", "start", "fail", "executable file `x` not found in $PATH: No such file or directory"), "RuntimeCommandNotFound", 127)
    check_start(client, ("crun", "start", "fail", "open executable: Permission denied"), "RuntimePermissionDenied", 126)
    check_start(client, ("crun", "start", "silent"), "RuntimeFailed", words="without a word")
    check_start(client, ("crun", "start", "die", 9), "RuntimeFailed")


def test_crun_start_fails_after_the_payload_runs(client):
    check_start(client, ("crun", "start-done", "fail", "not today"), "RuntimeFailed", words="not today")
    check_start(client, ("crun", "start-done", "die", 11), "RuntimeFailed")


def test_crun_start_hangs(client):
    with client.settings(RuntimeUSec=2000000):
        for point in ("start", "start-done"):
            census = Census(client)
            path = client.create("web", "sleep", "1000")
            faults.order("crun", point, "hang")
            assert "did not end in 2 s" in failed_start(client, path, "RuntimeFailed", 125)
            client.call(path, CONTAINER, "Remove")
            census.check()


def test_a_start_that_fails_returns_to_where_it_began(client):
    census = Census(client)
    path = client.create("web", "sh", "-c", "exit 3")
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    faults.order("crun", "start", "fail", "no")
    failed_start(client, path, "RuntimeFailed", 125, run=2, state="exited")
    client.call(path, CONTAINER, "Init")
    faults.order("crun", "start", "fail", "no")
    failed_start(client, path, "RuntimeFailed", 125, run=3, state="exited")
    client.call(path, CONTAINER, "Remove")
    census.check()


def test_pid_1_is_killed_before_it_is_started(client):
    census = Census(client)
    path = client.create("web", "sleep", "1000")
    gate = faults.Gate("crun", "start")
    starting = client.begin(path, CONTAINER, "Start")
    gate.reached()
    pid = client.get(path, "MainPID")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "its end", poll=True)
    gate.open()
    assert "killed before it was started" in expect("NotRunning", client.finish, starting)
    assert client.call(path, CONTAINER, "Wait") == (1, 137, 9, "never-ran") and client.get(path, "LastErrorName") == ""
    remove(client, path)
    census.check()


def test_programs_that_are_not_installed(client):
    census = Census(client)
    path = client.create("web", "sleep", "1000")
    for variable, run in (("CONBUS_CRUN", 1), ("CONBUS_CONMON", 2)):
        with missing(variable):
            message = failed_start(client, path, "HelperMissing", 125, run)
            assert os.environ[variable] in message, message
    with missing("CONBUS_CRUN", "CONBUS_CONMON"):
        fresh = client.create("fresh", "sleep", "1000")
        client.call(fresh, CONTAINER, "Remove")
    assert client.call(path, CONTAINER, "Start") == (3,)
    with missing("CONBUS_CRUN"):
        expect("HelperMissing", client.call, path, CONTAINER, "Pause")
        expect("HelperMissing", client.call, path, CONTAINER, "Sync")
        assert client.get(path, "State") == "running"
        expect("HelperMissing", client.call, path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
        assert client.get(path, "State") == "stopped" and client.call(path, CONTAINER, "Wait") == (3, 137, 9, "signal")
    client.call(path, CONTAINER, "Cleanup", "a{sv}", {})
    assert client.get(path, "State") == "exited"
    client.call(path, CONTAINER, "Remove")
    census.check()


def frozen(client, path):
    with open(f"/proc/{client.get(path, 'MainPID')}/cgroup", encoding="ascii") as file:
        lines = dict(line.strip().split(":", 2)[1:] for line in file)
    name = f"/sys/fs/cgroup/freezer{lines['freezer']}/freezer.state" if "freezer" in lines else f"/sys/fs/cgroup{lines['']}/cgroup.freeze"
    with open(name, encoding="ascii") as file:
        return file.read().strip() in ("FROZEN", "FREEZING", "1")


def test_pause_fails(client):
    census = Census(client)
    path = running(client)
    for order in (("fail", "too warm"), ("silent",), ("die", 9)):
        faults.order("crun", "pause", *order)
        expect("RuntimeFailed", client.call, path, CONTAINER, "Pause")
        assert client.get(path, "State") == "running" and not frozen(client, path)
    client.call(path, CONTAINER, "Pause")
    assert client.get(path, "State") == "paused" and frozen(client, path)
    for order in (("fail", "too cold"), ("silent",), ("die", 9)):
        faults.order("crun", "resume", *order)
        expect("RuntimeFailed", client.call, path, CONTAINER, "Resume")
        assert client.get(path, "State") == "paused" and frozen(client, path)
    client.call(path, CONTAINER, "Resume")
    assert client.get(path, "State") == "running" and not frozen(client, path)
    remove(client, path)
    census.check()


def test_crun_fails_after_it_has_frozen_or_thawed(client):
    path = running(client)
    faults.order("crun", "pause-done", "fail", "too warm")
    expect("RuntimeFailed", client.call, path, CONTAINER, "Pause")
    assert client.get(path, "State") == "running" and not frozen(client, path), "what failed is undone"
    client.call(path, CONTAINER, "Pause")
    faults.order("crun", "resume-done", "die", 9)
    client.call(path, CONTAINER, "Resume")
    assert client.get(path, "State") == "running" and not frozen(client, path), "what was asked is done"


def test_pause_hangs(client):
    path = running(client)
    with client.settings(RuntimeUSec=2000000):
        faults.order("crun", "pause", "hang")
        expect("RuntimeFailed", client.call, path, CONTAINER, "Pause")
        assert client.get(path, "State") == "running" and not frozen(client, path)
    client.call(path, CONTAINER, "Pause")


def test_pause_of_one_that_has_ended(client):
    """PID 1 is dead, but conmon has not said yet that all output has been drained."""
    path = running(client)
    gate = faults.Gate("conmon", "ended")
    os.kill(client.get(path, "MainPID"), signal.SIGKILL)
    gate.reached()
    expect("NotRunning", client.call, path, CONTAINER, "Pause")
    gate.open()
    client.wait_signal("RunFinished")


def test_crun_state_contradicts(client):
    path = running(client)
    for order in (("say", "garbage"), ("say", "{}"), ("say", "[]"), ("fail", "error opening file `status`: No such file or directory")):
        faults.order("crun", "state", *order)
        assert client.call(path, CONTAINER, "Sync") == ("running", "unknown"), order
        assert client.call(path, CONTAINER, "Sync") == ("unknown", "running"), order
    pid = client.get(path, "MainPID")
    faults.order("crun", "state", "say", '{"status": "stopped", "pid": 0}')
    assert client.call(path, CONTAINER, "Sync")[0] == "running" and client.get(path, "MainPID") == pid
    client.call(path, CONTAINER, "Sync")
    faults.order("crun", "state", "fail", "no")
    client.call(path, CONTAINER, "Sync")
    assert client.call(path, CONTAINER, "Stop") == (1,), "an unknown container can be stopped"
    assert client.get(path, "State") == "exited" and client.call(path, CONTAINER, "Wait") == (1, 137, 9, "signal")


def test_delete_fails_at_a_stop(client):
    census = Census(client)
    for order in (("fail", "cannot delete"), ("silent",), ("die", 9)):
        path = running(client)
        faults.order("crun", "delete", *order)
        expect("RuntimeFailed", client.call, path, CONTAINER, "Stop")
        assert client.call(path, CONTAINER, "Wait") == (1, 137, 9, "signal"), "the end is recorded whatever the cleanup does"
        assert client.get(path, "LastErrorName") == ERROR + "RuntimeFailed"
        client.call(path, CONTAINER, "Cleanup", "a{sv}", {})
        assert client.get(path, "State") == "exited"
        client.call(path, CONTAINER, "Remove")
        census.check()


def test_the_automatic_cleanup_is_tried_again(client):
    census = Census(client)
    faults.order("crun", "delete", "fail", "cannot delete")
    faults.order("crun", "delete", "die", 9, nth=3)
    path = running(client, "web", "sh", "-c", "exit 3", restart_policy="on-failure", restart_max=GLib.Variant("u", 1), restart_sec_usec=1000)
    assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(final=True))[:3] == ("stopped", 2, 3)
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    client.call(path, CONTAINER, "Remove")
    census.check()


def test_a_delete_that_always_fails_is_not_tried_all_the_time(client):
    census = Census(client)
    faults.order("crun", "delete", "fail", "cannot delete", nth="*")
    path = running(client, "web", "sh", "-c", "exit 3")
    client.call(path, CONTAINER, "Wait")
    wait_for(lambda: client.get(path, "State") == "stopped" and client.get(path, "Operation") == "", "rest", poll=True)
    expect("RuntimeFailed", client.call, path, CONTAINER, "Cleanup", "a{sv}", {})
    expect("RuntimeFailed", client.call, path, CONTAINER, "Start")
    faults.cancel()
    assert client.call(path, CONTAINER, "Start") == (2,), "a start repairs it"
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    client.call(path, CONTAINER, "Remove")
    census.check()


def test_delete_fails_at_a_removal(client):
    census = Census(client)
    path = running(client)
    client.call(path, CONTAINER, "Stop")
    os.mkdir(f"/run/conbus/crun/{path.rsplit('/', 1)[1]}")  # as a create that was cut off leaves it, so that crun is asked
    faults.order("crun", "delete", "fail", "cannot delete", nth="*")
    assert "cannot delete" in expect("RuntimeFailed", client.call, path, CONTAINER, "Remove")
    assert client.get(path, "State") == "removing"
    expect("Removed", client.call, path, CONTAINER, "Start")
    expect("RuntimeFailed", client.call, path, CONTAINER, "Remove")
    gone = client.begin(path, CONTAINER, "WaitFor", "asa{sv}", ["removed"], {})
    faults.cancel()
    assert client.finish(gone)[:3] == ("removed", 1, 137), "it is tried again by itself"
    census.check()


def test_an_automatic_removal_is_tried_again(client):
    census = Census(client)
    path = client.create("web", "sh", "-c", "exit 3", auto_remove=True)
    gone = client.begin(path, CONTAINER, "WaitFor", "asa{sv}", ["removed"], {})
    client.call(path, CONTAINER, "Init")
    failure, before = 'the removal of container "web" failed', service_log()
    with faults.busy_files(path):
        client.call(path, CONTAINER, "Start")
        wait_for(lambda: service_log().count(failure) > before.count(failure), "a removal that fails", poll=True)
        assert client.get(path, "State") == "removing"
    assert client.finish(gone)[:3] == ("removed", 1, 3)
    identity = path.rsplit("/", 1)[1]
    client.create("web", "true")  # its name is free
    client.call("/container/web", CONTAINER, "Remove")
    removals = [event for event in client.manager("GetEvents", "tua{sv}", 0, 10000, {})[0] if event[3] == "remove" and event[5] == identity]
    assert len(removals) == 1 and client.manager("GetRun", "st", identity, 1)[0]["exit-code"] == 3
    census.check()


def test_files_that_cannot_be_removed(client):
    census = Census(client)
    path = running(client, "web", "true")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    with faults.busy_files(path):
        expect("Internal", client.call, path, CONTAINER, "Remove")
        assert client.get(path, "State") == "removing"
    with contextlib.suppress(Error):  # it may have been tried again just now
        client.call(path, CONTAINER, "Remove")
    census.check()


def test_checks_that_cannot_be_executed(client):
    check = GLib.Variant("a{sv}", options(test=["CMD", "true"], interval_usec=0, timeout_usec=1000000))
    path = running(client, health=check)
    assert client.call(path, HEALTH, "Check")[1] == 0
    faults.order("crun", "exec", "fail", "error opening file `status`: No such file or directory")
    assert client.call(path, HEALTH, "Check")[1] == 125
    faults.order("crun", "exec", "die", 9)
    assert client.call(path, HEALTH, "Check")[1] == 125
    faults.order("crun", "exec", "hang")
    expect("HealthCheckTimeout", client.call, path, HEALTH, "Check")
    assert client.call(path, HEALTH, "Check")[1] == 0


if __name__ == "__main__":
    main(fakes=True)
