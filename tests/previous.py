# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs of earlier commits, for tests of upgrades: conbusd, conbus-stream and conbus-wake, and the unit, of the commit before this one and of the last one with an older schema of the database. They are built in BUILD/previous, once for each commit, without
debugging information and optimization, since it goes quicker; the cache of the compiler does the rest. CONBUS_UPGRADE_FROM names other commits."""

import json
import os
import shutil
import subprocess

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("CONBUS_BUILD_DIR", f"{SOURCE}/build")
TOP = f"{BUILD}/previous"
PLAN = f"{TOP}/plan.json"
SCHEMA = "service/store/schema.sql"
PROGRAMS = ("service/conbusd", "service/conbus-stream", "service/conbus-wake")
UNITS = {"data/conbus.service": "/usr/lib/systemd/system/conbus.service", "data/io.conbus1.service": "/usr/share/dbus-1/system-services/io.conbus1.service"}


class NoHistory(Exception):
    pass


def git(*words):
    """The tree may belong to another user than the one who tests."""
    done = subprocess.run(["git", "-c", f"safe.directory={SOURCE}", "-C", SOURCE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise NoHistory(f"git {words[0]}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def commit_of(name):
    return git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").decode().strip()


def schema_of(commit):
    return git("show", f"{commit}:{SCHEMA}").decode()


def with_older_schema():
    """The last commit whose migrations are the first ones of ours, and fewer. None where history does not go so far back."""
    with open(f"{SOURCE}/{SCHEMA}", encoding="utf-8") as file:
        ours = file.read()
    for commit in git("log", "--format=%H", "--", SCHEMA).decode().split():
        try:
            theirs = schema_of(f"{commit}^")
        except NoHistory:
            return None
        if ours.startswith(theirs) and ours != theirs:
            return commit_of(f"{commit}^")
    return None


def wanted():
    if "CONBUS_UPGRADE_FROM" in os.environ:
        return [commit_of(name) for name in os.environ["CONBUS_UPGRADE_FROM"].split()]
    older = with_older_schema()
    return list(dict.fromkeys([commit_of("HEAD^"), *([older] if older else [])]))


def build(commit):
    """The directory of the build. One that is not complete is made anew."""
    tree = f"{TOP}/{commit}"
    environment = os.environ | {"CCACHE_NOHASHDIR": "1"}
    if os.path.exists(f"{tree}/complete"):
        return f"{tree}/build"
    shutil.rmtree(tree, ignore_errors=True)
    os.makedirs(tree)
    subprocess.run(["tar", "-x", "-C", tree], input=git("archive", commit), check=True)
    with open(f"{tree}/log", "wb") as log:
        for words in (["meson", "setup", f"{tree}/build", tree, "-Doptimization=0", "-Ddebug=false"], ["ninja", "-C", f"{tree}/build", *PROGRAMS]):
            if subprocess.run(words, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False).returncode != 0:
                with open(f"{tree}/log", encoding="utf-8", errors="replace") as text:
                    raise RuntimeError(f"commit {commit} cannot be built:\n{text.read()[-2000:]}")
    with open(f"{tree}/complete", "w", encoding="ascii"):
        pass
    return f"{tree}/build"


def prepare():
    """Outside of the machine, which finds it all by the plan. What was built for other commits goes."""
    os.makedirs(TOP, exist_ok=True)
    try:
        commits = wanted()
        plan = {"builds": [(commit, build(commit)) for commit in commits]}
    except (NoHistory, FileNotFoundError) as reason:
        commits, plan = [], {"skip": f"there is no earlier commit to be had: {reason}"}
    for name in os.listdir(TOP):
        if name not in commits and os.path.isdir(f"{TOP}/{name}"):
            shutil.rmtree(f"{TOP}/{name}")
    with open(PLAN, "w", encoding="utf-8") as file:
        json.dump(plan, file)


def plan():
    with open(PLAN, encoding="utf-8") as file:
        return json.load(file)
