# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real polkitd on the private bus, with private rules and actions: /etc becomes an overlay of the sandbox with two users and a group more, and the directory of actions holds conbus's own, all in the sandbox's mount namespace.
Agent is an authentication agent for one process; what a person would do at a prompt is allow(), dismiss() or nothing."""

import os
import shutil
import subprocess

from harness import SOURCE, Client, Gio, GLib, Skip, wait_for

NAME, PATH, INTERFACE = "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority"
ACTIONS = "/usr/share/polkit-1/actions"
PROGRAMS = ("/usr/lib/polkit-1/polkitd", "/usr/libexec/polkitd", "/usr/libexec/polkit-1/polkitd")
USERS, GROUP = {"conbus-alice": 61234, "conbus-bob": 61235}, ("conbus-web", 61300)
ADMINISTRATOR = 'polkit.addAdminRule(function(action, subject) { return ["unix-user:0"]; });\n'

AGENT = """<node><interface name="org.freedesktop.PolicyKit1.AuthenticationAgent">
<method name="BeginAuthentication"><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="a{ss}" direction="in"/><arg type="s" direction="in"/><arg type="a(sa{sv})" direction="in"/></method>
<method name="CancelAuthentication"><arg type="s" direction="in"/></method>
</interface></node>"""


def rule(condition):
    """A rule that says yes where the condition holds; subject and action are known in it."""
    return f"polkit.addRule(function(action, subject) {{ if ({condition}) return polkit.Result.YES; }});\n"


class Polkit:
    def __init__(self, client):
        self.program = next((path for path in PROGRAMS if os.path.exists(path)), None)
        if not self.program:
            raise Skip("polkitd is not installed")
        self.client, self.process = client, None
        top = os.environ["CONBUS_SANDBOX"] + "/polkit"
        if not os.path.exists(top):
            os.makedirs(f"{top}/upper")
            os.makedirs(f"{top}/work")
            os.makedirs(f"{top}/actions")
            subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/etc,upperdir={top}/upper,workdir={top}/work", "/etc"], check=True)
            # A bus daemon refuses users that it cannot look up.
            with open("/etc/passwd", "a", encoding="utf-8") as users, open("/etc/group", "a", encoding="utf-8") as groups:
                for name, uid in USERS.items():
                    users.write(f"{name}:x:{uid}:{uid}::/:/bin/sh\n")
                    groups.write(f"{name}:x:{uid}:\n")
                groups.write(f"{GROUP[0]}:x:{GROUP[1]}:\n")
            for policy in (f"{SOURCE}/data/io.conbus1.policy", f"{ACTIONS}/org.freedesktop.policykit.policy"):
                shutil.copy(policy, f"{top}/actions")
            subprocess.run(["mount", "--bind", f"{top}/actions", ACTIONS], check=True)

    def owner(self):
        try:
            return self.client.connection.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner", GLib.Variant("(s)", (NAME,)), None, 0, -1, None).unpack()[0]
        except GLib.Error:
            return None

    def start(self, rules=""):
        """polkitd with these rules alone, from the beginning: it has read them when it has its name."""
        self.stop()
        with open("/etc/polkit-1/rules.d/10-test.rules", "w", encoding="utf-8") as file:
            file.write(ADMINISTRATOR + rules)
        os.chmod("/etc/polkit-1/rules.d/10-test.rules", 0o644)
        self.process = subprocess.Popen([self.program, "--no-debug"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.owner, "polkitd's name", poll=True)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            wait_for(lambda: not self.owner(), "polkitd's end", poll=True)
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.stop()


class Agent:
    """For the calls of one UserClient. prompts: those that stand open, oldest first: action, message, details, cookie."""

    path = "/org/conbus/test/agent"

    def __init__(self, client, user, register=True):
        self.connection, self.uid, self.prompts, self.cancelled, self.seen = client.connection, user.uid, [], [], []
        with open(f"/proc/{user.pid}/stat", encoding="ascii") as stat:
            start_time = int(stat.read().rsplit(")", 1)[1].split()[19])
        self.subject = GLib.Variant("(sa{sv})", ("unix-process", {"pid": GLib.Variant("u", user.pid), "start-time": GLib.Variant("t", start_time), "uid": GLib.Variant("i", user.uid)}))
        info = Gio.DBusNodeInfo.new_for_xml(AGENT).interfaces[0]
        self.registration = self.connection.register_object(self.path, info, self._on_call, None, None)
        if register:
            self.register()

    def register(self):
        error = self.authority("RegisterAuthenticationAgent", GLib.Variant.new_tuple(self.subject, GLib.Variant("s", "C"), GLib.Variant("s", self.path)))
        assert not error, error

    def authority(self, method, arguments):
        """Calls polkit; the error it answers with, or None."""
        done = []

        def on_answer(connection, result):
            try:
                connection.call_finish(result)
                done.append(None)
            except GLib.Error as error:
                done.append(error)

        self.connection.call(NAME, PATH, INTERFACE, method, arguments, None, 0, -1, None, on_answer)
        wait_for(lambda: done, f"polkit's answer to {method}")
        return done[0]

    def _on_call(self, connection, sender, path, interface, method, arguments, invocation):
        if method == "CancelAuthentication":
            cookie = arguments.unpack()[0]
            self.cancelled.append(cookie)
            for prompt in [prompt for prompt in self.prompts if prompt["cookie"] == cookie]:
                self.prompts.remove(prompt)
                prompt["invocation"].return_dbus_error("org.freedesktop.PolicyKit1.Error.Cancelled", "cancelled")
            invocation.return_value(None)
            return
        action, message, _, details, cookie, identities = arguments.unpack()
        self.seen.append(action)
        self.prompts.append({"action": action, "message": message, "details": details, "cookie": cookie, "identity": identities[0], "invocation": invocation})

    def wait(self, count=1):
        wait_for(lambda: len(self.prompts) >= count, f"{count} prompts")
        return self.prompts[0]

    def allow(self):
        prompt = self.prompts.pop(0)
        kind, identity = prompt["identity"]
        # polkit 122 goes by who registered the agent, 126 by whom it was registered for.
        for uid in (0, self.uid):
            error = self.authority("AuthenticationAgentResponse2", GLib.Variant("(us(sa{sv}))", (uid, prompt["cookie"], (kind, {"uid": GLib.Variant("u", identity["uid"])}))))
            if not error:
                break
        assert not error, error
        prompt["invocation"].return_value(None)

    def dismiss(self):
        self.prompts.pop(0)["invocation"].return_dbus_error("org.freedesktop.PolicyKit1.Error.Cancelled", "dismissed")

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.connection.unregister_object(self.registration)


AUTHORITY = """<node><interface name="org.freedesktop.PolicyKit1.Authority">
<method name="CheckAuthorization"><arg type="(sa{sv})" direction="in"/><arg type="s" direction="in"/><arg type="a{ss}" direction="in"/><arg type="u" direction="in"/><arg type="s" direction="in"/><arg type="s" direction="out"/></method>
<method name="CancelCheckAuthorization"><arg type="s" direction="in"/></method>
</interface></node>"""


class FakePolkit:
    """Has polkit's name and answers with the function answer(question, invocation), or not at all."""

    def __init__(self):
        self.connection, self.questions, self.cancelled, self.answer = Client().connection, [], [], None
        info = Gio.DBusNodeInfo.new_for_xml(AUTHORITY).interfaces[0]
        self.connection.register_object(PATH, info, self._on_call, None, None)
        self.connection.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", GLib.Variant("(su)", (NAME, 0)), None, 0, -1, None)

    def _on_call(self, connection, sender, path, interface, method, arguments, invocation):
        if method == "CancelCheckAuthorization":
            self.cancelled += arguments.unpack()
            return
        self.questions.append(arguments.unpack())
        self.answer(self.questions[-1], invocation)

    def allow(self, invocation):
        """By hand: the declared form is one that polkit does not have."""
        answer = Gio.DBusMessage.new_method_reply(invocation.get_message())
        answer.set_body(GLib.Variant("((bba{ss}))", ((True, False, {}),)))
        self.connection.send_message(answer, Gio.DBusSendMessageFlags.NONE)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.connection.close_sync(None)
