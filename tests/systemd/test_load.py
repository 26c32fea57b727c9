#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The service is restarted a hundred times while containers are started, stopped and waited for: nothing is lost. A call that the restart has cut off (NoReply) may be repeated; every run has exactly one end, told by the pipe that waited for it and kept in its record."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import CONTAINER, Client, Error, main, options, wait_for  # noqa: E402

RESTARTS, CONTAINERS = 100, 3
CUT_OFF = ("NoReply", "TimedOut", "ServiceUnknown", "Disconnected")
PAYLOAD = ("sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.02; done")


class Worker:
    """Starts a container, waits for it by a pipe, stops it, again and again; every step is an answer to the one before."""

    def __init__(self, number, client):
        self.client = client
        self.path = client.create(f"load{number}", *PAYLOAD)
        self.run, self.ends, self.repeated, self.pipe = 0, [], 0, None
        self.box = None

    def call(self, method, signature="", *values):
        """Until it is answered; the service may go at any time."""
        while True:
            try:
                return self.client.call(self.path, CONTAINER, method, signature, *values)
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

    def turn(self):
        self.start()
        self.call("OpenWait", "asa{sv}", ["stopped"], options(run=self.run))
        pipe = self.client.fds.steal_fds()[0]
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


def test_a_hundred_restarts_lose_nothing(client):
    client.manager("ListContainers")
    workers = [Worker(number, Client()) for number in range(CONTAINERS)]
    loop = f"for i in $(seq {RESTARTS}); do systemctl restart conbus.service || exit 1; done"
    with subprocess.Popen(["sh", "-c", loop]) as restarts:
        while restarts.poll() is None:
            for worker in workers:
                worker.turn()
        assert restarts.returncode == 0
    for worker in workers:
        worker.turn()
        worker.check()
    print(f"# {sum(len(worker.ends) for worker in workers)} runs over {RESTARTS} restarts, {sum(worker.repeated for worker in workers)} calls repeated", flush=True)


if __name__ == "__main__":
    main("machine")
