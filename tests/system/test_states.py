#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Operations against states, cell by cell. TABLE is the contract: a state is what the container is in afterwards, `ok` leaves the state, a capital abbreviation is an error that leaves it too.

Two states last only while something is done, so they are held: `stopping` by a stop without a deadline, `stopped` and `removing` by a gate in front of `crun delete` (gated-crun). What such a state refuses, and what reads, must answer while it is held;
what queues answers after it was let go."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import CONTAINER, HEALTH, SOURCE, Client, Error, GLib, expect, main, options, wait_for  # noqa: E402

STATES = "created initialized running paused stopping stopped exited unknown".split()
ERRORS = {"IS": "InvalidState", "AR": "AlreadyRunning", "NR": "NotRunning", "AP": "AlreadyPaused", "NP": "NotPaused", "NI": "NotImplemented", "NO": "NoSuchRun"}
TABLE = """
Init                   initialized  IS           IS       IS       IS       initialized  initialized  IS
Start                  running      running      AR       IS       IS       running      running      IS
Restart                running      running      running  IS       running  running      running      IS
Stop                   NR           exited       exited   exited   exited   NR           NR           exited
Kill                   NR           IS           ok       ok       ok       NR           NR           ok
Pause                  NR           IS           paused   AP       IS       NR           NR           IS
Resume                 NP           NP           NP       running  NP       NP           NP           IS
Check                  NR           IS           ok       IS       IS       NR           NR           IS
Rename                 ok           ok           ok       ok       ok       ok           ok           ok
Cleanup                ok           created      IS       IS       exited   exited       ok           exited
Cleanup(only-stopped)  IS           IS           IS       IS       exited   exited       IS           IS
Remove                 gone         gone         IS       IS       IS       gone         gone         IS
Remove(force)          gone         gone         gone     gone     gone     gone         gone         gone
Sync                   ok           ok           ok       ok       ok       ok           ok           ok
Inspect                ok           ok           ok       ok       ok       ok           ok           ok
WaitFor                ok           ok           ok       ok       ok       ok           ok           ok
ShouldRestart          ok           ok           ok       ok       ok       ok           ok           ok
GetRun                 NO           ok           ok       ok       ok       ok           ok           ok
ListRuns               ok           ok           ok       ok       ok       ok           ok           ok
Refresh                NI           NI           NI       NI       NI       NI           NI           NI
"""
QUEUES_WHILE_HELD = ("Rename", "Sync")  # among the rows that change nothing


def call(member, signature="", *values, interface=CONTAINER):
    return lambda bus, path: bus.begin(path, interface, member, signature, *values)


OPERATIONS = {
    "Init": call("Init"),
    "Start": call("Start"),
    "Restart": call("Restart"),
    "Stop": call("Stop"),
    "Kill": call("Kill", "si", "leader", 28),  # WINCH, which nothing minds
    "Pause": call("Pause"),
    "Resume": call("Resume"),
    "Check": call("Check", interface=HEALTH),
    "Rename": call("Rename", "s", "another"),
    "Cleanup": call("Cleanup", "a{sv}", {}),
    "Cleanup(only-stopped)": call("Cleanup", "a{sv}", options(only_stopped=True)),
    "Remove": call("Remove"),
    "Remove(force)": call("RemoveWith", "a{sv}", options(force=True)),
    "Sync": call("Sync"),
    "Inspect": call("Inspect"),
    "WaitFor": call("WaitFor", "asa{sv}", STATES, {}),
    "ShouldRestart": call("ShouldRestart"),
    "GetRun": call("GetRun", "t", 0),
    "ListRuns": call("ListRuns", "u", 0),
    "Refresh": call("Refresh"),
}


