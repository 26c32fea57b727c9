#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nine failures recorded of other container engines, each as a test that such a failure would not pass."""

import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, HEALTH, MANAGER, Client, Error, GLib, expect, main, options, wait_for  # noqa: E402

COUNTING = ("sh", "-c", "n=0; test ! -e /n || read n < /n; n=$((n + 1)); echo $n > /n; exit $n")  # run N ends with code N
ERRORS_ONLY = {"retries": GLib.Variant("u", 3), "interval_usec": 20000}


def identity(path):
    return path.rsplit("/", 1)[1]


def test_a_wait_never_mixes_up_runs_under_a_restart_policy(client):
    path = client.create("loop", *COUNTING, restart_policy="always", restart_sec_usec=1000)
    named = [client.begin(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(run=run)) for run in range(1, 9)]
    client.call(path, CONTAINER, "Start")
    seen = []
    while not seen or seen[-1][0] < 8:
        seen.append(client.call(path, CONTAINER, "Wait"))
    assert all(run == code for run, code, _, _ in seen), seen
    assert [client.finish(box)[1:3] for box in named] == [(run, run) for run in range(1, 9)]
    client.call(path, CONTAINER, "SetRestartPolicy", "su", "no", 0)
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(final=True))
    assert [(record["run"], record["exit-code"]) for record in client.call(path, CONTAINER, "ListRuns", "u", 0)[0]] == [(run, run) for run in range(client.get(path, "Run"), 0, -1)]


def test_auto_remove_loses_no_code(client):
    path = client.create("brief", "sh", "-c", "exit 5", auto_remove=True)
    before = client.begin(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(run=1))
    gone = client.begin(path, CONTAINER, "WaitFor", "asa{sv}", ["removed"], {})
    client.call(path, CONTAINER, "Start")
    assert client.finish(before)[:5] == ("stopped", 1, 5, 0, "exit-code")
    assert client.finish(gone)[:5] == ("removed", 1, 5, 0, "exit-code")
    expect("UnknownObject", client.call, path, CONTAINER, "Wait")
    _, _, run, _, details = client.manager("WaitAny", "a(ot)asa{sv}", [(path, 0)], ["stopped"], {})
    assert (run, details["exit-code"]) == (1, 5)
    client.kill_service()
    assert client.manager("GetRun", "st", identity(path), 1)[0]["exit-code"] == 5


def test_a_stop_waits_for_a_conmon_that_hangs(client):
    """What is dead is not said to resist SIGKILL: the reply comes when conmon has been given up."""
    with client.settings(ExitFileUSec=4000000, KillUSec=2000000):
        path = client.create("held", "sleep", "1000")
        client.call(path, CONTAINER, "Start")
        os.kill(client.get(path, "MonitorPID"), signal.SIGSTOP)
        assert client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0)) == (1,)
        assert client.call(path, CONTAINER, "Wait") == (1, 137, 9, "signal")


def test_the_end_is_told_after_the_output_is_there(client):
    with client.settings(ExitFileUSec=600000000):  # conmon is held up by this test, not by a fault
        check_output_of_a_held_conmon(client)


def check_output_of_a_held_conmon(client):
    path = client.create("loud", "sh", "-c", "read go < /go; i=0; while test $i -lt 4000; do echo line $i; i=$((i + 1)); done; echo last", rootfs_mode="overlay")
    os.mkfifo(os.environ["CONBUS_TEST_ROOTFS"] + "/go")
    try:
        client.call(path, CONTAINER, "Start")
        monitor, pid = client.get(path, "MonitorPID"), client.get(path, "MainPID")
        os.kill(monitor, signal.SIGSTOP)  # what the payload writes from now on stays in its pipe
        with open(f"/proc/{pid}/root/go", "w", encoding="utf-8") as go:
            go.write("\n")
        wait_for(lambda: "zombie" in open(f"/proc/{pid}/status", encoding="utf-8").read(), "the end of PID 1", poll=True)
        assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(timeout_usec=200000))[0] == "timeout"
        assert client.get(path, "State") == "running"
        ended = client.begin(path, CONTAINER, "Wait")
        os.kill(monitor, signal.SIGCONT)
        assert client.finish(ended)[:2] == (1, 0)
        with open(f"/var/lib/conbus/containers/{identity(path)}/log", encoding="utf-8") as log:
            lines = [line for line in log.read().splitlines() if " stdout F " in line]  # a line that conmon got in two parts has a record P before
        assert len(lines) == 4001 and lines[-1].endswith(" last"), f"{len(lines)} lines"
    finally:
        os.unlink(os.environ["CONBUS_TEST_ROOTFS"] + "/go")


