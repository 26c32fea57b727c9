# SPDX-License-Identifier: LGPL-2.1-or-later
"""The page of one interface: an outline in the form that the service manager's pages have, then every member with its text, arguments and access, then the errors that the texts name."""

import re

import roff
from description import CHANGE, WHOLE, dictionary

INTERFACES = [f"io.conbus1.{name}" for name in ("Manager", "Container", "Health", "Job", "Process")]
# What the annotation io.conbus1.Access means to a caller; {} is its action.
ACCESS_TEXTS = {
    "open": "everyone.",
    "by-verb": "the right that the verb's own method needs, io.conbus1.update for update.",
    "by-profile": "io.conbus1.create; with the key profile io.conbus1.create-from-profile instead.",
    "attach-or": "io.conbus1.{}; with the option attach io.conbus1.exec instead.",
    "owner-or": "the user who owns the object; others need io.conbus1.{}.",
    "action": "io.conbus1.{}.",
}
CHANGES = {"const": "never changes", "true": "changes are announced", "invalidates": "changes are announced without the value", "false": "changes are not announced"}


def keys(text):
    """What a dictionary holds, as a list where its text is one."""
    lead, found = dictionary(text)
    if not found:
        return roff.fill(roff.inline(text[:1].upper() + text[1:]))
    return roff.fill(roff.inline(f"{lead or 'Keys'}:")) + roff.indented("".join(roff.tagged(f"{roff.bold(names)} ({roff.escape(type_)})", roff.fill(roff.inline(sentence(what))) if what else "\\&\n") for names, type_, what in found))


def sentence(text):
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?")) else ".")


def argument(item, text, direction):
    body = keys(text) if "{sv}" in item.type else roff.fill(roff.inline(text))
    return roff.tagged(f"{roff.italic(item.name)} ({roff.escape(item.type)}{direction})", body)


def access(method):
    if WHOLE in method.annotations:
        return f"everyone; who may do io.conbus1.{method.access.action} is told everything."
    return ACCESS_TEXTS[method.access.kind].format(method.access.action)


def method_body(method):
    lists = "".join(argument(a, method.argument_texts[a.name], ", in") for a in method.arguments)
    lists += "".join(argument(a, method.argument_texts[a.name], ", out") for a in method.results)
    return roff.paragraphs(method.text) + lists + ".PP\n" + roff.fill(roff.inline(f"Access: {access(method)}"))


def signal_body(signal):
    return roff.paragraphs(signal.text) + "".join(argument(a, signal.argument_texts[a.name], "") for a in signal.arguments)


def property_entry(prop):
    return roff.tagged(f"{roff.bold(prop.name)} ({roff.escape(prop.type)}; {CHANGES[prop.annotations.get(CHANGE, 'true')]})", roff.paragraphs(prop.text))


def declaration(name, arguments):
    """Lines of a member in the outline: one for each argument, below one another."""
    if not arguments:
        return [f"      {roff.bold(name)}();"]
    first, rest = f"      {roff.bold(name)}(", " " * (7 + len(name))
    words = [f"{direction}{roff.escape(a.type)} {roff.italic(a.name)}" for direction, a in arguments]
    return [(first if i == 0 else rest) + word + (");" if i == len(words) - 1 else ",") for i, word in enumerate(words)]


def outline(interface):
    lines = [f"node {roff.escape(interface.path)} {{", f"  interface {roff.escape(interface.name)} {{"]
    if interface.methods:
        lines.append("    methods:")
    for method in interface.methods:
        lines += declaration(method.name, [("in  ", a) for a in method.arguments] + [("out ", a) for a in method.results])
    if interface.signals:
        lines.append("    signals:")
    for signal in interface.signals:
        lines += declaration(signal.name, [("", a) for a in signal.arguments])
    if interface.properties:
        lines.append("    properties:")
    lines += [f"      readonly {roff.escape(prop.type)} {roff.bold(prop.name)};" for prop in interface.properties]
    return roff.literal([*lines, "  };", "};"])


def texts(interface):
    yield interface.text
    for member in interface.methods + interface.signals + interface.properties:
        yield member.text
        yield from member.argument_texts.values()


def named_errors(interface, errors):
    """Those that the texts name, in the order of errors.txt. A name that is not there stops the build."""
    named = {name for text in texts(interface) for name in re.findall(r"(?:io\.conbus1|org\.freedesktop\.DBus)\.Error\.[A-Za-z]+", text)}
    unknown = named - {name for _, name, _ in errors}
    if unknown:
        raise SystemExit(f"{interface.name}: {', '.join(sorted(unknown))}: not in errors.txt")
    return [(name, text) for _, name, text in errors if name in named]


def members(title, found, body):
    return (roff.section(title) + "".join(roff.subsection(member.name) + body(member) for member in found)) if found else ""


def page(interface, errors, version):
    others = [name for name in ("io.conbus1", *INTERFACES) if name != interface.name]
    result = roff.head(interface.name, 5, version, "D\\-Bus interfaces of conbus")
    result += roff.section("NAME") + f"{roff.escape(interface.name)} \\- {roff.escape(interface.summary.rstrip('.'))}\n"
    result += roff.section("INTERFACE") + outline(interface)
    result += roff.section("DESCRIPTION") + roff.paragraphs(interface.text)
    result += members("METHODS", interface.methods, method_body) + members("SIGNALS", interface.signals, signal_body)
    result += roff.section("PROPERTIES") + "".join(property_entry(prop) for prop in interface.properties) if interface.properties else ""
    found = named_errors(interface, errors)
    if found:
        result += roff.section("ERRORS") + "".join(roff.tagged(roff.bold(name), roff.fill(roff.inline(text))) for name, text in found)
    return result + roff.section("SEE ALSO") + roff.fill(", ".join(f"{roff.bold(name)}(5)" for name in others) + f", {roff.bold('conbus-container-keys')}(5), {roff.bold('conbusctl')}(1), {roff.bold('busctl')}(1)")
