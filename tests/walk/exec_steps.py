# SPDX-License-Identifier: LGPL-2.1-or-later
"""The steps with what is executed in containers."""

import json
import os

from calls import options
from life import check
from process_calls import ProcessCall
from processes import COMMANDS, ENDLESS, STAYS, ended_by
from world import CONTAINER, NAME, PROCESS

SHORT = 20_000  # usec, for what does not end by itself
LONG = 600_000_000  # usec: nothing may end for a machine that is slow


class ExecSteps:
    def do_exec(self, step, container, peer):
        stays = not step.get("auto_remove", step["start"])
        keys = {key: step[key] for key in ("start", "auto_remove") if key in step} | ({"user": STAYS} if stays else {})
        self.send(peer, container, "Exec", (COMMANDS[step["command"]][0], options(**keys)), "Exec", step=step)

    def do_capture(self, step, container, peer):
        call = self.send(peer, container, "ExecCapture", (COMMANDS[step["command"]][0], options(timeout_usec=SHORT if step["command"] == "sleep" else LONG)), "ExecCapture", step=step)
        container.executions.captures.append(call)

    def do_process(self, step, container, peer):
        """With one of the latest."""
        there = self.processes_of([container])
        if there:
            getattr(self, "process_" + step["action"])(step, there[max(0, len(there) - 1 - step["back"])], peer)

    def send_to(self, peer, process, member, *values):
        call = ProcessCall(peer, process, member, values)
        self.trace(f"  {call}")

    def process_start(self, step, process, peer):
        self.send_to(peer, process, "Start")

    def process_wait(self, step, process, peer):
        self.send_to(peer, process, "Wait")

    def process_stop(self, step, process, peer):
        self.send_to(peer, process, "Stop", step["grace"])

    def process_kill(self, step, process, peer):
        self.send_to(peer, process, "Kill", step["signal"])

    def process_remove(self, step, process, peer):
        self.send_to(peer, process, "Remove", step["mode"])

    def process_end(self, step, process, peer):
        """It ends by something that the service knows nothing of."""
        pid = process.life["Pid"]
        if pid:
            process.ends.add(ended_by(step["signal"]))
            self.trace(f"  end {process.name} with signal {step['signal']}")
            kill(pid, step["signal"])

    def process_conmon(self, step, process, peer):
        """Its conmon is killed, also in the middle of the launch, of which no property tells."""
        self.mirror[self.observer.send(NAME, process.path, PROCESS, "Inspect")] = lambda message: message.error or self.kill_monitor(process, json.loads(message.body[0])["MonitorPid"])

    def kill_monitor(self, process, pid):
        if pid and serves(pid, process.number):
            process.monitor_killed = process.container.disturbed = True
            self.trace(f"  kill conmon of {process.name}")
            kill(pid, 9)

    # --- rest ---

    def end_processes(self, present):
        """None may be left: some go by themselves, the others are removed. True when all have gone."""
        left = self.processes_of(present)
        for container in present:
            frozen = container.life["State"] == "paused" and not container.gone
            if frozen and (any(process.container is container for process in left) or any(not call.is_over and call.reply is None for call in container.executions.captures)) and not self.is_open(container, "Resume"):
                self.send(self.peers[0], container, "Resume", (), "Resume")
        for process in left:
            if not (process.goes_by_itself and process.life["State"] == "stopped") and not any(call.member == "Remove" and call.values == ("force",) and call.serial in peer.pending for peer in self.peers for call in process.calls if call.sender == peer.name):
                self.send_to(self.peers[0], process, "Remove", "force")
        return not left

    def begin_processes(self, container):
        return self.begin("GetProcesses", path=container.path, interface=CONTAINER)

    @staticmethod
    def compare_processes(container, processes):
        """Nothing is left of what was executed, not even of what the service has forgotten."""
        left = [entry for entry in processes if entry[2].split() == list(ENDLESS)]
        check(not left, f"of what was executed in {container.token} is left: {left}")

    def is_open(self, container, verb):
        return any(call.container is container and call.verb == verb for peer in self.peers for call in peer.pending.values())


def serves(pid, number):
    """Whether it is the conmon of this process, by the directory that it was given."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return any(word.endswith(f"/exec/{number}".encode()) for word in file.read().split(b"\0"))
    except OSError:
        return False


def kill(pid, signal):
    try:
        os.kill(pid, signal)
    except ProcessLookupError:
        pass
