#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rotation of logs under readers that follow, attach, page and do not read; under a service that is killed; and what it costs the service."""

import glob
import hashlib
import os
import select
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from attached import attach, running  # noqa: E402
from harness import CONTAINER, Error, GLib, expect, main, on_real_runtime, options, wait_for  # noqa: E402
from logs import Log, read_log, texts, wait_no_readers  # noqa: E402

SIZE = 64 * 1024
COUNT = 300000  # lines: some 20 MB of log


def limits(size=SIZE, files=None):
    return {"log_size_max": size} | ({"log_max_files": GLib.Variant("u", files)} if files else {})


def numbers(count):
    return b"".join(b"%d\n" % i for i in range(1, count + 1))


def log_files(path):
    return glob.glob(f"/var/lib/conbus/containers/{path.rsplit('/', 1)[1]}/log*")


def rotations(path):
    return max([int(name.rsplit(".", 1)[1]) for name in log_files(path) if name.rsplit(".", 1)[-1].isdigit()], default=0)


def writer(client, count=COUNT, pieces=20, **config):
    """Initialized: it writes once it is started, fast, with a breath between two pieces."""
    size = count // pieces
    path = client.create("a", "sh", "-c", f"i=0; while [ $i -lt {count} ]; do seq $((i+1)) $((i+{size})); i=$((i+{size})); sleep 0.03; done", **config)
    client.call(path, CONTAINER, "Init")
    return path


def read_together(logs):
    """What each of them reads, read as it comes."""
    waiting = {log.fd: log for log in logs}
    while waiting:
        ready = select.select(list(waiting), [], [], 60)[0]
        assert ready, "nothing comes any more"
        for fd in ready:
            if not waiting[fd].read_some():
                waiting.pop(fd).close()
    return [bytes(log.data) for log in logs]


@on_real_runtime
def test_followers_lose_and_repeat_nothing(client):
    path = writer(client, **limits())
    logs = [Log(client, path, follow=True) for _ in range(3)]
    client.call(path, CONTAINER, "Start")
    expected = numbers(COUNT)
    for data in read_together(logs):
        assert data == expected, (len(data), len(expected))
    assert rotations(path) > 5, log_files(path)
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    assert len(log_files(path)) == 5, log_files(path)  # also if a rotation was under way at the end


@on_real_runtime
def test_an_attachment_loses_and_repeats_nothing(client):
    path = writer(client, **limits())
    client.call(path, CONTAINER, "Start")
    attached, late = attach(client, path, **{"from": "run-start"}), attach(client, path, **{"from": "now"})
    assert attached.read_to_end().out == numbers(COUNT)
    assert numbers(COUNT).endswith(late.read_to_end().out)
    assert rotations(path) > 5


@on_real_runtime
def test_an_attachment_from_the_first_byte_on_that_is_slow(client):
    """The ring feeds it until it falls behind, and then the log, whose first files have gone."""
    path = client.create("a", "sh", "-c", f"while ! test -e /go; do seq 1 9999; sleep 0.1; done; seq 1 {COUNT}", rootfs_mode="direct", **limits(files=40))
    client.call(path, CONTAINER, "Init")
    attached = attach(client, path)
    client.call(path, CONTAINER, "Start")
    go = f"{os.environ['CONBUS_TEST_ROOTFS']}/go"
    try:
        while not os.path.exists(f"/var/lib/conbus/containers/{path.rsplit('/', 1)[1]}/log.45"):
            before = attached.out.count(b"9999\n")
            while attached.out.count(b"9999\n") == before:
                attached.read_packet()
        with open(go, "w", encoding="utf-8"):
            pass
        client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
        end = attached.read_to_end().out
    finally:
        if os.path.exists(go):
            os.unlink(go)
    assert attached.last["reason"] == "exited", attached.last
    pieces = (len(end) - len(numbers(COUNT))) // len(numbers(9999))
    assert end == numbers(9999) * pieces + numbers(COUNT), (len(end), pieces)


