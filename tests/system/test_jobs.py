#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Queue and the Job object: verbs, results, signals and their order, tokens, cancelling, lifetimes, limits, waits."""

import itertools
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, DEADLINE, JOB, MANAGER, NAME, Client, Gio, GLib, expect, main, options, wait_for  # noqa: E402

PROPERTIES, OBJECTS = "org.freedesktop.DBus.Properties", "org.freedesktop.DBus.ObjectManager"
SETTINGS = os.environ.get("CONBUS_SANDBOX", "") + "/jobs.conf"


def queue(client, path, verb, **keys):
    return client.call(path, CONTAINER, "Queue", "sa{sv}", verb, options(**keys))[0]


def properties(client, job):
    return client.call(job, PROPERTIES, "GetAll", "s", JOB)[0]


def result(client, job):
    return client.call(job, JOB, "Wait")[0]


def finished(client, job):
    return [arguments for path, _, member, arguments in client.signals if path == job and member == "Finished"]


def gone(client, job):
    try:
        properties(client, job)
    except Exception as error:  # noqa: B902
        return getattr(error, "name", "") in ("UnknownObject", "UnknownMethod", "UnknownInterface")
    return False


def stubborn(client, name, **config):
    """Runs until it is killed, and takes no notice of TERM."""
    path = client.create(name, "sleep", "1000", stop_timeout_usec=600000000, **config)
    client.call(path, CONTAINER, "Start")
    return path


def restart_with(client, text):
    with open(SETTINGS, "w", encoding="ascii") as file:
        file.write(text)
    client.restart_with(CONBUS_CONFIG=SETTINGS)


def test_every_verb(client):
    path = client.create("all", "sleep", "1000")
    assert result(client, queue(client, path, "init")) == {"run": 1} and client.get(path, "State") == "initialized"
    assert result(client, queue(client, path, "cleanup", only_stopped=False)) == {} and client.get(path, "State") == "created"
    assert result(client, queue(client, path, "start", wait="started")) == {"run": 2, "started": True, "ready": True}
    assert result(client, queue(client, path, "pause")) == {} and client.get(path, "State") == "paused"
    assert result(client, queue(client, path, "resume")) == {} and client.get(path, "State") == "running"
    assert result(client, queue(client, path, "restart", timeout_usec=0))["run"] == 3
    assert result(client, queue(client, path, "update", auto_start=True)) == {} and client.get(path, "AutoStart")
    assert result(client, queue(client, path, "kill", whom="all", signal=GLib.Variant("i", 9))) == {}
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    assert result(client, queue(client, path, "start"))["run"] == 4
    assert result(client, queue(client, path, "stop", timeout_usec=0)) == {"run": 4}
    job = queue(client, path, "remove", volumes=True)
    assert result(client, job) == {} and client.manager("ListContainers") == ([],)
    assert client.get(job, "Objects", JOB) == [path], "a job outlives what it worked on"


def test_bad_verbs_and_options(client):
    path = client.create("bad", "true")
    before = client.get("/io/conbus1", "NJobs", MANAGER)
    for verb in ("", "Start", "create", "rename", "sync", "reload-network"):
        assert "start" in expect("InvalidArgs", queue, client, path, verb)
    assert "grace" in expect("UnknownOption", queue, client, path, "stop", grace=1)
    expect("InvalidArgs", queue, client, path, "stop", timeout_usec="soon")
    expect("InvalidArgs", queue, client, path, "start", wait="forever")
    expect("UnknownOption", queue, client, path, "pause", timeout_usec=1)
    assert "signal" in expect("InvalidArgs", queue, client, path, "kill", whom="all")
    for token in ("", "a-b", "a/b", "ä", "x" * 65):
        expect("InvalidArgs", queue, client, path, "start", job_token=token)
    expect("InvalidArgs", queue, client, path, "start", job_token=7)
    expect("InvalidArgs", queue, client, path, "start", job_lifetime="short")
    expect("InvalidArgs", queue, client, path, "start", inhibit_sleep="yes")
    expect("UnknownObject", queue, client, "/io/conbus1/container/" + "0" * 64, "start")
    expect("UnknownObject", client.call, "/io/conbus1/job/4711", JOB, "Wait")
    assert client.get("/io/conbus1", "NJobs", MANAGER) == before, "what is refused leaves no job"
    assert client.get(path, "State") == "created"


