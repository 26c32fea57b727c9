#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What happens while an authorization is waited for: prompts, callers and containers that go, the order of calls, and everybody else."""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, MANAGER, GLib, expect, main, wait_for  # noqa: E402
from other_user import UserClient  # noqa: E402
from polkit import USERS, Agent, FakePolkit, Polkit, rule  # noqa: E402

ALICE, BOB = USERS.values()


def test_calls_on_one_container_are_decided_in_the_order_in_which_they_were_sent(client):
    path, other = client.create("ordered", "true"), client.create("another", "true")
    with Polkit(client) as polkit, UserClient(ALICE) as user:
        polkit.start(rule("action.lookup('verb') == 'set-restart-policy'"))
        with Agent(client, user) as agent:
            first = user.begin(path, CONTAINER, "SetAutoStart", "s", "enabled", interactive=True)
            second = user.begin(path, CONTAINER, "SetRestartPolicy", "su", "always", 0)
            elsewhere = user.begin(other, CONTAINER, "SetRestartPolicy", "su", "always", 0)
            agent.wait()
            user.finish(elsewhere)
            # Asked before the one elsewhere and allowed without a prompt, and yet behind the first.
            assert not second and client.get(path, "RestartPolicy") == "no"
            user.call(path, CONTAINER, "ShouldRestart")
            agent.allow()
            user.finish(second)
            assert first, "the second was answered first"
            user.finish(first)
            assert client.get(path, "RestartPolicy") == "always" and client.get(path, "AutoStart")
            # A dismissed one lets the next go on.
            first = user.begin(path, CONTAINER, "SetAutoStart", "s", "disabled", interactive=True)
            second = user.begin(path, CONTAINER, "SetRestartPolicy", "su", "no", 0)
            agent.wait()
            agent.dismiss()
            expect("AccessDenied", user.finish, first)
            user.finish(second)
            assert client.get(path, "RestartPolicy") == "no" and client.get(path, "AutoStart")


def test_a_prompt_is_shown_where_the_call_allows_it(client):
    path = client.create("asked", "true")
    with Polkit(client) as polkit, UserClient(ALICE) as user:
        polkit.start()
        message = expect("InteractiveAuthorizationRequired", user.call, path, CONTAINER, "Start", interactive=True)
        assert "no authentication agent" in message, message
        with Agent(client, user) as agent:
            expect("InteractiveAuthorizationRequired", user.call, path, CONTAINER, "Start")
            assert not agent.seen
            call = user.begin(path, CONTAINER, "Start", interactive=True)
            prompt = agent.wait()
            assert prompt["action"] == "io.conbus1.manage" and '"asked"' in prompt["message"], prompt
            assert client.get(path, "State") == "created"
            agent.allow()
            assert user.finish(call) == (1,)
            call = user.begin(path, CONTAINER, "Remove", interactive=True)
            agent.wait()
            agent.dismiss()
            message = expect("AccessDenied", user.finish, call)
            assert "dismissed" in message, message
            assert client.get(path, "Name") == "asked"


def test_a_prompt_goes_with_its_caller(client):
    path = client.create("left", "true")
    with Polkit(client) as polkit:
        polkit.start()
        with UserClient(ALICE) as user, Agent(client, user) as agent:
            user.begin(path, CONTAINER, "Start", interactive=True)
            user.begin(path, CONTAINER, "Remove", interactive=True)
            agent.wait(2)
            user.kill()
            wait_for(lambda: not agent.prompts, "the end of both prompts")
            assert len(set(agent.cancelled)) == 2, agent.cancelled
        assert client.get(path, "State") == "created"


def test_what_goes_during_the_prompt_is_looked_up_again(client):
    path = client.create("first", "true")
    with Polkit(client) as polkit, UserClient(ALICE) as user:
        polkit.start()
        with Agent(client, user) as agent:
            call, alias = user.begin(path, CONTAINER, "Start", interactive=True), user.begin("/container/first", CONTAINER, "Pause", interactive=True)
            agent.wait(2)
            client.call(path, CONTAINER, "Remove")
            agent.allow()
            agent.allow()
            expect("UnknownObject", user.finish, call)
            expect("NoSuchContainer", user.finish, alias)


def test_an_answer_counts_for_the_container_it_was_given_for(client):
    path = client.create("blue", "true")
    with Polkit(client) as polkit, UserClient(ALICE) as user:
        polkit.start()
        with Agent(client, user) as agent:
            call = user.begin("/container/blue", CONTAINER, "Start", interactive=True)
            assert '"blue"' in agent.wait()["message"]
            client.call(path, CONTAINER, "Rename", "s", "old")
            other = client.create("blue", "true")
            agent.allow()
            second = agent.wait()  # the other container is asked about
            assert '"blue"' in second["message"] and client.get(other, "Run") == 0
            agent.dismiss()
            expect("AccessDenied", user.finish, call)
            assert client.get(other, "Run") == 0 and client.get(path, "Run") == 0
            # The same container under another name is asked about by that name.
            call = user.begin(path, CONTAINER, "Start", interactive=True)
            assert '"old"' in agent.wait()["message"]
            client.call(path, CONTAINER, "Rename", "s", "older")
            agent.allow()
            assert '"older"' in agent.wait()["message"]
            agent.allow()
            assert user.finish(call) == (1,)


