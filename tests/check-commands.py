#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""client/commands.txt against conbusctl: it takes what the table names, and the table names what it takes. There is no bus here, so whatever is understood fails at the connection."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[1:1] = [str(ROOT / "client")]
import rules  # noqa: E402
from commands import read_commands, words_of  # noqa: E402

COMMANDS = read_commands(ROOT / "client/commands.txt")
# A value for each word that stands for one; alternatives stand for themselves.
VALUES = {"TIME": "5s", "N": "3", "SIGNAL": "TERM", "NAME": "web", "KEYS": "ctrl-a", "DIRECTORY": "/", "NAME=VALUE": "a=b", "KEY=VALUE": "hostname=b", "KEY[=VALUE]": "a=b", "USER[:GROUP]": "0:0", "CURSOR": "1:0", "WHEN": "ready", "CONDITION": "ready"}
POSITIONS = {"NAME": ["web"], "NAME…": ["web", "db"], "NAME|ID": ["web"], "NEW-NAME": ["site"], "COMMAND…": ["true"], "[COMMAND…]": [], "POLICY[:MAX]": ["on-failure:3"], "PATH": ["/io/conbus1/job/1"], "[--]": [], "[OPTION]…": []}
TIMES = {"--since", "--until"}
# Words of the client that are no options of a command; the last ones are conbus-unit's and pkttyagent's.
ELSEWHERE = {"--help", "--", "-it", "-ti", "--stop-post", "--process", "--notify-fd"}


def conbusctl(*words):
    done = subprocess.run([f"{os.environ['CONBUS_BUILD_DIR']}/client/conbusctl", *words], capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent", "ASAN_OPTIONS": "detect_leaks=0"})
    return done.returncode, done.stdout, done.stderr


def positions(command):
    return [word for position in command.arguments.split() for word in POSITIONS.get(position, [position.split("|")[0]])]


def value(command, option, word):
    if option in TIMES and command.name == "logs":
        return "10m"
    return VALUES.get(word, word.split("|")[0])


def understood(*words):
    """A complaint unless nothing but the connection failed."""
    status, _, errors = conbusctl(*words)
    return [] if "connect to the system bus" in errors and "Usage" not in errors and status in (1, 125) else [f"conbusctl {' '.join(words)}: status {status}: {errors.strip()}"]


def every_option_of_the_table_is_taken():
    complaints = []
    for command in COMMANDS:
        complaints += understood(command.name, *positions(command))
        for words, _ in command.options:
            for option, word in words_of(words):
                given = [option, value(command, option, word)] if word else [option]
                complaints += understood(command.name, *given, *positions(command))
                if word and option.startswith("--"):
                    complaints += understood(command.name, "=".join(given), *positions(command))
    return complaints


def every_option_of_the_code_is_in_the_table():
    known = ELSEWHERE | {option for command in COMMANDS for words, _ in command.options for option, _ in words_of(words)}
    return [f"{path.name}: {option} is in no line of commands.txt" for path in sorted((ROOT / "client").glob("*.c")) for option in re.findall(r'"(--?[a-z][a-z-]*)"', path.read_text()) if option not in known]


def no_other_word_is_taken():
    complaints = [f"conbusctl {command.name} --colour is not refused" for command in COMMANDS if command.options and understood(command.name, "--colour", *positions(command)) == []]
    return complaints + ([] if conbusctl("never")[0] == 2 else ["conbusctl never is not refused"])


def help_shows_the_table():
    complaints, whole = [], conbusctl("--help")[1]
    for command in COMMANDS:
        status, text, _ = conbusctl(command.name, "--help")
        if status != 0 or f"  {command.name} {command.arguments}\n      {command.text}\n" not in whole:
            complaints.append(f"{command.name} is not in the help")
        complaints += [f"{command.name} --help lacks {part}" for option in command.options for part in option if part not in text]
    return complaints


if __name__ == "__main__":
    sys.exit(rules.main([every_option_of_the_table_is_taken, every_option_of_the_code_is_in_the_table, no_other_word_is_taken, help_shows_the_table]))
