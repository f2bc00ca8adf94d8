"""How the columns of a file become events: what a mapping file says. See docs/replay.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from zoneinfo import ZoneInfo

from segcore.rule import Kind


class TimeFormat(StrEnum):
    """The formats of a time that have a name; any other one is of `strptime`'s kind."""

    ISO = "iso"
    EPOCH_SECONDS = "epoch_s"
    EPOCH_MILLISECONDS = "epoch_ms"


class Fold(StrEnum):
    """What the rows of one group come to in one property."""

    FIRST = "first"
    SUM = "sum"
    COUNT = "count"


class Condition(StrEnum):
    """What a filter asks of a cell."""

    IN = "in"
    NOT_IN = "not_in"
    PRESENT = "present"


@dataclass(frozen=True, slots=True)
class EventId:
    """Where event ids come from: a column, or (`column` is None) a hash of the row's content."""

    prefix: str
    column: str | None
    keep_repeats: bool = True


@dataclass(frozen=True, slots=True)
class EventType:
    """The type: one for all rows, or the column's value, by way of `values` where there are any."""

    constant: str = ""
    column: str = ""
    values: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def declared(self) -> tuple[str, ...]:
        """Return every type that can come out; the reader refuses a column without `values`."""
        return (self.constant,) if self.constant else tuple(dict.fromkeys(self.values.values()))


@dataclass(frozen=True, slots=True)
class Time:
    """When it happened. `zone` is that of times that name none."""

    column: str
    format: str
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Items:
    """The columns of a line; an absent one leaves it to the catalog, and the quantity at 1."""

    sku: str
    quantity: str | None = None
    price: str | None = None
    amount: str | None = None
    category: str | None = None
    brand: str | None = None

    def columns(self) -> tuple[str, ...]:
        """Return the columns that are named."""
        named = (self.sku, self.quantity, self.price, self.amount, self.category, self.brand)
        return tuple(column for column in named if column is not None)


@dataclass(frozen=True, slots=True)
class Property:
    """One property: its column, its type, and how a group's rows come to one value."""

    name: str
    kind: Kind
    column: str
    fold: Fold = Fold.FIRST


@dataclass(frozen=True, slots=True)
class Filter:
    """Rows that do not pass are left out and counted."""

    column: str
    condition: Condition
    values: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RowMapping:
    """A whole mapping file."""

    file: str
    event_id: EventId
    event_type: EventType
    time: Time
    identities: Mapping[str, str]
    group_by: str | None = None
    items: Items | None = None
    properties: tuple[Property, ...] = ()
    filters: tuple[Filter, ...] = ()
    delimiter: str = ","

    def columns(self) -> dict[str, str]:
        """Return every column that is used, with the place in the mapping that names it first."""
        used: dict[str, str] = {}
        for place, columns in self._named():
            for column in columns:
                used.setdefault(column, place)
        return used

    def _named(self) -> Sequence[tuple[str, tuple[str, ...]]]:
        id_column = (self.event_id.column,) if self.event_id.column else ()
        type_column = (self.event_type.column,) if self.event_type.column else ()
        return (
            ("id", id_column),
            ("type", type_column),
            ("time", (self.time.column,)),
            ("identities", tuple(self.identities.values())),
            ("group_by", (self.group_by,) if self.group_by else ()),
            ("items", self.items.columns() if self.items else ()),
            ("properties", tuple(p.column for p in self.properties if p.fold != Fold.COUNT)),
            ("where", tuple(f.column for f in self.filters)),
        )
