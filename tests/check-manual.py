#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The built manual pages against what they are about, as a reader sees them: rendered, and against files that the generator does not share its parsers with."""

import functools
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import rules

ROOT = Path(__file__).resolve().parent.parent
PAGES = Path(os.environ["CONBUS_BUILD_DIR"]) / "data/manual"
XML = sorted((ROOT / "introspection").glob("io.conbus1.*.xml"))
ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8", "MAN_KEEP_FORMATTING": "", "MANROFFOPT": "", "MANOPT": ""}
SETTINGS_FILE, DEFAULTS_FILE = "service/settings.c", "data/conbus.conf"


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def lines(path):
    return [line.strip() for line in read(path).splitlines() if line.strip() and not line.startswith("#")]


def man(page, width=80):
    return subprocess.run(["man", "--warnings=w", "-l", str(page)], capture_output=True, encoding="utf-8", timeout=60, check=False, env={**ENVIRONMENT, "MANWIDTH": str(width)})


@functools.cache
def rendered(name):
    """A page without markup, wide, so that nothing is broken."""
    done = man(PAGES / name, 4000)
    assert done.returncode == 0, done.stderr
    return re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)


def section(page, title):
    found = re.search(rf"^{re.escape(title)}\n((?:(?: .*)?\n)*)", rendered(page), flags=re.M)
    return found[1] if found else ""


def subsection(page, title, name):
    found = re.search(rf"^   {re.escape(name)}\n((?:(?:    .*)?\n)*)", section(page, title), flags=re.M)
    return found[1] if found else ""


def missing(page, title, tags):
    """Entries of lists that a section lacks."""
    text = section(page, title)
    return [f"{page}: {title}: {tag} is missing" for tag in tags if not re.search(rf"^ +(?:[^\n]*, )?{re.escape(tag)}(?:[ =(,]|$)", text, flags=re.M)]


def outline_of(member):
    arguments = [f"{argument.get('direction', 'in') + ' ' if member.tag == 'method' else ''}{argument.get('type')} {argument.get('name')}" for argument in member.findall("arg")]
    return f"{member.get('name')}({','.join(arguments)});"


def check_member(page, member):
    name, title = member.get("name"), {"method": "METHODS", "signal": "SIGNALS"}.get(member.tag, "PROPERTIES")
    outline = re.sub(r"(?<=[(,]) | (?=[,)])", "", re.sub(r"\s+", " ", section(page, "INTERFACE")))
    if member.tag == "property":
        complaints = [] if f" {name} ({member.get('type')};" in section(page, title) else [f"{page}: {title}: {name} is missing"]
        return complaints + ([] if f"readonly {member.get('type')} {name};" in outline else [f"{page}: {name} is not in the outline"])
    text = subsection(page, title, name)
    complaints = [] if outline_of(member) in outline else [f"{page}: {outline_of(member)} is not in the outline"]
    complaints += [f"{page}: {name}: the argument {argument.get('name')} is missing" for argument in member.findall("arg") if not re.search(rf"^ +{argument.get('name')} \({re.escape(argument.get('type'))}[,)]", text, flags=re.M)]
    if member.tag == "method":
        access = next(a.get("value") for a in member.findall("annotation") if a.get("name") == "io.conbus1.Access")
        told = re.search(r"^ +Access: (.*)$", text, flags=re.M)
        if not told or (re.fullmatch("[a-z-]+", access) and access not in ("open", "by-verb", "by-profile") and told[1] != f"io.conbus1.{access}."):
            complaints.append(f"{page}: {name}: who may call it is not said as in the XML ({access})")
    return complaints


def every_member_has_its_place():
    complaints = []
    for path in XML:
        for member in ElementTree.parse(path).getroot().find("interface"):
            if member.tag in ("method", "signal", "property"):
                complaints += check_member(f"{path.stem}.5", member)
    return complaints


