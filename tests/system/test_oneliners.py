#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a person types: busctl and gdbus through a shell, word for word, and a client that knows nothing but D-Bus's own ObjectManager. Lines of members that are still to come are not here."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, DEADLINE, HEALTH, MANAGER, NAME, Gio, GLib, main, options, wait_for  # noqa: E402

PROPERTIES = "org.freedesktop.DBus.Properties"


def shell(line, status=0):
    done = subprocess.run(line, shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", timeout=DEADLINE, check=False)
    assert done.returncode == status, f"{line}: status {done.returncode}, {done.stderr}"
    return done.stdout.strip() if status == 0 else done.stderr.strip()


def make_web(client, *command):
    check = GLib.Variant("a{sv}", options(test=["true"], interval_usec=50000))
    return client.create("web", *(command or ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done")), health=check)


def test_busctl(client):
    path = make_web(client)
    ident = path.rsplit("/", 1)[1]
    tree = shell("busctl tree io.conbus1")
    assert f"/io/conbus1/container/{ident}" in tree and "/org/freedesktop/LogControl1" in tree
    assert shell("busctl call io.conbus1 /io/conbus1 io.conbus1.Manager ListContainers") == f'a(ssssto) 1 "{ident}" "web" "created" "" 0 "{path}"'
    assert shell("busctl call io.conbus1 /container/web io.conbus1.Container Start") == "t 1"
    assert shell("busctl get-property io.conbus1 /container/web io.conbus1.Container State ExitCode Result") == 's "running"\ni -1\ns ""'
    assert shell("busctl call io.conbus1 /container/web io.conbus1.Container WaitFor 'asa{sv}' 1 healthy 1 timeout-usec t 20000000").startswith('stiisa{sv} "healthy" 1 -1 0 "" ')
    waiting = subprocess.Popen("exec busctl --timeout=infinity call io.conbus1 /container/web io.conbus1.Container Wait", shell=True, stdout=subprocess.PIPE, encoding="utf-8")
    wait_for(lambda: "waits 1" in client.manager("Dump")[0], "busctl's wait", poll=True)
    assert shell("busctl call io.conbus1 /container/web io.conbus1.Container StopWith 'a{sv}' 1 timeout-usec t 0") == "t 1"
    assert waiting.communicate(timeout=DEADLINE)[0].strip() == 'tiis 1 137 9 "signal"' and waiting.returncode == 0
    assert shell("busctl --timeout=infinity call io.conbus1 /container/web io.conbus1.Container Wait") == 'tiis 1 137 9 "signal"'
    assert shell("busctl call io.conbus1 /container/web io.conbus1.Container ReadLog 'ua{sv}' 20 0").startswith("a(tss)s 0 ")
    assert shell("busctl call io.conbus1 /container/web io.conbus1.Container Start") == "t 2"
    job = shell("busctl call io.conbus1 /container/web io.conbus1.Container Queue 'sa{sv}' stop 0")
    assert job.startswith('o "/io/conbus1/job/'), job
    assert shell(f"busctl call io.conbus1 {job[2:]} io.conbus1.Job Wait").startswith("a{sv} ")
    assert shell(f"busctl call io.conbus1 {job[2:]} io.conbus1.Job Release") == ""
    assert shell("busctl get-property io.conbus1 /container/web io.conbus1.Container State") == 's "exited"'


def test_busctl_run_container(client):
    """As typed, with a root file system in the place of an image."""
    line = "busctl call io.conbus1 /io/conbus1 io.conbus1.Manager RunContainer 'ssasa{sv}' job1 '' 1 true 2 rootfs s $CONBUS_TEST_ROOTFS auto-remove b true"
    answer = shell(line)
    assert answer.startswith('ot "/io/conbus1/container/') and answer.endswith(" 1"), answer
    wait_for(lambda: not client.manager("ListContainers")[0], "its removal", poll=True)
    message = shell("busctl call io.conbus1 /io/conbus1 io.conbus1.Manager RunContainer 'ssasa{sv}' job1 busybox 1 true 1 auto-remove b true", status=1)
    assert "there is no image" in message, message


def test_busctl_shows_json_signals_and_errors(client):
    make_web(client, "true")
    assert shell("busctl --json=short call io.conbus1 /container/web io.conbus1.Container Start") == '{"type":"t","data":[1]}'
    monitor = subprocess.Popen("exec busctl monitor --json=short io.conbus1", shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    assert "Monitoring" in monitor.stderr.readline()
    shell("busctl call io.conbus1 /container/web io.conbus1.Container Remove || true")
    for line in monitor.stdout:
        if '"member":"InterfacesRemoved"' in line or '"member":"Remove"' in line:
            break
    monitor.kill()
    monitor.communicate()
    assert "no container has the name" in shell("busctl call io.conbus1 /container/nobody io.conbus1.Container Start", status=1)
    assert "colour" in shell("busctl call io.conbus1 /io/conbus1 io.conbus1.Manager CreateContainer 'ssa{sv}' x '' 1 colour s red", status=1)


def test_gdbus(client):
    path = make_web(client)
    text = shell("gdbus introspect --system --dest io.conbus1 --object-path /io/conbus1 --recurse")
    assert "interface io.conbus1.Manager" in text and "interface io.conbus1.Container" in text and path in text
    assert "interface io.conbus1.Container" in shell("gdbus introspect --system --dest io.conbus1 --object-path /container/web")
    assert shell("gdbus call --system --dest io.conbus1 --object-path /container/web --method io.conbus1.Container.Start") == "(uint64 1,)"
    assert shell('gdbus call --system --dest io.conbus1 --object-path /container/web --method io.conbus1.Container.StopWith "{\'timeout-usec\': <uint64 0>}"') == "(uint64 1,)"
    assert shell("gdbus call --system -t 2147483 --dest io.conbus1 --object-path /container/web --method io.conbus1.Container.Wait") == "(uint64 1, 137, 9, 'signal')"
    assert "io.conbus1.Error.NotRunning" in shell("gdbus call --system --dest io.conbus1 --object-path /container/web --method io.conbus1.Container.Stop", status=1)


def known(objects):
    """What the client library has by itself: path -> interface -> property -> value."""
    result = {}
    for item in objects.get_objects():
        result[item.get_object_path()] = {
            proxy.get_interface_name(): {name: proxy.get_cached_property(name).unpack() for name in proxy.get_cached_property_names() or []} for proxy in item.get_interfaces()
        }
    return result


def asked(client):
    """The same from the service; FailingStreak and LastCheckTimestamp are the two that change without a signal."""
    result = {}
    for path, interfaces in client.call("/io/conbus1", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0].items():
        result[path] = {name: properties for name, properties in interfaces.items() if name.startswith(NAME)}
    return result


def agrees(client, objects):
    def plain(state):
        return {path: {name: {key: value for key, value in properties.items() if key not in ("FailingStreak", "LastCheckTimestamp")} for name, properties in interfaces.items() if name.startswith(NAME)} for path, interfaces in state.items()}

    return plain(known(objects)) == plain(asked(client))


def test_an_object_manager_client_needs_nothing_else(client):
    objects = Gio.DBusObjectManagerClient.new_sync(client.connection, Gio.DBusObjectManagerClientFlags.NONE, NAME, "/io/conbus1", None, None, None)
    assert objects.get_name_owner() and objects.get_objects() == []
    path = make_web(client)
    quiet = client.create("quiet", "sleep", "1000")
    wait_for(lambda: agrees(client, objects), "both containers in the client")
    assert objects.get_interface(path, HEALTH) and not objects.get_interface(quiet, HEALTH)
    for each in (path, quiet):
        client.call(each, CONTAINER, "Start")
        wait_for(lambda: agrees(client, objects), "the start")
    client.call(quiet, CONTAINER, "Pause")
    client.call(quiet, CONTAINER, "Rename", "s", "silent")
    client.call(quiet, CONTAINER, "SetRestartPolicy", "su", "always", 0)
    client.call(quiet, CONTAINER, "SetAutoStart", "s", "enabled")
    client.call(path, CONTAINER, "RestartWith", "a{sv}", options(timeout_usec=0))
    wait_for(lambda: agrees(client, objects), "the changes in the client")
    state = objects.get_interface(quiet, CONTAINER)
    assert state.get_cached_property("State").unpack() == "paused" and state.get_cached_property("Name").unpack() == "silent"

    before, gone, back = set(known(objects)), [], []
    objects.connect("object-removed", lambda _, item: gone.append(item.get_object_path()))
    objects.connect("object-added", lambda _, item: back.append(item.get_object_path()))
    client.kill_service()
    wait_for(lambda: set(gone) == before and objects.get_objects() == [], "the objects' end in the client")
    assert client.manager("ListContainers")[0]  # activates it
    wait_for(lambda: set(back) == before and objects.get_name_owner(), "the objects' return")
    wait_for(lambda: agrees(client, objects), "the new service's state in the client")
    assert objects.get_interface(quiet, CONTAINER).get_cached_property("State").unpack() == "paused"

    client.call(quiet, CONTAINER, "RemoveWith", "a{sv}", options(force=True))
    wait_for(lambda: quiet not in known(objects), "the removal in the client")
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    wait_for(lambda: agrees(client, objects), "the end in the client")


def test_resync_by_event_numbers(client):
    """EventSeq, GetManagedObjects, GetEvents: nothing can have been missed."""
    log_id, number = client.get("/io/conbus1", "EventLogId", MANAGER), client.get("/io/conbus1", "EventSeq", MANAGER)
    path = make_web(client, "true")
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
    client.kill_service()
    events, following, gap = client.manager("GetEvents", "tua{sv}", number, 1000, {})
    assert [event[0] for event in events] == list(range(number + 1, number + 1 + len(events))) and not gap
    assert [event[3] for event in events if event[3] != "health-status"] == ["create", "init", "start", "died", "cleanup"]
    assert client.get("/io/conbus1", "EventLogId", MANAGER) == log_id and following >= events[-1][0]


if __name__ == "__main__":
    main()
