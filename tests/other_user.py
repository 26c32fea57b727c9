# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients of the private bus that are not root. UserClient(uid) is a process of its own with that user id, which makes the calls it is told of on its standard input, a line of JSON each, and prints the answers;
here it looks like harness.Client. Leaving the bus is leave(), or kill() without a goodbye. Descriptors of an answer go to the list descriptors, or stay with the other process (keep)."""

import json
import os
import resource
import select
import signal
import socket
import sys

from harness import DEADLINE, NAME, Client, Error, Gio, GLib, wait_for


class UserClient(Client):
    def __init__(self, uid, groups=()):
        self.uid, self.boxes, self.count, self.rest, self.descriptors, self.signals = uid, {}, 0, b"", [], []
        self.channel, other = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            os.dup2(other.fileno(), 0)
            os.dup2(other.fileno(), 1)
            os.execv(sys.executable, [sys.executable, os.path.abspath(__file__), str(uid), *[str(group) for group in groups]])
        other.close()
        self.watch = GLib.io_add_watch(self.channel.fileno(), GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN | GLib.IOCondition.HUP, self._on_answers)
        self.name = None
        wait_for(lambda: self.name, "the other user's connection")

    def _on_answers(self, fd, condition):
        data, descriptors, _, _ = socket.recv_fds(self.channel, 65536, 16)
        self.descriptors += descriptors
        if not data:
            return False
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            if "name" in answer:
                self.name = answer["name"]
            else:
                self.boxes.pop(answer["number"]).append(answer)
        return True

    def begin(self, path, interface, method, signature="", *values, timeout=DEADLINE, interactive=False, keep=False):
        """arguments may be given as one GLib.Variant tuple instead of signature and values; handles in it are standard input."""
        box = []
        arguments = signature if isinstance(signature, GLib.Variant) else GLib.Variant(f"({signature})", values) if signature else None
        self.count += 1
        self.boxes[self.count] = box
        call = {"number": self.count, "path": path, "interface": interface, "method": method, "arguments": arguments and arguments.print_(True), "interactive": interactive, "keep": keep, "timeout": timeout}
        self._send(json.dumps(call).encode() + b"\n")
        return box

    def _send(self, data):
        """Reads answers meanwhile: the other process may have to get rid of some before it takes more."""
        while data:
            select.select([self.channel], [self.channel], [], DEADLINE)
            try:
                data = data[self.channel.send(data, socket.MSG_DONTWAIT):]
            except BlockingIOError:
                GLib.MainContext.default().iteration(False)

    def finish(self, box):
        wait_for(lambda: box, "an answer")
        answer = box[0]
        if "error" in answer:
            raise Error(answer["error"], answer["message"])
        return GLib.Variant.parse(None, answer["value"], None, None).unpack()

    def call(self, path, interface, method, signature="", *values, **keys):
        return self.finish(self.begin(path, interface, method, signature, *values, **keys))

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        self.leave()

    def leave(self):
        if self.pid:
            GLib.source_remove(self.watch)
            self.channel.shutdown(socket.SHUT_WR)
            os.waitpid(self.pid, 0)
            self.channel.close()
            for fd in self.descriptors:
                os.close(fd)
        self.pid = 0

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.leave()


class Child:
    """The other side."""

    def __init__(self):
        self.connection = Client().connection
        self.loop, self.rest, self.kept, self.channel = GLib.MainLoop(), b"", [], socket.socket(fileno=1)
        GLib.io_add_watch(0, GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN | GLib.IOCondition.HUP, self._on_commands)
        self.say(name=self.connection.get_unique_name())

    def say(self, descriptors=(), **words):
        data = json.dumps(words).encode() + b"\n"
        sent = socket.send_fds(self.channel, [data], descriptors)
        self.channel.sendall(data[sent:])

    def _on_commands(self, fd, condition):
        data = os.read(fd, 65536)
        if not data:
            self.loop.quit()
            return False
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.call(**json.loads(line))
        return True

    def call(self, number, path, interface, method, arguments, interactive, keep, timeout):
        def done(connection, result):
            try:
                value, fd_list = connection.call_with_unix_fd_list_finish(result)
                descriptors = fd_list.steal_fds() if fd_list else []
                self.say(() if keep else descriptors, number=number, value=value.print_(True))
                if keep:
                    self.kept += descriptors
                else:
                    for fd in descriptors:
                        os.close(fd)
            except GLib.Error as error:
                name = Gio.DBusError.get_remote_error(error) or error.domain
                Gio.DBusError.strip_remote_error(error)
                self.say(number=number, error=name, message=error.message)

        flags = Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION if interactive else Gio.DBusCallFlags.NONE
        value = arguments and GLib.Variant.parse(None, arguments, None, None)
        fds = None
        if arguments and "handle " in arguments:
            fds = Gio.UnixFDList.new()
            fds.append(0)
        self.connection.call_with_unix_fd_list(NAME, path, interface, method, value, None, flags, int(timeout * 1000), fds, None, done)


def main():
    uid, *groups = [int(word) for word in sys.argv[1:]]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.setgroups(groups)
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    Child().loop.run()


if __name__ == "__main__":
    main()