def no_member_is_made_up():
    complaints = []
    for path in XML:
        interface, page = ElementTree.parse(path).getroot().find("interface"), f"{path.stem}.5"
        for title, tag in (("METHODS", "method"), ("SIGNALS", "signal")):
            shown, wanted = re.findall(r"^   (\w+)$", section(page, title), flags=re.M), [member.get("name") for member in interface.findall(tag)]
            if shown != wanted:
                complaints.append(f"{page}: {title} has {shown}, and not {wanted}")
    return complaints


def every_error_is_explained():
    names = [line.split(" ")[1] for line in lines("introspection/errors.txt")]
    complaints = missing("io.conbus1.5", "ERRORS", names)
    for path in XML:
        named = set(re.findall(r"(?:io\.conbus1|org\.freedesktop\.DBus)\.Error\.[A-Za-z]+", read(f"introspection/{path.name}")))
        complaints += missing(f"{path.stem}.5", "ERRORS", sorted(named))
    return complaints


def every_key_has_its_entry():
    titles = {"": "KEYS", "health": "KEYS OF HEALTH", "mounts": "KEYS OF AN ENTRY OF MOUNTS", "secrets": "KEYS OF AN ENTRY OF SECRETS"}
    complaints = []
    for line in lines("introspection/config-keys.txt"):
        name, signature = line.split(" ")[:2]
        group, _, name = name.rpartition("/")
        if not re.search(rf"^ +{name} \({re.escape(signature)}[;)]", section("conbus-container-keys.5", titles[group]), flags=re.M):
            complaints.append(f"conbus-container-keys.5: {group}/{name} ({signature}) is missing")
    return complaints


def every_feature_state_and_action_is_there():
    states = re.findall(r'"(\w+)"', re.search(r"<!-- State: (.*?)-->", read("introspection/io.conbus1.Container.xml"))[1])
    actions = {value for path in XML for value in re.findall(r'Access" value="(?:[a-z-]+:)?([a-z-]+)"', read(f"introspection/{path.name}"))} - {"open", "by-verb", "by-profile"}
    actions |= {"create", "create-from-profile", "update", "manage-own"}
    complaints = missing("io.conbus1.5", "FEATURES", [line.split(" ")[0] for line in lines("introspection/features.txt")])
    return complaints + missing("io.conbus1.5", "STATES AND RUNS", states) + missing("io.conbus1.5", "ACCESS", [f"io.conbus1.{action}" for action in sorted(actions)])


def settings_in(text):
    """(section, key) of each line of the form KEY=, commented out or not."""
    found, group = [], ""
    for line in text.splitlines():
        if line.startswith("["):
            group = line.strip("[]")
        elif re.match(r"#?[A-Z]\w*=", line):
            found.append((group, line.strip("#").split("=")[0]))
    return found


def every_setting_is_described():
    known = set(re.findall(r'\bread_number\(file, path, "(\w+)", "(\w+)"', read(SETTINGS_FILE))) | set(re.findall(r'\btake\(file, "(\w+)", "(\w+)"', read(SETTINGS_FILE)))
    shown = settings_in(read(DEFAULTS_FILE))
    complaints = [f"{SETTINGS_FILE}: {name} in [{group}] is not in {DEFAULTS_FILE}" for group, name in sorted(known - set(shown))]
    complaints += [f"{DEFAULTS_FILE}: {name} in [{group}] is read by nobody" for group, name in sorted(set(shown) - known)]
    for group, name in shown:
        complaints += missing("conbus.conf.5", f"[{group.upper()}] SECTION OPTIONS", [name])
    without = re.findall(r"^ +(\w+)=\s+Default:", rendered("conbus.conf.5"), flags=re.M)
    return complaints + [f"conbus.conf.5: {name}= has no text" for name in without]


def every_part_of_a_profile_is_described():
    code = read("service/model/profile.c")
    keys = re.findall(r'"(\w+)"', re.search(r"known\[\] = \{(.*?), NULL\}", code)[1])
    groups = re.findall(r'#define \w+_GROUP "(\w+)"', code)
    complaints = [f"conbus.profile.5: [{group}] is missing" for group in groups if not section("conbus.profile.5", f"[{group.upper()}] SECTION OPTIONS")]
    return complaints + missing("conbus.profile.5", "[PROFILE] SECTION OPTIONS", keys) + ([] if len(keys) > 3 and len(groups) == 3 else ["service/model/profile.c is not understood"])


