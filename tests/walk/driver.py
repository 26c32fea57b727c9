# SPDX-License-Identifier: LGPL-2.1-or-later
"""Performs sequences on the service and, when all is quiet, compares everything that can be read with the model."""

import os
import select
import shutil
import time

import health
from calls import LAUNCHES, Call, Pipe, options
from exec_steps import ExecSteps, kill
from life import ACTIVE, check, decide, run_is_open
from process_calls import ProcessCall
from sequence import PAYLOAD
from waits import Request
from wire import Variant
from world import CONTAINER, HEALTH, MANAGER, MANAGER_PATH, NAME, PROPERTIES, Peer, World, life_of, unique

DEADLINE = 150  # seconds for anything that is waited for
N_PEERS = 4
LURK = 0.1  # seconds
CHUNK = 16  # calls that one client has open at most before the walk waits for some answer


class Driver(ExecSteps, World):
    def __init__(self, fakes, trace):
        self.answered, self.pipes, self.peers, self.names, self.n_sequences, self.n_steps, self.n_executed, self.n_captured = [], [], [], [], 0, 0, 0, 0
        self.mirror, self.n_checked, self.n_open_pipes = {}, 0, 0
        self.base = make_base(f"{os.environ.get('CONBUS_SANDBOX') or os.environ['CONBUS_MACHINE']}/walk-rootfs")
        super().__init__(fakes, trace)
        self.wait(lambda: self.synced, "the service")
        self.known_seq = self.seq
        self.peers = [Peer(self) for _ in range(N_PEERS)]

    # --- turning ---

    def turn(self, timeout=0.2):
        """One look at everything that can be read."""
        sources = [self.observer.socket] + [peer.connection.socket for peer in self.peers] + [pipe.fd for pipe in self.pipes]
        ready = set(select.select(sources, [], [], timeout)[0])
        for peer in self.peers:
            if peer.connection.socket in ready:
                peer.read()
        self.observe()
        for pipe in list(self.pipes):
            if pipe.fd in ready and pipe.read():
                self.pipes.remove(pipe)
                # The line went another way than the signals: they have come when the service has answered something later.
                self.n_open_pipes += 1
                self.mirror[self.observer.send(NAME, MANAGER_PATH, "org.freedesktop.DBus.Peer", "Ping")] = lambda _, pipe=pipe: self.on_pipe_told(pipe)
        self.check_answers()
        return bool(ready)

    def on_pipe_told(self, pipe):
        self.n_open_pipes -= 1
        self.answered.append(pipe)

    def check_answers(self):
        waiting = []
        for answer in self.answered:
            if isinstance(answer, Pipe):
                answer.check()
            elif not answer.check():
                waiting.append(answer)
                continue
            self.n_checked += 1
        self.answered = waiting

    def wait(self, condition, what):
        end = time.monotonic() + DEADLINE
        while not condition():
            self.turn()
            check(time.monotonic() < end, f"no {what() if callable(what) else what} within {DEADLINE} s")

    # --- a batch ---

    def perform(self, batch):
        self.trace(f"batch {batch.seed}")
        while len(self.peers) < N_PEERS:
            self.peers.append(Peer(self))
        present = self.create(batch.containers)
        self.perform_steps(list(batch.steps), present)
        self.settle(present)
        self.compare(present)
        self.remove(present)
        self.n_sequences += len(batch.sequences())

    def perform_steps(self, steps, present):
        """In their order, but a sequence that waits for something lets the others go on."""
        self.resting = {}  # sequence -> time until which it rests, or None: until its calls are answered
        while steps:
            step = next((step for step in steps if not self.is_resting(present[step["container"]].config["sequence"])), None)
            if step is None:
                self.turn(0.002)
                continue
            steps.remove(step)
            self.perform_step(step, present[step["container"]])
            self.n_steps += 1

    def is_resting(self, sequence):
        until = self.resting.get(sequence, 0)
        if until is None:
            self.let_launches_end([call for call in self.open_launches() if call.container.config["sequence"] == sequence])
            return not self.synced or any(call.verb and call.container.config["sequence"] == sequence for peer in self.peers for call in peer.pending.values())
        return time.monotonic() < until

    def perform_step(self, step, container):
        peers = [self.peers[(step["peer"] + i) % len(self.peers)] for i in range(len(self.peers))]
        self.wait(lambda: any(map(has_room, peers)), "answer")
        getattr(self, "do_" + step["kind"])(step, container, next(filter(has_room, peers)))
        self.turn(0)

    def create(self, configs):
        """All that depend on nothing that is not there yet, then those that depend on them."""
        present = [None] * len(configs)
        while None in present:
            ready = [i for i, config in enumerate(configs) if not present[i] and all(present[other] for other in config["depends"])]
            boxes = [self.begin_create(configs[i], [present[other] for other in configs[i]["depends"]]) for i in ready]
            for i, box in zip(ready, boxes, strict=True):
                present[i] = self.containers[self.finish(box)[0]]
        for container in present:
            container.dependencies = [present[other] for other in container.config["depends"]]
            for other in container.dependencies:
                other.dependents.append(container)
        return present

    def begin_create(self, config, dependencies):
        name = f"c{len(self.configs)}"
        self.configs[name] = config
        keys = {"rootfs": Variant("s", os.environ["CONBUS_TEST_ROOTFS"]), "command": Variant("as", PAYLOAD if config["brief"] is None else ("sh", "-c", f"exit {config['brief']}")), "restart-policy": Variant("s", config["policy"]),
                "restart-max": Variant("u", config["max"] if config["policy"] == "on-failure" else 0), "network": Variant("s", "none"),
                **options(restart_sec_usec=config["restart_sec"], auto_remove=config["auto_remove"], stop_timeout_usec=60_000)}
        if config["notify"] != "started":
            keys.update(options(notify=config["notify"]))
        if dependencies:
            keys["depends"] = Variant("as", [other.life["Name"] for other in dependencies])
        if config["health"]:
            # The file must be the one that the driver makes: no overlay above it.
            keys.update(options(rootfs=self.base, rootfs_mode="direct"), health=Variant("a{sv}", health.keys_of(config["health"], name)))
            self.say(name, config["health"]["sick"])
        return self.begin("CreateContainer", "ssa{sv}", name, "", keys)

    def say(self, name, sick):
        path = f"{self.base}{health.FOLDER}/{name}"
        if sick:
            with open(path, "w", encoding="utf-8"):
                pass
        elif os.path.exists(path):
            os.unlink(path)

    def begin(self, member, signature="", *values, path=MANAGER_PATH, interface=MANAGER):
        """A call of the walk's own, answered at once."""
        box = [member]
        serial = self.observer.send(NAME, path, interface, member, signature, *values)
        self.mirror[serial] = box.append
        return box

    def finish(self, box):
        self.wait(lambda: len(box) > 1, f"answer to {box[0]}")
        check(not box[1].error, f"{box[0]} fails: {box[1].body}")
        return box[1].body

    def ask(self, *words, **place):
        return self.finish(self.begin(*words, **place))

    # --- steps ---

    def send(self, peer, container, member, values=(), verb=None, request=None, entries=None, step=None):
        call = Call(peer, container, member, values, verb, request, entries, step)
        self.trace(f"  {call}")
        return call

    def do_start(self, step, container, peer):
        self.launch(step, container, peer, "Start")

    def do_init(self, step, container, peer):
        self.launch(step, container, peer, "Init")

    def launch(self, step, container, peer, verb):
        keys = launch_keys(step)
        if keys:
            self.send(peer, container, verb + "With", (options(**keys),), verb, step=step)
        else:
            self.send(peer, container, verb, (), verb)

    def graceful(self, step, container, peer, verb, **keys):
        if step["grace"] is not None:
            keys["timeout_usec"] = step["grace"]
        name = "RemoveForce" if keys.get("force") else verb
        if keys:
            self.send(peer, container, verb + "With", (options(**keys),), name, step=step)
        else:
            self.send(peer, container, verb, (), name)

    def do_stop(self, step, container, peer):
        self.graceful(step, container, peer, "Stop")

    def do_restart(self, step, container, peer):
        self.graceful(step, container, peer, "Restart", **launch_keys(step))

    def do_remove(self, step, container, peer):
        keys = {key: True for key in ("force", "dependents") if step[key]}
        self.graceful({**step, "grace": step["grace"] if step["force"] else None}, container, peer, "Remove", **keys)

    def do_kill(self, step, container, peer):
        self.send(peer, container, "Kill", (step["whom"], step["signal"]), "Kill")

    def do_pause(self, step, container, peer):
        self.send(peer, container, "Pause", (), "Pause")

    def do_resume(self, step, container, peer):
        self.send(peer, container, "Resume", (), "Resume")

    def do_rename(self, step, container, peer):
        self.names.append((step["name"], container))
        self.send(peer, container, "Rename", (step["name"],), "Rename")

    def do_policy(self, step, container, peer):
        self.send(peer, container, "SetRestartPolicy", (step["policy"], step["max"]), "SetRestartPolicy")

    def do_cleanup(self, step, container, peer):
        self.send(peer, container, "Cleanup", (options(only_stopped=True) if step["only_stopped"] else {},), "CleanupOnlyStopped" if step["only_stopped"] else "Cleanup")

    def do_sync(self, step, container, peer):
        self.send(peer, container, "Sync", (), "Sync")

    def do_wait(self, step, container, peer):
        run, keys, conditions = container.life["Run"], {}, tuple(step["conditions"])
        if step["key"] in ("run", "next", "final-next"):
            keys["run"] = run + (step["key"] != "run")
        elif step["key"] in ("after", "after0"):
            keys["after_run"] = run if step["key"] == "after" else 0
        if step["key"].startswith("final"):
            keys["final"] = True
        if "timeout" in step:
            keys["timeout_usec"] = step["timeout"]
        request = Request(conditions, keys.get("run", 0), keys.get("after_run"), keys.get("final", False), keys.get("timeout_usec"))
        if step["form"] == "Wait":
            self.send(peer, container, "Wait", (), None, Request(("stopped",)))
        elif step["form"] == "WaitAny":
            keys.pop("run", None), keys.pop("after_run", None)
            entries = [(other, request.run if other is container else 0) for other in self.containers.values() if not other.gone or other is container]
            request.after_run = None
            self.send(peer, None, "WaitAny", ([(other.path, number) for other, number in entries], list(conditions), options(**keys)), None, request, entries)
        else:
            self.send(peer, container, step["form"], (list(conditions), options(**keys)), None, request)

    def do_check(self, step, container, peer):
        self.send(peer, container, "Check", (), "Check")

    def do_verdict(self, step, container, peer):
        self.trace(f"  {container.life['Name']} is {'sick' if step['sick'] else 'well'}")
        self.set_verdict(container, step["sick"])

    def set_verdict(self, container, sick):
        self.say(container.token, sick)
        container.verdicts.set(not sick)

    def do_end(self, step, container, peer):
        """The payload ends by itself: its PID 1 is told by the host."""
        pid, signal = container.life["MainPID"], step["signal"]
        if not pid or container.gone:
            return
        container.ends.setdefault(container.life["Run"], set()).update(self.outcomes_of(signal))
        container.disturbed = True
        self.trace(f"  end {container.life['Name']} run {container.life['Run']} with signal {signal}")
        kill(pid, signal)

    def do_conmon(self, step, container, peer):
        pid = container.life["MonitorPID"]
        if not pid or container.gone:
            return
        container.killed_monitors.add(container.life["Run"])
        container.disturbed = True
        self.trace(f"  kill conmon of {container.life['Name']} run {container.life['Run']}")
        kill(pid, 9)

    def do_service(self, step, container, peer):
        """pending: preferably while a restart is planned."""
        end = time.monotonic() + LURK
        while step["pending"] and time.monotonic() < end and not any(other.life["NextRestartTimestamp"] for other in self.containers.values()):
            self.turn(0.002)
        if self.synced and self.pid:
            self.trace(f"  kill the service with {step['signal']}")
            epoch = self.epoch
            self.kill_service(step["signal"])
            self.wait(lambda: self.epoch > epoch, "successor of the service")

    def do_vanish(self, step, container, peer):
        """A client leaves the bus: its waits are dropped, what it asked for may or may not have been done."""
        if len(self.peers) < 2:
            return
        self.trace(f"  {peer.name} vanishes")
        for pipe in [pipe for pipe in self.pipes if pipe.call.sender == peer.name]:
            self.pipes.remove(pipe)
            os.close(pipe.fd)
        self.peers.remove(peer)
        self.leaving.add(peer.name)
        peer.connection.close()

    def do_settle(self, step, container, peer):
        self.resting[container.config["sequence"]] = None

    def do_turn(self, step, container, peer):
        self.resting[container.config["sequence"]] = time.monotonic() + 0.002 * step["count"]

    # --- rest ---

    def is_taken(self, name, container):
        return any(other is not container and (other.life["Name"] == name or (name, other) in self.names) for other in self.containers.values())

    def unsettled(self, present):
        open_calls = [str(call) for peer in self.peers for call in peer.pending.values() if call.verb]
        busy = [f"{container.life['Name']} {container.life['State']} {container.life['Operation']} next={container.life['NextRestartTimestamp']}" for container in present if not self.is_settled(container)]
        return "rest; still open: " + "; ".join(open_calls + busy + [f"{process.name} {process.life['State']}" for process in self.processes_of(present)] + [str(answer.call if isinstance(answer, Pipe) else answer) for answer in self.answered] + ([] if self.synced else ["not synced"]))

    def settle(self, present):
        for container in present:
            config = container.config["health"]
            if config and not container.verdicts.passes and (container.config["notify"] == "healthy" or not health.may_rest_sick(config)):
                self.set_verdict(container, False)

        def quiet():
            self.let_dependents_start(present)
            self.let_launches_end(self.open_launches())
            self.stop_endless(present)
            return self.end_processes(present) and self.synced and not self.leaving and not self.answered and not self.n_open_pipes and not any(call.verb or isinstance(call, ProcessCall) for peer in self.peers for call in peer.pending.values()) and all(self.is_settled(container) for container in present)

        while True:
            self.wait(quiet, lambda: self.unsettled(present))
            seq = self.seq
            for peer in list(self.peers):  # whatever was sent has been received, and told
                serial = peer.connection.send(NAME, MANAGER_PATH, "org.freedesktop.DBus.Peer", "Ping")
                peer.pending[serial] = Ping()
                self.wait(lambda: serial not in peer.pending, "answer to a ping")
            self.ask("Ping", interface="org.freedesktop.DBus.Peer")
            if self.finish_doubtful(present) and quiet() and seq == self.seq:
                break

    def open_launches(self):
        return [call for peer in self.peers for call in peer.pending.values() if call.verb in LAUNCHES]

    def let_launches_end(self, launches):
        """A start that waits for health, its own or that of what it depends on, waits for as long as there is none."""
        for container in unique(other for call in launches for other in [call.container, *call.container.all_dependencies()]):
            if container.gone or not container.config["health"]:
                continue
            if not container.verdicts.passes:
                self.set_verdict(container, False)
            if container.life["State"] == "paused" and not self.is_open(container, "Resume"):
                self.send(self.peers[0], container, "Resume", (), "Resume")

    def let_dependents_start(self, present):
        """A policy that restarts what depends on a paused container tries for ever."""
        for container in present:
            if not container.gone and container.life["State"] == "paused" and any(not other.gone and other.life["NextRestartTimestamp"] for other in container.all_dependents()):
                if not self.is_open(container, "Resume"):
                    self.send(self.peers[0], container, "Resume", (), "Resume")

    def stop_endless(self, present):
        """A payload that ends by itself under a policy that restarts it for ever."""
        for container in present:
            life, code = container.life, container.config["brief"]
            endless = life["RestartPolicy"] in ("always", "unless-stopped") or (life["RestartPolicy"] == "on-failure" and code and not life["RestartMax"])
            if code is not None and endless and not container.gone and life["NextRestartTimestamp"] and not self.is_open(container, "Stop"):
                self.send(self.peers[0], container, "Stop", (), "Stop")

    def finish_doubtful(self, present):
        """A run that was sent a signal it may or may not end of is made to end, so that nothing happens by itself from now on. True when there was none."""
        doubtful = [container for container in present if not container.gone and run_is_open(container.life) and container.outcomes(container.life)]
        for container in doubtful:
            run = container.life["Run"]
            self.send(self.peers[0], container, "StopWith", (options(timeout_usec=0),), "Stop")
            self.wait(lambda container=container, run=run: run in container.finished, "end of a run that was killed")
        return not doubtful

    def compare(self, present):
        objects = self.ask("GetManagedObjects", interface="org.freedesktop.DBus.ObjectManager")[0]
        there = {path for path, interfaces in objects.items() if CONTAINER in interfaces}
        check(there == {container.path for container in self.containers.values() if not container.gone}, "the objects differ from what the signals said")
        for call in [call for peer in self.peers for call in peer.pending.values()] + self.pipes:
            check(not call.is_overdue(), f"{call if isinstance(call, Call) else call.call} should have been answered")
        manager = self.ask("GetAll", "s", MANAGER, path=MANAGER_PATH, interface=PROPERTIES)[0]
        lives = [container.life for container in self.containers.values() if not container.gone]
        check(manager["NContainers"] == len(lives) and manager["NRunning"] == sum(life["State"] == "running" for life in lives) and manager["NUnhealthy"] == sum(life["Health"] == "unhealthy" for life in lives), "the manager counts wrongly")
        check(manager["EventSeq"] == self.seq, "EventSeq is not the last Event's")
        records = [self.begin("ListRuns", "su", container.life["Id"], 0) if container.life["Run"] or container.finished else ["none", None] for container in present]
        answers = [None if container.gone else self.begin("ShouldRestart", path=container.path, interface=CONTAINER) for container in present]
        checks = [self.begin_health(container) if container.config["health"] and not container.gone else None for container in present]
        groups = [None if container.gone or container.life["State"] != "running" else self.begin_processes(container) for container in present]
        for container, box in zip(present, groups, strict=True):
            if box:
                self.compare_processes(container, self.finish(box)[0])
            container.executions.compare(container, [process for process in self.processes.values() if process.container is container])
        for container, box, answer, results in zip(present, records, answers, checks, strict=True):
            self.compare_records(container, self.finish(box)[0] if box[1:] != [None] else [])
            if answer:
                self.compare_container(container, life_of(objects[container.path]), self.finish(answer))
            if results:
                health.compare(container, *[self.finish(box)[0] for box in results])

    def begin_health(self, container):
        """Checks go on meanwhile: the streak must lie between what two logs say."""
        log = ("GetLog", "u", 0)
        return [self.begin(*log, path=container.path, interface=HEALTH), self.begin("Get", "ss", HEALTH, "FailingStreak", path=container.path, interface=PROPERTIES),
                self.begin(*log, path=container.path, interface=HEALTH)]

    def compare_container(self, container, properties, answer):
        life = container.life
        if life["State"] == "removing" != properties["State"]:  # its removal by itself has begun since the answer
            return
        for key, value in life.items():
            check(properties[key] == value, f"{key} is {properties[key]}, the last signal said {value}")
        check(not life["MainPID"] or os.path.exists(f"/proc/{life['MainPID']}"), "PID 1 is gone and nobody noticed")
        check(bool(life["MainPID"]) == (life["State"] in ACTIVE) == run_is_open(life), "State, MainPID and Result contradict one another")
        check(not life["Processes"], "processes are left")
        check(life["Supervised"] == (life["State"] in ACTIVE and life["Run"] not in container.killed_monitors), "Supervised is not true")
        check(not (container.config["auto_remove"] and life["State"] == "exited" and container.finished) or any(not other.gone for other in container.dependents), "auto-remove did not remove it")
        check(answer == decide(life), f"ShouldRestart says {answer}, the model {decide(life)}")

    def compare_records(self, container, records):
        n_runs = max([container.life["Run"], *container.finished])
        check([record["run"] for record in records] == list(range(n_runs, 0, -1)), f"the records are of runs {[record['run'] for record in records]}, there were {n_runs}")
        for record in records:
            run, said = record["run"], (record["exit-code"], record["signal"], record["result"])
            if record["result"] == "":
                check(run == container.life["Run"] and run_is_open(container.life), f"run {run} has no end")
            elif run in container.finished:
                check(container.finished[run] == said, f"the record of run {run} says {said}, RunFinished said {container.finished[run]}")
            else:
                check(container.lossy, f"RunFinished({run}) never came")

    def remove(self, present):
        """Every container goes, and every wait with it."""
        for container in present:
            if not container.gone:
                self.send(self.peers[0], container, "RemoveWith", (options(force=True, timeout_usec=0, dependents=True),), "RemoveForce", step={"dependents": True})
        self.wait(lambda: all(container.gone for container in present), "removal")
        self.wait(lambda: not self.answered and not self.n_open_pipes and not self.pipes and not any(peer.pending for peer in self.peers), lambda: "answer of " + "; ".join(str(call) for peer in self.peers for call in peer.pending.values()))
        for container in present:
            self.n_executed += len(container.executions.begun)
            self.n_captured += container.executions.n_captured
        self.forget_gone()
        self.names.clear()


def launch_keys(step):
    return {key: step[key] for key in ("recursive", "wait") if step.get(key)}


def has_room(peer):
    return sum(1 for call in peer.pending.values() if call.verb) < CHUNK


def make_base(path):
    """A root file system for containers with a health check, whose checks look into health.FOLDER."""
    if not os.path.exists(path):
        shutil.copytree(os.environ["CONBUS_TEST_ROOTFS"], path, symlinks=True)
        os.mkdir(path + health.FOLDER)
    return path


class Ping:
    verb, path, serial, received, epoch = None, None, 0, None, -1

    def answer(self, message, fds, peer):
        pass

    def is_overdue(self):
        return False

    def __str__(self):
        return "Ping"
