#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The named errors (errors.txt) as a C header and table: errors.py errors.txt OUT.h OUT.c"""

import sys


def read_errors(path):
    """Yields (member, D-Bus name, sentence) for each line of errors.txt."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                yield tuple(line.strip().split(" ", 2))


def main():
    source, header, table = sys.argv[1:]
    errors = list(read_errors(source))
    with open(header, "w", encoding="utf-8") as out:
        out.write("/* Made from introspection/errors.txt. */\n#pragma once\n\ntypedef enum ConbusError {\n")
        for member, _, sentence in errors:
            out.write(f"        CONBUS_ERROR_{member}, /* {sentence} */\n")
        out.write("        CONBUS_N_ERRORS,\n} ConbusError;\n\nextern const char *const conbus_error_names[CONBUS_N_ERRORS];\n")
    with open(table, "w", encoding="utf-8") as out:
        out.write('/* Made from introspection/errors.txt. */\n#include "conbus-errors.h"\n\n')
        out.write("const char *const conbus_error_names[CONBUS_N_ERRORS] = {\n")
        for member, name, _ in errors:
            out.write(f'        [CONBUS_ERROR_{member}] = "{name}",\n')
        out.write("};\n")


if __name__ == "__main__":
    main()
