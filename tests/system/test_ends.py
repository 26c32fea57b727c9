#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""No end is lost: waits, the death of conmon, the death of the service at any step."""

import json
import os
import signal
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, MANAGER, Client, Error, GLib, Skip, expect, kernel_tells_status, main, on_real_runtime, options, wait_for, wait_output  # noqa: E402


def test_waits_before_and_after_the_end_agree(client):
    path = client.create("job", "sh", "-c", "read line < /proc/self/stat; sleep 0.3; exit 9")
    later = client.begin(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(after_run=0))
    client.call(path, CONTAINER, "Start")
    before = client.begin(path, CONTAINER, "Wait")
    answers = [client.finish(before), client.finish(later)[1:5], client.call(path, CONTAINER, "Wait"), client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(run=1))[1:5]]
    assert answers == [(1, 9, 0, "exit-code")] * 4


def test_conditions_timeouts_and_errors_of_waits(client):
    path = client.create("long", "sleep", "1000")
    expect("InvalidArgs", client.call, path, CONTAINER, "WaitFor", "asa{sv}", [], {})
    expect("InvalidArgs", client.call, path, CONTAINER, "WaitFor", "asa{sv}", ["done"], {})
    expect("NoHealthCheck", client.call, path, CONTAINER, "WaitFor", "asa{sv}", ["healthy"], {})
    waiting = client.begin(path, CONTAINER, "WaitFor", "asa{sv}", ["initialized"], {})
    client.call(path, CONTAINER, "Start")
    assert client.finish(waiting)[0] == "initialized"
    assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(timeout_usec=50000))[:2] == ("timeout", 1)
    assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["running"], {})[0] == "running"
    expect("Timeout", client.call, path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=300000, reply_timeout_usec=20000))
    gone = client.begin(path, CONTAINER, "WaitFor", "asa{sv}", ["removed"], {})
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    client.call(path, CONTAINER, "Remove")
    assert client.finish(gone)[0] == "removed"


def test_open_wait_is_one_line(client):
    path = client.create("pipe", "sh", "-c", "exit 6")
    index = client.call(path, CONTAINER, "OpenWait", "asa{sv}", ["stopped"], options(after_run=0))[0]
    fd = client.fds.steal_fds()[index]
    client.call(path, CONTAINER, "Start")
    with os.fdopen(fd, encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    assert len(lines) == 1 and json.loads(lines[0])["exit-code"] == 6


def test_records_are_kept_as_the_settings_say(client):
    """The latest ones, also of containers that have gone; what is beyond them goes once there have been some more events."""
    path = client.create("gone", "true")
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], options(run=1))
    client.call(path, CONTAINER, "Remove")
    gone, job = path.rsplit("/", 1)[1], client.create("job", "false")
    client.configure("[Runs]\nKeepUSec=0\nKeepCount=8\n")
    begun = client.get("/io/conbus1", "EventSeq", MANAGER)
    while client.get("/io/conbus1", "EventSeq", MANAGER) < begun + 300:
        assert [record["exit-code"] for record in client.manager("ListRuns", "su", gone, 0)[0]] in ([0], [])
        run = client.call(job, CONTAINER, "Start")[0]
        client.call(job, CONTAINER, "WaitFor", "asa{sv}", ["exited"], options(run=run))
    client.configure("")
    numbers = [record["run"] for record in client.call(job, CONTAINER, "ListRuns", "u", 0)[0]]
    assert numbers == list(range(run, run - len(numbers), -1)) and 8 <= len(numbers) < run, numbers
    assert client.manager("ListRuns", "su", gone, 0)[0] == []
    expect("NoSuchRun", client.manager, "GetRun", "st", gone, 1)
    expect("NoSuchRun", client.call, job, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(run=1))
    assert client.call(job, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(after_run=0))[:3] == ("stopped", numbers[-1], 1), "the first that is known"


