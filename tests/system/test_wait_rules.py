#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ten rules of waiting, one test for each, as a client sees them. tests/container/test-waits.c goes into their corners, tests/systemd/test_store.py has the descriptor store of rule 9."""

import json
import os
import shutil
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, HEALTH, Client, Error, GLib, expect, main, options, wait_for, wait_output  # noqa: E402

COUNTING = ("sh", "-c", "n=0; test ! -e /n || read n < /n; n=$((n + 1)); echo $n > /n; exit $n")  # run N ends with code N
STATES = "created initialized running paused stopping stopped exited removing unknown".split()


def wait(client, path, *conditions, **keys):
    return client.call(path, CONTAINER, "WaitFor", "asa{sv}", list(conditions), options(**keys))


def begin(client, path, *conditions, **keys):
    return client.begin(path, CONTAINER, "WaitFor", "asa{sv}", list(conditions), options(**keys))


def kill(client, path):
    client.call(path, CONTAINER, "Kill", "si", "leader", 9)
    wait(client, path, "exited")


def run_once(client, path):
    client.call(path, CONTAINER, "Start")
    return wait(client, path, "exited")


def test_rule_1_wait_binds_when_it_is_received(client):
    path = client.create("one", "sleep", "1000")
    expect("NeverStarted", client.call, path, CONTAINER, "Wait")
    client.call(path, CONTAINER, "Init")
    first = client.begin(path, CONTAINER, "Wait")
    client.call(path, CONTAINER, "Start")
    again = client.begin(path, CONTAINER, "Wait")
    client.call(path, CONTAINER, "RestartWith", "a{sv}", options(timeout_usec=0))
    second = client.begin(path, CONTAINER, "Wait")
    assert client.finish(first) == client.finish(again) == (1, 137, 9, "signal")
    kill(client, path)
    assert client.finish(second) == client.call(path, CONTAINER, "Wait") == wait(client, path, "stopped")[1:5] == (2, 137, 9, "signal")


def test_rule_2_run_after_run_and_final(client):
    path = client.create("two", *COUNTING, restart_policy="on-failure", restart_max=GLib.Variant("u", 2), restart_sec_usec=20000)
    before = [begin(client, path, "stopped", run=2), begin(client, path, "stopped", after_run=0), begin(client, path, "stopped", after_run=2), begin(client, path, "exited", final=True, after_run=0)]
    expect("NeverStarted", wait, client, path, "stopped", final=True)
    client.call(path, CONTAINER, "Start")
    final = begin(client, path, "stopped", final=True)
    assert [client.finish(box)[:3] for box in before] == [("stopped", 2, 2), ("stopped", 1, 1), ("stopped", 3, 3), ("exited", 3, 3)]
    assert client.finish(final)[:3] == wait(client, path, "stopped", final=True, run=1)[:3] == ("stopped", 3, 3)
    late = begin(client, path, "stopped", final=True, run=4)
    assert [wait(client, path, "stopped", run=run)[1:3] for run in (1, 2, 3)] == [(1, 1), (2, 2), (3, 3)]
    client.call(path, CONTAINER, "SetRestartPolicy", "su", "no", 0)
    assert not late
    run_once(client, path)
    assert client.finish(late)[:3] == ("stopped", 4, 4)
    client.call(path, CONTAINER, "Remove")
    answers = [client.manager("WaitAny", "a(ot)asa{sv}", [(path, run)], ["stopped"], keys) for run, keys in ((2, {}), (0, {}), (1, options(final=True)))]
    assert [(answer[2], answer[4]["exit-code"]) for answer in answers] == [(2, 2), (4, 4), (4, 4)]


def test_a_timeout_ends_the_wait(client):
    path, other = client.create("lasting", "sleep", "1000"), client.create("idle", "true")
    client.call(path, CONTAINER, "Start")
    both = [(other, 0), (path, 0)]
    aliases = [("/container/idle", 0), ("/container/lasting", 0)]
    assert [client.manager("WaitAny", "a(ot)asa{sv}", some, ["stopped", "running"], {})[:4] for some in (both, aliases)] == [(1, path, 1, "running")] * 2
    assert "/container/nobody" in expect("NoSuchContainer", client.manager, "WaitAny", "a(ot)asa{sv}", [("/container/nobody", 0)], ["stopped"], {})
    assert client.manager("WaitAny", "a(ot)asa{sv}", [(path, 0)], ["stopped"], options(timeout_usec=20000)) == (0, "/", 0, "timeout", {})
    assert wait(client, path, "stopped", timeout_usec=20000)[:3] == ("timeout", 1, -1)
    expect("Timeout", client.manager, "WaitAny", "a(ot)asa{sv}", [(path, 0)], ["stopped"], options(reply_timeout_usec=20000))
    expect("Timeout", client.call, path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(reply_timeout_usec=20000))
    assert "waits 0" in client.manager("Dump")[0], "no wait is left that nobody waits for"