def work_of(pid):
    """Processor time in ticks, and how often it has been woken. A process that sleeps makes no system call."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        woken = next(int(line.split()[1]) for line in status if line.startswith("voluntary_ctxt_switches"))
    return int(fields[11]) + int(fields[12]), woken


def test_a_long_wait_costs_nothing(client):
    path = client.create("long", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    pid = client.service_pid()
    waits = [client.begin(path, CONTAINER, "Wait") for _ in range(20)]
    last = client.begin(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(timeout_usec=2000000))
    client.get(path, "State")
    ticks, woken = work_of(pid)
    assert client.finish(last)[0] == "timeout"
    ticks_after, woken_after = work_of(pid)
    print(f"# 21 waits for 2 s: {ticks_after - ticks} ticks of processor time, woken {woken_after - woken} times")
    # Once for the deadline, once to sleep again; the last answer before may still have been on its way.
    assert ticks_after - ticks <= 1 and woken_after - woken <= 4
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert {client.finish(box) for box in waits} == {(1, 137, 9, "signal")}


def test_fast_restarts_hang_nobody(client):
    path = client.create("fast", "false", restart_policy="always", restart_sec_usec=1000)
    moments = [time.monotonic()]
    client.call(path, CONTAINER, "Start")
    for run in range(8):
        assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], options(after_run=run))[:3] == ("exited", run + 1, 1)
        moments.append(time.monotonic())
    try:
        client.call(path, CONTAINER, "Stop")
    except Error as error:
        assert error.name == "NotRunning", error  # it was between two runs
    moments.append(time.monotonic())
    longest = max(later - earlier for earlier, later in zip(moments, moments[1:]))
    print(f"# eight runs and a stop took {moments[-1] - moments[0]:.2f} s, none longer than {longest:.2f} s")
    assert longest < 15, "a hang of the kind took 20 s"
    assert client.get(path, "StoppedByUser") and client.get(path, "NextRestartTimestamp") == 0
    run = client.get(path, "Run")
    assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["initialized", "running"], options(timeout_usec=300000))[0] == "timeout" and client.get(path, "Run") == run


def test_a_probe_is_no_event(client):
    path = client.create("probed", "sleep", "1000", health=GLib.Variant("a{sv}", options(test=["CMD", "true"], log_count=GLib.Variant("u", 0), **ERRORS_ONLY)))
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["healthy"], {})
    client.get(path, "State")
    probes, signals, seq = len(client.call(path, HEALTH, "GetLog", "u", 0)[0]), len(client.signals), client.get("/io/conbus1", "EventSeq", MANAGER)
    wait_for(lambda: len(client.call(path, HEALTH, "GetLog", "u", 0)[0]) >= probes + 6, "six more probes", poll=True)
    assert client.signals[signals:] == [] and client.get("/io/conbus1", "EventSeq", MANAGER) == seq


def test_no_probe_while_paused(client):
    path = client.create("still", "sleep", "1000", health=GLib.Variant("a{sv}", options(test=["CMD-SHELL", "echo probe >> /probes"], **ERRORS_ONLY)))
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["healthy"], {})
    probes = f"/proc/{client.get(path, 'MainPID')}/root/probes"

    def count():
        with open(probes, encoding="utf-8") as file:
            return len(file.readlines())

    client.call(path, CONTAINER, "Pause")
    before, logged, inside = count(), client.call(path, HEALTH, "GetLog", "u", 0), client.call(path, CONTAINER, "GetProcesses")
    assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(timeout_usec=400000))[0] == "timeout"  # twenty intervals
    assert count() == before and client.call(path, HEALTH, "GetLog", "u", 0) == logged and client.get(path, "State") == "paused"
    assert client.call(path, CONTAINER, "GetProcesses") == inside, "a probe waits in the freezer"
    client.call(path, CONTAINER, "Resume")
    wait_for(lambda: count() > before, "a probe after the pause", poll=True)


def test_a_wait_for_health_does_not_outlive_the_run(client):
    path = client.create("doomed", "sleep", "1000", health=GLib.Variant("a{sv}", options(test=["CMD", "false"], start_period_usec=60000000, **ERRORS_ONLY)))
    starting = client.begin(path, CONTAINER, "StartWith", "a{sv}", options(wait="healthy"))
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["running"], {})
    waits = [client.begin(path, CONTAINER, "WaitFor", "asa{sv}", conditions, keys) for conditions in (["healthy"], ["unhealthy"], ["healthy", "unhealthy"]) for keys in ({}, options(run=1))]
    client.call(path, CONTAINER, "Kill", "si", "leader", 9)
    assert [client.finish(box)[:4] for box in waits] == [("stopped", 1, 137, 9)] * len(waits)
    assert "137" in expect("NotRunning", client.finish, starting)
    assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["healthy"], {})[:4] == ("stopped", 1, 137, 9)


def test_no_event_is_lost_between_snapshot_and_subscription(client):
    path, busy = client.create("name-0", "true"), Client()
    renames = [busy.begin(path, CONTAINER, "Rename", "s", f"name-{i}") for i in range(1, 101)]
    wait_for(lambda: renames[20], "some renames")
    seq = client.get("/io/conbus1", "EventSeq", MANAGER)
    objects = client.call("/io/conbus1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0]
    name = objects[path][CONTAINER]["Name"]
    wait_for(lambda: renames[60], "more renames")
    late = Client()  # it subscribes only now
    late.get(path, "Name")
    renames += [busy.begin(path, CONTAINER, "Rename", "s", f"name-{i}") for i in range(101, 151)]  # all before may be over by now
    missed, _, gap = late.manager("GetEvents", "tua{sv}", seq, 10000, {})
    for box in renames:
        busy.finish(box)
    last = client.get("/io/conbus1", "EventSeq", MANAGER)
    wait_for(lambda: late.signals_of("Event") and late.signals_of("Event")[-1][0] == last, "the last event")
    events = {event[0]: event for event in missed + late.signals_of("Event")}
    assert not gap and sorted(number for number in events if number > seq) == list(range(seq + 1, last + 1)), "a number is missing"
    for number in range(seq + 1, last + 1):  # the snapshot is of a moment at or after seq: an event either is in it or follows it
        details = events[number][6]
        if details.get("old-name") == name:
            name = details["name"]
    assert name == client.get(path, "Name") == "name-150"


if __name__ == "__main__":
    main()
