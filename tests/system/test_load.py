#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many waits on one end, and one container that ends again and again under many waiters.

CONBUS_LOAD_SECONDS  how long the second goes on (default a minute on tests/fakes, where a restart takes some 25 ms, and 10 on the real conmon and crun)"""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, SOURCE, Client, GLib, main, on_real_runtime, options, wait_for  # noqa: E402

FAKES = os.environ.get("CONBUS_SANDBOX_FAKES") == "1"
SECONDS = float(os.environ.get("CONBUS_LOAD_SECONDS") or (60 if FAKES else 10))
COUNTING = ("sh", "-c", "n=0; test ! -e /n || read n < /n; n=$((n + 1)); echo $n > /n; exit $((n % 100))")  # run N ends with N modulo 100
SANITIZED = "ASAN_OPTIONS" in os.environ  # slow, and with a heap of its own
N_CLIENTS, N_WAITS = 10, 100 if SANITIZED else 1000  # 1024 is what one client may have open
SCATTERED = 6144  # kB: pages of the heap on which something small still lives


def anonymous_memory(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))


def processor_time(pid):
    """Seconds of it, and of the children it has reaped."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        ticks = [int(word) / os.sysconf("SC_CLK_TCK") for word in stat.read().rsplit(")", 1)[1].split()[11:15]]
    return sum(ticks[:2]), sum(ticks[2:])


def begin_waits(clients, path):
    """Half of them say which run they mean."""
    boxes = []
    for client in clients:
        boxes += [client.begin(path, CONTAINER, "Wait", timeout=300) for _ in range(N_WAITS // 2)]
        boxes += [client.begin(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(run=1), timeout=300) for _ in range(N_WAITS // 2)]
    for client in clients:
        client.get(path, "State")  # answered: what was sent before has been received
    return boxes


def one_round(client, clients, name):
    path = client.create(name, "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    boxes, most = begin_waits(clients, path), anonymous_memory(client.service_pid())
    began = time.monotonic()
    client.call(path, CONTAINER, "Kill", "si", "leader", 9)
    wait_for(lambda: all(boxes), f"{len(boxes)} answers", deadline=240)
    took = time.monotonic() - began
    answers = set()
    for box in boxes:
        value = client.finish(box)
        answers.add(value if len(value) == 4 else value[1:5])
    assert answers == {(1, 137, 9, "signal")}, answers
    client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True))
    return len(boxes), took, most


@on_real_runtime
def test_ten_thousand_waits_on_one_end(client):
    clients = [Client(signals=False) for _ in range(N_CLIENTS)]
    client.manager("ListContainers")
    pid = client.service_pid()
    before = anonymous_memory(pid)
    for name in ("first", "second"):
        n, took, most = one_round(client, clients, name)
        wait_for(lambda: SANITIZED or anonymous_memory(pid) <= before + SCATTERED, "memory given back", poll=True)
        print(f"# {n} waits of {N_CLIENTS} clients answered in {took:.2f} s; anonymous memory of the service {before} kB before, {most} kB meanwhile, {anonymous_memory(pid)} kB after")
        assert SANITIZED or n == 10000 and most > before + SCATTERED
    assert client.service_pid() == pid


class Waiter:
    """Asks again as soon as it is answered, in one of three ways, until the container goes."""

    def __init__(self, client, path, form):
        self.client, self.path, self.form = client, path, form
        self.runs, self.done, self.failure = [], False, None
        self.ask()

    def ask(self):
        last = self.runs[-1] if self.runs else 0
        keys = {"after-run": options(after_run=last), "run": options(run=last + 1), "final": options(final=True)}[self.form]
        arguments = GLib.Variant("(asa{sv})", (["stopped"], keys))
        self.client.connection.call("io.conbus1", self.path, CONTAINER, "WaitFor", arguments, None, 0, 300000, None, self.on_answer)

    def on_answer(self, connection, result):
        try:
            condition, run, code, signal, _, _ = connection.call_finish(result).unpack()
        except GLib.Error as error:  # it asked again when the container had gone already
            assert "UnknownObject" in error.message, error.message
            self.done = True
            return
        if condition == "stopped":
            self.runs.append(run)
            if (code, signal) != (run % 100, 0):
                self.failure = (run, code, signal)
        self.done = condition != "stopped" or self.form == "final"
        if not self.done:
            self.ask()


def test_fast_restarts_under_fifty_waiters(client):
    client.restart_with(CONBUS_CONFIG=f"{SOURCE}/tests/system/load.conf")
    path = client.create("fast", *COUNTING, restart_policy="always", restart_sec_usec=1000, network="none")
    clients = [Client(signals=False) for _ in range(5)]
    forms = ("after-run", "run")
    waiters = [Waiter(clients[i % 5], path, forms[i % 2]) for i in range(40)]
    began, before = time.monotonic(), processor_time(client.service_pid())
    client.call(path, CONTAINER, "Start")
    waiters += [Waiter(clients[i % 5], path, "final") for i in range(10)]
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(after_run=client.get(path, "Run") - 1))
        client.signals.clear()
    client.call(path, CONTAINER, "SetRestartPolicy", "su", "no", 0)
    last = client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], options(final=True))[1]
    took, used = time.monotonic() - began, processor_time(client.service_pid())
    wait_for(lambda: all(waiter.runs and waiter.runs[-1] >= last for waiter in waiters), "the answers on the last run", deadline=240)  # of a container that is gone nobody can ask
    client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True))
    wait_for(lambda: all(waiter.done for waiter in waiters), "the last answers", deadline=240)
    own, children = (1000 * (after - earlier) / last for earlier, after in zip(before, used))
    print(f"# {60 * last / took:.0f} runs a minute, one each {1000 * took / last:.0f} ms, of which the service works {own:.1f} ms and its children {children:.1f} ms; {sum(len(waiter.runs) for waiter in waiters)} answers")
    assert not [waiter.failure for waiter in waiters if waiter.failure]
    wrong = [(waiter.form, waiter.runs[-3:], len(waiter.runs)) for waiter in waiters if waiter.runs != ([last] if waiter.form == "final" else list(range(1, last + 1)))]
    assert not wrong, f"runs were skipped or doubled: {wrong[:3]}; the last one was {last}"
    records = client.manager("ListRuns", "su", path.rsplit("/", 1)[1], 0)[0]
    assert [(record["run"], record["exit-code"]) for record in records] == [(run, run % 100) for run in range(last, 0, -1)]


if __name__ == "__main__":
    main()
