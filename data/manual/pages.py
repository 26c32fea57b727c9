#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Manual pages in the language of man(7): pages.py XML|PAGE.in VERSION LIBEXECDIR OUT

From the XML of an interface, or from a text in man(7) in which a line @word@ stands for a part that follows from another file.
"""

import os
import re
import sys
import textwrap
import xml.etree.ElementTree as ElementTree

ROOT = os.path.abspath(f"{__file__}/../../..")
sys.path[1:1] = [f"{ROOT}/introspection", f"{ROOT}/client"]

import interface  # noqa: E402
import roff  # noqa: E402
from commands import read_commands  # noqa: E402
from config_keys import read_keys  # noqa: E402
from description import read_interface  # noqa: E402
from errors import read_errors  # noqa: E402
from features import read_features  # noqa: E402
from messages import read_fields, read_messages  # noqa: E402


def entries(pairs):
    return "".join(roff.tagged(tag, roff.fill(roff.inline(text))) for tag, text in pairs)


def errors():
    return entries((roff.bold(name), text) for _, name, text in read_errors(f"{ROOT}/introspection/errors.txt"))


def messages():
    return entries((f"{roff.bold(identity)} ({priority})", subject.replace("@CONBUS_CONTAINER_NAME@", "NAME").replace("@CONBUS_RUN@", "N").replace("@CONBUS_OLD_NAME@", "OLD") + ".") for _, identity, priority, subject, _ in read_messages(f"{ROOT}/introspection/messages.txt"))


def fields():
    return entries((roff.bold(name), text) for name, text in read_fields(f"{ROOT}/introspection/messages.txt"))


def features():
    return entries((roff.bold(word), text) for word, text in read_features(f"{ROOT}/introspection/features.txt"))


def key(of, name, signature, uses, text):
    notes = ["as good as root"] * ("R" in uses) + ["not for bundles"] * ("B" not in uses and not of)
    return f"{roff.bold(name)} ({'; '.join([roff.escape(signature), *notes])})", text


def keys(group):
    def made():
        return entries(key(*line) for line in read_keys(f"{ROOT}/introspection/config-keys.txt") if line[0] == group)

    return made


def used_actions():
    """Those that the pages of the interfaces name; the policy has more, for what is still to come."""
    found = {"io.conbus1.manage-own"}
    for name in interface.INTERFACES:
        for method in read_interface(f"{ROOT}/introspection/{name}.xml").methods:
            found |= set(re.findall(r"io\.conbus1\.[a-z-]+[a-z]", interface.access(method)))
    return found


def actions():
    """Who has each of the actions of polkit by default, on a seat and elsewhere."""
    words = {"yes": "everyone", "no": "nobody", "auth_admin": "administrators after authentication", "auth_admin_keep": "administrators after authentication", "auth_self": "everyone after authentication", "auth_self_keep": "everyone after authentication"}
    found, used = [], used_actions()
    for action in ElementTree.parse(f"{ROOT}/data/io.conbus1.policy").getroot().iter("action"):
        if action.get("id") not in used:
            continue
        here, elsewhere = (words[action.find(f"defaults/{place}").text] for place in ("allow_active", "allow_any"))
        who = here if here == elsewhere else f"{here} at the machine; {elsewhere} elsewhere"
        found.append((roff.bold(action.get("id")), f"{action.find('description').text}. By default: {who}."))
    return entries(found)


def read_settings():
    """Yields (section, key, default, text) for each setting of data/conbus.conf, where the comment before a key is its text."""
    section, text = "", []
    with open(f"{ROOT}/data/conbus.conf", encoding="utf-8") as lines:
        for line in lines:
            found = re.match(r"#([A-Z]\w*)=(.*)", line)
            if found:
                yield section, found[1], found[2], " ".join(text)
                text = []
            elif line.startswith("["):
                section, text = line.strip()[1:-1], []
            elif line.startswith("# "):
                text.append(line[2:].strip())
            else:
                text = []


def settings():
    result, last = "", ""
    for section, name, default, text in read_settings():
        if section != last:
            result += roff.section(f'"[{section.upper()}] SECTION OPTIONS"')
        last = section
        result += roff.tagged(f"{roff.bold(name + '=')}", roff.fill(roff.inline(f"{text} Default: {default}.")))
    return result


def profile_example():
    with open(f"{ROOT}/data/profile.conf.example", encoding="utf-8") as file:
        return roff.example("\n".join(line for line in file.read().split("\n") if not line.startswith("#")).strip().replace("\n\n\n", "\n\n"))


def option(words, text):
    """"-t, --timeout TIME" with its text as an entry of a list."""
    parts = [part.partition(" ") for part in words.split(", ")]
    tag = ", ".join(roff.bold(word) + (f" {roff.italic(value)}" if value else "") for word, _, value in parts)
    return roff.tagged(tag, roff.fill(roff.inline(interface.sentence(text))) if text else "\\&\n")


def commands():
    result = ""
    for command in read_commands(f"{ROOT}/client/commands.txt"):
        result += roff.subsection(f"{command.name} {command.arguments}") + roff.fill(roff.inline(f"{interface.sentence(command.text)} {command.details}"))
        result += "".join(option(*given) for given in command.options)
    return result


PARTS = {
    "errors": errors,
    "actions": actions,
    "features": features,
    "fields": fields,
    "messages": messages,
    "commands": commands,
    "keys": keys(""),
    "health-keys": keys("health"),
    "mounts-keys": keys("mounts"),
    "secrets-keys": keys("secrets"),
    "settings": settings,
    "profile-example": profile_example,

}


def wrap(source):
    """Long lines of running text in several; requests and what stands between .nf and .fi stay as they are."""
    result, literal = [], False
    for line in source.splitlines():
        literal = {".nf": True, ".fi": False}.get(line, literal)
        plain = literal or line.startswith((".", "@")) or len(line) <= roff.WIDTH
        result += [line] if plain else textwrap.wrap(line, roff.WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join(result) + "\n"


def text(path, version, libexecdir):
    with open(path, encoding="utf-8") as file:
        source = file.read().replace("@version@", version).replace("@libexecdir@", roff.escape(libexecdir))
    return re.sub(r"^@([a-z-]+)@\n", lambda found: PARTS[found[1]](), wrap(source), flags=re.M)


def main():
    source, version, libexecdir, out = sys.argv[1:]
    if source.endswith(".xml"):
        page = interface.page(read_interface(source), list(read_errors(f"{ROOT}/introspection/errors.txt")), version)
    else:
        page = text(source, version, libexecdir)
    with open(out, "w", encoding="utf-8") as file:
        file.write(page)


if __name__ == "__main__":
    main()
