"""Since when and why each person is in an audience, or was.

What moved many at once is kept as bitmaps; a person's own record is there from the first change
that was the person's own, and says all that is said of the person from then on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyroaring import BitMap

from services.segmentation import domain
from services.segmentation.domain import Cause, Change
from services.segmentation.record_table import RecordTable


@dataclass(frozen=True, slots=True)
class Swap:
    """A version went live: who entered by it and who left."""

    version: int
    at_ms: int
    entered: BitMap
    exited: BitMap


class Records:
    """The records of one partition, by audience."""

    def __init__(self) -> None:
        self.own: dict[str, RecordTable] = {}
        self.swaps: dict[str, list[Swap]] = {}

    def find(self, audience_id: str, ordinal: int) -> Change | None:
        """Return what is known of a person and an audience; None where nothing ever changed."""
        own = self.own.get(audience_id)
        record = own.get(ordinal) if own is not None else None
        if record is not None:
            return record
        for swap in self.swaps.get(audience_id, ()):
            if ordinal in swap.entered:
                record = domain.entered(record, swap.at_ms, Cause.DEFINITION, "", swap.version)
            elif ordinal in swap.exited:
                record = domain.exited(record, swap.at_ms, Cause.DEFINITION, "", swap.version)
        return record

    def keep(self, audience_id: str, ordinal: int, record: Change) -> None:
        """Keep a record of the person's own."""
        own = self.own.get(audience_id)
        if own is None:
            own = self.own[audience_id] = RecordTable()
        own.put(ordinal, record)

    def swap(self, audience_id: str, swap: Swap) -> None:
        """Keep what a version that goes live does; costs those of them who have records."""
        own = self.own.get(audience_id, RecordTable())
        for ordinal in (swap.entered | swap.exited) & own.people():
            change = domain.entered if ordinal in swap.entered else domain.exited
            record = change(own.get(ordinal), swap.at_ms, Cause.DEFINITION, "", swap.version)
            own.put(ordinal, record)
        self.swaps.setdefault(audience_id, []).append(swap)

    def of(self, ordinal: int) -> Iterator[tuple[str, Change]]:
        """Yield the records of one person by audience."""
        for audience_id in sorted({*self.own, *self.swaps}):
            record = self.find(audience_id, ordinal)
            if record is not None:
                yield audience_id, record

    def drop_person(self, ordinal: int) -> None:
        """Forget a person."""
        for own in self.own.values():
            if own.get(ordinal) is not None:
                own.put(ordinal, None)
        for swaps in self.swaps.values():
            for swap in swaps:
                swap.entered.discard(ordinal)
                swap.exited.discard(ordinal)

    def drop_audience(self, audience_id: str) -> None:
        """Forget an audience."""
        self.own.pop(audience_id, None)
        self.swaps.pop(audience_id, None)
