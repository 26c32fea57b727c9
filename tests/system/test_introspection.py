#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The live introspection against the XML: members, argument names, signatures, change annotations."""

import os
import sys
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, JOB, PROCESS, SOURCE, GLib, main, options  # noqa: E402

CHANGE = "org.freedesktop.DBus.Property.EmitsChangedSignal"


def members(interface):
    """Everything that a caller can see of an interface, as comparable tuples."""
    found = set()
    for member in interface:
        if member.tag not in ("method", "signal", "property"):
            continue
        arguments = tuple((argument.get("name"), argument.get("type"), argument.get("direction", "in" if member.tag == "method" else "out")) for argument in member.findall("arg"))
        change = [a.get("value") for a in member.findall("annotation") if a.get("name") == CHANGE]
        found.add((member.tag, member.get("name"), member.get("type"), member.get("access"), arguments, change[0] if change and member.tag == "property" else "true"))
    return found


def compare(client, path, name):
    live = ElementTree.fromstring(client.call(path, "org.freedesktop.DBus.Introspectable", "Introspect")[0])
    written = ElementTree.parse(f"{SOURCE}/introspection/{name}.xml").getroot()
    served = members(live.find(f"interface[@name='{name}']"))
    wanted = members(written.find(f"interface[@name='{name}']"))
    assert served == wanted, f"only live: {served - wanted}; only in the XML: {wanted - served}"


def test_the_manager_is_as_written(client):
    compare(client, "/io/conbus1", "io.conbus1.Manager")


def test_a_container_is_as_written(client):
    check = GLib.Variant("a{sv}", options(test=["CMD", "true"]))
    path = client.create("mirror", "true", health=check)
    for at in (path, "/container/mirror"):
        compare(client, at, "io.conbus1.Container")
        compare(client, at, "io.conbus1.Health")


def test_a_job_is_as_written(client):
    path = client.create("worked", "true")
    compare(client, client.call(path, "io.conbus1.Container", "Queue", "sa{sv}", "cleanup", {})[0], JOB)


def test_a_process_is_as_written(client):
    path = client.create("host", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    compare(client, client.call(path, CONTAINER, "Exec", "asa{sv}", ["sleep", "1000"], {})[0], PROCESS)


def test_every_property_can_be_read(client):
    path = client.create("all", "true")
    objects = client.call("/io/conbus1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0]
    assert objects[path]["io.conbus1.Container"]["Name"] == "all"
    assert "io.conbus1.Health" not in objects[path]
    everything = client.manager("QueryContainers", "a{sv}as", {}, [])[0][0][1]
    assert everything == objects[path]["io.conbus1.Container"]


if __name__ == "__main__":
    main()
