#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What starts a container without a call: policies with their back-off, the boot rule, dependencies; and what a start waits for."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, Error, GLib, expect, main, on_real_runtime, options, wait_for  # noqa: E402

SANDBOX = os.environ.get("CONBUS_SANDBOX", "")


def u32(value):
    return GLib.Variant("u", value)


def shared(name):
    """A directory of the test, and the mount that shows it in a container."""
    path = f"{SANDBOX}/{name}"
    os.makedirs(path, exist_ok=True)
    os.chmod(path, 0o777)
    return path, GLib.Variant("aa{sv}", [options(target="/shared", source=path)])


def health(*test, **keys):
    keys.setdefault("interval_usec", 30000)
    return GLib.Variant("a{sv}", options(test=list(test), **keys))


def wait(client, path, *conditions, **keys):
    return client.call(path, CONTAINER, "WaitFor", "asa{sv}", list(conditions), options(**keys))


def stop(client, path):
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))


def records(client, path):
    return client.call(path, CONTAINER, "ListRuns", "u", 0)[0][::-1]


def planned(client, path):
    """The delays that were announced, one for each planned restart."""
    changes = [arguments[1] for at, _, member, arguments in client.signals if at == path and member == "PropertiesChanged"]
    return [change["NextRestartTimestamp"] - change["StateTimestamp"] for change in changes if change.get("NextRestartTimestamp") and "StateTimestamp" in change]


def make_tool():
    """A program of the root file system that a test can take away."""
    directory = os.environ["CONBUS_TEST_ROOTFS"] + "/tools"
    os.makedirs(directory, exist_ok=True)
    return shutil.copy(os.environ["CONBUS_TEST_ROOTFS"] + "/bin/busybox", f"{directory}/sleep")


def executes(client, path, name):
    """crun start has let PID 1 go, which executes its command then."""
    with open(f"/proc/{client.get(path, 'MainPID')}/comm", encoding="ascii") as file:
        return file.read() == f"{name}\n"


# --- policies ---


def test_the_back_off_doubles_and_begins_anew_after_a_long_run(client):
    reset, most = 1500000, 150000
    with open(f"{SANDBOX}/backoff.conf", "w", encoding="ascii") as file:
        file.write(f"[Restart]\nBackoffResetUSec={reset}\nBackoffMaxUSec={most}\n")
    client.restart_with(CONBUS_CONFIG=f"{SANDBOX}/backoff.conf")
    directory, mounts = shared("backoff")
    script = "n=$(cat /shared/n); echo $((n + 1)) >/shared/n; if [ $n = 5 ]; then sleep 1.6; fi; exit 1"
    with open(f"{directory}/n", "w", encoding="ascii") as file:
        file.write("1")
    path = client.create("backoff", "sh", "-c", script, restart_policy="always", restart_sec_usec=40000, mounts=mounts)
    client.signals.clear()
    client.call(path, CONTAINER, "Start")
    assert wait(client, path, "stopped", run=7)[1] == 7
    wait_for(lambda: len(planned(client, path)) >= 6, "six plans")
    runs, delay = records(client, path), 0
    assert runs[4]["finish"] - runs[4]["start"] >= reset
    for earlier, later, told in zip(runs, runs[1:], planned(client, path)[:6]):
        lasted = earlier["finish"] - earlier["start"] >= reset  # any run may, on a slow machine
        delay = 40000 if lasted or not delay else min(2 * delay, most)
        assert min((40000, 80000, most), key=lambda one, told=told: abs(one - told)) == delay, (delay, told, planned(client, path), runs)
        assert later["start"] - earlier["finish"] >= told - 1000, "a restart comes after its back-off"
    client.call(path, CONTAINER, "SetRestartPolicy", "su", "no", 0)
    wait(client, path, "stopped", final=True)
    assert client.call(path, CONTAINER, "ShouldRestart") == (False, "policy")
    client.restart_with(CONBUS_CONFIG=os.environ["CONBUS_CONFIG"])


