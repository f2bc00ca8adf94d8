"""Where the state of an engine lies: in memory, or mapped to the files of a directory.

Columns that only ever grow may lie in files, one each. A snapshot then has how long they were and
the checksum of that much, and is worth something once `sync` has returned. After a crash files are
longer than the snapshot says; that is no matter, since they are written over from there on.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from segcore._bits import Bits

if TYPE_CHECKING:
    from segcore._columns import Column

_FILES = "files"
"""The section that tells of the columns that lie in files."""


class ColumnStore:
    """All columns of one engine, and its sets of dead rows, by name. One thread at a time."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory
        self.columns: dict[str, Column] = {}
        self._sets: dict[str, Bits] = {}
        self._sums: dict[str, tuple[int, int]] = {}
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)

    def open(self, name: str, kind: type[Column]) -> Column:
        """Return a new, empty column that is only ever appended to."""
        column = self.hold(name, kind)
        if self.directory is not None:
            column.attach(str(self.directory / name))
        return column

    def hold(self, name: str, kind: type[Column]) -> Column:
        """Return a new, empty column that may change anywhere, and so never lies in a file."""
        column = self.columns[name] = kind()
        return column

    def bits(self, name: str) -> Bits:
        """Return a new, empty set."""
        found = self._sets[name] = Bits()
        return found

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Return everything by name, wherever it lies."""
        for name, column in self.columns.items():
            yield name, column.to_bytes()
        for name, each in self._sets.items():
            yield name, each.bytes()

    def dump(self) -> dict[str, bytes]:
        """Return what a snapshot needs: of columns in files how long they are, else contents."""
        sections = {name: each.bytes() for name, each in self._sets.items()}
        for name, column in self.columns.items():
            if column.path is None:
                sections[name] = column.to_bytes()
        if self.directory is not None:
            sections[_FILES] = json.dumps(self.sizes(), sort_keys=True).encode()
        return sections

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Return the length and the checksum of each column in a file; O(what is new)."""
        for name, column in self.columns.items():
            if column.path is not None:
                size, crc = self._sums.get(name, (0, 0))
                if size > column.size:
                    size, crc = 0, 0
                self._sums[name] = (column.size, column.checksum(size, crc))
        return dict(self._sums)

    def load(self, sections: Mapping[str, bytes]) -> None:
        """Fill the columns, which are there and empty.

        Raises ValueError or KeyError where the sections are not what `dump` gave.
        """
        files = json.loads(sections[_FILES]) if _FILES in sections else {}
        if self.directory is not None:
            _keep_only(self.directory, {name for name, (size, _) in files.items() if size})
        for name, each in self._sets.items():
            each.load(sections[name])
        for name, column in self.columns.items():
            if column.path is None or name not in files:
                column.load(sections[name])
            else:
                self._cut(name, column, *files[name])

    def _cut(self, name: str, column: Column, size: int, crc: int) -> None:
        """Let a column be what its file holds up to `size`."""
        column.open_file(size)
        if column.checksum(0, 0) != crc:
            raise ValueError(f"{name}: expected {size} values as they were, found others")
        self._sums[name] = (size, crc)

    def sync(self) -> None:
        """Return once all that was in the columns before is on disk. Any thread may call it."""
        if self.directory is None:
            return
        for path in self.directory.iterdir():
            _sync(path)
        _sync(self.directory)
        _sync(self.directory.parent)

    def memory(self) -> dict[str, int]:
        """Return the bytes of memory, and of files, that the columns take, by family."""
        families: dict[str, int] = {"files": 0}
        for name, column in self.columns.items():
            family = name.split(".")[0]
            families[family] = families.get(family, 0) + column.memory_bytes
            families["files"] += column.file_bytes
        families["dead"] = sum(each.memory() for each in self._sets.values())
        return families


def wipe(directory: Path) -> None:
    """Remove the columns of an engine whose snapshot cannot be used."""
    shutil.rmtree(directory, ignore_errors=True)


def _keep_only(directory: Path, names: set[str]) -> None:
    """Remove the files that the snapshot knows nothing of: they are younger than it."""
    for path in directory.iterdir():
        if path.name not in names:
            path.unlink()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
