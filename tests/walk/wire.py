# SPDX-License-Identifier: LGPL-2.1-or-later
"""Messages of D-Bus as bytes (little endian, the specification's chapter "Message protocol"). The walk reads tens of thousands of them, each signal on every connection: the head is read once for all that get the same bytes, a body only when somebody looks at it."""

import functools
import struct
from collections import namedtuple

Variant = namedtuple("Variant", "signature value")
FIXED = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d", "h": "I"}
METHOD_CALL = 1
HEAD = struct.Struct("<4BIII")
UINT32 = struct.Struct("<I")
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SENDER, SIGNATURE, UNIX_FDS = range(1, 10)


def alignment(kind):
    return 8 if kind in "({xtd" else 4 if kind in "asobiuh" else 2 if kind in "nq" else 1


@functools.cache
def split(signature):
    """The complete types of a signature."""
    types, at = [], 0
    while at < len(signature):
        end = at
        while signature[end] == "a":
            end += 1
        depth = 0
        while True:
            depth += (signature[end] in "({") - (signature[end] in ")}")
            end += 1
            if not depth:
                break
        types.append(signature[at:end])
        at = end
    return types


# --- reading: (data, at) -> (value, at) ---


def read_string(data, at):
    at = at + 3 & ~3
    end = at + 4 + UINT32.unpack_from(data, at)[0]
    return data[at + 4 : end].decode(), end + 1


def read_signature(data, at):
    end = at + 1 + data[at]
    return data[at + 1 : end].decode(), end + 1


def read_variant(data, at):
    signature, at = read_signature(data, at)
    return reader(signature)(data, at)


def fixed_reader(kind):
    unpack, size = struct.Struct("<" + FIXED[kind]).unpack_from, struct.calcsize("<" + FIXED[kind])

    def read(data, at):
        at = at + size - 1 & -size
        value = unpack(data, at)[0]
        return bool(value) if kind == "b" else value, at + size

    return read


def sequence_reader(types):
    members = [reader(kind) for kind in types]

    def read(data, at):
        at, values = at + 7 & ~7, []
        for member in members:
            value, at = member(data, at)
            values.append(value)
        return tuple(values), at

    return read


def array_reader(element):
    pad = alignment(element[0]) - 1
    if element[0] == "{":
        read_element, collect = sequence_reader(split(element[1:-1])), dict
    else:
        read_element, collect = reader(element), list

    def read(data, at):
        at = at + 3 & ~3
        size = UINT32.unpack_from(data, at)[0]
        at = at + 4 + pad & ~pad
        end, values = at + size, []
        while at < end:
            value, at = read_element(data, at)
            values.append(value)
        return collect(values), at

    return read


@functools.cache
def reader(signature):
    """Of one complete type."""
    kind = signature[0]
    if kind in FIXED:
        return fixed_reader(kind)
    if kind == "a":
        return array_reader(signature[1:])
    if kind == "(":
        return sequence_reader(split(signature[1:-1]))
    return {"s": read_string, "o": read_string, "g": read_signature, "v": read_variant}[kind]


# --- writing ---


def pad_to(out, size):
    out += b"\0" * (-len(out) % size)


def write_string(out, value):
    data = value.encode()
    pad_to(out, 4)
    out += UINT32.pack(len(data)) + data + b"\0"


def write_signature(out, value):
    out += bytes([len(value)]) + value.encode() + b"\0"


def write_array(out, element, values):
    pad_to(out, 4)
    place = len(out)
    out += b"\0\0\0\0"
    pad_to(out, alignment(element[0]))
    start = len(out)
    for value in values.items() if element[0] == "{" else values:
        write(out, element, value)
    UINT32.pack_into(out, place, len(out) - start)


def write(out, signature, value):
    """One complete type; dictionaries are dict, variants Variant."""
    kind = signature[0]
    if kind in FIXED:
        pad_to(out, alignment(kind))
        out += struct.pack("<" + FIXED[kind], value)
    elif kind in "so":
        write_string(out, value)
    elif kind == "g":
        write_signature(out, value)
    elif kind == "v":
        write_signature(out, value.signature)
        write(out, value.signature, value.value)
    elif kind == "a":
        write_array(out, signature[1:], value)
    else:
        pad_to(out, 8)
        for member, part in zip(split(signature[1:-1]), value, strict=True):
            write(out, member, part)


def method_call(serial, destination, path, interface, member, signature="", values=()):
    out, body = bytearray(HEAD.pack(ord("l"), METHOD_CALL, 0, 1, 0, serial, 0)), bytearray()
    for kind, value in zip(split(signature), values, strict=True):
        write(body, kind, value)
    fields = ((PATH, "o", path), (INTERFACE, "s", interface), (MEMBER, "s", member), (DESTINATION, "s", destination), (SIGNATURE, "g", signature))
    for code, kind, value in fields[: 5 if signature else 4]:
        pad_to(out, 8)
        out += bytes([code])
        write_signature(out, kind)
        write(out, kind, value)
    UINT32.pack_into(out, 4, len(body))
    UINT32.pack_into(out, 12, len(out) - HEAD.size)
    pad_to(out, 8)
    return out + body


# --- messages ---


def size_of(data):
    """Of the message that begins in the data, or None when not even that can be told yet."""
    if len(data) < HEAD.size:
        return None
    _, _, _, _, body, _, fields = HEAD.unpack_from(data)
    return HEAD.size + (fields + 7 & ~7) + body


class Message:
    def __init__(self, data):
        order, _, _, _, _, _, size = HEAD.unpack_from(data)
        if order != ord("l"):
            raise AssertionError("a message is not little endian")
        fields, at, end = {}, HEAD.size, HEAD.size + size
        while at < end:
            at = at + 7 & ~7
            code = data[at]
            fields[code], at = read_variant(data, at + 1)
        self.path, self.interface, self.member = fields.get(PATH), fields.get(INTERFACE), fields.get(MEMBER)
        self.error, self.reply_serial, self.sender = fields.get(ERROR_NAME, ""), fields.get(REPLY_SERIAL, 0), fields.get(SENDER)
        self.n_fds = fields.get(UNIX_FDS, 0)
        self._signature, self._data = fields.get(SIGNATURE, ""), data[end + 7 & ~7 :]

    @functools.cached_property
    def body(self):
        """A tuple of the arguments; nobody may change what is in it."""
        return sequence_reader_of(self._signature)(self._data, 0)[0]


@functools.cache
def sequence_reader_of(signature):
    return sequence_reader(split(signature))


@functools.lru_cache(maxsize=2048)
def parse(data):
    return Message(data)
