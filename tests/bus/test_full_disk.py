#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk without space under the state directory or the run directory: the named error, nothing half-made, no run lost, and everything works again once there is space."""

import contextlib
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import faults  # noqa: E402
from census import Census  # noqa: E402
from harness import CONTAINER, PROCESS, Error, GLib, Skip, expect, kernel_tells_status, main, options, wait_for  # noqa: E402

STATE, RUN = "/var/lib/conbus", "/run/conbus"
ERROR = "io.conbus1.Error."


class Disk:
    def __init__(self, place):
        self.filler = place + "/filler"

    def fill(self, leave=0):
        """Until nothing is left, or so many bytes."""
        with open(self.filler, "wb", buffering=0) as file:
            if leave:
                space = os.statvfs(self.filler)
                file.write(b"\0" * (space.f_bavail * space.f_bsize - leave))
                return
            for size in (65536, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"\0" * size)

    def free(self):
        os.unlink(self.filler)


def end_service(client):
    client.manager("ListContainers")
    pid = client.service_pid()
    client.kill_service(15)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the service's process", poll=True)


@contextlib.contextmanager
def small_disk(client, place, size="2m"):
    end_service(client)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", place], check=True)
    try:
        yield Disk(place)
    finally:
        end_service(client)
        wait_for(lambda: subprocess.run(["umount", place], check=False).returncode == 0, "the end of a conmon that still has its log there", poll=True)


def said(words):
    with open(os.environ["CONBUS_LOG"], encoding="utf-8", errors="replace") as log:
        return log.read().count(words)


def wait_said(words, before):
    wait_for(lambda: said(words) > before, f"line with {words!r}", poll=True)


def remove(client, path):
    client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))


def test_creation(client):
    with small_disk(client, STATE) as disk:
        census = Census(client)
        disk.fill()
        for name in ("web", "web", ""):
            expect("StorageFull", client.create, name, "true")
        assert client.manager("ListContainers")[0] == []
        disk.free()
        client.call(client.create("web", "true"), CONTAINER, "Remove")
        census.check()


def test_verbs_are_refused_before_they_begin(client):
    with small_disk(client, STATE) as disk:
        census = Census(client)
        path = client.create("web", "sleep", "1000", stop_timeout_usec=0)
        disk.fill()
        for call in (("Start",), ("Init",), ("Restart",), ("Rename", "s", "site"), ("SetAutoStart", "s", "enabled"), ("Remove",)):
            expect("StorageFull", client.call, path, CONTAINER, *call)
            assert (client.get(path, "State"), client.get(path, "Run"), client.get(path, "Name"), client.get(path, "AutoStart")) == ("created", 0, "web", False), call
        assert client.call(path, CONTAINER, "ListRuns", "u", 0)[0] == []
        disk.free()
        assert client.call(path, CONTAINER, "Start") == (1,)
        disk.fill()
        for call in (("Stop",), ("Restart",), ("Pause",), ("RemoveWith", "a{sv}", options(force=True))):
            expect("StorageFull", client.call, path, CONTAINER, *call)
            assert (client.get(path, "State"), client.get(path, "StoppedByUser")) == ("running", False), call
        disk.free()
        client.call(path, CONTAINER, "Pause")
        disk.fill()
        expect("StorageFull", client.call, path, CONTAINER, "Resume")
        assert client.get(path, "State") == "paused"
        disk.free()
        client.call(path, CONTAINER, "Resume")
        assert client.call(path, CONTAINER, "Stop") == (1,)
        client.call(path, CONTAINER, "Rename", "s", "site")
        remove(client, path)
        census.check()


def test_an_end_is_recorded_when_there_is_space_again(client):
    with small_disk(client, STATE) as disk:
        census = Census(client)
        path = client.create("web", "sleep", "1000")
        client.call(path, CONTAINER, "Start")
        waiting = client.begin(path, CONTAINER, "Wait")
        disk.fill()
        before = said("trying again each second")
        os.kill(client.get(path, "MainPID"), 9)
        wait_said("trying again each second", before)
        assert not waiting and client.get(path, "State") == "running", "nothing is told that is not recorded"
        disk.free()
        assert client.finish(waiting) == (1, 137, 9, "signal")
        assert client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})[:3] == ("exited", 1, 137)
        assert client.call(path, CONTAINER, "Start") == (2,)
        remove(client, path)
        census.check()


