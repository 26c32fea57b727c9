#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The completion of conbusctl for bash, from commands.txt, the states of a container and the keys of its configuration: completion.py completion.bash.in commands.txt INTROSPECTION OUT"""

import re
import sys

from commands import read_commands, words_of

SIGNALS = "HUP INT QUIT KILL USR1 USR2 TERM CONT STOP WINCH"  # by name, as client/verbs.c knows them


def kinds(introspection):
    """What a word that stands for a value can be: words, or <directory> and so on."""
    sys.path.insert(1, introspection)
    from config_keys import read_keys
    from description import read_interface
    from names import words

    state = next(prop for prop in read_interface(f"{introspection}/io.conbus1.Container.xml").properties if prop.name == "State")
    keys = " ".join(f"{name}=" for group, name, *_ in read_keys(f"{introspection}/config-keys.txt") if not group)
    return {"DIRECTORY": "<directory>", "SIGNAL": SIGNALS, "CONDITION": " ".join([*words(state), "ready", "healthy", "unhealthy", "removed"]), "WHEN": "started ready healthy", "KEY=VALUE": keys, "FILE": "<file>"}


def value(word, known):
    """The alternatives of none|FILE, of which only lower-case words stand for themselves."""
    parts = [known.get(part, part if re.fullmatch("[a-z-]+", part) else "") for part in ([word] if word in known else word.split("|"))]
    return " ".join(filter(None, parts)) or "<any>"


def place(word):
    """NAME and NAME… are containers; POLICY[:MAX] and the like nobody can guess."""
    parts = [part for part in word.split("|") if part in ("NAME", "NAME…") or re.fullmatch("[a-z-]+", part)]
    return "|".join(parts) or "<any>"


def tables(found, known):
    options, places, values = [], [], []
    for command in found:
        pairs = [pair for words, _ in command.options for pair in words_of(words)]
        options.append((command.name, " ".join(option for option, _ in pairs)))
        places.append((command.name, " ".join(place(word) for word in re.sub(r"\[OPTION\]…|\[--\]", "", command.arguments).split())))
        values += [(f"{command.name} {option}", "<any>" if option == "--label" else value(word, known)) for option, word in pairs if word]
    return {"options": options, "places": places, "values": values}


def main():
    frame, source, introspection, path = sys.argv[1:]
    with open(frame, encoding="utf-8") as file:
        text = file.read()
    for name, lines in tables(read_commands(source), kinds(introspection)).items():
        text = text.replace(f"@{name}@", "\n".join(f'        ["{key}"]="{words}"' for key, words in lines))
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)


if __name__ == "__main__":
    main()
