"""The typed rule: what the checker hands over and every evaluator takes.

A rule is a tree of frozen values. `kits` outside segcore build it from checked CEL; the
reference evaluator, the planner and explain read it. Numbers are integers of a millionth,
times are milliseconds UTC, and text stays text.
"""

from __future__ import annotations

from dataclasses import dataclass

from segcore.vocabulary import (
    Comparison,
    Fold,
    Kind,
    Operator,
    Scope,
    Since,
    TextForm,
    TextTest,
)

__all__ = [
    "MICRO",
    "NUMBER_LIMIT",
    "Age",
    "Aggregate",
    "All",
    "Anniversary",
    "AnyOf",
    "Arithmetic",
    "Attribute",
    "Bucket",
    "CatalogField",
    "Compare",
    "Comparison",
    "EventField",
    "Expression",
    "Fold",
    "Follow",
    "FormText",
    "Has",
    "InAudience",
    "ItemField",
    "KeyText",
    "Kind",
    "Literal",
    "Not",
    "OneOf",
    "Operator",
    "Rows",
    "Scope",
    "Shift",
    "Since",
    "Size",
    "TestText",
    "TextForm",
    "TextTest",
    "TriggerField",
    "Truth",
]

MICRO = 1_000_000
"""One, as every number in segcore is counted."""

NUMBER_LIMIT = 9_000_000_000
"""Numbers come in within this many units either way: as millionths they are exact in a double."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: millionths for a number, the unit of its kind for others, None for `null`."""

    value: int | str | bool | tuple[str, ...] | None
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
class FormText:
    """`operand.lowerAscii()` and its like; missing for a missing operand."""

    form: TextForm
    operand: Expression
    at: int = -1


@dataclass(frozen=True, slots=True)
class Size:
    """How many code points a text has, or how many texts are in texts; missing for missing."""

    operand: Expression
    at: int = -1


@dataclass(frozen=True, slots=True)
class Has:
    """`element in operand`, where the operand is of kind texts: false where either is missing."""

    element: Expression
    operand: Expression
    at: int = -1


@dataclass(frozen=True, slots=True)
class Shift:
    """A time `span_ms` after the operand, which is a time; missing for a missing one."""

    operand: Expression
    span_ms: int
    at: int = -1


@dataclass(frozen=True, slots=True)
class Age:
    """The span from the operand, a time, to the present; missing for a missing operand.

    It grows with time, so it stands only beside a constant span in a comparison, outside rows.
    """

    operand: Expression
    at: int = -1


@dataclass(frozen=True, slots=True)
class Anniversary:
    """Whether today is the day and month of the operand, a date or a time, in the person's zone.

    The operand's own year is skipped; 29 February counts on 28 February of other years. False for a
    missing operand. Outside rows only.
    """

    operand: Expression
    at: int = -1


@dataclass(frozen=True, slots=True)
class Bucket:
    """A number from 0 to below 1, stable for each profile and salt. Outside rows only."""

    salt: str
    at: int = -1


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one profile: of these event types, where all that is given here holds.

    `where` holds of the row. With h the last instant whose time changes have happened, the row is
    younger than `last_ms` (occurred > h - last_ms), at least `older_ms` old (occurred <= h -
    older_ms), of one of the last `calendar_days` local days of the person's zone, that of h
    included, at or after each of `from_times` and before each of `until_times` (expressions of the
    person, of kind time; a missing one keeps no rows). Each of `follows` holds of the row too.

    `key` is of kind text: it is compared in `follows`, of which both sides have one then. With
    `since` they are rows of one instance too, and no rule of an audience has them.
    """

    scope: Scope
    types: tuple[str, ...]
    where: Expression | None = None
    last_ms: int | None = None
    at: int = -1
    since: Since | None = None
    older_ms: int | None = None
    calendar_days: int | None = None
    from_times: tuple[Expression, ...] = ()
    until_times: tuple[Expression, ...] = ()
    key: Expression | None = None
    follows: tuple[Follow, ...] = ()


@dataclass(frozen=True, slots=True)
class Follow:
    """A test of a row a by the rows of `then`, of the same key where those have one.

    Without `absent`: some row of `then` is strictly later than a, and at most `within_ms` later.
    With `absent`: a is `within_ms` old, and no row of `then` but a itself lies from a's instant to
    `within_ms` after it, both included. No `within_ms` means until now, and then a needs no age.
    """

    then: Rows
    within_ms: int | None
    absent: bool
    at: int = -1


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Rows to one value.

    `operand` is what `sum`, `min`, `max`, `avg` and `distinct` take of each row; missing ones are
    skipped. `latest` and `earliest` are the time of the newest and oldest row, with an operand its
    value in the newest and oldest row that has one. Of rows at one instant the one received later
    is newer, then the greater event id, then the later line. Over no rows `count`, `sum` and
    `distinct` are 0, the others are missing.
    """

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
    | FormText
    | Size
    | Has
    | Shift
    | Age
    | Anniversary
    | Bucket
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
