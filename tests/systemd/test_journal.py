#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the journal is told: the messages of introspection/messages.txt with their fields, once each, explained by the catalog; and what happens when journald does not read."""

import json
import os
import signal
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [f"{SOURCE}/tests", f"{SOURCE}/introspection"]
from harness import CONTAINER, JOB, PROCESS, GLib, expect, main, options, run, service_log, wait_for  # noqa: E402
from messages import read_fields, read_messages  # noqa: E402

KINDS = {identity: member for member, identity, _, _, _ in read_messages(f"{SOURCE}/introspection/messages.txt")}
FIELDS = {name for name, _ in read_fields(f"{SOURCE}/introspection/messages.txt")}
IDS = {member: identity for identity, member in KINDS.items()}
BRIEF = ("sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.05; done")


def identity(path):
    return path.rsplit("/", 1)[1]


def entries(path):
    """Of a container, oldest first; the member of messages.txt is their kind."""
    run("journalctl", "--sync")
    found = [json.loads(line) for line in run("journalctl", "-b", "--no-pager", "-o", "json", "--all", f"CONBUS_CONTAINER_ID={identity(path)}").splitlines()]
    for entry in found:
        entry["kind"] = KINDS[entry["MESSAGE_ID"]]
        assert {name for name in entry if name.startswith("CONBUS_")} <= FIELDS, entry
        for name, value in entry.items():
            if isinstance(value, list):  # bytes: not all of it can be printed
                entry[name] = bytes(value).decode()
    return found


def kinds(path):
    return [entry["kind"] for entry in entries(path)]


def test_a_life_as_the_journal_tells_it(client):
    path = client.create("told", *BRIEF)
    client.call(path, CONTAINER, "Start")
    invocation, pid, unit = client.get(path, "InvocationId"), client.get(path, "MainPID"), client.get(path, "Unit")
    client.call(path, CONTAINER, "Pause")
    client.call(path, CONTAINER, "Resume")
    process = client.call(path, CONTAINER, "Exec", "asa{sv}", ["true"], {})[0]
    client.call(process, PROCESS, "Wait")
    client.call(path, CONTAINER, "Rename", "s", "told-again")
    job = client.call(path, CONTAINER, "Queue", "sa{sv}", "stop", options(timeout_usec=20000000))[0]
    client.call(job, JOB, "Wait")
    client.call(path, CONTAINER, "Remove")
    told = entries(path)
    assert [entry["kind"] for entry in told] == ["CREATED", "STARTED", "PAUSED", "RESUMED", "EXECUTED", "RENAMED", "STOPPING", "STOPPED", "REMOVED"], told
    for entry in told:
        assert entry["_SYSTEMD_UNIT"] == "conbus.service" and entry["SYSLOG_IDENTIFIER"] == "conbusd" and entry["OBJECT_SYSTEMD_UNIT"] == unit, entry
        assert (entry.get("CONBUS_RUN"), entry.get("CONBUS_INVOCATION_ID")) == ((None, None) if entry["kind"] == "CREATED" else ("1", "".join(f"{byte:02x}" for byte in invocation))), entry
        assert (entry.get("CONBUS_JOB") == job) == (entry["kind"] in ("STOPPING", "STOPPED")), entry
        assert entry["CONBUS_CONTAINER_NAME"] == ("told" if told.index(entry) < 5 else "told-again"), entry
        assert (entry.get("CONBUS_ACTOR_UID") == "0") == (entry["kind"] != "STOPPED"), entry
    started, stopped = told[1], told[7]
    assert started["CONBUS_PID"] == str(pid) and "told" in started["MESSAGE"]
    assert stopped["CONBUS_RESULT"] == "exit-code" and stopped["CONBUS_EXIT_CODE"] in ("4", "137")
    assert "has been paused" in run("journalctl", "-b", "--no-pager", "-u", unit), "the scope's own log has them as well"
    assert service_log().count('container "told" has been paused') == 1


def test_ends_by_themselves(client):
    for name, command, kind, code in (("good", "exit 0", "ENDED", "0"), ("bad", "exit 3", "FAILED", "3")):
        path = client.create(name, "sh", "-c", command)
        client.call(path, CONTAINER, "Start")
        client.call(path, CONTAINER, "Wait")
        end = entries(path)[-1]
        assert end["kind"] == kind and end["CONBUS_EXIT_CODE"] == code, end
    path = client.create("shot", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    os.kill(client.get(path, "MainPID"), signal.SIGKILL)
    client.call(path, CONTAINER, "Wait")
    end = entries(path)[-1]
    assert (end["kind"], end["CONBUS_EXIT_CODE"], end["CONBUS_EXIT_SIGNAL"]) == ("FAILED", "137", "9"), end
    path = client.create("large", "sh", "-c", "exec tail /dev/zero", memory=16 << 20)
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "Wait")
    end = entries(path)[-1]
    assert (end["kind"], end["CONBUS_RESULT"], end["CONBUS_EXIT_SIGNAL"], end["PRIORITY"]) == ("OUT_OF_MEMORY", "oom-kill", "9", "4"), end