def test_polkit_that_dies_denies(client):
    path = client.create("orphan", "true")
    with Polkit(client) as polkit, UserClient(ALICE) as user:
        polkit.start()
        with Agent(client, user) as agent:
            call = user.begin(path, CONTAINER, "Start", interactive=True)
            agent.wait()
            polkit.stop()
            assert "polkit cannot be asked" in expect("AccessDenied", user.finish, call)
            assert client.get(path, "Run") == 0


def test_polkit_that_answers_badly_denies(client):
    """Another program in polkit's place: it answers nonsense, or says that there is no such action."""
    path = client.create("doubt", "true")
    with Polkit(client) as polkit, UserClient(ALICE) as user:
        polkit.stop()
        with FakePolkit() as fake:
            fake.answer = lambda question, invocation: invocation.return_value(GLib.Variant("(s)", ("maybe",)))
            assert "form" in expect("AccessDenied", user.call, path, CONTAINER, "Start")
            fake.answer = lambda question, invocation: invocation.return_dbus_error("org.freedesktop.PolicyKit1.Error.Failed", "Action is not registered")
            assert "not registered" in expect("AccessDenied", user.call, path, CONTAINER, "Start")
        assert client.get(path, "Run") == 0


def test_a_polkit_that_takes_its_time_is_waited_for(client):
    """As long as the caller stays. Only what is answered in any case is answered without it, after a while."""
    path, waiting = client.create("slow", "true"), []
    with Polkit(client) as polkit, UserClient(ALICE) as user, UserClient(BOB) as bob:
        polkit.stop()
        with FakePolkit() as fake:
            fake.answer = lambda question, invocation: waiting.append(invocation)
            for number, interactive in enumerate((False, True)):
                user.begin(path, CONTAINER, "Start", interactive=interactive, timeout=0.1)  # its answer comes too late for its caller
                wait_for(lambda: len(fake.questions) == number + 1, "the question")
                subject, action, details, flags, _ = fake.questions[-1]
                assert subject == ("system-bus-name", {"name": user.name}) and action == "io.conbus1.manage" and details["id"] in path and flags == interactive
            patient, asked = bob.begin(path, CONTAINER, "Start"), bob.begin("/io/conbus1", MANAGER, "Can", "os", path, "start")
            wait_for(lambda: len(fake.questions) == 4, "the questions")
            reading = bob.begin("/io/conbus1", MANAGER, "GetEvents", "tua{sv}", 0, 10, {})
            wait_for(lambda: len(fake.questions) == 5, "the question")
            assert all("pid" not in event[6].get("actor", {}) for event in bob.finish(reading)[0])
            assert fake.cancelled == [fake.questions[-1][4]] and not patient and not asked
            user.kill()
            wait_for(lambda: len(fake.cancelled) == 3, "the cancellations of a caller that left")
            assert set(fake.cancelled[1:]) == {fake.questions[0][4], fake.questions[1][4]}
            for invocation in waiting[2:4]:
                fake.allow(invocation)
            assert bob.finish(patient) == (1,) and bob.finish(asked) == ("yes",)


def test_prompts_that_stand_open_keep_nobody_from_being_asked_without_one(client):
    path = client.create("two", "true")
    with Polkit(client) as polkit, UserClient(ALICE) as user:
        polkit.start()
        with Agent(client, user) as agent:
            for _ in range(20):
                user.begin(path, CONTAINER, "Start", interactive=True)
            agent.wait(16)
            assert user.call("/io/conbus1", MANAGER, "Can", "os", path, "start") == ("challenge",)
            user.call("/io/conbus1", MANAGER, "GetEvents", "tua{sv}", 0, 10, {})


def test_prompts_hold_up_nobody_else(client):
    path = client.create("busy", "true")
    with Polkit(client) as polkit, UserClient(ALICE) as alice, UserClient(BOB) as bob:
        polkit.start(rule("subject.user == 'conbus-bob'"))
        with Agent(client, alice) as agent:
            calls = [alice.begin(path, CONTAINER, "Start", interactive=True) for _ in range(256)]
            agent.wait(16)
            message = expect("LimitsExceeded", alice.call, path, CONTAINER, "Start", interactive=True)
            assert "256" in message and "authorization" in message, message
            started = time.monotonic()
            for _ in range(20):
                client.call(path, CONTAINER, "SetAutoStart", "s", "enabled")
                assert alice.call(path, CONTAINER, "ShouldRestart")[0] is False
                bob.call(path, CONTAINER, "SetAutoStart", "s", "disabled")
            print(f"# 20 calls each of root and two users beside 256 parked ones: {time.monotonic() - started:.3f} s")
            assert len(agent.prompts) == 16 and not any(calls)
            alice.kill()
            wait_for(lambda: not agent.prompts, "the end of the prompts")
        assert client.get(path, "Run") == 0


def test_hundreds_of_questions_at_once(client):
    path = client.create("many", "true")
    with Polkit(client) as polkit, UserClient(ALICE) as alice, UserClient(BOB) as bob:
        polkit.start(rule("subject.user == 'conbus-bob'"))
        asked = [user.begin(path, CONTAINER, "SetAutoStart", "s", "enabled") for _ in range(200) for user in (alice, bob)]
        started = time.monotonic()
        client.call(path, CONTAINER, "SetRestartPolicy", "su", "always", 0)
        print(f"# a call of root beside 400 questions: {time.monotonic() - started:.3f} s")
        for number, call in enumerate(asked):
            if number % 2:
                bob.finish(call)
            else:
                expect("InteractiveAuthorizationRequired", alice.finish, call)


if __name__ == "__main__":
    main()
