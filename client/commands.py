#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""commands.txt as Python objects and as the table of conbusctl: commands.py commands.txt OUT"""

import sys
from dataclasses import dataclass, field


@dataclass
class Command:
    name: str
    arguments: str
    text: str = ""
    details: str = ""  # for the manual page
    options: list = field(default_factory=list)  # (words, text): ("-t, --timeout TIME", "of the stop")

    @property
    def is_verb(self):
        return self.arguments.endswith(" NAME…")


def read_commands(path):
    groups, found, current = {}, [], None
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("#") or not line.strip():
                continue
            word = line.strip()
            if line.startswith("@"):
                current = groups[word[1:]] = Command(word, "", "options of several commands")
            elif not line.startswith(" "):
                current = Command(*word.split(" ", 1))
                found.append(current)
            elif not current.text:
                current.text = word
            elif word.startswith("@"):
                current.options += groups[word[1:]].options
            elif word.startswith("-"):
                words, _, text = word.partition("  ")
                current.options.append((words, text))
            else:
                current.details += f"{word} "
    return found


def words_of(words):
    """"-t, --timeout TIME" as [("-t", "TIME"), ("--timeout", "TIME")]: a short word has the value of the long one after it."""
    found = [(part.split(" ", 1) + [""])[:2] for part in words.split(", ")]
    return [(word, found[i + 1][1] if len(word) == 2 and i + 1 < len(found) else value) for i, (word, value) in enumerate(found)]


def quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def write_table(found, out):
    out.write("/* Made from client/commands.txt. */\n#pragma once\n\n#include \"commands.h\"\n#include <stddef.h>\n\n"
              "static const struct Command {\n        const char *name, *arguments, *text, *options; /* options: a line each, or \"\" */\n        int (*run)(char **words); /* NULL: a verb */\n} commands[] = {\n")
    for command in found:
        options = "".join(f"\n         {quote('  '.join(filter(None, option)))[:-1]}\\n\"" for option in command.options) or ' ""'
        run = "NULL" if command.is_verb else f"command_{command.name.replace('-', '_')}"
        out.write(f"        {{{quote(command.name)}, {quote(command.arguments)}, {quote(command.text)},{options}, {run}}},\n")
    out.write("};\n")


def main():
    source, path = sys.argv[1:]
    with open(path, "w", encoding="utf-8") as out:
        write_table(list(read_commands(source)), out)


if __name__ == "__main__":
    main()