def test_properties_and_the_order_of_signals(client):
    path = client.create("order", "true")
    before = client.get("/io/conbus1", "NJobs", MANAGER)
    seen = []
    client.connection.add_filter(lambda connection, message, incoming: (seen.append(message), message)[1])
    job = queue(client, path, "start")
    client.wait_signal("Finished")
    assert finished(client, job) == [("done", "", "", {"run": 1, "started": True, "ready": True})]
    told = properties(client, job)
    assert told["Operation"] == "start" and told["Objects"] == [path] and told["OwnerUID"] == 0 and told["State"] == "done" and told["Progress"] == 1.0
    assert told["Result"] == {"run": 1, "started": True, "ready": True} and told["ErrorName"] == "" and not told["Cancellable"] and told["Stage"] == "" and told["StartTimestamp"] > 0
    assert job.endswith(f"/{told['Id']}")
    assert (told["BytesDone"], told["BytesTotal"], told["ItemsDone"], told["ItemsTotal"], told["Rate"], told["ExpectedEndTimestamp"]) == (0,) * 6
    of_job = [(member, arguments) for at, _, member, arguments in client.signals if at == job]
    assert [member for member, _ in of_job] == ["PropertiesChanged"] * (len(of_job) - 1) + ["Finished"]
    states = [arguments[1]["State"] for member, arguments in of_job if member == "PropertiesChanged" and "State" in arguments[1]]
    assert states == ["running", "done"], states
    everything = [(at, member, arguments) for at, _, member, arguments in client.signals]
    added = next(i for i, (_, member, arguments) in enumerate(everything) if member == "InterfacesAdded" and arguments[0] == job)
    assert everything[added][2][1][JOB]["State"] == "queued"
    first = next(i for i, (at, _, _) in enumerate(everything) if at == job)
    started = next(i for i, (_, member, _) in enumerate(everything) if member == "RunStarted")
    end = next(i for i, (at, member, _) in enumerate(everything) if at == job and member == "Finished")
    assert added < first < started < end
    replies = [i for i, message in enumerate(seen) if message.get_message_type() == Gio.DBusMessageType.METHOD_RETURN and message.get_signature() == "o"]
    signals = [i for i, message in enumerate(seen) if message.get_path() == job or message.get_member() == "InterfacesAdded"]
    assert replies and signals and replies[0] < signals[0], "the reply with the path comes before any signal"
    assert client.get("/io/conbus1", "NJobs", MANAGER) == before + 1
    listed = client.call("/io/conbus1", OBJECTS, "GetManagedObjects")[0]
    assert listed[job][JOB] == told and CONTAINER not in listed[job]


def test_the_end_is_told_once_and_stays_readable(client):
    path = client.create("fails", "/no/such/program")
    job = queue(client, path, "start")
    assert "no/such/program" in expect("RuntimeCommandNotFound", result, client, job)
    client.wait_signal("Finished")
    assert [(state, name) for state, name, _, _ in finished(client, job)] == [("failed", "io.conbus1.Error.RuntimeCommandNotFound")]
    expect("RuntimeCommandNotFound", result, client, job)
    told = properties(client, job)
    assert told["State"] == "failed" and told["ErrorName"].endswith("RuntimeCommandNotFound") and told["ErrorMessage"] and told["Result"] == {} and told["Progress"] == -1.0
    assert client.call(job, JOB, "WaitFor", "t", 0) == ("failed", {})
    expect("NotRunning", result, client, queue(client, path, "stop"))
    client.call(job, JOB, "Cancel")
    assert len(finished(client, job)) == 1


def test_wait_for_is_a_long_poll(client):
    path = stubborn(client, "poll")
    job = queue(client, path, "stop")
    assert client.call(job, JOB, "WaitFor", "t", 20000) == ("running", {})
    assert client.call(job, JOB, "WaitFor", "t", 0) == ("running", {})
    box = client.begin(job, JOB, "WaitFor", "t", 2**64 - 1)
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert client.finish(box) == ("done", {"run": 1})


def read_pipe(client):
    fd = client.fds.steal_fds()[0]
    os.set_blocking(fd, False)
    text = b""

    def ended():
        nonlocal text
        try:
            more = os.read(fd, 65536)
        except BlockingIOError:
            return False
        text += more
        return not more

    wait_for(ended, "the end of the pipe", poll=True)
    os.close(fd)
    return json.loads(text)