def test_rule_2_the_end_within_a_restart_is_not_final(client):
    base = f"{os.environ['CONBUS_SANDBOX']}/base"
    shutil.copytree(os.environ["CONBUS_TEST_ROOTFS"], base, symlinks=True)
    path = client.create("again", "sleep", "1000", rootfs=base)
    client.call(path, CONTAINER, "Start")
    final = begin(client, path, "stopped", final=True)
    assert client.call(path, CONTAINER, "RestartWith", "a{sv}", options(timeout_usec=0)) == (2,)
    assert wait(client, path, "exited", run=1)[:3] == ("exited", 1, 137) and not final
    os.rename(base, f"{base}-gone")
    assert "not started again" in expect("NoSuchPath", client.call, path, CONTAINER, "RestartWith", "a{sv}", options(timeout_usec=0))
    assert client.finish(final)[:3] == ("stopped", 3, 125), "no start has come of it"
    assert wait(client, path, "exited", final=True, run=2)[:3] == ("exited", 3, 125)


def test_rule_2_a_restart_in_line_is_one_to_come(client):
    path = client.create("line", "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done", stop_timeout_usec=600000000)
    client.call(path, CONTAINER, "Start")
    for other_leaves, last in ((False, 2), (True, 2)):
        wait_output(path, "ready")
        run = client.get(path, "Run")
        other = Client()
        stop = client.begin(path, CONTAINER, "Stop")
        wait(client, path, "stopping")
        restart = other.begin(path, CONTAINER, "Restart")
        other.get(path, "State")  # the call has been received
        final = begin(client, path, "stopped", final=True)
        if other_leaves:
            other.connection.close_sync(None)
            wait_for(lambda: "operations 1 " in client.manager("Dump")[0], "the restart is forgotten", poll=True)
        os.kill(client.get(path, "MainPID"), signal.SIGKILL)
        assert client.finish(stop)[0] == run
        if not other_leaves:
            assert other.finish(restart)[0] == last and not final
            continue
        assert client.finish(final)[:3] == ("stopped", last, 137)


def test_rule_3_the_record_is_the_answer(client):
    path = client.create("three", *COUNTING, restart_policy="always", restart_sec_usec=1000)
    boxes = [begin(client, path, "stopped", run=run) for run in range(1, 6)]
    client.call(path, CONTAINER, "Start")
    assert [client.finish(box)[1:3] for box in boxes] == [(run, run) for run in range(1, 6)]
    client.call(path, CONTAINER, "SetRestartPolicy", "su", "no", 0)
    wait(client, path, "stopped", final=True)
    order = [(member, arguments[0]) for at, _, member, arguments in client.signals if at == path and member in ("RunStarted", "RunFinished")]
    assert order == [(member, run) for run in range(1, client.get(path, "Run") + 1) for member in ("RunStarted", "RunFinished")], order


def test_rule_4_stopped_is_recorded_and_exited_is_cleaned_up(client):
    path = client.create("four", "sh", "-c", "echo last; exit 4")
    client.call(path, CONTAINER, "Start")
    wait(client, path, "stopped")
    with open(f"/var/lib/conbus/containers/{path.rsplit('/', 1)[1]}/log", encoding="utf-8") as log:
        assert "last" in log.read()
    client.call(path, CONTAINER, "Cleanup", "a{sv}", {})  # sent after the answer: it finds the automatic one queued
    assert client.get(path, "State") == "exited"
    assert wait(client, path, "exited", run=1)[:3] == ("exited", 1, 4)
    again = client.create("again", "true", restart_policy="always", restart_sec_usec=1000)
    client.call(again, CONTAINER, "Start")
    assert wait(client, again, "exited", run=1)[:2] == ("exited", 1), "or the next run has been opened"
    client.call(again, CONTAINER, "SetRestartPolicy", "su", "no", 0)
    wait(client, again, "stopped", final=True)


