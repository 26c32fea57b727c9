#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Profiles of the administrator, and what their owners may do with containers that came from one."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, HEALTH, MANAGER, SOURCE, GLib, expect, main, options, run, wait_output  # noqa: E402
from other_user import UserClient  # noqa: E402
from polkit import GROUP, USERS, Agent, Polkit, rule  # noqa: E402

ALICE, BOB = USERS.values()
DIRECTORY = "/etc/conbus/profiles.d"
MAY_CREATE = rule('action.id == "io.conbus1.create-from-profile"')


def write(name, text, mode=0o644, owner=0):
    """A profile; /etc is the overlay of Polkit."""
    os.makedirs(DIRECTORY, exist_ok=True)
    path = f"{DIRECTORY}/{name}.conf"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace("ROOTFS", os.environ["CONBUS_TEST_ROOTFS"]))
    os.chmod(path, mode)
    os.chown(path, owner, owner)


BASIC = "[Profile]\nOpen=command;env;health\n[Config]\nrootfs='ROOTFS'\ncommand=['sleep', '1000']\nmemory=67108864\n"


def create(user, name, profile, **config):
    return user.call("/io/conbus1", MANAGER, "CreateContainer", "ssa{sv}", name, "", options(profile=profile, **config))[0]


def spec_of(client, path):
    client.call(path, CONTAINER, "Init")
    return client.call(path, CONTAINER, "GetSpec")[0]


def test_a_user_creates_what_the_profile_opens(client):
    with Polkit(client) as polkit, UserClient(ALICE) as user:
        polkit.start(MAY_CREATE)
        write("basic", BASIC)
        path = create(user, "mine", "basic", env=["A=1"])
        assert client.get(path, "OwnerUID") == ALICE
        spec = spec_of(client, path)
        assert '"sleep"' in spec and "67108864" in spec and '"A=1"' in spec
        assert "memory" in expect("AccessDenied", create, user, "more", "basic", memory=1 << 40)
        assert "mounts" in expect("AccessDenied", create, user, "more", "basic", mounts=GLib.Variant("aa{sv}", []))
        assert "rootfs" in expect("AccessDenied", create, user, "more", "basic", rootfs="/")
        expect("UnknownOption", create, user, "more", "basic", colour="red")
        assert "image" in expect("AccessDenied", user.call, "/io/conbus1", MANAGER, "CreateContainer", "ssa{sv}", "more", "busybox", options(profile="basic"))
        # Root is held to the profile it names as well.
        expect("AccessDenied", client.manager, "CreateContainer", "ssa{sv}", "more", "", options(profile="basic", memory=1 << 40))
        assert len(client.manager("ListContainers")[0]) == 1
        path, run = user.call("/io/conbus1", MANAGER, "RunContainer", "ssasa{sv}", "ran", "", ["true"], options(profile="basic"))
        assert run == 1 and client.call(path, CONTAINER, "Wait")[1] == 0


def test_without_the_right_or_a_profile_nothing_is_created(client):
    with Polkit(client) as polkit, UserClient(ALICE) as user:
        write("basic", BASIC)
        polkit.start()
        expect("InteractiveAuthorizationRequired", create, user, "x", "basic")
        polkit.start(MAY_CREATE)
        for config in (options(command=["true"]), options(profile=GLib.Variant("u", 5)), options(profile="../basic"), options(profile="")):
            expect("InteractiveAuthorizationRequired", user.call, "/io/conbus1", MANAGER, "CreateContainer", "ssa{sv}", "x", "", config)
        # A second profile behind the one that was asked about.
        twice = GLib.Variant.parse(None, "('x', '', [{'profile', <'basic'>}, {'profile', <'other'>}])", None, None)
        assert twice.get_type_string() == "(ssa{sv})"
        assert "twice" in expect("InvalidConfig", user.call, "/io/conbus1", MANAGER, "CreateContainer", twice)
        # A bundle is a path of the caller's: it takes the full right, and no profile.
        expect("InteractiveAuthorizationRequired", user.call, "/io/conbus1", MANAGER, "CreateContainerFromBundle", "ssa{sv}", "x", "/", options(profile="basic"))
        expect("UnknownOption", client.manager, "CreateContainerFromBundle", "ssa{sv}", "x", "/", options(profile="basic"))
        assert client.manager("ListContainers")[0] == []