def test_the_limit_of_waits(client):
    path = client.create("many", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    other = Client()
    boxes = [other.begin(path, CONTAINER, "Wait") for _ in range(1024)]
    expect("LimitsExceeded", other.call, path, CONTAINER, "Wait")
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert {other.finish(box) for box in boxes} == {(1, 137, 9, "signal")}


def test_conmon_dies_and_the_code_is_known(client):
    path = client.create("orphan", "sh", "-c", "trap 'exit 11' TERM; echo ready; while :; do sleep 0.05; done")
    client.call(path, CONTAINER, "Start")
    wait_output(path, "ready")
    os.kill(client.get(path, "MonitorPID"), signal.SIGKILL)
    wait_for(lambda: not client.get(path, "Supervised"), "the loss of supervision", poll=True)
    assert client.get(path, "State") == "running"
    client.call(path, CONTAINER, "Stop")
    assert client.get(path, "ExitCode") == 11


@on_real_runtime
def test_conmon_and_the_service_die_and_the_kernel_knows_the_code(client):
    """Nobody is the parent of PID 1 any more that could tell: the status comes from the pidfd (PIDFD_GET_INFO, Linux 6.15)."""
    exits = client.create("exits", "sh", "-c", "trap 'exit 21' TERM; touch /tmp/ready; while :; do sleep 0.05; done")
    killed = client.create("killed", "sleep", "1000")
    for path in (exits, killed):
        client.call(path, CONTAINER, "Start")
    pids = {path: client.get(path, "MainPID") for path in (exits, killed)}
    wait_for(lambda: os.path.exists(f"/proc/{pids[exits]}/root/tmp/ready"), "its trap", poll=True)
    for path in pids:
        os.kill(client.get(path, "MonitorPID"), signal.SIGKILL)
        wait_for(lambda at=path: not client.get(at, "Supervised"), "the loss of supervision", poll=True)
    client.kill_service()
    assert [client.get(path, "State") for path in pids] == ["running", "running"] and not client.get(exits, "Supervised")
    assert [client.get(path, "MainPID") for path in pids] == list(pids.values())
    client.call(exits, CONTAINER, "Stop")
    os.kill(pids[killed], signal.SIGKILL)
    known = kernel_tells_status()
    assert client.call(exits, CONTAINER, "Wait") == ((1, 21, 0, "exit-code") if known else (1, -1, 0, "lost"))
    assert client.call(killed, CONTAINER, "Wait") == ((1, 137, 9, "signal") if known else (1, -1, 0, "lost"))
    lost = [event[5] for event in client.signals_of("Event") if event[3] == "supervision-lost"]
    assert sorted(lost) == sorted(path.rsplit("/", 1)[1] for path in pids), "told once for each"


def test_a_stop_of_one_that_nobody_supervises(client):
    """conmon is dead, and the service is another one than when it died: init has the process, and no word will come of anybody if the kernel has none."""
    path = client.create("orphan", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    monitor = client.get(path, "MonitorPID")
    client.kill_service()
    os.kill(monitor, signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{monitor}/exe"), "end of conmon", poll=True)
    assert client.get(path, "State") == "running"
    with client.settings(ExitFileUSec=600000000):
        assert client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0)) == (1,)
        assert client.call(path, CONTAINER, "Wait") == ((1, 137, 9, "signal") if kernel_tells_status() else (1, -1, 0, "lost"))


@on_real_runtime
def test_an_oom_kill_is_told_apart(client):
    path = client.create("hungry", "sh", "-c", "exec dd if=/dev/zero of=/dev/shm/all bs=1M count=256", memory=16 << 20)
    client.call(path, CONTAINER, "Start")
    assert client.call(path, CONTAINER, "Wait") == (1, 137, 9, "oom-kill")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    assert client.get(path, "StateReason") == "oom" and client.call(path, CONTAINER, "GetRun", "t", 1)[0]["oom-kills"] >= 1
    died = [event[6] for event in client.signals_of("Event") if event[3] == "died"]
    assert died and died[-1]["oom"] is True
    killed = client.create("killed", "sleep", "1000", memory=16 << 20)
    client.call(killed, CONTAINER, "Start")
    client.call(killed, CONTAINER, "Kill", "si", "leader", 9)
    assert client.call(killed, CONTAINER, "Wait") == (1, 137, 9, "signal")
    assert client.call(killed, CONTAINER, "GetRun", "t", 1)[0]["oom-kills"] == 0


# A program of one instruction that is none: PID 1 of a namespace cannot be killed by a signal of its own, but by a fault.
FAULTS = {"x86_64": (62, b"\x0f\x0b"), "aarch64": (183, b"\x00\x00\x00\x00")}


def write_faulting_program(path):
    machine, code = FAULTS[os.uname().machine]
    base = 0x400000
    head = b"\x7fELF" + bytes([2, 1, 1, 0]) + bytes(8) + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, base + 120, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, 120 + len(code), 120 + len(code), 4096)
    with open(path, "wb") as file:
        file.write(head + segment + code)
    os.chmod(path, 0o755)


