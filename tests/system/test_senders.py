#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who calls: clients that the service meets for the first time, the order of their calls, what root alone may do, and the alias paths that depend on the caller."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, MANAGER, NAME, Client, GLib, expect, main, wait_for  # noqa: E402

PROPERTIES, OBJECTS = "org.freedesktop.DBus.Properties", "org.freedesktop.DBus.ObjectManager"
LOG_CONTROL = ("/org/freedesktop/LogControl1", "org.freedesktop.LogControl1")

# Two calls at once, the first ones of a new connection, from inside a container.
SELF = """
import sys
sys.path.insert(0, sys.argv[1])
from harness import CONTAINER, Client, Error
client = Client()
calls = [client.begin("/container/self", CONTAINER, "ShouldRestart"), client.begin("/container/self", "org.freedesktop.DBus.Properties", "Get", "ss", CONTAINER, "Name")]
print(client.finish(calls[0])[1], client.finish(calls[1])[0])
"""


def as_nobody(path, method, *arguments):
    """A call by another user; exit code and what was said."""
    words = ["gdbus", "call", "--system", "--dest", NAME, "--object-path", path, "--method", method, *arguments]
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30, check=False)
    return done.returncode, done.stdout


def test_first_calls_of_a_client_are_answered_in_order(client):
    client.create("web", "true")
    other = Client()
    calls = [
        other.begin("/container/web", PROPERTIES, "Get", "ss", CONTAINER, "Name"),
        other.begin("/io/conbus1", MANAGER, "GetContainer", "s", "web"),
        other.begin("/io/conbus1", OBJECTS, "GetManagedObjects"),
        other.begin("/container/web", CONTAINER, "ShouldRestart"),
        other.begin("/container/web", PROPERTIES, "Get", "ss", CONTAINER, "State"),
    ]
    wait_for(lambda: calls[-1], "the last answer")
    for earlier in calls:
        assert earlier, "a later call was answered first"
        other.finish(earlier)


def test_lists_asked_for_at_the_callers_alias_end(client):
    """Two at once, as first calls, once kept the service busy for ever."""
    other = Client()
    for call in [other.begin("/container/self", OBJECTS, "GetManagedObjects") for _ in range(3)]:
        assert "runs in no container" in expect("NoSuchContainer", other.finish, call)
    assert client.manager("ListContainers") == ([],)


def test_self_is_the_container_of_the_caller(client):
    path = client.create("home", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    group = client.get(path, "ControlGroup")
    places = [f"/sys/fs/cgroup/{top}{group}/cgroup.procs" for top in ("pids", "freezer", ".")]
    places = [place for place in places if os.path.exists(place)]
    assert places, f"no control group {group}"

    def enter():
        for place in places:
            with open(place, "w", encoding="ascii") as procs:
                procs.write(str(os.getpid()))

    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    done = subprocess.run([sys.executable, "-c", SELF, tests], preexec_fn=enter, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert done.stdout == "no-end-seen home\n", done.stdout
    expect("NoSuchContainer", client.get, "/container/self", "Name")


def test_an_alias_that_is_no_name_is_answered(client):
    for name in ("_ff", "_", "_00x", "web_2fother", "nobody"):
        expect("NoSuchContainer", client.call, f"/container/{name}", CONTAINER, "Start")
    expect("UnknownObject", client.call, "/io/conbus1/container/_ff", CONTAINER, "Start")


def test_others_than_root_may_look_but_not_touch(client):
    client.create("web", "true")
    code, text = as_nobody("/io/conbus1", f"{MANAGER}.ListContainers")
    assert code == 0 and "'web', 'created'" in text, text
    code, text = as_nobody("/container/web", f"{CONTAINER}.Start")
    assert code != 0 and "AccessDenied" in text and "manage" in text and "root" in text, text
    code, text = as_nobody("/io/conbus1", f"{MANAGER}.CreateContainer", "x", "", "{}")
    assert code != 0 and "AccessDenied" in text and "create" in text, text
    assert client.get("/container/web", "State") == "created"


def test_root_alone_sets_the_log_level(client):
    path, interface = LOG_CONTROL
    level = client.get(path, "LogLevel", interface)
    code, text = as_nobody(path, f"{PROPERTIES}.Set", interface, "LogLevel", "<'debug'>")
    assert code != 0 and "only root" in text, text
    assert client.get(path, "LogLevel", interface) == level
    expect("InvalidArgs", client.call, path, PROPERTIES, "Set", "ssv", interface, "LogLevel", GLib.Variant("s", "loud"))
    client.call(path, PROPERTIES, "Set", "ssv", interface, "LogLevel", GLib.Variant("s", "debug"))
    assert client.get(path, "LogLevel", interface) == "debug"
    client.call(path, PROPERTIES, "Set", "ssv", interface, "LogLevel", GLib.Variant("s", level))


def test_a_client_that_leaves_at_once_is_forgotten(client):
    for _ in range(20):
        other = Client()
        other.begin("/container/self", CONTAINER, "ShouldRestart")
        other.begin("/io/conbus1", MANAGER, "WaitAny", "a(ot)asa{sv}", [], ["stopped"], {})
        other.connection.flush_sync(None)
        other.connection.close_sync(None)
    assert client.manager("ListContainers") == ([],)


if __name__ == "__main__":
    main()
