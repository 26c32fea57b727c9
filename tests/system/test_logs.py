#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""ReadLog and OpenLog on logs that are there and on logs that grow, on real conmon and crun."""

import base64
import hashlib
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from attached import running  # noqa: E402
from harness import CONTAINER, Client, GLib, expect, main, on_real_runtime, options, wait_output  # noqa: E402
from logs import Log, log_options, read_log, readers, texts, wait_no_readers  # noqa: E402

SMALL = "echo out 1; echo err 1 >&2; echo out 2; echo err 2 >&2; echo out 3"


def ended(client, name, *command, **config):
    path = running(client, name, *command, **config)
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    return path


def test_the_last_lines(client):
    path = ended(client, "a", "sh", "-c", SMALL)
    entries, cursor = read_log(client, path, 100)
    assert sorted(entries) == [("stderr", "err 1"), ("stderr", "err 2"), ("stdout", "out 1"), ("stdout", "out 2"), ("stdout", "out 3")], entries
    assert read_log(client, path, 1, streams=["stdout"])[0] == [("stdout", "out 3")]
    assert read_log(client, path, 2, streams=["stderr"])[0] == [("stderr", "err 1"), ("stderr", "err 2")]
    assert read_log(client, path, 0) == ([], cursor)
    assert read_log(client, path, 10, cursor=cursor) == ([], cursor)


def test_pages_see_each_line_once(client):
    count = 3000
    path = running(client, "a", "sh", "-c", f"i=0; while [ $i -lt {count} ]; do echo $i; i=$((i+1)); done")
    seen, cursor = [], client.call(path, CONTAINER, "GetRun", "t", 0)[0]["log-cursor"]
    while len(seen) < count:
        entries, cursor = read_log(client, path, 700, cursor=cursor)
        seen += entries
    assert [text for _, text in seen] == [str(i) for i in range(count)]


def test_formats(client):
    path = ended(client, "web", "sh", "-c", "echo one; printf 'two\\377'; printf 'e\\n' >&2")
    assert Log(client, path, streams=["stdout"]).read_to_end() == b"one\ntwo\xff"
    stamped = Log(client, path, streams=["stdout"], timestamps=True).read_to_end().splitlines()
    assert [line.split(b"Z ", 1)[1] for line in stamped] == [b"one", b"two\xff"], stamped
    lines = Log(client, path, format="json", streams=["stdout"]).lines_to_end()
    assert lines[0]["text"] == "one" and base64.b64decode(lines[1]["data"]) == b"two\xff" and lines[1]["partial"], lines
    assert lines[-1]["end"] == "log-end" and len(lines) == 3, lines
    export = Log(client, path, format="export").read_to_end()
    assert b"\nMESSAGE=one\n\n" in export and b"\nMESSAGE\n\x04\0\0\0\0\0\0\0two\xff\n\n" in export and b"\nPRIORITY=3\nMESSAGE=e\n\n" in export, export
    assert export.count(b"__REALTIME_TIMESTAMP=") == 4 and b"CONBUS_LOG_END=log-end\n" in export, export


def test_tail_and_cursor(client):
    path = ended(client, "a", "sh", "-c", "i=0; while [ $i -lt 50 ]; do echo $i; i=$((i+1)); done")
    assert Log(client, path, tail=2).read_to_end() == b"48\n49\n"
    assert Log(client, path, tail=0).read_to_end() == b""
    assert Log(client, path, tail=1000).read_to_end() == b"".join(b"%d\n" % i for i in range(50))
    lines = Log(client, path, format="json").lines_to_end()
    assert Log(client, path, cursor=lines[19]["cursor"]).read_to_end() == b"".join(b"%d\n" % i for i in range(20, 50))
    assert Log(client, path, cursor=lines[-1]["cursor"]).read_to_end() == b""


