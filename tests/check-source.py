#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rules of the source that no compiler knows, one TAP case each. An exception stands here with its reason; one that is not needed any more is a failure as well."""

import ast
import re
import sys
from pathlib import Path

import rules

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ["service", "client", "tests", "introspection", "data"]
FILE_LINES, FUNCTION_LINES = 600, 60
SIDE_BY_SIDE = {"store", "storage", "runtime"}  # none of them knows another

# What may not be called in service/, and why.
BANNED = {
    r"\bsd_bus_call\s*\(": "it blocks the loop: sd_bus_call_async, or a typed emitter",
    r"\b(waitpid|wait|wait3|wait4)\s*\(": "children are reaped in one place",
    r"\b(sleep|usleep|nanosleep|clock_nanosleep|g_usleep)\s*\(": "it blocks the loop: a timer",
    r"\b(system|popen)\s*\(": "helpers have an argument vector, never a shell: process_begin",
    r"\b(fork|vfork|posix_spawnp?|clone|clone3)\s*\(": "the only fork is in runtime/process.c",
    r"\bg_(main|spawn|timeout|idle|thread|subprocess|unix_fd)_\w+\s*\(": "GLib is data types and errors here: one thread, one sd_event",
    r"\bpthread_create\s*\(": "one thread",
    r"#\s*include\s*<gio/": "GLib is data types and errors here",
    r"\b(nftw|ftw|fts_open|scandir)\s*\(": "a walk over a file tree blocks the loop: a child process",
    r"\bsd_event_add_time_relative\s*\(": "it fails for spans beyond the clock, which callers may give: sd_event_add_time with clock_boottime_in",
}
BANNED_EXCEPTIONS = {
    ("service/runtime/reaper.c", "waitpid"): "this is the place where children are reaped, with WNOHANG",
    ("service/runtime/process.c", "fork"): "this is the only fork",
    ("service/runtime/process.c", "vfork"): "or its cheaper form",
}

# Files below the bus without a test of their own name, and what proves them instead.
WITHOUT_TEST = {
}

# Errors that are answered before there is a Call, or beside the generated handlers.
REPLIES_EXCEPTIONS = {
    "service/bus/bus.c": "an alias that names nobody is refused while the object is looked up",
    "service/bus/call.c": "a sender that the bus does not know has no Call; an answer that cannot be sent is the last word",
    "service/bus/gate.c": "a parked message that cannot be delivered again has no Call any more",
    "service/bus/log-control.c": "setters of org.freedesktop.LogControl1, whose vtable is not generated",
}
TEST_LINES = 900  # the cases of one file of the service, which stay together
LONG_FILES = {}
LONG_FUNCTIONS = {}


def files(*suffixes):
    """Paths below FOLDERS, relative to the root, with one of the suffixes."""
    found = [p for folder in FOLDERS for p in sorted((ROOT / folder).rglob("*")) if p.is_file() and p.suffix in suffixes and "__pycache__" not in p.parts]
    return [p.relative_to(ROOT) for p in found]


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def blank(match):
    """As many lines as before, and nothing on them."""
    return re.sub(r"[^\n]", " ", match.group())


