#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What cannot be has a name and leaves nothing half-made."""

import ctypes
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, Client, GLib, Skip, expect, leftovers, main, on_real_runtime, options  # noqa: E402


def nothing_is_left(client):
    assert client.manager("ListContainers")[0] == []
    assert not leftovers()
    assert os.listdir("/var/lib/conbus/containers") == [] and os.listdir("/run/conbus/containers") == []


def test_creation_is_checked(client):
    rootfs = os.environ["CONBUS_TEST_ROOTFS"]
    expect("UnknownOption", client.create, "x", "true", colour="red")
    expect("InvalidConfig", client.create, "x", "true", memory="much")
    expect("InvalidConfig", client.create, "x")
    expect("InvalidName", client.create, "bad name", "true")
    expect("InvalidName", client.create, "self", "true")
    expect("NoSuchPath", client.create, "x", "true", rootfs="/nowhere")
    expect("NotADirectory", client.create, "x", "true", rootfs=f"{rootfs}/etc/passwd")
    expect("NoSuchImage", client.manager, "CreateContainer", "ssa{sv}", "x", "busybox", {})
    expect("NoSuchContainer", client.create, "x", "true", depends=["nobody"])
    nothing_is_left(client)


def test_a_taken_name(client):
    client.create("same", "true")
    expect("NameInUse", client.create, "same", "true")


def test_commands_that_cannot_run(client):
    config = options(rootfs=os.environ["CONBUS_TEST_ROOTFS"])
    expect("RuntimeCommandNotFound", client.manager, "RunContainer", "ssasa{sv}", "x", "", ["nosuch"], config)
    for command in ("/etc/passwd", "/etc"):
        expect("RuntimePermissionDenied", client.manager, "RunContainer", "ssasa{sv}", "x", "", [command], config)
    nothing_is_left(client)
    path = client.create("x", "nosuch")
    expect("RuntimeCommandNotFound", client.call, path, CONTAINER, "Start")
    assert client.get(path, "State") == "created" and client.get(path, "Result") == "start-failed" and client.get(path, "ExitCode") == 127
    assert client.get(path, "LastErrorName") == "io.conbus1.Error.RuntimeCommandNotFound"
    assert client.call(path, CONTAINER, "Wait") == (1, 127, 0, "start-failed")
    assert not leftovers()


def make_bundle(name, **changes):
    """A good bundle but for the changes of its config.json; text= stands for the whole file."""
    bundle = f"{os.environ['CONBUS_SANDBOX']}/{name}"
    os.makedirs(f"{bundle}/rootfs", exist_ok=True)
    document = {"ociVersion": "1.0.2", "process": {"args": ["/bin/true"], "cwd": "/"}, "root": {"path": os.environ["CONBUS_TEST_ROOTFS"]}, "mounts": []}
    text = changes.pop("text", None)
    for key, value in changes.items():
        document[key] = value
    with open(f"{bundle}/config.json", "w", encoding="utf-8") as config:
        config.write(json.dumps({key: value for key, value in document.items() if value is not None}) if text is None else text)
    return bundle


def create_from(client, bundle, **config):
    return client.manager("CreateContainerFromBundle", "ssa{sv}", "b", bundle, options(**config))[0]


