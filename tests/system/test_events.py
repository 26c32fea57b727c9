#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The log of events as a stream: all of a long log and then what follows, slow readers, gaps, ends."""

import fcntl
import json
import os
import sqlite3
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, DEADLINE, MANAGER, Client, GLib, expect, main, options, wait_for  # noqa: E402

COUNT = 25000  # of events in a long log


def end_service(client):
    client.manager("ListContainers")
    client.kill_service(15)


def make_long_log(client, count=COUNT):
    """Many events of other types, as years of use would have left them; returns the last number."""
    end_service(client)
    with sqlite3.connect("/var/lib/conbus/conbus.db") as database:
        first = (database.execute("SELECT max(seq) FROM event").fetchone()[0] or 0) + 1
        now = time.time_ns() // 1000
        rows = ((first + i, now, "image" if i % 100 else "pod", "pull", "/io/conbus1", "", "{}") for i in range(count))
        database.executemany("INSERT INTO event (seq, usec, type, action, object, id, details) VALUES (?,?,?,?,?,?,?)", rows)
    database.close()
    return first + count - 1


class Stream:
    """Lines that have come so far; reads when it is asked to."""

    def __init__(self, client, after, **keys):
        client.manager("OpenEvents", "ta{sv}", after, options(**keys))
        self.fd = client.fds.steal_fds()[0]
        os.set_blocking(self.fd, False)
        self.text, self.lines, self.ended = b"", [], False

    def read(self, most=1 << 16):
        try:
            data = os.read(self.fd, most)
        except BlockingIOError:
            return
        self.ended = self.ended or not data
        *whole, self.text = (self.text + data).split(b"\n")
        self.lines += [json.loads(line) for line in whole]

    def read_until(self, condition, what):
        def holds():
            self.read()
            return condition(self)

        wait_for(holds, what, poll=True)
        return self

    def numbers(self):
        return [line["seq"] for line in self.lines]

    def close(self):
        os.close(self.fd)


def last_is(number):
    return lambda stream: stream.lines and stream.lines[-1].get("seq") == number


def event_seq(client):
    return client.get("/io/conbus1", "EventSeq", MANAGER)


def log_starts_at(client):
    return client.manager("GetEvents", "tua{sv}", 0, 1, {})[0][0][0]


def test_all_of_a_long_log_and_then_what_follows(client):
    make_long_log(client)
    path = client.create("name-0", "true")
    first = log_starts_at(client)
    streams = [Stream(client, first - 1) for _ in range(3)]
    slow = Stream(client, first - 1)
    assert not any(last_is(event_seq(client))(stream) for stream in streams), "it is not all there at once"
    for number in range(1, 51):  # what happens while they are behind
        client.call(path, CONTAINER, "Rename", "s", f"name-{number}")
        for stream in streams[:2]:
            stream.read()
    for stream in streams:
        stream.read_until(last_is(event_seq(client)), "the end of the log")
    client.call(path, CONTAINER, "Remove")
    last = event_seq(client)
    for stream in streams:
        stream.read_until(last_is(last), "the last event")
        assert stream.numbers() == list(range(first, last + 1)), "an event is missing, twice, or out of its order"
        assert [line["action"] for line in stream.lines[-2:]] == ["rename", "remove"]
        stream.close()
    slow.read_until(last_is(last), "the last event")
    assert slow.numbers() == list(range(first, last + 1)), "a slow reader of the log is not closed"
    slow.close()


def test_the_service_answers_while_a_long_log_is_read(client):
    """The only event that is wanted is the last: whoever looked for it in one go would have it before the call is answered."""
    make_long_log(client, 3 * COUNT)
    path = client.create("busy", "true")
    idle = [Stream(client, 0) for _ in range(5)]  # they take nothing
    slowest, end, answered = 0, time.monotonic() + DEADLINE, False
    while not answered and time.monotonic() < end:
        stream = Stream(client, 0, types=["container"])
        began = time.monotonic()
        assert client.get(path, "State") == "created"
        slowest = max(slowest, time.monotonic() - began)
        stream.read()
        answered = not stream.lines
        stream.read_until(last_is(event_seq(client)), "the last event").close()
    print(f"# the slowest read of a property took {1000 * slowest:.1f} ms")
    assert answered, "the log is read in one go"
    for stream in idle:
        stream.close()


def test_a_reader_that_is_too_slow_for_what_follows(client):
    path = client.create("loud", "true", labels={"text": "x" * 60000})
    stream = Stream(client, event_seq(client))
    fcntl.fcntl(stream.fd, fcntl.F_SETPIPE_SZ, 4096)
    for number in range(40):
        client.call(path, CONTAINER, "Rename", "s", f"loud-{number}")
    last = event_seq(client)
    stream.read_until(lambda stream: stream.ended, "the end of the stream")
    numbers = stream.numbers()
    assert stream.lines[-1] == {"overrun": True, "seq": numbers[-2]} and numbers[-2] < last, stream.lines[-1]
    stream.close()
    again = Stream(client, numbers[-2]).read_until(last_is(last), "the rest")
    assert again.numbers() == list(range(numbers[-2] + 1, last + 1))
    again.close()


def test_a_gap_is_told(client):
    last = make_long_log(client, 10)
    end_service(client)
    with sqlite3.connect("/var/lib/conbus/conbus.db") as database:
        database.execute("DELETE FROM event WHERE seq <= ?", (last - 5,))
    database.close()
    stream = Stream(client, last - 8).read_until(last_is(last), "the end of the log")
    assert stream.lines[0] == {"gap": True, "after": last - 8} and stream.lines[1]["seq"] == last - 4
    stream.close()


def test_until_types_and_bad_options(client):
    make_long_log(client, 300)
    path = client.create("web", "true")
    known = event_seq(client)
    past = client.manager("GetEvents", "tua{sv}", known - 1, 1, {})[0][0][1]
    client.call(path, CONTAINER, "Rename", "s", "site")
    stream = Stream(client, 0, until_usec=past).read_until(lambda stream: stream.ended, "the end of the stream")
    assert stream.lines[-1]["seq"] == known, "the last one of that time"
    stream.close()
    soon = time.time_ns() // 1000 + 300000
    stream = Stream(client, known, until_usec=soon, types=["container"]).read_until(lambda stream: stream.ended, "the end of the stream")
    assert stream.lines and all(line["usec"] <= soon for line in stream.lines) and time.time_ns() // 1000 >= soon
    stream.close()
    far = Stream(client, 2**64 - 1, until_usec=2**64 - 2)
    client.call(path, CONTAINER, "Rename", "s", "web")
    far.read_until(last_is(event_seq(client)), "an event")
    assert len(far.lines) == 1, "a number that is yet to come means from now on"
    far.close()
    expect("UnknownOption", client.manager, "OpenEvents", "ta{sv}", 0, options(colour="red"))
    expect("InvalidArgs", client.manager, "OpenEvents", "ta{sv}", 0, options(until_usec="soon"))
    assert client.manager("GetEvents", "tua{sv}", known, 0, {})[0], "0: as many as there may be"


def test_a_reader_that_goes_in_the_middle(client):
    make_long_log(client)
    for _ in range(20):
        stream = Stream(client, 0)
        stream.read(100)
        stream.close()
    other = Client()
    Stream(other, 0)
    other.connection.close_sync(None)
    path = client.create("still", "true", labels=GLib.Variant("a{ss}", {"a": "b"}))
    assert client.get(path, "State") == "created"


if __name__ == "__main__":
    main()
