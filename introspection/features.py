#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The words of the property Features (features.txt) as a C array: features.py features.txt OUT.h"""

import sys


def read_features(path):
    """Yields (word, sentence) for each line of features.txt."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                yield tuple(line.strip().split(" ", 1))


def main():
    source, header = sys.argv[1:]
    with open(header, "w", encoding="utf-8") as out:
        out.write("/* Made from introspection/features.txt. */\n#pragma once\n\n#include <stddef.h>\n\nstatic const char *const conbus_features[] = {\n")
        for word, sentence in read_features(source):
            out.write(f'        "{word}", /* {sentence} */\n')
        out.write("        NULL,\n};\n")


if __name__ == "__main__":
    main()
