"""The records of one audience in columns: some seventy bytes a person, most of them the cause's id.

Columns lie sorted by ordinal and never change; what came since is kept beside them, and now and
then all becomes new columns. So a copy for a snapshot is a reference, and its bytes are the same
however the records came to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from services.segmentation.domain import Cause, Change

RECENT = 4_096
"""As many records are kept beside the columns at least: then they cost less than joining them."""
GATHERED = 65_536
"""Rows whose cause ids are moved at once: it bounds what the move itself needs."""
_CAUSES = tuple(Cause)
_PLACES = {cause: place for place, cause in enumerate(_CAUSES)}


@dataclass(frozen=True, slots=True)
class Columns:
    """Records sorted by ordinal; cause ids are one text after the other, each up to its end."""

    ordinals: NDArray[np.uint32]
    enters: NDArray[np.int64]
    exits: NDArray[np.int64]
    causes: NDArray[np.uint8]
    versions: NDArray[np.uint32]
    ends: NDArray[np.int64]
    ids: NDArray[np.uint8]

    @classmethod
    def of(cls, records: Mapping[int, Change]) -> Self:
        """Return these records as columns."""
        people = sorted(records)
        changes = [records[each] for each in people]
        texts = [each.cause_id.encode() for each in changes]
        return cls(
            np.array(people, np.uint32),
            np.array([each.enter_ms for each in changes], np.int64),
            np.array([each.exit_ms for each in changes], np.int64),
            np.array([_PLACES[each.cause] for each in changes], np.uint8),
            np.array([each.version for each in changes], np.uint32),
            np.cumsum([len(each) for each in texts], dtype=np.int64),
            np.frombuffer(b"".join(texts), np.uint8),
        )

    @classmethod
    def load(cls, sections: Mapping[str, bytes], name: str) -> Self:
        """Return what `sections` gave."""
        kinds = (np.uint32, np.int64, np.int64, np.uint8, np.uint32, np.int64, np.uint8)
        found = cls(
            *(
                np.frombuffer(sections[f"{name}.{part}"], kind)
                for part, kind in zip(cls.__slots__, kinds, strict=True)
            )
        )
        if len({len(getattr(found, part)) for part in cls.__slots__[:-1]}) != 1:
            raise ValueError(f"{name}: expected columns of one length, found others")
        return found

    def sections(self, name: str) -> dict[str, bytes]:
        """Return the columns as bytes."""
        return {f"{name}.{part}": getattr(self, part).tobytes() for part in self.__slots__}

    def record(self, place: int) -> Change:
        """Return one record."""
        start = int(self.ends[place - 1]) if place else 0
        return Change(
            int(self.enters[place]),
            int(self.exits[place]),
            _CAUSES[self.causes[place]],
            self.ids[start : int(self.ends[place])].tobytes().decode(),
            int(self.versions[place]),
        )

    def taken(self, places: NDArray[np.int64]) -> Self:
        """Return some records, in this order."""
        lengths = np.diff(self.ends, prepend=0)[places]
        starts = self.ends[places] - lengths
        parts = [
            _gathered(self.ids, starts[at : at + GATHERED], lengths[at : at + GATHERED])
            for at in range(0, len(places), GATHERED)
        ]
        return type(self)(
            self.ordinals[places],
            self.enters[places],
            self.exits[places],
            self.causes[places],
            self.versions[places],
            np.cumsum(lengths),
            np.concatenate(parts) if parts else np.zeros(0, np.uint8),
        )

    def joined(self, other: Columns) -> Self:
        """Return the records of both, of which no person has two."""
        whole = [
            np.concatenate([getattr(self, part), getattr(other, part)]) for part in self.__slots__
        ]
        ends = np.concatenate([self.ends, other.ends + len(self.ids)])
        both = replace(type(self)(*whole), ends=ends)
        return both.taken(np.argsort(both.ordinals, kind="stable"))


class RecordTable:
    """The records of one audience; who has none is told in a fraction of a microsecond."""

    def __init__(self, columns: Columns | None = None) -> None:
        self._columns = columns or Columns.of({})
        self._people = BitMap(self._columns.ordinals)
        self._recent: dict[int, Change | None] = {}

    def get(self, ordinal: int) -> Change | None:
        """Return a person's record; None where there is none."""
        if ordinal in self._recent:
            return self._recent[ordinal]
        if ordinal not in self._people:
            return None
        return self._columns.record(self._people.rank(ordinal) - 1)

    def put(self, ordinal: int, record: Change | None) -> None:
        """Keep a person's record; None forgets it."""
        self._recent[ordinal] = record
        if len(self._recent) > max(RECENT, len(self._columns.ordinals) // 4):
            self.columns()

    def columns(self) -> Columns:
        """Return all of it, and keep nothing beside."""
        if self._recent:
            former = np.isin(
                self._columns.ordinals, np.fromiter(self._recent, np.uint32, len(self._recent))
            )
            kept = self._columns.taken(np.flatnonzero(~former))
            new = {each: record for each, record in self._recent.items() if record is not None}
            self._columns = kept.joined(Columns.of(new))
            self._people = BitMap(self._columns.ordinals)
            self._recent = {}
        return self._columns

    def people(self) -> BitMap:
        """Return who has a record."""
        self.columns()
        return BitMap(self._people)

    def memory_bytes(self) -> int:
        """Return what it takes."""
        columns = self.columns()
        return sum(getattr(columns, part).nbytes for part in columns.__slots__)


def _gathered(
    ids: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Return stretches of bytes one after the other."""
    ends = np.cumsum(lengths)
    shifts = np.repeat(starts - (ends - lengths), lengths)
    return ids[shifts + np.arange(len(shifts))]
