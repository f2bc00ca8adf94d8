"""Which of the engine's audiences callers see, by the ranks that its arrays of changes name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from segcore import Change, Engine
from services.segmentation.domain import WitnessRow
from services.segmentation.records import Records
from services.segmentation.versions import Versions
from services.segmentation.witnessing import Course, rule_over_items


@dataclass(frozen=True, slots=True)
class Ranks:
    """Of each rank the engine's name, our audience and version, and the label of its records.

    What callers do not see has no audience and the label 0. `over_items` are of rules over items.
    Good until a definition changes.
    """

    names: Sequence[str]
    audiences: Sequence[tuple[str, int]]
    labels: NDArray[np.uint32]
    over_items: NDArray[np.bool_]

    @classmethod
    def of(cls, engine: Engine, versions: Versions, records: Records) -> Self:
        """Return those of an engine as it is now."""
        found = engine.audiences()
        audiences, labels, over_items = [], [], []
        for each in found:
            audience_id = versions.builds.audience_of(each.audience_id) or ""
            definition = versions.library.current.get(audience_id)
            shown = definition is not None and each.active
            audiences.append((audience_id, each.version))
            labels.append(records.label(audience_id, each.version) if shown else 0)
            rule_json = definition.rule_json if definition is not None and shown else ""
            over_items.append(bool(rule_json) and rule_over_items(rule_json) is not None)
        names = [each.audience_id for each in found]
        return cls(names, audiences, np.array(labels, np.uint32), np.array(over_items, np.bool_))

    def course(
        self, engine: Engine, flips: NDArray[np.void], came_before: int, horizon_ms: int
    ) -> Course | None:
        """Return what was so at each flip of a run, if there is an entry that asks for it.

        Before the run so many events had come, and what time changes had happened to a horizon.
        """
        if not (self.over_items[flips["rank"]] & (flips["entered"] == 1)).any():
            return None
        changes, limits = [], []
        for at_ms, rank, ordinal, place, entered, clock in flips.tolist():
            version = self.audiences[rank][1]
            name = self.names[rank]
            changes.append(Change(name, version, ordinal, bool(entered), at_ms, bool(clock)))
            # What time changes on the way to an event happens before that event is there.
            limits.append(came_before + place + (not clock))
        return Course(engine, changes, horizon_ms, limits)


@dataclass(frozen=True, slots=True)
class RunChanges:
    """What a run of events or time changed, in arrays: flips, and their numbers.

    The number is 0 for what nobody sees. `witnesses` are those of entries by rules over items, by
    the place of the flip.
    """

    flips: NDArray[np.void]
    numbers: NDArray[np.uint32]
    ranks: Ranks
    witnesses: Mapping[int, tuple[WitnessRow, ...]]
