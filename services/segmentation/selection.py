"""Who a rule that is not saved holds for: one partition at a time, which the caller holds."""

from __future__ import annotations

from collections.abc import Callable

from pyroaring import BitMap

from segcore.rule import Expression
from segcore.select import select as select_members
from services.segmentation.definitions import renamed
from services.segmentation.partition import Partition

Progress = Callable[[float], None]


def select(
    partition: Partition,
    rule: Expression,
    at_ms: int | None,
    progress: Progress | None = None,
) -> BitMap:
    """Return the ordinals that a rule holds for now, or did at `at_ms` by the rules of now.

    `progress` is told the share of the work that is done, on this thread.
    """
    bound = renamed(rule, partition.versions.builds.current)
    return select_members(partition.engine, bound, at_ms, progress)
