#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The gate with the real polkitd: who may call what, compared with the XML."""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [TESTS, os.path.join(os.path.dirname(TESTS), "introspection")]
from description import SENSITIVE, read_interface  # noqa: E402
from harness import CONTAINER, JOB, MANAGER, PROCESS, SOURCE, Error, GLib, expect, main, options, wait_for  # noqa: E402
from other_user import UserClient  # noqa: E402
from polkit import USERS, Agent, FakePolkit, Polkit, rule  # noqa: E402

ALICE, BOB = USERS.values()
REFUSALS = ("AccessDenied", "InteractiveAuthorizationRequired")
CHECK = GLib.Variant("a{sv}", options(test=["CMD", "true"]))
INTERFACES = [read_interface(f"{SOURCE}/introspection/{name}") for name in sorted(os.listdir(f"{SOURCE}/introspection")) if name.endswith(".xml")]
VALUES = {"s": "start", "o": "/", "b": True, "y": 1, "i": 1, "u": 1, "t": 1, "q": 1, "x": 1, "d": 1.0, "h": 0}


def plain_value(type_):
    return VALUES.get(type_, {} if type_.startswith("a{") else [])


def plain_arguments(method):
    """The least that the signature takes, so that the call could be let through."""
    return GLib.Variant("(" + "".join(a.type for a in method.arguments) + ")", tuple(plain_value(a.type) for a in method.arguments)) if method.arguments else ""


def fresh(client, label):
    """A new container that every method can be called on."""
    for _, name, _, _, _, path in client.manager("ListContainers")[0]:
        if name == label:
            client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
    return client.create(label, "true", labels={"team": label}, health=CHECK)


def process_of(client, container):
    """One that has ended, so that nothing that is let through waits for it; in a container like this one that runs."""
    name = client.get(container, "Name") + "-runs"
    if name not in [row[1] for row in client.manager("ListContainers")[0]]:
        client.call(client.create(name, "sleep", "1000", labels=client.get(container, "Labels")), CONTAINER, "Start")
    process, _ = client.call(f"/container/{name.replace('-', '_2d')}", CONTAINER, "Exec", "asa{sv}", ["true"], {})
    client.call(process, PROCESS, "Wait")
    return process


def place_of(client, interface, container):
    """Where the members of an interface are: for a job, one that root made of the container."""
    if interface.name == MANAGER:
        return "/io/conbus1"
    if interface.name == PROCESS:
        return process_of(client, container)
    return client.call(container, CONTAINER, "Queue", "sa{sv}", "cleanup", {})[0] if interface.name == JOB else container


def outcome(user, path, interface, method):
    try:
        user.call(path, interface.name, method.name, plain_arguments(method))
    except Error as error:
        return error.name in REFUSALS, f"{error}"
    return False, "an answer"


def check_members(client, user, may):
    """Every method of every interface, against what may(method, label) says; label is None for the manager."""
    count, paths = 0, {None: "/io/conbus1"}
    for interface in INTERFACES:
        for method in interface.methods:
            for label in [None] if interface.name == MANAGER else ["web", "db"]:
                path = paths.get(label) or fresh(client, label)
                refused, what = outcome(user, place_of(client, interface, path), interface, method)
                assert refused != may(method, label), f"{interface.name}.{method.name} with label {label}: {what}"
                if label:
                    paths[label] = path if refused else None  # whatever was let through may have changed it
                count += 1
    assert count > 60


def is_open(method):
    return method.access.kind == "open"


def test_the_policy_has_the_actions_of_the_members(client):
    """Those that no member needs yet are named here."""
    not_due = {"update", "copy", "checkpoint", "manage-images", "inhibit"}
    beside = {"create", "create-from-profile", "manage-own"}
    policy = {action.get("id").removeprefix("io.conbus1.") for action in ElementTree.parse(f"{SOURCE}/data/io.conbus1.policy").iter("action")}
    used = beside | {method.access.action for interface in INTERFACES for method in interface.methods if method.access.action}
    assert policy == used | not_due and not used & not_due, f"in the policy alone: {policy - used - not_due}; missing there: {used - policy}; due by now: {used & not_due}"


def test_calls_and_answers_with_secrets_are_erased(client):
    """Those that carry environments or commands: the bus library overwrites their memory."""
    secrets = {"CreateContainer", "CreateContainerFromBundle", "RunContainer", "Inspect", "InspectWith", "GetSpec", "Queue", "Exec", "Spawn", "ExecCapture", "OpenShell"}
    flagged = {method.name for interface in INTERFACES for method in interface.methods if SENSITIVE in method.annotations}
    there = {method.name for interface in INTERFACES for method in interface.methods}
    assert secrets & there <= flagged, secrets & there - flagged
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as made:
        subprocess.run([sys.executable, f"{SOURCE}/introspection/generate.py", "source", f"{SOURCE}/introspection/io.conbus1.Manager.xml", made.name], check=True)
        line = next(line for line in made if 'SD_BUS_METHOD_WITH_ARGS("RunContainer"' in line)
    assert "SD_BUS_VTABLE_SENSITIVE" in line


