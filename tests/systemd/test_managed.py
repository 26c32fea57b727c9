#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Containers that a unit owns, as D-Bus clients see them: what they ask for becomes a job on the unit, or goes past it."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import CONTAINER, DEADLINE, JOB, Client, GLib, expect, main, options, run, wait_for, wait_output  # noqa: E402
from units import HEEDS, drop_in, end_of, has_ended_well, journal, managed, owner, results, show, systemctl, unit_of, wait_free, wait_state  # noqa: E402

DEAF = ("sh", "-c", "trap : TERM; trap 'exit 5' INT; echo up; while :; do sleep 0.05; done")


def conbusctl(*words):
    done = subprocess.run(["conbusctl", *words], capture_output=True, text=True, timeout=DEADLINE, check=False)
    return done.returncode, done.stdout, done.stderr


def events(client, action):
    return [event for event in client.manager("GetEvents", "tua{sv}", 0, 0, {})[0] if event[3] == action]


def test_a_stop_is_a_job_on_the_unit(client):
    path, unit = managed(client, "web", service="Restart=always\nRestartSec=0")
    assert client.call(path, CONTAINER, "Stop") == (1,)
    assert show(unit, "ActiveState") == "inactive" and has_ended_well(unit) and client.get(path, "State") == "exited"
    assert f"Stopping {unit}" in journal(unit) and client.get(path, "StoppedByUser")
    wait_free(client, path)
    expect("NotRunning", client.call, path, CONTAINER, "Stop")


def test_a_restart_is_a_job_on_the_unit(client):
    path, unit = managed(client, "again")
    for number in range(2, 10):  # more often than StartLimitBurst= has it
        assert client.call(path, CONTAINER, "Restart") == (number,)
        assert show(unit, "ActiveState") == "active" and owner(client, path) == unit
    job = client.call(path, CONTAINER, "Queue", "sa{sv}", "restart", {})[0]
    assert client.call(job, JOB, "Wait")[0]["run"] == 10
    assert run("journalctl", "--no-pager", "-o", "cat", "-b", "-u", unit).count(f"Started {unit}") == 10
    client.call(path, CONTAINER, "Pause")
    expect("InvalidState", client.call, path, CONTAINER, "Restart")
    expect("InvalidState", client.call, path, CONTAINER, "Start")
    client.call(path, CONTAINER, "Resume")
    expect("AlreadyRunning", client.call, path, CONTAINER, "Start")


def test_the_options_of_a_stop_reach_it(client):
    path, unit = managed(client, "web", *DEAF, stop_timeout_usec=600000000)
    wait_output(path, "up")
    assert client.call(path, CONTAINER, "StopWith", "a{sv}", options(signal=GLib.Variant("i", 2), reason="upgrade")) == (1,)
    assert end_of(client, path)["exit-code"] == 5 and events(client, "stop")[-1][6]["reason"] == "upgrade"
    systemctl("start", unit)
    assert client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0)) == (2,)
    assert end_of(client, path)["signal"] == 9 and "reason" not in events(client, "stop")[-1][6]


def test_a_shorter_stop_joins_one_of_the_unit(client):
    path, unit = managed(client, "web", *DEAF, stop_timeout_usec=600000000, service="TimeoutStopSec=10min")
    wait_output(path, "up")
    with subprocess.Popen(["systemctl", "stop", unit]) as stop:
        client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopping"], {})
        other = Client()
        assert other.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0)) == (1,)
        assert stop.wait(DEADLINE) == 0
    assert end_of(client, path)["signal"] == 9


def test_many_who_stop_are_all_answered(client):
    path, unit = managed(client, "web")
    clients = [Client(signals=False) for _ in range(5)]
    stops = [other.begin(path, CONTAINER, "Stop") for other in clients]
    assert [other.finish(box) for other, box in zip(clients, stops)] == [(1,)] * 5
    assert show(unit, "ActiveState") == "inactive"


def test_past_the_unit(client):
    path, unit = managed(client, "web", service="Restart=no")
    assert client.call(path, CONTAINER, "StopWith", "a{sv}", options(force_direct=True)) == (1,)
    assert wait_state(unit, "inactive", "failed") == "inactive"
    assert f"Stopping {unit}" not in journal(unit), "the unit has seen an end, and no stop"
    wait_free(client, path)
    systemctl("start", unit)
    assert client.call(path, CONTAINER, "RestartWith", "a{sv}", options(force_direct=True)) == (3,)
    wait_state(unit, "inactive", "failed")
    assert client.get(path, "State") == "running" and owner(client, path) == ""
    systemctl("start", unit)
    assert client.get(path, "Run") == 3 and owner(client, path) == unit
    client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force_direct=True, force=True))
    wait_state(unit, "inactive", "failed")


