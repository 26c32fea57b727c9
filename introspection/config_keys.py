#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The keys of the configuration (config-keys.txt) as C tables: config_keys.py config-keys.txt OUT.h OUT.c"""

import sys

USES = {"C": "CREATE", "B": "BUNDLE", "U": "UPDATE"}
FLAGS = {**USES, "R": "ROOT"}


def read_keys(path):
    """Yields (group, name, signature, uses, sentence) for each line of config-keys.txt; group is "" for a key of the configuration itself."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                name, signature, uses, sentence = line.strip().split(" ", 3)
                group, _, name = name.rpartition("/")
                yield group, name, signature, uses, sentence


def write_header(path, groups):
    with open(path, "w", encoding="utf-8") as out:
        out.write("/* Made from introspection/config-keys.txt. */\n#pragma once\n\n")
        out.write("enum {\n")
        for number, use in enumerate(USES.values()):
            out.write(f"        CONFIG_KEY_{use} = 1 << {number}, /* CONFIG_{use} */\n")
        out.write(f"        CONFIG_KEY_ROOT = 1 << {len(USES)}, /* to choose the value is as much as to be root */\n")
        out.write("};\n\ntypedef struct ConfigKey {\n        const char *name, *type;\n        unsigned uses;\n} ConfigKey;\n\n")
        for group in groups:
            out.write(f"extern const ConfigKey {table_name(group)}[]; /* ended by a NULL name */\n")


def write_tables(path, groups):
    with open(path, "w", encoding="utf-8") as out:
        out.write('/* Made from introspection/config-keys.txt. */\n#include "conbus-config-keys.h"\n#include <stddef.h>\n')
        for group, keys in groups.items():
            out.write(f"\nconst ConfigKey {table_name(group)}[] = {{\n")
            for name, signature, uses, sentence in keys:
                flags = " | ".join(f"CONFIG_KEY_{FLAGS[flag]}" for flag in uses)
                out.write(f'        {{ "{name}", "{signature}", {flags} }}, /* {sentence} */\n')
            out.write("        { NULL, NULL, 0 },\n};\n")


def table_name(group):
    return f"conbus_{group or 'config'}_keys"


def main():
    source, header, tables = sys.argv[1:]
    groups = {}
    for group, *key in read_keys(source):
        groups.setdefault(group, []).append(key)
    write_header(header, groups)
    write_tables(tables, groups)


if __name__ == "__main__":
    main()