def test_jobs_belong_to_whoever_asked_for_them(client):
    path = client.create("worked", "sleep", "1000", labels={"team": "web"}, stop_timeout_usec=2**64 - 1)
    with Polkit(client) as polkit, UserClient(ALICE) as alice, UserClient(BOB) as bob:
        polkit.start(rule("action.id == 'io.conbus1.manage'"))

        def queue(user, verb, **keys):
            return user.call(path, CONTAINER, "Queue", "sa{sv}", verb, options(**keys))[0]

        job = queue(alice, "start")
        assert alice.call(job, JOB, "Wait")[0]["run"] == 1 and bob.call(job, JOB, "Wait")
        for method in ("Cancel", "Release"):
            message = expect("InteractiveAuthorizationRequired", bob.call, job, JOB, method)
            assert "cancel-others" in message, message
        assert [user.manager("Can", "os", job, "release")[0] for user in (alice, bob, client)] == ["yes", "challenge", "yes"]
        assert bob.manager("Can", "os", job, "wait")[0] == "yes"
        assert "is no verb" in expect("InvalidArgs", bob.manager, "Can", "os", job, "start")
        alice.call(job, JOB, "Release")
        # Each verb of Queue needs its own right.
        expect("InteractiveAuthorizationRequired", alice.call, path, CONTAINER, "Queue", "sa{sv}", "remove", {})
        expect("InteractiveAuthorizationRequired", alice.call, path, CONTAINER, "Queue", "sa{sv}", "update", {})
        assert "is no verb" in expect("InvalidArgs", alice.call, path, CONTAINER, "Queue", "sa{sv}", "x" + "é" * 100000, {})
        expect("InvalidArgs", client.call, path, CONTAINER, "Queue", "sa{sv}", "inspect", {})
        polkit.start(rule("action.id == 'io.conbus1.remove' && action.lookup('verb') == 'remove'") + rule("action.id == 'io.conbus1.cancel-others' && action.lookup('label.team') == 'web'"))
        expect("InteractiveAuthorizationRequired", alice.call, path, CONTAINER, "Queue", "sa{sv}", "stop", {})
        job = client.call(path, CONTAINER, "Queue", "sa{sv}", "stop", {})[0]
        bob.call(job, JOB, "Release")
        client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
        assert bob.call(queue(bob, "remove"), JOB, "Wait")


def test_without_a_rule_members_are_open_or_refused(client):
    with Polkit(client) as polkit, UserClient(ALICE) as user:
        polkit.start()
        check_members(client, user, lambda method, label: is_open(method))


def test_with_a_rule_every_member_is_let_through(client):
    with Polkit(client) as polkit, UserClient(ALICE) as user:
        polkit.start(rule('subject.user == "" || action.id.indexOf("io.conbus1.") == 0'))
        check_members(client, user, lambda method, label: True)


def test_with_a_rule_on_a_label_members_of_that_container_are(client):
    with Polkit(client) as polkit, UserClient(ALICE) as user:
        polkit.start(rule('action.lookup("label.team") == "web"'))
        check_members(client, user, lambda method, label: is_open(method) or label == "web")


def test_without_polkit_only_root_passes(client):
    with Polkit(client) as polkit, UserClient(ALICE) as user:
        polkit.stop()
        check_members(client, user, lambda method, label: is_open(method))
        assert "polkit cannot be asked" in expect("AccessDenied", user.call, fresh(client, "web"), CONTAINER, "Start")
        client.call("/container/web", CONTAINER, "Start")


def test_root_is_not_asked_about(client):
    with Polkit(client) as polkit:
        polkit.start("polkit.addRule(function(action, subject) { return polkit.Result.NO; });\n")
        path = fresh(client, "web")
        client.call(path, CONTAINER, "Start")
        assert client.call(path, CONTAINER, "Inspect")[0]


def test_rules_see_what_a_call_is_about(client):
    path = client.create("shop", "true", labels={"team": "web", "tier": "front"})
    container_id = path.rsplit("/", 1)[1]
    details = {"verb": "set-auto-start", "container": "shop", "id": container_id, "image": "", "owner": "0", "own": "no", "profile": "", "label.team": "web", "label.tier": "front"}
    same = " && ".join(f"action.lookup('{key}') == '{value}'" for key, value in details.items())
    with Polkit(client) as polkit, UserClient(ALICE) as user:
        polkit.start(rule(f"action.id == 'io.conbus1.manage' && subject.user == 'conbus-alice' && {same}"))
        user.call(path, CONTAINER, "SetAutoStart", "s", "enabled")
        assert client.get(path, "AutoStart")
        expect("InteractiveAuthorizationRequired", user.call, path, CONTAINER, "SetRestartPolicy", "su", "no", 0)
        with UserClient(BOB) as other:
            expect("InteractiveAuthorizationRequired", other.call, path, CONTAINER, "SetAutoStart", "s", "enabled")
        # A verb is one, with options or without.
        polkit.start(rule("action.lookup('verb') == 'start'"))
        user.call(path, CONTAINER, "StartWith", "a{sv}", {})
        expect("InteractiveAuthorizationRequired", user.call, path, CONTAINER, "StopWith", "a{sv}", {})
        # A start that attaches is more than a start.
        attaches = {"recursive": GLib.Variant("b", False), "attach": GLib.Variant("a{sv}", {})}
        client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
        polkit.start(rule("action.id == 'io.conbus1.manage'"))
        expect("InteractiveAuthorizationRequired", user.call, path, CONTAINER, "StartWith", "a{sv}", attaches)
        polkit.start(rule("action.id == 'io.conbus1.exec' && action.lookup('verb') == 'start'"))
        expect("InteractiveAuthorizationRequired", user.call, path, CONTAINER, "StartWith", "a{sv}", {})
        user.call(path, CONTAINER, "StartWith", "a{sv}", attaches)
        polkit.start("polkit.addRule(function(action, subject) { return polkit.Result.NO; });\n")
        message = expect("AccessDenied", user.call, path, CONTAINER, "Start")
        assert "io.conbus1.manage" in message and str(ALICE) in message, message