def test_kill_goes_to_the_container(client):
    path, unit = managed(client, "web", "sh", "-c", "trap 'echo hup' HUP; trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done", service="Restart=on-failure\nRestartSec=0")
    wait_output(path, "up")
    client.call(path, CONTAINER, "Kill", "si", "leader", 1)
    wait_output(path, "hup")
    assert client.get(path, "Run") == 1
    client.call(path, CONTAINER, "Kill", "si", "leader", 15)
    wait_for(lambda: client.get(path, "Run") == 2 and client.get(path, "State") == "running", "the restart that the unit has decided on")
    assert owner(client, path) == unit


def test_what_it_cannot_ask(client):
    path, unit = managed(client, "web")
    drop_in(unit, "[Unit]\nRefuseManualStop=yes\n")
    for method in "Stop", "Restart":
        message = expect("ManagedByUnit", client.call, path, CONTAINER, method)
        assert unit in message and "force-direct" in message, message
    job = client.call(path, CONTAINER, "Queue", "sa{sv}", "stop", {})[0]
    expect("ManagedByUnit", client.call, job, JOB, "Wait")
    expect("ManagedByUnit", client.call, path, CONTAINER, "RemoveWith", "a{sv}", options(force=True))
    assert client.get(path, "State") == "running" and owner(client, path) == unit
    assert client.call(path, CONTAINER, "StopWith", "a{sv}", options(force_direct=True)) == (1,)
    drop_in(unit, "")


def test_a_job_that_fails_says_what_the_container_said(client):
    path, unit = managed(client, "web", "sh", "-c", "exit 3", service="Restart=on-failure\nRestartSec=1h")
    wait_for(lambda: show(unit, "SubState") == "auto-restart", "the end", poll=True)
    os.rename("/machine/rootfs/bin/sh", "/machine/rootfs/bin/gone")
    message = expect("RuntimeCommandNotFound", client.call, path, CONTAINER, "Start")
    os.rename("/machine/rootfs/bin/gone", "/machine/rootfs/bin/sh")
    assert unit in message, message
    assert show(unit, "SubState") == "auto-restart" and owner(client, path) == unit
    systemctl("stop", unit)
    wait_free(client, path)


def test_a_job_that_fails_for_the_units_own_reasons(client):
    path, unit = managed(client, "web", service="Restart=on-failure\nRestartSec=1h")
    drop_in(unit, "[Service]\nExecStartPre=false\n")
    message = expect("UnitFailed", client.call, path, CONTAINER, "Restart")
    assert unit in message and "systemctl status" in message, message
    assert client.get(path, "State") == "exited"


def test_a_start_that_is_cancelled_is_undone(client):
    check = GLib.Variant("a{sv}", {"test": GLib.Variant("as", ["CMD", "test", "-e", "/tmp/go"]), "retries": GLib.Variant("u", 100000), "interval-usec": GLib.Variant("t", 100000)})
    path, unit = client.create("slow", *HEEDS, notify="healthy", health=check), unit_of("slow")
    with subprocess.Popen(["systemctl", "start", unit], stderr=subprocess.DEVNULL) as starting:
        client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["running"], {})
        job = client.call(path, CONTAINER, "Queue", "sa{sv}", "restart", {})[0]
        client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["running"], options(after_run=1))
        client.call(job, JOB, "Cancel")
        expect("Cancelled", client.call, job, JOB, "Wait")
        starting.wait(DEADLINE)
    assert show(unit, "ActiveState") in ("inactive", "failed") and client.get(path, "State") == "exited"


def test_attaching_before_a_start_needs_to_go_past_it(client):
    path, unit = managed(client, "web", "sh", "-c", "sleep 0.2; exit 3", service="Restart=on-failure\nRestartSec=1h")
    wait_for(lambda: show(unit, "SubState") == "auto-restart", "the end", poll=True)
    message = expect("ManagedByUnit", client.call, path, CONTAINER, "StartWith", "a{sv}", {"attach": GLib.Variant("a{sv}", {})})
    assert "attach" in message, message
    systemctl("stop", unit)


def test_a_removal_stops_the_unit_first(client):
    path, unit = managed(client, "web", service="Restart=always\nRestartSec=0")
    expect("InvalidState", client.call, path, CONTAINER, "Remove")
    assert show(unit, "ActiveState") == "active"
    client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True))
    assert show(unit, "ActiveState") == "inactive" and has_ended_well(unit)
    expect("NoSuchContainer", client.manager, "GetContainer", "s", "web")
    assert client.manager("GetRun", "st", path.rsplit("/", 1)[1], 1)[0]["exit-code"] == 0


