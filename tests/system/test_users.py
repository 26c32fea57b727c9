#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What users are told of one another, and that none of them can use up what is there for all."""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, MANAGER, Error, GLib, expect, main, options, wait_for  # noqa: E402
from other_user import UserClient  # noqa: E402
from polkit import USERS, Polkit, rule  # noqa: E402

ALICE, BOB = USERS.values()
WHOLE, OUTLINE = {"uid", "pid", "comm", "unit", "bus-name"}, {"uid", "bus-name"}


def actors(events):
    """What is told of the actor of each start."""
    return {details["actor"]["uid"]: set(details["actor"]) for _, _, _, action, _, _, details in events if action == "start"}


def events_of(user):
    return user.call("/io/conbus1", MANAGER, "GetEvents", "tua{sv}", 0, 1000, {})[0]


def test_others_are_known_by_uid_and_bus_name(client):
    check = GLib.Variant("a{sv}", options(test=["CMD", "echo", "inside"], interval_usec=0, log_destination="events"))
    path = client.create("seen", "sleep", "1000", health=check)
    with Polkit(client) as polkit, UserClient(ALICE) as alice, UserClient(BOB) as bob:
        polkit.start(rule('action.id == "io.conbus1.manage"'))
        client.call(path, CONTAINER, "Start")
        client.call(path, "io.conbus1.Health", "Check")
        client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
        alice.call(path, CONTAINER, "Start")
        assert actors(events_of(client)) == {0: WHOLE, ALICE: WHOLE}
        assert actors(events_of(alice)) == {0: OUTLINE, ALICE: WHOLE}
        assert actors(events_of(bob)) == {0: OUTLINE, ALICE: OUTLINE}
        outputs = {user: [details.get("output") for _, _, _, action, _, _, details in events_of(user) if action == "health-check"] for user in (client, bob)}
        assert outputs[client] and all("inside" in output for output in outputs[client]) and outputs[bob] and not any(outputs[bob]), outputs
        # The signal goes to everyone.
        wait_for(lambda: len([event for event in client.signals_of("Event") if event[3] == "start"]) == 2, "two events of a start")
        assert actors(client.signals_of("Event")) == {0: OUTLINE, ALICE: OUTLINE}
        assert set(client.wait_signal("RunFinished")[0][4]["actor"]) == OUTLINE
        # Records and waits.
        for user, first, second in ((client, WHOLE, WHOLE), (alice, OUTLINE, WHOLE), (bob, OUTLINE, OUTLINE)):
            assert [set(user.call(path, CONTAINER, "GetRun", "t", run)[0]["actor"]) for run in (1, 2)] == [first, second]
            assert [set(record["actor"]) for record in user.call(path, CONTAINER, "ListRuns", "u", 0)[0]] == [second, first]
            assert set(user.manager("GetRun", "st", path.rsplit("/", 1)[1], 2)[0]["actor"]) == second
            assert set(user.manager("ListRuns", "su", "seen", 0)[0][0]["actor"]) == second
            assert set(user.call(path, CONTAINER, "WaitFor", "asa{sv}", ["running"], {})[5]["actor"]) == second
            assert set(user.manager("WaitAny", "a(ot)asa{sv}", [(path, 0)], ["running"], {})[4]["actor"]) == second
        # Who may inspect is told everything, and nobody is prompted for it.
        polkit.start(rule('action.id == "io.conbus1.inspect" && subject.user == "conbus-bob"'))
        assert actors(events_of(bob)) == {0: WHOLE, ALICE: WHOLE} and actors(events_of(alice))[0] == OUTLINE
        polkit.stop()
        assert actors(events_of(bob)) == {0: OUTLINE, ALICE: OUTLINE}


def test_streams_are_as_discreet(client):
    path = client.create("streamed", "true")
    client.call(path, CONTAINER, "Start")
    client.manager("OpenEvents", "ta{sv}", 0, {})
    with os.fdopen(client.fds.steal_fds()[0], encoding="utf-8") as stream:
        whole = [json.loads(stream.readline())["details"]["actor"] for _ in range(3)]
    with Polkit(client) as polkit, UserClient(ALICE) as alice:
        polkit.stop()
        alice.manager("OpenEvents", "ta{sv}", 0, {})
        with os.fdopen(alice.descriptors.pop(), encoding="utf-8") as stream:
            told = [json.loads(stream.readline())["details"]["actor"] for _ in range(3)]
            client.call(path, CONTAINER, "Remove")
            last = {}
            while last.get("action") != "remove":
                last = json.loads(stream.readline())
    assert all(set(actor) == WHOLE for actor in whole) and all(set(actor) == OUTLINE for actor in [*told, last["details"]["actor"]])


