"""People of a partition who come apart, and who are no more."""

from __future__ import annotations

from collections.abc import Sequence

from services.segmentation.domain import Cause
from services.segmentation.partition import Partition
from services.segmentation.transitions import Transition


def divide(
    partition: Partition,
    ordinal: int,
    new_ordinal: int,
    came_with: Sequence[str],
    division_id: str,
) -> list[Transition]:
    """Give a new profile what came with some identifiers: both are as if two from the start.

    What is told of former memberships stays with the former profile: nobody can say whose they
    would have been.
    """
    partition.last_ordinal = max(partition.last_ordinal, new_ordinal)
    flips = partition.engine.divide(partition.current(ordinal), new_ordinal, came_with)
    return partition.told(flips, Cause.UNMERGE, division_id)


def erase(partition: Partition, ordinal: int, erasure_id: str) -> list[Transition]:
    """Let a person leave every audience and be nobody; only the exits are still told."""
    ordinal = partition.current(ordinal)
    changed = partition.told(partition.engine.erase(ordinal), Cause.ERASURE, erasure_id)
    partition.records.drop_person(ordinal)
    return changed