@on_real_runtime
def test_lines_and_their_cursors_lead_over_rotations(client):
    count = 50000
    path = writer(client, count, **limits(files=1000))
    log = Log(client, path, follow=True, format="json")
    client.call(path, CONTAINER, "Start")
    lines = log.lines_to_end()
    assert texts(lines[:-1]) == [str(i) for i in range(1, count + 1)]
    assert rotations(path) > 3
    for at in (0, 1, count // 3, count // 2, count - 2, count - 1):
        entries, _ = read_log(client, path, 3, cursor=lines[at]["cursor"])
        assert [text for _, text in entries] == [str(i) for i in range(at + 2, min(at + 5, count + 1))], (at, entries)
    assert Log(client, path).read_to_end() == numbers(count)
    assert Log(client, path, tail=40000).read_to_end() == b"".join(b"%d\n" % i for i in range(count - 40000 + 1, count + 1))
    seen, cursor = 0, client.call(path, CONTAINER, "GetRun", "t", 0)[0]["log-cursor"]
    while seen < count:
        entries, cursor = read_log(client, path, 1000, cursor=cursor)
        assert [text for _, text in entries] == [str(i) for i in range(seen + 1, seen + len(entries) + 1)], seen
        seen += len(entries)


@on_real_runtime
def test_the_oldest_files_go(client):
    path = writer(client, 60000, **limits(files=2))
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    assert len(log_files(path)) <= 3, log_files(path)
    kept = Log(client, path).read_to_end()
    assert kept and numbers(60000).endswith(kept) and len(kept) < len(numbers(60000)), len(kept)
    expect("InvalidArgs", read_log, client, path, 1, cursor="1:0")
    assert Log(client, path, run=1).read_to_end() == kept  # what is left of it
    client.call(path, CONTAINER, "Remove")
    assert not log_files(path)


@on_real_runtime
def test_whoever_does_not_read_is_told_what_is_missing(client):
    path = writer(client, 400000, **limits(size=16384, files=2))
    stalled = Log(client, path, follow=True, format="json", streams=["stdout"])
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {}, timeout=120)
    lines = stalled.lines_to_end()
    pieces = [[]]
    for line in lines[:-1]:
        if "gap" in line:
            pieces.append([])
        elif "partial" not in line:
            pieces[-1].append(line["text"])
    # What a gap has torn is the end of a line.
    pieces = [pieces[0], *[piece[1:] for piece in pieces[1:]]]
    numbers_of = [[int(text) for text in piece] for piece in pieces if piece]
    assert all(found == list(range(found[0], found[-1] + 1)) for found in numbers_of), [(found[0], found[-1], len(found)) for found in numbers_of]
    assert all(before[-1] < after[0] for before, after in zip(numbers_of, numbers_of[1:]))
    assert lines[-1]["end"] == "exited" and numbers_of[-1][-1] == 400000 and numbers_of[0][0] == 1, lines[-1]


@on_real_runtime
def test_a_reader_keeps_what_it_was_promised(client):
    """Without follow: the files that are there when it begins, though more runs rotate them away before it reads."""
    count = 100000
    path = client.create("a", "sh", "-c", f"seq 1 {count // 2}; sleep 0.1; seq {count // 2 + 1} {count}", **limits(size=1 << 20, files=7))  # a run of 5 MB fits
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    present, slow = Log(client, path).read_to_end(), Log(client, path)
    for _ in range(8):
        client.call(path, CONTAINER, "Start")
        client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    assert present == numbers(count) and not any(name.endswith("/log.1") for name in log_files(path)), log_files(path)
    assert slow.read_to_end() == present


@on_real_runtime
def test_the_service_is_killed_again_and_again(client):
    path = writer(client, **limits())
    log = Log(client, path, follow=True)
    client.call(path, CONTAINER, "Start")
    for _ in range(6):
        before = len(log.data)
        while len(log.data) < before + 150000 and log.read_some():
            pass
        client.kill_service(9)
        client.manager("ListContainers")
    assert log.read_to_end() == numbers(COUNT)
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})


@on_real_runtime
def test_runs_are_rotated_too(client):
    path = client.create("a", "seq", "1", "1000", **limits(size=16384, files=1000))
    for _ in range(4):
        client.call(path, CONTAINER, "Start")
        client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    assert rotations(path) >= 3, log_files(path)
    for run in range(1, 5):
        assert Log(client, path, run=run).read_to_end() == numbers(1000)
    assert Log(client, path).read_to_end() == numbers(1000) * 4


@on_real_runtime
def test_a_resize_and_a_rotation_do_not_lose_each_other(client):
    path = running(client, "a", "sh", "-c", f"for i in 1 2 3 4 5 6 7 8 9 10; do seq 1 {COUNT // 40}; sleep 0.05; done", terminal=True, **limits())
    for rows in range(1, 200):
        try:
            client.call(path, CONTAINER, "ResizeTerminal", "qq", rows, 100)
        except Error as error:
            assert error.name == "NotRunning", error
            break
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    assert rotations(path) > 1
    assert b"%d\r\n" % (COUNT // 40) in Log(client, path, tail=3).read_to_end()


def wakes(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return sum(int(line.split()[1]) for line in status if line.startswith("voluntary_ctxt_switches"))


@on_real_runtime
def test_lines_do_not_wake_the_service(client):
    path = running(client, "a", "sh", "-c", "while :; do echo line; done", **limits(size=1 << 30))
    pid, log = client.service_pid(), Log(client, path, follow=True, tail=0)
    begin, before, lines = time.monotonic(), wakes(pid), 0
    while lines < 20000:
        assert log.read_some()
        lines += log.data.count(b"\n")
        log.data.clear()
    woken, seconds = wakes(pid) - before, time.monotonic() - begin
    assert woken < 100 + 10 * seconds, (woken, seconds, lines)
    log.close()
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))


@on_real_runtime
def test_bytes_come_through_rotations(client):
    """Every byte there is, without lines: records that are continued in the next file."""
    data = os.urandom(1 << 20)
    with open(f"{os.environ['CONBUS_TEST_ROOTFS']}/noise", "wb") as file:
        file.write(data)
    path = client.create("a", "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do cat /noise; sleep 0.1; done", **limits(size=1 << 20))
    client.call(path, CONTAINER, "Init")
    log = Log(client, path, follow=True)
    client.call(path, CONTAINER, "Start")
    assert hashlib.sha256(log.read_to_end()).digest() == hashlib.sha256(data * 10).digest(), len(log.data)
    wait_for(lambda: rotations(path) > 2, "rotations", poll=True)
    wait_no_readers()


if __name__ == "__main__":
    main()
