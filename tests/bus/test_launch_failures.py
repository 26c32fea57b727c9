#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A launch that fails, at every step of conmon and crun create: the named error, the state, the record of the run, that it can be repeated, and that nothing is left."""

import contextlib
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import faults  # noqa: E402
from census import Census  # noqa: E402
from harness import CONTAINER, expect, main, options, wait_for  # noqa: E402

ERROR = "io.conbus1.Error."
HANG_USEC = 2000000  # until a launch that hangs is given up; on a slow machine it needs time to get so far as to hang


def failed_start(client, path, error, code=125, run=1, state="created", method="Start"):
    """Starts it, which must fail so; looks at everything that tells of the failure. Returns the message."""
    message = expect(error, client.call, path, CONTAINER, method)
    assert client.get(path, "State") == state and client.get(path, "Run") == run and client.get(path, "Operation") == ""
    assert (client.get(path, "Result"), client.get(path, "ExitCode"), client.get(path, "ExitSignal")) == ("start-failed", code, 0)
    assert client.get(path, "LastErrorName") == ERROR + error and message.endswith(client.get(path, "LastErrorMessage"))
    assert client.get(path, "LastErrorTimestamp") > 0
    assert client.get(path, "MainPID") == 0 and client.get(path, "MonitorPID") == 0 and not client.get(path, "Supervised")
    record = client.call(path, CONTAINER, "GetRun", "t", run)[0]
    assert (record["result"], record["exit-code"]) == ("start-failed", code) and record["finish"] > 0, record
    assert client.call(path, CONTAINER, "Wait") == (run, code, 0, "start-failed")
    check_told(client, path, run, code)
    return message


def check_told(client, path, run, code):
    """One RunFinished, one event `died`, in this order."""
    identity = path.rsplit("/", 1)[1]
    told = [arguments for at, _, member, arguments in client.signals if (member == "RunFinished" and at == path and arguments[0] == run)
            or (member == "Event" and arguments[3] == "died" and arguments[5] == identity and arguments[6]["run"] == run)]
    assert len(told) == 2 and told[0][:4] == (run, code, 0, "start-failed"), told
    details = told[1][6]
    assert (details["exit-code"], details["signal"], details["result"], details["oom"]) == (code, 0, "start-failed", False) and details["actor"]["uid"] == 0, details
    stored = [event for event in client.manager("GetEvents", "tua{sv}", told[1][0] - 1, 1, {})[0]]
    assert stored[0][:6] == told[1][:6], stored


def repeat(client, path, run):
    """What failed works once its cause is gone."""
    assert client.call(path, CONTAINER, "Start") == (run,)
    assert client.get(path, "State") == "running" and client.get(path, "LastErrorName") == ""
    client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))


def check(client, order, error, code=125, words="", **keys):
    """One fault, one failed Start, one that works."""
    census = Census(client)
    path = client.create("web", "sleep", "1000", rootfs_mode="direct", **keys)
    faults.order(*order)
    message = failed_start(client, path, error, code)
    assert words in message and 'container "web"' in message, message
    repeat(client, path, 2)
    census.check()


def test_crun_create_says_why_it_failed(client):
    check(client, ("crun", "create", "fail", "the moon is in the wrong house"), "RuntimeFailed", words="the moon is in the wrong house")
    check(client, ("crun", "create", "fail", "executable file `x` not found in $PATH: No such file or directory"), "RuntimeCommandNotFound", 127, "executable file")
    check(client, ("crun", "create", "fail", "open executable: Permission denied"), "RuntimePermissionDenied", 126, "Permission denied")
    check(client, ("crun", "create", "fail", "mount `proc` to `/proc`: Operation not permitted"), "RuntimePermissionDenied", 126)
    check(client, ("crun", "create", "fail", "bind source: No such file or directory"), "RuntimeFailed", 125)


def test_crun_create_fails_without_a_word(client):
    check(client, ("crun", "create", "silent"), "MonitorFailed", words="before crun had created it")
    check(client, ("crun", "create", "die", 9), "MonitorFailed")
    check(client, ("crun", "create", "die", 15), "MonitorFailed")


def test_crun_create_fails_half_way(client):
    check(client, ("crun", "create-half", "silent"), "MonitorFailed")
    check(client, ("crun", "create-half", "die", 9), "MonitorFailed")


def test_crun_create_fails_after_it_has_made_everything(client):
    check(client, ("crun", "create-done", "fail", "too late"), "RuntimeFailed", words="too late")
    check(client, ("crun", "create-done", "silent"), "MonitorFailed")
    check(client, ("crun", "create-done", "die", 9), "MonitorFailed")


def test_crun_create_hangs(client):
    with client.settings(CreateUSec=HANG_USEC):
        for point in ("create", "create-done"):
            census = Census(client)
            path = client.create("web", "sleep", "1000")
            faults.order("crun", point, "hang")
            assert "crun create did not end in 2.0 s" in failed_start(client, path, "MonitorFailed")
            client.call(path, CONTAINER, "Remove")
            census.check()


def test_conmon_fails_before_crun(client):
    for point in ("begin", "create"):
        check(client, ("conmon", point, "fail", "no more pipes"), "MonitorFailed", words="no more pipes")
        check(client, ("conmon", point, "silent"), "MonitorFailed")
        check(client, ("conmon", point, "die", 9), "MonitorFailed")


def test_conmon_fails_after_crun(client):
    check(client, ("conmon", "created", "fail", "no more pipes"), "MonitorFailed", words="no more pipes")
    check(client, ("conmon", "created", "silent"), "MonitorFailed")
    check(client, ("conmon", "created", "die", 9), "MonitorFailed")
    check(client, ("conmon", "created", "mute"), "MonitorFailed")


