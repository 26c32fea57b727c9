#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""conbus-names.h against the interface files and the words of the service; the options that the texts promise against those that the service takes; and the client, which types no name itself."""

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
# Tables of options, and the members whose text has them.
OPTIONS = {
    ("service/operation/verbs.c", "init_keys"): ["InitWith"],
    ("service/operation/verbs.c", "start_keys"): ["StartWith"],
    ("service/operation/verbs.c", "stop_keys"): ["StopWith"],
    ("service/operation/verbs.c", "restart_keys"): ["RestartWith"],
    ("service/operation/verbs.c", "remove_keys"): ["RemoveWith"],
    ("service/operation/verbs.c", "cleanup_keys"): ["Cleanup"],
    ("service/bus/wait-calls.c", "keys"): ["WaitFor"],
    ("service/bus/wait-calls.c", "any_keys"): ["WaitAny"],
    ("service/bus/events.c", "query_keys"): ["GetEvents", "OpenEvents"],
    ("service/bus/query.c", "keys"): ["QueryContainers"],
    ("service/bus/container-object.c", "keys"): ["InspectWith"],
    ("service/bus/exec-calls.c", "keys"): ["ExecCapture"],
    ("service/model/session.c", "keys"): ["Exec"],
    ("service/operation/attach-plan.c", "keys"): ["OpenAttach"],
    ("service/bus/attach-calls.c", "http_keys"): ["HttpAttach"],
    ("service/bus/input-calls.c", "keys"): ["WriteInput"],
    ("service/operation/logs.c", "answer_keys"): ["ReadLog"],
    ("service/operation/logs.c", "open_keys"): ["OpenLog"],
}
# What is looked for before the table, or put into it by the service itself.
JOB_OPTIONS = {"job-token": "s", "job-lifetime": "s", "inhibit-sleep": "b"}
BESIDE = {"StartWith": {"attach": "a{sv}"}, "Exec": {"stdio": "ah", "preserve-fds": "a{uh}"}, "OpenAttach": JOB_OPTIONS, "HttpAttach": JOB_OPTIONS}
WITHIN = {"Exec": {"command"}}
NEVER = {"checkpoint"}  # a reason that only a database of a later version can have
ELSEWHERE = {"Get", "name"}  # of org.freedesktop.DBus.Properties; of the details of an event, which depend on what has happened


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


def promised_options(member):
    """The keys with their types that the text of the dictionary has, as a reader would take them; where two interfaces have the member, the text that does not lead to the other."""
    found = [{}]
    for path in (ROOT / "introspection").glob("io.conbus1.*.xml"):
        comment = re.search(rf"<!--\n +{member}:\n(.*?)-->", path.read_text(encoding="utf-8"), flags=re.S)
        text = comment and re.search(r" @(?:options|filter): (.*?)(?=\n +@|\n\n)", comment[1], flags=re.S)
        if text:
            found.append(dict(re.findall(r"(?<![\w-])([a-z][a-z-]*)\s\((\([a-z]+\)|[a-z]+(?:\{[a-z]+\})?)(?=[,)])", re.sub(r"\s+", " ", text[1]))))
    return max(found, key=len)


def options_are_those_of_the_service():
    complaints = []
    for (path, table), members in OPTIONS.items():
        found = re.search(rf"OptionKey {table}\[\] = \{{(.*?)\{{NULL\}}\}};", (ROOT / path).read_text(encoding="utf-8"), flags=re.S)
        taken = dict(re.findall(r'\{"([a-z-]+)", "([^"]+)"\}', found[1])) if found else {}
        for member in members:
            wanted = {key: kind for key, kind in {**taken, **BESIDE.get(member, {})}.items() if key not in WITHIN.get(member, ())}
            promised = promised_options(member)
            promised.pop("reply-timeout-usec", None)
            wanted.pop("reply-timeout-usec", None)
            if not wanted or promised != wanted:
                complaints.append(f"{member}: the text has {promised}, {path} takes {wanted}")
    return complaints


def the_client_types_no_name():
    names = {member.get("name") for interface in INTERFACES for member in interface} | {interface.get("name") for interface in INTERFACES} | {NAMES["CONBUS_BUS_NAME"], NAMES["CONBUS_MANAGER_PATH"]}
    complaints = []
    for path in sorted((ROOT / "client").glob("*.[ch]")):
        source = path.read_text(encoding="utf-8")
        typed = [text for text in re.findall(r'"([\w./]+)"', source) if text in names]
        typed += re.findall(r'g_variant_(?:dict_insert|dict_insert_value|dict_lookup|lookup)\([^",]*, "([a-z-]+)"', source)
        complaints += [f"{path.name}: \"{text}\" has a constant in conbus-names.h, or could have one" for text in typed if text not in ELSEWHERE]
    return complaints


if __name__ == "__main__":
    sys.exit(rules.main([every_member_has_a_constant, words_are_those_of_the_service, options_are_those_of_the_service, the_client_types_no_name]))
