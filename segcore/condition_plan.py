"""A condition of one person as what the person kernel runs: sources, sets of rows, folds, code.

A source is what events and their own fields decide once and for all. A set of rows is what time and
other rows leave of a source; a fold is what a set comes to. Steps stand in the order in which they
have to be taken: a set comes after the folds that its times speak of, and after what follows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, cast

from segcore._program import Source
from segcore.nodes import nodes_of
from segcore.programs import Input, Program, compile_condition, compile_value
from segcore.rule import (
    Age,
    Aggregate,
    Anniversary,
    Attribute,
    Bucket,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    Follow,
    InAudience,
    Kind,
    Literal,
    Rows,
    Scope,
)
from segcore.speaking import speaking_for

SOURCE_LIMIT = 64
"""A row tells by one bit for each source whether it is of it."""

ZONE = Input(Source.ATTRIBUTE, "zone", Kind.TEXT)
"""The attribute that says in which zone a person's days lie."""


@dataclass(frozen=True, slots=True)
class SourcePlan:
    """Rows by type and `where`; those older than `last_ms` are wanted by nobody."""

    scope: Scope
    types: tuple[str, ...]
    where: Program | None
    last_ms: int | None


@dataclass(frozen=True, slots=True)
class FollowPlan:
    """A test by the set of rows `then`, an index; `keyed` compares keys."""

    then: int
    within_ms: int | None
    absent: bool
    keyed: bool


@dataclass(frozen=True, slots=True)
class RowsPlan:
    """A set of rows: `source` is an index; the rest is that of `segcore.rule.Rows`."""

    source: int
    last_ms: int | None
    older_ms: int | None
    calendar_days: int | None
    from_times: tuple[Program, ...]
    until_times: tuple[Program, ...]
    key: Program | None
    follows: tuple[FollowPlan, ...]


@dataclass(frozen=True, slots=True)
class FoldPlan:
    """What the set `rows`, an index, comes to."""

    rows: int
    fold: Fold
    operand: Program | None


@dataclass(frozen=True, slots=True)
class AgePlan:
    """The age of a time compared with a span, None for `null`."""

    operand: Program
    comparison: Comparison
    span_ms: int | None


@dataclass(frozen=True, slots=True)
class AnniversaryPlan:
    """Whether a date, or the local date of a time, comes round today."""

    operand: Program
    of_time: bool


@dataclass(frozen=True, slots=True)
class ConditionPlan:
    """A whole condition.

    `types` and `attributes` are the names of all that can change it, `audiences` the ids of those
    that it asks for. `steps` are folds and sets by their indexes; `witnesses` the folds that speak
    for a clause, see `segcore.speaking`.
    """

    types: tuple[str, ...]
    attributes: tuple[str, ...]
    audiences: tuple[str, ...]
    zoned: bool
    sources: tuple[SourcePlan, ...]
    rows: tuple[RowsPlan, ...]
    folds: tuple[FoldPlan, ...]
    steps: tuple[RowsPlan | FoldPlan, ...]
    ages: tuple[AgePlan, ...]
    anniversaries: tuple[AnniversaryPlan, ...]
    salts: tuple[str, ...]
    program: Program
    witnesses: tuple[int, ...]


def plan_condition(condition: Expression) -> ConditionPlan:
    """Return the plan of a well-formed condition of a person; raises ValueError for another."""
    bare = cast("Expression", _bare(condition))
    planner = _Planner()
    program = compile_condition(bare, planner.read)
    nodes = list(nodes_of(bare))
    zoned = any(
        isinstance(node, Anniversary) or getattr(node, "calendar_days", None) is not None
        for node in nodes
    )
    attributes = {node.name for node in nodes if isinstance(node, Attribute)}
    return ConditionPlan(
        types=tuple(sorted({name for source in planner.sources for name in source[1]})),
        attributes=tuple(sorted(attributes | ({ZONE.name} if zoned else set()))),
        audiences=tuple(sorted({n.audience_id for n in nodes if isinstance(n, InAudience)})),
        zoned=zoned,
        sources=tuple(_source(key, lasts) for key, lasts in planner.sources.items()),
        rows=tuple(plan for plan in planner.steps if isinstance(plan, RowsPlan)),
        folds=tuple(plan for plan in planner.steps if isinstance(plan, FoldPlan)),
        steps=tuple(planner.steps),
        ages=tuple(planner.ages),
        anniversaries=tuple(planner.anniversaries),
        salts=tuple(planner.salts),
        program=program,
        witnesses=tuple(dict.fromkeys(planner.folds[each] for each in speaking_for(bare))),
    )


