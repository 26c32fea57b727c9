#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service is restarted a hundred times while containers are started, stopped, waited for and executed in: nothing is lost. A call that the restart has cut off (NoReply) may be repeated; every run has exactly one end, told by the pipe that waited for it and kept in its record,
and every process that was executed has run, has told its code and has exactly one end in the event log."""

import json
import os
import select
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import CONTAINER, PROCESS, Client, Error, main, options, wait_for  # noqa: E402

RESTARTS, CLIENTS, WORK = 100, 3, "--work"
CUT_OFF = ("NoReply", "TimedOut", "ServiceUnknown", "Disconnected")
PAYLOAD = ("sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.02; done")


class Worker:
    """Starts a container, waits for it by a pipe, executes something in it, stops it, again and again; every step is an answer to the one before."""

    def __init__(self, number, client):
        self.client = client
        self.path = client.create(f"load{number}", *PAYLOAD)
        self.run, self.ends, self.executed, self.repeated = 0, [], {}, 0

    def call(self, method, signature="", *values, path=None, interface=CONTAINER):
        """Until it is answered; the service may go at any time."""
        while True:
            try:
                return self.client.call(path or self.path, interface, method, signature, *values)
            except Error as error:
                if error.name not in CUT_OFF:
                    raise
                self.repeated += 1

    def start(self):
        try:
            self.run = self.call("Start")[0]
        except Error as error:
            if error.name != "AlreadyRunning":  # the start that was cut off had its effect
                raise
            self.run = self.call("GetRun", "t", 0)[0]["run"]

    def stop(self):
        try:
            self.call("StopWith", "a{sv}", options(timeout_usec=3000000))
        except Error as error:
            if error.name != "NotRunning":
                raise

    def execute(self):
        """A word is written as often as the call may have had its effect: once, and once for each time that it was cut off."""
        before, word = self.repeated, f"word{len(self.executed)}"
        process = self.call("Exec", "asa{sv}", ["sh", "-c", f"echo {word} >> /words; exit 7"], {})[0]
        self.executed[word] = 1 + self.repeated - before
        assert self.call("Wait", path=process, interface=PROCESS) == (7, 0), (word, process)

    def check_executed(self):
        self.start()
        words = bytes(self.call("ExecCapture", "asa{sv}", ["cat", "/words"], {})[2]).decode().split()
        self.stop()
        for word, most in self.executed.items():
            assert 1 <= words.count(word) <= most, (word, words.count(word), most)
        sessions = {"exec": [], "exec-died": []}
        for _, _, _, action, _, identity, details in self.client.manager("GetEvents", "tua{sv}", 0, 1000000, {})[0]:
            if action in sessions and self.path.endswith(identity) and "session" in details:
                sessions[action].append(details["session"])
        assert sorted(sessions["exec"]) == sorted(sessions["exec-died"]) and len(set(sessions["exec"])) == len(sessions["exec"]) >= len(self.executed), sessions

    def turn(self):
        self.start()
        self.call("OpenWait", "asa{sv}", ["stopped"], options(run=self.run))
        pipe = self.client.fds.steal_fds()[0]
        self.execute()
        self.stop()
        self.ends.append((self.run, read_end(pipe)))

    def check(self):
        records = {record["run"]: record for record in self.call("ListRuns", "u", 10000)[0]}
        assert sorted(records) == list(range(1, max(records) + 1)), "a number of a run is missing"
        told = [run for run, _ in self.ends]
        assert len(told) == len(set(told)), "a run has ended twice"
        for run, end in self.ends:
            # 137: the stop came before the payload had set its trap, and PID 1 ignores what it does not handle
            assert end and end["run"] == run and end["exit-code"] in (9, 137) and end["exit-code"] == records[run]["exit-code"], (run, end, records[run])
        assert all(record["result"] in ("exit-code", "signal", "never-ran", "start-failed") for record in records.values()), records


def read_end(pipe):
    os.set_blocking(pipe, False)
    text = []

    def ended():
        try:
            text.append(os.read(pipe, 65536))
        except BlockingIOError:
            return False
        return not text[-1]

    wait_for(ended, "the end of a pipe", poll=True)
    os.close(pipe)
    return json.loads(b"".join(text)) if any(text) else None


def work(number):
    """One client, in a process of its own: until its standard input ends."""
    worker = Worker(number, Client())
    while not select.select([sys.stdin], [], [], 0)[0]:
        worker.turn()
    worker.turn()
    worker.check()
    worker.check_executed()
    print(f"# {len(worker.ends)} runs with a process in each, {worker.repeated} calls repeated", flush=True)


def test_a_hundred_restarts_lose_nothing(client):
    client.manager("ListContainers")
    workers = [subprocess.Popen([sys.executable, os.path.abspath(__file__), WORK, str(number)], stdin=subprocess.PIPE, stderr=subprocess.STDOUT) for number in range(CLIENTS)]
    loop = f"for i in $(seq {RESTARTS}); do systemctl restart conbus.service || exit 1; done"
    restarted = subprocess.run(["sh", "-c", loop], check=False).returncode
    for worker in workers:
        worker.stdin.close()
    assert restarted == 0 and [worker.wait() for worker in workers] == [0] * CLIENTS


if __name__ == "__main__":
    if sys.argv[1:2] == [WORK]:
        work(int(sys.argv[2]))
    else:
        main("machine")