def test_bundles_that_cannot_be_read(client):
    sandbox, rootfs = os.environ["CONBUS_SANDBOX"], os.environ["CONBUS_TEST_ROOTFS"]
    expect("NoSuchPath", create_from, client, "/nowhere")
    expect("NoSuchPath", create_from, client, f"{rootfs}/etc/passwd/below")
    expect("NotADirectory", create_from, client, f"{rootfs}/etc/passwd")
    expect("InvalidArgs", create_from, client, "relative/path")
    expect("InvalidArgs", create_from, client, "")
    expect("InvalidArgs", create_from, client, "/" + "x" * 5000)
    bundle = f"{sandbox}/empty"
    os.makedirs(bundle)
    assert "config.json" in expect("NoSuchPath", create_from, client, bundle)
    os.symlink("loop", f"{sandbox}/loop")
    expect("InvalidArgs", create_from, client, f"{sandbox}/loop")
    os.mkfifo(f"{bundle}/config.json")  # which must not be waited for
    assert "regular file" in expect("InvalidConfig", create_from, client, bundle)
    os.unlink(f"{bundle}/config.json")
    os.mkdir(f"{bundle}/config.json")
    expect("InvalidConfig", create_from, client, bundle)
    os.rmdir(f"{bundle}/config.json")
    os.symlink("config.json", f"{bundle}/config.json")
    expect("InvalidConfig", create_from, client, bundle)
    nothing_is_left(client)


def test_what_not_even_root_may_read(client):
    """A file system in user space that belongs to somebody else."""
    place = f"{os.environ['CONBUS_SANDBOX']}/foreign"
    os.makedirs(place)
    try:
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise Skip(f"/dev/fuse: {error}") from error
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mount(b"fuse", place.encode(), b"fuse", 0, f"fd={device},rootmode=40000,user_id=1000,group_id=1000".encode()) == 0, os.strerror(ctypes.get_errno())
    try:
        assert "Permission denied" in expect("InvalidArgs", create_from, client, place)
        assert "Permission denied" in expect("InvalidConfig", client.create, "x", "true", rootfs=place)
        assert "Permission denied" in expect("InvalidConfig", create_from, client, make_bundle("rootless", root={"path": place}))
        bundle = f"{os.environ['CONBUS_SANDBOX']}/linked"
        os.makedirs(bundle)
        os.symlink(f"{place}/config.json", f"{bundle}/config.json")
        assert "Permission denied" in expect("InvalidConfig", create_from, client, bundle)
    finally:
        libc.umount2(place.encode(), 2)
        os.close(device)
    nothing_is_left(client)


def test_config_json_that_is_malformed(client):
    process = {"args": ["true"], "cwd": "/"}
    for text in ("", "{ not json", "[]", "5", "null", '{"ociVersion": "1.0.2"', "\0", "{}" + " " * (5 << 20)):
        expect("InvalidConfig", create_from, client, make_bundle("bad", text=text))
    for changes in (
        {"ociVersion": None}, {"ociVersion": "2.0"}, {"ociVersion": 1},
        {"process": None}, {"process": []}, {"process": {"cwd": "/"}}, {"process": {**process, "args": []}}, {"process": {**process, "args": "true"}}, {"process": {**process, "args": [1]}},
        {"process": {**process, "env": {"A": "b"}}},
        {"root": None}, {"root": "rootfs"}, {"root": {}}, {"root": {"path": 7}},
        {"linux": []}, {"mounts": {}}, {"annotations": []}, {"hooks": 1},
    ):  # fmt: skip
        try:
            expect("InvalidConfig", create_from, client, make_bundle("bad", **changes))
        except AssertionError as error:
            raise AssertionError(f"{changes}: {error}") from error
    expect("NoSuchPath", create_from, client, make_bundle("bad", root={"path": "nowhere"}))
    expect("NotADirectory", create_from, client, make_bundle("bad", root={"path": "config.json"}))
    nothing_is_left(client)


def test_a_bundle_that_turns_bad_later(client):
    bundle = make_bundle("turning")
    path = create_from(client, bundle)
    make_bundle("turning", text="{")
    expect("InvalidConfig", client.call, path, CONTAINER, "Start")
    assert client.get(path, "State") == "created" and client.get(path, "LastErrorName") == "io.conbus1.Error.InvalidConfig" and client.get(path, "ExitCode") == 125
    assert not leftovers()
    make_bundle("turning", root={"path": "nowhere"})
    expect("NoSuchPath", client.call, path, CONTAINER, "Start")
    make_bundle("turning")
    assert client.call(path, CONTAINER, "Start")[0] == 3 and client.call(path, CONTAINER, "Wait")[1] == 0


