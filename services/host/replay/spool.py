"""Sorts rows on disk: a file may be larger than memory, and its rows in any order.

One SQLite database without a name: it lies in a temporary file that is gone with the process.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from services.host.replay.rows import Built

CACHE_KIB = 16_384
TABLES = """
CREATE TABLE line (key TEXT, number INTEGER, cells TEXT);
CREATE TABLE event (time_ms INTEGER, key TEXT, body BLOB);
"""


class Spooled(NamedTuple):
    """One event in time order; `copy` counts the events of one key in that order, from 1."""

    time_ms: int
    key: str
    copy: int
    body: bytes


class Spool:
    """Takes rows and events and gives them back sorted; equal times in order of arrival."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")
        self._database.executescript(f"PRAGMA cache_size = -{CACHE_KIB};{TABLES}")

    def add_line(self, key: str, number: int, cells: Sequence[str]) -> None:
        """Keep one row of a group until all of its rows are there."""
        self._database.execute(
            "INSERT INTO line VALUES (?, ?, ?)", (key, number, json.dumps(cells))
        )

    def groups(self) -> Iterator[list[tuple[int, list[str]]]]:
        """Yield the numbered rows of each group, in the file's order; then forget them."""
        rows = self._database.execute("SELECT key, number, cells FROM line ORDER BY key, number")
        group: list[tuple[int, list[str]]] = []
        held = None
        for key, number, cells in rows:
            if group and key != held:
                yield group
                group = []
            held = key
            group.append((number, json.loads(cells)))
        if group:
            yield group
        self._database.execute("DELETE FROM line")

    def add_event(self, built: Built) -> None:
        """Keep one event."""
        self._database.execute("INSERT INTO event VALUES (?, ?, ?)", built)

    def span(self) -> tuple[int, int, int]:
        """Return how many events there are, and the least and the greatest time, else 0."""
        found = self._database.execute(
            "SELECT count(*), coalesce(min(time_ms), 0), coalesce(max(time_ms), 0) FROM event"
        ).fetchone()
        return int(found[0]), int(found[1]), int(found[2])

    def drop_repeats(self) -> int:
        """Forget all events but the first of each key; return how many those are."""
        return self._database.execute(
            "DELETE FROM event WHERE rowid NOT IN (SELECT min(rowid) FROM event GROUP BY key)"
        ).rowcount

    def in_time_order(self) -> Iterator[Spooled]:
        """Yield the events, earliest first."""
        rows = self._database.execute(
            "SELECT time_ms, key,"
            " row_number() OVER (PARTITION BY key ORDER BY time_ms, rowid), body"
            " FROM event ORDER BY time_ms, rowid"
        )
        return map(Spooled._make, rows)

    def close(self) -> None:
        """Give the disk back."""
        self._database.close()
