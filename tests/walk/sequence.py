# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random sequences: containers with their configurations, and steps. Made from a seed alone; what depends on the moment (the number of a run to wait for) is left to the step.
A batch is what the service has to do with at once: some sequences, each from a seed of its own, with their steps interleaved."""

import json
import random

PAYLOAD = ("sh", "-c", "trap 'exit 0' USR1; trap 'exit 3' USR2; trap 'exit 7' TERM; trap '' HUP; while :; do sleep 100000 & wait; done")
STEPS = {"start": 14, "init": 4, "stop": 8, "restart": 6, "kill": 6, "pause": 3, "resume": 3, "rename": 2, "policy": 3, "remove": 3, "cleanup": 3, "sync": 2,
         "exec": 7, "capture": 1.5, "process": 10, "wait": 22, "end": 12, "conmon": 1.5, "service": 0.3, "vanish": 0.4, "settle": 4, "turn": 8}
HEALTH_STEPS = {"verdict": 14, "check": 12}  # of a container with a health check
SIGNALS = (9, 15, 1, 10, 12)
CONDITIONS = ("stopped", "exited", "running", "initialized", "paused", "created", "removed", "ready", "removing")
HEALTH_CONDITIONS = ("healthy", "unhealthy")


class Batch:
    def __init__(self, seed, n_sequences, n_peers, weights=None, signals=(9, 9, 15)):
        """weights: other ones than those of STEPS; signals: what the service may get."""
        self.seed, self.containers, self.steps = seed, [], []
        lanes = [make_sequence(number, self.containers, n_peers, {**STEPS, **(weights or {})}, signals) for number in range(seed, seed + n_sequences)]
        choose = random.Random(seed)
        while any(lanes):
            lane = choose.choices(lanes, [len(lane) for lane in lanes])[0]
            self.steps.append(lane.pop(0))

    @classmethod
    def of(cls, seed, containers, steps):
        batch = cls.__new__(cls)
        batch.seed, batch.containers, batch.steps = seed, containers, steps
        return batch

    @classmethod
    def from_text(cls, text):
        return cls.of(**json.loads(text))

    def to_text(self):
        return json.dumps(vars(self), separators=(",", ":"))

    def sequences(self):
        return sorted({config["sequence"] for config in self.containers})

    def without_sequences(self, start, count):
        numbers = self.sequences()
        left = numbers[:start] + numbers[start + count :]
        kept = [index for index, config in enumerate(self.containers) if config["sequence"] in left]
        containers = [{**self.containers[index], "depends": [kept.index(other) for other in self.containers[index]["depends"]]} for index in kept]
        return Batch.of(self.seed, containers, [{**step, "container": kept.index(step["container"])} for step in self.steps if step["container"] in kept])

    def without(self, start, count):
        return Batch.of(self.seed, self.containers, self.steps[:start] + self.steps[start + count :])

    def __str__(self):
        return "\n".join([f"container {i}: {config}" for i, config in enumerate(self.containers)] + [" ".join(f"{key}={value}" for key, value in step.items()) for step in self.steps])


def make_sequence(seed, containers, n_peers, weights, signals):
    """Adds its containers to the list, returns its steps."""
    choose, first = random.Random(seed), len(containers)
    for _ in range(choose.choice((1, 1, 1, 2, 3))):
        depends = [other for other in range(first, len(containers)) if choose.random() < 0.6]
        containers.append({"sequence": seed, "depends": depends, **make_config(choose)})
    steps = [make_step(choose, index, containers[index], n_peers, weights, signals) for index in choose.choices(range(first, len(containers)), k=choose.randrange(4, 15))]
    return [step for last in steps for step in [*lead_up(choose, last), last]]


def lead_up(choose, step):
    """What is executed at any moment mostly finds nothing that runs."""
    common = {"container": step["container"], "peer": step["peer"]}
    if step["kind"] in ("exec", "capture") and choose.random() < 0.7:
        return [{"kind": "start", **common}, {"kind": "settle", **common}]
    return [{"kind": "settle", **common}] if step["kind"] == "process" and choose.random() < 0.4 else []


def make_config(choose):
    """brief: the payload ends by itself with this code, under a policy that does not restart it for ever; else it lives until something is done to it."""
    policy, most = choose.choice(("no", "no", "on-failure", "on-failure", "always", "unless-stopped")), choose.choice((0, 1, 2))
    brief = choose.choice((0, 3, 3)) if policy == "on-failure" and most and choose.random() < 0.5 else None
    return {"policy": policy, "max": most, "brief": brief, "restart_sec": choose.choice((1000, 5000, 20000, 100_000)),
            "auto_remove": choose.random() < 0.15, "backoff_max": 40000,
            **with_notify(choose, make_health(choose) if brief is None and choose.random() < 0.25 else None)}


def with_notify(choose, health):
    """notify: only what is checked by itself becomes healthy by itself."""
    return {"health": health, "notify": "healthy" if health and health["interval"] and choose.random() < 0.4 else "started"}


def make_health(choose):
    """interval 0: there is a check only when somebody asks for one."""
    startup = {"successes": choose.choice((1, 2)), "retries": choose.choice((0, 2))} if choose.random() < 0.3 else None
    return {"interval": choose.choice((30_000, 120_000) if startup else (0, 0, 30_000, 120_000)), "retries": choose.choice((1, 2, 3)), "on_failure": choose.choice(("none", "kill", "restart", "stop")), "start_period": choose.choice((0, 0, 0, 3600_000_000)),
            "startup": startup, "sick": choose.random() < 0.3}


def make_step(choose, index, config, n_peers, weights, signals):
    kinds = {**weights, **HEALTH_STEPS} if config["health"] else weights
    kind = choose.choices(list(kinds), list(kinds.values()))[0]
    step = {"kind": kind, "container": index, "peer": choose.randrange(n_peers)}
    if kind in ("start", "init", "restart"):
        step["recursive"] = bool(config["depends"]) and choose.random() < 0.6
    if kind in ("start", "restart") and choose.random() < 0.3:
        step["wait"] = choose.choice(("started", "ready") if config["health"] and not config["health"]["interval"] else ("started", "ready", "healthy", "healthy"))
    if kind in ("stop", "restart", "remove"):
        step["grace"] = choose.choice((None, 0, 10_000, 60_000))
    if kind == "remove":
        step["force"], step["dependents"] = choose.random() < 0.6, choose.random() < 0.4
    if kind == "verdict":
        step["sick"] = choose.random() < 0.6
    if kind == "kill":
        step["signal"], step["whom"] = choose.choice(SIGNALS), choose.choice(("leader", "leader", "all"))
    if kind == "end":
        step["signal"] = choose.choice((9, 10, 12, 12))
    if kind == "service":
        step["signal"], step["pending"] = choose.choice(signals), choose.random() < 0.5
    if kind == "rename":
        step["name"] = f"n{choose.randrange(16)}"
    if kind == "policy":
        step["policy"] = choose.choice(("no", "on-failure", "always", "unless-stopped"))
        step["max"] = choose.choice((0, 2)) if step["policy"] == "on-failure" else 0
    if kind == "cleanup":
        step["only_stopped"] = choose.random() < 0.3
    if kind in ("exec", "capture"):
        make_exec(choose, step)
    if kind == "process":
        make_process_step(choose, step)
    if kind == "wait":
        make_wait(choose, step, CONDITIONS + 2 * HEALTH_CONDITIONS if config["health"] else CONDITIONS)
    if kind == "turn":
        step["count"] = choose.choice((1, 1, 3, 10))
    return step


def make_exec(choose, step):
    if step["kind"] == "capture":
        step["command"] = choose.choice(("true", "false", "sh", "/bin/sh", "sleep", "missing"))
        return
    step["command"] = choose.choice(("true", "sh", "/bin/sh", "/bin/sh", "sleep", "sleep", "sleep", "missing"))
    step["start"] = choose.random() < 0.7
    if choose.random() < 0.3:
        step["auto_remove"] = choose.random() < 0.5


def make_process_step(choose, step):
    """back: which of those that there are, the latest is 0."""
    step["action"] = choose.choice(("start", "start", "wait", "wait", "wait", "stop", "kill", "remove", "end", "end", "conmon"))
    step["back"] = choose.choice((0, 0, 0, 1, 2))
    if step["action"] in ("kill", "end"):
        step["signal"] = choose.choice(SIGNALS)
    if step["action"] == "stop":
        step["grace"] = choose.choice((0, 10_000, 60_000))
    if step["action"] == "remove":
        step["mode"] = choose.choice(("normal", "force"))


def make_wait(choose, step, conditions):
    step["form"] = choose.choice(("Wait", "WaitFor", "WaitFor", "WaitFor", "OpenWait", "WaitAny"))
    key = choose.choice(("", "", "run", "next", "after", "after0", "final", "final", "final-next"))
    if key.startswith("final"):
        step["conditions"] = [choose.choice(("stopped", "exited"))]
    elif key in ("", "run") or choose.random() < 0.5:
        step["conditions"] = choose.sample(conditions, choose.choice((1, 1, 2)))
    else:
        step["conditions"] = choose.sample(("stopped", "exited"), choose.choice((1, 1, 2)))
    if choose.random() < 0.02:
        step["conditions"] = ["healthy"]
    step["key"] = key
    if choose.random() < 0.3:
        step["timeout"] = choose.choice((0, 2000, 20000))
