# SPDX-License-Identifier: LGPL-2.1-or-later
"""A random sequence: containers with their configurations, and steps. Made from a seed alone; what depends on the moment (the number of a run to wait for) is left to the step."""

import random

PAYLOAD = ("sh", "-c", "trap 'exit 0' USR1; trap 'exit 3' USR2; trap 'exit 7' TERM; trap '' HUP; while :; do sleep 100000 & wait; done")
STEPS = {"start": 14, "init": 4, "stop": 8, "restart": 6, "kill": 6, "pause": 3, "resume": 3, "rename": 2, "policy": 3, "remove": 3, "cleanup": 3, "sync": 2,
         "wait": 22, "end": 12, "conmon": 2, "service": 1.2, "vanish": 1, "settle": 5, "turn": 10}
SIGNALS = (9, 15, 1, 10, 12)
CONDITIONS = ("stopped", "exited", "running", "initialized", "paused", "created", "removed", "ready", "removing")


class Sequence:
    def __init__(self, seed, n_peers):
        choose = random.Random(seed)
        self.seed = seed
        self.containers = [make_config(choose) for _ in range(choose.choice((1, 1, 2, 3)))]
        kinds, weights = list(STEPS), list(STEPS.values())
        self.steps = [make_step(choose, kind, len(self.containers), n_peers) for kind in choose.choices(kinds, weights, k=choose.randrange(6, 30))]

    def without(self, start, count):
        other = Sequence.__new__(Sequence)
        other.seed, other.containers, other.steps = self.seed, self.containers, self.steps[:start] + self.steps[start + count :]
        return other

    def __str__(self):
        return "\n".join([f"container {i}: {config}" for i, config in enumerate(self.containers)] + [" ".join(f"{key}={value}" for key, value in step.items()) for step in self.steps])


def make_config(choose):
    return {"policy": choose.choice(("no", "no", "on-failure", "always", "unless-stopped")), "max": choose.choice((0, 1, 3)), "restart_sec": choose.choice((1000, 5000, 20000)),
            "auto_remove": choose.random() < 0.15, "backoff_max": 40000}


def make_step(choose, kind, n_containers, n_peers):
    step = {"kind": kind, "container": choose.randrange(n_containers), "peer": choose.randrange(n_peers)}
    if kind in ("stop", "restart", "remove"):
        step["grace"] = choose.choice((None, 0, 10_000, 60_000))
    if kind == "remove":
        step["force"] = choose.random() < 0.6
    if kind == "kill":
        step["signal"], step["whom"] = choose.choice(SIGNALS), choose.choice(("leader", "leader", "all"))
    if kind == "end":
        step["signal"] = choose.choice((9, 10, 12, 12))
    if kind == "service":
        step["signal"] = choose.choice((9, 9, 15))
    if kind == "rename":
        step["name"] = f"n{choose.randrange(5)}"
    if kind == "policy":
        step["policy"] = choose.choice(("no", "on-failure", "always", "unless-stopped"))
        step["max"] = choose.choice((0, 2)) if step["policy"] == "on-failure" else 0
    if kind == "cleanup":
        step["only_stopped"] = choose.random() < 0.3
    if kind == "wait":
        make_wait(choose, step)
    if kind == "turn":
        step["count"] = choose.choice((1, 1, 3, 10))
    return step


def make_wait(choose, step):
    step["form"] = choose.choice(("Wait", "WaitFor", "WaitFor", "WaitFor", "OpenWait", "WaitAny"))
    key = choose.choice(("", "", "run", "next", "after", "after0", "final"))
    if key in ("", "run"):
        step["conditions"] = choose.sample(CONDITIONS, choose.choice((1, 1, 2)))
    elif key == "final":
        step["conditions"] = [choose.choice(("stopped", "exited"))]
    else:
        step["conditions"] = choose.sample(("stopped", "exited"), choose.choice((1, 1, 2)))
    if choose.random() < 0.02:
        step["conditions"] = ["healthy"]
    step["key"] = key
    if choose.random() < 0.3:
        step["timeout"] = choose.choice((0, 2000, 20000))
