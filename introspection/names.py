#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The names of conbus on the bus as C constants, for clients: names.py DIRECTORY OUT

DIRECTORY holds the interfaces, errors.txt and config-keys.txt. Two things that would get one constant stop the build."""

import re
import sys

from config_keys import read_keys
from description import dictionary, read_interface, signature, snake
from errors import read_errors

INTERFACES = ["Manager", "Container", "Health", "Job", "Process"]
PATHS = [
    ("CONBUS_BUS_NAME", "io.conbus1", ""),
    ("CONBUS_MANAGER_PATH", "/io/conbus1", "the manager, and org.freedesktop.DBus.ObjectManager"),
    ("CONBUS_CONTAINER_PATHS", "/io/conbus1/container", "below it ID, and below that process/NUMBER"),
    ("CONBUS_JOB_PATHS", "/io/conbus1/job", "below it NUMBER, or SENDER/TOKEN"),
    ("CONBUS_ALIAS_PATHS", "/container", "below it NAME as sd_bus_path_encode(3) has it, or self"),
]


def words(prop):
    """The words that a property can be, which its text has in quotation marks."""
    return re.findall(r'"([a-z]+(?:-[a-z]+)*)"', prop.text) if prop.type == "s" else []


def constant(*parts):
    return "_".join(["CONBUS", *(snake(part).replace("-", "_").upper() for part in parts)])


def interface_names(interface):
    noun = interface.noun
    yield constant(noun, "Interface"), interface.name, ""
    for method in interface.methods:
        yield constant(noun, method.name), method.name, f"({signature(method.arguments)}) -> ({signature(method.results)})"
    for signal in interface.signals:
        yield constant(noun, signal.name), signal.name, f"signal ({signature(signal.arguments)})"
    for prop in interface.properties:
        yield constant(noun, prop.name), prop.name, f"property {prop.type}"
        for word in words(prop):
            yield constant(noun, prop.name, word), word, ""


def dictionary_names(interfaces):
    """The keys of dictionaries: of what calls take, and of what they and signals return."""
    options, fields = {}, {}
    for interface in interfaces:
        for member in interface.methods + interface.signals:
            found = [(options, argument) for argument in member.arguments if member in interface.methods]
            found += [(fields, argument) for argument in member.results + (member.arguments if member in interface.signals else [])]
            for names, argument in found:
                for keys, type_, _ in (dictionary(member.argument_texts[argument.name])[1] or []) if argument.type == "a{sv}" else []:
                    for key in re.split(", | and ", keys):
                        names.setdefault(key, {})[type_] = None
    yield "Keys of options.", [(constant("option", key), key, " or ".join(options[key])) for key in sorted(options)]
    yield "Keys of results, records and details.", [(constant("field", key), key, " or ".join(fields[key])) for key in sorted(fields)]


def sections(directory):
    """Yields (heading, [(constant, value, comment)])."""
    yield "The bus name and object paths.", PATHS
    interfaces = [read_interface(f"{directory}/io.conbus1.{name}.xml") for name in INTERFACES]
    for interface in interfaces:
        yield f"{interface.name}(5). {interface.summary}", list(interface_names(interface))
    yield from dictionary_names(interfaces)
    yield "Errors, see io.conbus1(5).", [(f"CONBUS_BUS_ERROR_{member}", name, "") for member, name, _ in read_errors(f"{directory}/errors.txt")]
    keys = [(constant(*([group] if group else []), "key", name), name, type_) for group, name, type_, _, _ in read_keys(f"{directory}/config-keys.txt")]
    yield "Keys of a configuration, see conbus-container-keys(5).", keys


def main():
    directory, path = sys.argv[1:]
    seen = {}
    with open(path, "w", encoding="utf-8") as out:
        out.write("/* SPDX-License-Identifier: LGPL-2.1-or-later */\n/* What has a name on the bus, for clients of conbus. Made from its interface files. */\n#ifndef CONBUS_NAMES_H\n#define CONBUS_NAMES_H\n")
        for heading, names in sections(directory):
            out.write(f"\n/* {heading} */\n")
            for name, value, comment in names:
                if seen.setdefault(name, value) != value:
                    sys.exit(f'{name} would be "{seen[name]}" and "{value}"')
                out.write(f'#define {name} "{value}"' + (f" /* {comment} */" if comment else "") + "\n")
        out.write("\n#endif\n")


if __name__ == "__main__":
    main()
