#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service dies between every two steps of an operation; a new one makes of it what was asked for or what was there before, never something between. Start, stop and remove: test_ends.py."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, Error, GLib, expect, main, options, wait_for, wait_output  # noqa: E402
from test_ends import CRASH, crash_walk, settled  # noqa: E402


def exists(bus, name):
    try:
        return bus.manager("GetContainer", "s", name)[0]
    except Error as error:
        assert error.name == "NoSuchContainer", error
        return ""


def check_runs(bus, path):
    """No run lost, none invented, exactly the open one without a result."""
    run, state = bus.get(path, "Run"), bus.get(path, "State")
    records = bus.call(path, CONTAINER, "ListRuns", "u", 0)[0]
    assert [record["run"] for record in records] == list(range(run, 0, -1)), records
    open_runs = [record["run"] for record in records if not record["result"]]
    assert open_runs == ([run] if state in ("initialized", "running", "paused") else []), (state, records)
    finished = [arguments[0] for event_path, _, member, arguments in bus.signals if member == "RunFinished" and event_path == path]
    assert len(finished) == len(set(finished)), "a run finished twice"
    died = [(event[6]["run"], event[6]["exit-code"], event[6]["result"]) for event in bus.manager("GetEvents", "tua{sv}", 0, 10000, {})[0] if event[5] == path.rsplit("/", 1)[1] and event[3] == "died"]
    assert died == [(record["run"], record["exit-code"], record["result"]) for record in records[::-1] if record["result"]], (died, records)


def is_frozen(bus, path):
    group = bus.get(path, "ControlGroup")
    for file, word in ((f"/sys/fs/cgroup/freezer{group}/freezer.state", "FR"), (f"/sys/fs/cgroup{group}/cgroup.freeze", "1")):  # FREEZING is on its way
        if os.path.exists(file):
            with open(file, encoding="utf-8") as stream:
                return stream.read().startswith(word)
    raise AssertionError(f"no freezer of {group}")


def test_death_at_each_step_of_create(client):
    def begin(bus, path, prepare):
        return None if prepare else bus.create("made", "sleep", "1000")

    def check(bus, path, died, _):
        made = exists(bus, "made")
        assert made or died
        if not made:  # then nothing is in the way of another try
            made = bus.create("made", "sleep", "1000")
        ids = {name for name in os.listdir("/var/lib/conbus/containers")} | {name for name in os.listdir("/run/conbus/containers")}
        assert ids <= {made.rsplit("/", 1)[1], path.rsplit("/", 1)[1]}, f"directories of nobody: {ids}"
        assert bus.get(made, "State") == "created" and bus.get(made, "Run") == 0 and bus.call(made, CONTAINER, "ListRuns", "u", 0)[0] == []
        expect("NameInUse", bus.create, "made", "true")
        assert bus.call(made, CONTAINER, "Start") == (1,)
        bus.call(made, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))

    crash_walk(client, begin, check)


def test_death_at_each_step_of_init(client):
    def begin(bus, path, prepare):
        return None if prepare else bus.call(path, CONTAINER, "Init")

    def check(bus, path, died, _):
        state = settled(bus, path)
        assert state in (("created", "exited", "initialized") if died else ("initialized",)), state
        check_runs(bus, path)
        run = bus.get(path, "Run")
        if state != "initialized":
            assert bus.call(path, CONTAINER, "Init") == (run + 1,)
            run += 1
        assert bus.call(path, CONTAINER, "Start") == (run,)
        check_runs(bus, path)

    crash_walk(client, begin, check)


def test_death_at_each_step_of_restart(client):
    def begin(bus, path, prepare):
        return bus.call(path, CONTAINER, "Start") if prepare else bus.call(path, CONTAINER, "RestartWith", "a{sv}", options(timeout_usec=0))

    def check(bus, path, died, _):
        state = settled(bus, path)
        assert state in (("running", "exited", "initialized") if died else ("running",)), state
        check_runs(bus, path)
        run = bus.get(path, "Run")
        assert run in (1, 2)
        if run == 2 or state == "exited":
            assert bus.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(run=1))[1:5] == (1, 137, 9, "signal")
        if state != "running":
            bus.call(path, CONTAINER, "Start")
        check_runs(bus, path)
        assert bus.get(path, "State") == "running" and not bus.get(path, "StoppedByUser")

    crash_walk(client, begin, check)


POLITE = ("sh", "-c", "trap 'exit 13' TERM; echo ready; while :; do sleep 0.05; done")  # ends by the stop signal alone


def check_polite_stop(bus, path, died, _):
    if rested(bus, path, "running", "paused", "exited") != "exited":  # it died before the wish was stored
        assert died
        assert bus.call(path, CONTAINER, "StopWith", "a{sv}", options(signal=GLib.Variant("i", 15))) == (1,)
    check_runs(bus, path)
    assert bus.call(path, CONTAINER, "Wait") == (1, 13, 0, "exit-code") and bus.get(path, "StoppedByUser")


def test_death_at_each_step_of_a_stop_without_a_deadline(client):
    """The service dies between the commit of the wish and the signal, too: nobody would ever end the container."""

    def begin(bus, path, prepare):
        if not prepare:
            return bus.call(path, CONTAINER, "Stop")
        bus.call(path, CONTAINER, "Start")
        return wait_output(path, "ready")

    crash_walk(client, begin, check_polite_stop, *POLITE, stop_timeout_usec=2**64 - 1)


