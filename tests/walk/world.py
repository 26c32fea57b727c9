# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is known of the service from its signals: one observer sees everything and puts each commit through the rules of life.py, the peers make the calls and count how far they have seen.

An epoch is one process of the service; it ends with the first message of its successor, since a service that leaves in peace gives up its name first and finishes what it has begun. Signals of the last moments are lost when it is killed;
then the observer reads what is true from the successor, and the event log must fill the gap without a hole."""

import os
import time

import health
from connection import BUS, Connection
from life import ACTIVE, STAMPS, STOP_VERBS, Facts, Rules, Wrong, check, run_is_open
from processes import Executions, Process, ended_by

NAME, MANAGER, CONTAINER, HEALTH, PROCESS, PROPERTIES = "io.conbus1", "io.conbus1.Manager", "io.conbus1.Container", "io.conbus1.Health", "io.conbus1.Process", "org.freedesktop.DBus.Properties"
MANAGER_PATH = "/io/conbus1"
RULE_OWNER = f"type='signal',sender='{BUS}',member='NameOwnerChanged',arg2=''"
RULES_OBSERVER = ("type='signal',path_namespace='/io/conbus1'", RULE_OWNER)
RULES_PEER = (f"type='signal',member='PropertiesChanged',arg0='{CONTAINER}'", f"type='signal',member='PropertiesChanged',arg0='{HEALTH}'", f"type='signal',member='PropertiesChanged',arg0='{PROCESS}'",
              f"type='signal',interface='{MANAGER}',member='Event'",
              "type='signal',path='/io/conbus1',interface='org.freedesktop.DBus.ObjectManager'")
OLDEST_EXIT_INFO = (6, 15)  # Linux whose pidfds tell the status of a process that somebody else has reaped
EXITS = {10: (0, 0), 12: (3, 0), 15: (7, 0), 9: (137, 9)}  # what the payload makes of a signal; HUP it ignores


class Peer:
    """A client. The position of a container is the index of the last of its lives that this client has been told of."""

    def __init__(self, world):
        self.world, self.connection = world, Connection(RULES_PEER)
        self.name, self.service, self.epoch, self.seq = self.connection.name, world.service, world.epoch, world.seq
        self.positions = {path: len(container.lives) - 1 for path, container in {**world.containers, **world.processes}.items()}
        self.pending = {}  # serial -> Call

    def position(self, path):
        return self.positions.get(path, 0)

    def read(self):
        for message, fds in self.connection.read():
            serial = message.reply_serial
            sender = message.sender
            if sender not in (BUS, self.service):
                if epoch_of(sender) < self.epoch:  # the bus had not read it yet when the successor spoke already
                    self.pending.pop(serial, None)
                    continue
                self.service, self.epoch, self.positions = sender, epoch_of(sender), {}
            if serial:
                self._on_reply(message, fds, serial)
            else:
                self._on_signal(message)

    def _on_signal(self, message):
        member = message.member
        if member == "PropertiesChanged":
            path = message.path
            self.positions[path] = self.position(path) + 1
        elif member == "InterfacesRemoved":
            path = message.body[0]
            self.positions[path] = self.position(path) + 1
        elif member == "Event":
            self.seq = message.body[0]

    def _on_reply(self, message, fds, serial):
        call = self.pending.pop(serial, None)
        for other in self.pending.values():  # what was sent before has been received by now
            if other.serial < serial and other.received is None and other.path and other.epoch == self.epoch:
                other.received = self.position(other.path)
        if call:
            self.world.trace(f"    {call} -> {message.error or message.body}")
            call.answer(message, fds, self)


class Container:
    def __init__(self, world, path, config, life):
        self.world, self.path, self.config, self.token = world, path, config, life["Name"]
        self.rules = Rules(config, self)
        self.lives, self.history, self.last = [life], {}, life  # history: epoch -> lives
        self.facts = Facts()
        self.log = []  # (epoch, index, event) of everything that was announced
        self.executions = Executions()
        self.started, self.finished = set(), {}
        self.dependencies, self.dependents = [], []  # direct ones
        self.marks = {}  # path of a dependency -> its last life when the present operation began
        self.verdicts = health.Verdicts(config["health"] and config["health"]["sick"])
        self.statuses, self.freezes, self.stops = {}, {}, {}  # run -> statuses of health that were told; times of its pauses; time from which no check counts any more
        self.ends = {}  # run -> outcomes that were brought about
        self.calls = []  # not yet checked, and those whose caller has gone
        self.restarts = []  # all calls of Restart
        self.killed_monitors, self.killed_services = set(), set()  # runs
        self.disturbed, self.lossy, self.seq, self.gone = False, False, 0, False
        self.told_usec = 0  # when the last commit was told
        self.has_gap = False  # transitions may have been lost with a service that was killed
        self.base = 0  # the first life of which all that was announced is known
        self.offset = clock_offset()

    @property
    def life(self):
        """The last one, also when it is gone."""
        self.last = self.lives[-1] or self.last
        return self.last

    def lives_of(self, epoch):
        return self.lives if epoch == self.world.epoch else self.history.get(epoch, [])

    def lives_since(self, epoch):
        """Of that service and its successors, as far as they were told."""
        return [life for past, lives in self.history.items() if past >= epoch for life in lives] + self.lives

    def restarts_in(self, epoch):
        return lambda index: any(call.may_be_in_line(epoch, index) for call in self.restarts)

    # --- what the rules ask ---

    def causes(self, verbs, actor=None):
        return {cause.verb for cause in self.calls if cause.verb in verbs and (actor is None or cause.sender == actor)}

    def outcomes(self, life):
        run = life["Run"]
        possible = set(self.ends.get(run, ()))
        if self.config["brief"] is not None and (life["State"] != "initialized" or self.disturbed):  # the service may have been killed before it could say that it runs
            possible.add((self.config["brief"], 0))
        if life["State"] == "stopping" or self.causes(STOP_VERBS):
            possible |= self.world.outcomes_of(15) | {(137, 9)}
        if life["State"] == "initialized" and self.causes({"Cleanup"}):
            possible.add((137, 9))
        for cause in self.calls:
            if cause.verb == "Kill":
                possible |= self.world.outcomes_of(cause.call.values[1])
        if run in self.killed_monitors and (run in self.killed_services or not self.world.has_exit_info):
            possible.add((-1, 0))
        return possible

    def clock_slack(self):
        """By how much the wall clock has been set, in usec."""
        return abs(clock_offset() - self.offset) // 1000 + 1000

    def was_disturbed(self):
        return self.disturbed

    def monitor_was_killed(self, run):
        return run in self.killed_monitors

    def may_have_found(self, passes):
        return passes in self.verdicts.since(0)

    def all_dependencies(self):
        return unique(other for direct in self.dependencies for other in [direct, *direct.all_dependencies()])

    def all_dependents(self):
        return unique(other for direct in self.dependents for other in [direct, *direct.all_dependents()])

    def _look_around(self):
        """What the rules must know of others at this moment."""
        # A service that was killed when the policy's run was initialized goes on with its start.
        self.facts.dependent_is_due = any(not other.gone and (other.life["NextRestartTimestamp"] or (other.life["State"], other.life["StateReason"]) == ("initialized", "policy")) for other in self.all_dependents())
        # A Sync only finds out what was begun before.
        self.facts.dependencies_were_up = self.life["Operation"] == "sync" or all(any(life and life["State"] == "running" for life in other.lives[self.marks.get(other.path, 0) :]) for other in self.dependencies)

    # --- what is announced ---

    def on_properties(self, changed):
        check(not self.gone, "it changes after it has gone")
        if self._is_other_half(changed):
            self.lives[-1:] = [self.lives[-2], {**self.lives[-1], **changed}]
            return
        self.close()
        self.told_usec = time.time_ns() // 1000
        self.lives.append({**self.lives[-1], **changed})
        if changed.get("Operation"):
            self.marks = {other.path: len(other.lives) - 1 for other in self.dependencies}
        self._look_around()

    def _is_other_half(self, changed):
        """One that is ready when it is healthy becomes both in one commit, of which each interface tells its part."""
        old, new = self.lives[-2:] if len(self.lives) > 1 else (None, None)
        return self.config["notify"] == "healthy" and changed.get("Health") == "healthy" and new and self.facts.is_empty() and new["Ready"] and {**new, "Ready": False} == old

    def close(self):
        """The commit is complete: put it through the rules."""
        facts, self.facts = self.facts, Facts()
        if self.world.synced and len(self.lives) > self.base + 1 and not self.gone:
            try:
                rule = self.rules.explain(self.lives[-2], self.lives[-1], facts)
            except Wrong as wrong:
                raise Wrong(f"{self.token}: {wrong}; its lives: {self.show_lives()}") from None
            self.world.rules_seen[rule] = self.world.rules_seen.get(rule, 0) + 1
        self.calls = [call for call in self.calls if call.may_still_cause(self.world.epoch, len(self.lives) - 1)]

    def show_lives(self):
        """The latest ones by what changed."""
        steps = list(zip(self.lives, self.lives[1:], strict=False))[-8:]
        return "; ".join(" ".join(f"{key}={new[key]}" for key in new if new[key] != old[key] and key not in STAMPS) for old, new in steps if old and new)

    def on_transition(self, old, new, reason, run, seq):
        check(seq == self.seq + 1 or (self.has_gap and self.seq < seq), f"StateChanged has the number {seq} after {self.seq}")
        self.seq, self.has_gap = seq, False
        self.facts.transitions.append((old, new, reason, run))
        self.world.trace(f"      {self.token} {old} -> {new} {reason} run {run}")
        if new == "paused":
            self.freezes.setdefault(run, []).append(self.life["StateTimestamp"])
        if (old, new) in (("stopped", "exited"), ("stopped", "created")):
            running = [process.name for process in self.world.processes_of([self]) if process.life["State"] == "running"]
            check(not running, f"it is cleaned up, and {running} run on")
        if new in ("stopping", "stopped"):
            self.stops.setdefault(run, self.life["StateTimestamp"])

    def on_started(self, run, pid):
        check(run not in self.started and run not in self.finished, f"RunStarted({run}) comes twice or after its end")
        check(all(number in self.finished or number in self.started and self.lossy for number in range(1, run)), f"RunStarted({run}) comes before the end of an earlier run")
        self.started.add(run)
        self.facts.started.append((run, pid))

    def on_finished(self, run, code, signal, result, details):
        check(run not in self.finished, f"RunFinished({run}) comes twice")
        check((details["run"], details["exit-code"], details["signal"], details["result"]) == (run, code, signal, result), "RunFinished contradicts itself")
        self.finished[run] = (code, signal, result)
        self.facts.finished.append((run, code, signal, result))

    def on_event(self, event):
        self.log.append((self.world.epoch, len(self.lives) - 1, event))
        if event["action"] == "kill":
            self.ends.setdefault(event.get("run", 0), set()).update(self.world.outcomes_of(event["signal"]))
            for process in self.world.processes_of([self]):
                process.ends.add(ended_by(event["signal"]))
        elif event["action"] in ("exec", "exec-died"):
            self.executions.take(event)
            process = self.world.processes.get(f"{self.path}/process/{event.get('session')}")
            if process and self.world.synced:
                process.on_event(event)
        self.facts.events.append(event)

    def on_gone(self):
        self.gone = True
        check(self.facts.event("remove") or self.lossy, "it is gone without an event remove")
        self.facts, self.last = Facts(), self.lives[-1]
        self.lives.append(None)

    # --- a successor of the service ---

    def on_service_left(self, crashed):
        self.history[self.world.epoch] = self.lives
        self.lives = [self.lives[-1]]
        self.facts, self.base, self.marks = Facts(), 0, {}
        self.disturbed = True
        self.lossy, self.has_gap = self.lossy or crashed, self.has_gap or crashed
        self.killed_services.add(self.life["Run"])

    def on_read(self, properties):
        """What the successor says is true."""
        if properties is None:
            if not self.gone:
                check(self.lossy, "it vanished without a signal")
                self.gone, self.last = True, self.lives[-1]
                self.lives = [None] * len(self.lives)  # the signal was lost with the service that removed it: this one never knew it
            return
        life = {key: properties[key] for key in self.life}
        check(life["Run"] >= self.life["Run"], f"after the restart of the service Run is {life['Run']}, it was {self.life['Run']}")
        for key in ("MainPID", "InvocationId", "StartTimestamp"):
            if life["State"] in ACTIVE and self.life["State"] in ACTIVE and life["Run"] == self.life["Run"] and self.life["State"] != "initialized":
                check(life[key] == self.life[key], f"after the restart of the service {key} is another")
        self.world.trace(f"      {self.token} is {life['State']} run {life['Run']}")
        self.rules.resume(life)
        # What led there may have been told in part only, by a service that was killed.
        self.lives[-1], self.facts, self.base = life, Facts(), len(self.lives) - 1

    def learn(self, event):
        """An event from the log that no signal brought."""
        if event["action"] == "died":
            self.finished.setdefault(event["run"], (event["exit-code"], event["signal"], event["result"]))
        elif event["action"] == "start":
            self.started.add(event["run"])
        elif event["action"] == "remove":
            self.facts.events.append(event)
        elif event["action"] in ("exec", "exec-died"):
            self.executions.take(event)
        self.log.append((self.world.epoch, 0, event))


class World:
    def __init__(self, fakes, trace):
        self.fakes, self._trace = fakes, trace
        self.has_exit_info = tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) >= OLDEST_EXIT_INFO
        self.service, self.epoch, self.seq, self.known_seq, self.synced, self.crashed, self.killed = None, 0, 0, 0, False, False, False
        self.containers, self.by_id, self.configs, self.processes = {}, {}, {}, {}
        self.rules_seen, self.n_services, self.n_left, self.pid = {}, 0, 0, 0
        self.reading, self.leaving = {}, set()  # leaving: clients that the bus has not missed yet
        self.observer = Connection(RULES_OBSERVER)
        self._read_state()

    def trace(self, text):
        self._trace.append(text)

    def outcomes_of(self, signal):
        outcome = {EXITS[signal]} if signal in EXITS else set()
        return outcome | ({(128 + signal, signal)} if self.fakes else set())  # without a PID namespace a signal acts before the payload has set it up

    # --- the observer ---

    def _read_state(self):
        """Asks whoever is the service next, and thereby activates it. What was announced until then need not be read again."""
        if self.synced:
            self.known_seq = self.seq
        send = self.observer.send
        self.reading = {send(NAME, MANAGER_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"): self._on_objects,
                        send(NAME, MANAGER_PATH, MANAGER, "GetEvents", "tua{sv}", self.known_seq, 10000, {}): self._on_events}

    def observe(self):
        for message, _ in self.observer.read():
            serial = message.reply_serial
            sender = message.sender
            if sender not in (BUS, self.service):
                if epoch_of(sender) < self.epoch:  # the bus had not read it yet when the successor spoke already: as good as lost
                    for container in self.containers.values():
                        container.lossy = container.has_gap = True
                    continue
                self._on_successor(sender)
            if not serial:
                self._on_signal(message)
            elif serial in self.mirror:
                self.mirror.pop(serial)(message)
            elif serial in self.reading:  # else it was killed before it could answer
                check(not message.error, f"the successor answers {message.error}: {message.body}")
                self.reading.pop(serial)(message.body)
                self.synced = self.synced or not self.reading

    def _on_pid(self, body):
        self.pid = body[0]

    def _on_objects(self, body):
        objects = body[0]
        self.reading[self.observer.send(BUS, "/org/freedesktop/DBus", BUS, "GetConnectionUnixProcessID", "s", NAME)] = self._on_pid
        for path, container in self.containers.items():
            interfaces = objects.get(path)
            container.on_read(life_of(interfaces) if interfaces else None)
        there = {path: interfaces[PROCESS] for path, interfaces in objects.items() if PROCESS in interfaces}
        for path, process in self.processes.items():
            process.on_read(there.get(path))
        for path in there.keys() - self.processes.keys():
            self._add_process(path, there[path], known=False)

    def _on_events(self, body):
        events, _, gap = body
        announced = {event["seq"] for container in self.containers.values() for _, _, event in container.log}
        numbers = [event[0] for event in events]
        check(not gap and numbers == list(range(self.known_seq + 1, self.known_seq + 1 + len(numbers))), f"the event log has a hole: {numbers}")
        for event in map(flat_event, events):
            container = self.by_id.get(event["id"])
            if container and event["seq"] not in announced:
                container.learn(event)
        self.seq = max([self.seq, *numbers])

    def _on_signal(self, message):
        member, path, body = message.member, message.path, message.body
        container = self.containers.get(path)
        if member == "NameOwnerChanged":
            self.leaving.discard(body[0])
            if body[0] == NAME:
                check(self.killed, "the service left by itself")
                self.killed = False
                self.n_left += 1
                self._read_state()
        elif member == "PropertiesChanged" and body[0] == CONTAINER:
            if container:
                container.on_properties({key: value for key, value in body[1].items() if key in container.life})
        elif member == "PropertiesChanged" and body[0] == HEALTH:
            if container:
                container.on_properties({"Health": body[1]["Status"]})
        elif member == "PropertiesChanged" and body[0] == PROCESS:
            if path in self.processes:
                self.processes[path].on_properties(body[1])
        elif member == "Exited":
            if path in self.processes and self.synced:
                self.processes[path].on_exited(*body)
        elif member == "Event":
            self._on_event(flat_event(body))
        elif member == "InterfacesAdded":
            if CONTAINER in body[1]:
                self._on_added(body[0], body[1])
            elif PROCESS in body[1]:
                self._add_process(body[0], body[1][PROCESS], known=True)
        elif member == "InterfacesRemoved":
            for objects in (self.containers, self.processes):
                if body[0] in objects:
                    objects[body[0]].on_gone()
        elif container and member in ("StateChanged", "RunStarted", "RunFinished", "ReadyChanged", "StatusChanged"):
            self._on_container_signal(container, member, body)

    @staticmethod
    def _on_container_signal(container, member, body):
        if member == "StateChanged":
            container.on_transition(*body)
        elif member == "RunStarted":
            container.on_started(body[0], body[2])
        elif member == "RunFinished":
            container.on_finished(*body)
        elif member == "StatusChanged":
            container.statuses.setdefault(body[2], []).append(body[1])
            container.facts.statuses.append(body)
        else:
            container.facts.ready.append(body)

    def _on_added(self, path, interfaces):
        life = life_of(interfaces)
        check((life["State"], life["Run"], life["ExitCode"], life["Result"]) == ("created", 0, -1, ""), "a fresh container is not fresh")
        container = Container(self, path, self.configs[life["Name"]], life)
        self.containers[path] = self.by_id[life["Id"]] = container

    def _add_process(self, path, life, known):
        """known: it was announced, else found by a successor of the service that has made it."""
        container = self.containers.get(path.split("/process/")[0])
        if container:
            check(known or container.lossy, f"the process {path} was never announced")
            check(not known or not self.synced or (life["State"], life["Pid"], life["ExitCode"]) == ("created", 0, -1), f"a fresh process is {life}")
            self.processes[path] = Process(container, path, life)
            self.processes[path].lossy = self.processes[path].service_killed = not known

    def _on_event(self, event):
        check(event["seq"] == self.seq + 1 or not self.synced and event["seq"] > self.seq, f"Event {event['seq']} follows {self.seq}")
        self.seq = event["seq"]
        container = self.by_id.get(event["id"])
        if container:
            container.on_event(event)

    def _on_successor(self, name):
        for container in self.containers.values():
            container.on_service_left(self.crashed)
        for process in self.processes.values():
            process.on_service_left(self.crashed)
        self.service, self.epoch = name, epoch_of(name)
        self.synced = not self.reading
        self.n_services += 1
        self.trace(f"  --- service {name} ---")

    # --- doing ---

    def kill_service(self, signal):
        self.crashed, self.killed = signal == 9, True
        try:
            os.kill(self.pid, signal)
        except ProcessLookupError:
            pass

    def forget_gone(self):
        for path in [path for path, container in self.containers.items() if container.gone]:
            for process in [process for process in self.processes.values() if process.container is self.containers[path]]:
                del self.processes[process.path]
            del self.by_id[self.containers[path].life["Id"]]
            del self.containers[path]

    def processes_of(self, containers):
        return [process for process in self.processes.values() if process.container in containers and not process.gone]

    def is_settled(self, container):
        life = container.life
        unsupervised = life["Run"] in container.killed_monitors
        if not container.gone and life["State"] == "running" and container.config["brief"] is not None:
            return False
        return container.gone or (health.is_settled(container) and not (unsupervised and life["Supervised"]) and life["State"] in ("created", "initialized", "running", "paused", "exited") and not life["NextRestartTimestamp"] and not life["Operation"] and not (run_is_open(life) and life["State"] not in ACTIVE))


def life_of(interfaces):
    """The properties, and the status of health under a name of its own."""
    return {**interfaces[CONTAINER], "Health": interfaces[HEALTH]["Status"] if HEALTH in interfaces else None}


def unique(containers):
    return list(dict.fromkeys(containers))


def epoch_of(name):
    """The bus gives unique names in order."""
    return int(name.rsplit(".", 1)[1])


def clock_offset():
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def flat_event(body):
    seq, usec, _, action, _, identity, details = body
    actor = details.get("actor")
    return {**details, "seq": seq, "usec": usec, "action": action, "id": identity, "actor": actor["bus-name"] if actor else ""}
