"""Changes of protobuf bytes: some keep what a message means, others break it."""

from __future__ import annotations

import random
from collections.abc import Callable

Field = tuple[int, int, bytes]
"""Number, wire type, and what follows the tag, its length included."""


def varint(number: int, spare: int = 0) -> bytes:
    """Return a varint, `spare` bytes longer than it needs to be."""
    found = bytearray()
    while number > 0x7F or spare > 0:
        spare -= number <= 0x7F
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def fields_of(message: bytes) -> list[Field] | None:
    """Return the fields of a message, None where it is malformed or has groups."""
    found: list[Field] = []
    at = 0
    try:
        while at < len(message):
            tag, at = _read_varint(message, at)
            start = at
            match tag & 7:
                case 0:
                    _, at = _read_varint(message, at)
                case 1:
                    at += 8
                case 2:
                    length, at = _read_varint(message, at)
                    at += length
                case 5:
                    at += 4
                case _:
                    return None
            if at > len(message):
                return None
            found.append((tag >> 3, tag & 7, message[start:at]))
    except IndexError:
        return None
    return found


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            return number, at


def join(fields: list[Field], chance: random.Random) -> bytes:
    """Return a message of these fields, now and then with longer tags than needed."""
    return b"".join(
        varint(number << 3 | wire, spare=chance.random() < 0.02) + content
        for number, wire, content in fields
    )


class Mutations:
    """Seeded changes, at any depth of a message."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._field_changes: list[Callable[[list[Field]], None]] = [
            self._shuffle,
            self._repeat,
            self._drop,
            self._add_unknown,
            self._change_wire_type,
            self._empty,
        ]
        self._byte_changes: list[Callable[[bytearray], None]] = [
            self._flip,
            self._cut,
            self._insert,
            self._stretch,
        ]

    def change_fields(self, message: bytes) -> bytes:
        """Return the message with fields moved, repeated, dropped, unknown, at some depth."""
        for _ in range(self._chance.randrange(1, 4)):
            message = self._descend(message, 0)
        return message

    def change_bytes(self, message: bytes) -> bytes:
        """Return the message with a few bytes changed anywhere."""
        changed = bytearray(message)
        for _ in range(self._chance.randrange(1, 4)):
            self._chance.choice(self._byte_changes)(changed)
        return bytes(changed)

    def _descend(self, message: bytes, depth: int) -> bytes:
        fields = fields_of(message)
        if fields is None:
            return message
        nested = [place for place, (_, wire, _) in enumerate(fields) if wire == 2]
        if nested and depth < 6 and self._chance.random() < 0.75:
            place = self._chance.choice(nested)
            number, wire, content = fields[place]
            _, start = _read_varint(content, 0)
            inner = self._descend(content[start:], depth + 1)
            fields[place] = (number, wire, varint(len(inner)) + inner)
        else:
            self._chance.choice(self._field_changes)(fields)
        return join(fields, self._chance)

    def _shuffle(self, fields: list[Field]) -> None:
        self._chance.shuffle(fields)

    def _repeat(self, fields: list[Field]) -> None:
        if fields:
            fields.insert(self._place(fields), self._chance.choice(fields))

    def _drop(self, fields: list[Field]) -> None:
        if fields:
            del fields[self._chance.randrange(len(fields))]

    def _empty(self, fields: list[Field]) -> None:
        fields.insert(self._place(fields), (self._chance.randrange(1, 12), 2, b"\0"))

    def _add_unknown(self, fields: list[Field]) -> None:
        number = self._chance.choice((1, 2, 3, 7, 9, 18, 1000, (1 << 29) - 1))
        group = varint(number << 3 | 4)
        fields.insert(
            self._place(fields),
            self._chance.choice(
                [
                    (number, 0, varint(self._chance.randrange(1 << 64), spare=1)),
                    (number, 1, bytes(8)),
                    (number, 2, b"\3abc"),
                    (number, 2, b"\2\xff\xfe"),
                    (number, 5, bytes(4)),
                    (number, 3, b"\x0a\x01x\x0b\x10\x05\x0c" + group),
                    (number, 3, b"\x0a\x01x"),
                    (number, 4, b""),
                ]
            ),
        )

    def _change_wire_type(self, fields: list[Field]) -> None:
        if fields:
            place = self._chance.randrange(len(fields))
            number, _, content = fields[place]
            fields[place] = (number, self._chance.randrange(8), content)

    def _place(self, fields: list[Field]) -> int:
        return self._chance.randrange(len(fields) + 1)

    def _flip(self, content: bytearray) -> None:
        if content:
            content[self._chance.randrange(len(content))] = self._chance.randrange(256)

    def _cut(self, content: bytearray) -> None:
        if content:
            start = self._chance.randrange(len(content))
            del content[start : start + self._chance.choice((1, 2, 9, len(content)))]

    def _insert(self, content: bytearray) -> None:
        extra = self._chance.choice((b"\0", b"\xff", b"\x80" * 10, b"\xed\xa0\x80", b"\x0b"))
        place = self._chance.randrange(len(content) + 1)
        content[place:place] = extra

    def _stretch(self, content: bytearray) -> None:
        """Let a number end later."""
        if content:
            place = self._chance.randrange(len(content))
            content[place] |= 0x80
            content[place + 1 : place + 1] = b"\x80" * self._chance.choice((0, 3, 8)) + b"\0"
