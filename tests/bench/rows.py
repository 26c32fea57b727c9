# SPDX-License-Identifier: LGPL-2.1-or-later
"""A row of the bench, and what the files that measure share. Each of their functions takes the contenders and a scale (1 for --quick) and returns Rows."""

from dataclasses import dataclass, field


@dataclass
class Row:
    name: str
    unit: str
    goal: str
    samples: dict = field(default_factory=dict)  # contender -> values
    met: object = None  # function of the medians to a truth value

    def add(self, contender, values):
        self.samples.setdefault(contender, []).extend(values)


def at_most_floor(factor):
    return lambda m: m["conbus"] <= factor * m["floor"]


def at_least_floor(factor):
    return lambda m: m["conbus"] >= factor * m["floor"]


def at_most(limit):
    return lambda m: m["conbus"] <= limit


def interleave(contenders, rounds, measure):
    """A B C A B C …: measure(contender) is called for each in turn."""
    for _ in range(rounds):
        for contender in contenders:
            measure(contender)
