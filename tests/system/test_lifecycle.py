#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The life of a container on real conmon and crun: every verb in its states."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, expect, main, on_real_runtime, options, wait_for, wait_output  # noqa: E402


def test_a_run_is_known_from_start_to_end(client):
    path = client.create("one", "sh", "-c", "exit 7")
    assert client.get(path, "State") == "created" and client.get(path, "ExitCode") == -1
    assert client.call(path, CONTAINER, "Start") == (1,)
    assert client.call(path, CONTAINER, "Wait") == (1, 7, 0, "exit-code")
    wait_for(lambda: client.get(path, "State") == "exited", "the cleanup", poll=True)
    record = client.call(path, CONTAINER, "GetRun", "t", 1)[0]
    assert record["exit-code"] == 7 and record["result"] == "exit-code" and record["start"] <= record["finish"] and len(record["invocation-id"]) == 16


def test_signals_come_in_their_order(client):
    path = client.create("signals", "true")
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    client.wait_signal("StateChanged", 4)
    changes = client.signals_of("StateChanged")
    assert [(old, new) for old, new, *_ in changes] == [("created", "initialized"), ("initialized", "running"), ("running", "stopped"), ("stopped", "exited")]
    assert [change[4] for change in changes] == [1, 2, 3, 4]
    members = [member for _, _, member, _ in client.signals if member in ("RunStarted", "RunFinished", "Event")]
    assert members.index("RunStarted") < members.index("RunFinished")
    actions = [event[3] for event in client.signals_of("Event") if event[5] == path.rsplit("/", 1)[1]]
    assert actions == ["create", "init", "start", "died", "cleanup"], actions
    seqs = [event[0] for event in client.signals_of("Event")]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


def test_stop_term_and_kill(client):
    path = client.create("polite", "sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done")
    client.call(path, CONTAINER, "Start")
    wait_for(lambda: client.call(path, CONTAINER, "GetProcesses")[0], "its processes", poll=True)
    wait_output(path, "ready")
    assert client.call(path, CONTAINER, "Stop") == (1,)
    assert client.get(path, "State") == "exited" and client.get(path, "ExitCode") == 3 and client.get(path, "StoppedByUser")
    stubborn = client.create("stubborn", "sleep", "1000")  # PID 1 without a handler: the kernel drops TERM
    client.call(stubborn, CONTAINER, "Start")
    client.call(stubborn, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=200000))
    assert client.get(stubborn, "ExitSignal") == 9 and client.get(stubborn, "ExitCode") == 137 and client.get(stubborn, "Result") == "signal"


def test_the_reason_of_a_stop_is_kept(client):
    path = client.create("reasoned", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0, reason="maintenance of the shelf"))
    events = [event for event in client.signals_of("Event") if event[5] == path.rsplit("/", 1)[1]]
    assert [event[3] for event in events] == ["create", "init", "start", "stop", "died", "cleanup"]
    stop = events[3][6]
    assert stop["reason"] == "maintenance of the shelf" and stop["actor"]["uid"] == 0 and stop["run"] == 1
    assert [event[6].get("reason") for event in client.manager("GetEvents", "tua{sv}", events[3][0] - 1, 1, {})[0]] == ["maintenance of the shelf"]


def test_pause_and_resume(client):
    path = client.create("frozen", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "Pause")
    assert client.get(path, "State") == "paused"
    expect("AlreadyPaused", client.call, path, CONTAINER, "Pause")
    expect("InvalidState", client.call, path, CONTAINER, "Start")
    client.call(path, CONTAINER, "Resume")
    expect("NotPaused", client.call, path, CONTAINER, "Resume")
    client.call(path, CONTAINER, "Pause")
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert client.get(path, "State") == "exited"


def test_init_then_start_and_init_then_stop(client):
    path = client.create("slowly", "true")
    assert client.call(path, CONTAINER, "Init") == (1,)
    assert client.get(path, "State") == "initialized"
    expect("InvalidState", client.call, path, CONTAINER, "Init")
    expect("InvalidState", client.call, path, CONTAINER, "Kill", "si", "leader", 15)
    assert client.call(path, CONTAINER, "Start") == (1,)
    assert client.call(path, CONTAINER, "Wait")[:2] == (1, 0)
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    assert client.call(path, CONTAINER, "Init") == (2,)
    assert client.call(path, CONTAINER, "Stop") == (2,)
    assert client.get(path, "Result") == "never-ran" and client.get(path, "StateReason") == "not-started"
    client.call(path, CONTAINER, "Init")
    client.call(path, CONTAINER, "Cleanup", "a{sv}", {})
    assert client.get(path, "State") == "created"


