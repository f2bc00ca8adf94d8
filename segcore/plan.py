"""A rule as what the engine runs: shared leaves, and programs over their values.

A leaf is a set of rows with, for `sum`, what is added up. Rules that speak of the same rows share
it, wherever they were written: offsets and the order of event types take no part in its key.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from segcore._program import Source
from segcore.kinds import check_rule
from segcore.programs import Input, Program, compile_condition, compile_value
from segcore.reference import nodes_of
from segcore.rule import Aggregate, Expression, Fold, InAudience, Scope
from segcore.rule_json import to_json, without_offsets


@dataclass(frozen=True, slots=True)
class Leaf:
    """Rows that are counted and, with `operand`, added up, for each profile."""

    key: str
    scope: Scope
    types: tuple[str, ...]
    last_ms: int | None
    where: Program | None
    operand: Program | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole rule: its leaves, each once, and the program over them."""

    program: Program
    leaves: tuple[Leaf, ...]


def plan_rule(rule: Expression) -> Plan:
    """Return the plan of a rule; raises ValueError where a rule is not well formed."""
    check_rule(rule)
    leaves = {
        leaf.key: leaf
        for leaf in (_leaf(node) for node in nodes_of(rule) if isinstance(node, Aggregate))
    }
    return Plan(compile_condition(rule, _read), tuple(leaves.values()))


def leaf_key(aggregate: Aggregate) -> str:
    """Return the key under which aggregates share a leaf.

    `exists` and `count` of the same rows share one, whatever the order of their types.
    """
    rows = replace(aggregate.rows, types=tuple(sorted(set(aggregate.rows.types))))
    bare = Aggregate(rows, Fold.COUNT if aggregate.operand is None else Fold.SUM, aggregate.operand)
    return to_json(without_offsets(bare))


def _leaf(aggregate: Aggregate) -> Leaf:
    rows = aggregate.rows
    return Leaf(
        key=leaf_key(aggregate),
        scope=rows.scope,
        types=tuple(sorted(set(rows.types))),
        last_ms=rows.last_ms,
        where=None if rows.where is None else compile_condition(rows.where),
        operand=None if aggregate.operand is None else compile_value(aggregate.operand),
    )


_FOLDS = {Fold.EXISTS: Source.EXISTS, Fold.COUNT: Source.COUNT, Fold.SUM: Source.SUM}


def _read(node: Expression) -> Input | None:
    """Take tallies and memberships as inputs."""
    if isinstance(node, Aggregate):
        return Input(_FOLDS[node.fold], leaf_key(node))
    if isinstance(node, InAudience):
        return Input(Source.MEMBER, node.audience_id)
    return None