def test_which_signals_are_a_wish_to_stop(client):
    for number, wished in ((signal.SIGHUP, False), (signal.SIGUSR1, False), (signal.SIGTERM, True), (signal.SIGINT, True), (signal.SIGQUIT, True), (signal.SIGKILL, True), (signal.SIGUSR2, True)):
        traps = "; ".join(f"trap 'exit 9' {word}" for word in ("HUP", "USR1", "USR2", "TERM", "INT", "QUIT"))
        path = client.create(f"sig{int(number)}", "sh", "-c", f"{traps}; touch /tmp/ready; while :; do sleep 0.02; done", restart_policy="unless-stopped", restart_sec_usec=10000,
                             stop_signal=GLib.Variant("i", int(signal.SIGUSR2)))
        client.call(path, CONTAINER, "Start")
        wait_for(lambda: os.path.exists(f"/proc/{client.get(path, 'MainPID')}/root/tmp/ready"), "its traps", poll=True)
        client.call(path, CONTAINER, "Kill", "si", "leader", int(number))
        assert wait(client, path, "exited", run=1)[1] == 1
        assert client.get(path, "StoppedByUser") == wished, number
        if wished:
            assert client.call(path, CONTAINER, "ShouldRestart") == (False, "stopped-by-user") and client.get(path, "NextRestartTimestamp") == 0
        else:
            assert wait(client, path, "running", run=2)[1] == 2 and client.get(path, "RestartCount") == 1
            stop(client, path)


def test_a_stop_wins_over_a_restart_for_health(client):
    path = client.create("ill", "sleep", "1000", health=health("CMD", "false", retries=u32(1), on_failure="restart"), stop_timeout_usec=600000000, restart_sec_usec=10000)
    client.call(path, CONTAINER, "Start")
    wait(client, path, "stopping")
    assert not client.get(path, "StoppedByUser")
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert client.get(path, "State") == "exited" and client.get(path, "StoppedByUser") and client.get(path, "NextRestartTimestamp") == 0
    assert wait(client, path, "stopped", final=True)[1] == 1


def test_a_restart_for_health_survives_the_service(client):
    path = client.create("ill", "sleep", "1000", health=health("CMD", "false", retries=u32(1), on_failure="restart"), stop_timeout_usec=600000000, restart_sec_usec=10000)
    client.call(path, CONTAINER, "Start")
    wait(client, path, "stopping")
    main_pid = client.get(path, "MainPID")
    client.kill_service(9)
    assert client.get(path, "State") == "stopping" and client.get(path, "StateReason") == "health"
    os.kill(main_pid, signal.SIGKILL)
    assert wait(client, path, "running", run=2)[1] == 2
    stop(client, path)


def asked(condition):
    """condition(), of a service that may die of a crash point at any time."""
    try:
        return condition()
    except Error as error:
        assert error.name in ("NoReply", "Spawn.ChildSignaled"), error
        return False


def test_death_at_each_step_from_an_end_to_its_restart(client):
    """The end is recorded, cleaned up, and the policy restarts the container: whatever of it the service has done, the next one does the rest."""
    crash = f"{SANDBOX}/crash"
    for step in range(1, 60):
        path = client.create(f"crash{step}", "sleep", "1000", restart_policy="always", restart_sec_usec=10000)
        client.call(path, CONTAINER, "Start")

        def runs_again(at=path):
            return asked(lambda: client.get(at, "State") == "running" and client.get(at, "Run") > 1 and client.get(at, "Operation") == "")

        with open(crash, "w", encoding="ascii") as file:
            file.write(str(step))
        os.kill(client.get(path, "MainPID"), signal.SIGKILL)
        wait_for(lambda: not os.path.exists(crash) or runs_again(), "the restart or a death", poll=True)
        died = not os.path.exists(crash)
        if not died:
            os.unlink(crash)
        wait_for(runs_again, f"the restart after a death at step {step}", poll=True)
        records_ = records(client, path)
        assert client.get(path, "RestartCount") >= 1 and [run["run"] for run in records_] == list(range(1, client.get(path, "Run") + 1)) and all(run["result"] for run in records_[:-1]), records_
        assert (records_[0]["exit-code"], records_[0]["signal"], records_[0]["result"]) == (137, 9, "signal"), records_[0]
        client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
        if not died:
            assert step > 5, "the service has no crash points: is it built with -Dcrash-points=true?"
            print(f"# {step - 1} deaths")
            return
    raise AssertionError("a restart has more than 60 steps")