def test_death_at_each_step_of_a_stop_of_a_paused_one(client):
    def begin(bus, path, prepare):
        if not prepare:
            return bus.call(path, CONTAINER, "StopWith", "a{sv}", options(signal=GLib.Variant("i", 15)))
        bus.call(path, CONTAINER, "Start")
        wait_output(path, "ready")
        return bus.call(path, CONTAINER, "Pause")

    crash_walk(client, begin, check_polite_stop, *POLITE, stop_timeout_usec=2**64 - 1, stop_signal=GLib.Variant("i", 10))


def test_death_at_each_step_of_an_action_of_health(client):
    """The container turns unhealthy; whatever the service has done of what follows, the next one does the rest, once."""
    cured = ("sh", "-c", "rm -f /bad; touch /dev/shm/begun; echo ready; exec sleep 1000")  # each run begins healthy, whenever the first check comes
    for action, follows in (("restart", "running"), ("kill", "exited"), ("stop", "exited")):
        check_health_action(client, action, follows, cured)


def check_health_action(client, action, follows, command):
    check = GLib.Variant("a{sv}", options(test=["CMD-SHELL", "test ! -e /dev/shm/begun || test ! -e /bad"], retries=GLib.Variant("u", 1), interval_usec=20000, on_failure=action))
    for step in range(1, 60):
        path = client.create(f"{action}{step}", *command, health=check, stop_timeout_usec=0, restart_sec_usec=1000)
        client.call(path, CONTAINER, "Start")
        wait_output(path, "ready")
        client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["healthy"], {})
        root = f"/proc/{client.get(path, 'MainPID')}/root"
        with open(CRASH, "w", encoding="ascii") as file:
            file.write(str(step))
        open(f"{root}/bad", "w", encoding="ascii").close()

        def followed(at=path):
            try:
                return client.get(at, "State") == follows and client.get(at, "Operation") == "" and (follows == "exited" or client.get(at, "Run") in (2, 3))  # a launch that a death undoes is tried again
            except Error as error:
                assert error.name == "NoReply", error
                return False

        wait_for(lambda: not os.path.exists(CRASH) or followed(), "the action or a death", poll=True)
        died = not os.path.exists(CRASH)
        if not died:
            os.unlink(CRASH)
        wait_for(followed, f"{action} after a death at step {step}", poll=True)
        record = client.call(path, CONTAINER, "GetRun", "t", 1)[0]
        assert (record["exit-code"], record["signal"], record["health"]) == (137, 9, "unhealthy"), record
        check_runs(client, path)
        assert client.get(path, "StoppedByUser") == (action == "stop") and client.get(path, "NextRestartTimestamp") == 0
        client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
        if not died:
            assert step > 3, "the service has no crash points: is it built with -Dcrash-points=true?"
            print(f"# {action}: {step - 1} deaths")
            return
    raise AssertionError("an action has more than 60 steps")


def check_freezer(bus, path, died, allowed):
    state = bus.get(path, "State")
    assert state in allowed, state
    check_runs(bus, path)
    assert is_frozen(bus, path) == (state == "paused"), f"{state}, but frozen is {is_frozen(bus, path)}"
    assert bus.call(path, CONTAINER, "Sync") == (state, state)
    if state == "paused":
        bus.call(path, CONTAINER, "Resume")
    assert not is_frozen(bus, path)
    bus.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert bus.call(path, CONTAINER, "Wait") == (1, 137, 9, "signal")


def rested(bus, path, *states):
    """Like settled, but a paused container rests too."""
    wait_for(lambda: bus.get(path, "State") in (states or ("running", "paused")) and bus.get(path, "Operation") == "", "rest", poll=True)
    return bus.get(path, "State")


def test_death_at_each_step_of_pause(client):
    def begin(bus, path, prepare):
        return bus.call(path, CONTAINER, "Start" if prepare else "Pause")

    def check(bus, path, died, _):
        rested(bus, path)
        check_freezer(bus, path, died, ("running", "paused") if died else ("paused",))

    crash_walk(client, begin, check)


def test_death_at_each_step_of_resume(client):
    def begin(bus, path, prepare):
        if not prepare:
            return bus.call(path, CONTAINER, "Resume")
        bus.call(path, CONTAINER, "Start")
        return bus.call(path, CONTAINER, "Pause")

    def check(bus, path, died, _):
        rested(bus, path)
        check_freezer(bus, path, died, ("running", "paused") if died else ("running",))

    crash_walk(client, begin, check)


def test_death_at_each_step_of_rename(client):
    def begin(bus, path, prepare):
        return bus.get(path, "Name") if prepare else bus.call(path, CONTAINER, "Rename", "s", "renamed")

    def check(bus, path, died, old):
        name = bus.get(path, "Name")
        assert name in ((old, "renamed") if died else ("renamed",)), name
        assert exists(bus, name) == path and not exists(bus, "renamed" if name == old else old)
        assert bus.get(f"/container/{name}", "Name") == name
        events = [event for event in bus.manager("GetEvents", "tua{sv}", 0, 10000, {})[0] if event[5] == path.rsplit("/", 1)[1] and event[3] == "rename"]
        assert len(events) == (name == "renamed"), "one event for each change, none without"

    crash_walk(client, begin, check)


if __name__ == "__main__":
    main()