class Gate:
    """Holds one verb of crun until it is opened."""

    def __init__(self, verb):
        self.path = f"/run/conbus/gate-{verb}"
        self.open_left_ones()
        os.mkfifo(self.path)

    @staticmethod
    def open_left_ones():
        """A test that failed must not hold up the next."""
        for name in os.listdir("/run/conbus"):
            if name.startswith("gate-"):
                fd = os.open(f"/run/conbus/{name}", os.O_RDWR)
                os.unlink(f"/run/conbus/{name}")
                os.write(fd, b"\n")
                os.close(fd)

    def open(self):
        fds = []

        def reader_came():
            try:
                fds.append(os.open(self.path, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                return False
            return True

        wait_for(reader_came, "crun at its gate", poll=True)
        os.unlink(self.path)
        os.write(fds[0], b"\n")
        os.close(fds[0])


class Held:
    """A container in a given state. release() lets go of what holds it there."""

    def __init__(self, bus, state, **config):
        self.bus, self.state = bus, state
        config.setdefault("stop_timeout_usec", 100000)
        self.path = bus.create("", "sleep", "1000", health=GLib.Variant("a{sv}", options(test=["true"], interval_usec=0)), **config)
        self.id = self.path.rsplit("/", 1)[1]
        self.release = lambda: None
        getattr(self, state)()
        assert bus.get(self.path, "State") == state, f"{bus.get(self.path, 'State')} instead of {state}"

    def call(self, member, *arguments):
        return self.bus.call(self.path, CONTAINER, member, *arguments)

    def created(self):
        pass

    def initialized(self):
        self.call("Init")

    def running(self):
        self.call("Start")

    def paused(self):
        self.call("Start")
        self.call("Pause")

    def stopping(self):
        self.call("Start")
        stop = self.bus.begin(self.path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=2**64 - 1))
        wait_for(lambda: self.bus.get(self.path, "State") == "stopping", "the stop", poll=True)

        def release():
            other = self.bus.begin(self.path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
            assert self.bus.finish(stop) == (1,)
            try:
                self.bus.finish(other)
            except Error as error:  # it came when the stop was over already
                assert error.name in ("NotRunning", "UnknownObject", "UnknownMethod", "Removed", "NoSuchContainer"), error

        self.release = release

    def stopped(self):
        self.call("Start")
        gate = Gate("delete")
        self.call("Kill", "si", "leader", 9)
        self.release = gate.open

    def exited(self):
        self.call("Start")
        self.call("StopWith", "a{sv}", options(timeout_usec=0))

    def unknown(self):
        self.call("Start")
        os.rename(f"/run/conbus/crun/{self.id}", f"/run/conbus/{self.id}")
        assert self.call("Sync") == ("running", "unknown")

    def removing(self):
        os.mkdir(f"/run/conbus/crun/{self.id}")  # as a create that was cut off leaves it, so that crun is asked
        gate = Gate("delete")
        self.removal = self.bus.begin(self.path, CONTAINER, "Remove")
        wait_for(lambda: self.bus.get(self.path, "State") == "removing", "the removal", poll=True)
        self.release = gate.open


def state_of(bus, path):
    try:
        return bus.get(path, "State")
    except Error as error:
        assert error.name in ("UnknownObject", "UnknownProperty", "UnknownMethod", "UnknownInterface"), error
        return "gone"


def rests(bus, path):
    return state_of(bus, path) == "gone" or (bus.get(path, "Operation") == "" and bus.get(path, "State") not in ("stopped", "stopping"))


def check_answer(bus, box, cell):
    if cell in ERRORS:
        expect(ERRORS[cell], bus.finish, box)
    else:
        bus.finish(box)


def check_cell(bus, operation, state, cell):
    held = Held(bus, state)
    box = OPERATIONS[operation](bus, held.path)
    is_held = state in ("stopping", "stopped")
    at_once = not is_held or (state == "stopping" and cell in ERRORS) or operation in ("Kill", "Check")
    if at_once:
        check_answer(bus, box, cell)
    if is_held:
        assert not at_once or state_of(bus, held.path) == state
        if operation not in ("Restart", "Stop", "Remove(force)") or state == "stopped":  # these end the stop themselves
            held.release()
    if not at_once:
        check_answer(bus, box, cell)
    if cell in STATES or cell == "gone":
        expected = cell
    elif is_held:
        wait_for(lambda: rests(bus, held.path), "rest", poll=True)
        expected = "exited"
    else:
        expected = state
    assert state_of(bus, held.path) == expected, f"{operation} in {state}: {state_of(bus, held.path)} instead of {expected}"
    try:
        bus.call(held.path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
    except Error as error:
        assert expected == "gone", error


def make_row(operation, cells):
    def row(client):
        for state, cell in zip(STATES, cells):
            try:
                check_cell(client, operation, state, cell)
            except (AssertionError, Error) as error:
                raise AssertionError(f"{operation} in {state}: {error}") from error

    return row


ROWS = {line.split()[0]: line.split()[1:] for line in TABLE.strip().splitlines()}
READS = [name for name, row in ROWS.items() if not set(row) - {"ok", "NI", "NO"} and name not in QUEUES_WHILE_HELD]
for row_operation, row_cells in ROWS.items():
    assert len(row_cells) == len(STATES)
    if row_operation not in READS:
        row_name = "test_" + row_operation.lower().replace("(", "_").replace(")", "").replace("-", "_")
        globals()[row_name] = make_row(row_operation, row_cells)


def test_reads(client):
    """Rows that change nothing and wait for nothing share a container for each state."""
    for column, state in enumerate(STATES):
        held = Held(client, state)
        for operation in READS:
            check_answer(client, OPERATIONS[operation](client, held.path), ROWS[operation][column])
            assert state_of(client, held.path) == state, f"{operation} in {state}"
        held.release()
        client.call(held.path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))


def test_in_removing_every_other_call_answers_removed(client):
    held = Held(client, "removing")
    for operation in ("Init", "Start", "Restart", "Stop", "Kill", "Pause", "Resume", "Check", "Rename", "Cleanup", "Cleanup(only-stopped)"):
        expect("Removed", client.finish, OPERATIONS[operation](client, held.path))
    for member, signature, values in (("SetAutoStart", "s", ["enabled"]), ("SetRestartPolicy", "su", ["always", 0]), ("OpenPidFd", "", []), ("GetProcesses", "", []), ("GetSpec", "", [])):
        expect("Removed", client.call, held.path, CONTAINER, member, signature, *values)
    for operation in ("Sync", "Inspect", "ShouldRestart", "ListRuns"):
        client.finish(OPERATIONS[operation](client, held.path))
    assert client.call(held.path, CONTAINER, "WaitFor", "asa{sv}", ["removing"], {})[0] == "removing"
    expect("NeverStarted", client.call, held.path, CONTAINER, "Wait")
    expect("NotImplemented", client.finish, OPERATIONS["Refresh"](client, held.path))
    gone = client.begin(held.path, CONTAINER, "WaitFor", "asa{sv}", ["removed"], {})
    again = client.begin(held.path, CONTAINER, "Remove")
    held.release()
    assert client.finish(held.removal) == () and client.finish(gone)[0] == "removed"
    expect("NoSuchContainer", client.finish, again)
    expect("UnknownObject", client.call, held.path, CONTAINER, "Remove")


def test_can_says_what_the_table_says(client):
    """`na` where the plain verb would be an error of the state, `yes` for root elsewhere."""
    impossible = {"IS", "AR", "NR", "AP", "NP"}
    for column, state in enumerate(STATES):
        held = Held(client, state)
        for operation, cells in ROWS.items():
            verb = "".join("-" + letter.lower() if letter.isupper() else letter for letter in operation.removesuffix("For")).lstrip("-")
            if "(" not in operation:
                answer = client.manager("Can", "os", held.path, verb)[0]
                assert answer == ("na" if cells[column] in impossible else "yes"), f"{verb} in {state}: {answer}"
        for member, verb in (("OpenPidFd", "open-pid-fd"), ("GetSpec", "get-spec"), ("GetProcesses", "get-processes"), ("OpenWait", "open-wait")):
            answer = client.manager("Can", "os", held.path, verb)[0]
            assert state == "unknown" or member == "OpenWait" or (answer == "yes") == succeeds(held, member), f"{verb} in {state}: {answer}"
        held.release()
        client.call(held.path, CONTAINER, "RemoveWith", "a{sv}", options(force=True, timeout_usec=0))
    held = Held(client, "removing")
    allowed = {"remove", "sync", "inspect", "wait-for", "wait", "refresh", "list-runs"}
    for verb in allowed | {"start", "stop", "rename", "set-auto-start", "get-spec", "open-pid-fd", "check"}:
        assert client.manager("Can", "os", held.path, verb)[0] == ("yes" if verb in allowed else "na"), verb
    held.release()


def succeeds(held, member):
    try:
        held.call(member)
    except Error:
        return False
    return True


def test_a_removal_that_failed_can_be_repeated(client):
    """`removing` has one way on: trying again."""
    path = client.create("stuck", "sleep", "1000")
    state = f"/var/lib/conbus/containers/{path.rsplit('/', 1)[1]}"
    os.makedirs(f"{state}/held", exist_ok=True)
    assert os.system(f"mount -t tmpfs tmpfs {state}/held") == 0  # rm --one-file-system goes around it
    try:
        expect("Internal", client.call, path, CONTAINER, "Remove")
        assert client.get(path, "State") == "removing"
        expect("Removed", client.call, path, CONTAINER, "Start")
    finally:
        os.system(f"umount {state}/held")
    try:
        client.call(path, CONTAINER, "Remove")
    except Error as error:  # it has been tried again just now
        assert error.name in ("UnknownObject", "UnknownMethod", "NoSuchContainer"), error
    assert state_of(client, path) == "gone"


def test_stop_where_nothing_lives_keeps_the_wish(client):
    never = Held(client, "created")
    expect("NotRunning", never.call, "Stop")
    assert client.get(never.path, "StoppedByUser") and client.get(never.path, "State") == "created"

    path = client.create("restless", "false", restart_policy="always", restart_sec_usec=600 * 10**6)
    client.call(path, CONTAINER, "Start")
    wait_for(lambda: client.get(path, "NextRestartTimestamp") > 0, "the plan of a restart", poll=True)
    assert client.get(path, "State") == "exited" and not client.get(path, "StoppedByUser")
    expect("NotRunning", client.call, path, CONTAINER, "Stop")
    assert client.get(path, "StoppedByUser") and client.get(path, "NextRestartTimestamp") == 0 and client.call(path, CONTAINER, "ShouldRestart") == (False, "stopped-by-user")
    assert client.get(path, "LastErrorName") == "", "NotRunning is no failure of the container"


def test_stop_between_the_end_and_its_cleanup_wins_over_the_policy(client):
    path = client.create("restless", "sleep", "1000", restart_policy="always", restart_sec_usec=600 * 10**6)
    client.call(path, CONTAINER, "Start")
    gate = Gate("delete")
    os.kill(client.get(path, "MainPID"), 9)  # not the user's wish
    client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], {})
    assert client.get(path, "State") == "stopped"
    stop = client.begin(path, CONTAINER, "Stop")
    gate.open()
    expect("NotRunning", client.finish, stop)
    assert client.get(path, "State") == "exited" and client.get(path, "NextRestartTimestamp") == 0 and client.get(path, "StoppedByUser")


