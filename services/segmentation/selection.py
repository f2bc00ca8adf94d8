"""Who a rule that is not saved holds for: one partition at a time, which the caller holds."""

from __future__ import annotations

from collections.abc import Callable

from pyroaring import BitMap

from segcore import History, evaluate
from segcore.rule import Expression
from segcore.rule_json import from_json
from services.segmentation.partition import Partition

Progress = Callable[[float], None]
TOLD_PEOPLE = 1_000
"""People between two words of progress: some tenths of a second."""


def select(
    partition: Partition,
    rule: Expression,
    at_ms: int | None,
    progress: Progress = lambda _share: None,
) -> BitMap:
    """Return the ordinals that a rule holds for now, or did at `at_ms` by the rules of now.

    `progress` is told the share of the work that is done, on this thread.
    """
    engine = partition.engine
    now_ms, settled = (engine.now_ms, engine.settled) if at_ms is None else (at_ms, True)
    found, everybody = BitMap(), partition.everybody()
    for place, ordinal in enumerate(everybody):
        if place % TOLD_PEOPLE == 0:
            progress(place / len(everybody))
        history = _until(engine.history(ordinal), at_ms)
        inside = _inside(partition, ordinal, history, at_ms)
        if evaluate(rule, history, now_ms, inside, settled=settled):
            found.add(ordinal)
    return found


def _inside(
    partition: Partition, ordinal: int, history: History, at_ms: int | None
) -> Callable[[str], bool]:
    if at_ms is None:
        return lambda audience_id: partition.is_member(audience_id, ordinal)

    def was_inside(audience_id: str) -> bool:
        rule = from_json(partition.definitions[audience_id].rule_json)
        return bool(evaluate(rule, history, at_ms, was_inside, settled=True))

    return was_inside


def _until(history: History, at_ms: int | None) -> History:
    if at_ms is None:
        return history
    return History(
        tuple(each for each in history.events if each.occurred_ms <= at_ms),
        tuple(each for each in history.attribute_changes if each.as_of_ms <= at_ms),
    )
