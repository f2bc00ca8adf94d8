"""Since when and why each person is in an audience, or was.

What happened to people one by one are rows of a journal. A version that went live moved many at
once: that is kept as two sets, however many they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from segcore._journal import Journal
from services.segmentation.domain import Cause, Change

_CAUSES = tuple(Cause)
_PLACES = {cause: place for place, cause in enumerate(_CAUSES)}
_NOTHING = (-1, -1, -1)


@dataclass(frozen=True, slots=True)
class Swap:
    """A version went live: who entered by it and who left."""

    version: int
    at_ms: int
    entered: BitMap
    exited: BitMap


@dataclass(frozen=True, slots=True)
class _KeptSwap:
    """A swap by the places of its sets; it happened after all rows before `position`."""

    slot: int
    version: int
    at_ms: int
    position: int
    start: int
    middle: int
    end: int


@dataclass(frozen=True, slots=True)
class _Moved:
    """A person's last entry or exit: a row of the journal, or a swap that had the person in it."""

    order: tuple[int, int]
    at_ms: int = 0
    row: int = -1
    version: int = 0


_NEVER = _Moved((-1, -1))


class Records:
    """The records of one partition, by audience. `event_id` tells the id of an engine's event."""

    def __init__(self, event_id: Callable[[int], str], journal: Journal | None = None) -> None:
        self.journal = Journal() if journal is None else journal  # one without rows is empty
        self._event_id = event_id
        self._slots: dict[str, int] = {}
        self._last_slot = 0
        self._labels: list[tuple[int, int]] = [(0, 0)]
        self._label_of: dict[tuple[int, int], int] = {}
        self._swaps: dict[int, list[_KeptSwap]] = {}

    def label(self, audience_id: str, version: int) -> int:
        """Return what rows call a version of an audience, from the first time on that one asks."""
        slot = self._slots.get(audience_id)
        if slot is None:
            self._last_slot += 1
            slot = self._slots[audience_id] = self._last_slot
        found = self._label_of.get((slot, version))
        return found or self._add_label(slot, version)

    def _add_label(self, slot: int, version: int) -> int:
        label = self._label_of[slot, version] = self.journal.add_label(slot)
        self._labels.append((slot, version))
        return label

    def find(self, audience_id: str, ordinal: int) -> Change | None:
        """Return what is known of a person and an audience; None where nothing ever changed.

        Costs a step for each row of the person up to the last entry and exit, at most 1 us each
        where they are in memory.
        """
        slot = self._slots.get(audience_id)
        if slot is None:
            return None
        return self._change(slot, ordinal, self.journal.latest(ordinal, slot))

    def of(self, ordinal: int) -> Iterator[tuple[str, Change]]:
        """Yield the records of one person by audience."""
        found = self.journal.latest(ordinal)
        for audience_id, slot in sorted(self._slots.items()):
            record = self._change(slot, ordinal, found)
            if record is not None:
                yield audience_id, record

    def _change(self, slot: int, ordinal: int, found: Mapping[int, Sequence[int]]) -> Change | None:
        """Return the newest entry and exit as one record."""
        entry, exit_, floor = found.get(slot) or found[0]
        entered, left = self._moved(entry), self._moved(exit_)
        swaps = self._swaps.get(slot, ())
        for place in range(len(swaps) - 1, -1, -1):
            swap, order = swaps[place], (2 * swaps[place].position - 1, place)
            if swap.position <= floor or order < min(entered.order, left.order):
                break
            if order > entered.order and self.journal.set_has(swap.start, swap.middle, ordinal):
                entered = _Moved(order, swap.at_ms, -1, swap.version)
            elif order > left.order and self.journal.set_has(swap.middle, swap.end, ordinal):
                left = _Moved(order, swap.at_ms, -1, swap.version)
        newest = max(entered, left, key=lambda each: each.order)
        if newest is _NEVER:
            return None
        cause, cause_id, version = self._why(newest)
        return Change(entered.at_ms, left.at_ms, cause, cause_id, version)

    def _moved(self, row: int) -> _Moved:
        return _NEVER if row < 0 else _Moved((2 * row, 0), self.journal.row(row)[1], row)

    def _why(self, moved: _Moved) -> tuple[Cause, str, int]:
        if moved.row < 0:
            return Cause.DEFINITION, "", moved.version
        label, _, kind, place, by_event = self.journal.row(moved.row)
        cause_id = self._event_id(place) if by_event else self.journal.text(place)
        return _CAUSES[kind], cause_id, self._labels[label][1]

    def add(  # noqa: PLR0913, PLR0917  the parts of a change
        self,
        audience_id: str,
        version: int,
        ordinal: int,
        entered: bool,  # noqa: FBT001  which way
        at_ms: int,
        cause: Cause,
        cause_id: str = "",
        event: int | None = None,
    ) -> int:
        """Keep that a person entered or left; return the number of the change.

        `event` is the place of the event that did it, where the engine has that.
        """
        by_event = event is not None and cause is Cause.EVENT
        return self.journal.add(
            ordinal,
            self.label(audience_id, version),
            entered,
            at_ms,
            _PLACES[cause],
            event if event is not None and by_event else self.journal.put_text(cause_id),
            by_event,
        )

    def add_run(
        self, flips: NDArray[np.void], labels: NDArray[np.uint32], first_event: int
    ) -> NDArray[np.uint32]:
        """Keep what a run of events changed; return each change's number, 0 for what nobody sees.

        `labels` are by rank; `first_event` is the engine's place of the first event of the batch.
        """
        kinds = _PLACES[Cause.EVENT], _PLACES[Cause.CLOCK]
        return self.journal.add_run(flips, labels, first_event, *kinds)

    def keep(self, audience_id: str, ordinal: int, record: Change, *, member: bool) -> None:
        """Let this be all that is known of a person and an audience."""
        label = self.label(audience_id, record.version)
        times = (record.exit_ms, record.enter_ms)
        fresh = True
        if times[not member]:
            kind = _PLACES[record.cause]
            self.journal.add(
                ordinal, label, not member, times[not member], kind, 0, told=False, fresh=True
            )
            fresh = False
        kind, text = _PLACES[record.cause], self.journal.put_text(record.cause_id)
        self.journal.add(ordinal, label, member, times[member], kind, text, told=False, fresh=fresh)

    def swap(self, audience_id: str, swap: Swap) -> None:
        """Keep what a version that goes live does, for all of them at once."""
        label = self.label(audience_id, swap.version)
        slot = self._labels[label][0]
        start, middle = self.journal.put_set(swap.entered.serialize())
        _, end = self.journal.put_set(swap.exited.serialize())
        kept = _KeptSwap(slot, swap.version, swap.at_ms, len(self.journal), start, middle, end)
        self._swaps.setdefault(slot, []).append(kept)

    def drop_person(self, ordinal: int) -> None:
        """Forget a person."""
        self.journal.forget(ordinal)

    def drop_audience(self, audience_id: str) -> None:
        """Forget an audience; one of that name that comes later is another."""
        slot = self._slots.pop(audience_id, None)
        if slot is not None:
            self._swaps.pop(slot, None)

    def capture(self) -> dict[str, Any]:
        """Return all but the journal's columns as plain values."""
        return {
            "slots": dict(self._slots),
            "last_slot": self._last_slot,
            "labels": self._labels[1:],
            "swaps": [astuple(each) for swaps in self._swaps.values() for each in swaps],
        }

    def restore(self, head: Mapping[str, Any], event_count: int) -> None:
        """Take back what `capture` gave, over a journal that was loaded; checks that it fits."""
        self._slots, self._last_slot = dict(head["slots"]), head["last_slot"]
        for slot, version in head["labels"]:
            self._add_label(slot, version)
        for each in head["swaps"]:
            kept = _KeptSwap(*each)
            self._swaps.setdefault(kept.slot, []).append(kept)
        self.journal.restore(event_count)
