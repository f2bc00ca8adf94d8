"""The compiled conditions of a version, and what they come to for an instance now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from segcore.history import Event, History
from segcore.instance import CatalogItem
from segcore.instance import Instance as Situation
from segcore.reference import evaluate, nodes_of
from segcore.rule import Aggregate, CatalogField, Expression, Fold, InAudience, Rows
from segcore.rule_json import from_json, to_json
from services.journey.domain.definition import ENTRY_ROWS, Journey, Key
from services.journey.domain.instance import Instance


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition with what can change it."""

    expression: Expression
    event_types: frozenset[str]
    audiences: frozenset[str]
    uses_catalog: bool


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a journey as the stage runs it."""

    journey: Journey
    conditions: Mapping[str, Condition]
    entry_rows: Rows | None

    @property
    def event_types(self) -> frozenset[str]:
        """The types whose events its conditions look at."""
        return frozenset[str]().union(*(each.event_types for each in self.conditions.values()))

    @property
    def audiences(self) -> frozenset[str]:
        """The audiences whose changes its conditions look at."""
        return frozenset[str]().union(*(each.audiences for each in self.conditions.values()))

    @property
    def uses_catalog(self) -> bool:
        """Whether its conditions look at the item of the key."""
        return any(each.uses_catalog for each in self.conditions.values())


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What conditions may look at, for one person at one position of the logs."""

    events: Callable[[int], tuple[Event, ...]]
    member: Callable[[str, int], bool]
    catalog: Callable[[str], CatalogItem | None]


def condition_of(text: str) -> Condition:
    """Return the condition that JSON of `segcore.rule` holds; raises ValueError."""
    expression = from_json(text)
    nodes = list(nodes_of(expression))
    return Condition(
        expression=expression,
        event_types=frozenset(t for node in nodes if isinstance(node, Rows) for t in node.types),
        audiences=frozenset(node.audience_id for node in nodes if isinstance(node, InAudience)),
        uses_catalog=any(isinstance(node, CatalogField) for node in nodes),
    )


def version_of(journey: Journey, conditions_json: Mapping[str, str]) -> Version:
    """Return a version from what the log holds of it; raises ValueError."""
    texts = dict(conditions_json)
    rows = texts.pop(ENTRY_ROWS, "")
    conditions = {place: condition_of(text) for place, text in texts.items()}
    return Version(journey, conditions, rows_from_json(rows) if rows else None)


def rows_to_json(rows: Rows) -> str:
    """Return rows as the text of a rule: that there are any."""
    return to_json(Aggregate(rows, Fold.EXISTS))


def rows_from_json(text: str) -> Rows:
    """Return the rows of such a text."""
    return cast("Aggregate", from_json(text)).rows


def holds_for(
    version: Version, instance: Instance, now_ms: int, around: Surroundings
) -> Callable[[str], bool]:
    """Return what tells whether the condition at a place holds for the instance now."""

    def holds(place: str) -> bool:
        condition = version.conditions[place]
        profile_id = instance.profile_id
        events = around.events(profile_id) if condition.event_types else ()
        value = evaluate(
            condition.expression,
            History(events=events),
            now_ms,
            lambda audience_id: around.member(audience_id, profile_id),
            instance=_situation(version.journey, instance, around),
        )
        return value is True

    return holds


def _situation(journey: Journey, instance: Instance, around: Surroundings) -> Situation:
    return Situation(
        entry_ms=instance.entry_ms,
        trigger=None if instance.trigger is None else instance.trigger.event,
        key=None if journey.entry.key is Key.PERSON else instance.key,
        catalog=around.catalog,
    )
