# SPDX-License-Identifier: LGPL-2.1-or-later
"""Calls on a process, and what their answers must be: what the table of section 12 allows for the states that it had between the call and the answer."""

import time

from calls import GONE, LEFT, PREFIXES
from life import check, expected
from processes import ended_by
from world import NAME, PROCESS

IS = "InvalidState"
TABLE = {"Start": ("ok", IS, IS), "Stop": (IS, "ok", "ok"), "Kill": (IS, "ok", IS), "RemoveNormal": ("ok", IS, "ok"), "RemoveForce": ("ok", "ok", "ok"), "Wait": ("ok", "ok", "ok")}
STATES = ("created", "running", "stopped")
SIGNATURES = {"Stop": "t", "Kill": "i", "Remove": "s"}


class ProcessCall:
    """Of the peers' calls this is one like Call, for the driver and the peers."""

    request, entries = None, None

    def __init__(self, peer, process, member, values=()):
        self.world, self.sender, self.process, self.container, self.member, self.values = peer.world, peer.name, process, process.container, member, values
        self.row = f"Remove{values[0].title()}" if member == "Remove" else member
        self.verb = None if member == "Wait" else f"Process.{member}"
        self.path, self.epoch = process.path, peer.epoch
        self.first, self.first_of_container = peer.position(process.path), peer.position(self.container.path)
        self.sent_time, self.received, self.reply, self.is_over, self.n_left = time.monotonic(), None, None, False, peer.world.n_left
        self.serial = peer.connection.send(NAME, process.path, PROCESS, member, SIGNATURES.get(member, ""), *values)
        peer.pending[self.serial] = self
        process.calls.append(self)

    def __str__(self):
        return " ".join(map(str, [self.sender, self.process.name, self.member, *self.values]))

    def outcomes(self):
        """How it may end the process."""
        if self.is_over and self.reply[0]:
            return set()
        if self.member == "Kill":
            return {ended_by(self.values[0])}
        return {"Stop": {ended_by(15), ended_by(9)}, "RemoveForce": {ended_by(9)}}.get(self.row, set())

    def is_overdue(self):
        return False  # none is left when all is quiet

    def answer(self, message, fds, peer):
        name = message.error
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        self.reply, self.reply_epoch, self.reply_seq = (name, message.body), peer.epoch, peer.seq
        self.end, self.end_of_container = peer.position(self.path), peer.position(self.container.path)
        if self.epoch != self.reply_epoch:
            self.first = self.first_of_container = 0
        self.world.answered.append(self)

    def check(self):
        world, error = self.world, self.reply[0]
        if world.epoch < self.reply_epoch or not world.synced or world.epoch == self.reply_epoch and world.seq < self.reply_seq:
            return False
        lives, container_lives = self.process.lives_of(self.reply_epoch), self.container.lives_of(self.reply_epoch)
        unseen = len(lives) <= self.end or len(container_lives) <= self.end_of_container
        if unseen and world.epoch == self.reply_epoch:
            return False
        if error not in LEFT and not unseen:
            self._check(lives[self.first : self.end + 1], [life for life in container_lives[self.first_of_container : self.end_of_container + 1] if life])
        self.is_over = error not in LEFT
        return True

    def _check(self, window, container_window):
        error, body = self.reply
        present = [life for life in window if life]
        states = {life["State"] for life in present}
        allowed = {TABLE[self.row][STATES.index(state)] for state in states} | (set(GONE) | {"NoSuchProcess"} if None in window else set())
        if not error:
            # One that is removed may be told to have gone after what is asked of it now was answered by its end.
            check("ok" in allowed or self.member == "Wait", f"{self} succeeds, though it was only {sorted(states)}")
            self._check_effect(body, window)
            return
        if "created" in states:  # it may be being launched, of which nothing tells
            allowed.add(IS)
        if self.member in ("Stop", "Remove") and any(life["State"] == "paused" for life in container_window):
            allowed.add("Timeout")  # SIGKILL does not reach what is frozen (version 1)
        if self.member == "Start":
            allowed |= {expected("Exec", life["State"]) for life in container_window} - {"ok"}
            if self.process.life["CommandName"] == "missing":
                allowed.add("RuntimeCommandNotFound")
            if self.container.was_disturbed() or self.process.has_run_ended():
                allowed |= {"NotRunning", "Removed", "RuntimeFailed", "MonitorFailed", "RuntimePermissionDenied", "RuntimeCommandNotFound"}
        check(error in allowed - {"ok"}, f"{self} fails with {error} ({body[0] if body else ''}); {sorted(states)} allows {sorted(allowed)}")

    def _check_effect(self, body, window):
        present = [life for life in window if life]
        if self.member == "Start":
            check(any(life["State"] == "running" and life["Pid"] == body[0] for life in present) or self.process.lossy, f"{self} returns {body[0]}, but it did not run")
        elif self.member == "Wait":
            check(any(life["State"] == "stopped" and (life["ExitCode"], life["ExitSignal"]) == body for life in present), f"{self} returns {body}, but it is {self.process.life}")
        elif self.member == "Stop":
            check(any(life["State"] == "stopped" for life in present), f"{self} is answered before the end is recorded")
        elif self.member == "Remove":
            check(window[-1] is None, f"{self} succeeds before it is gone")