NAMES = ["bad name", "self", "..", ".hidden", "-dash", "_under", "a/b", "a\nb", "a\x01b", "tab\t", "\x7f", "x" * 256, "x" + "\u00e4" * 200, "\U0001f980", "f" * 64, "x" * 1000000]


def test_names(client):
    path = client.create("n", "true")
    for name in NAMES:
        for message in (expect("InvalidName", client.create, name, "true"), expect("InvalidName", client.call, path, CONTAINER, "Rename", "s", name)):
            assert len(message) < 3000, f"{len(message)} characters about a bad name"
    expect("InvalidName", client.call, path, CONTAINER, "Rename", "s", "")
    longest = "x" * 255
    client.call(path, CONTAINER, "Rename", "s", longest)
    assert client.manager("GetContainer", "s", longest)[0] == path
    expect("NoSuchContainer", client.manager, "GetContainer", "s", "\n" * 100000)
    client.call(path, CONTAINER, "Remove")
    nothing_is_left(client)


def test_wrong_types_inside_of_values(client):
    def mount(**keys):
        return GLib.Variant("aa{sv}", [options(**keys)])

    cases = [
        ("InvalidConfig", {"mounts": ["/a"]}),
        ("InvalidConfig", {"mounts": mount(target=5)}),
        ("InvalidConfig", {"mounts": mount(target="/x", options="ro")}),
        ("InvalidConfig", {"mounts": mount(target="relative")}),
        ("InvalidConfig", {"mounts": mount(source="/etc")}),
        ("InvalidConfig", {"mounts": mount(target="/x", type="bind", source="relative")}),
        ("InvalidConfig", {"mounts": mount(target="/x", type="nonsense")}),
        ("UnknownOption", {"mounts": mount(target="/x", colour="red")}),
        ("InvalidConfig", {"health": "true"}),
        ("InvalidConfig", {"health": {"test": "true"}}),
        ("InvalidConfig", {"health": GLib.Variant("a{sv}", options(test="true"))}),
        ("InvalidConfig", {"health": GLib.Variant("a{sv}", options(test=["true"], interval_usec="soon"))}),
        ("UnknownOption", {"health": GLib.Variant("a{sv}", options(test=["true"], colour="red"))}),
        ("InvalidConfig", {"labels": GLib.Variant("a{sv}", options(a=1))}),
        ("InvalidConfig", {"ulimits": GLib.Variant("a(suu)", [("nofile", 1, 2)])}),
        ("InvalidConfig", {"ulimits": GLib.Variant("a(stt)", [("nonsense", 1, 2)])}),
        ("InvalidConfig", {"ulimits": GLib.Variant("a(stt)", [("nofile", 2, 1)])}),
        ("InvalidConfig", {"uid_map": GLib.Variant("a(uu)", [(0, 1)])}),
        ("InvalidConfig", {"env": ["NOEQUALS"]}),
        ("InvalidConfig", {"env": ["=value"]}),
        ("InvalidConfig", {"memory": GLib.Variant("i", 5)}),
        ("InvalidConfig", {"memory": GLib.Variant("v", GLib.Variant("t", 1 << 20))}),
        ("InvalidConfig", {"stop_signal": GLib.Variant("i", 65)}),
        ("InvalidConfig", {"stop_signal": GLib.Variant("i", 0)}),
        ("InvalidConfig", {"restart_policy": "sometimes"}),
        ("InvalidConfig", {"cap_add": ["CAP_NONSENSE"]}),
        ("InvalidConfig", {"network": "wireless"}),
        ("InvalidConfig", {"rootfs_mode": "sideways"}),
        ("InvalidConfig", {"resources": "{"}),
        ("InvalidConfig", {"resources": "[]"}),
        ("InvalidConfig", {"cwd": "relative"}),
        ("InvalidConfig", {"hostname": "-bad-"}),
        ("InvalidConfig", {"terminal": GLib.Variant("u", 1)}),
    ]
    for name, config in cases:
        try:
            message = expect(name, client.create, "x", "true", **config)
        except AssertionError as error:
            raise AssertionError(f"{config}: {error}") from error
        key = list(config)[0].replace("_", "-")
        assert key in message or "colour" in message, f"the message does not name {key}: {message}"
    nothing_is_left(client)