def test_since_is_part_of_it_and_until_is_not(client):
    path = ended(client, "a", "sh", "-c", "for i in 1 2 3 4 5 6; do echo $i; sleep 0.01; done")
    times = [line["time"] for line in Log(client, path, format="json").lines_to_end()[:-1]]
    assert len(set(times)) == 6, times
    middle = times[3]
    assert Log(client, path, since_usec=middle).read_to_end() == b"4\n5\n6\n"
    assert Log(client, path, until_usec=middle).read_to_end() == b"1\n2\n3\n"
    assert Log(client, path, since_usec=middle, until_usec=middle + 1).read_to_end() == b"4\n"
    assert read_log(client, path, 2, until_usec=middle)[0] == [("stdout", "2"), ("stdout", "3")]
    assert Log(client, path, tail=1, until_usec=middle).read_to_end() == b"3\n"
    following = Log(client, path, until_usec=middle, follow=True, format="json").lines_to_end()
    assert texts(following) == ["1", "2", "3"], following


def test_long_lines_and_characters_between_pieces(client):
    character = "\u20ac"
    path = ended(client, "a", "sh", "-c", f"i=0; while [ $i -lt 50000 ]; do printf '{character}'; i=$((i+1)); done; echo; echo short")
    whole = (character * 50000 + "\nshort\n").encode()
    assert Log(client, path).read_to_end() == whole
    lines = Log(client, path, format="json").lines_to_end()[:-1]
    assert all("text" in line for line in lines) and max(len(line["text"].encode()) for line in lines) <= 65536
    assert lines[0]["partial"] and "partial" not in lines[-1] and "".join(texts(lines)).encode() + b"\n" == whole.replace(b"\n", b"", 1), len(lines)
    assert lines[-1]["text"] == "short"


def test_an_unfinished_line_is_shown_and_not_torn(client):
    path = running(client, "a", "sh", "-c", "echo one; printf 'name: '; read x; echo $x", stdin_open=True)
    wait_output(path, "name:")
    entries, cursor = read_log(client, path, 10)
    assert entries == [("stdout", "one"), ("stdout", "name: ")], entries
    assert read_log(client, path, 10, cursor=cursor) == ([], cursor)
    log = Log(client, path, follow=True)
    log.read_until(b"name: ")
    _, framing, _ = client.call(path, CONTAINER, "OpenAttach", "a{sv}", {"streams": GLib.Variant("as", ["stdin"])})
    os.write(client.fds.get(0), b"\0me\n")
    assert log.read_to_end() == b"one\nname: me\n"
    assert read_log(client, path, 10, cursor=cursor)[0] == [("stdout", "name: me")]


def test_runs(client):
    path = ended(client, "a", "sh", "-c", "echo start; printf unfinished")
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    expected = [("stdout", "start"), ("stdout", "unfinished")]
    assert read_log(client, path, 10)[0] == expected * 2
    for run in (1, 2, 0):
        assert read_log(client, path, 10, run=run)[0] == expected, run
        assert Log(client, path, run=run).read_to_end() == b"start\nunfinished"
    following = Log(client, path, run=1, follow=True, format="json").lines_to_end()
    assert following[-1]["end"] == "exited" and following[-1]["run"] == 1 and "exit-code" not in following[-1], following
    expect("NoSuchRun", read_log, client, path, 1, run=3)
    expect("NoSuchRun", Log, client, path, run=17)


def test_a_follower_ends_with_the_run_and_says_so(client):
    path = running(client, "a", "sh", "-c", "echo one; read x; echo two; exit 7", stdin_open=True)
    log, run = Log(client, path, follow=True, format="json"), Log(client, path, follow=True, run=1)
    log.read_until(b"one")
    client.call(path, CONTAINER, "OpenAttach", "a{sv}", {"streams": GLib.Variant("as", ["stdin"])})
    os.write(client.fds.get(0), b"\0\n")
    lines = log.lines_to_end()
    assert texts(lines[:-1]) == ["one", "two"] and lines[-1]["end"] == "exited" and lines[-1]["run"] == 1 and lines[-1]["exit-code"] == 7, lines
    assert run.read_to_end() == b"one\ntwo\n"
    assert Log(client, path, follow=True).read_to_end() == b"one\ntwo\n"


