"""A rule as what the engine runs: atoms, each decided once for all rules, and a program over them.

An atom is a condition that no `&&`, `||` or `!` takes apart. Its key is its canonical JSON, so
rules that say the same share it: offsets and the order of event types take no part in it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from segcore.kinds import check_rule
from segcore.programs import Program, compile_condition, compile_value
from segcore.reference import nodes_of
from segcore.rule import (
    MICRO,
    Age,
    Aggregate,
    All,
    Anniversary,
    AnyOf,
    Bucket,
    Compare,
    Comparison,
    Expression,
    Fold,
    InAudience,
    Kind,
    Literal,
    Not,
    OneOf,
    Rows,
    Scope,
    Truth,
)
from segcore.rule_json import to_json, without_offsets

NEWEST_MOST = 16
"""Up to this count the newest times of a window decide; beyond it every row is kept."""


class Logic(enum.IntEnum):
    """An instruction of the program over atoms."""

    PUSH = 0
    CONSTANT = 1
    CONJOIN = 2
    DISJOIN = 3
    NEGATE = 4


@dataclass(frozen=True, slots=True)
class Leaf:
    """Rows that are counted and, with `operand`, added up, for each profile.

    `most` is up to which count it has to be exact; None is without end.
    """

    key: str
    scope: Scope
    types: tuple[str, ...]
    last_ms: int | None
    where: Program | None
    operand: Program | None
    most: int | None


@dataclass(frozen=True, slots=True)
class Member:
    """An atom: member of another audience."""

    audience_id: str


@dataclass(frozen=True, slots=True)
class AttributeTest:
    """An atom over attributes and constants alone, which time does not change."""

    key: str
    program: Program
    expression: Expression = field(compare=False)


@dataclass(frozen=True, slots=True)
class Tally:
    """An atom: what the rows of a leaf come to, compared with a constant."""

    key: str
    leaf: Leaf
    counts: bool
    comparison: Comparison
    threshold: int
    aggregate: Aggregate = field(compare=False)


@dataclass(frozen=True, slots=True)
class PersonTest:
    """An atom that is decided from all of a person's rows and attributes."""

    key: str
    expression: Expression


