#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""plot.py BENCH.JSON DIRECTORY [DOCUMENT…]: growth.svg (what stored containers make dearer, and what not) and side-by-side.svg (conbus, floor and podman), drawn by gnuplot into the directory; and the table of all rows, put into the documents between their lines <!-- bench --> and <!-- /bench -->."""

import json
import re
import subprocess
import sys

from bench import show

HEAD = "set terminal svg size 900,520 font 'sans,13' background rgb 'white'\nset output '{}'\nset grid ytics lc rgb '#dddddd'\nset border 3\nset tics nomirror\n"
COLOURS = {"conbus": "#1f77b4", "floor": "#999999", "peer": "#d62728"}
NAMES = {"conbus": "conbus", "floor": "floor (conmon and crun alone)", "peer": "podman"}


def gnuplot(script):
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def growth(rows, path):
    series = {}
    for row in rows:
        found = re.match(r"(.*), (\d+) stored containers$", row["name"])
        if found:
            series.setdefault(found[1], []).append((int(found[2]), row["conbus"]["median"] / 1000))
    if not series:
        return
    blocks = "".join(f"$data{i} << END\n" + "".join(f"{n} {value}\n" for n, value in points) + "END\n" for i, points in enumerate(series.values()))
    plots = ", ".join(f"$data{i} with linespoints lw 2 pt 7 ps 0.6 title '{name}'" for i, name in enumerate(series))
    gnuplot(HEAD.format(path) + blocks + "set logscale xy\nset key top left\nset xlabel 'stored containers'\nset ylabel 'milliseconds (median)'\nplot " + plots + "\n")


def side_by_side(rows, path):
    rows = [row for row in rows if row["unit"] == "us" and ("floor" in row or "peer" in row)]
    if not rows:
        return
    names = [name for name in COLOURS if any(name in row for row in rows)]
    lines = "".join('"{}" {}\n'.format(row["name"].replace(", ", ",\\n").replace(" of ", "\\nof ").replace(" to ", "\\nto "),
                                       " ".join(str(row[name]["median"] / 1000) if name in row else "NaN" for name in names)) for row in rows)
    plots = ", ".join(f"$data using {i + 2}:xtic(1) title '{NAMES[name]}' lc rgb '{COLOURS[name]}'" for i, name in enumerate(names))
    gnuplot(HEAD.format(path) + f"$data << END\n{lines}END\nset style data histogram\nset style histogram clustered gap 1\nset style fill solid 0.9\nset logscale y\nset ylabel 'milliseconds (median)'\n"
            f"set xtics font ',10'\nset key top right\nplot {plots}\n")


def cell(row, name):
    return show(row[name]["median"], row["unit"]) if name in row else "-"


def verdict(row):
    ratio = f"{row['ratios']['floor']:.2f}x" if "floor" in row["ratios"] else ""
    met = {True: "met", False: "not met", None: ""}[row["met"]]
    return ", ".join(word for word in (ratio, met) if word)


def table(found):
    lines = [f"Linux {found['kernel']}, {found['cores']} processors, podman {found['podman']}, `./bootstrap bench{' --quick' if found['quick'] else ''}`; medians, and the ratio to the floor.", "",
             "| row | conbus | floor | podman | goal | |", "| --- | --- | --- | --- | --- | --- |"]
    lines += [f"| {row['name']} | {cell(row, 'conbus')} | {cell(row, 'floor')} | {cell(row, 'peer')} | {row['goal']} | {verdict(row)} |" for row in found["rows"]]
    return "\n".join(lines)


def put(text, path):
    with open(path, encoding="utf-8") as file:
        document = file.read()
    before, mark, rest = document.partition("<!-- bench -->\n")
    _, end, after = rest.partition("<!-- /bench -->\n")
    if not mark or not end:
        sys.exit(f"{path} has no lines <!-- bench --> and <!-- /bench -->")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{mark}{text}\n{end}{after}")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        found = json.load(file)
    growth(found["rows"], f"{sys.argv[2]}/growth.svg")
    side_by_side(found["rows"], f"{sys.argv[2]}/side-by-side.svg")
    for path in sys.argv[3:]:
        put(table(found), path)


if __name__ == "__main__":
    main()