def test_conmon_hangs(client):
    with client.settings(CreateUSec=HANG_USEC):
        for point in ("begin", "create", "created"):
            census = Census(client)
            path = client.create("web", "sleep", "1000")
            faults.order("conmon", point, "hang")
            failed_start(client, path, "MonitorFailed")
            client.call(path, CONTAINER, "Remove")
            census.check()


def test_conmon_answers_garbage(client):
    for packet in ("garbage", "{", "[1]", "{}", '{"data": "17"}', '{"data": 1.5}', '{"pid": 17}', '{"data": null}', "x" * 5000):
        check(client, ("conmon", "created", "packet", packet), "MonitorFailed", words="not understood")
    check(client, ("conmon", "created", "packet", '{"data": 0}'), "RuntimeFailed")
    check(client, ("conmon", "created", "packet", '{"data": -1}'), "RuntimeFailed", words="without a word")
    check(client, ("conmon", "created", "packet", '{"data": -1, "message": "so it is"}'), "RuntimeFailed", words="so it is")


@contextlib.contextmanager
def stranger():
    """A process that is none of the container's and must outlive it."""
    process = subprocess.Popen(["sleep", "1000"])
    try:
        yield process.pid
        assert process.poll() is None, f"a stranger was killed: {process.returncode}"
    finally:
        process.kill()
        process.wait()


def test_a_wrong_pid_is_nobody_of_ours(client):
    check(client, ("crun", "create", "pid", 4000000), "RuntimeFailed")
    with stranger() as pid:
        check(client, ("crun", "create", "pid", pid), "MonitorFailed", words=f"process {pid}")
        check(client, ("conmon", "created", "pid", pid), "MonitorFailed", words=f"process {pid}")
        check(client, ("conmon", "created", "pid", 1), "MonitorFailed")
    check(client, ("conmon", "created", "packet", '{"data": 99999999999}'), "MonitorFailed", words="not understood")


def test_a_failed_launch_returns_to_where_it_began(client):
    census = Census(client)
    path = client.create("web", "sh", "-c", "exit 3")
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    faults.order("crun", "create", "fail", "no")
    failed_start(client, path, "RuntimeFailed", run=2, state="exited")
    faults.order("conmon", "create", "die", 9)
    failed_start(client, path, "MonitorFailed", run=3, state="exited", method="Init")
    faults.order("conmon", "created", "die", 9)
    failed_start(client, path, "MonitorFailed", run=4, state="exited", method="Restart")
    assert client.call(path, CONTAINER, "GetRun", "t", 1)[0]["exit-code"] == 3
    client.call(path, CONTAINER, "Remove")
    census.check()


def test_the_second_half_of_a_restart_fails(client):
    path = client.create("web", "sleep", "1000", stop_timeout_usec=0)
    client.call(path, CONTAINER, "Start")
    faults.order("crun", "create", "fail", "no")
    failed_start(client, path, "RuntimeFailed", run=2, state="exited", method="Restart")
    assert client.call(path, CONTAINER, "GetRun", "t", 1)[0]["result"] == "signal"
    repeat(client, path, 3)


def test_a_policy_tries_again_after_a_failed_launch(client):
    path = client.create("web", "sh", "-c", "exit 3", restart_policy="always", restart_sec_usec=10000)
    faults.order("crun", "create", "fail", "no", nth=2)
    faults.order("conmon", "created", "die", 9, nth=2)
    client.call(path, CONTAINER, "Start")
    assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(run=4))[:3] == ("stopped", 4, 3)
    client.call(path, CONTAINER, "SetRestartPolicy", "su", "no", 0)
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(final=True))
    results = [run["result"] for run in client.call(path, CONTAINER, "ListRuns", "u", 0)[0]]
    assert results[-4:] == ["exit-code", "start-failed", "start-failed", "exit-code"], results


def kill_monitor(client, path):
    pid = client.get(path, "MonitorPID")
    assert pid > 0
    os.kill(pid, signal.SIGKILL)


def test_conmon_is_killed_at_each_moment_of_a_launch(client):
    for program, point in (("conmon", "begin"), ("conmon", "create"), ("crun", "create"), ("crun", "create-half"), ("crun", "create-done"), ("conmon", "created")):
        census = Census(client)
        path = client.create("web", "sleep", "1000")
        gate = faults.Gate(program, point)
        starting = client.begin(path, CONTAINER, "Start")
        gate.reached()
        kill_monitor(client, path)
        assert "conmon ended before" in expect("MonitorFailed", client.finish, starting), point
        gate.open()  # a crun that goes on where nobody waits for it must not make anything either
        assert client.get(path, "State") == "created" and client.get(path, "Result") == "start-failed"
        repeat(client, path, 2)
        census.check()


def test_conmon_is_killed_right_after_its_answer(client):
    census = Census(client)
    for program, point in (("conmon", "answered"), ("crun", "start"), ("crun", "start-done")):
        path = client.create("web", "sh", "-c", "while ! test -e /go; do sleep 0.02; done; exit 7")
        gate = faults.Gate(program, point)
        starting = client.begin(path, CONTAINER, "Start")
        gate.reached()
        wait_for(lambda: client.get(path, "State") != "created", "the container", poll=True)
        kill_monitor(client, path)
        gate.open()
        assert client.finish(starting) == (1,)
        open(f"/proc/{client.get(path, 'MainPID')}/root/go", "w", encoding="ascii").close()
        assert client.call(path, CONTAINER, "Wait") == (1, 7, 0, "exit-code") and not client.get(path, "Supervised")
        client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
        client.call(path, CONTAINER, "Remove")
    census.check()


if __name__ == "__main__":
    main(fakes=True)
