# SPDX-License-Identifier: LGPL-2.1-or-later
"""The examples of README.md: what is typed there, word for word, and what it must show. … stands for anything; ids, times and process ids are other ones each time, and an id that has been shown is meant by it from then on."""

import os
import re
import subprocess

from harness import wait_for

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Commands that only look: what they show may come a moment later than the answer before.
LOOKS = re.compile(r"systemctl status|systemd-cgls|journalctl|conbusctl (ps|logs)|busctl get-property")
# What differs from run to run, where it stands in an answer: what the README has, and what else may be there.
VARIABLE = [
    (r"[0-9a-f]{64}", "[0-9a-f]{64}"),
    (r"\b[0-9a-f]{12}\b", "[0-9a-f]{12}"),
    (r"\b1[0-9]{15}\b", "[0-9]{16}"),
    (r"\d{4}-\d\d-\d\dT[\d:]+\\\.\d+Z", r"\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z"),
    (r"(?<=u )\d{3}\b", r"\\d+"),
    (r"(?<=process/\d\" )\d+", r"\\d+"),
    (r"(?<=user )\d+", r"\\d+"),
    (r"(?<=process )\d+", r"\\d+"),
    (r"(?<=─)\d+(?= )", r"\\d+"),
    (r"(?<=-c )[0-9a-f]{24}", "[0-9a-f]{24}"),
    (r"(?<=\()/lib/systemd", "(?:/usr)?/lib/systemd"),
    ("^Control group", "(?:Control group|CGroup)"),
    (r"\w{3} \d{4}-\d\d-\d\d [\d:]{8} UTC; [\w .]+ ago", r"\\w{3} .* ago"),
]


def read(title):
    """Blocks of one section, without their indentation."""
    with open(f"{SOURCE}/README.md", encoding="utf-8") as file:
        section = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", file.read(), flags=re.M | re.S)
    return ["\n".join(line[4:] for line in block.rstrip("\n").split("\n")) for block in re.findall(r"(?:^    .*\n)+", section[1], flags=re.M)]


def steps(block):
    """(prompt, command, answer) for each command of a block; none for a block without prompts."""
    found = []
    for line in block.split("\n"):
        if line[:2] in ("# ", "$ "):
            found.append([line[0], line[2:], []])
        elif found:
            found[-1][2].append(line)
    return [(prompt, command, "\n".join(answer)) for prompt, command, answer in found]


def pattern(answer):
    """A regular expression for an answer."""
    lines = []
    for line in answer.split("\n"):
        found = re.sub(r"\\([-:;\"#─/ ])", r"\1", re.escape(line))
        for shown, meant in VARIABLE:
            found = re.sub(shown, meant, found)
        lines.append("(?:.*\n)*?" if line.strip() == "…" else re.sub(r" {2,}", " +", found.replace(" …", "(?: .*)?").replace("…", ".*")).rstrip() + " *\n")
    return "".join(lines)


class Reader:
    """Somebody who types one example after the other. users: by prompt the words that run a shell for them."""

    def __init__(self, users):
        self.users, self.ids = users, {}

    def follow(self, title):
        for block in read(title):
            for prompt, command, answer in steps(block):
                self.type(prompt, command, answer)

    def type(self, prompt, command, answer):
        for shown, real in self.ids.items():
            command = command.replace(shown, real)
        said = self.run(prompt, command)
        if LOOKS.match(command) and not re.fullmatch(pattern(answer), said):
            wait_for(lambda: re.fullmatch(pattern(answer), self.run(prompt, command)), f"{command}\nThe README shows:\n{answer}\nand it was:\n{said}", poll=True)
        elif not LOOKS.match(command):
            assert re.fullmatch(pattern(answer), said), f"{command}\nThe README shows:\n{answer}\nand it is:\n{said}"
        for shown, real in zip(re.findall(r"[0-9a-f]{64}", answer), re.findall(r"[0-9a-f]{64}", said)):
            self.ids[shown] = real

    def run(self, prompt, command):
        environment = {**os.environ, "SYSTEMD_PAGER": "", "COLUMNS": "200", "LC_ALL": "C.UTF-8"}
        done = subprocess.run([*self.users[prompt], command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", timeout=120, check=False, env=environment)
        return done.stdout.rstrip("\n") + "\n"