def test_can_answers_without_asking_anybody(client):
    path = client.create("asked", "true", labels={"team": "web"})
    other = client.create("other", "true", health=CHECK)
    with Polkit(client) as polkit, UserClient(ALICE) as user, Agent(client, user, register=False) as agent:
        polkit.start(rule('action.lookup("label.team") == "web"') + "polkit.addRule(function(action, subject) { if (action.id == 'io.conbus1.remove') return polkit.Result.NO; });\n")
        agent.register()

        def can(object_, verb, **keys):
            return user.call("/io/conbus1", MANAGER, "Can", "os", object_, verb, **keys)[0]

        assert can(path, "start") == can("/container/asked", "set-auto-start") == can(path, "inspect") == "yes"
        assert can(other, "start") == can(other, "inspect") == can("/io/conbus1", "create-container") == can("/io/conbus1", "dump") == "challenge"
        assert can(other, "start", interactive=True) == "challenge"
        assert can(other, "remove") == "no"
        assert can(other, "wait") == can(other, "wait-for") == can("/io/conbus1", "list-containers") == "yes"
        assert can(other, "pause") == can(path, "pause") == "na"
        # Its kind: only one of them has a health check.
        assert can(path, "check") == can(path, "get-log") == "na" and can(other, "get-log") == "challenge"
        assert client.manager("Can", "os", other, "remove")[0] == "yes" and client.manager("Can", "os", "/io/conbus1", "run-container")[0] == "yes"
        for object_, verb in ((path, "fly"), (path, "Start"), (path, "stop-with"), ("/io/conbus1", "start"), (path, "create-container")):
            assert "is no verb" in expect("InvalidArgs", can, object_, verb)
        for object_ in ("/io/conbus1/container/feed", "/", "/container/nobody", "/container/self"):
            expect("NoSuchContainer", can, object_, "start")
        assert not agent.seen
        polkit.stop()
        assert can(other, "start") == "no" and can(other, "wait") == "yes"
    # Whoever leaves before the answer is forgotten.
    with UserClient(BOB) as user, FakePolkit() as fake:
        fake.answer = lambda question, invocation: None
        user.begin("/io/conbus1", MANAGER, "Can", "os", other, "start")
        wait_for(lambda: fake.questions, "the question")
        user.kill()
        wait_for(lambda: fake.cancelled, "its cancellation")


def test_the_gate_comes_before_the_arguments(client):
    """Whatever a refused call carries, no handler and no decoder looks at it."""
    path = client.create("target", "true", health=CHECK)
    wrong = {"s": ["", "no such thing", "x" * 100000], "i": [-1, 99, 2**31 - 1], "u": [0, 2**32 - 1], "as": [[], [""] * 1000],
             "a{sv}": [{"colour": GLib.Variant("s", "red")}, {"recursive": GLib.Variant("i", 5)}, {"profile": GLib.Variant("u", 1)}, {"deep": GLib.Variant("v", GLib.Variant("aav", []))}]}
    with Polkit(client) as polkit, UserClient(ALICE) as user:
        polkit.start()
        for interface in INTERFACES:
            place = place_of(client, interface, path)
            for method in [method for method in interface.methods if not is_open(method) and method.access.kind != "by-verb"]:
                for turn in range(4):
                    values = [wrong.get(a.type, [plain_value(a.type)]) for a in method.arguments]
                    arguments = GLib.Variant("(" + "".join(a.type for a in method.arguments) + ")", tuple(list_[turn % len(list_)] for list_ in values)) if values else ""
                    message = expect("InteractiveAuthorizationRequired", user.call, place, interface.name, method.name, arguments)
                    assert "needs the right" in message, f"{method.name}: {message}"
        # A wrong signature is refused by the bus library, before any code of the service.
        expect("InvalidArgs", user.call, path, CONTAINER, "Kill", "ii", 1, 1)
    assert client.get(path, "State") == "created" and sorted(row[1] for row in client.manager("ListContainers")[0]) == ["target", "target-runs"]


if __name__ == "__main__":
    main()
