#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""bench.py [--quick] [ROWS…]: conbus beside podman and beside the floor, in one run inside tests/sandbox. Prints a table and writes build/bench.json. Words choose the groups of rows (groups.py)."""

import json
import os
import platform
import statistics
import sys

import costs

UNITS = {"us": ((1e6, "s"), (1e3, "ms"), (1, "us")), "B": ((2**20, "MB"), (2**10, "KB"), (1, "B")), "MB/s": ((1, "MB/s"),), "": ((1, ""),)}


def show(value, unit):
    for size, name in UNITS[unit]:
        if value >= size or size == 1:
            return f"{value / size:.{0 if size == 1 else 1}f} {name}".strip()
    return str(value)


def summary(values):
    return {"min": min(values), "median": statistics.median(values), "max": max(values), "n": len(values)}


def finished(row):
    found = {name: summary(values) for name, values in row.samples.items()}
    medians = {name: one["median"] for name, one in found.items()}
    ratios = {name: round(medians["conbus"] / medians[name], 4) for name in ("floor", "peer") if medians.get(name) and "conbus" in medians}
    met = None
    if row.met:
        try:
            met = bool(row.met(medians))
        except KeyError:
            met = None
    return {"name": row.name, "unit": row.unit, "goal": row.goal, "met": met, **found, "ratios": ratios}


def print_row(row):
    cells = []
    for name in ("conbus", "floor", "peer"):
        one = row.get(name)
        cells.append(f"{show(one['median'], row['unit'])} [{show(one['min'], row['unit'])} … {show(one['max'], row['unit'])}]" if one and one["n"] > 1 else show(one["median"], row["unit"]) if one else "-")
    ratios = " ".join(f"{value:.2f}x {name}" for name, value in row["ratios"].items())
    verdict = {True: "met", False: "NOT MET", None: ""}[row["met"]]
    name = row["name"] if len(row["name"]) <= 48 else f"{row['name']}\n{'':<48}"
    print(f"{name:<48} {cells[0]:<36} {cells[1]:<36} {cells[2]:<36} {ratios:<24} {verdict}", flush=True)


def main():
    if "CONBUS_SANDBOX" not in os.environ:
        source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        if "costs" in sys.argv or not [word for word in sys.argv[1:] if word != "--quick"]:
            costs.count(source)
        os.execv(f"{source}/tests/sandbox", [f"{source}/tests/sandbox", os.path.abspath(__file__), *sys.argv[1:]])
    from contenders import Conbus, Floor, Podman
    from groups import GROUPS
    words = [word for word in sys.argv[1:] if word != "--quick"]
    scale = 1 if "--quick" in sys.argv else 5
    conbus = Conbus()
    floor, podman = Floor(conbus), Podman()
    print(f"conbus beside the floor (the same conmon and crun commands alone) and podman {podman.version}; Linux {platform.release()}, {os.cpu_count()} cores; median [min … max]\n")
    print(f"{'':<48} {'conbus':<36} {'floor':<36} {'podman':<36}")
    results = []
    for group in GROUPS:
        if words and group.__name__ not in words:
            continue
        for row in group(conbus, floor, podman, scale):
            results.append(finished(row))
            print_row(results[-1])
    podman.close()
    with open(os.environ["CONBUS_BUILD_DIR"] + "/bench.json", "w", encoding="utf-8") as file:
        json.dump({"kernel": platform.release(), "cores": os.cpu_count(), "podman": podman.version, "quick": scale == 1, "rows": results}, file, indent=1)


if __name__ == "__main__":
    main()
