#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every setting of a health check, what a result means, and that checks cost nothing where nothing changes."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, HEALTH, Error, GLib, expect, main, options, wait_for  # noqa: E402

SANDBOX = os.environ.get("CONBUS_SANDBOX", "")


def u32(value):
    return GLib.Variant("u", value)


def health(*test, **keys):
    keys.setdefault("interval_usec", 30000)
    return GLib.Variant("a{sv}", options(**{"test": list(test), **keys}))


def shared(name):
    path = f"{SANDBOX}/{name}"
    os.makedirs(path, exist_ok=True)
    os.chmod(path, 0o777)
    return path, GLib.Variant("aa{sv}", [options(target="/shared", source=path)])


def begin(client, name, *test, **keys):
    config = {key: keys.pop(key) for key in ("restart_policy", "restart_sec_usec", "stop_timeout_usec", "mounts", "notify") if key in keys}
    path = client.create(name, "sleep", "1000", health=health(*test, **keys), **config)
    client.call(path, CONTAINER, "Start")
    return path


def log(client, path, count=0):
    return client.call(path, HEALTH, "GetLog", "u", count)[0]


def wait_checks(client, path, count):
    wait_for(lambda: len(log(client, path)) >= count, f"{count} checks", poll=True)
    return log(client, path)


def wait(client, path, *conditions, **keys):
    return client.call(path, CONTAINER, "WaitFor", "asa{sv}", list(conditions), options(**keys))


def bring_down(client, path):
    """For one that is restarted all the time: the stop may come between two runs."""
    try:
        client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    except Error as error:
        assert error.name == "NotRunning", error
    assert client.get(path, "StoppedByUser") and client.get(path, "NextRestartTimestamp") == 0


def status(client, path):
    return client.get(path, "Status", HEALTH)


def statuses(client, path):
    return [arguments[1] for at, _, member, arguments in client.signals if at == path and member == "StatusChanged"]


# --- commands and codes ---