def test_rule_5_conditions(client):
    path = client.create("five", "sleep", "1000", stop_timeout_usec=0)
    for conditions in ([], ["done"], ["stopped", "Stopped"]):
        expect("InvalidArgs", wait, client, path, *conditions)
    assert wait(client, path, "running", "created")[0] == "created", "what is true already answers at once"
    expect("NeverStarted", wait, client, path, "stopped", "exited")
    expect("NeverStarted", wait, client, path, "exited")
    short = {state: begin(client, path, state) for state in STATES if state not in ("created", "stopped", "exited", "removing", "unknown")}
    either = begin(client, path, "running", "exited")
    for method in ("Start", "Pause", "Stop"):
        client.call(path, CONTAINER, method)
    assert [client.finish(box)[:2] for box in short.values()] == [(state, 1) for state in short]
    assert client.finish(either)[:2] == ("running", 1), "the first match wins"
    assert wait(client, path, "exited", after_run=0)[:3] == ("exited", 1, 137)
    next_one = begin(client, path, "exited", after_run=1)
    fresh = client.create("fresh", "true")
    going = [begin(client, at, condition) for at in (path, fresh) for condition in ("removing", "removed", "unknown")]
    for at in (path, fresh):
        client.call(at, CONTAINER, "Remove")
    assert [client.finish(box)[:3] for box in going] == [("removing", 1, 137), ("removed", 1, 137), ("removed", 1, 137), ("removing", 0, -1), ("removed", 0, -1), ("removed", 0, -1)]
    assert client.finish(next_one)[0] == "removed", "every wait still open"


def test_rule_6_readiness_and_health_are_of_a_run(client):
    check = GLib.Variant("a{sv}", options(test=["CMD", "false"], interval_usec=0, retries=GLib.Variant("u", 100)))
    path = client.create("six", "sleep", "1000", health=check, notify="ready")
    client.call(path, CONTAINER, "Start")
    boxes = [begin(client, path, condition) for condition in ("ready", "healthy", "unhealthy")]
    assert client.call(path, HEALTH, "Check")[0] == "starting" and not any(boxes)
    kill(client, path)
    assert [client.finish(box)[:4] for box in boxes] == [("stopped", 1, 137, 9)] * 3
    assert [wait(client, path, condition)[:3] for condition in ("ready", "healthy", "unhealthy")] == [("stopped", 1, 137)] * 3
    assert [wait(client, path, state, run=1)[:3] for state in ("initialized", "running", "paused", "stopping", "unknown")] == [("stopped", 1, 137)] * 5, "a run that has ended enters no state any more"
    kept = [begin(client, path, *conditions, **keys) for conditions, keys in ((("running",), {}), (("running", "removed"), {"run": 1}), (("paused",), {"run": 2}))]
    client.call(path, CONTAINER, "Start")
    assert client.finish(kept[0])[:3] == ("running", 2, -1), "without a run it is waited for whichever comes"
    kill(client, path)
    assert client.finish(kept[2])[:3] == ("stopped", 2, 137) and not kept[1]
    client.call(path, CONTAINER, "Remove")
    assert client.finish(kept[1])[:3] == ("removed", 1, 137)
    plain = client.create("plain", "true")
    for condition in ("healthy", "unhealthy"):
        expect("NoHealthCheck", wait, client, plain, condition)


def test_rule_7_a_timeout_is_an_answer(client):
    path = client.create("seven", "sleep", "1000", restart_policy="always", restart_sec_usec=600000000)
    client.call(path, CONTAINER, "Start")
    condition, run, code, _, result, _ = wait(client, path, "stopped", timeout_usec=1000)
    assert (condition, run, code, result) == ("timeout", 1, -1, "")
    assert wait(client, path, "stopped", after_run=1, timeout_usec=0)[:2] == ("timeout", 0)
    assert wait(client, path, "stopped", final=True, timeout_usec=1000)[:3] == ("timeout", 1, -1)
    os.kill(client.get(path, "MainPID"), signal.SIGKILL)
    assert wait(client, path, "stopped", run=run, timeout_usec=60000000)[:3] == ("stopped", 1, 137), "goes on where the first one ended"
    wait(client, path, "exited")
    assert wait(client, path, "stopped", final=True, timeout_usec=1000)[:5] == ("timeout", 1, -1, 0, ""), "the latest run, not known to be the last: a restart is pending"
    expect("NotRunning", client.call, path, CONTAINER, "Stop")
    assert wait(client, path, "stopped", final=True, timeout_usec=1000)[:3] == ("stopped", 1, 137)


