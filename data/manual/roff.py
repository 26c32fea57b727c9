# SPDX-License-Identifier: LGPL-2.1-or-later
"""Text for man(7): escaping, paragraphs, lists. What is written here reads the same in groff and in mandoc."""

import re
import textwrap

WIDTH = 78
# What stands out in running text: manual pages, names of interfaces, members and errors.
REFERENCE = re.compile(r"(?P<page>[A-Za-z_][\w.@-]*)\((?P<section>[1-8])\)|(?P<name>\b(?:io\.conbus1|org\.freedesktop)(?:\.\w+(?:-\w+)*)*)")


def escape(text):
    """Plain text as roff shows it word for word."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...").replace("^", "\\(ha").replace("~", "\\(ti")
    return text.replace("'", "\\(aq").replace("`", "\\(ga")


def bold(text):
    return f"\\fB{escape(text)}\\fR"


def italic(text):
    return f"\\fI{escape(text)}\\fR"


def inline(text):
    """Escaped text with its references in bold."""
    result, position = "", 0
    for found in REFERENCE.finditer(text):
        result += escape(text[position:found.start()])
        result += f"{bold(found['page'])}({found['section']})" if found["page"] else bold(found["name"])
        position = found.end()
    return result + escape(text[position:])


def guard(line):
    """A line that does not begin a request."""
    return "\\&" + line if line.startswith((".", "'")) else line


def fill(text):
    """Lines of one paragraph of inline text: sentences begin lines, none is long."""
    lines = []
    for sentence in re.split(r"(?<=[.:;?!]) +(?=[A-Z])", " ".join(text.split())):
        lines += textwrap.wrap(sentence, WIDTH, break_long_words=False, break_on_hyphens=False)
    return "".join(guard(line) + "\n" for line in lines)


def paragraphs(text):
    """Paragraphs, divided by empty lines, the first one without a macro."""
    return ".PP\n".join(fill(inline(part)) for part in re.split(r"\n\s*\n", text.strip()) if part.strip())


def tagged(tag, body):
    """One entry of a list; the tag is roff, the body too."""
    return f".TP\n{guard(tag)}\n{body}"


def section(title):
    return f".SH {title}\n"


def subsection(title):
    return f'.SS "{escape(title)}"\n' if " " in title else f".SS {escape(title)}\n"


def literal(lines):
    """Lines as they are, one below the other."""
    return ".nf\n" + "".join((guard(line) if line else "\\&") + "\n" for line in lines) + ".fi\n"


def example(text):
    """Indented lines of a file or a terminal."""
    return ".RS 4\n" + literal([escape(line) for line in text.rstrip("\n").split("\n")]) + ".RE\n"


def indented(body):
    return f".RS\n{body}.RE\n"


def head(name, number, version, title):
    return f'.\\" Made by data/manual/pages.py.\n.TH {escape(name.upper())} {number} "" "conbus {version}" "{title}"\n.ad l\n.nh\n'
