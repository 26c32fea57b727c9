#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A shutdown and the boot after it."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import CONTAINER, SLOWNESS, boot, main, options, run, wait_for  # noqa: E402

TIME = "/machine/time-of-shutdown"
DROPIN = "/etc/systemd/system/conbus.service.d/test.conf"
STUBBORN = ("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
OBEDIENT = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done")


def records(client, name):
    return client.call(client.manager("GetContainer", "s", name)[0], CONTAINER, "ListRuns", "u", 10)[0]


def test_containers_with_every_policy_run_at_shutdown(client):
    """One of them does not stop when it is asked to, and would be waited for without end; the machine waits for some seconds."""
    os.makedirs(os.path.dirname(DROPIN))
    with open(DROPIN, "w", encoding="ascii") as file:
        file.write(f"[Service]\nTimeoutStopSec={5 + 3 * SLOWNESS}s\n")
    run("systemctl", "enable", "conbus.service")
    for name, config in {
        "base": {"restart_policy": "always"},
        "dependent": {"restart_policy": "unless-stopped", "depends": ["base"]},
        "plain": {},
        "stubborn": {"stop_timeout_usec": 2**64 - 1},
        "auto": {"auto_start": True},
        "down": {"restart_policy": "unless-stopped"},
        "loop": {"restart_policy": "always"},
    }.items():
        path = client.create(name, *({"loop": ("false",), "stubborn": STUBBORN}.get(name, OBEDIENT)), **config)
        client.call(path, CONTAINER, "Start")
    client.call("/container/down", CONTAINER, "Stop")
    wait_for(lambda: client.get("/container/loop", "RestartCount") > 2, "restarts of the loop")
    with open(TIME, "w", encoding="ascii") as file:
        file.write(str(time.time()))


@boot(2)
def test_the_shutdown_was_quick_and_in_order(client):
    wait_for(lambda: run("systemctl", "is-active", "conbus.service", check=False).strip() == "active", "the service", poll=True)
    ended = {name: [record for record in records(client, name) if record["run"] == 1][0] for name in ("base", "dependent", "plain", "auto")}
    for name, record in ended.items():
        assert (record["exit-code"], record["result"]) == (0, "success"), (name, record)
    assert ended["dependent"]["finish"] < ended["base"]["finish"]
    stubborn = records(client, "stubborn")[0]
    with open(TIME, encoding="ascii") as file:
        took = stubborn["finish"] / 1e6 - float(file.read())  # it is the last; how long a machine takes to boot is not for us to say
    assert took < 30 * SLOWNESS, f"{took:.1f} s from the shutdown to the last end"
    assert (stubborn["exit-code"], stubborn["signal"]) == (137, 9), stubborn


@boot(2)
def test_policies_and_auto_start_bring_back_what_they_should(client):
    def states():
        return {name: client.get(f"/container/{name}", "State") for name in ("base", "dependent", "plain", "auto", "down")}

    for name, state in {"base": "running", "dependent": "running", "auto": "running", "plain": "exited", "down": "exited"}.items():
        answer = client.call(f"/container/{name}", CONTAINER, "WaitFor", "asa{sv}", [state], options(timeout_usec=10000000))
        assert answer[0] == state, (name, answer, client.get(f"/container/{name}", "LastErrorMessage"), records(client, name))
    assert not client.get("/container/plain", "StoppedByUser") and client.get("/container/down", "StoppedByUser")
    assert len(records(client, "loop")) > 3
    for name in "base", "dependent", "auto":
        assert sorted(record["run"] for record in records(client, name)) == [1, 2], f"{name}: once for each boot"


if __name__ == "__main__":
    main("machine")
