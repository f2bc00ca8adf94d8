"""A snapshot file: named sections of bytes that are read back whole or not at all.

    magic, version, length of the head, crc of those and the head | head | sections, end to end

The head is JSON: what the caller says of the snapshot, and each section's name, length and crc. A
file appears under its name only when it is complete on disk; its predecessor is kept as `.prev`. A
file that is not what was written is set aside as `.bad`, never deleted.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

MAGIC = b"COTERIE\n"
VERSION = 1
_FRAME = struct.Struct("<8sIII")
"""Magic, version, length of the head, crc of all before it and of the head."""

Snapshot = tuple[dict[str, Any], dict[str, bytes]]


def write(path: Path, header: Mapping[str, Any], sections: Mapping[str, bytes]) -> None:
    """Put a snapshot at `path`, and what was there before beside it as `.prev`.

    `header` is anything that JSON can hold. When this returns, the file is on disk.
    """
    table = [
        {"name": name, "length": len(content), "crc": zlib.crc32(content)}
        for name, content in sections.items()
    ]
    head = json.dumps({"header": dict(header), "sections": table}, sort_keys=True).encode()
    start = _FRAME.pack(MAGIC, VERSION, len(head), _head_crc(VERSION, head))
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".tmp")
    with draft.open("wb") as file:
        file.write(start)
        file.write(head)
        for content in sections.values():
            file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if path.exists():
        path.replace(_previous(path))
    draft.replace(path)
    _sync_directory(path.parent)


def read_newest(path: Path) -> Snapshot | None:
    """Return the header and the sections of the newest good snapshot at `path`, or None."""
    return next((snapshot for _, snapshot in read_each(path)), None)


def read_each(path: Path) -> Iterator[tuple[Path, Snapshot]]:
    """Yield the good snapshots at `path`, the newest first, each with its file.

    Files that are not good are renamed, so that they are looked at by people and by nobody else.
    """
    for candidate in (path, _previous(path)):
        try:
            content = candidate.read_bytes()
        except FileNotFoundError:
            continue
        try:
            snapshot = parse(content)
        except ValueError:
            set_aside(candidate)
        else:
            yield candidate, snapshot


def parse(content: bytes) -> Snapshot:
    """Return the header and the sections; raises ValueError unless every byte is as written."""
    if len(content) < _FRAME.size:
        raise ValueError(f"expected a snapshot, found {len(content)} bytes")
    magic, version, head_length, head_crc = _FRAME.unpack_from(content)
    if magic != MAGIC or version != VERSION:
        raise ValueError(f"expected a snapshot of version {VERSION}, found {magic!r}, {version}")
    view = memoryview(content)
    head = view[_FRAME.size : _FRAME.size + head_length]
    if len(head) != head_length or _head_crc(version, head) != head_crc:
        raise ValueError("expected the head as it was written, found other bytes")
    document = json.loads(bytes(head))
    place = _FRAME.size + head_length
    sections = {}
    for entry in document["sections"]:
        section = view[place : place + entry["length"]]
        if len(section) != entry["length"] or zlib.crc32(section) != entry["crc"]:
            raise ValueError(f"expected section {entry['name']} as written, found other bytes")
        sections[entry["name"]] = bytes(section)
        place += entry["length"]
    if place != len(content):
        raise ValueError(f"expected {place} bytes, found {len(content)}")
    return document["header"], sections


def _head_crc(version: int, head: bytes | memoryview) -> int:
    return zlib.crc32(head, zlib.crc32(struct.pack("<8sII", MAGIC, version, len(head))))


def _previous(path: Path) -> Path:
    return path.with_name(path.name + ".prev")


def set_aside(path: Path) -> None:
    """Rename a snapshot that cannot be used, so that nobody reads it again."""
    number = 0
    bad = path.with_name(path.name + ".bad")
    while bad.exists():
        number += 1
        bad = path.with_name(f"{path.name}.{number}.bad")
    path.rename(bad)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    """Make renames durable: they are entries of the directory."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
