#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A text file as a C string: embed.py NAME IN OUT.h"""

import json
import sys

name, source, header = sys.argv[1:]
with open(source, encoding="utf-8") as text, open(header, "w", encoding="utf-8") as out:
    out.write(f"static const char {name}[] =\n")
    out.writelines(f"        {json.dumps(line)}\n" for line in text)
    out.write(";\n")