def help_of(program, *words):
    """What a program says of itself."""
    return subprocess.run([f"{os.environ['CONBUS_BUILD_DIR']}/{program}", *words, "--help"], capture_output=True, encoding="utf-8", timeout=60, check=False).stdout


def every_command_is_described():
    complaints = []
    usages = re.findall(r"^  (([a-z][a-z-]+)(?: .*)?)$", help_of("client/conbusctl").split("\nOptions:")[0], flags=re.M)
    for usage, command in usages:
        text = subsection("conbusctl.1", "COMMANDS", usage.replace("…", "..."))
        complaints += [] if text else [f"conbusctl.1: {command} is missing"]
        complaints += [f"conbusctl.1: {command}: {option} is missing" for option in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", help_of("client/conbusctl", command)) if option not in text]
    return complaints if len(usages) > 20 else ["conbusctl --help is not understood"]


def every_option_of_the_service_is_described():
    options = re.findall(r"^  (--[a-z-]+)", help_of("service/conbusd"), flags=re.M)
    return missing("conbusd.8", "OPTIONS", options) if options else ["conbusd --help is not understood"]


def every_use_of_conbus_unit_is_described():
    page, uses = "conbus-container@.service.8", subprocess.run([f"{os.environ['CONBUS_BUILD_DIR']}/client/conbus-unit"], capture_output=True, encoding="utf-8", timeout=60, check=False).stderr
    uses = re.findall(r"conbus-unit (\S+)$", uses, flags=re.M)
    codes = set(re.findall(r"\b12\d\b", read("client/unit.c")))
    complaints = [f"{page}: SYNOPSIS: {use} is missing" for use in uses if not re.search(rf"/conbus-unit {re.escape(use)}$", section(page, "SYNOPSIS"), flags=re.M)]
    complaints += missing(page, "EXIT STATUS", sorted(codes - {"128"}))
    told = re.search(r"^SuccessExitStatus=(\d+)$", read("data/conbus-container@.service.in"), flags=re.M)[1]
    complaints += [] if f"{told} counts as success" in section(page, "EXIT STATUS") else [f"{page}: {told} is not said to be success"]
    return complaints if len(uses) == 2 and len(codes) == 4 else ["client/unit.c is not understood"]


def nothing_is_left_open():
    """Words between at signs that nothing was put in the place of, and references to pages of ours that are not there."""
    complaints, here = [], {page.name for page in PAGES.iterdir()}
    for name in sorted(n for n in here if re.search(r"\.[1-8]$", n)):
        complaints += [f"{name}: {word}" for word in re.findall(r"@[a-z-]+@", (PAGES / name).read_text(encoding="utf-8"))]
        complaints += [f"{name}: there is no page {page}({number})" for page, number in re.findall(r"\b((?:io\.)?conbus[\w.@-]*)\(([1-8])\)", rendered(name)) if f"{page}.{number}" not in here]
    return complaints


def nothing_is_complained_of():
    """man and mandoc find no fault. A page has no date on purpose: it is as old as the version in its last line."""
    complaints = []
    for page in sorted(PAGES.glob("*.[1-8]")):
        for width in (72, 80, 120):
            complaints += [f"{page.name}: man: {line}" for line in man(page, width).stderr.splitlines()]
        lint = subprocess.run(["mandoc", "-T", "lint", "-W", "style", str(page)], capture_output=True, encoding="utf-8", timeout=60, check=False)
        complaints += [f"mandoc: {line}" for line in (lint.stdout + lint.stderr).splitlines() if "missing date" not in line]
    return complaints


if __name__ == "__main__":
    sys.exit(rules.main([every_member_has_its_place, no_member_is_made_up, every_error_is_explained, every_key_has_its_entry, every_feature_state_and_action_is_there, every_setting_is_described, every_part_of_a_profile_is_described,
                         every_command_is_described, every_option_of_the_service_is_described, every_use_of_conbus_unit_is_described, nothing_is_left_open, nothing_is_complained_of]))
