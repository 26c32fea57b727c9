#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""conbus-container@NAME.service as systemctl sees it: start, readiness, stop, how it ends, names, order, restarts of the service."""

import os
import signal
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import CONTAINER, DEADLINE, GLib, expect, main, options, run, wait_for, wait_output  # noqa: E402
from units import HEEDS, drop_in, end_of, has_ended_well, journal, managed, owner, results, show, systemctl, unit_of, wait_free, wait_state  # noqa: E402

NOTIFY = "import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(sys.argv[1]); s.send(b'READY=1')"


def begin(*words):
    return subprocess.Popen(["systemctl", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: R1732


def finish(process):
    said = process.communicate(timeout=4 * DEADLINE)[0]
    return process.returncode, said


def health(*test, retries=1):
    return GLib.Variant("a{sv}", {"test": GLib.Variant("as", list(test)), "interval-usec": GLib.Variant("t", 50000), "retries": GLib.Variant("u", retries)})


# --- starting ---


def test_start_and_stop(client):
    path, unit = managed(client, "web")
    assert show(unit, "ActiveState", "SubState") == ["active", "running"]
    assert client.get(path, "State") == "running" and owner(client, path) == unit
    assert client.manager("GetContainerByUnit", "s", unit) == (path,) == client.manager("GetContainerByUnit", "s", client.get(path, "Unit"))
    assert [entry[0] for entry in client.manager("QueryContainers", "a{sv}as", options(unit=unit), ["Name"])[0]] == [path]
    text = run("systemctl", "status", "--no-pager", unit)
    assert f'Status: "Container web, run 1, process {client.get(path, "MainPID")}: running"' in text, text
    changes = [change for interface, change, _ in client.signals_of("PropertiesChanged") if interface == CONTAINER and "ManagedBy" in change]
    assert [change["ManagedBy"] for change in changes] == [unit], changes
    assert systemctl("stop", unit) == (0, "")
    assert client.get(path, "State") == "exited" and client.get(path, "StoppedByUser")
    assert has_ended_well(unit) and show(unit, "ActiveState") == "inactive"
    wait_free(client, path)
    expect("NoSuchContainer", client.manager, "GetContainerByUnit", "s", unit)
    assert client.manager("QueryContainers", "a{sv}as", options(unit=unit), ["Name"])[0] == []


def test_restart_makes_a_new_run(client):
    path, unit = managed(client, "web")
    assert systemctl("restart", unit) == (0, "")
    assert client.get(path, "Run") == 2 and client.get(path, "State") == "running" and owner(client, path) == unit
    assert end_of(client, path, 1)["exit-code"] == 0


def test_readiness_is_the_payloads(client):
    path = client.create("daemon", *HEEDS, notify="ready")
    starting = begin("start", unit_of("daemon"))
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["running"], {})
    wait_for(lambda: "starting" in show(unit_of("daemon"), "StatusText"), "status", poll=True)
    assert show(unit_of("daemon"), "ActiveState") == "activating" and starting.poll() is None
    root = f"/proc/{client.get(path, 'MainPID')}/root"
    environment = open(f"/proc/{client.get(path, 'MainPID')}/environ", encoding="utf-8").read().split("\0")
    address = [word.split("=", 1)[1] for word in environment if word.startswith("NOTIFY_SOCKET=")][0]
    group = open(f"/proc/{client.get(path, 'MainPID')}/cgroup", encoding="ascii").read()
    enter(group, root + address)
    assert finish(starting) == (0, "")
    assert client.get(path, "Ready") and show(unit_of("daemon"), "ActiveState") == "active"


def enter(groups, address):
    """Sends READY=1 from within the container's groups."""
    hierarchies = [line.split(":", 2)[1:] for line in groups.splitlines()]
    with subprocess.Popen(["sh", "-c", 'read x; exec "$@"', "sh", sys.executable, "-c", NOTIFY, address], stdin=subprocess.PIPE, text=True) as process:
        for controllers, group in hierarchies:
            place = f"/sys/fs/cgroup/{controllers.removeprefix('name=').split(',')[0]}{group}/cgroup.procs"
            if os.path.exists(place):
                with open(place, "w", encoding="ascii") as file:
                    file.write(str(process.pid))
        process.communicate("\n", timeout=DEADLINE)
        assert process.returncode == 0


def test_readiness_is_health(client):
    path, unit = managed(client, "well", *HEEDS, notify="healthy", health=health("CMD", "true"))
    assert client.get(path, "Ready") and show(unit, "ActiveState") == "active"
    wait_for(lambda: show(unit, "StatusText").endswith("running, healthy"), "status", poll=True)


def test_unhealthy_before_it_is_ready(client):
    path = client.create("ill", *HEEDS, notify="healthy", health=health("CMD", "false"))
    status, _ = systemctl("start", unit_of("ill"))
    assert status == 1 and results(unit_of("ill")) == ["1", "125", "exit-code"]
    assert client.get(path, "State") == "exited"
    assert "unhealthy" in journal(unit_of("ill"))


def test_an_end_before_it_is_ready(client):
    client.create("brief", "sh", "-c", "exit 4", notify="ready")
    status, _ = systemctl("start", unit_of("brief"))
    assert status == 1 and results(unit_of("brief"))[:2] == ["1", "4"]


def test_a_quick_end_is_a_start(client):
    client.create("quick", "true")
    for _ in range(5):  # StartLimitBurst= allows as many
        assert systemctl("start", unit_of("quick")) == (0, "")
        wait_state(unit_of("quick"), "inactive")
    assert has_ended_well(unit_of("quick")) and client.get("/container/quick", "Run") == 5


def test_starts_that_fail_say_how(client):
    client.create("missing", "/nosuch")
    client.create("forbidden", "/etc/passwd")
    for name, code in ("nobody", "125"), ("forbidden", "126"), ("missing", "127"):
        status, _ = systemctl("start", unit_of(name))
        assert status == 1 and results(unit_of(name)) == ["1", code, "exit-code"], (name, results(unit_of(name)))
        assert f"container {name}" in run("systemctl", "status", "--no-pager", unit_of(name), check=False)
    wait_free(client, "/container/missing")


def test_it_takes_charge_of_what_runs(client):
    path = client.create("web", *HEEDS)
    client.call(path, CONTAINER, "Start")
    pid = client.get(path, "MainPID")
    assert systemctl("start", unit_of("web")) == (0, "")
    assert (client.get(path, "Run"), client.get(path, "MainPID"), owner(client, path)) == (1, pid, unit_of("web"))
    client.call(path, CONTAINER, "Pause")
    wait_for(lambda: show(unit_of("web"), "StatusText").endswith("paused"), "status", poll=True)
    assert systemctl("stop", unit_of("web")) == (0, "")
    assert client.get(path, "State") == "exited"


def test_it_starts_after_a_stop_that_is_under_way(client):
    path = client.create("web", "sh", "-c", "trap : TERM; echo up; while :; do sleep 0.05; done")
    client.call(path, CONTAINER, "Start")
    wait_output(path, "up")
    stop = client.begin(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=1000000))
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopping"], {})
    assert systemctl("start", unit_of("web")) == (0, "")
    assert client.finish(stop) == (1,) and client.get(path, "Run") == 2
    run("systemctl", "kill", "-s", "KILL", unit_of("web"))