def test_auto_remove_comes_after_the_policy_has_declined(client):
    path = client.create("twice", "sh", "-c", "exit 6", restart_policy="on-failure", restart_max=u32(1), restart_sec_usec=10000, auto_remove=True)
    waits = [client.begin(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(after_run=n)) for n in (0, 1)]
    gone = client.begin(path, CONTAINER, "WaitFor", "asa{sv}", ["removed"], {})
    client.call(path, CONTAINER, "Start")
    assert [client.finish(box)[:3] for box in waits] == [("stopped", 1, 6), ("stopped", 2, 6)]
    assert client.finish(gone)[:3] == ("removed", 2, 6)
    wait_for(lambda: not client.manager("ListContainers")[0], "its removal", poll=True)
    assert [run["exit-code"] for run in client.manager("ListRuns", "su", path.rsplit("/", 1)[1], 0)[0]] == [6, 6]


@on_real_runtime
def test_a_restart_whose_start_fails_says_that_it_was_stopped(client):
    tool = make_tool()
    path = client.create("tool", "/tools/sleep", "1000", rootfs_mode="direct")
    client.call(path, CONTAINER, "Start")
    wait_for(lambda: executes(client, path, "sleep"), "its command", poll=True)
    os.unlink(tool)
    message = expect("RuntimeCommandNotFound", client.call, path, CONTAINER, "RestartWith", "a{sv}", options(timeout_usec=0))
    assert "was stopped, but not started again" in message
    assert client.get(path, "State") == "exited" and message.endswith(client.get(path, "LastErrorMessage")) and client.get(path, "Run") == 2
    results = [run["result"] for run in records(client, path)]
    assert results == ["signal", "start-failed"], results


# --- boot ---


def test_the_boot_rule_applies_once_for_each_boot(client):
    names = {}
    for policy in ("no", "on-failure", "always", "unless-stopped"):
        for past in ("never", "ran", "stopped"):
            path = names[policy, past] = client.create(f"{policy}-{past}", "sh", "-c", "trap 'exit 0' TERM; test -e /once && while :; do sleep 0.05; done; touch /once; while :; do sleep 0.05; done", restart_policy=policy)
            if past != "never":
                client.call(path, CONTAINER, "Start")
                wait_for(lambda at=path: os.path.exists(f"/proc/{client.get(at, 'MainPID')}/root/once"), "its mark", poll=True)
            if past == "stopped":
                stop(client, path)
            if past == "ran":  # ends by itself while no policy may act: as a power cut would have it
                client.call(path, CONTAINER, "SetRestartPolicy", "su", "no", 0)
                os.kill(client.get(path, "MainPID"), signal.SIGKILL)
                wait(client, path, "exited")
                client.call(path, CONTAINER, "SetRestartPolicy", "su", policy, 0)
                assert client.get(path, "State") == "exited"
    auto = client.create("auto", "sleep", "1000", auto_start=True)
    failed = client.create("failed", "/no/such/program", restart_policy="always")
    expect("RuntimeCommandNotFound", client.call, failed, CONTAINER, "Start")
    client.restart_with(CONBUS_BOOT_ID="00000000-0000-0000-0000-000000000001")
    due = {("always", "ran"), ("always", "stopped"), ("unless-stopped", "ran")}
    for key in due:
        wait(client, names[key], "running")
    wait(client, auto, "running")
    for key, path in names.items():
        assert (client.get(path, "State") == "running") == (key in due), (key, client.get(path, "State"))
        assert client.get(path, "RestartCount") == 0
    assert client.get(failed, "State") == "created", "what never got as far as its start does not count as ever ran"
    assert client.get(names["unless-stopped", "stopped"], "StoppedByUser")
    for path in [names[key] for key in due] + [auto]:
        client.call(path, CONTAINER, "SetRestartPolicy", "su", "no", 0)
        stop(client, path)
        client.call(path, CONTAINER, "SetRestartPolicy", "su", "always", 0)
    runs = {path: client.get(path, "Run") for path in names.values()}
    client.restart_with(CONBUS_BOOT_ID="00000000-0000-0000-0000-000000000001")
    assert {path: client.get(path, "Run") for path in names.values()} == runs and client.get(auto, "State") == "exited", "the same boot: nothing starts"


def count_events(client, path, action):
    return sum(event[3] == action and event[5] == path.rsplit("/", 1)[1] for event in client.manager("GetEvents", "tua{sv}", 0, 10000, {})[0])