def test_a_removal_with_dependents(client):
    (db, first), (web, second) = managed(client, "db"), (None, None)
    web, second = managed(client, "web", depends=["db"])
    expect("DependentsExist", client.call, db, CONTAINER, "RemoveWith", "a{sv}", options(force=True))
    assert show(first, "ActiveState") == show(second, "ActiveState") == "active"
    client.call(db, CONTAINER, "RemoveWith", "a{sv}", options(force=True, dependents=True))
    assert show(first, "ActiveState") == show(second, "ActiveState") == "inactive"
    assert client.manager("ListContainers")[0] == []
    ended = {name: client.manager("GetRun", "st", path.rsplit("/", 1)[1], 1)[0] for name, path in (("db", db), ("web", web))}
    assert ended["web"]["finish"] < ended["db"]["finish"]


def test_auto_remove_goes_with_the_run(client):
    path, unit = managed(client, "web", auto_remove=True)
    assert systemctl("stop", unit) == (0, "")
    client.manager("WaitAny", "a(ot)asa{sv}", [(path, 1)], ["removed"], {})
    expect("NoSuchContainer", client.manager, "GetContainer", "s", "web")


def check_of(action, sign):
    return GLib.Variant("a{sv}", {"test": GLib.Variant("as", ["CMD", "test", "!", "-e", sign]), "interval-usec": GLib.Variant("t", 100000), "retries": GLib.Variant("u", 1), "on-failure": GLib.Variant("s", action)})


def test_health_goes_by_the_unit(client):
    path, unit = managed(client, "ill", *HEEDS, health=check_of("restart", "/tmp/bad"))
    client.call(path, CONTAINER, "ExecCapture", "asa{sv}", ["touch", "/tmp/bad"], {})
    wait_for(lambda: client.get(path, "Run") >= 2 and f"Started {unit}" in journal(unit), "a restart by the unit", poll=True)
    assert owner(client, path) == unit and f"Stopping {unit}" in run("journalctl", "--no-pager", "-o", "cat", "-b", "-u", unit)
    assert client.get(path, "NextRestartTimestamp") == 0
    systemctl("stop", unit)
    path, unit = managed(client, "down", *HEEDS, health=check_of("stop", "/tmp/bad"), service="Restart=always\nRestartSec=0")
    client.call(path, CONTAINER, "ExecCapture", "asa{sv}", ["touch", "/tmp/bad"], {})
    wait_state(unit, "inactive", "failed")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    assert client.get(path, "Run") == 1 and client.get(path, "StoppedByUser")


def test_a_restart_of_the_service_between_job_and_answer(client):
    path, unit = managed(client, "web", *DEAF, stop_timeout_usec=1000000)
    wait_output(path, "up")
    box = client.begin(path, CONTAINER, "Stop")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopping"], {})
    client.kill_service(9)
    expect("NoReply", client.finish, box)
    wait_state(unit, "failed")
    assert client.get(path, "State") == "exited" and results(unit)[:2] == ["2", "9"]
    wait_free(client, path)


def test_conbusctl_says_so(client):
    path, unit = managed(client, "web")
    listed = conbusctl("ps")[1].splitlines()
    assert "MANAGED BY" in listed[0] and unit in listed[1]
    assert json.loads(conbusctl("inspect", "web")[1])["ManagedBy"] == unit
    status, output, said = conbusctl("restart", "web")
    assert (status, output) == (0, "") and said == f"web: done by a job of the service manager on {unit}\n"
    status, output, said = conbusctl("--json", "stop", "web")
    assert status == 0 and json.loads(output) == [2] and said == "", (output, said)
    wait_free(client, path)
    systemctl("start", unit)
    status, output, said = conbusctl("stop", "--force-direct", "web")
    assert (status, output, said) == (0, "", "")
    wait_free(client, path)
    status, output, said = conbusctl("start", "web")
    assert (status, output, said) == (0, "", "")


def test_the_owner_is_no_secret_and_no_right(client):
    """A user without rights sees it, and is refused as ever."""
    path, unit = managed(client, "web")
    words = ["setpriv", "--reuid=65534", "--clear-groups", "busctl", "--allow-interactive-authorization=no"]
    seen = subprocess.run([*words, "get-property", "io.conbus1", path, CONTAINER, "ManagedBy"], stdout=subprocess.PIPE, text=True, timeout=DEADLINE, check=True)
    assert seen.stdout == f's "{unit}"\n'
    for method in (["StopWith", "a{sv}", "1", "force-direct", "b", "true"], ["Stop"], ["StartWith", "a{sv}", "1", "managed", "b", "true"]):
        refused = subprocess.run([*words, "call", "io.conbus1", path, CONTAINER, *method], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE, check=False)
        assert refused.returncode != 0 and "io.conbus1.manage" in refused.stdout, refused.stdout
    assert client.get(path, "State") == "running" and owner(client, path) == unit


if __name__ == "__main__":
    main("machine")