# --- ending ---


def test_the_exit_code_is_the_containers(client):
    for code in 0, 3, 255:
        path = client.create(f"job{code}", "sh", "-c", f"read x </go; exit {code}", mounts=GLib.Variant("aa{sv}", [fifo(code)]))
        assert systemctl("start", unit_of(f"job{code}")) == (0, "")
        open(f"/run/go{code}", "w", encoding="ascii").close()
        assert wait_state(unit_of(f"job{code}"), "inactive", "failed") == ("failed" if code else "inactive")
        assert results(unit_of(f"job{code}")) == ["1", str(code), "exit-code"] if code else has_ended_well(unit_of("job0"))
        assert end_of(client, path)["exit-code"] == code


def fifo(number):
    os.mkfifo(f"/run/go{number}")
    return options(type="bind", source=f"/run/go{number}", target="/go")


def faulty_program():
    """An ELF program for this machine whose first instruction is none."""
    machine, instruction = {"x86_64": (62, b"\x0f\x0b"), "aarch64": (183, b"\x00\x00\x00\x00")}[os.uname().machine]
    start = 0x400000 + 64 + 56
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, machine, 1, start, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, 64 + 56 + len(instruction), 64 + 56 + len(instruction), 4096) + instruction


def test_a_signal_is_a_signal(client):
    path, unit = managed(client, "hit")
    os.kill(client.get(path, "MainPID"), signal.SIGKILL)
    wait_state(unit, "failed")
    assert results(unit) == ["2", "9", "signal"] and end_of(client, path)["exit-code"] == 137
    # What a process does to itself ends even a PID 1.
    with open(f"{os.environ['CONBUS_TEST_ROOTFS']}/fault", "wb") as file:
        file.write(faulty_program())
    os.chmod(f"{os.environ['CONBUS_TEST_ROOTFS']}/fault", 0o755)
    path, unit = managed(client, "ill", "sh", "-c", "sleep 0.3; exec /fault")
    wait_state(unit, "failed")
    assert results(unit) == ["2", str(int(signal.SIGILL)), "signal"] and end_of(client, path)["signal"] == signal.SIGILL
    assert "core" not in journal(unit)
    # What a program that handles SIGTERM, or an init process in front of it, makes of its end is an orderly one.
    path, unit = managed(client, "told", "sh", "-c", "trap 'exit 143' TERM; echo up; while :; do sleep 0.05; done")
    wait_output(path, "up")
    assert systemctl("stop", unit) == (0, "")
    assert end_of(client, path)["exit-code"] == 143 and show(unit, "ActiveState", "Result") == ["inactive", "success"]