def test_rule_8_waits_go_with_their_caller_and_are_limited(client):
    path = client.create("eight", "sleep", "1000")
    client.call(path, CONTAINER, "Start")

    def waits():
        return int(client.manager("Dump")[0].split("waits ", 1)[1].split(",")[0])

    with client.settings(WaitsPerCaller=3):
        other = Client()
        pending = [other.begin("/io/conbus1", "io.conbus1.Manager", "WaitAny", "a(ot)asa{sv}", [(path, 0), (path, 1), (path, 0)], ["stopped"], {}) for _ in range(2)]
        pending.append(other.begin(path, CONTAINER, "Wait"))
        assert "3 waits" in expect("LimitsExceeded", other.call, path, CONTAINER, "Wait")
        expect("LimitsExceeded", other.manager, "WaitAny", "a(ot)asa{sv}", [(path, 0)], ["stopped"], {})
        kept = begin(client, path, "stopped")
        left = Client()
        left.begin(path, CONTAINER, "Wait")
        left.get(path, "State")
        left.connection.close_sync(None)
        wait_for(lambda: waits() == 8, "the wait of the one that has left is forgotten", poll=True)
        kill(client, path)
        assert [other.finish(box)[:4] for box in pending] == [(0, path, 1, "stopped")] * 2 + [(1, 137, 9, "signal")]
        assert client.finish(kept)[:2] == ("stopped", 1) and waits() == 0
        assert other.call(path, CONTAINER, "Wait")[0] == 1, "there is room again"


def test_rule_9_after_a_restart_of_the_service(client):
    path = client.create("nine", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    deferred = client.begin(path, CONTAINER, "Wait")
    client.call(path, CONTAINER, "OpenWait", "asa{sv}", ["stopped"], options(run=1))
    fd = client.fds.steal_fds()[0]
    client.kill_service()
    expect("NoReply", client.finish, deferred)
    with os.fdopen(fd, encoding="utf-8") as pipe:
        assert pipe.read() == "", "an end without a line: there is no descriptor store here"
    repeated = begin(client, path, "stopped", run=1)
    client.call(path, CONTAINER, "OpenWait", "asa{sv}", ["stopped"], options(run=1))
    fd = client.fds.steal_fds()[0]
    kill(client, path)
    assert client.finish(repeated)[:4] == ("stopped", 1, 137, 9)
    with os.fdopen(fd, encoding="utf-8") as pipe:
        line = json.loads(pipe.read())
    assert (line["condition"], line["run"], line["exit-code"], line["record"]["result"]) == ("stopped", 1, 137, "signal")


def test_rule_10_the_kernels_word_or_lost(client):
    path = client.create("ten", "sh", "-c", "trap 'exit 10' TERM; echo ready > /ready; while :; do sleep 0.05; done", stop_timeout_usec=600000000)
    client.call(path, CONTAINER, "Start")
    root = f"/proc/{client.get(path, 'MainPID')}/root"
    wait_for(lambda: os.path.exists(f"{root}/ready"), "its trap", poll=True)
    waiting = client.begin(path, CONTAINER, "Wait")
    os.kill(client.get(path, "MonitorPID"), signal.SIGKILL)
    wait_for(lambda: not client.get(path, "Supervised"), "the loss of supervision", poll=True)
    client.call(path, CONTAINER, "Stop")
    assert client.finish(waiting) == (1, 10, 0, "exit-code"), "PID 1 has become the service's own child"
    lost = client.create("lost", "sleep", "1000")
    client.call(lost, CONTAINER, "Start")
    monitor, main_pid, service = client.get(lost, "MonitorPID"), client.get(lost, "MainPID"), client.service_pid()
    os.kill(service, signal.SIGSTOP)
    for pid in (monitor, service, main_pid):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in (monitor, service, main_pid)), "their ends", poll=True)
    try:
        answer = client.call(lost, CONTAINER, "Wait")
    except Error as error:  # the bus had not yet heard of the service's end
        assert error.name == "NoReply", error
        answer = client.call(lost, CONTAINER, "Wait")
    assert answer == (1, -1, 0, "lost") and client.get(lost, "LastErrorName") == "io.conbus1.Error.MonitorLost"


if __name__ == "__main__":
    main()