def test_cleanup_of_what_the_policy_restarts(client):
    """In `stopped`: exited, then running by policy, for both forms of Cleanup."""
    for keys in ({}, options(only_stopped=True)):
        path = client.create("", "sleep", "1000", restart_policy="always", restart_sec_usec=1000)
        client.call(path, CONTAINER, "Start")
        gate = Gate("delete")
        os.kill(client.get(path, "MainPID"), 9)
        client.call(path, CONTAINER, "WaitFor", "asa{sv}", ["stopped"], {})
        cleanup = client.begin(path, CONTAINER, "Cleanup", "a{sv}", keys)
        wait = client.begin(path, CONTAINER, "WaitFor", "asa{sv}", ["running"], options(after_run=1))
        gate.open()
        client.finish(cleanup)
        assert client.finish(wait)[:2] == ("running", 2)
        assert client.get(path, "RestartCount") == 1


def test_init_and_start_cancel_a_pending_restart(client):
    for member, state in (("Init", "initialized"), ("Start", "running")):
        path = client.create("", "sh", "-c", "test -e /again && exec sleep 1000; touch /again; exit 1", restart_policy="always", restart_sec_usec=600 * 10**6)
        client.call(path, CONTAINER, "Start")
        wait_for(lambda: client.get(path, "NextRestartTimestamp") > 0, "the plan of a restart", poll=True)
        assert client.call(path, CONTAINER, member) == (2,)
        assert client.get(path, "NextRestartTimestamp") == 0 and client.get(path, "RestartCount") == 0 and client.get(path, "State") == state


