#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""From the XML of one interface to C: generate.py header|source XML OUT

For an interface io.conbus1.Noun:
  handlers   bool noun_object_method(Call *call, [Container *container,] arguments…, GError **error)   to be written by hand; a missing one fails to link
  getters    int noun_property_name(Bus *bus, [Container *container,] sd_bus_message *reply)    likewise
  answers    void noun_reply_method(Call *call, results…)
  signals    int noun_emit_signal(Bus *bus, const char *path, arguments…)
  the vtable const sd_bus_vtable noun_vtable[], and const CallMember noun_members[]: who may call what
Arguments are borrowed for the call of the handler; compound ones are GVariants (results and signals take a floating one).
"""

import sys

from description import CHANGE, SENSITIVE, read_interface, signature, snake

# D-Bus type: C type, GVariant format
TYPES = {
    "s": ("const char *", "&s"), "o": ("const char *", "&o"), "b": ("bool ", "b"), "y": ("guint8 ", "y"), "i": ("gint32 ", "i"), "u": ("guint32 ", "u"),
    "x": ("gint64 ", "x"), "t": ("guint64 ", "t"), "d": ("double ", "d"), "q": ("guint16 ", "q"), "h": ("int ", "h"), "as": ("const char *const *", "^a&s"),
}
OBJECTS = {"container": "Container *container", "health": "Container *container", "manager": None, "job": "Job *job", "process": "Session *session"}
# What the gate is told of an object: functions void (const void *object, Target *ret), in bus/target.c or beside the handlers.
TARGETS = {"container": "target_of_container", "health": "target_of_container", "manager": "NULL", "job": "target_of_job", "process": "target_of_session"}


def c_type(type_):
    return TYPES.get(type_, ("GVariant *", ""))[0]


def parameters(arguments):
    return "".join(f", {c_type(a.type)}{a.name}" for a in arguments)


def object_parameter(noun):
    return f", {OBJECTS[noun]}" if OBJECTS[noun] else ""


def handler(noun, method):
    return f"bool {noun}_object_{snake(method.name)}(Call *call{object_parameter(noun)}{parameters(method.arguments)}, GError **error)"


def getter(noun, prop):
    return f"int {noun}_property_{snake(prop.name)}(Bus *bus{object_parameter(noun)}, sd_bus_message *reply)"


def reply(noun, method):
    return f"void {noun}_reply_{snake(method.name)}(Call *call{parameters(method.results)})"


def emit(noun, signal):
    return f"int {noun}_emit_{snake(signal.name)}(Bus *bus, const char *path{parameters(signal.arguments)})"


def write_header(interface, out):
    noun = interface.noun
    out.write(f"/* Made from {interface.name}.xml. */\n#pragma once\n\n#include \"bus/dispatch.h\"\n\n")
    out.write(f'#define {noun.upper()}_INTERFACE "{interface.name}"\nextern const sd_bus_vtable {noun}_vtable[];\n')
    out.write(f"extern const CallMember {noun}_members[]; /* ended by a NULL name */\n\n")
    for method in interface.methods:
        out.write(f"{handler(noun, method)};\n{reply(noun, method)};\n")
    for prop in interface.properties:
        out.write(f"{getter(noun, prop)};\n")
    for signal in interface.signals:
        out.write(f"{emit(noun, signal)};\n")
    if noun == "container":
        out.write("\ntypedef struct ContainerProperty {\n        const char *name;\n        int (*get)(Bus *bus, Container *container, sd_bus_message *reply);\n} ContainerProperty;\n"
                  "extern const ContainerProperty container_properties[]; /* ended by a NULL name */\n")


def pack(arguments):
    """Arguments of g_variant_new with its format string. Handles become sd-bus's own way and are not packed."""
    formats, values = "", ""
    for a in arguments:
        if a.type == "as":
            formats += "^as"
        elif a.type in TYPES:
            formats += a.type
        else:
            formats += f"@{a.type}"
        values += f", (gboolean) {a.name}" if a.type == "b" else f", {a.name}"
    return formats, values


def write_invoke(noun, method, out):
    """Decodes the tuple of arguments and calls the handler."""
    cast = f", object" if OBJECTS[noun] else ""
    out.write(f"static bool invoke_{snake(method.name)}(Call *call, void *object, GVariant *arguments, GError **error) {{\n")
    names, formats, places = "", "", ""
    for a in method.arguments:
        if a.type == "as":
            out.write(f"        g_autofree const char **{a.name} = NULL;\n")
            names += f", (const char *const *) {a.name}"
        elif a.type in TYPES:
            kind = {"b": "gboolean ", "h": "gint32 "}.get(a.type, c_type(a.type))
            out.write(f"        {kind}{a.name}{' = NULL' if '*' in kind else ' = 0'};\n")
            names += f", call_fd(call, {a.name})" if a.type == "h" else f", {a.name}"
        else:
            out.write(f"        g_autoptr(GVariant) {a.name} = NULL;\n")
            names += f", {a.name}"
        formats += TYPES[a.type][1] if a.type in TYPES else f"@{a.type}"
        places += f", &{a.name}"
    if method.arguments:
        out.write(f'\n        g_variant_get(arguments, "({formats})"{places});\n')
    out.write(f"        return {noun}_object_{snake(method.name)}(call{cast}{names}, error);\n}}\n\n")