def test_death_at_each_step_of_the_starts_at_boot(client):
    """Three containers are due, one of them for another that depends on it: each is started by whichever service comes to it, and once."""
    crash = f"{SANDBOX}/crash"
    for step in range(1, 120):
        base = client.create("base", "sleep", "1000", auto_start=True)
        paths = [base, client.create("top", "sleep", "1000", auto_start=True, depends=["base"]), client.create("alone", "sleep", "1000", restart_policy="always")]
        client.call(paths[2], CONTAINER, "Start")
        stop(client, paths[2])
        started = [count_events(client, path, "start") for path in paths]
        client.environment(CONBUS_BOOT_ID=f"00000000-0000-0000-0001-{step:012}")
        client.kill_service(15)
        with open(crash, "w", encoding="ascii") as file:
            file.write(str(step))

        def all_run():
            return asked(lambda: all(client.get(path, "State") == "running" and client.get(path, "Operation") == "" for path in paths))

        wait_for(all_run, f"the starts after a death at step {step}", poll=True)
        died = not os.path.exists(crash)
        if not died:
            os.unlink(crash)
        for path, before in zip(paths, started):
            assert count_events(client, path, "start") == before + 1, "started twice"
            records_ = records(client, path)
            assert len([run for run in records_ if run["start"] and not run["result"]]) == 1 and all(run["result"] for run in records_[:-1]), records_
            assert client.get(path, "StateReason") == "boot" and client.get(path, "RestartCount") == 0
            stop(client, path)
        client.kill_service(9)
        assert [client.get(path, "State") for path in paths] == ["exited"] * 3, "once for each boot"
        for path in reversed(paths):
            client.call(path, CONTAINER, "Remove")
        if not died:
            assert step > 20, "the service has no crash points: is it built with -Dcrash-points=true?"
            print(f"# {step - 1} deaths")
            return
    raise AssertionError("three starts have more than 120 steps")


def test_what_a_boot_leaves_of_open_runs(client):
    running, paused, prepared = (client.create(name, "sleep", "1000", auto_remove=name == "paused") for name in ("running", "paused", "prepared"))
    for path in (running, paused):
        client.call(path, CONTAINER, "Start")
    client.call(paused, CONTAINER, "Pause")
    client.call(prepared, CONTAINER, "Init")
    pids = {path: (client.get(path, "MonitorPID"), client.get(path, "MainPID")) for path in (running, paused, prepared)}
    waiting = client.begin(running, CONTAINER, "Wait")
    freezer = f"/sys/fs/cgroup/freezer{client.get(paused, 'ControlGroup')}/freezer.state"
    client.environment(CONBUS_BOOT_ID="00000000-0000-0000-0000-000000000002")
    client.kill_service(9)
    for monitor, main_pid in pids.values():  # the power cut: nobody is left to tell
        os.kill(monitor, signal.SIGKILL)
        os.kill(main_pid, signal.SIGKILL)
    if os.path.exists(freezer):  # of version 1: what is frozen does not die
        with open(freezer, "w", encoding="ascii") as file:
            file.write("THAWED")
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pids_ in pids.values() for pid in pids_), "their ends", poll=True)
    for path in pids:  # /run is empty after a boot
        shutil.rmtree(f"/run/conbus/crun/{path.rsplit('/', 1)[1]}")
    try:
        client.finish(waiting)
    except Error as error:
        assert error.name == "NoReply"
    assert client.get(running, "State") == "exited" and client.get(running, "StateReason") == "boot" and client.get(running, "MainPID") == 0
    assert client.call(running, CONTAINER, "Wait") == (1, -1, 0, "lost")
    assert client.get(prepared, "State") == "created" and client.call(prepared, CONTAINER, "GetRun", "t", 1)[0]["result"] == "never-ran"
    assert client.call(running, CONTAINER, "ShouldRestart") == (False, "no-end-seen")
    wait_for(lambda: len(client.manager("ListContainers")[0]) == 2, "the removal of the one that removes itself", poll=True)
    assert client.manager("GetRun", "st", paused.rsplit("/", 1)[1], 1)[0]["result"] == "lost"
    assert client.call(running, CONTAINER, "Start") == (2,)
    stop(client, running)


# --- dependencies ---