def test_stop_of_a_paused_container_thaws_it(client):
    path = client.create("frozen", "sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done")
    client.call(path, CONTAINER, "Start")
    log = f"/var/lib/conbus/containers/{path.rsplit('/', 1)[1]}/log"
    wait_for(lambda: "ready" in open(log, encoding="utf-8").read(), "its trap", poll=True)
    client.call(path, CONTAINER, "Pause")
    client.call(path, CONTAINER, "Stop")
    assert client.call(path, CONTAINER, "Wait") == (1, 5, 0, "exit-code")


def test_kill_of_a_paused_container(client):
    held = Held(client, "paused")
    held.call("Kill", "si", "leader", 9)
    assert held.call("Wait") == (1, 137, 9, "signal") and client.get(held.path, "StoppedByUser")
    held = Held(client, "paused")
    held.call("RemoveWith", "a{sv}", options(force=True))
    assert state_of(client, held.path) == "gone" and client.manager("GetRun", "st", held.id, 1)[0]["result"] == "signal"


def test_what_stopping_lets_in(client):
    """A shorter grace shortens the stop that runs, also when it belongs to a restart or comes with a removal; a longer one changes nothing."""
    held = Held(client, "stopping")
    longer = client.begin(held.path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=600 * 10**6))
    kill = client.begin(held.path, CONTAINER, "Kill", "si", "leader", 9)
    assert client.finish(longer) == (1,) and client.finish(kill) == ()
    assert client.call(held.path, CONTAINER, "Wait") == (1, 137, 9, "signal")

    path = client.create("again", "sleep", "1000")
    client.call(path, CONTAINER, "Start")
    restart = client.begin(path, CONTAINER, "RestartWith", "a{sv}", options(timeout_usec=2**64 - 1))
    wait_for(lambda: client.get(path, "State") == "stopping", "the restart's stop", poll=True)
    stop = client.begin(path, CONTAINER, "StopWith", "a{sv}", options(timeout_usec=0))
    assert client.finish(restart) == (2,) and client.finish(stop) == (2,), "a stop always wins"
    assert client.get(path, "State") == "exited" and client.get(path, "StoppedByUser")


def test_an_unknown_container_that_is_whole_again(client):
    held = Held(client, "unknown")
    os.rename(f"/run/conbus/{held.id}", f"/run/conbus/crun/{held.id}")
    assert held.call("Sync") == ("unknown", "running")
    assert held.call("Sync") == ("running", "running")
    syncs = [event for event in client.signals_of("Event") if event[3] == "sync" and event[5] == held.id]
    assert [(event[6]["old-state"], event[6]["state"]) for event in syncs] == [("running", "unknown"), ("unknown", "running")]


def test_states_outlive_the_service(client):
    """A new service finds the states that last; its first answer is right."""
    held = [Held(client, state) for state in ("created", "initialized", "running", "paused", "exited", "unknown")]
    client.kill_service()
    other = Client()
    assert [other.get(one.path, "State") for one in held] == [one.state for one in held]


if __name__ == "__main__":
    if "CONBUS_SANDBOX" not in os.environ:
        os.environ["CONBUS_CRUN"] = f"{SOURCE}/tests/system/gated-crun"
    main()