def test_a_cleanup_is_done_when_there_is_space_again(client):
    with small_disk(client, STATE) as disk:
        census = Census(client)
        path = client.create("web", "sh", "-c", "exit 3")
        gate = faults.Gate("crun", "delete")
        client.call(path, CONTAINER, "Start")
        gate.reached()
        disk.fill()
        before = said("cleanup of container")
        gate.open()
        wait_said("cleanup of container", before)
        assert client.get(path, "State") == "stopped" and client.call(path, CONTAINER, "Wait") == (1, 3, 0, "exit-code")
        disk.free()
        client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["exited"], {})
        remove(client, path)
        census.check()


def test_an_automatic_removal_is_done_when_there_is_space_again(client):
    with small_disk(client, STATE) as disk:
        census = Census(client)
        path = client.create("web", "sh", "-c", "exit 3", auto_remove=True)
        client.call(path, CONTAINER, "Init")
        before = said("removal of container")
        with faults.busy_files(path):
            client.call(path, CONTAINER, "Start")
            wait_said("removal of container", before)
            disk.fill()
        wait_said("removal of container", before + 1)
        assert client.get(path, "State") == "removing"
        disk.free()
        wait_for(lambda: client.manager("ListContainers")[0] == [], "the removal", poll=True)
        assert client.manager("GetRun", "st", path.rsplit("/", 1)[1], 1)[0]["exit-code"] == 3
        census.check()


def test_the_disk_fills_during_a_start(client):
    for program, point in (("conmon", "begin"), ("conmon", "created"), ("crun", "start"), ("crun", "start-done")):
        with small_disk(client, STATE) as disk:
            census = Census(client)
            path = client.create("web", "sleep", "1000", log_driver="none")
            gate = faults.Gate(program, point)
            starting = client.begin(path, CONTAINER, "Start")
            gate.reached()
            disk.fill()
            gate.open()
            expect("StorageFull", client.finish, starting)
            disk.free()
            wait_for(lambda: client.get(path, "Operation") == "" and client.get(path, "State") == "created", "rest", poll=True)
            assert (client.get(path, "Result"), client.get(path, "ExitCode")) == ("start-failed", 125), point
            assert client.call(path, CONTAINER, "Wait") == (1, 125, 0, "start-failed")
            assert client.get(path, "LastErrorName") == ERROR + "StorageFull"
            assert client.call(path, CONTAINER, "Start") == (2,)
            remove(client, path)
            census.check()


def test_a_full_run_directory(client):
    with small_disk(client, RUN) as disk:
        census = Census(client)
        path = client.create("web", "sleep", "1000")
        disk.fill()
        expect("StorageFull", client.call, path, CONTAINER, "Start")
        assert (client.get(path, "State"), client.get(path, "Result"), client.get(path, "ExitCode")) == ("created", "start-failed", 125)
        assert client.get(path, "LastErrorName") == ERROR + "StorageFull"
        disk.free()
        assert client.call(path, CONTAINER, "Start") == (2,)
        remove(client, path)
        census.check()


def test_an_exit_file_for_which_there_is_no_space(client):
    if not kernel_tells_status():
        raise Skip("the kernel does not tell the status of a process that somebody else has reaped")
    with small_disk(client, RUN) as disk:
        census = Census(client)
        path = client.create("web", "sleep", "1000")
        client.call(path, CONTAINER, "Start")
        disk.fill()
        assert client.call(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0)) == (1,)
        assert client.call(path, CONTAINER, "Wait") == (1, 137, 9, "signal")
        disk.free()
        remove(client, path)
        census.check()


def test_a_checkpoint_that_fails_is_not_tried_all_the_time(client):
    with small_disk(client, STATE, "8m") as disk:
        census = Census(client)
        path = client.create("web", "true")
        words = "the checkpoint of the database failed"
        before = said(words)
        disk.fill(leave=(4 << 20) + 65536 - os.stat(f"{STATE}/conbus.db-wal").st_size)
        with contextlib.suppress(Error):
            for number in range(2000):
                client.call(path, CONTAINER, "Rename", "s", f"web{number}")
        wait_said(words, before)
        for _ in range(50):
            client.manager("ListContainers")
        assert said(words) == before + 1
        disk.free()
        client.call(path, CONTAINER, "Rename", "s", "site")
        client.call(path, CONTAINER, "Remove")
        census.check()


def test_the_service_is_restarted_on_a_full_disk(client):
    """It may be unable to start; as soon as there is space it knows what has happened."""
    with small_disk(client, STATE) as disk:
        census = Census(client)
        living, dying = client.create("living", "sleep", "1000"), client.create("dying", "sh", "-c", "sleep 1000")
        for path in (living, dying):
            client.call(path, CONTAINER, "Start")
        pid = client.get(dying, "MainPID")
        disk.fill()
        client.kill_service()
        os.kill(pid, 9)
        wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "its end", poll=True)
        disk.free()
        assert client.get(living, "State") == "running"
        assert client.call(dying, CONTAINER, "Wait") == (1, 137, 9, "signal")
        for path in (living, dying):
            remove(client, path)
        census.check()