def test_forms_of_a_command(client):
    forms = {"bare": ["test", "-e", "/bin/sh"], "cmd": ["CMD", "test", "-e", "/bin/sh"], "shell": ["CMD-SHELL", "echo one; test -e /bin/sh && echo two"]}
    for name, test in forms.items():
        path = begin(client, name, *test)
        wait(client, path, "healthy")
        assert log(client, path)[-1][3] == ("one\ntwo" if name == "shell" else "")
    for name, check in (("none", options(test=["NONE"])), ("empty", options(test=GLib.Variant("as", []))), ("off", options(disable=True))):
        path = client.create(name, "sleep", "1000", health=GLib.Variant("a{sv}", check))
        client.call(path, CONTAINER, "Start")
        expect("NoHealthCheck", wait, client, path, "healthy")
        assert HEALTH not in client.call("/io/conbus1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0][path]


def test_codes_of_a_check(client):
    """0, any other as 1, also where a shell says that it found no command."""
    path = begin(client, "codes", "CMD-SHELL", "exit $(cat /code 2>/dev/null || echo 0)", interval_usec=0)
    for told, meant in ((0, 0), (1, 1), (7, 1), (125, 1), (126, 1), (127, 1), (255, 1)):
        with open(f"/proc/{client.get(path, 'MainPID')}/root/code", "w", encoding="ascii") as file:
            file.write(str(told))
        assert client.call(path, HEALTH, "Check")[1] == meant, told
    assert [entry[2] for entry in log(client, path)] == [1] * 5


def test_without_an_interval_only_check_checks(client):
    path = begin(client, "manual", "CMD", "true", interval_usec=0)
    assert client.get(path, "IntervalUSec", HEALTH) == 0
    client.call(path, CONTAINER, "Pause")
    client.call(path, CONTAINER, "Resume")
    assert log(client, path) == [] and status(client, path) == "suspended" and client.get(path, "LastCheckTimestamp", HEALTH) == 0
    before = client.call(path, CONTAINER, "GetProcesses")[0]
    assert client.call(path, HEALTH, "Check") == ("healthy", 0, "")
    assert len(log(client, path)) == 1 and client.call(path, CONTAINER, "GetProcesses")[0] == before


def test_what_cannot_be_executed_is_tried_again_after_a_second_and_counts_then(client):
    path = begin(client, "missing", "CMD", "/no/such/check", retries=u32(1), interval_usec=600000000)
    assert wait(client, path, "unhealthy")[0] == "unhealthy"
    second, first = log(client, path)[:2]
    assert first[2] == second[2] == 125 and "no/such/check" in first[3], first
    assert second[0] - first[1] >= 990000, "a second of the loop's clock, which another may see a little shorter"
    assert len(log(client, path)) == 2, "one retry, then it counts"


def test_the_time_of_a_check_and_its_children(client):
    path = begin(client, "hang", "CMD-SHELL", "(sleep 888; true) & (setsid sleep 888 &) ; sleep 888", timeout_usec=1000000, retries=u32(1), interval_usec=60000000)
    assert wait(client, path, "unhealthy")[0] == "unhealthy"
    entry = log(client, path)[0]
    assert entry[2] == -1 and entry[1] - entry[0] >= 900000
    wait_for(lambda: not [line for _, _, line in client.call(path, CONTAINER, "GetProcesses")[0] if "888" in line], "the end of its children", poll=True)
    expect("InvalidConfig", begin, client, "short", "CMD", "true", timeout_usec=999999)
    expect("InvalidConfig", begin, client, "often", "CMD", "true", interval_usec=999)


# --- what results mean ---


def test_retries_and_the_streak(client):
    path = begin(client, "retries", "CMD-SHELL", "test -e /ok", retries=u32(3), interval_usec=0)
    for streak, told in ((1, "starting"), (2, "starting"), (3, "unhealthy"), (4, "unhealthy")):
        assert client.call(path, HEALTH, "Check")[0] == told and client.get(path, "FailingStreak", HEALTH) == streak
    open(f"/proc/{client.get(path, 'MainPID')}/root/ok", "w", encoding="ascii").close()
    assert client.call(path, HEALTH, "Check")[0] == "healthy" and client.get(path, "FailingStreak", HEALTH) == 0
    client.wait_signal("StatusChanged", 3)
    assert statuses(client, path) == ["starting", "unhealthy", "healthy"]
    assert client.get("/io/conbus1", "NUnhealthy", "io.conbus1.Manager") == 0


def test_failures_of_the_start_period_do_not_count(client):
    path = begin(client, "slow", "CMD-SHELL", "test -e /ok", retries=u32(1), start_period_usec=60000000)
    wait_checks(client, path, 3)
    assert status(client, path) == "starting" and client.get(path, "FailingStreak", HEALTH) == 0
    open(f"/proc/{client.get(path, 'MainPID')}/root/ok", "w", encoding="ascii").close()
    assert wait(client, path, "healthy")[0] == "healthy"
    os.unlink(f"/proc/{client.get(path, 'MainPID')}/root/ok")
    assert wait(client, path, "unhealthy")[0] == "unhealthy", "after the first success every failure counts"


def test_the_streak_is_kept_while_paused(client):
    path = begin(client, "streak", "CMD", "false", retries=u32(4), interval_usec=0)
    for _ in range(2):
        client.call(path, HEALTH, "Check")
    client.call(path, CONTAINER, "Pause")
    assert status(client, path) == "suspended" and client.get(path, "FailingStreak", HEALTH) == 2
    client.call(path, CONTAINER, "Resume")
    assert status(client, path) == "suspended", "until the first result"
    assert client.call(path, HEALTH, "Check")[0] == "starting" and client.get(path, "FailingStreak", HEALTH) == 3
    assert client.call(path, HEALTH, "Check")[0] == "unhealthy"


def test_the_first_check_comes_at_once_and_after_a_resume(client):
    path = begin(client, "prompt", "CMD", "true", interval_usec=600000000)
    assert wait(client, path, "healthy")[0] == "healthy"
    client.call(path, CONTAINER, "Pause")
    client.call(path, CONTAINER, "Resume")
    assert wait(client, path, "healthy")[0] == "healthy" and len(log(client, path)) == 2
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert status(client, path) == "stopped"
    expect("NotRunning", client.call, path, HEALTH, "Check")


# --- the startup check ---


def test_only_the_startup_check_runs_until_it_has_passed(client):
    directory, mounts = shared("startup")
    path = begin(client, "startup", "CMD-SHELL", "echo regular >>/shared/order", mounts=mounts, interval_usec=30000,
                 startup_test=["CMD-SHELL", "echo startup >>/shared/order; n=$(grep -c startup /shared/order); [ $n != 3 ]"], startup_interval_usec=30000, startup_successes=u32(3))
    assert wait(client, path, "healthy")[0] == "healthy"
    with open(f"{directory}/order", encoding="ascii") as file:
        order = file.read().split()
    # Two successes, a failure that begins the count anew, three in a row.
    assert order[:7] == ["startup"] * 6 + ["regular"], order
    client.wait_signal("StatusChanged", 2)
    assert statuses(client, path)[:2] == ["starting", "healthy"]


def test_a_startup_check_that_fails_restarts(client):
    path = begin(client, "never", "CMD", "true", startup_test=["CMD", "false"], startup_interval_usec=20000, startup_retries=u32(2), stop_timeout_usec=0, restart_sec_usec=10000)
    assert wait(client, path, "stopped", run=2)[1] == 2
    assert "healthy" not in statuses(client, path) and not client.get(path, "StoppedByUser")
    patient = begin(client, "patient", "CMD", "true", startup_test=["CMD", "false"], startup_interval_usec=20000)
    wait_checks(client, patient, 5)
    assert client.get(patient, "Run") == 1 and status(client, patient) == "starting"


def test_the_startup_check_has_its_own_time(client):
    path = begin(client, "own", "CMD", "true", timeout_usec=60000000, startup_test=["CMD", "sleep", "999"], startup_interval_usec=600000000, startup_timeout_usec=1000000)
    assert wait_checks(client, path, 1)[0][2] == -1


# --- actions ---


def test_actions_of_an_unhealthy_one(client):
    none = begin(client, "none", "CMD", "false", retries=u32(1))
    assert wait(client, none, "unhealthy")[0] == "unhealthy"
    wait_checks(client, none, 3)
    assert client.get(none, "State") == "running"
    kill = begin(client, "kill", "CMD", "false", retries=u32(1), on_failure="kill", restart_policy="unless-stopped", restart_sec_usec=10000)
    assert wait(client, kill, "stopped", run=1)[1:4] == (1, 137, 9)
    assert wait(client, kill, "stopped", run=2)[1] == 2, "the policy applies"
    client.call(kill, CONTAINER, "SetRestartPolicy", "su", "no", 0)
    stop = begin(client, "stop", "CMD", "false", retries=u32(1), on_failure="stop", stop_timeout_usec=0, restart_policy="unless-stopped", restart_sec_usec=10000)
    wait(client, stop, "exited")
    assert client.get(stop, "StoppedByUser") and client.call(stop, CONTAINER, "ShouldRestart") == (False, "stopped-by-user")
    assert client.call(stop, CONTAINER, "GetRun", "t", 1)[0]["health"] == "unhealthy"
    assert client.get(stop, "OnFailure", HEALTH) == "stop"


def test_the_action_runs_once_for_each_turn(client):
    path = begin(client, "turns", "CMD", "false", retries=u32(1), on_failure="restart", stop_timeout_usec=0, restart_sec_usec=10000)
    assert wait(client, path, "stopped", run=2)[1] == 2
    bring_down(client, path)
    kinds = [arguments[1] for at, _, member, arguments in client.signals if at == path and member == "StatusChanged"]
    runs = client.get(path, "Run")
    assert kinds.count("unhealthy") <= runs and client.call(path, CONTAINER, "ListRuns", "u", 0)[0][-1]["result"] == "signal"


# --- logs ---


def test_how_much_of_the_results_is_kept(client):
    path = begin(client, "long", "CMD-SHELL", "i=0; while [ $i -lt 400 ]; do printf ä€; i=$((i + 1)); done", interval_usec=0, log_count=u32(2), log_size=u32(501))
    for _ in range(3):
        output = client.call(path, HEALTH, "Check")[2]
    assert output == "ä€" * 250 + "ä" and len(log(client, path)) == 2 and len(log(client, path, 1)) == 1
    newest, older = log(client, path)
    assert newest[0] >= older[1]
    whole = begin(client, "whole", "CMD-SHELL", "dd if=/dev/zero bs=1000 count=300 2>/dev/null | tr '\\0' x", interval_usec=0, log_count=u32(0), log_size=u32(0))
    for _ in range(5):
        assert len(client.call(whole, HEALTH, "Check")[2]) == 300000
    assert len(log(client, whole)) == 3, "at most 1 MiB in all"


def test_results_in_a_directory(client):
    directory, _ = shared("results")
    path = begin(client, "files", "CMD-SHELL", "echo 'a \"b\"'", interval_usec=0, log_destination=directory, log_count=u32(3))
    for _ in range(80):
        client.call(path, HEALTH, "Check")
    with open(f"{directory}/{path.rsplit('/', 1)[1]}-healthcheck.log", encoding="utf-8") as file:
        lines = file.read().splitlines()
    assert 3 <= len(lines) <= 36, len(lines)
    start, end, code, text = lines[-1].split(" ", 3)
    assert (int(start), int(end), int(code)) == log(client, path)[0][:3] and text == '"a \\"b\\""'
    assert oct(os.stat(f"{directory}/{path.rsplit('/', 1)[1]}-healthcheck.log").st_mode)[-3:] == "600"


def test_results_in_the_event_log(client):
    path = begin(client, "events", "CMD-SHELL", "echo fine", interval_usec=0, log_destination="events")
    seq = client.get("/io/conbus1", "EventSeq", "io.conbus1.Manager")
    client.signals.clear()
    for _ in range(3):
        client.call(path, HEALTH, "Check")
    events = [event for event in client.manager("GetEvents", "tua{sv}", seq, 100, {})[0] if event[3] == "health-check"]
    assert [(event[6]["check-code"], event[6]["output"]) for event in events] == [(0, "fine")] * 3
    assert not [event for event in client.signals_of("Event") if event[3] == "health-check"], "without a signal"


def test_streak_and_results_go_over_to_the_next_service(client):
    path = begin(client, "kept", "CMD-SHELL", "echo bad; exit 1", retries=u32(5), interval_usec=0)
    for _ in range(3):
        client.call(path, HEALTH, "Check")
    before = log(client, path)
    client.kill_service(15)
    assert log(client, path) == before, (log(client, path), before)
    assert client.get(path, "FailingStreak", HEALTH) == 3, client.get(path, "FailingStreak", HEALTH)
    assert client.get(path, "LastCheckTimestamp", HEALTH) == before[0][1]
    client.call(path, HEALTH, "Check")
    assert client.call(path, HEALTH, "Check")[0] == "unhealthy"
    client.kill_service(9)
    assert status(client, path) == "unhealthy" and log(client, path) == [], "a crash loses the results and nothing else"


# --- what they cost ---


def test_nothing_is_written_or_told_where_nothing_changes(client):
    path = begin(client, "quiet", "CMD", "true", interval_usec=20000, log_count=u32(0))
    wait(client, path, "healthy")
    wait_checks(client, path, 3)
    client.signals.clear()
    wal = os.stat("/var/lib/conbus/conbus.db-wal")
    seq = client.get("/io/conbus1", "EventSeq", "io.conbus1.Manager")
    wait_checks(client, path, 15)
    after = os.stat("/var/lib/conbus/conbus.db-wal")
    assert (after.st_size, after.st_mtime_ns) == (wal.st_size, wal.st_mtime_ns), "a check that changes nothing is not stored"
    assert client.get("/io/conbus1", "EventSeq", "io.conbus1.Manager") == seq and client.signals == []


def test_checks_that_are_due_together_wait_in_line(client):
    """All are asked for at once; each leaves a mark while it runs. tests/operation/test-many-checks.c has hundreds."""
    directory, mounts = shared("herd")
    script = "touch /shared/$HOSTNAME; ls /shared | wc -l >>/shared/.seen; sleep 0.1; rm /shared/$HOSTNAME; echo $HOSTNAME >>/shared/.done"
    paths = [begin(client, f"herd{i}", "CMD-SHELL", script, mounts=mounts, interval_usec=600000000) for i in range(40)]
    for path in paths:
        wait(client, path, "healthy")
    for name in (".seen", ".done"):
        os.unlink(f"{directory}/{name}")
    boxes = [client.begin(path, HEALTH, "Check") for path in paths]
    assert {client.finish(box)[:2] for box in boxes} == {("healthy", 0)}
    with open(f"{directory}/.done", encoding="ascii") as file:
        names = file.read().split()
    with open(f"{directory}/.seen", encoding="ascii") as file:
        most = max(int(line) for line in file.read().split())
    assert 1 < most <= 8, f"{most} checks ran at once"
    assert len(names) == len(set(names)) == len(paths), "each had its turn, once"


def test_the_rhythm_of_checks_goes_on_over_a_restart(client):
    """Orderly: the next check comes an interval after the last one. After a crash, which forgets the last one: at some time of the interval, but at once where there has been none."""
    path = begin(client, "steady", "CMD", "true", interval_usec=2000000, log_count=u32(0))
    wait(client, path, "healthy")
    late = begin(client, "late", "CMD", "true", interval_usec=600000000)
    wait(client, late, "healthy")
    never = begin(client, "never", "CMD", "true", interval_usec=600000000)
    wait(client, never, "healthy")
    before = log(client, path)
    client.kill_service(15)
    entries = wait_checks(client, path, len(before) + 2)[::-1]
    assert entries[: len(before)] == before[::-1]
    for earlier, later in zip(entries, entries[1:]):
        assert later[0] - earlier[1] >= 1990000, "an interval after the end of the one before"
    assert len(log(client, late)) == 1
    client.kill_service(9)
    wait_checks(client, path, 1)
    assert status(client, late) == "healthy"


if __name__ == "__main__":
    main()