@on_real_runtime
def test_a_core_dump_is_told_apart(client):
    if not kernel_tells_status():
        raise Skip("conmon's exit file tells no core dump, and this kernel not what it knows (Linux 6.15)")
    if os.uname().machine not in FAULTS:
        raise Skip("no faulting program for this machine")
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
        if file.read().startswith("|"):
            raise Skip("core dumps of this machine go to a program outside of the sandbox")
    write_faulting_program(os.environ["CONBUS_TEST_ROOTFS"] + "/fault")
    results = {}
    for name, limit in (("dumps", 2**64 - 1), ("does-not", 0)):
        path = client.create(name, "/fault", ulimits=GLib.Variant("a(stt)", [("core", limit, limit)]))
        client.call(path, CONTAINER, "Start")
        results[name] = client.call(path, CONTAINER, "Wait")
    assert results == {"dumps": (1, 132, 4, "core-dump"), "does-not": (1, 132, 4, "signal")}, results


def test_the_service_dies_while_containers_live(client):
    running = client.create("running", "sleep", "1000")
    paused = client.create("paused", "sleep", "1000")
    prepared = client.create("prepared", "sleep", "1000")
    short = client.create("short", "sh", "-c", "sleep 0.5; exit 12")
    for path in (running, paused, short):
        client.call(path, CONTAINER, "Start")
    client.call(paused, CONTAINER, "Pause")
    client.call(prepared, CONTAINER, "Init")
    pids = {path: client.get(path, "MainPID") for path in (running, paused, prepared, short)}
    client.kill_service()
    wait_for(lambda: not os.path.exists(f"/proc/{pids[short]}"), "the end of the short one", poll=True)
    assert client.call(short, CONTAINER, "Wait") == (1, 12, 0, "exit-code")
    assert [client.get(path, "State") for path in (running, paused, prepared)] == ["running", "paused", "initialized"]
    assert all(client.get(path, "MainPID") == pids[path] for path in (running, paused, prepared))
    client.call(paused, CONTAINER, "Resume")
    client.call(prepared, CONTAINER, "Start")
    for path in (running, paused, prepared):
        assert client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0)) == (1,)


def test_a_stop_goes_on_after_the_service_died(client):
    path = client.create("slow", "sh", "-c", "trap 'while ! test -e /go; do sleep 0.05; done; exit 13' TERM; echo ready; while :; do sleep 0.05; done", stop_timeout_usec=600000000)
    client.call(path, CONTAINER, "Start")
    wait_output(path, "ready")
    root = f"/proc/{client.get(path, 'MainPID')}/root"
    client.begin(path, CONTAINER, "Stop")
    wait_for(lambda: client.get(path, "State") == "stopping", "the stop", poll=True)
    client.kill_service()
    assert client.get(path, "State") == "stopping"
    open(f"{root}/go", "w", encoding="ascii").close()
    assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})[0] == "exited"
    assert client.get(path, "StoppedByUser") and client.get(path, "State") == "exited" and client.get(path, "ExitCode") == 13


CRASH = os.environ.get("CONBUS_SANDBOX", "") + "/crash"