def test_a_follower_goes_on_over_restarts(client):
    path = running(client, "a", "sh", "-c", "echo up; exec sleep 1000")
    log, first = Log(client, path, follow=True, format="json"), Log(client, path, follow=True, run=1, format="json")
    client.call(path, CONTAINER, "RestartWith", "a{sv}", options(timeout_usec=0))
    assert first.lines_to_end()[-1]["run"] == 1
    while log.data.count(b'"up"') < 2:
        assert log.read_some()
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    lines = log.lines_to_end()
    assert lines[-1]["end"] == "exited" and lines[-1]["run"] == 2 and lines[-1]["exit-code"] == 137, lines


def test_a_follower_waits_for_the_restart_of_a_policy(client):
    path = running(client, "a", "sh", "-c", "echo up; exit 1", restart_policy="on-failure", restart_max=GLib.Variant("u", 2))
    lines = Log(client, path, follow=True, format="json").lines_to_end()
    assert texts(lines[:-1]) == ["up"] * 3 and lines[-1]["run"] == 3, lines


def test_a_container_that_has_never_run(client):
    path = client.create("a", "true")
    assert read_log(client, path, 10)[0] == []
    assert Log(client, path, follow=True, format="json").lines_to_end()[-1]["end"] == "exited"
    expect("NoSuchRun", read_log, client, path, 10, run=0)


def test_paused(client):
    path = running(client, "a", "sh", "-c", "echo one; exec sleep 1000")
    wait_output(path, "one")
    client.call(path, CONTAINER, "Pause")
    assert read_log(client, path, 10)[0] == [("stdout", "one")]
    log = Log(client, path, follow=True)
    log.read_until(b"one\n")
    client.call(path, CONTAINER, "Resume")
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert log.read_to_end() == b"one\n"


def test_removed_in_mid_follow(client):
    path = running(client, "a", "sh", "-c", "echo one; exec sleep 1000")
    created = client.create("b", "true")
    log, stalled = Log(client, path, follow=True, format="json"), Log(client, path, follow=True)
    log.read_until(b"one")
    client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
    assert log.lines_to_end()[-1]["end"] in ("exited", "removed")
    assert stalled.read_to_end() == b"one\n"
    client.call(created, CONTAINER, "Remove")
    wait_no_readers()


@on_real_runtime
def test_bytes_come_through(client):
    size = 100 * 1000 * 1000
    data = os.urandom(1 << 20)
    with open(f"{os.environ['CONBUS_TEST_ROOTFS']}/noise", "wb") as file:
        file.write(data)
    count = size // len(data)
    path = running(client, "a", "sh", "-c", f"i=0; while [ $i -lt {count} ]; do cat /noise; i=$((i+1)); done")
    log, total, digest = Log(client, path, follow=True), 0, hashlib.sha256()
    while log.read_some():
        digest.update(log.data)
        total += len(log.data)
        log.data.clear()
    expected = hashlib.sha256()
    for _ in range(count):
        expected.update(data)
    assert total == count * len(data) and digest.digest() == expected.digest(), total


def test_ten_followers(client):
    count = 20000
    path = running(client, "a", "sh", "-c", f"read x; i=0; while [ $i -lt {count} ]; do echo $i; i=$((i+1)); done", stdin_open=True)
    logs = [Log(client, path, follow=True) for _ in range(10)]
    client.call(path, CONTAINER, "OpenAttach", "a{sv}", {"streams": GLib.Variant("as", ["stdin"])})
    os.write(client.fds.get(0), b"\0\n")
    expected = b"".join(b"%d\n" % i for i in range(count))
    for log in logs:
        assert log.read_to_end() == expected
    wait_no_readers()


