#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the random walk (tests/walk) has found, each by the shortest way to it."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, SOURCE, expect, main, options, wait_for  # noqa: E402


def test_calls_queued_behind_a_removal_are_refused(client):
    path = client.create("going", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    pid = client.service_pid()
    removal = client.begin(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
    queued = [client.begin(path, CONTAINER, "Restart"), client.begin(path, CONTAINER, "Cleanup", "a{sv}", {}), client.begin(path, CONTAINER, "Rename", "s", "gone"),
              client.begin(path, CONTAINER, "SetRestartPolicy", "su", "always", 0), client.begin(path, CONTAINER, "Restart")]
    client.finish(removal)
    for box in queued:
        expect("Removed", client.finish, box)
    assert client.service_pid() == pid and client.manager("ListContainers")[0] == []


def test_a_wait_for_the_cleanup_after_a_run_that_is_over(client):
    path = client.create("over", "sh", "-c", "exit 4")
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], options(after_run=0), timeout=5)[:3] == ("exited", 1, 4)


def test_a_restart_never_comes_before_its_time(client):
    path = client.create("punctual", "false", restart_policy="always", restart_sec_usec=20000)
    client.call(path, CONTAINER, "Start")
    for run in range(1, 5):
        client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], options(after_run=run))
    client.call(path, CONTAINER, "SetRestartPolicy", "su", "no", 0)
    planned = [changed["NextRestartTimestamp"] for _, _, member, arguments in client.signals if member == "PropertiesChanged" for changed in [arguments[1]] if changed.get("NextRestartTimestamp")]
    restarts = [event[1] for event in client.signals_of("Event") if event[3] == "restart"]
    assert len(restarts) >= 4 and all(due <= usec for due, usec in zip(planned, restarts)), (planned, restarts)


def test_auto_remove_follows_a_restart_that_is_called_off(client):
    for name, method, signature, arguments in (("stopped", "Stop", "", ()), ("policy", "SetRestartPolicy", "su", ("no", 0))):
        path = client.create(name, "false", auto_remove=True, restart_policy="always", restart_sec_usec=60000000)
        client.call(path, CONTAINER, "Start")
        wait_for(lambda path=path: client.get(path, "NextRestartTimestamp"), "planned restart", poll=True)
        gone = client.begin(path, CONTAINER, "WaitFor", "asa{sv}", ["removed"], {})
        if method == "Stop":
            expect("NotRunning", client.call, path, CONTAINER, method)
        else:
            client.call(path, CONTAINER, method, signature, *arguments)
        assert client.finish(gone)[:3] == ("removed", 1, 1)


GATE = "/run/conbus/gate-create"


def processes_of(path):
    """Whatever lives in a control group with the id of the container in its name."""
    identity, found = path.rsplit("/", 1)[1], []
    for top in os.listdir("/sys/fs/cgroup"):
        for group in (f"/sys/fs/cgroup/{top}/conbus/{identity}", f"/sys/fs/cgroup/{top}/conbus/monitor-{identity}"):
            if os.path.exists(f"{group}/cgroup.procs"):
                with open(f"{group}/cgroup.procs", encoding="utf-8") as procs:
                    found += procs.read().split()
    return found


def test_an_undone_launch_leaves_nothing_of_crun_behind(client):
    """conmon and crun create die when crun has made the control group and PID 1, but not yet its own state: crun delete knows nothing of them then."""
    path = client.create("half", "sleep", "1000")
    os.mkfifo(GATE)
    starting = client.begin(path, CONTAINER, "Start")
    wait_for(lambda: client.get(path, "MonitorPID") and len(processes_of(path)) >= 2, "crun create in front of its gate", poll=True)
    group = f"/sys/fs/cgroup/{'pids/' if os.path.isdir('/sys/fs/cgroup/pids') else ''}conbus/{path.rsplit('/', 1)[1]}"
    os.mkdir(group)
    with subprocess.Popen(["sleep", "20"]) as first:
        with open(f"{group}/cgroup.procs", "w", encoding="utf-8") as procs:
            procs.write(str(first.pid))
        os.kill(client.get(path, "MonitorPID"), 9)
        expect("MonitorFailed", client.finish, starting)
        os.unlink(GATE)
    assert first.returncode == -9
    assert processes_of(path) == [] and not os.path.exists(group)
    assert client.call(path, CONTAINER, "Start") == (2,)


def test_a_kill_during_a_pause_is_delivered(client):
    path = client.create("frozen", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    group = client.get(path, "ControlGroup")
    file, word = (f"/sys/fs/cgroup/freezer{group}/freezer.state", "FROZEN") if os.path.isdir("/sys/fs/cgroup/freezer") else (f"/sys/fs/cgroup{group}/cgroup.freeze", "1")

    def is_frozen():
        with open(file, encoding="utf-8") as state:
            return state.read().strip() == word

    os.mkfifo("/run/conbus/after-pause")
    pausing = client.begin(path, CONTAINER, "Pause")
    wait_for(is_frozen, "frozen group", poll=True)
    killing = client.begin(path, CONTAINER, "Kill", "si", "all", 9)
    wait_for(lambda: [event for event in client.signals_of("Event") if event[3] == "kill"], "event kill")
    with open("/run/conbus/after-pause", "w", encoding="utf-8") as gate:
        gate.write("\n")
    os.unlink("/run/conbus/after-pause")
    client.finish(pausing)
    client.finish(killing)
    assert client.call(path, CONTAINER, "Wait") == (1, 137, 9, "signal")


if __name__ == "__main__":
    if "CONBUS_SANDBOX" not in os.environ:
        os.environ["CONBUS_CRUN"] = f"{SOURCE}/tests/system/gated-crun"
    main()