def test_one_that_heeds_no_signal_is_killed_in_time(client):
    path, unit = managed(client, "deaf", "sleep", "1000", stop_timeout_usec=600000000, service="TimeoutStopSec=2s")
    assert systemctl("stop", unit)[0] == 0
    assert end_of(client, path)["signal"] == 9 and client.get(path, "State") == "exited"
    assert results(unit)[:2] == ["2", "9"] and show(unit, "Result") == "signal", results(unit)  # its own end, not the timeout of the unit


def test_systemctl_kill(client):
    path, unit = managed(client, "web")
    for number in "HUP", "USR1", "USR2":
        run("systemctl", "kill", "-s", number, unit)
    run("systemctl", "kill", unit)
    assert wait_state(unit, "inactive", "failed") == "inactive" and end_of(client, path)["exit-code"] == 0
    assert client.get(path, "Run") == 1


def test_what_a_killed_main_process_leaves_is_stopped(client):
    path, unit = managed(client, "web")
    run("systemctl", "kill", "-s", "KILL", unit)
    wait_state(unit, "failed")
    assert client.get(path, "State") == "exited" and end_of(client, path)["exit-code"] == 0
    wait_free(client, path)


def test_restart_of_the_unit_decides(client):
    """The container's own policy rests: the back-off of 100 ms would have been quicker."""
    path, unit = managed(client, "web", "sh", "-c", "echo up; sleep 0.2; exit 3", service="Restart=on-failure\nRestartSec=1h", restart_policy="always")
    wait_for(lambda: show(unit, "SubState") == "auto-restart", "the end of the run", poll=True)
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    assert client.get(path, "NextRestartTimestamp") == 0 and client.get(path, "Run") == 1
    assert owner(client, path) == unit and client.call(path, CONTAINER, "ShouldRestart") == (False, "managed-by-unit")
    assert client.call(path, CONTAINER, "Start") == (2,)
    wait_for(lambda: show(unit, "SubState") == "auto-restart", "the end of the second run", poll=True)
    expect("NotRunning", client.call, path, CONTAINER, "Stop")
    assert show(unit, "ActiveState") in ("inactive", "failed") and client.get(path, "StoppedByUser")
    drop_in(unit, "[Service]\nRestart=on-failure\nRestartSec=50ms\nStartLimitIntervalSec=0\n")
    run("systemctl", "start", unit)
    wait_for(lambda: client.get(path, "Run") >= 5, "restarts by systemd", poll=True)
    run("systemctl", "stop", unit)
    assert int(show(unit, "NRestarts")) >= 1


# --- names ---


def test_names_as_they_are_and_escaped(client):
    path = client.create("my-app.v1", *HEEDS)
    for word in "my-app.v1", run("systemd-escape", "my-app.v1").strip(), path.rsplit("/", 1)[1], path.rsplit("/", 1)[1][:12]:
        assert systemctl("start", unit_of(word)) == (0, ""), word
        assert owner(client, path) == unit_of(word)
        assert systemctl("stop", unit_of(word)) == (0, "")
        wait_free(client, path)


