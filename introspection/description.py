# SPDX-License-Identifier: LGPL-2.1-or-later
"""The interfaces as Python objects: members, arguments, flags and the documentation that stands before each in a comment."""

import re
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field

ACCESS = "io.conbus1.Access"
SENSITIVE = "io.conbus1.Sensitive"
CHANGE = "org.freedesktop.DBus.Property.EmitsChangedSignal"


@dataclass
class Argument:
    name: str
    type: str


@dataclass
class Member:
    name: str
    arguments: list = field(default_factory=list)
    results: list = field(default_factory=list)
    type: str = ""
    annotations: dict = field(default_factory=dict)
    text: str = ""
    argument_texts: dict = field(default_factory=dict)


@dataclass
class Interface:
    name: str
    methods: list
    signals: list
    properties: list
    text: str

    @property
    def noun(self):
        return self.name.rsplit(".", 1)[1].lower()


def snake(name):
    """GetContainerByPIDFD -> get_container_by_pidfd"""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def fail(path, message):
    sys.exit(f"{path}: {message}")


def read_comment(text):
    """A documentation comment: its heading, the texts of its arguments, and the rest as paragraphs."""
    lines = [line.strip() for line in text.strip().splitlines()]
    arguments, body, current = {}, [], None
    for line in lines[1:]:
        found = re.match(r"@(\w+): ?(.*)", line)
        if found:
            current = found[1]
            arguments[current] = found[2]
        elif not line:
            current = None
            body.append("")
        elif current:
            arguments[current] += " " + line
        else:
            body.append(line)
    heading, _, first = lines[0].partition(":") if not lines[0].startswith("io.") else (lines[0].rstrip(":"), "", "")
    return heading, arguments, "\n".join([first.strip(), *body]).strip()


def read_member(element):
    member = Member(element.get("name"), type=element.get("type", ""))
    for child in element:
        if child.tag == "arg":
            where = member.results if child.get("direction") == "out" else member.arguments
            where.append(Argument(child.get("name"), child.get("type")))
        elif child.tag == "annotation":
            member.annotations[child.get("name")] = child.get("value")
    return member


def document(path, member, comment):
    if comment is None or comment[0] != member.name:
        fail(path, f"{member.name} has no documentation comment right before it")
    member.argument_texts, member.text = comment[1], comment[2]
    for argument in member.arguments + member.results:
        if argument.name not in member.argument_texts:
            fail(path, f"{member.name}: the argument {argument.name} is not documented")


def read_interface(path):
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    root = ElementTree.parse(path, parser).getroot()
    interface_text, comment = "", None
    for element in root:
        if element.tag is ElementTree.Comment:
            comment = read_comment(element.text)
            continue
        members = {"method": [], "signal": [], "property": []}
        interface_text, comment = comment[2], None
        for child in element:
            if child.tag is ElementTree.Comment:
                comment = read_comment(child.text)
            elif child.tag in members:
                member = read_member(child)
                document(path, member, comment)
                if child.tag == "method" and ACCESS not in member.annotations:
                    fail(path, f"{member.name} does not say who may call it (annotation {ACCESS})")
                members[child.tag].append(member)
                comment = None
        return Interface(element.get("name"), members["method"], members["signal"], members["property"], interface_text)
    return fail(path, "there is no interface in it")