def test_a_prompt_names_the_profile(client):
    with Polkit(client) as polkit, UserClient(ALICE) as user:
        write("basic", BASIC)
        polkit.start()
        with Agent(client, user) as agent:
            call = user.begin("/io/conbus1", MANAGER, "CreateContainer", "ssa{sv}", "x", "", options(profile="basic"), interactive=True)
            prompt = agent.wait()
            assert prompt["action"] == "io.conbus1.create-from-profile" and '"basic"' in prompt["message"], prompt
            # What counts is the file at the time of the creation.
            write("basic", BASIC.replace("67108864", "134217728"))
            agent.allow()
            assert "134217728" in spec_of(client, user.finish(call)[0])


def test_a_profile_is_for_its_users_and_groups(client):
    name, gid = GROUP
    with Polkit(client) as polkit, UserClient(ALICE) as alice, UserClient(BOB) as bob, UserClient(BOB, [gid]) as member:
        polkit.start(MAY_CREATE)
        for users, groups, may in (("conbus-alice", "", "a"), (str(ALICE), "", "a"), ("", name, "m"), ("", str(gid), "m"), ("conbus-alice", name, "am"), ("nobody-at-all;conbus-bob", "", "bm")):
            write("some", f"[Profile]\nUsers={users}\nGroups={groups}\nOpen=command\n[Config]\nrootfs='ROOTFS'\ncommand=['true']\n")
            for letter, user in (("a", alice), ("b", bob), ("m", member)):
                if letter in may:
                    client.call(create(user, "one", "some"), CONTAINER, "Remove")
                else:
                    assert "not for user" in expect("AccessDenied", create, user, "one", "some"), (users, groups, letter)


def test_only_files_of_root_are_profiles(client):
    with Polkit(client) as polkit, UserClient(ALICE) as user:
        polkit.start(MAY_CREATE)
        expect("InvalidConfig", create, user, "x", "missing")
        write("theirs", BASIC, owner=ALICE)
        assert "root" in expect("InvalidConfig", create, user, "x", "theirs")
        write("wide", BASIC, mode=0o666)
        assert "root" in expect("InvalidConfig", create, user, "x", "wide")
        write("faulty", BASIC + "[Profile]\nOpen=mounts\n")
        assert "OpenAsRoot" in expect("InvalidConfig", create, user, "x", "faulty")
        write("basic", BASIC)
        os.chmod(DIRECTORY, 0o777)
        expect("InvalidConfig", create, user, "x", "basic")
        os.chmod(DIRECTORY, 0o755)
        # The rules of creation hold for what a profile says, too.
        write("wrong", "[Profile]\nOpen=command\n[Config]\nrootfs='ROOTFS'\nmemory=5\n")
        assert "memory" in expect("InvalidConfig", create, user, "x", "wrong", command=["true"])
        write("bare", "[Profile]\nOpen=command\n[Config]\nrootfs='ROOTFS'\n")
        assert "command" in expect("InvalidConfig", create, user, "x", "bare")
        create(user, "x", "basic")


def test_directories_that_others_can_exchange_are_refused(client):
    top = os.environ["CONBUS_SANDBOX"]
    for name in ("trees", "trees/good", "loose", "loose/tree"):
        os.makedirs(f"{top}/{name}", exist_ok=True)
    os.chown(f"{top}/loose", ALICE, ALICE)
    if not os.path.lexists(f"{top}/trees/link"):
        os.symlink("/", f"{top}/trees/link")
    with Polkit(client) as polkit, UserClient(ALICE) as user:
        polkit.start(MAY_CREATE)
        write("trees", f"[Profile]\nOpen=rootfs\nRootfs={top}/trees/;{top}/loose/\n[Config]\ncommand=['true']\n")
        assert "exchange" in expect("AccessDenied", create, user, "x", "trees", rootfs=f"{top}/loose/tree")
        assert "link" in expect("AccessDenied", create, user, "x", "trees", rootfs=f"{top}/trees/link")
        expect("AccessDenied", create, user, "x", "trees", rootfs=f"{top}/trees")
        expect("InvalidConfig", create, user, "x", "trees", rootfs=f"{top}/trees/good/../../loose")
        expect("NoSuchPath", create, user, "x", "trees", rootfs=f"{top}/trees/missing")
        create(user, "x", "trees", rootfs=f"{top}/trees/good")


def test_a_user_has_only_so_many(client):
    with Polkit(client) as polkit, UserClient(ALICE) as alice, UserClient(BOB) as bob:
        polkit.start(MAY_CREATE)
        write("few", BASIC.replace("Open=", "ContainersPerUser=3\nOpen="))
        calls = [alice.begin("/io/conbus1", MANAGER, "CreateContainer", "ssa{sv}", f"a{i}", "", options(profile="few")) for i in range(8)]
        made = []
        for call in calls:
            try:
                made.append(alice.finish(call)[0])
            except Exception as error:  # noqa: B902
                assert error.name == "LimitsExceeded", error
        assert len(made) == 3 and len(client.manager("ListContainers")[0]) == 3
        create(bob, "b0", "few")
        client.call(made[0], CONTAINER, "Remove")
        create(alice, "again", "few")
        for i in range(4):
            create(client, f"r{i}", "few")