def test_policies_and_health(client):
    health = GLib.Variant("a{sv}", options(test=["CMD-SHELL", "test ! -e /bad"], retries=GLib.Variant("u", 1), interval_usec=20000))
    path = client.create("well", "sleep", "1000", health=health, notify="healthy")
    client.call(path, CONTAINER, "StartWith", "a{sv}", options(wait="healthy"))
    client.call(path, CONTAINER, "ExecCapture", "asa{sv}", ["touch", "/bad"], {})
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["unhealthy"], {})
    assert kinds(path) == ["CREATED", "STARTED", "HEALTHY", "READY", "EXECUTED", "UNHEALTHY"], kinds(path)
    path = client.create("loop", "false", restart_policy="on-failure", restart_max=GLib.Variant("u", 2), restart_sec_usec=1000)
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(final=True))
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    told = entries(path)
    assert [entry["kind"] for entry in told] == ["CREATED"] + ["STARTED", "FAILED", "RESTART_PLANNED"] * 2 + ["STARTED", "FAILED", "RESTARTS_EXHAUSTED"], told
    assert [entry["CONBUS_RESTART_COUNT"] for entry in told if entry["kind"] == "RESTART_PLANNED"] == ["0", "1"]


def test_no_text_breaks_an_entry(client):
    directory = "/machine/gone\nFORGED=1\nMESSAGE_ID=00000000000000000000000000000000\n\x1b[31m" + "é" * 50
    os.makedirs(directory)
    path = client.create("odd", "true", rootfs=directory)
    os.rmdir(directory)
    expect("NoSuchPath", client.call, path, CONTAINER, "Start")
    failed = entries(path)[-1]
    assert failed["kind"] == "START_FAILED" and "FORGED" not in failed and failed["CONBUS_ERROR"] == "io.conbus1.Error.NoSuchPath", failed
    assert "/machine/gone\nFORGED=1\n" in failed["CONBUS_ERROR_MESSAGE"] and "\n" not in failed["MESSAGE"] and "\x1b" not in failed["MESSAGE"], failed
    assert "FORGED" not in run("journalctl", "-b", "--no-pager", "--fields")


def test_the_catalog_explains_every_message(client):
    run("journalctl", "--update-catalog")
    known = run("journalctl", "--dump-catalog", *KINDS)
    assert all(f"-- {number}" in known for number in KINDS)
    path = client.create("explained", "sh", "-c", "exit 3")
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "Wait")
    run("journalctl", "--sync")
    text = run("journalctl", "-x", "--no-pager", f"MESSAGE_ID={IDS['FAILED']}", f"CONBUS_CONTAINER_ID={identity(path)}")
    assert "Subject: Container explained has failed" in text and "Defined-By: conbus" in text and "with exit code 3" in text and "@" not in text.split("Subject", 1)[1], text


def test_the_log_level_and_the_target_count(client):
    path = client.create("quiet", *BRIEF)
    client.call(path, CONTAINER, "Start")
    before = kinds(path)
    run("systemctl", "service-log-level", "conbus.service", "warning")
    client.call(path, CONTAINER, "Pause")
    assert kinds(path) == before
    run("systemctl", "service-log-level", "conbus.service", "info")
    run("systemctl", "service-log-target", "conbus.service", "console")
    client.call(path, CONTAINER, "Resume")
    assert kinds(path) == before and service_log().count('container "quiet" has been resumed') == 1
    run("systemctl", "service-log-target", "conbus.service", "journal")
    client.call(path, CONTAINER, "Pause")
    assert kinds(path) == before + ["PAUSED"]


def test_what_runs_on_is_told_by_the_next_service(client):
    path = client.create("lasting", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    run("systemctl", "restart", "conbus.service")
    client.get(path, "State")
    assert kinds(path) == ["CREATED", "STARTED", "ADOPTED"]


def test_a_journald_that_does_not_read_holds_up_nothing(client):
    path = client.create("name-0", "true")
    journald = int(run("systemctl", "show", "--property=MainPID", "--value", "systemd-journald.service"))
    os.kill(journald, signal.SIGSTOP)
    try:
        wait_for(lambda: open(f"/proc/{journald}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()[0] == "T", "the stop of journald", poll=True)
        for number in range(1, 1500):
            client.call(path, CONTAINER, "Rename", "s", f"name-{number}", timeout=20)
    finally:
        os.kill(journald, signal.SIGCONT)
    run("journalctl", "--sync")
    client.call(path, CONTAINER, "Rename", "s", "last")
    told = entries(path)
    assert told[-1]["CONBUS_CONTAINER_NAME"] == "last" and 2 < len(told) < 1500, len(told)
    assert "lines of the log are missing here" in service_log()


if __name__ == "__main__":
    main("machine")
