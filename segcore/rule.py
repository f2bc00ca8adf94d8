"""The typed rule: what the checker hands over and every evaluator takes.

A rule is a tree of frozen values. `kits` outside segcore build it from checked CEL; the
reference evaluator, the planner and explain read it. Numbers are integers of a millionth,
times are milliseconds UTC, and text stays text.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

MICRO = 1_000_000
"""One, as every number in segcore is counted."""

NUMBER_LIMIT = 9_000_000_000
"""Numbers come in within this many units either way: as millionths they are exact in a double."""


class Kind(enum.StrEnum):
    """The type of a value."""

    NUMBER = "number"
    TEXT = "text"
    FLAG = "flag"
    TIME = "time"


class Scope(enum.StrEnum):
    """What one row is."""

    EVENT = "event"
    ITEM = "item"


class Comparison(enum.StrEnum):
    """How two values are compared."""

    EQ = "=="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


class Operator(enum.StrEnum):
    """Arithmetic on two numbers."""

    ADD = "+"
    SUB = "-"
    MUL = "*"
    DIV = "/"


class TextTest(enum.StrEnum):
    """A test of one text against a constant."""

    STARTS_WITH = "startsWith"
    ENDS_WITH = "endsWith"
    CONTAINS = "contains"


class Since(enum.StrEnum):
    """From when on rows count for one instance of a journey; rows of its trigger itself never do.

    They do as another type that the same event also counts as.
    """

    TRIGGER = "trigger"
    ENTRY = "entry"


class Fold(enum.StrEnum):
    """What rows come to."""

    EXISTS = "exists"
    COUNT = "count"
    SUM = "sum"


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: millionths for a number, milliseconds for a time, None for `null`."""

    value: int | str | bool | None
    kind: Kind | None
    at: int = -1


@dataclass(frozen=True, slots=True)
class Attribute:
    """A profile attribute by its full name, e.g. `loyalty.tier`."""

    name: str
    kind: Kind
    at: int = -1


@dataclass(frozen=True, slots=True)
class EventField:
    """A property of the row's event; `id`, `type`, `occurred_at`, `received_at` always exist."""

    name: str
    kind: Kind
    at: int = -1


@dataclass(frozen=True, slots=True)
class ItemField:
    """`sku`, `category`, `brand`, `price` or `quantity` of the row's item."""

    name: str
    kind: Kind
    at: int = -1


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Two numbers to one; missing where an operand is, on division by zero, beyond 64 bits."""

    operator: Operator
    left: Expression
    right: Expression
    at: int = -1


@dataclass(frozen=True, slots=True)
class Compare:
    """Two values of one kind compared.

    `==` and `!=` treat missing as the value `null`; an order on missing is false.
    """

    comparison: Comparison
    left: Expression
    right: Expression
    at: int = -1


@dataclass(frozen=True, slots=True)
class OneOf:
    """`operand in [...]`: false for a missing operand."""

    operand: Expression
    options: tuple[Literal, ...]
    at: int = -1


@dataclass(frozen=True, slots=True)
class TestText:
    """`operand.startsWith("...")` and its like: false for a missing operand."""

    __test__ = False  # pytest takes a class of this name for tests

    test: TextTest
    operand: Expression
    argument: str
    at: int = -1


@dataclass(frozen=True, slots=True)
class Truth:
    """A flag used as a condition: a missing one is false."""

    operand: Expression
    at: int = -1


@dataclass(frozen=True, slots=True)
class Not:
    """True where the operand is false."""

    operand: Expression
    at: int = -1


@dataclass(frozen=True, slots=True)
class All:
    """True where every operand is."""

    operands: tuple[Expression, ...]
    at: int = -1


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True where some operand is."""

    operands: tuple[Expression, ...]
    at: int = -1


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one profile: of these event types, where `where` holds, younger than `last_ms`.

    With `since` they are rows of one instance too, and no rule of an audience has them.
    """

    scope: Scope
    types: tuple[str, ...]
    where: Expression | None = None
    last_ms: int | None = None
    at: int = -1
    since: Since | None = None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Rows to one value. `operand` is what `sum` adds up over the rows; None for the others."""

    rows: Rows
    fold: Fold
    operand: Expression | None = None
    at: int = -1


@dataclass(frozen=True, slots=True)
class InAudience:
    """Member of another audience, by its id."""

    audience_id: str
    at: int = -1


@dataclass(frozen=True, slots=True)
class TriggerField:
    """A property of the event that started the instance; missing where none did."""

    name: str
    kind: Kind
    at: int = -1


@dataclass(frozen=True, slots=True)
class KeyText:
    """The key of the instance: the id of its event or the SKU of its item."""

    at: int = -1


@dataclass(frozen=True, slots=True)
class CatalogField:
    """What the catalog says now of the item that is the key; missing where it has none."""

    name: str
    kind: Kind
    at: int = -1


Expression = (
    Literal
    | Attribute
    | EventField
    | ItemField
    | Arithmetic
    | Compare
    | OneOf
    | TestText
    | Truth
    | Not
    | All
    | AnyOf
    | Aggregate
    | InAudience
    | TriggerField
    | KeyText
    | CatalogField
)
"""A node. `at` is its offset in the rule's text in code points, -1 where unknown.

It is for explanations and takes no part in what the rule means. `TriggerField`, `KeyText` and
`CatalogField` speak of one instance of a journey, and no rule of an audience has them.
"""