def test_open_wait_holds_one_line(client):
    path = stubborn(client, "pipe")
    job = queue(client, path, "stop")
    other = Client()
    other.call(job, JOB, "OpenWait")
    client.call(path, CONTAINER, "Kill", "si", "leader", 9)
    line = read_pipe(other)
    assert (line["job"], line["state"], line["error-name"], line["result"]) == (job, "done", "", {"run": 1})
    other.call(job, JOB, "OpenWait")
    assert read_pipe(other) == line
    job = queue(client, path, "stop")
    other.call(job, JOB, "OpenWait")
    line = read_pipe(other)
    assert line["state"] == "failed" and line["error-name"] == "io.conbus1.Error.NotRunning"


def test_a_token_is_known_before_the_call(client):
    path = client.create("token", "true")
    other = Client()
    sender = other.connection.get_unique_name()[1:].replace(".", "_")
    expected = f"/io/conbus1/job/{sender}/mine_1"
    heard = []
    other.connection.signal_subscribe(NAME, JOB, "Finished", expected, None, Gio.DBusSignalFlags.NONE, lambda *words: heard.append(words[5].unpack()))
    assert queue(other, path, "start", job_token="mine_1") == expected
    wait_for(lambda: heard, "Finished")
    assert heard == [("done", "", "", {"run": 1, "started": True, "ready": True})]
    assert "mine_1" in expect("NameInUse", queue, other, path, "start", job_token="mine_1")
    assert queue(client, path, "cleanup", job_token="mine_1") != expected, "a token is the caller's own"
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    other.call(expected, JOB, "Release")
    assert queue(other, path, "cleanup", job_token="mine_1") == expected
    result(other, expected)


def test_release(client):
    path = stubborn(client, "release")
    job = queue(client, path, "stop")
    client.call(job, JOB, "Release")
    assert properties(client, job)["State"] in ("queued", "running"), "an unfinished job stays until its end"
    client.call(path, CONTAINER, "Kill", "si", "leader", 9)
    wait_for(lambda: gone(client, job), "its going", poll=True)
    assert [state for state, *_ in finished(client, job)] == ["done"]
    members = [(member, arguments) for at, _, member, arguments in client.signals if at == job or (member == "InterfacesRemoved" and arguments[0] == job)]
    assert members[-1][0] == "InterfacesRemoved" and JOB in members[-1][1][1]
    job = queue(client, path, "cleanup")
    result(client, job)
    count = client.get("/io/conbus1", "NJobs", MANAGER)
    client.call(job, JOB, "Release")
    expect("UnknownObject", client.call, job, JOB, "Release")
    assert client.get("/io/conbus1", "NJobs", MANAGER) == count - 1


def test_cancel_while_queued_has_no_effect_at_all(client):
    path = stubborn(client, "queued")
    first = queue(client, path, "stop")
    second = queue(client, path, "remove", force=True, timeout_usec=600000000)
    told = properties(client, second)
    assert told["State"] == "queued" and told["Cancellable"]
    waiting = client.begin(second, JOB, "Wait")
    client.call(second, JOB, "Cancel")
    client.call(second, JOB, "Cancel")
    expect("Cancelled", client.finish, waiting)
    assert [arguments[:2] for arguments in finished(client, second)] == [("cancelled", "io.conbus1.Error.Cancelled")]
    client.call(path, CONTAINER, "Kill", "si", "leader", 9)
    assert result(client, first) == {"run": 1} and client.get(path, "State") == "exited"


def test_what_runs_and_cannot_be_undone_is_finished(client):
    path = stubborn(client, "running")
    job = queue(client, path, "stop")
    wait_for(lambda: client.get(path, "State") == "stopping", "the stop", poll=True)
    assert not properties(client, job)["Cancellable"]
    assert "ends by itself" in expect("InvalidState", client.call, job, JOB, "Cancel")
    client.call(path, CONTAINER, "Kill", "si", "leader", 9)
    assert result(client, job) == {"run": 1}


def test_a_cancelled_start_is_undone(client):
    """At whatever step the cancel comes: created again or, where it was too late, done; never something in between."""
    path = client.create("undo", "sleep", "1000")
    outcomes, end = set(), time.monotonic() + DEADLINE
    for attempt in itertools.count():
        if attempt >= 12 and ("cancelled" in outcomes or time.monotonic() > end):  # on a busy machine the cancel may come too late again and again
            break
        job = queue(client, path, "start")
        wait_for(lambda: properties(client, job)["State"] != "queued", "its beginning", poll=True)
        client.call(job, JOB, "Cancel")
        state = client.call(job, JOB, "WaitFor", "t", 20000000)[0]
        outcomes.add(state)
        if state == "cancelled":
            assert client.get(path, "State") in ("created", "exited") and client.get(path, "MainPID") == 0
            assert client.get(job, "ErrorName", JOB) == "io.conbus1.Error.Cancelled"
        else:
            assert state == "done" and client.get(path, "State") == "running"
            client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
        runs = client.call(path, CONTAINER, "ListRuns", "u", 0)[0]
        assert all(run["finish"] > 0 for run in runs), "every run that was opened has ended"
    assert "cancelled" in outcomes, outcomes


