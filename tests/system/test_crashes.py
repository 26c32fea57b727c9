#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service dies between every two steps of an operation; a new one makes of it what was asked for or what was there before, never something between. Start, stop and remove: test_ends.py."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, Error, expect, main, options  # noqa: E402
from test_ends import crash_walk, settled  # noqa: E402


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


def is_frozen(bus, path):
    group = bus.get(path, "ControlGroup")
    for file, word in ((f"/sys/fs/cgroup/freezer{group}/freezer.state", "FROZEN"), (f"/sys/fs/cgroup{group}/cgroup.freeze", "1")):
        if os.path.exists(file):
            with open(file, encoding="utf-8") as stream:
                return stream.read().strip() == word
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


def rested(bus, path):
    """Like settled, but a paused container rests too."""
    bus.call(path, CONTAINER, "WaitFor", "asa{sv}", ["running", "paused"], {})
    while bus.get(path, "Operation"):
        pass


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