Atom = Member | AttributeTest | Tally | PersonTest
AtomT = TypeVar("AtomT", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole rule: its atoms, each once, and postfix code over them; `depth` is of its stack."""

    atoms: tuple[Atom, ...]
    code: tuple[tuple[Logic, int], ...]
    depth: int


def plan_rule(rule: Expression) -> Plan:
    """Return the plan of a rule; raises ValueError where a rule is not well formed."""
    check_rule(rule)
    return Plan(*take_apart(rule, _atom))


def take_apart(
    rule: Expression,
    atom_of: Callable[[Expression], AtomT],
    is_whole: Callable[[Expression], bool] = lambda _: False,
) -> tuple[tuple[AtomT, ...], tuple[tuple[Logic, int], ...], int]:
    """Return what a `Plan` is of, with atoms as `atom_of` makes them; equal ones are one.

    What `is_whole` says of a condition above others is whether it is to be an atom as it stands.
    """
    writer = _Writer(atom_of, is_whole)
    writer.write(rule)
    return tuple(writer.atoms), tuple(writer.code), writer.deepest


def atom_key(expression: Expression) -> str:
    """Return the key under which equal conditions share an atom."""
    return to_json(_sorted_types(without_offsets(expression)))


def leaf_key(aggregate: Aggregate) -> str:
    """Return the key under which aggregates share a leaf: its rows, and what is added up."""
    fold = Fold.COUNT if aggregate.operand is None else Fold.SUM
    return atom_key(Aggregate(aggregate.rows, fold, aggregate.operand))


def _sorted_types(expression: Expression) -> Expression:
    """Return an aggregate with its types in order; below other nodes they stay as written."""
    if isinstance(expression, Aggregate):
        rows = replace(expression.rows, types=tuple(sorted(set(expression.rows.types))))
        return replace(expression, rows=rows)
    return expression


@dataclass(slots=True)
class _Writer(Generic[AtomT]):
    """Takes a condition apart into atoms, and keeps count of the stack."""

    atom_of: Callable[[Expression], AtomT]
    is_whole: Callable[[Expression], bool]
    atoms: dict[AtomT, int] = field(default_factory=dict)
    code: list[tuple[Logic, int]] = field(default_factory=list)
    depth: int = 0
    deepest: int = 0

    def emit(self, op: Logic, argument: int = 0, *, takes: int = 0) -> None:
        self.code.append((op, argument))
        self.depth += 1 - takes
        self.deepest = max(self.deepest, self.depth)

    def write(self, condition: Expression) -> None:
        """Write one condition, those below it first."""
        match condition:
            case Literal():
                self.emit(Logic.CONSTANT, int(condition.value is True))
            case Truth() if _is_condition(condition.operand):
                self.write(condition.operand)
            case Not():
                self.write(condition.operand)
                self.emit(Logic.NEGATE, takes=1)
            case All() | AnyOf() if not self.is_whole(condition):
                for operand in condition.operands:
                    self.write(operand)
                op = Logic.CONJOIN if isinstance(condition, All) else Logic.DISJOIN
                self.emit(op, len(condition.operands), takes=len(condition.operands))
            case Compare() if holds_conditions(condition.left, condition.right):
                self.write(_as_logic(condition))
            case OneOf() if holds_conditions(condition.operand):
                equals = (Compare(Comparison.EQ, condition.operand, o) for o in condition.options)
                self.write(AnyOf(tuple(equals)) if condition.options else Literal(False, Kind.FLAG))  # noqa: FBT003
            case _:
                self.emit(
                    Logic.PUSH, self.atoms.setdefault(self.atom_of(condition), len(self.atoms))
                )


def _is_condition(expression: Expression) -> bool:
    """Return whether a node is true or false and never missing."""
    return isinstance(
        expression, Literal | Truth | Not | All | AnyOf | Compare | OneOf | InAudience
    ) or (isinstance(expression, Aggregate) and expression.fold is Fold.EXISTS)


def holds_conditions(*sides: Expression) -> bool:
    """Return whether a comparison is one of conditions, and comes apart further."""
    return any(_is_condition(side) and not isinstance(side, Literal) for side in sides)


def _as_logic(compare: Compare) -> Expression:
    """Return a comparison of flags as a condition over both, so that it comes apart further."""
    same = AnyOf(
        tuple(
            All((_is(compare.left, value), _is(compare.right, value)))
            for value in (True, False, None)
        )
    )
    return same if compare.comparison is Comparison.EQ else Not(same)


def _is(expression: Expression, value: bool | None) -> Expression:  # noqa: FBT001
    """Return the condition that a flag, which may be missing, is just this."""
    if isinstance(expression, Literal):
        return Literal(expression.value is value, Kind.FLAG)
    if not _is_condition(expression):
        return Compare(
            Comparison.EQ, expression, Literal(value, None if value is None else Kind.FLAG)
        )
    if value is None:
        return Literal(False, Kind.FLAG)  # noqa: FBT003
    return expression if value else Not(expression)


def _atom(condition: Expression) -> Atom:
    if isinstance(condition, InAudience):
        return Member(condition.audience_id)
    compared = comparison_of(condition)
    if compared is not None:
        return _tally_of(*compared)
    if needs_person(condition):
        return PersonTest(atom_key(condition), without_offsets(condition))
    return AttributeTest(atom_key(condition), compile_condition(condition), condition)


def needs_person(condition: Expression) -> bool:
    """Tell whether a condition speaks of rows or time, and not of attributes alone."""
    return any(isinstance(node, Rows | Age | Anniversary | Bucket) for node in nodes_of(condition))


_MIRRORED = {
    Comparison.LT: Comparison.GT,
    Comparison.LE: Comparison.GE,
    Comparison.GT: Comparison.LT,
    Comparison.GE: Comparison.LE,
}


def comparison_of(condition: Expression) -> tuple[Aggregate, Comparison, int] | None:
    """Return a tally as what is compared, how, and with how much; None where it is none."""
    while isinstance(condition, Truth):
        condition = condition.operand
    if isinstance(condition, Aggregate) and condition.fold is Fold.EXISTS:
        return _if_plain(condition, Comparison.GE, MICRO)
    if not isinstance(condition, Compare):
        return None
    left, right, comparison = condition.left, condition.right, condition.comparison
    if isinstance(left, Literal):
        left, right, comparison = right, left, _MIRRORED.get(comparison, comparison)
    if not isinstance(left, Aggregate) or left.fold not in (Fold.COUNT, Fold.SUM):
        return None
    if not isinstance(right, Literal) or right.kind is not Kind.NUMBER:
        return None
    assert isinstance(right.value, int)  # noqa: S101  kinds has seen to it
    return _if_plain(left, comparison, right.value)


def _if_plain(
    aggregate: Aggregate, comparison: Comparison, threshold: int
) -> tuple[Aggregate, Comparison, int] | None:
    rows = aggregate.rows
    plain = Rows(rows.scope, rows.types, rows.where, rows.last_ms, rows.at)
    return (aggregate, comparison, threshold) if rows == plain else None


def _tally_of(aggregate: Aggregate, comparison: Comparison, threshold: int) -> Tally:
    rows = aggregate.rows
    counts = aggregate.operand is None
    types = tuple(sorted(set(rows.types)))
    most = _most(comparison, threshold) if counts and rows.last_ms is not None else None
    leaf = Leaf(
        key=leaf_key(aggregate),
        scope=rows.scope,
        types=types,
        last_ms=rows.last_ms,
        where=None if rows.where is None else compile_condition(rows.where),
        operand=None if aggregate.operand is None else compile_value(aggregate.operand),
        most=most,
    )
    fold = Fold.COUNT if counts else Fold.SUM
    ordered = Aggregate(replace(rows, types=types), fold, aggregate.operand)
    shown = Compare(comparison, ordered, Literal(threshold, Kind.NUMBER))
    return Tally(atom_key(shown), leaf, counts, comparison, threshold, ordered)


def _most(comparison: Comparison, threshold: int) -> int | None:
    """Return up to which count it has to be known exactly to compare it, None for without end."""
    most = max(1, threshold // MICRO + 1)
    if comparison in (Comparison.GE, Comparison.LT):
        most = max(1, -(-threshold // MICRO))
    return most if most <= NEWEST_MOST else None
