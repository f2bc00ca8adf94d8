"""What kind of people, events and audiences a run makes: the values that a mix file says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Protocol

from coterie.type.v1 import event_pb2, schema_pb2, value_pb2
from services.host.load.draws import Draws

PROBE_EVENT = "load.probe"
"""Events of nobody else: what puts a probe into its audience."""
PROBE_AUDIENCE = "load-probe"
PROBE_RULE = f'events("{PROBE_EVENT}").last(hours(1)).exists()'
CENTS = 100


class ValueSpec(Protocol):
    """How one value is drawn."""

    @property
    def kind(self) -> value_pb2.ValueKind.ValueType:
        """What the schema says of it."""

    def fill(self, value: value_pb2.Value, draws: Draws, total: float) -> None:
        """Set `value`; `total` is what the event's lines cost."""


@dataclass(frozen=True, slots=True)
class TextSpec:
    """One of some texts."""

    options: tuple[str, ...]
    kind = value_pb2.VALUE_KIND_TEXT

    def fill(self, value: value_pb2.Value, draws: Draws, total: float) -> None:  # noqa: ARG002
        """Set one of the texts."""
        value.text = draws.choice(self.options)


@dataclass(frozen=True, slots=True)
class CodeSpec:
    """A text that ends with a number below `count`, such as `store-17`."""

    prefix: str
    count: int
    kind = value_pb2.VALUE_KIND_TEXT

    def fill(self, value: value_pb2.Value, draws: Draws, total: float) -> None:  # noqa: ARG002
        """Set the text."""
        value.text = f"{self.prefix}{draws.skewed(self.count)}"


@dataclass(frozen=True, slots=True)
class NumberSpec:
    """A number of two places within bounds."""

    least: float
    greatest: float
    kind = value_pb2.VALUE_KIND_NUMBER

    def fill(self, value: value_pb2.Value, draws: Draws, total: float) -> None:  # noqa: ARG002
        """Set the number."""
        low, high = round(self.least * CENTS), round(self.greatest * CENTS)
        value.number = draws.between(low, high) / CENTS


@dataclass(frozen=True, slots=True)
class TotalSpec:
    """What the lines of the event cost."""

    kind = value_pb2.VALUE_KIND_NUMBER

    def fill(self, value: value_pb2.Value, draws: Draws, total: float) -> None:  # noqa: ARG002
        """Set the sum."""
        value.number = total


@dataclass(frozen=True, slots=True)
class FlagSpec:
    """True for a share of all."""

    share: float
    kind = value_pb2.VALUE_KIND_FLAG

    def fill(self, value: value_pb2.Value, draws: Draws, total: float) -> None:  # noqa: ARG002
        """Set true or false."""
        value.flag = draws.unit() < self.share


@dataclass(frozen=True, slots=True)
class DateSpec:
    """A day of some years."""

    first_year: int
    last_year: int
    kind = value_pb2.VALUE_KIND_DATE

    def fill(self, value: value_pb2.Value, draws: Draws, total: float) -> None:  # noqa: ARG002
        """Set a day that every month has."""
        value.date.year = draws.between(self.first_year, self.last_year)
        value.date.month = draws.between(1, 12)
        value.date.day = draws.between(1, 28)


@dataclass(frozen=True, slots=True)
class TextsSpec:
    """Each of some texts with a chance of one half."""

    options: tuple[str, ...]
    kind = value_pb2.VALUE_KIND_TEXTS

    def fill(self, value: value_pb2.Value, draws: Draws, total: float) -> None:  # noqa: ARG002
        """Set the list."""
        chosen = draws.bits()
        picked = [each for place, each in enumerate(self.options) if chosen >> place & 1]
        value.texts.values.extend(picked)


@dataclass(frozen=True, slots=True)
class Catalog:
    """Items: an item's category, brand and price follow from its number."""

    count: int
    categories: tuple[str, ...]
    brands: tuple[str, ...]
    price: NumberSpec

    def fill(self, line: event_pb2.LineItem, draws: Draws) -> float:
        """Make a line of some item; return what it costs."""
        number = draws.skewed(self.count)
        own = Draws(0, 0, number)
        line.sku = f"sku-{number}"
        line.category = own.choice(self.categories)
        line.brand = own.choice(self.brands)
        low, high = round(self.price.least * CENTS), round(self.price.greatest * CENTS)
        cents = own.between(low, high)
        line.price = cents / CENTS
        line.quantity = quantity = 1 + draws.below(4) // 3
        return cents * quantity / CENTS


@dataclass(frozen=True, slots=True)
class EventSpec:
    """One type of event: how often, with how many lines, with which properties."""

    type: str
    weight: float
    items: tuple[int, int] = (0, 0)
    properties: tuple[tuple[str, ValueSpec], ...] = ()


@dataclass(frozen=True)
class Mix:
    """Everything that is made."""

    name: str
    namespace: str
    attributes: tuple[tuple[str, ValueSpec], ...]
    catalog: Catalog
    events: tuple[EventSpec, ...]
    values: tuple[tuple[str, tuple[str, ...]], ...] = ()
    audiences: tuple[str, ...] = ()

    @cached_property
    def weights(self) -> list[float]:
        """The weights of the types, added up."""
        return list(accumulate(each.weight for each in self.events))

    def schema(self) -> schema_pb2.Schema:
        """Return what rules may say of these people and events."""
        schema = schema_pb2.Schema(attributes=_fields(self.attributes))
        for each in self.events:
            schema.event_types.add(type=each.type, properties=_fields(each.properties))
        schema.event_types.add(type=PROBE_EVENT)
        return schema

    def rule(self, number: int) -> str:
        """Return the rule of audience `number`, from 0: the templates in turn, other values each.

        It does not depend on the seed, so that runs of all seeds share their audiences.
        """
        rule = self.audiences[number % len(self.audiences)]
        draws = Draws(0, 1, number)
        for name, options in self.values:
            rule = rule.replace(f"{{{name}}}", draws.choice(options))
        return " ".join(rule.split())


def audience_id(number: int) -> str:
    """Return the id of audience `number`, from 0.

    >>> audience_id(0)
    'load-0001'
    """
    return f"load-{number + 1:04d}"


def _fields(specs: tuple[tuple[str, ValueSpec], ...]) -> list[schema_pb2.FieldSchema]:
    return [schema_pb2.FieldSchema(name=name, kind=spec.kind) for name, spec in specs]