def code(path):
    """A C file without comments and the insides of strings, line by line where it was."""
    return re.sub(r"/\*.*?\*/|\"(\\.|[^\"\\\n])*\"|'(\\.|[^'\\\n])*'", blank, read(path), flags=re.S)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def layers():
    """The table of ARCHITECTURE.md, from the top down."""
    return re.findall(r"^\| `([a-z]+)/`", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"), flags=re.M)


def unused(exceptions, used, what):
    return [f"{key}: no {what} any more; take the exception out" for key in exceptions if key not in used]


def check_include(path, target, order):
    own, other = path.parts[1], target.split("/")[0]
    if other not in order:
        return f"includes \"{target}\", which is no layer of ARCHITECTURE.md" if "/" in target else None
    if len(path.parts) == 2:  # above the layers: it wires them
        return None
    if order.index(other) < order.index(own):
        return f"includes \"{target}\" of a higher layer"
    if own != other and {own, other} <= SIDE_BY_SIDE:
        return f"includes \"{target}\": {own} and {other} do not know each other"
    if own != other and target.endswith("/internal.h"):
        return f"includes \"{target}\", which is for {other} alone"
    return None


def includes_point_down():
    order, complaints = layers(), []
    for path in files(".c", ".h"):
        for number, line in enumerate(read(path).splitlines(), 1):
            match = re.match(r'#\s*include "([^"]+)"', line)
            if not match:
                continue
            if path.parts[0] == "service":
                complaint = check_include(path, match[1], order)
            else:
                complaint = f"includes \"{match[1]}\" of the service" if path.parts[0] == "client" and match[1].split("/")[0] in order else None
            if complaint:
                complaints.append(f"{path}:{number}: {complaint}")
    return complaints


def nothing_banned_is_called():
    complaints, used = [], set()
    for path in files(".c", ".h"):
        if path.parts[0] != "service":
            continue
        text = code(path)
        for pattern, reason in BANNED.items():
            for match in re.finditer(pattern, text):
                name = match.group().rstrip("( ")
                if (str(path), name) in BANNED_EXCEPTIONS:
                    used.add((str(path), name))
                else:
                    complaints.append(f"{path}:{line_of(text, match.start())}: {name}: {reason}")
    return complaints + unused(BANNED_EXCEPTIONS, used, "such call")


def every_file_has_its_test():
    complaints, used = [], set()
    for path in files(".c"):
        if path.parts[0] != "service" or path.parts[1] == "bus":
            continue
        test = Path("tests", *path.parts[1:-1], f"test-{path.name}")
        if (ROOT / test).exists():
            continue
        if str(path) in WITHOUT_TEST:
            used.add(str(path))
        else:
            complaints.append(f"{path}: there is no {test}")
    return complaints + unused(WITHOUT_TEST, used, "lack of a test")


def every_file_names_its_licence():
    paths = files(".c", ".h", ".py", ".sql", ".xml")
    paths += [p for p in files("") if read(p).startswith("#!")] + [Path("bootstrap"), Path("meson.build")]
    return [f"{path}: no SPDX-License-Identifier in its first lines" for path in paths if "SPDX-License-Identifier: LGPL-2.1-or-later" not in "\n".join(read(path).splitlines()[:5])]


def c_functions(path):
    """(name, first line, number of lines) of each function; their bodies end with a brace in the first column."""
    name, first = None, 0
    for number, line in enumerate(code(path).splitlines(), 1):
        match = re.match(r"[A-Za-z_].*?\b([A-Za-z_]\w*)\s*\([^;]*\)?\s*\{?$", line)
        if name is None and match and not re.match(r"(struct|enum|union|typedef|extern|G_DEFINE|DEFINE)\b", line):
            name, first = match[1], number
        elif line == "}" and name:
            yield name, first, number - first + 1
            name = None
        elif line.endswith(";") and not line.startswith(" "):
            name = None


def python_functions(path):
    for node in ast.walk(ast.parse(read(path))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.lineno, node.end_lineno - node.lineno + 1


def nothing_is_too_long():
    complaints, used = [], set()
    for path in files(".c", ".h", ".py"):
        lines = len(read(path).splitlines())
        most = TEST_LINES if path.name.startswith("test-") else FILE_LINES
        if lines > most and str(path) not in LONG_FILES:
            complaints.append(f"{path}: {lines} lines; split it by noun at {most}")
        elif lines > most:
            used.add(str(path))
        for name, first, length in python_functions(path) if path.suffix == ".py" else c_functions(path):
            if length > FUNCTION_LINES and (str(path), name) not in LONG_FUNCTIONS and name != "main":
                complaints.append(f"{path}:{first}: {name} has {length} lines; {FUNCTION_LINES} are enough")
            elif length > FUNCTION_LINES:
                used.add((str(path), name))
    return complaints + unused(LONG_FILES, used, "length") + unused(LONG_FUNCTIONS, used, "length")


def errors_leave_at_one_door():
    complaints, used = [], set()
    for path in files(".c", ".h"):
        if path.parts[0] != "service" or str(path) == "service/bus/reply.c":
            continue
        text = code(path)
        for match in re.finditer(r"\bsd_bus_(reply_method_err\w*|message_new_method_err\w*|error_set\w*)\s*\(", text):
            if str(path) in REPLIES_EXCEPTIONS:
                used.add(str(path))
            else:
                complaints.append(f"{path}:{line_of(text, match.start())}: errors are answered in bus/reply.c alone")
    return complaints + unused(REPLIES_EXCEPTIONS, used, "such answer")


def nothing_is_put_off():
    complaints = []
    for path in [*files(".c", ".h", ".py", ".xml", ".sql", ".txt", ".build", ".in", ".conf", ""), *(p.relative_to(ROOT) for p in ROOT.glob("*.md"))]:
        if path == Path("tests/check-source.py"):
            continue
        for number, line in enumerate(read(path).splitlines(), 1):
            if re.search(r"\b(TODO|FIXME|XXX)\b(?!.*\bissue \d)", line):
                complaints.append(f"{path}:{number}: put off without an issue")
    return complaints


if __name__ == "__main__":
    sys.exit(rules.main([includes_point_down, nothing_banned_is_called, every_file_has_its_test, every_file_names_its_licence, nothing_is_too_long, errors_leave_at_one_door, nothing_is_put_off]))