def test_independent_branches_start_in_parallel(client):
    """Each of the two is healthy only once the other runs."""
    _, mounts = shared("branches")
    bases = [client.create(name, "sh", "-c", f"touch /shared/{name}; sleep 1000", notify="healthy", mounts=mounts, health=health("CMD-SHELL", f"test -e /shared/{other}"))
             for name, other in (("left", "right"), ("right", "left"))]
    top = client.create("top", "sleep", "1000", depends=["left", "right"])
    client.call(top, CONTAINER, "StartWith", "a{sv}", options(recursive=True))
    starts = [records(client, path)[-1]["start"] for path in (*bases, top)]
    assert starts[2] > max(starts[:2])
    for path in (top, *bases):
        stop(client, path)


def test_a_branch_that_fails_lets_the_other_finish(client):
    bad = client.create("bad", "/no/such/program")
    good = client.create("good", "sleep", "1000")
    middle = client.create("middle", "sleep", "1000", depends=["bad"])
    top = client.create("top", "sleep", "1000", depends=["middle", "good"])
    message = expect("DependencyFailed", client.call, top, CONTAINER, "StartWith", "a{sv}", options(recursive=True))
    assert middle.rsplit("/", 1)[1] in message and bad.rsplit("/", 1)[1] in message and good.rsplit("/", 1)[1] not in message, message
    assert client.get(good, "State") == "running" and client.get(top, "State") == "created" and client.get(top, "Run") == 0
    assert client.get(middle, "LastErrorName").endswith("DependencyFailed") and client.get(top, "LastErrorName").endswith("DependencyFailed")
    assert client.get(bad, "LastErrorName").endswith("RuntimeCommandNotFound")
    for method in ("Init", "Restart"):
        expect("DependencyFailed", client.call, top, CONTAINER, method)


def test_a_policy_restart_starts_dependencies_first(client):
    db = client.create("db", "sleep", "1000")
    web = client.create("web", "sh", "-c", "sleep 1000", depends=["db"], restart_policy="always", restart_sec_usec=50000)
    for path in (db, web):
        client.call(path, CONTAINER, "Start")
    stop(client, db)
    assert client.get(web, "State") == "running", "a stopped dependency does not stop its dependents"
    os.kill(client.get(web, "MainPID"), signal.SIGKILL)
    assert wait(client, web, "running", run=2)[1] == 2
    assert client.get(db, "State") == "running" and client.get(db, "Run") == 2
    assert records(client, db)[-1]["start"] <= records(client, web)[-1]["start"]
    stop(client, web)


def test_a_policy_restart_whose_dependency_fails_counts(client):
    tool = make_tool()
    db = client.create("db", "/tools/sleep", "1000")
    web = client.create("web", "sleep", "1000", depends=["db"], restart_policy="on-failure", restart_max=u32(2), restart_sec_usec=10000)
    for path in (db, web):
        client.call(path, CONTAINER, "Start")
    stop(client, db)
    os.unlink(tool)
    os.kill(client.get(web, "MainPID"), signal.SIGKILL)
    wait_for(lambda: client.get(web, "RestartCount") == 2 and client.get(web, "NextRestartTimestamp") == 0, "the last attempt", poll=True)
    assert client.get(web, "Run") == 1 and client.get(web, "State") == "exited" and client.get(web, "LastErrorName").endswith("DependencyFailed")
    assert wait(client, web, "stopped", final=True)[1] == 1


def test_a_dependency_is_the_container_not_its_name(client):
    first = client.create("db", "sleep", "1000")
    web = client.create("web", "sleep", "1000", depends=["db"], network="container:db")
    client.call(first, CONTAINER, "Rename", "s", "old-db")
    client.create("db", "sleep", "1000", depends=["web"])  # no cycle: web depends on the first one
    assert client.get(web, "Dependencies") == [first]
    client.call("/container/db", CONTAINER, "StartWith", "a{sv}", options(recursive=True))
    assert client.get(first, "State") == client.get(web, "State") == "running"
    expect("NoSuchContainer", client.create, "orphan", "true", depends=["nobody"])
    for path in ("/container/db", web, first):
        stop(client, path)


# --- readiness ---

