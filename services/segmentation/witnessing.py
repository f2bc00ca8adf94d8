"""The rows that made a rule over items hold, so that a message can say the shoes and not the dress.

Found by the reference over the person's own history: it costs what that is long, for those who
enter such an audience alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import islice

from segcore import Engine
from segcore.evaluation import Moment
from segcore.nodes import nodes_of
from segcore.rule import Expression, Rows, Scope
from segcore.rule_json import from_json
from segcore.witnesses import witness_rows
from services.segmentation.domain import WitnessRow

WITNESSES = 50
"""As many items as a message lists at most; of more the newest."""


@functools.lru_cache(maxsize=4096)
def rule_over_items(rule_json: str) -> Expression | None:
    """Return the rule if it speaks of items, else None."""
    rule = from_json(rule_json)
    speaks = any(isinstance(each, Rows) and each.scope is Scope.ITEM for each in nodes_of(rule))
    return rule if speaks else None


def witnesses(  # noqa: PLR0913  what a moment is made of
    engine: Engine,
    rule: Expression,
    ordinal: int,
    *,
    profile_id: int,
    at_ms: int,
    in_audience: Callable[[str], bool],
) -> tuple[WitnessRow, ...]:
    """Return the rows that make a rule hold for a person at an instant, newest first."""
    settled = engine.settled or at_ms < engine.now_ms
    history = engine.history(ordinal)
    moment = Moment(history, at_ms, in_audience, settled, profile_id=profile_id, zone=engine.zone)
    return tuple(
        WitnessRow(
            row.event.event_id,
            row.event.type,
            row.event.occurred_ms,
            row.item.sku if row.item is not None else "",
        )
        for row in islice(witness_rows(rule, moment), WITNESSES)
    )