def refusals(user, calls):
    names = []
    for call in calls:
        try:
            user.finish(call)
        except Error as error:
            names.append(error.name)
    return names


def test_readers_of_logs_are_limited_by_user(client):
    path = client.create("talker", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    with Polkit(client) as polkit, UserClient(ALICE) as alice:
        polkit.start(rule('action.id == "io.conbus1.read-logs"'))
        calls = [alice.begin(path, CONTAINER, "OpenLog", "a{sv}", options(follow=True), keep=True) for _ in range(20)]
        names = refusals(alice, calls)
        assert names == ["LimitsExceeded"] * 4, names
        client.call(path, CONTAINER, "OpenLog", "a{sv}", options(follow=True))
        alice.leave()
        with UserClient(ALICE) as alice:
            wait_for(lambda: not refusals(alice, [alice.begin(path, CONTAINER, "OpenLog", "a{sv}", options(follow=True))]), "room again", poll=True)


def test_streams_are_limited_by_user(client):
    with Polkit(client), UserClient(ALICE) as alice, UserClient(ALICE) as again, UserClient(BOB) as bob:
        # The child keeps what it is given until it leaves.
        calls = [user.begin("/io/conbus1", MANAGER, "OpenEvents", "ta{sv}", 0, {}, keep=True) for user in [alice] * 10 + [again] * 10]
        names = refusals(alice, calls)
        assert names == ["LimitsExceeded"] * 4, names
        bob.call("/io/conbus1", MANAGER, "OpenEvents", "ta{sv}", 0, {})
        again.leave()
        alice.leave()
        with UserClient(ALICE) as alice:
            wait_for(lambda: not refusals(alice, [alice.begin("/io/conbus1", MANAGER, "OpenEvents", "ta{sv}", 0, {})]), "room again", poll=True)


def test_waits_are_limited_by_user(client):
    """Pipes outlive the connection that asked for them."""
    path = client.create("waited", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    with Polkit(client), UserClient(ALICE) as alice, UserClient(ALICE) as again, UserClient(BOB) as bob:
        names = refusals(alice, [user.begin(path, CONTAINER, "OpenWait", "asa{sv}", ["stopped"], {}, keep=True) for user in [alice] * 600 + [again] * 424])
        assert not names, names
        assert "1024" in expect("LimitsExceeded", again.call, path, CONTAINER, "Wait")
        expect("LimitsExceeded", alice.call, path, CONTAINER, "OpenWait", "asa{sv}", ["stopped"], {})
        bob.call(path, CONTAINER, "OpenWait", "asa{sv}", ["stopped"], {})
        again.leave()
        wait_for(lambda: not refusals(alice, [alice.begin(path, CONTAINER, "OpenWait", "asa{sv}", ["stopped"], {})]), "room again", poll=True)


def test_operations_are_limited_by_user(client):
    path = client.create("queued", "sleep", "1000", stop_timeout_usec=2**64 - 1)
    client.call(path, CONTAINER, "Start")
    with Polkit(client) as polkit, UserClient(ALICE) as alice, UserClient(ALICE) as again, UserClient(BOB) as bob:
        polkit.start(rule("true"))
        stop = client.begin(path, CONTAINER, "Stop")
        wait_for(lambda: client.get(path, "State") == "stopping", "the stop", poll=True)
        calls = [(user, user.begin(path, CONTAINER, "SetAutoStart", "s", "enabled")) for user in [alice] * 100 + [again] * 60]
        wait_for(lambda: sum(bool(box) for _, box in calls) == 32, "the refusal of 32")
        assert all(box[0]["error"].endswith("LimitsExceeded") for _, box in calls if box)
        theirs = bob.begin(path, CONTAINER, "SetAutoStart", "s", "disabled")
        roots = [client.begin(path, CONTAINER, "SetAutoStart", "s", "enabled") for _ in range(200)]
        other = client.create("other", "true")
        client.call(other, CONTAINER, "SetAutoStart", "s", "enabled")
        client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
        client.finish(stop)
        bob.finish(theirs)
        for box in roots:
            client.finish(box)
        alice.call(path, CONTAINER, "SetAutoStart", "s", "disabled")


if __name__ == "__main__":
    main()
