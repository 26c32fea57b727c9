# SPDX-License-Identifier: LGPL-2.1-or-later
"""The interfaces as Python objects: members, arguments, flags and the documentation that stands before each in a comment."""

import re
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field

ACCESS = "io.conbus1.Access"
WHOLE = "io.conbus1.Access.Whole"
SENSITIVE = "io.conbus1.Sensitive"
CHANGE = "org.freedesktop.DBus.Property.EmitsChangedSignal"

# One entry of the text of a dictionary: its keys, their type, what they are.
ITEM = re.compile(r"(?P<names>[a-z][a-z-]*(?:(?:, | and )[a-z][a-z-]*)*) \((?P<type>\([a-z]+\)|[a-z]+(?:\{[a-z]+\})?|a\([a-z]+\))(?P<text>[,:] .*)?\)$", re.S)


@dataclass
class Argument:
    name: str
    type: str


@dataclass
class Access:
    """Who may call a method: kind is a word of ACCESS_KINDS, action the last part of a polkit action or "", position that of the argument that decides."""

    kind: str
    action: str = ""
    position: int = 0


@dataclass
class Member:
    name: str
    arguments: list = field(default_factory=list)
    results: list = field(default_factory=list)
    type: str = ""
    annotations: dict = field(default_factory=dict)
    access: Access = None
    text: str = ""
    argument_texts: dict = field(default_factory=dict)

    @property
    def verb(self):
        """The word for a method, as Queue, Can and the details of polkit have it: Stop and StopWith are "stop"."""
        return kebab(self.name.removesuffix("With"))


@dataclass
class Interface:
    name: str
    methods: list
    signals: list
    properties: list
    text: str
    path: str = ""
    summary: str = ""  # a line

    @property
    def noun(self):
        return self.name.rsplit(".", 1)[1].lower()


# The values of the annotation io.conbus1.Access, beside the last part of a polkit action: kind, argument that it needs, what it is for.
ACCESS_KINDS = {
    "open": (None, "everyone; with the annotation io.conbus1.Access.Whole, which names an action, only who may do that is told everything"),
    "by-verb": (("verb", "s"), "the action of the method of io.conbus1.Container that the argument verb names"),
    "by-profile": (("config", "a{sv}"), "create, or create-from-profile when the argument config has the key profile"),
    "attach-or": (("options", "a{sv}"), "attach-or:ACTION: exec when the argument options has the key attach, else the action"),
    "owner-or": (None, "owner-or:ACTION: free for the owner of the object, others need the action"),
    "action": (None, "an action"),
}


def snake(name):
    """GetContainerByPIDFD -> get_container_by_pidfd"""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def signature(arguments):
    return "".join(a.type for a in arguments)


def split(text):
    """The parts of a text between commas that stand outside of brackets and quotation marks."""
    parts, depth, quoted, last = [], 0, False, 0
    for i, letter in enumerate(text):
        quoted ^= letter == '"'
        depth += 0 if quoted else (letter in "({[") - (letter in ")}]")
        if letter in ",;" and depth == 0 and not quoted and text[i + 1:i + 2] == " ":
            parts.append(text[last:i])
            last = i + 2
    return [*parts, text[last:]]


def items(text):
    """A text of the form `key (type, what it is), key (type), …` as [(keys, type, what it is)]; None for any other text. Keys without a type of their own belong to the next ones."""
    found, waiting = [], ""
    for part in split(text.rstrip(".")):
        part = re.sub(r"^and ", "", part.strip())
        match = ITEM.match(waiting + part)
        if match:
            found.append((match["names"], match["type"], (match["text"] or "")[2:]))
            waiting = ""
        elif re.fullmatch(r"[a-z][a-z-]*", part):
            waiting += part + ", "
        else:
            return None
    return found if len(found) > 1 and not waiting else None


def dictionary(text):
    """The text of a dictionary as (lead, items): the words before a colon, if there are any, and the list; ("", None) for prose."""
    found = items(text)
    if found:
        return "", found
    lead, _, rest = text.partition(": ")
    found = items(rest)
    return (lead, found) if found else ("", None)


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


def kebab(name):
    """RunContainer -> run-container"""
    return snake(name).replace("_", "-")


def read_access(path, method):
    value = method.annotations.get(ACCESS)
    if not value:
        fail(path, f"{method.name} does not say who may call it (annotation {ACCESS})")
    kind, _, action = value.partition(":")
    if kind not in ACCESS_KINDS:
        kind, action = "action", value
    if (kind in ("action", "attach-or", "owner-or")) != bool(re.fullmatch(r"[a-z]+(-[a-z]+)*", action)) or (WHOLE in method.annotations and kind != "open"):
        fail(path, f"{method.name}: {value} is no value of {ACCESS}")
    wanted = ACCESS_KINDS[kind][0]
    places = [i for i, argument in enumerate(method.arguments) if (argument.name, argument.type) == wanted]
    if wanted and not places:
        fail(path, f"{method.name}: {value} needs an argument {wanted[0]} of the type {wanted[1]}")
    return Access(kind, method.annotations.get(WHOLE, action), places[0] if places else 0)


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
    comment = None
    for element in root:
        if element.tag is ElementTree.Comment:
            comment = read_comment(element.text)
            continue
        members = {"method": [], "signal": [], "property": []}
        (_, words, interface_text), comment = comment, None
        for child in element:
            if child.tag is ElementTree.Comment:
                comment = read_comment(child.text)
            elif child.tag in members:
                member = read_member(child)
                document(path, member, comment)
                if child.tag == "method":
                    member.access = read_access(path, member)
                members[child.tag].append(member)
                comment = None
        return Interface(element.get("name"), members["method"], members["signal"], members["property"], interface_text, root.get("name"), words.get("short_description", ""))
    return fail(path, "there is no interface in it")
