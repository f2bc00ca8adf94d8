"""Conditions of journeys, and what they speak of, drawn at random from the same small pools."""

from __future__ import annotations

from dataclasses import dataclass, replace

from drawn_simple import NAMES, TEXTS, TYPES, VALUES, Draw
from hypothesis import strategies as st

from segcore.history import Event
from segcore.instance import CATALOG_KINDS, CatalogItem, Instance
from segcore.rule import (
    Aggregate,
    All,
    AnyOf,
    CatalogField,
    Compare,
    Comparison,
    Expression,
    Fold,
    KeyText,
    Kind,
    Not,
    Since,
    TriggerField,
)


@dataclass(frozen=True)
class InstanceDraw(Draw):
    """Draws what speaks of the instance wherever it reads anything."""

    def field(self, kind: Kind) -> Expression:
        if self.scope is not None and self.maybe():
            return super().field(kind)
        names = [name for name, own in NAMES.items() if own is kind]
        if kind is Kind.TEXT:
            names += ["id", "type"]
            if self.maybe():
                return KeyText()
        if kind is Kind.TIME:
            names += ["occurred_at", "received_at"]
        catalog = [name for name, own in CATALOG_KINDS.items() if own is kind]
        if self.scope is None and catalog and self.maybe():
            return CatalogField(self.pick(*catalog), kind)
        return TriggerField(self.pick(*names), kind)

    def aggregate(self, fold: Fold) -> Aggregate:
        found = super().aggregate(fold)
        return replace(found, rows=replace(found.rows, last_ms=None, since=self.pick(*Since)))


@st.composite
def conditions(draw: st.DrawFn, audiences: tuple[str, ...] = (), depth: int = 2) -> Expression:
    """Draw a condition in which the person and the instance meet as conditions alone."""
    person, instance = Draw(draw, None, audiences), InstanceDraw(draw, None)

    def drawn(left: int) -> Expression:
        shapes = ["person", "instance", "instance"]
        shapes += ["not", "all", "any", "equal"] if left else []
        match person.pick(*shapes):
            case "person":
                return person.condition(1)
            case "instance":
                return instance.condition(1)
            case "not":
                return Not(drawn(left - 1))
            case "all":
                return All(tuple(drawn(left - 1) for _ in range(person.pick(2, 3))))
            case "any":
                return AnyOf(tuple(drawn(left - 1) for _ in range(person.pick(2, 3))))
            case _:
                comparison = person.pick(Comparison.EQ, Comparison.NE)
                return Compare(comparison, drawn(left - 1), drawn(left - 1))

    return drawn(depth)


_catalog_items = st.builds(
    CatalogItem,
    **{
        name: st.none() | (VALUES[kind] if kind is Kind.TEXT else st.sampled_from((-1.0, 0.0, 1.5)))
        for name, kind in CATALOG_KINDS.items()
    },
)


@st.composite
def instances(draw: st.DrawFn, now_ms: int, events: tuple[Event, ...]) -> Instance:
    """Draw an instance that one of the events started, or none."""
    catalog = draw(st.dictionaries(st.sampled_from(TEXTS), _catalog_items, max_size=3))
    return Instance(
        entry_ms=now_ms - 1000 * draw(st.sampled_from((0, 1, 4, 5, 25))),
        trigger=draw(st.sampled_from((None, *events))),
        trigger_type=draw(st.sampled_from((None, *TYPES))),
        key=draw(st.sampled_from((None, *TEXTS))),
        catalog=catalog.get,
    )