def test_huge_dictionaries(client):
    many = {f"nonsense-{number}": True for number in range(2000)}
    expect("UnknownOption", client.create, "x", "true", **many)
    ignored = {f"x-{number}": "y" * 10 for number in range(200)}
    path = client.create("x", "sleep", "1000", **ignored)
    client.call(path, CONTAINER, "Start")
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0, **{f"x-{number}": True for number in range(2000)}))
    client.call(path, CONTAINER, "Remove")
    too_much = expect("InvalidConfig", client.create, "x", "true", **{f"x-{number}": "y" * 1000 for number in range(1500)})
    assert "bytes" in too_much and len(too_much) < 1000
    expect("InvalidConfig", client.create, "x", "true", env=[f"V{number}=" + "y" * 1000 for number in range(1500)])
    expect("InvalidConfig", client.create, "x", "true", labels={"key": "y" * (2 << 20)})
    nothing_is_left(client)


def test_values_in_values_in_values(client):
    deep = GLib.Variant("s", "bottom")
    for _ in range(50):
        deep = GLib.Variant("v", deep)
    path = client.create("deep", "true", x_deep=deep)
    expect("InvalidConfig", client.create, "x", "true", memory=deep)
    client.call(path, CONTAINER, "Remove")
    nothing_is_left(client)


def test_patches_of_the_specification(client):
    for patch in ("not json", "", "[]", "null", "5", '{"process":', '{"process": "none"}', '{"process": null}', '{"process": {"args": []}}', '{"process": {"args": "true"}}', '{"root": null}', '{"root": {"path": null}}',
                  '{"linux": 7}', '{"mounts": {}}', '{"ociVersion": "9"}'):  # fmt: skip
        try:
            message = expect("InvalidConfig", client.create, "x", "true", oci_spec_patch=patch)
        except AssertionError as error:
            raise AssertionError(f"{patch}: {error}") from error
        assert "oci-spec-patch" in message or "patch" in message, message
        expect("InvalidConfig", create_from, client, make_bundle("good"), oci_spec_patch=patch)
    nothing_is_left(client)


@on_real_runtime
def test_a_patch_that_only_crun_can_refuse(client):
    path = client.create("crooked", "true", oci_spec_patch='{"mounts": [{"destination": "/x", "type": "nonsense", "source": "none"}]}')
    expect("RuntimeFailed", client.call, path, CONTAINER, "Start")
    assert client.get(path, "State") == "created" and client.get(path, "Result") == "start-failed"
    assert not leftovers()
    client.call(path, CONTAINER, "Remove")
    nothing_is_left(client)


def test_a_caller_that_leaves_is_forgotten(client):
    path = client.create("busy", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    other = Client()
    other.begin(path, CONTAINER, "Wait")
    other.begin(path, CONTAINER, "Pause")
    other.connection.flush_sync(None)
    other.connection.close_sync(None)
    client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert client.get(path, "State") == "exited"


def test_one_wait_for_too_many_is_refused(client):
    path = client.create("waited", "true")
    assert "4096" in expect("InvalidArgs", client.manager, "WaitAny", "a(ot)asa{sv}", [(path, 0)] * 4097, ["running"], {})


def test_wrong_signature_is_named(client):
    path = client.create("typed", "true")
    expect("InvalidArgs", client.call, path, CONTAINER, "Kill", "s", "leader")


if __name__ == "__main__":
    main()