# A process of its own, which becomes the user when it has imported what it needs: UserClient has no descriptors to send.
SENDER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from harness import MANAGER, Client, Error, GLib, options
reader, writer = os.pipe()
os.write(writer, b"told by a user\\n")
os.close(writer)
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
secret = options(name="key", value_fd=GLib.Variant("h", 0), **({"target": sys.argv[4]} if len(sys.argv) > 4 else {}))
config = options(profile=sys.argv[3], secrets=GLib.Variant("aa{sv}", [secret]))
try:
    print(Client(signals=False).manager("CreateContainer", "ssa{sv}", "told", "", config, fds=[reader])[0])
except Error as error:
    print(error.name, error.message)
"""


def test_a_secret_of_a_user_goes_where_the_profile_says(client):
    """The call waits for the answer about the right, with its descriptor."""

    def create_with_secret(*words):
        return run(sys.executable, "-c", SENDER, f"{SOURCE}/tests", str(ALICE), "told", *words).strip()

    with Polkit(client) as polkit:
        polkit.start(MAY_CREATE)
        write("told", "[Profile]\nOpen=secrets\n[Config]\nrootfs='ROOTFS'\ncommand=['sh', '-c', 'cat /run/secrets/key; exec sleep 1000']\n")
        refused = create_with_secret("/etc/passwd")
        assert refused.startswith("AccessDenied") and "secrets/target" in refused, refused
        path = create_with_secret()
        client.call(path, CONTAINER, "Start")
        wait_output(path, "told by a user")
        write("wide", "[Profile]\nOpen=volumes\n")
        assert "OpenAsRoot" in expect("InvalidConfig", create, client, "x", "wide")


def test_owners_manage_their_own(client):
    check = GLib.Variant("a{sv}", options(test=["CMD", "true"]))
    with Polkit(client) as polkit, UserClient(ALICE) as alice, UserClient(BOB) as bob:
        polkit.start(MAY_CREATE)
        write("basic", BASIC)
        path = create(alice, "mine", "basic", health=check)
        assert alice.call(path, CONTAINER, "Start") == (1,)
        assert alice.call(path, HEALTH, "Check")[1] == 0
        assert alice.call(path, HEALTH, "GetLog", "u", 0)
        assert alice.call(path, CONTAINER, "ReadLog", "ua{sv}", 5, {})[1]
        alice.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
        alice.call(path, CONTAINER, "Rename", "s", "renamed")
        for method, signature, *values in (("Remove", ""), ("Inspect", ""), ("GetSpec", "")):
            expect("InteractiveAuthorizationRequired", alice.call, path, CONTAINER, method, signature, *values)
        expect("InteractiveAuthorizationRequired", bob.call, path, CONTAINER, "Start")
        expect("InteractiveAuthorizationRequired", bob.call, path, HEALTH, "GetLog", "u", 0)
        expect("InteractiveAuthorizationRequired", bob.call, path, CONTAINER, "ReadLog", "ua{sv}", 5, {})
        expect("InteractiveAuthorizationRequired", bob.call, path, CONTAINER, "OpenLog", "a{sv}", {})
        # Owned, and not from a profile: the usual right. And from a profile, but another's.
        polkit.start(MAY_CREATE + rule('action.id == "io.conbus1.create"'))
        plain = alice.call("/io/conbus1", MANAGER, "CreateContainer", "ssa{sv}", "plain", "", options(rootfs=os.environ["CONBUS_TEST_ROOTFS"], command=["true"]))[0]
        assert client.get(plain, "OwnerUID") == ALICE
        expect("InteractiveAuthorizationRequired", alice.call, plain, CONTAINER, "Start")
        # A site may take it away, or give more.
        polkit.start('polkit.addRule(function(action, subject) { if (action.id == "io.conbus1.manage-own") return polkit.Result.NO; });\n')
        assert "manage-own" in expect("AccessDenied", alice.call, path, CONTAINER, "Start")
        polkit.start(rule('action.id == "io.conbus1.remove" && action.lookup("own") == "yes" && action.lookup("profile") == "basic"'))
        expect("InteractiveAuthorizationRequired", bob.call, path, CONTAINER, "Remove")
        alice.call(path, CONTAINER, "Remove")
        expect("InteractiveAuthorizationRequired", alice.call, plain, CONTAINER, "Remove")


if __name__ == "__main__":
    main()
