"""Places for tables on each engine, by name: opened again, a place has what was written there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from services.kit.sql import Database

FILE, SERVER = "SQLite", "PostgreSQL"
KINDS = (FILE, SERVER)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a database is: what another process needs to open it too."""

    url: str
    schema: str | None = None

    def open(self) -> Database:
        """Open it, as a newly started process would."""
        return Database(self.url, self.schema)


@dataclass
class Databases:
    """Databases of one test: files of a directory, or schemas of a server with a prefix."""

    directory: Path
    url: str = ""
    prefix: str = ""
    _opened: list[Database] = field(default_factory=list)

    def place(self, name: str = "rows") -> Place:
        """Return where the database of this name is."""
        if self.url:
            return Place(self.url, f"{self.prefix}{name}")
        return Place(f"sqlite:///{self.directory / name}.db")

    def open(self, name: str = "rows") -> Database:
        """Open the database of this name once more; it is closed with the test."""
        opened = self.place(name).open()
        self._opened.append(opened)
        return opened

    def close(self) -> None:
        """Close what was opened."""
        for each in self._opened:
            each.close()


def made(request: pytest.FixtureRequest, directory: Path) -> Databases:
    """Return databases of the kind that the fixture's parameter says."""
    if request.param == FILE:
        return Databases(directory)
    return Databases(
        directory,
        request.getfixturevalue("postgres_url"),
        request.getfixturevalue("postgres_prefix"),
    )