NOTIFY = """
import os, socket, sys
for place in sys.argv[3:]:
    with open(place, "w") as procs:
        procs.write(str(os.getpid()))
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
    sender.connect(sys.argv[1])
    print("connected", flush=True)
    for line in sys.stdin:
        sender.send(sys.argv[2].encode())
        print("sent", flush=True)
"""


@contextlib.contextmanager
def sender(client, path, text, inside=True):
    """A process of the container, or one from outside, that sends a message of sd_notify(3) for each line it is given and lives until its input ends."""
    group = client.get(path, "ControlGroup")
    places = [f"/sys/fs/cgroup/{top}{group}/cgroup.procs" for top in ("pids", "freezer", ".")]
    places = [place for place in places if os.path.exists(place)] if inside else []
    address = f"/run/conbus/containers/{path.rsplit('/', 1)[1]}/{client.get(path, 'Run')}/notify/notify"
    os.symlink(os.path.dirname(address), f"{SANDBOX}/n")  # a socket's path has 108 bytes
    with subprocess.Popen([sys.executable, "-c", NOTIFY, f"{SANDBOX}/n/notify", text, *places], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "connected\n"
        os.unlink(f"{SANDBOX}/n")
        yield process


def send(process):
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "sent\n"


def notify(client, path, text):
    with sender(client, path, text) as process:
        send(process)
        wait_for(lambda: client.get(path, "StatusText") == text.split("\n")[0].removeprefix("STATUS="), "the status", poll=True)


@on_real_runtime
def test_ready_is_what_the_payload_says(client):
    path = client.create("daemon", "sleep", "1000", notify="ready")
    starting = client.begin(path, CONTAINER, "StartWith", "a{sv}", options(wait="ready"))
    wait(client, path, "running")
    notify(client, path, "STATUS=loading\nsecond line")
    assert not client.get(path, "Ready") and not starting
    with sender(client, path, "STATUS=hacked\nREADY=1", inside=False) as stranger:
        send(stranger)
        notify(client, path, "STATUS=listening")
    assert not client.get(path, "Ready") and not starting, "what comes from outside does not count"
    notify(client, path, "STATUS=up\nREADY=1")
    assert client.finish(starting) == (1, {"started": True, "ready": True})
    assert client.get(path, "Ready") and client.get(path, "StatusText") == "up"
    client.wait_signal("ReadyChanged", 1)
    assert client.signals_of("ReadyChanged") == [(1, True)]
    assert wait(client, path, "ready")[:2] == ("ready", 1)
    stop(client, path)
    client.wait_signal("ReadyChanged", 2)
    assert wait(client, path, "ready")[:2] == ("stopped", 1)


@on_real_runtime
def test_the_last_words_of_a_sender_count(client):
    """As of systemd-notify(1): it has ended, and nobody has reaped it yet, before the service comes to read what it has sent."""
    path = client.create("daemon", "sleep", "1000", notify="ready")
    client.call(path, CONTAINER, "Start")
    service = client.service_pid()
    with sender(client, path, "STATUS=up\nREADY=1") as process:
        os.kill(service, signal.SIGSTOP)
        try:
            send(process)
            process.stdin.close()
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        finally:
            os.kill(service, signal.SIGCONT)
        assert wait(client, path, "ready")[:2] == ("ready", 1)


def test_a_start_that_waits_ends_with_the_run(client):
    brief = client.create("brief", "sh", "-c", "sleep 0.2; exit 3", notify="ready")
    assert "exit code 3" in expect("NotRunning", client.call, brief, CONTAINER, "StartWith", "a{sv}", options(wait="ready"))
    ill = client.create("ill", "sleep", "1000", health=health("CMD-SHELL", "echo no room; exit 1", retries=u32(2)))
    assert "no room" in expect("Unhealthy", client.call, ill, CONTAINER, "StartWith", "a{sv}", options(wait="healthy"))
    assert client.get(ill, "State") == "running", "the container is left as it is"
    expect("NoHealthCheck", client.call, brief, CONTAINER, "StartWith", "a{sv}", options(wait="healthy"))
    slow = client.create("slow", "sleep", "1000", notify="ready", start_timeout_usec=300000)
    expect("NotRunning", client.call, slow, CONTAINER, "StartWith", "a{sv}", options(wait="ready"))
    assert client.call(slow, CONTAINER, "Wait")[3] == "timeout" and not client.get(slow, "StoppedByUser")


if __name__ == "__main__":
    main()
