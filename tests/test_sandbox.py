#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""tests/sandbox itself: whatever becomes of it or of its command, it leaves no process, mount, control group or file, and sandboxes beside and inside one another do not meet."""

import os
import signal
import subprocess
import sys
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SANDBOX = f"{SOURCE}/tests/sandbox"
DEADLINE = 60 * int(os.environ.get("CONBUS_TEST_SLOWNESS", "1"))
# A container that runs, so that there is something to leave behind: conmon, its payload, an overlay, control groups.
BUSY = """
busctl --quiet call io.conbus1 /io/conbus1 io.conbus1.Manager RunContainer 'ssasa{sv}' box '' 2 sleep 1000 1 rootfs s $CONBUS_TEST_ROOTFS
"""

PAUSE = "busctl --quiet call io.conbus1 /container/box io.conbus1.Container Pause\n"


def wait_for(condition, what):
    """Ends of processes that are nobody's children here: they are asked for."""
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"no {what} within {DEADLINE} s: {condition.__doc__ or ''}")
        time.sleep(0.02)


def processes_of(directory):
    found = []
    for pid in os.listdir("/proc"):
        try:
            if pid.isdigit() and f"CONBUS_SANDBOX={directory}\0".encode() in open(f"/proc/{pid}/environ", "rb").read():
                found.append(pid)
        except OSError:
            pass
    return found


def left_of(directory):
    name = os.path.basename(directory)
    found = [f"process {pid}" for pid in processes_of(directory)]
    with open("/proc/mounts", encoding="utf-8") as mounts:
        found += [f"mount {line.split()[1]}" for line in mounts if name in line]
    for top in ["/sys/fs/cgroup", *(f"/sys/fs/cgroup/{entry}" for entry in os.listdir("/sys/fs/cgroup"))]:
        found += [f"group {group}" for group in (f"{top}/{name}", f"{top}/{name}.scope") if os.path.isdir(group)]
    if os.path.exists(directory):
        found.append(f"directory {directory}")
    return found


def hear_signals():
    """What nohup(1) or a runner in the background ignores stays ignored over exec, and a shell cannot trap it then."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def begin(script):
    """A sandbox that says its directory first and then runs the script; returns both."""
    process = subprocess.Popen([SANDBOX, "bash", "-c", "echo $CONBUS_SANDBOX; " + script], stdout=subprocess.PIPE, encoding="utf-8", preexec_fn=hear_signals)
    return process, process.stdout.readline().strip()


def read_line(process, line):
    assert process.stdout.readline().strip() == line


def test_status_of_the_command():
    for script, status in (("true", 0), ("exit 3", 3), ("kill -KILL $$", 137)):
        process, directory = begin(BUSY + script)
        assert process.wait(DEADLINE) == status, script
        assert left_of(directory) == [], f"{script}: {left_of(directory)}"  # at once: the sandbox waits for its watcher


def test_a_signal_to_end():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        process, directory = begin(BUSY + "echo ready; sleep 1000")
        read_line(process, "ready")
        assert left_of(directory) != []
        process.send_signal(number)
        assert process.wait(DEADLINE) != 0
        assert left_of(directory) == [], f"{number}: {left_of(directory)}"


def test_a_frozen_container():
    """In control groups of version 1 it does not die before it is thawed."""
    process, directory = begin(BUSY + PAUSE + "exit 4")
    assert process.wait(DEADLINE) == 4
    assert left_of(directory) == [], left_of(directory)
    process, directory = begin(BUSY + PAUSE + "echo ready; sleep 1000")
    read_line(process, "ready")
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE) != 0
    assert left_of(directory) == [], left_of(directory)


def test_a_sandbox_that_is_killed():
    process, directory = begin(BUSY + "echo ready; sleep 1000")
    read_line(process, "ready")
    process.kill()
    process.wait()
    wait_for(lambda: left_of(directory) == [], f"end of {directory}")


def test_sandboxes_beside_one_another():
    script = BUSY + "echo ready; read line; busctl --json=short call io.conbus1 /io/conbus1 io.conbus1.Manager ListContainers"
    pairs = []
    for _ in range(3):
        process = subprocess.Popen([SANDBOX, "bash", "-c", "echo $CONBUS_SANDBOX; " + script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
        pairs.append((process, process.stdout.readline().strip()))
    assert len({directory for _, directory in pairs}) == 3
    for process, _ in pairs:
        read_line(process, "ready")
    pairs[0][0].kill()  # which the others do not notice
    pairs[0][0].wait()
    wait_for(lambda: left_of(pairs[0][1]) == [], "end of the first")
    for process, directory in pairs[1:]:
        answer = process.communicate("go on\n", DEADLINE)[0]
        assert answer.count('"box"') == 1 and '"running"' in answer, answer
        assert process.returncode == 0 and left_of(directory) == []


def test_a_sandbox_in_a_sandbox():
    inner = BUSY + "echo $CONBUS_SANDBOX; exit 5"
    process, directory = begin(BUSY + f"{SANDBOX} bash -c '{inner.replace(chr(39), chr(39) + chr(92) + chr(39) + chr(39))}'; echo $?; busctl --json=short call io.conbus1 /io/conbus1 io.conbus1.Manager ListContainers")
    lines = process.communicate(timeout=DEADLINE)[0].splitlines()
    assert process.returncode == 0 and lines[1] == "5", lines
    assert lines[0] != directory and lines[2].count('"box"') == 1 and '"running"' in lines[2], lines
    assert left_of(directory) == [] and left_of(lines[0]) == []


def test_a_machine_that_is_killed():
    """tests/machine has the same watcher; a systemd with a container in it goes with it."""
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = subprocess.Popen([f"{SOURCE}/tests/machine", "bash", "-c", BUSY + "echo ready; sleep 1000"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8", preexec_fn=hear_signals)
        read_line(process, "ready")
        directory = os.path.dirname(os.readlink(f"/proc/{process.pid}/fd/9"))  # what it holds open for its watcher
        assert os.path.isdir(f"{directory}/root") and left_of(directory)
        process.send_signal(number)
        process.wait(DEADLINE)
        wait_for(lambda at=directory: left_of(at) == [], f"end of {directory}")


def test_bad_use():
    assert subprocess.run([SANDBOX], stderr=subprocess.DEVNULL, check=False).returncode == 2
    refused = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", SANDBOX, "true"], stderr=subprocess.PIPE, encoding="utf-8", check=False)
    assert refused.returncode in (77, 126, 127) and refused.stderr


if __name__ == "__main__":
    tests = [(name, function) for name, function in globals().items() if name.startswith("test_") and (not sys.argv[1:] or any(word in name for word in sys.argv[1:]))]
    print(f"1..{len(tests)}", flush=True)
    failed = False
    for i, (test_name, test) in enumerate(tests, 1):
        try:
            test()
            print(f"ok {i} {test_name}", flush=True)
        except Exception as failure:  # noqa: B902
            failed = True
            print(f"# {failure!r}\nnot ok {i} {test_name}", flush=True)
    sys.exit(failed)