def left_in(name):
    return os.listdir(f"{STATE}/{name}") if os.path.exists(f"{STATE}/{name}") else []


def test_a_secret_that_does_not_fit(client):
    """Neither the value nor its container is there, and with space both are."""
    value = os.memfd_create("value")
    os.write(value, b"x" * 300000)
    secrets = GLib.Variant("aa{sv}", [options(name="key", value_fd=GLib.Variant("h", 0))])
    config = options(rootfs=os.environ["CONBUS_TEST_ROOTFS"], rootfs_mode="direct", command=["true"], secrets=secrets)
    with small_disk(client, STATE) as disk:
        client.manager("ListContainers")
        for space in (False, True):
            os.lseek(value, 0, os.SEEK_SET)
            if not space:
                disk.fill(leave=200000)
                expect("StorageFull", client.manager, "CreateContainer", "ssa{sv}", "x", "", config, fds=[value])
                assert left_in("containers") == [] and client.manager("ListContainers")[0] == []
                disk.free()
            else:
                path = client.manager("CreateContainer", "ssa{sv}", "x", "", config, fds=[value])[0]
                client.call(path, CONTAINER, "Remove")
    os.close(value)


def test_a_volume_that_does_not_fit(client):
    rootfs = os.environ["CONBUS_TEST_ROOTFS"]
    os.makedirs(f"{rootfs}/large", exist_ok=True)
    for number in range(4):
        with open(f"{rootfs}/large/{number}", "wb") as file:
            file.write(b"x" * 100000)
    with small_disk(client, STATE) as disk:
        path = client.create("x", "sleep", "1000", rootfs_mode="direct", volumes=["data:/large"])
        disk.fill(leave=250000)
        assert "No space" in expect("StorageFull", client.call, path, CONTAINER, "Start")
        assert left_in("volumes") == [] and client.get(path, "State") == "created"
        disk.free()
        client.call(path, CONTAINER, "Start")
        assert sorted(os.listdir(f"{STATE}/volumes/data/data")) == ["0", "1", "2", "3"]
        client.call(path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))


def running(client):
    path = client.create("web", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    return path


def test_a_process_that_cannot_be_recorded(client):
    with small_disk(client, STATE) as disk:
        census = Census(client)
        path = running(client)
        disk.fill()
        for method, arguments in (("Exec", ["true"]), ("Exec", ["sleep", "1000"])):
            expect("StorageFull", client.call, path, CONTAINER, method, "asa{sv}", arguments, {})
        expect("StorageFull", client.call, path, CONTAINER, "Exec", "asa{sv}", ["true"], options(start=False))
        assert client.get(path, "Processes") == [] and len(client.call(path, CONTAINER, "GetProcesses")[0]) == 1
        disk.free()
        process, _ = client.call(path, CONTAINER, "Exec", "asa{sv}", ["sh", "-c", "exit 3"], {})
        assert client.call(process, PROCESS, "Wait") == (3, 0)
        remove(client, path)
        census.check()


def test_the_end_of_a_process_is_recorded_later(client):
    with small_disk(client, STATE) as disk:
        census = Census(client)
        path = running(client)
        process, _ = client.call(path, CONTAINER, "Exec", "asa{sv}", ["sleep", "1000"], {})
        before = said("trying again each second")
        disk.fill()
        waiting = client.begin(process, PROCESS, "Wait")
        client.call(process, PROCESS, "Kill", "i", 15)
        wait_said("trying again each second", before)
        assert not waiting
        disk.free()
        assert client.finish(waiting) == (143, 15)
        remove(client, path)
        census.check()


def test_a_process_without_room_for_its_directory(client):
    with small_disk(client, RUN) as disk:
        path = running(client)
        disk.fill()
        expect("StorageFull", client.call, path, CONTAINER, "Exec", "asa{sv}", ["true"], {})
        expect("StorageFull", client.call, path, CONTAINER, "ExecCapture", "asa{sv}", ["true"], {})
        assert client.get(path, "Processes") == [] and os.listdir(f"{RUN}/exec") == []
        disk.free()
        assert client.call(path, CONTAINER, "ExecCapture", "asa{sv}", ["echo", "x"], {})[0] == 0
        remove(client, path)


if __name__ == "__main__":
    main(fakes=True)