def _bare(value: Any) -> Any:
    """Return a part of a rule without offsets, types in order, so that equal ones are equal."""
    if isinstance(value, tuple):
        return tuple(_bare(part) for part in value)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    changes = {each.name: _bare(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Rows):
        changes["types"] = tuple(sorted(set(value.types)))
    return replace(value, **changes | {"at": -1})


_SourceKey = tuple[Scope, tuple[str, ...], Expression | None]


def _source(key: _SourceKey, lasts: list[int | None]) -> SourcePlan:
    scope, types, where = key
    known = [last for last in lasts if last is not None]
    return SourcePlan(
        scope,
        types,
        None if where is None else compile_condition(where),
        max(known) if len(known) == len(lasts) else None,
    )


@dataclass(slots=True)
class _Planner:
    """Gathers the parts of a condition, each once, while its code is written."""

    sources: dict[_SourceKey, list[int | None]] = field(default_factory=dict)
    rows: dict[Rows, int] = field(default_factory=dict)
    folds: dict[Aggregate, int] = field(default_factory=dict)
    steps: list[RowsPlan | FoldPlan] = field(default_factory=list)
    ages: list[AgePlan] = field(default_factory=list)
    anniversaries: list[AnniversaryPlan] = field(default_factory=list)
    salts: list[str] = field(default_factory=list)

    def read(self, node: Expression) -> Input | None:  # noqa: PLR0911
        """Return the input that a node outside rows is by itself."""
        match node:
            case Aggregate():
                return Input(Source.FOLD, index=self._fold(node))
            case InAudience():
                return Input(Source.MEMBER, node.audience_id)
            case Compare(left=Age() as age, right=Literal() as span):
                return self._age(age, node.comparison, span)
            case Compare(left=Literal() as span, right=Age() as age):
                return self._age(age, _TURNED.get(node.comparison, node.comparison), span)
            case Anniversary():
                of_time = _is_time(node.operand)
                plan = AnniversaryPlan(compile_value(node.operand, self.read), of_time)
                self.anniversaries.append(plan)
                return Input(Source.ANNIVERSARY, index=len(self.anniversaries) - 1)
            case Bucket():
                self.salts.append(node.salt)
                return Input(Source.BUCKET, index=len(self.salts) - 1)
            case _:
                return None

    def _age(self, age: Age, comparison: Comparison, span: Literal) -> Input:
        if span.kind not in (Kind.SPAN, None):
            raise ValueError(f"Age at offset {age.at}: expected a constant span beside it")
        span_ms = cast("int | None", span.value)
        self.ages.append(AgePlan(compile_value(age.operand, self.read), comparison, span_ms))
        return Input(Source.AGE, index=len(self.ages) - 1)

    def _fold(self, aggregate: Aggregate) -> int:
        if aggregate not in self.folds:
            operand = aggregate.operand
            plan = FoldPlan(
                self._rows(aggregate.rows),
                aggregate.fold,
                None if operand is None else compile_value(operand),
            )
            self.steps.append(plan)
            self.folds[aggregate] = len(self.folds)
        return self.folds[aggregate]

    def _rows(self, rows: Rows) -> int:
        if rows in self.rows:
            return self.rows[rows]
        if rows.since is not None:
            raise ValueError(f"Rows at offset {rows.at}: expected rows of a person alone")
        plan = RowsPlan(
            source=self._source_of(rows),
            last_ms=rows.last_ms,
            older_ms=rows.older_ms,
            calendar_days=rows.calendar_days,
            from_times=tuple(compile_value(time, self.read) for time in rows.from_times),
            until_times=tuple(compile_value(time, self.read) for time in rows.until_times),
            key=None if rows.key is None else compile_value(rows.key),
            follows=tuple(self._follow(follow) for follow in rows.follows),
        )
        self.steps.append(plan)
        self.rows[rows] = len(self.rows)
        return self.rows[rows]

    def _source_of(self, rows: Rows) -> int:
        key = (rows.scope, rows.types, rows.where)
        self.sources.setdefault(key, []).append(rows.last_ms)
        if len(self.sources) > SOURCE_LIMIT:
            raise ValueError(
                f"expected at most {SOURCE_LIMIT} sets of rows in one comparison, found more"
            )
        return list(self.sources).index(key)

    def _follow(self, follow: Follow) -> FollowPlan:
        keyed = follow.then.key is not None
        return FollowPlan(self._rows(follow.then), follow.within_ms, follow.absent, keyed)


_TURNED = {
    Comparison.LT: Comparison.GT,
    Comparison.LE: Comparison.GE,
    Comparison.GT: Comparison.LT,
    Comparison.GE: Comparison.LE,
}


def _is_time(operand: Expression) -> bool:
    """Tell whether what an anniversary is of is a time and no date."""
    if isinstance(operand, Aggregate):
        return operand.operand is None or _is_time(operand.operand)
    if isinstance(operand, EventField) and operand.name in ("occurred_at", "received_at"):
        return True
    return getattr(operand, "kind", Kind.TIME) is Kind.TIME
