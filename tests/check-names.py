#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""conbus-names.h against the interface files and the words of the service, and the client, which types no name itself."""

import os
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import rules

ROOT = Path(__file__).resolve().parent.parent
HEADER = (Path(os.environ["CONBUS_BUILD_DIR"]) / "introspection/conbus-names.h").read_text(encoding="utf-8")
NAMES = dict(re.findall(r'^#define (CONBUS_\w+) "([^"]*)"', HEADER, flags=re.M))
INTERFACES = [ElementTree.parse(path).getroot().find("interface") for path in sorted((ROOT / "introspection").glob("io.conbus1.*.xml"))]
# Tables of the service, and the property whose words they are.
TABLES = [
    ("service/model/state.c", "state_names", "CONBUS_CONTAINER_STATE"),
    ("service/model/state.c", "reason_names", "CONBUS_CONTAINER_STATE_REASON"),
    ("service/model/state.c", "result_names", "CONBUS_CONTAINER_RESULT"),
    ("service/model/state.c", "policy_names", "CONBUS_CONTAINER_RESTART_POLICY"),
    ("service/model/config-health.c", "actions", "CONBUS_HEALTH_ON_FAILURE"),
    ("service/bus/jobs.c", "state_names", "CONBUS_JOB_STATE"),
    ("service/model/session.c", "states", "CONBUS_PROCESS_STATE"),
]
NEVER = {"checkpoint"}  # a reason that only a database of a later version can have
ELSEWHERE = {"Get"}  # of org.freedesktop.DBus.Properties


def constant(value):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", value).replace("-", "_").upper()


def every_member_has_a_constant():
    complaints = []
    for interface in INTERFACES:
        noun = interface.get("name").rsplit(".", 1)[1].upper()
        wanted = {f"CONBUS_{noun}_{constant(member.get('name'))}": member.get("name") for member in interface if member.tag in ("method", "signal", "property")}
        wanted[f"CONBUS_{noun}_INTERFACE"] = interface.get("name")
        complaints += [f"{name} is {NAMES.get(name)}, and not {value}" for name, value in wanted.items() if NAMES.get(name) != value]
    for line in (ROOT / "introspection/errors.txt").read_text().splitlines():
        if line and line[0] != "#" and NAMES.get(f"CONBUS_BUS_ERROR_{line.split()[0]}") != line.split()[1]:
            complaints.append(f"{line.split()[1]} has no constant")
    for line in (ROOT / "introspection/config-keys.txt").read_text().splitlines():
        group, _, key = line.partition(" ")[0].rpartition("/")
        if line and line[0] != "#" and NAMES.get(f"CONBUS_{group.upper()}{'_' if group else ''}KEY_{constant(key)}") != key:
            complaints.append(f"the key {group}/{key} has no constant")
    return complaints


def words_are_those_of_the_service():
    complaints = []
    for path, table, prefix in TABLES:
        found = re.search(rf"\b{table}\[\w*\] = \{{(.*?)\}};", (ROOT / path).read_text(encoding="utf-8"), flags=re.S)
        words = set(re.findall(r'"([a-z-]+)"', found[1])) - NEVER if found else set()
        told = {value for name, value in NAMES.items() if name == f"{prefix}_{constant(value)}" and value.islower()}
        if not words or words != told:
            complaints.append(f"{path}: {table} has {sorted(words)}; the text of the property has {sorted(told)}")
    return complaints


def the_client_types_no_name():
    names = {member.get("name") for interface in INTERFACES for member in interface} | {interface.get("name") for interface in INTERFACES} | {NAMES["CONBUS_BUS_NAME"], NAMES["CONBUS_MANAGER_PATH"]}
    complaints = []
    for path in sorted((ROOT / "client").glob("*.[ch]")):
        complaints += [f"{path.name}: \"{text}\" has a constant in conbus-names.h" for text in re.findall(r'"([\w./]+)"', path.read_text(encoding="utf-8")) if text in names - ELSEWHERE]
    return complaints


if __name__ == "__main__":
    sys.exit(rules.main([every_member_has_a_constant, words_are_those_of_the_service, the_client_types_no_name]))