def test_two_units(client):
    (web, first), (db, second) = managed(client, "web"), managed(client, "db")
    assert (owner(client, web), owner(client, db)) == (first, second)
    other = unit_of(web.rsplit("/", 1)[1])
    assert systemctl("start", other)[0] == 1 and results(other)[:2] == ["1", "125"]
    assert f"{first} owns it already" in journal(other)
    assert owner(client, web) == first and client.get(web, "State") == "running"
    run("systemctl", "stop", first)
    assert owner(client, db) == second and client.get(db, "State") == "running"


def test_a_container_that_is_renamed_stays_its_units(client):
    path, unit = managed(client, "web")
    client.call(path, CONTAINER, "Rename", "s", "site")
    again = client.create("web", *HEEDS)
    assert owner(client, path) == unit and owner(client, again) == ""
    assert systemctl("restart", unit) == (0, "")
    assert client.get(path, "State") == "exited" and client.get(again, "State") == "running"
    assert owner(client, path) == "" and owner(client, again) == unit


def test_only_the_main_process_of_a_service_takes_charge(client):
    path = client.create("web", *HEEDS)
    message = expect("InvalidArgs", client.call, path, CONTAINER, "StartWith", "a{sv}", options(managed=True))
    assert "conbus-test-1.scope" in message, message
    words = f"busctl call io.conbus1 {path} io.conbus1.Container StartWith 'a{{sv}}' 1 managed b true; exit $?"
    done = subprocess.run(["systemd-run", "--quiet", "--wait", "--pipe", "--unit=conbus-container-fake.service", "sh", "-c", words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE, check=False)
    assert done.returncode != 0 and "main process" in done.stdout, done.stdout
    assert client.get(path, "State") == "created" and owner(client, path) == ""
    expect("InvalidArgs", client.call, path, CONTAINER, "StartWith", "a{sv}", options(managed=True, force_direct=True))
    # It is the process and the unit that count, not a name: any service will do.
    run("systemd-run", "--quiet", "--unit=web-of-ours.service", "-p", "Type=notify", "/usr/libexec/conbus-unit", "web")
    assert owner(client, path) == "web-of-ours.service" and client.get(path, "State") == "running"
    run("systemctl", "stop", "web-of-ours.service")
    wait_free(client, path)


# --- order ---


def test_order_with_other_units(client):
    paths = {name: client.create(name, *HEEDS) for name in ("db", "web")}
    drop_in(unit_of("web"), f"[Unit]\nRequires={unit_of('db')}\nAfter={unit_of('db')}\n")
    assert systemctl("start", unit_of("web")) == (0, "")
    assert all(client.get(path, "State") == "running" for path in paths.values())
    db, web = (end_of(client, paths[name]) for name in ("db", "web"))
    assert db["start"] < web["start"]
    assert systemctl("stop", unit_of("db")) == (0, "")
    db, web = (end_of(client, paths[name]) for name in ("db", "web"))
    assert web["finish"] < db["finish"] and web["exit-code"] == db["exit-code"] == 0
    drop_in(unit_of("web"), "")


def test_what_it_depends_on_is_started(client):
    db = client.create("db", *HEEDS)
    web, _ = managed(client, "web", depends=["db"])
    assert client.get(db, "State") == "running" and owner(client, db) == ""
    assert systemctl("start", unit_of("db")) == (0, "")
    assert client.get(db, "Run") == 1 and owner(client, db) == unit_of("db")
    assert client.get(web, "State") == "running"


# --- the service comes and goes ---


def restart(client, how):
    if how == "restart":
        run("systemctl", "restart", "conbus.service")
    else:
        client.kill_service(9)


def test_restarts_and_crashes_of_the_service_concern_nothing(client):
    path, unit = managed(client, "web")
    main_pid = show(unit, "MainPID")
    for how in "restart", "crash":
        restart(client, how)
        assert owner(client, path) == unit and client.get(path, "Run") == 1
        assert show(unit, "ActiveState", "MainPID") == ["active", main_pid]
    client.call(path, CONTAINER, "RestartWith", "a{sv}", {})  # the service still knows the unit
    assert client.get(path, "Run") == 2 and show(unit, "MainPID") != main_pid
    restart(client, "crash")
    wait_output(path, "up")
    os.kill(client.get(path, "MainPID"), signal.SIGTERM)
    assert wait_state(unit, "inactive", "failed") == "inactive" and client.get(path, "Run") == 2
    wait_free(client, path)


def test_an_end_while_the_service_is_down(client):
    path, unit = managed(client, "web", "sh", "-c", "trap 'exit 6' TERM; echo up; while :; do sleep 0.05; done")
    wait_output(path, "up")
    pid = client.get(path, "MainPID")
    run("systemctl", "stop", "conbus.service")
    assert show(unit, "ActiveState") == "active" and show("conbus.service", "ActiveState") == "inactive"
    os.kill(pid, signal.SIGTERM)
    wait_state(unit, "failed")
    assert results(unit) == ["1", "6", "exit-code"]


def test_a_stop_while_the_service_is_down(client):
    path, unit = managed(client, "web")
    run("systemctl", "stop", "conbus.service")
    assert systemctl("stop", unit) == (0, "")
    assert has_ended_well(unit)
    assert (client.get(path, "State"), client.get(path, "StoppedByUser")) == ("exited", True), run("journalctl", "-n", "40", "-o", "short-monotonic", "--no-pager")


def test_a_unit_that_ended_while_the_service_was_down(client):
    path, unit = managed(client, "web")
    run("systemctl", "stop", "conbus.service")
    run("systemctl", "mask", "--runtime", "conbus.service")
    run("systemctl", "kill", "-s", "KILL", unit)
    wait_state(unit, "failed")
    run("systemctl", "unmask", "--runtime", "conbus.service")
    wait_free(client, path)  # nobody could stop it: it runs on, on its own
    assert client.get(path, "State") == "running"


def test_without_the_service_it_is_stopped_all_the_same(client):
    path, unit = managed(client, "web")
    pid = client.get(path, "MainPID")
    run("systemctl", "stop", "conbus.service")
    run("systemctl", "mask", "--runtime", "conbus.service")
    run("systemctl", "stop", unit)
    assert not os.path.exists(f"/proc/{pid}")
    assert results(unit)[:2] == ["1", "125"], "how it has ended is not to be known"
    run("systemctl", "unmask", "--runtime", "conbus.service")
    assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})[2] == 0