def write_members(interface, out):
    noun = interface.noun
    out.write(f"const CallMember {noun}_members[] = {{\n")
    for method in interface.methods:
        access = method.access
        action = f'"{access.action}"' if access.action else "NULL"
        out.write(f'        {{"{interface.name}", "{method.name}", "{method.verb}", "{signature(method.arguments)}", ACCESS_{snake(access.kind).upper().replace("-", "_")}, {action}, {access.position}, '
                  f"{TARGETS[noun]}, invoke_{snake(method.name)}}},\n")
    out.write("        {NULL},\n};\n\n")


def write_method(interface, method, out):
    noun, name = interface.noun, snake(method.name)
    out.write(f"static int on_{name}(sd_bus_message *message, void *object, sd_bus_error *error) {{\n"
              f"        return call_dispatch(message, object, &{noun}_members[{interface.methods.index(method)}]);\n}}\n\n")
    out.write(f"{reply(noun, method)} {{\n")
    if any(a.type == "h" for a in method.results):
        out.write(f'        call_reply(call, "{signature(method.results)}"{"".join(", " + a.name for a in method.results)});\n')
    else:
        formats, values = pack(method.results)
        out.write(f'        call_reply_variant(call, g_variant_new("({formats})"{values}));\n')
    out.write("}\n\n")


def write_property(noun, prop, out):
    cast = ", object" if OBJECTS[noun] else ""
    out.write(f"static int get_{snake(prop.name)}(sd_bus *connection, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *object, sd_bus_error *error) {{\n"
              f"        return {noun}_property_{snake(prop.name)}(bus_get(){cast}, reply);\n}}\n\n")


def write_signal(interface, signal, out):
    formats, values = pack(signal.arguments)
    out.write(f"{emit(interface.noun, signal)} {{\n"
              f'        return bus_emit(bus, path, "{interface.name}", "{signal.name}", g_variant_new("({formats})"{values}));\n}}\n\n')


def names_of(macro, arguments):
    return f"{macro}({', '.join(f'{chr(34)}{a.type}{chr(34)}, {a.name}' for a in arguments)})" if arguments else ("SD_BUS_NO_ARGS" if macro == "SD_BUS_ARGS" else "SD_BUS_NO_RESULT")


def write_vtable(interface, out):
    flags = {"const": "SD_BUS_VTABLE_PROPERTY_CONST", "true": "SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE", "invalidates": "SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION", "false": "0"}
    out.write(f"const sd_bus_vtable {interface.noun}_vtable[] = {{\n        SD_BUS_VTABLE_START(0),\n")
    for method in interface.methods:
        sensitive = " | SD_BUS_VTABLE_SENSITIVE" if SENSITIVE in method.annotations else ""
        out.write(f'        SD_BUS_METHOD_WITH_ARGS("{method.name}", {names_of("SD_BUS_ARGS", method.arguments)}, {names_of("SD_BUS_RESULT", method.results)}, '
                  f"on_{snake(method.name)}, SD_BUS_VTABLE_UNPRIVILEGED{sensitive}),\n")
    for prop in interface.properties:
        out.write(f'        SD_BUS_PROPERTY("{prop.name}", "{prop.type}", get_{snake(prop.name)}, 0, {flags[prop.annotations.get(CHANGE, "true")]}),\n')
    for signal in interface.signals:
        out.write(f'        SD_BUS_SIGNAL_WITH_ARGS("{signal.name}", {names_of("SD_BUS_ARGS", signal.arguments)}, 0),\n')
    out.write("        SD_BUS_VTABLE_END,\n};\n")


def write_source(interface, out):
    out.write(f'/* Made from {interface.name}.xml. */\n#include "{interface.noun}-interface.h"\n\n')
    for method in interface.methods:
        write_invoke(interface.noun, method, out)
    write_members(interface, out)
    for method in interface.methods:
        write_method(interface, method, out)
    for prop in interface.properties:
        write_property(interface.noun, prop, out)
    for signal in interface.signals:
        write_signal(interface, signal, out)
    write_vtable(interface, out)
    if interface.noun == "container":
        out.write("\nconst ContainerProperty container_properties[] = {\n")
        out.writelines(f'        {{"{prop.name}", container_property_{snake(prop.name)}}},\n' for prop in interface.properties)
        out.write("        {NULL},\n};\n")


def main():
    what, xml, path = sys.argv[1:]
    interface = read_interface(xml)
    with open(path, "w", encoding="utf-8") as out:
        {"header": write_header, "source": write_source}[what](interface, out)


if __name__ == "__main__":
    main()