def test_restart_opens_a_new_run(client):
    path = client.create("again", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    assert client.call(path, CONTAINER, "RestartWith", "a{sv}", options(timeout_usec=0)) == (2,)
    assert client.get(path, "State") == "running" and not client.get(path, "StoppedByUser")
    runs = client.call(path, CONTAINER, "ListRuns", "u", 0)[0]
    assert [run["run"] for run in runs] == [2, 1] and runs[1]["result"] == "signal"


def test_errors_of_states(client):
    path = client.create("idle", "sleep", "1000")
    for method in ("Stop", "Pause"):
        expect("NotRunning", client.call, path, CONTAINER, method)
    expect("NotRunning", client.call, path, CONTAINER, "Kill", "si", "leader", 15)
    expect("NeverStarted", client.call, path, CONTAINER, "Wait")
    expect("NotImplemented", client.call, path, CONTAINER, "Refresh")
    client.call(path, CONTAINER, "Start")
    expect("AlreadyRunning", client.call, path, CONTAINER, "Start")
    expect("InvalidState", client.call, path, CONTAINER, "Remove")
    expect("InvalidState", client.call, path, CONTAINER, "Cleanup", "a{sv}", {})
    expect("InvalidArgs", client.call, path, CONTAINER, "Kill", "si", "leader", 65)
    expect("InvalidArgs", client.call, path, CONTAINER, "Kill", "si", "somebody", 15)
    assert "nonsense" in expect("UnknownOption", client.call, path, CONTAINER, "StopWith", "a{sv}", options(nonsense=1))


def test_rename_and_aliases(client):
    path = client.create("before", "true")
    client.create("taken", "true")
    client.call(path, CONTAINER, "Rename", "s", "after")
    assert client.get("/container/after", "Id") == path.rsplit("/", 1)[1]
    expect("NoSuchContainer", client.get, "/container/before", "Id")
    expect("NameInUse", client.call, path, CONTAINER, "Rename", "s", "taken")
    expect("InvalidName", client.call, path, CONTAINER, "Rename", "s", "no/good")
    assert client.manager("GetContainer", "s", path.rsplit("/", 1)[1][:20])[0] == path


def test_kill_hup_is_no_wish_to_stop(client):
    path = client.create("hup", "sh", "-c", "trap 'exit 4' HUP; echo ready; while :; do sleep 0.05; done")
    client.call(path, CONTAINER, "Start")
    wait_output(path, "ready")
    client.call(path, CONTAINER, "Kill", "si", "leader", 1)
    assert client.call(path, CONTAINER, "Wait")[1] == 4
    assert not client.get(path, "StoppedByUser")


def test_auto_remove_keeps_the_record(client):
    path, run = client.manager("RunContainer", "ssasa{sv}", "gone", "", ["sh", "-c", "exit 5"], options(rootfs=os.environ["CONBUS_TEST_ROOTFS"], auto_remove=True))
    ident = path.rsplit("/", 1)[1]
    wait_for(lambda: not client.manager("ListContainers")[0], "its removal", poll=True)
    assert run == 1 and client.manager("GetRun", "st", ident, 1)[0]["exit-code"] == 5
    answer = client.manager("WaitAny", "a(ot)asa{sv}", [(path, 1)], ["stopped"], {})
    assert answer[0] == 0 and answer[4]["exit-code"] == 5


def test_the_base_stays_untouched(client):
    marker = os.environ["CONBUS_TEST_ROOTFS"] + "/marker"
    path = client.create("overlay", "touch", "/marker")
    client.call(path, CONTAINER, "Start")
    assert client.call(path, CONTAINER, "Wait")[1] == 0
    assert not os.path.exists(marker)


@on_real_runtime
def test_a_read_only_base_stays_untouched(client):
    marker = os.environ["CONBUS_TEST_ROOTFS"] + "/marker"
    readonly = client.create("readonly", "touch", "/marker", rootfs_mode="read-only")
    client.call(readonly, CONTAINER, "Start")
    assert client.call(readonly, CONTAINER, "Wait")[1] == 1
    assert not os.path.exists(marker)


if __name__ == "__main__":
    main()
