"""Protobuf's wire format, as far as a replay writes it by hand: a year is too many objects.

A message is its fields one after another in any order, so an input is put together from parts
that were encoded once or by column. Tests hold the bytes to what the generated classes read.
"""

from __future__ import annotations

from typing import NamedTuple

INPUT_EVENT = 1
INPUT_ATTRIBUTES = 2
INPUT_CATALOG_ITEM = 4
"""Field numbers of `coterie.profile.v1.IngestInput`."""

INPUT_RECEIVED_TIME = 5
REQUEST_INPUTS = 1
EVENT_ID = 1

LOW_BITS = 0x7F
MORE = 0x80
"""A varint holds seven bits a byte; the eighth says that another byte follows."""


class Input(NamedTuple):
    """One input as bytes of an `IngestInput` without its `received_time`, which is `time_ms`."""

    time_ms: int
    body: bytes


def varint(value: int) -> bytes:
    r"""Return a non-negative integer as protobuf writes it.

    >>> varint(300)
    b'\xac\x02'
    """
    parts = bytearray()
    while value > LOW_BITS:
        parts.append(value & LOW_BITS | MORE)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def field(number: int, body: bytes) -> bytes:
    """Return a text, bytes or message field; `number` is at most 15."""
    return bytes((number << 3 | 2,)) + varint(len(body)) + body


def timestamp(time_ms: int) -> bytes:
    """Return a `google.protobuf.Timestamp`; times before 1970 are 64-bit two's complement."""
    seconds, rest_ms = divmod(time_ms, 1000)
    body = b"\x08" + varint(seconds & 0xFFFF_FFFF_FFFF_FFFF)
    return body + b"\x10" + varint(rest_ms * 1_000_000) if rest_ms else body


def framed(one: Input) -> bytes:
    """Return the input as a field of an `IngestRequest`, received at its time."""
    received = field(INPUT_RECEIVED_TIME, timestamp(one.time_ms))
    return field(REQUEST_INPUTS, one.body + received)
