#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Streams by busctl and gdbus, which are given no descriptors: the members that do without them."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from executed import processes, wait_gone  # noqa: E402
from harness import CONTAINER, DEADLINE, main, wait_output  # noqa: E402


def run(*words, status=0):
    done = subprocess.run(words, capture_output=True, encoding="utf-8", timeout=DEADLINE, check=False)
    assert done.returncode == status, f"{words}: {done.returncode}, {done.stdout}{done.stderr}"
    return (done.stdout if status == 0 else done.stderr).strip()


def busctl(path, interface, method, *arguments, **keys):
    return run("busctl", "call", "--", "io.conbus1", path, f"io.conbus1.{interface}", method, *arguments, **keys)


def gdbus(path, member, *arguments, **keys):
    return run("gdbus", "call", "-a", os.environ["DBUS_SYSTEM_BUS_ADDRESS"], "-d", "io.conbus1", "-o", path, "-m", f"io.conbus1.{member}", *arguments, **keys)


def begun(client, *command, **config):
    path = client.create("web", *command, **config)
    client.call(path, CONTAINER, "Start")
    return path


def test_a_log_in_pages(client):
    path = begun(client, "sh", "-c", "echo one; echo two; echo three; sleep 1000")
    wait_output(path, "three")
    answer = busctl("/container/web", "Container", "ReadLog", "ua{sv}", "2", "0")
    assert answer.startswith("a(tss)s 2 ") and '"stdout" "two"' in answer and '"stdout" "three"' in answer, answer
    first = busctl("/container/web", "Container", "ReadLog", "ua{sv}", "1", "1", "cursor", "s", "0:0")
    assert first.startswith("a(tss)s 1 ") and '"stdout" "one"' in first, first
    cursor = first.rsplit('"', 2)[1]
    rest = busctl("/container/web", "Container", "ReadLog", "ua{sv}", "10", "2", "cursor", "s", cursor, "streams", "as", "1", "stdout")
    assert rest.startswith("a(tss)s 2 ") and '"stdout" "two"' in rest and '"stdout" "three"' in rest, rest
    answer = gdbus("/container/web", "Container.ReadLog", "1", "{}")
    assert "'stdout', 'three')], '" in answer, answer


def test_a_command_and_its_output(client):
    begun(client, "sleep", "1000")
    assert busctl("/container/web", "Container", "ExecCapture", "asa{sv}", "3", "sh", "-c", "echo out; echo er >&2; exit 3", "0") == "iiayayb 3 0 4 111 117 116 10 3 101 114 10 false"
    assert gdbus("/container/web", "Container.ExecCapture", "['printf', 'x']", "{}") == "(0, 0, [byte 0x78], @ay [], false)"


def test_a_process_from_its_start_to_its_end(client):
    path = begun(client, "sleep", "1000")
    answer = busctl("/container/web", "Container", "Exec", "asa{sv}", "2", "sleep", "1000", "1", "start", "b", "false")
    process = answer.split('"')[1]
    assert answer.endswith(" 0") and processes(client, path) == [process]
    assert busctl(process, "Process", "Start").startswith("u ")
    assert run("busctl", "get-property", "io.conbus1", process, "io.conbus1.Process", "State", "ExitCode") == 's "running"\ni -1'
    assert '\\"sleep\\"' in busctl(process, "Process", "Inspect")
    waiting = subprocess.Popen(["busctl", "--timeout=infinity", "call", "io.conbus1", process, "io.conbus1.Process", "Wait"], stdout=subprocess.PIPE, encoding="utf-8")
    assert "it is running" in busctl(process, "Process", "Remove", "s", "normal", status=1)
    assert busctl(process, "Process", "Kill", "i", "15") == ""
    assert waiting.communicate(timeout=DEADLINE)[0] == "ii 143 15\n"
    assert gdbus(process, "Process.Wait") == "(143, 15)"
    assert busctl(process, "Process", "Remove", "s", "normal") == ""
    wait_gone(client, path)


def test_stopping_a_process(client):
    begun(client, "sleep", "1000")
    process = gdbus("/container/web", "Container.Exec", "['sleep', '1000']", "{}").split("'")[1]
    assert gdbus(process, "Process.Stop", "0") == "()"
    assert run("busctl", "get-property", "io.conbus1", process, "io.conbus1.Process", "State", "ExitCode") == 's "stopped"\ni 137'


def test_the_size_of_a_terminal(client):
    path = begun(client, "sh", "-c", "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done", terminal=True)
    wait_output(path, "ready")
    message = busctl("/container/web", "Container", "ResizeTerminal", "qq", "0", "90", status=1)
    assert "1000" in message, message
    assert busctl("/container/web", "Container", "ResizeTerminal", "qq", "30", "90") == ""
    assert busctl("/container/web", "Container", "WaitFor", "asa{sv}", "1", "exited", "0").startswith('stiisa{sv} "exited" 1 0 0 ')
    wait_output(path, "30 90")


def test_spawn_without_descriptors_and_nobodys_log(client):
    begun(client, "sleep", "1000")
    message = busctl("/container/web", "Container", "Spawn", "ayaaya{uh}a{ss}a{sv}", "0", "1", "5", "116", "114", "117", "101", "0", "0", "0", "0")
    assert message.startswith("ou ")  # without any it has /dev/null
    message = busctl("/container/nobody", "Container", "ReadLog", "ua{sv}", "1", "0", status=1)
    assert "nobody" in message, message


if __name__ == "__main__":
    main()