def crash_walk(client, begin, check, *command, **config):
    """Lets the service die at each crash point of one operation; begin starts it on a fresh container, check looks at what a new service makes of it. Ends when the operation is through without a death."""
    for step in range(1, 40):
        path = client.create(f"crash{step}", *(command or ("sleep", "1000")), **config)
        prepared = begin(client, path, True)
        with open(CRASH, "w", encoding="utf-8") as file:
            file.write(str(step))
        died = False
        try:
            begin(client, path, False)
        except Error as error:
            died = error.name in ("NoReply", "Disconnected", "UnknownObject", "ServiceUnknown")
            if not died:
                raise
        if os.path.exists(CRASH):
            os.unlink(CRASH)
        check(client, path, died, prepared)
        try:
            client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
        except Error as error:
            assert error.name in ("UnknownObject", "UnknownMethod", "Removed", "NoSuchContainer"), error
            wait_for(lambda: not client.manager("ListContainers")[0], "the removal that goes on", poll=True)
        if not died:
            assert step > 2, "the service has no crash points: is it built with -Dcrash-points=true?"
            return
    raise AssertionError("the operation has more than 40 steps")


def settled(client, path):
    """Waits until nothing is in progress."""
    wait_for(lambda: client.get(path, "Operation") == "" and client.get(path, "State") in ("created", "initialized", "running", "exited"), "rest", poll=True)
    return client.get(path, "State")


def test_death_at_each_step_of_start(client):
    def begin(bus, path, prepare):
        return None if prepare else bus.call(path, CONTAINER, "Start")

    def check(bus, path, died, _):
        state = settled(bus, path)
        assert state in ("created", "initialized", "running", "exited"), state
        run = bus.get(path, "Run")
        records = bus.call(path, CONTAINER, "ListRuns", "u", 0)[0]
        assert [record["run"] for record in records] == list(range(run, 0, -1)), records
        if state in ("created", "exited"):
            assert all(record["result"] for record in records)
            assert bus.call(path, CONTAINER, "Start") == (run + 1,)
        elif state == "initialized":
            assert bus.call(path, CONTAINER, "Start") == (run,)
        assert bus.get(path, "State") == "running"

    crash_walk(client, begin, check)


def test_death_at_each_step_of_stop(client):
    def begin(bus, path, prepare):
        return bus.call(path, CONTAINER, "Start") if prepare else bus.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))

    def check(bus, path, died, _):
        state = settled(bus, path)
        if state == "running":  # it died before the wish was stored
            bus.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
        assert bus.get(path, "State") == "exited" and bus.call(path, CONTAINER, "Wait") == (1, 137, 9, "signal")

    crash_walk(client, begin, check)


def walk_through_removals(client, fill):
    def begin(bus, path, prepare):
        if not prepare:
            return bus.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
        fill(f"/var/lib/conbus/containers/{path.rsplit('/', 1)[1]}")
        return bus.call(path, CONTAINER, "Start")

    def check(bus, path, died, _):
        record = bus.manager("GetRun", "st", path.rsplit("/", 1)[1], 1)[0]
        assert record["run"] == 1

    crash_walk(client, begin, check)
    wait_for(lambda: not os.listdir("/var/lib/conbus/containers") + os.listdir("/run/conbus/containers"), "all files to be gone", poll=True)


def test_death_at_each_step_of_remove(client):
    walk_through_removals(client, lambda directory: None)


def test_death_at_each_step_of_a_large_removal(client):
    """Many files are removed by a child."""
    def fill(directory):
        os.makedirs(f"{directory}/many")
        for number in range(100):
            open(f"{directory}/many/{number}", "w", encoding="ascii").close()

    walk_through_removals(client, fill)


def test_a_run_that_ends_while_the_service_starts(client):
    """The end is then recorded while children of the service are between fork and exec, with copies of its pidfds."""
    path = client.create("early", "true")
    for _ in range(15):
        client.call(path, CONTAINER, "Start")
        client.kill_service(15)
        assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})[2] == 0


if __name__ == "__main__":
    main()
