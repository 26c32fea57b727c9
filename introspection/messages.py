#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The messages for the journal (messages.txt) as a C header, a table and a catalog: messages.py messages.txt OUT.h OUT.c OUT.catalog"""

import re
import sys
import textwrap

PRIORITIES = {"err": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7}


def read_fields(path):
    """(name, text) for each field."""
    with open(path, encoding="utf-8") as lines:
        return [tuple(line.strip().split(" ", 2)[1:]) for line in lines if line.startswith("field ")]


def read_messages(path):
    """(member, id, priority, subject, paragraphs of the explanation) for each message."""
    messages = []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("    "):
                messages[-1][4].append(line.strip())
            elif line.strip() and not line.startswith(("#", "field ")):
                messages.append((*line.strip().split(" ", 3), []))
            elif messages and messages[-1][4] and not line.startswith("#"):
                messages[-1][4].append("")
    return messages


def check(messages):
    """What a typist gets wrong."""
    ids = [identity for _, identity, _, _, _ in messages]
    for member, identity, priority, _, text in messages:
        if not re.fullmatch("[0-9a-f]{32}", identity) or ids.count(identity) > 1:
            sys.exit(f"messages.txt: {member}: {identity} is no id of 32 digits, or stands there twice")
        if priority not in PRIORITIES or not any(text):
            sys.exit(f"messages.txt: {member}: \"{priority}\" is no priority, or there is no explanation")


def write_header(messages, out):
    out.write("/* Made from introspection/messages.txt. */\n#pragma once\n\ntypedef enum ConbusMessage {\n")
    for member, _, _, subject, _ in messages:
        out.write(f"        CONBUS_MESSAGE_{member}, /* {subject} */\n")
    out.write("        CONBUS_N_MESSAGES,\n} ConbusMessage;\n\ntypedef struct ConbusMessageKind {\n        const char *id;\n        int priority;\n} ConbusMessageKind;\n")
    out.write("extern const ConbusMessageKind conbus_messages[CONBUS_N_MESSAGES];\n")


def write_table(messages, out):
    out.write('/* Made from introspection/messages.txt. */\n#include "conbus-messages.h"\n\nconst ConbusMessageKind conbus_messages[CONBUS_N_MESSAGES] = {\n')
    for member, identity, priority, _, _ in messages:
        out.write(f'        [CONBUS_MESSAGE_{member}] = {{"{identity}", {PRIORITIES[priority]}}},\n')
    out.write("};\n")


def fill(paragraph):
    """Lines of a width that is right when the fields are put in, most of which are short."""
    fields = re.findall("@[A-Z_]+@", paragraph)
    for number, field in enumerate(fields):
        paragraph = paragraph.replace(field, chr(0xe000 + number) * 4, 1)
    text = textwrap.fill(paragraph, 76, break_long_words=False, break_on_hyphens=False)
    for number, field in enumerate(fields):
        text = text.replace(chr(0xe000 + number) * 4, field)
    return text


def write_catalog(messages, out):
    out.write("# Made from introspection/messages.txt.\n")
    for _, identity, _, subject, text in messages:
        out.write(f"\n-- {identity}\nSubject: {subject}\nDefined-By: conbus\nDocumentation: man:conbusd(8)\n\n")
        for paragraph in "\n".join(text).strip().split("\n"):
            out.write(fill(paragraph) + "\n")


def main():
    source, header, table, catalog = sys.argv[1:]
    messages = read_messages(source)
    check(messages)
    for path, write in ((header, write_header), (table, write_table), (catalog, write_catalog)):
        with open(path, "w", encoding="utf-8") as out:
            write(messages, out)


if __name__ == "__main__":
    main()
