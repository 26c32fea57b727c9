#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The gate on the system bus of a machine, with its polkit as systemd activates it, and the policies as they are installed."""

import fcntl
import os
import pty
import select
import shutil
import subprocess
import sys
import termios

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [TESTS, f"{TESTS}/client"]
from harness import CONTAINER, DEADLINE, MANAGER, Skip, main, options, run, wait_for  # noqa: E402
from terminal import Terminal  # noqa: E402
from units import managed, wait_free  # noqa: E402

RULES, PROFILES = "/etc/polkit-1/rules.d/10-conbus-test.rules", "/etc/conbus/profiles.d"
USER = "conbus-user"


def as_user(path, member, *arguments, interface=CONTAINER):
    """A call of busctl by somebody who is nobody here; exit status and what was said."""
    words = ["busctl", "--allow-interactive-authorization=no", "call", "io.conbus1", path, interface, member, *arguments]
    done = subprocess.run(["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    return done.returncode, done.stdout


def make_user():
    if subprocess.run(["id", USER], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode != 0:
        run("useradd", USER)


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def allow_starts():
    """So many restarts in a row are no fault here (StartLimitBurst=)."""
    run("systemctl", "reset-failed", "polkit.service", check=False)


def rules(text):
    """What polkit goes by from now on."""
    write(RULES, text)
    allow_starts()
    run("systemctl", "restart", "polkit.service")


def test_the_policy_is_known_to_polkit(client):
    actions = run("pkaction").split()
    for name in ("manage", "manage-own", "create", "create-from-profile", "remove", "inspect", "read-logs", "cancel-others"):
        assert f"io.conbus1.{name}" in actions, name


def test_others_than_root_look_and_do_not_touch(client):
    make_user()
    path = client.create("web", "sleep", "1000")
    status, text = as_user("/io/conbus1", "ListContainers", interface=MANAGER)
    assert status == 0 and '"web" "created"' in text, text
    status, text = as_user(path, "Start")
    assert status != 0 and "io.conbus1.manage" in text and "would have to authenticate" in text, text
    assert client.get(path, "State") == "created"


def test_a_rule_on_a_label_lets_a_user_do_it(client):
    make_user()
    web, db = client.create("web", "sleep", "1000", labels={"team": "web"}), client.create("db", "sleep", "1000", labels={"team": "db"})
    rules(f'polkit.addRule(function(action, subject) {{ if (action.id == "io.conbus1.manage" && action.lookup("label.team") == "web" && subject.user == "{USER}") return polkit.Result.YES; }});\n')
    assert as_user(web, "Start") == (0, "t 1\n")
    status, text = as_user(db, "Start")
    assert status != 0 and "io.conbus1.manage" in text, text
    assert client.get(web, "State") == "running" and client.get(db, "State") == "created"
    assert as_user("/io/conbus1", "Can", "os", web, "stop", interface=MANAGER)[1] == 's "yes"\n'
    assert as_user("/io/conbus1", "Can", "os", db, "start", interface=MANAGER)[1] == 's "challenge"\n'
    client.call(web, CONTAINER, "Kill", "si", "leader", 9)


def test_a_rule_sees_the_unit(client):
    make_user()
    path = client.create("web", "sleep", "1000")
    rules('polkit.addRule(function(action, subject) { if (action.id == "io.conbus1.manage" && action.lookup("unit").indexOf("conbus-") == 0) return polkit.Result.YES; });\n')
    assert as_user(path, "SetAutoStart", "s", "enabled")[0] != 0, "nothing runs, so there is no unit"
    client.call(path, CONTAINER, "Start")
    assert as_user(path, "SetAutoStart", "s", "enabled") == (0, "")
    client.call(path, CONTAINER, "Kill", "si", "leader", 9)


def test_a_rule_sees_the_owning_unit(client):
    make_user()
    (path, unit), other = managed(client, "web"), client.create("db", "sleep", "1000")
    rules(f'polkit.addRule(function(action, subject) {{ if (action.id == "io.conbus1.manage" && action.lookup("managed-by") == "{unit}") return polkit.Result.YES; }});\n')
    assert as_user(path, "Restart") == (0, "t 2\n")
    assert as_user(other, "Start")[0] != 0
    run("systemctl", "stop", unit)
    wait_free(client, path)
    assert as_user(path, "Start")[0] != 0, "nobody owns it any more"


def test_a_user_creates_from_a_profile_and_manages_his_own(client):
    make_user()
    rules(f'polkit.addRule(function(action, subject) {{ if (action.id == "io.conbus1.create-from-profile" && action.lookup("profile") == "small" && subject.user == "{USER}") return polkit.Result.YES; }});\n')
    write(f"{PROFILES}/small.conf", f"[Profile]\nOpen=command\n[Config]\nrootfs='{os.environ['CONBUS_TEST_ROOTFS']}'\n")
    status, text = as_user("/io/conbus1", "CreateContainer", "ssa{sv}", "mine", "", "2", "profile", "s", "small", "command", "as", "2", "sleep", "1000", interface=MANAGER)
    assert status == 0, text
    assert as_user("/container/mine", "Start") == (0, "t 1\n")
    assert as_user("/container/mine", "StopWith", "a{sv}", "1", "timeout-usec", "t", "0") == (0, "t 1\n")
    status, text = as_user("/container/mine", "Remove")
    assert status != 0 and "io.conbus1.remove" in text, text
    assert client.get("/container/mine", "OwnerUID") == int(run("id", "-u", USER))


class Asked:
    """A call of busctl by the user, and polkit's own agent for it on a terminal, at which this is the person. PAM looks at the password, as at any other prompt."""

    password = "correct horse"

    def __init__(self, path, member):
        words = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"]
        call = f"read go; exec busctl --timeout=300 --allow-interactive-authorization=yes call io.conbus1 {path} {CONTAINER} {member}"
        self.caller = subprocess.Popen([*words, "sh", "-c", call], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: R1732
        self.terminal, other = pty.openpty()
        ready, end = os.pipe()
        command = ["pkttyagent", "--process", str(self.caller.pid), "--notify-fd", str(end)]
        self.agent = subprocess.Popen([*words, *command], stdin=other, stdout=other, stderr=other, pass_fds=[end], start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))  # noqa: R1732
        os.close(other)
        os.close(end)
        assert select.select([ready], [], [], DEADLINE)[0], "the agent was not registered"
        os.close(ready)
        self.caller.stdin.write("go\n")
        self.caller.stdin.flush()

    def prompt(self):
        """What the terminal shows, up to the question for the password."""
        text = ""
        while not text.endswith("Password: "):
            assert select.select([self.terminal], [], [], DEADLINE)[0], f"no prompt: {text}"
            text += os.read(self.terminal, 4096).decode()
        return text

    def give(self, password=password):
        os.write(self.terminal, password.encode() + b"\n")

    def finish(self):
        said = self.caller.communicate(timeout=DEADLINE)[0]
        return self.caller.returncode, said

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        for process in self.caller, self.agent:
            process.kill()
            process.wait()
        os.close(self.terminal)


def need_agent():
    if not shutil.which("pkttyagent"):
        raise Skip("pkttyagent is not installed in this machine")
    make_user()
    rules('polkit.addAdminRule(function(action, subject) { return ["unix-user:0"]; });\n')
    run("chpasswd", input=f"root:{Asked.password}\n")


def test_a_prompt_is_answered_with_a_password(client):
    need_agent()
    path = client.create("web", "sleep", "1000")
    with Asked(path, "Start") as asked:
        text = asked.prompt()
        assert "io.conbus1.manage" in text and '"web"' in text and client.get(path, "State") == "created", text
        asked.give()
        assert asked.finish() == (0, "t 1\n")
    with Asked(path, "Restart") as asked:
        asked.prompt()
        asked.give("wrong")
        status, said = asked.finish()
        assert status != 0 and "denied" in said and client.get(path, "Run") == 1, said
    client.call(path, CONTAINER, "Kill", "si", "leader", 9)


def test_conbusctl_asks_at_its_terminal(client):
    need_agent()
    path = client.create("web", "sleep", "1000")
    words = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups", "conbusctl"]
    done = subprocess.run([*words, "start", "web"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 1 and "no authentication agent runs" in done.stderr, done
    for password, state in (("wrong", "created"), (Asked.password, "running")):
        terminal = Terminal(*words[1:], "start", "web", program=words[0])
        terminal.expect(b"Password: ")
        assert client.get(path, "State") == "created"
        terminal.type(password.encode() + b"\n")
        assert (terminal.wait() == 0) == (state == "running") and client.get(path, "State") == state
    client.call(path, CONTAINER, "Kill", "si", "leader", 9)


def test_object_and_state_are_looked_up_after_the_prompt(client):
    need_agent()
    path = client.create("blue", "sleep", "1000")
    with Asked("/container/blue", "Start") as asked:
        assert '"blue"' in asked.prompt()
        client.call(path, CONTAINER, "Rename", "s", "bluish")
        asked.give()
        status, said = asked.finish()
        assert status != 0 and '"blue"' in said, said  # nobody has that name now
    with Asked(path, "Start") as asked:
        assert '"bluish"' in asked.prompt()
        client.call(path, CONTAINER, "Rename", "s", "navy")
        asked.give()
        assert '"navy"' in asked.prompt(), "an answer for one question is none for another"
        client.call(path, CONTAINER, "Start")
        asked.give()
        asked.prompt()  # it has a unit now, which a rule might look at
        asked.give()
        status, said = asked.finish()
        assert status != 0 and "it runs already" in said and client.get(path, "Run") == 1, said
    with Asked(path, "Pause") as asked:
        asked.prompt()
        client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
        asked.give()
        assert asked.finish()[0] != 0


def test_polkit_is_activated_for_the_question(client):
    make_user()
    path = client.create("asked", "true")
    allow_starts()
    run("systemctl", "stop", "polkit.service")
    wait_for(lambda: run("systemctl", "is-active", "polkit.service", check=False).strip() == "inactive", "polkit's end", poll=True)
    status, text = as_user(path, "Start")
    assert status != 0 and "would have to authenticate" in text, text
    assert run("systemctl", "is-active", "polkit.service").strip() == "active"
    run("systemctl", "mask", "--runtime", "--now", "polkit.service")
    status, text = as_user(path, "Start")
    assert status != 0 and client.get(path, "State") == "created", text
    client.call(path, CONTAINER, "Start")
    run("systemctl", "unmask", "--runtime", "polkit.service")


if __name__ == "__main__":
    main("machine")