def test_a_cancelled_restart_stays_down(client):
    path = stubborn(client, "down")
    job = queue(client, path, "restart")
    wait_for(lambda: client.get(path, "State") == "stopping", "the stop", poll=True)
    assert properties(client, job)["Cancellable"]
    client.call(job, JOB, "Cancel")
    assert properties(client, job)["State"] == "cancelling"
    client.call(path, CONTAINER, "Kill", "si", "leader", 9)
    expect("Cancelled", result, client, job)
    assert client.get(path, "State") == "exited" and client.get(path, "Run") == 1


def test_a_cancelled_recursive_start_leaves_its_dependencies(client):
    check = GLib.Variant("a{sv}", options(test=["CMD", "test", "-e", "/ok"], retries=GLib.Variant("u", 1000), interval_usec=50000))
    base = client.create("base", "sleep", "1000", health=check, notify="healthy")
    top = client.create("top", "sleep", "1000", depends=["base"])
    job = queue(client, top, "start", recursive=True)
    wait_for(lambda: client.get(base, "State") == "running", "its dependency", poll=True)
    client.call(job, JOB, "Cancel")
    open(f"/proc/{client.get(base, 'MainPID')}/root/ok", "w", encoding="ascii").close()
    expect("Cancelled", result, client, job)
    assert client.get(top, "State") == "created" and client.get(top, "Run") == 0 and client.get(base, "State") == "running"


def test_cancel_while_readiness_is_waited_for(client):
    check = GLib.Variant("a{sv}", options(test=["CMD", "false"], retries=GLib.Variant("u", 1000), interval_usec=50000))
    path = client.create("never-healthy", "sleep", "1000", health=check)
    job = queue(client, path, "start", wait="healthy")
    wait_for(lambda: client.get(path, "State") == "running" and client.get(path, "Operation") == "", "the start", poll=True)
    assert properties(client, job)["State"] == "running"
    client.call(job, JOB, "Cancel")
    assert "goes on" in expect("Cancelled", result, client, job)
    assert client.get(path, "State") == "running"


def test_lifetime_of_the_client(client):
    path = stubborn(client, "lifetime")
    other = Client()
    first = queue(other, path, "stop", job_lifetime="client")
    mine = queue(other, path, "cleanup", job_lifetime="client")
    detached = queue(other, path, "cleanup")
    other.connection.close_sync(None)
    wait_for(lambda: finished(client, mine), "the cancelling")
    assert finished(client, mine)[0][0] == "cancelled"
    assert properties(client, first)["State"] == "running", "a stop is finished"
    assert properties(client, detached)["State"] == "queued", "detached is the default"
    client.call(path, CONTAINER, "Kill", "si", "leader", 9)
    assert result(client, first) == {"run": 1}
    assert client.call(detached, JOB, "WaitFor", "t", 20000000)[0] == "done"


def test_a_caller_that_leaves_ends_only_its_wait(client):
    path = stubborn(client, "left")
    job = queue(client, path, "stop")
    for _ in range(5):
        other = Client()
        other.begin(job, JOB, "Wait")
        other.begin(job, JOB, "WaitFor", "t", 2**64 - 1)
        other.connection.flush_sync(None)
        other.connection.close_sync(None)
    client.call(path, CONTAINER, "Kill", "si", "leader", 9)
    assert result(client, job) == {"run": 1}


def test_limits_per_caller(client):
    path = stubborn(client, "limits")
    other = Client()
    jobs = [queue(other, path, "stop") for _ in range(64)]
    assert "64" in expect("LimitsExceeded", queue, other, path, "stop")
    assert queue(client, path, "stop"), "another caller has its own"
    assert len([job for job in jobs if properties(client, job)["State"] in ("queued", "running")]) == 64
    client.call(path, CONTAINER, "Kill", "si", "leader", 9)
    for job in jobs:
        client.call(job, JOB, "WaitFor", "t", 20000000)
    assert queue(other, path, "cleanup")


