"""The rows that made a rule over items hold, so that a message can say the shoes and not the dress.

Found by kernels in the engine's histories, after a run of events as of the instant of each entry.
"""

from __future__ import annotations

import functools
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence

from segcore import Change as Flip
from segcore import Engine
from segcore.live_witnesses import LiveWitnesses
from segcore.nodes import nodes_of
from segcore.rule import Expression, Rows, Scope
from segcore.rule_json import from_json
from services.segmentation.domain import Definition, WitnessRow


@functools.lru_cache(maxsize=4096)
def rule_over_items(rule_json: str) -> Expression | None:
    """Return the rule if it speaks of items, else None."""
    rule = from_json(rule_json)
    speaks = any(isinstance(each, Rows) and each.scope is Scope.ITEM for each in nodes_of(rule))
    return rule if speaks else None


class Course:
    """The flips of one call in their order, and what was so at each, though all have happened.

    `horizon_ms` is that of the engine when the call began, or in it where no time passes in it.
    `limits` say for each flip how many events had come by then; without them all had.
    """

    def __init__(
        self,
        engine: Engine,
        flips: Sequence[Flip],
        horizon_ms: int | None = None,
        limits: Sequence[int] | None = None,
    ) -> None:
        self._engine = engine
        self.flips = flips
        self._horizon_ms = engine.horizon_ms if horizon_ms is None else horizon_ms
        self._limits = limits

    def horizon_ms(self, place: int) -> int:
        """Return the last instant whose changes by time had happened at a flip."""
        flip = self.flips[place]
        return flip.at_ms if flip.clock else max(self._horizon_ms, flip.at_ms - 1)

    def event_limit(self, place: int) -> int:
        """Return how many events had come at a flip."""
        return self._engine.event_count if self._limits is None else self._limits[place]

    def was_in(self, engine_id: str, place: int) -> bool:
        """Tell whether the person of a flip was in an audience of the engine at it."""
        ordinal = self.flips[place].ordinal
        later = self._places.get((engine_id, ordinal), ())
        after = bisect_right(later, place)
        if after < len(later):
            return not self.flips[later[after]].entered
        return bool(self._engine.is_member(engine_id, ordinal))

    @functools.cached_property
    def _places(self) -> Mapping[tuple[str, int], list[int]]:
        places: dict[tuple[str, int], list[int]] = {}
        for place, flip in enumerate(self.flips):
            places.setdefault((flip.audience_id, flip.ordinal), []).append(place)
        return places


class Witnessing:
    """What finds the witnesses of the audiences that a partition has."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Engine, str, LiveWitnesses | None]] = {}

    def keep(self, audience_ids: Mapping[str, Definition]) -> None:
        """Let go of what audiences needed that are no more."""
        for each in self._kept.keys() - audience_ids.keys():
            del self._kept[each]

    def rows(
        self,
        engine: Engine,
        definition: Definition,
        course: Course,
        place: int,
        in_audience: Callable[[str], bool],
    ) -> tuple[WitnessRow, ...]:
        """Return the rows by which the person of an entry came in, newest first; none of events."""
        found = self._of(engine, definition)
        if found is None:
            return ()
        rows = found.find(
            course.flips[place].ordinal,
            horizon_ms=course.horizon_ms(place),
            event_limit=course.event_limit(place),
            in_audience=in_audience,
        )
        return tuple(WitnessRow(*each) for each in rows)

    def _of(self, engine: Engine, definition: Definition) -> LiveWitnesses | None:
        """Return what finds the rows of an audience's rule in an engine; None for one of events."""
        known = self._kept.get(definition.audience_id)
        if known is not None and known[0] is engine and known[1] == definition.rule_json:
            return known[2]
        rule = rule_over_items(definition.rule_json)
        made = None if rule is None else LiveWitnesses(engine, rule)
        self._kept[definition.audience_id] = engine, definition.rule_json, made
        return made