def test_a_crash_in_the_middle_of_a_start(client):
    path = client.create("slow", *HEEDS, notify="healthy", health=health("CMD", "false", retries=1000000))
    starting = begin("start", unit_of("slow"))
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["running"], {})
    for how in "crash", "restart":
        restart(client, how)
        assert client.get(path, "Run") == 1 and owner(client, path) == unit_of("slow")
        assert show(unit_of("slow"), "ActiveState") == "activating"
    run("systemctl", "stop", unit_of("slow"))
    assert finish(starting)[0] == 1 and client.get(path, "State") == "exited" and client.get(path, "Run") == 1


def test_crashes_between_the_steps_of_a_start(client):
    """Killed at any moment, the service opens one run that counts: whatever else it has begun is undone, and the unit asks again."""
    crash = "/run/conbus-crash"
    drop_in("conbus.service", f"[Service]\nEnvironment=CONBUS_CRASH_FILE={crash}\n")
    run("systemctl", "restart", "conbus.service")
    reached = 0
    for point in range(1, 60, 2):
        path, unit = client.create(f"box{point}", *HEEDS), unit_of(f"box{point}")
        with open(f"{crash}.new", "w", encoding="ascii") as file:
            file.write(str(point))
        os.rename(f"{crash}.new", crash)
        assert systemctl("start", unit) == (0, ""), point
        assert client.get(path, "State") == "running" and owner(client, path) == unit, point
        results_of = [record["result"] for record in client.call(path, CONTAINER, "ListRuns", "u", 0)[0]]
        assert results_of[0] == "" and all(result == "start-failed" for result in results_of[1:]), (point, results_of)
        reached += not os.path.exists(crash)
        if os.path.exists(crash):
            os.unlink(crash)
            break
        run("systemctl", "stop", unit)
        client.call(path, CONTAINER, "Remove")
    drop_in("conbus.service", "")
    run("systemctl", "restart", "conbus.service")
    assert reached >= 3, reached
    print(f"# {reached} crashes in the middle of a start", flush=True)


if __name__ == "__main__":
    main("machine")