def test_a_job_of_a_container_that_is_removed_meanwhile(client):
    path = stubborn(client, "going")
    removal = queue(client, path, "remove", force=True, timeout_usec=600000000)
    late = queue(client, path, "stop", timeout_usec=600000000)
    client.call(path, CONTAINER, "Kill", "si", "leader", 9)
    assert result(client, removal) == {}
    state, _ = client.call(late, JOB, "WaitFor", "t", 20000000)
    assert state == "failed" and client.get(late, "ErrorName", JOB) in ("io.conbus1.Error.Removed", "io.conbus1.Error.NoSuchContainer"), client.get(late, "ErrorName", JOB)


def test_the_one_liner(client):
    path = client.create("web", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    done = subprocess.run(["busctl", "call", NAME, "/container/web", CONTAINER, "Queue", "sa{sv}", "stop", "1", "timeout-usec", "t", "0"], stdout=subprocess.PIPE, text=True, timeout=30, check=True)
    assert done.stdout.startswith('o "/io/conbus1/job/'), done.stdout
    job = done.stdout.split('"')[1]
    assert client.call(job, JOB, "WaitFor", "t", 20000000) == ("done", {"run": 1})
    tree = subprocess.run(["busctl", "tree", "--list", NAME], stdout=subprocess.PIPE, text=True, timeout=30, check=True)
    assert job in tree.stdout.split()


def test_a_lock_against_sleep_is_held_until_the_end(client):
    """A stand-in for logind on the private bus gives out one end of a pipe and sees it closed."""
    interface = Gio.DBusNodeInfo.new_for_xml(
        "<node><interface name='org.freedesktop.login1.Manager'><method name='Inhibit'><arg type='s' direction='in'/><arg type='s' direction='in'/>"
        "<arg type='s' direction='in'/><arg type='s' direction='in'/><arg type='h' direction='out'/></method></interface></node>").interfaces[0]
    logind = Client()
    asked = []
    reading, writing = os.pipe()
    os.set_blocking(reading, False)

    def on_call(connection, sender, path, name, method, arguments, invocation):
        asked.append(arguments.unpack())
        invocation.return_value_with_unix_fd_list(GLib.Variant("(h)", (0,)), Gio.UnixFDList.new_from_array([os.dup(writing)]))

    logind.connection.register_object("/org/freedesktop/login1", interface, on_call, None, None)
    logind.connection.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", GLib.Variant("(su)", ("org.freedesktop.login1", 0)), None, 0, -1, None)
    path = stubborn(client, "sleepless")
    job = queue(client, path, "stop", inhibit_sleep=True)
    wait_for(lambda: asked, "the question")
    assert asked == [("sleep", "conbusd", "conbus: stop", "block")]
    os.close(writing)

    def closed():
        try:
            return os.read(reading, 1) == b""
        except BlockingIOError:
            return False

    client.get(path, "State")
    assert not closed(), "the lock is held while the job runs"
    client.call(path, CONTAINER, "Kill", "si", "leader", 9)
    result(client, job)
    wait_for(closed, "the lock's release", poll=True)
    os.close(reading)
    logind.connection.close_sync(None)


def test_jobs_end_with_the_service(client):
    path = stubborn(client, "restart")
    job = queue(client, path, "stop")
    wait_for(lambda: client.get(path, "State") == "stopping", "the stop", poll=True)
    client.kill_service()
    assert client.get(path, "State") == "stopping", "the operation goes on"
    assert gone(client, job)
    later = queue(client, path, "stop")
    assert int(later.rsplit("/", 1)[1]) > int(job.rsplit("/", 1)[1]), "an old path leads to no other job"
    client.call(path, CONTAINER, "Kill", "si", "leader", 9)
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})


def test_finished_jobs_go_by_themselves(client):
    path = client.create("soon", "true")
    restart_with(client, "[Service]\nJobKeepUSec=300000\nJobsPerCaller=1\n")
    client.signals.clear()
    job = queue(client, path, "cleanup")
    client.wait_signal("InterfacesRemoved")
    assert client.signals_of("InterfacesRemoved")[0][0] == job and gone(client, job)
    assert finished(client, job) == [("done", "", "", {})]
    client.call(path, CONTAINER, "Start")
    restart_with(client, "[Service]\nJobKeepUSec=infinity\nIdleExitUSec=100000\n")
    job = queue(client, path, "cleanup")
    client.call(job, JOB, "WaitFor", "t", 20000000)
    client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
    pid = client.service_pid()
    assert properties(client, job)["State"] == "done" and client.service_pid() == pid
    client.call(job, JOB, "Release")
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the idle exit", poll=True)
    client.environment(CONBUS_CONFIG=os.environ["CONBUS_CONFIG"])
    client.manager("ListContainers")


if __name__ == "__main__":
    main()