def test_whoever_does_not_read_holds_up_nobody(client):
    path = client.create("a", "sh", "-c", "i=0; while [ $i -lt 40 ]; do cat /bin/busybox; i=$((i+1)); done")
    client.call(path, CONTAINER, "Init")
    stalled = Log(client, path, follow=True)
    client.call(path, CONTAINER, "Start")
    assert client.call(path, CONTAINER, "Wait")[1] == 0
    with open(f"{os.environ['CONBUS_TEST_ROOTFS']}/bin/busybox", "rb") as file:
        expected = hashlib.sha256(file.read() * 40).digest()
    assert hashlib.sha256(stalled.read_to_end()).digest() == expected


def test_a_follower_that_vanishes(client):
    path = running(client, "a", "sleep", "1000")
    logs = [Log(client, path, follow=True) for _ in range(3)]
    assert len(readers()) == 3
    for log in logs:
        log.close()
    wait_no_readers()


def test_the_service_is_killed_in_mid_follow(client):
    path = running(client, "a", "sh", "-c", "echo one; while ! test -e /go; do sleep 0.02; done; echo two; exit 5", rootfs_mode="direct")
    log = Log(client, path, follow=True, format="json")
    log.read_until(b"one")
    client.kill_service(9)
    open(f"{os.environ['CONBUS_TEST_ROOTFS']}/go", "w", encoding="utf-8").close()
    try:
        log.read_until(b"two")
        lines = log.lines_to_end()
    finally:
        os.unlink(f"{os.environ['CONBUS_TEST_ROOTFS']}/go")
    assert texts(lines[:-1]) == ["one", "two"] and lines[-1]["exit-code"] == 5, lines


def test_a_follower_keeps_no_service_busy(client):
    path = running(client, "a", "sleep", "1000")
    before = len(readers())
    log = Log(client, path, follow=True)
    client.kill_service(15)
    assert len(readers()) == before + 1
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert log.read_to_end() == b""


def test_drivers_without_a_log(client):
    for driver in ("none", "passthrough"):
        path = client.create(driver, "true", log_driver=driver)
        expect("NoLogs", read_log, client, path, 1)
        expect("NoLogs", Log, client, path, follow=True)


def test_wrong_options(client):
    path = ended(client, "a", "echo", "one")
    for keys in ({"streams": []}, {"streams": ["stdin"]}, {"cursor": "x"}, {"cursor": ""}, {"cursor": "ff:0"}, {"cursor": "1:ffff"}, {"since_usec": 5, "until_usec": 5}, {"run": "1"}):
        expect("InvalidArgs", read_log, client, path, 1, **keys)
        expect("InvalidArgs", Log, client, path, **keys)
    expect("InvalidArgs", read_log, client, path, 0, cursor="1:0")
    expect("UnknownOption", read_log, client, path, 1, follow=True)
    for keys in ({"format": "xml"}, {"format": "answer"}, {"tail": 1000001}):
        expect("InvalidArgs", Log, client, path, **keys)
    expect("UnknownOption", Log, client, path, sinc=1)
    wait_no_readers()


def test_a_caller_that_leaves(client):
    path = running(client, "a", "sleep", "1000")
    other = Client(signals=False)
    other.begin(path, CONTAINER, "OpenLog", "a{sv}", log_options(follow=True))
    other.begin(path, CONTAINER, "ReadLog", "ua{sv}", 1, {})
    other.connection.flush_sync(None)
    other.connection.close_sync(None)
    wait_no_readers()


def test_attach_and_log_agree(client):
    path = running(client, "a", "sh", "-c", "echo one; echo two; read x", stdin_open=True)
    wait_output(path, "two")
    lines = Log(client, path, format="json").lines_to_end()
    client.call(path, CONTAINER, "OpenAttach", "a{sv}", options(**{"from": lines[0]["cursor"], "framing": "raw", "follow": False}))
    with os.fdopen(client.fds.get(0), "rb") as stream:
        assert stream.read() == b"two\n"


if __name__ == "__main__":
    main()
