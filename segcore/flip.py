"""The smallest change that would flip a rule for one person, tried out by the reference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from segcore.calendar import DAY_MS
from segcore.evaluation import Membership, Moment, rows_at, rows_found, value_at
from segcore.history import Event, History
from segcore.instance import Instance
from segcore.kinds import kind_of
from segcore.making import Wanted, events_for, pool_of
from segcore.micro import INT64_MAX
from segcore.nodes import Node, nodes_of
from segcore.row import Row
from segcore.rule import (
    MICRO,
    NUMBER_LIMIT,
    Age,
    Aggregate,
    All,
    Anniversary,
    AnyOf,
    Attribute,
    Bucket,
    Compare,
    Expression,
    Fold,
    Follow,
    InAudience,
    Kind,
    Literal,
    Not,
    Rows,
    Truth,
)
from segcore.scalar import Value, compare
from segcore.steps import (
    Cannot,
    EnterAudience,
    LeaveAudience,
    MoreRows,
    Obstacle,
    SetAttribute,
    Step,
    Wait,
)
from segcore.trial import Trial, plain_value

_TRIES = 600
"""Values of clauses that are computed before the search gives up."""

_WAITS = 1_000
"""Instants to come that are looked at for one clause."""

_PLANS = 3
"""Ways of one clause that are kept for the clause above it."""

_RIPENED = 5
"""Ways to add rows after which a wait is tried."""

_ROWS_MOST = 1_000
_CENT = MICRO // 100
_KEYS = 3
_HOPELESS = 1e9
_TALLIES = (Fold.COUNT, Fold.SUM, Fold.DISTINCT)
_CONDITIONS = (Compare, Not, All, AnyOf, Truth, InAudience)


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps with what they cost, and the person after them."""

    cost: float
    steps: tuple[Step, ...]
    after: Trial

    def then(self, cost: float, step: Step, after: Trial) -> Plan:
        """Return the plan with one more step."""
        return Plan(self.cost + cost, (*self.steps, step), after)


def smallest_change(  # noqa: PLR0913
    rule: Expression,
    history: History,
    now_ms: int,
    in_audience: Membership,
    *,
    settled: bool = True,
    rules: Mapping[str, Expression] | None = None,
    instance: Instance | None = None,
    profile_id: int = 0,
    zone: str = "UTC",
) -> tuple[Step, ...] | None:
    """Return the steps, in order, after which `rule` is what it is not now, None if none are known.

    They were tried out on a copy of the person: after them the reference gives the other answer.
    Only `Cannot` tells of clauses that nothing flips, and then there are no other steps. The
    arguments are those of `reference.next_change_ms`.
    """
    moment = Moment(history, now_ms, in_audience, settled, instance, profile_id, zone)
    return change_of(rule, moment, rules)


def change_of(
    rule: Expression, moment: Moment, rules: Mapping[str, Expression] | None = None
) -> tuple[Step, ...] | None:
    """Return what `smallest_change` does, at a moment."""
    trial = Trial(moment, rules or {})
    want = trial.value_of(rule) is not True
    plans = _Search().plans(rule, Plan(0.0, (), trial), want=want)
    return plans[0].steps if plans else None


class _Search:
    """Ways to flip the clauses of one rule, from the rule down; every one of them tried out."""

    def __init__(self) -> None:
        self._tries = _TRIES
        self._serial = 0

    def plans(self, node: Expression, so_far: Plan, *, want: bool) -> list[Plan]:
        """Return ways to make a condition `want`, cheapest first, each after `so_far`."""
        if self._is(node, so_far, want=want):
            return [so_far]
        match node:
            case Not():
                return self.plans(node.operand, so_far, want=not want)
            case Truth() if isinstance(node.operand, _CONDITIONS):
                return self.plans(node.operand, so_far, want=want)
            case All() | AnyOf() if isinstance(node, All) is want:
                found = self._every(node, so_far, want=want)
            case All() | AnyOf():
                found = self._some(node, so_far, want=want)
            case _:
                found = self._leaf(node, so_far, want=want)
        return sorted(found, key=lambda plan: plan.cost)[:_PLANS]

    def _is(self, node: Expression, plan: Plan, *, want: bool) -> bool:
        self._tries -= 1
        return (plan.after.value_of(node) is True) is want

    def _some(self, node: All | AnyOf, so_far: Plan, *, want: bool) -> list[Plan]:
        found = [plan for part in node.operands for plan in self.plans(part, so_far, want=want)]
        hopeless = [plan for plan in found if plan.cost >= _HOPELESS]
        flipping = [
            plan for plan in found if plan.cost < _HOPELESS and self._is(node, plan, want=want)
        ]
        return flipping or hopeless

    def _every(self, node: All | AnyOf, so_far: Plan, *, want: bool) -> list[Plan]:
        """Flip all parts one after the other, in the order that works and costs least."""
        found: list[Plan] = []
        for parts in (node.operands, node.operands[::-1]):
            plan = so_far
            for part in parts:
                ways = self.plans(part, plan, want=want)
                if not ways:
                    break
                plan = ways[0]
                if plan.cost >= _HOPELESS:
                    return [Plan(plan.cost, plan.steps[-1:], plan.after)]
            if self._is(node, plan, want=want):
                found.append(plan)
        return found

    def _leaf(self, node: Expression, so_far: Plan, *, want: bool) -> list[Plan]:
        """Return ways to flip a clause that is no tree of conditions."""
        found = [*self._waits(node, so_far, want=want)]
        if isinstance(node, InAudience):
            found.append(_moved(node, so_far, want=want))
        found += islice(self._attributes(node, so_far, want=want), 1)
        ripening = _RIPENED if _ripens(node) else 0
        for way in self._more(node, so_far):
            if self._tries <= 0 or len(found) >= _PLANS:
                break
            if self._is(node, way, want=want):
                found.append(way)
            elif ripening > 0:
                ripening -= 1
                found += self._waits(node, way, want=want)
        return found or _obstacle(node, so_far, want=want)

    def _waits(self, node: Expression, so_far: Plan, *, want: bool) -> list[Plan]:
        """Return the first instant at which time alone flips a clause."""
        for instant_ms, value in islice(so_far.after.waits(node), _WAITS):
            if (value is True) is want:
                days = (instant_ms - so_far.after.moment.now_ms) / DAY_MS
                without = tuple(
                    each.then for each in nodes_of(node) if isinstance(each, Follow) and each.absent
                )
                step = Wait(instant_ms, without, node.at)
                return [so_far.then(1 + days / 30, step, so_far.after.at(instant_ms))]
        return []

    def _attributes(self, node: Expression, so_far: Plan, *, want: bool) -> Iterator[Plan]:
        nodes = list(nodes_of(node))
        attributes = {each.name: each for each in nodes if isinstance(each, Attribute)}
        pool = pool_of(nodes, so_far.after.moment)
        for each in attributes.values():
            for value in dict.fromkeys([*pool[each.kind], None]):
                if self._tries <= 0:
                    return
                after = so_far.after.with_attribute(each.name, plain_value(value, each.kind))
                step = SetAttribute(each.name, each.kind, value, node.at)
                plan = so_far.then(2.0, step, after)
                if self._is(node, plan, want=want):
                    yield plan

    def _more(self, node: Expression, so_far: Plan) -> Iterator[Plan]:
        """Return ways to add rows: those of each aggregate, and those that follow others."""
        nodes = list(nodes_of(node))
        aggregates = [each for each in nodes if isinstance(each, Aggregate)]
        for aggregate in aggregates:
            yield from self._followers(aggregate, node, so_far)
        for aggregate in aggregates:
            yield from self._tallied(aggregate, node, so_far)
        pool = pool_of(nodes, so_far.after.moment)
        for aggregate in aggregates:
            if aggregate.fold not in (Fold.COUNT, Fold.SUM, Fold.EXISTS):
                wanted = Wanted(aggregate.rows, operand=aggregate.operand)
                yield from self._one(wanted, node, so_far, pool)

    def _one(
        self, wanted: Wanted, node: Expression, so_far: Plan, pool: Mapping[Kind, list[Value]]
    ) -> Iterator[Plan]:
        """Return ways to add one row of any values that the clause speaks of."""
        moment = so_far.after.moment
        for event in islice(events_for(wanted, moment, self._next(), pool), 60):
            after = so_far.after.with_event(event)
            amount = _amount(wanted, event, after)
            step = MoreRows(wanted.rows, 1, wanted.operand, amount, at=node.at)
            yield so_far.then(1.2, step, after)

    def _tallied(self, aggregate: Aggregate, node: Expression, so_far: Plan) -> Iterator[Plan]:
        """Return ways to add the rows that a count or a sum lacks."""
        gap = _gap(node, so_far.after)
        if aggregate.fold is Fold.SUM:
            for amount in dict.fromkeys((gap, gap + _CENT)):
                for parts in (1, 2, 4, 8):
                    if 0 < amount // parts <= NUMBER_LIMIT * MICRO:
                        wanted = Wanted(aggregate.rows, None, aggregate.operand, amount // parts)
                        yield from self._several(wanted, parts, node, so_far)
            return
        whole = -(-gap // MICRO)
        operand = aggregate.operand if aggregate.fold is Fold.DISTINCT else None
        for count in sorted({1, 2, 3, whole, whole + 1}):
            if 0 < count <= _ROWS_MOST:
                wanted = Wanted(aggregate.rows, None, operand)
                yield from self._several(wanted, count, node, so_far)

    def _several(
        self, wanted: Wanted, count: int, node: Expression, so_far: Plan
    ) -> Iterator[Plan]:
        """Return the way to add so many rows that differ in nothing but what is free."""
        after: Trial | None = so_far.after
        for _ in range(count):
            after = None if after is None else self._chain(wanted, after)
        if after is not None:
            amount = None if wanted.amount is None else wanted.amount * count
            step = MoreRows(wanted.rows, count, wanted.operand, amount, at=node.at)
            yield so_far.then(1 + count / 5, step, after)

    def _chain(self, wanted: Wanted, trial: Trial) -> Trial | None:
        """Return the person after one such row, and the rows that have to follow it."""
        serial = self._next()
        event = next(events_for(wanted, trial.moment, serial, {}), None)
        if event is None:
            return None
        after: Trial | None = trial.with_event(event)
        for follow in wanted.rows.follows:
            if after is not None and not follow.absent:
                key = _key_of(wanted.rows, event, after)
                after = self._chain(Wanted(follow.then, key), after)
        return after

    def _followers(self, aggregate: Aggregate, node: Expression, so_far: Plan) -> Iterator[Plan]:
        """Return ways to let rows follow those that are there: one key alone, or all."""
        moment = so_far.after.moment
        for follow in aggregate.rows.follows:
            rows = rows_at(aggregate.rows, moment) or rows_found(aggregate.rows, moment)
            key = aggregate.rows.key
            keys = [None if key is None else value_at(key, moment, row) for row in rows]
            distinct = list(dict.fromkeys(reversed(keys)))
            choices = [[key] for key in distinct[:_KEYS]]
            if 1 < len(distinct) <= _ROWS_MOST:
                choices.append(distinct)
            for chosen in choices:
                yield from self._followed_by(follow, chosen, node, so_far)

    def _followed_by(
        self, follow: Follow, keys: Iterable[Value], node: Expression, so_far: Plan
    ) -> Iterator[Plan]:
        plan = so_far
        for key in keys:
            after = self._chain(Wanted(follow.then, key), plan.after)
            if after is None:
                return
            text = key if isinstance(key, str) else None
            plan = plan.then(1.2, MoreRows(follow.then, 1, key=text, at=node.at), after)
        yield plan

    def _next(self) -> int:
        self._serial += 1
        return self._serial


def _moved(node: InAudience, so_far: Plan, *, want: bool) -> Plan:
    after = so_far.after.with_audience(node.audience_id, inside=want)
    step = EnterAudience if want else LeaveAudience
    return so_far.then(2.0, step(node.audience_id, node.at), after)


def _obstacle(node: Expression, so_far: Plan, *, want: bool) -> list[Plan]:
    """Return why nothing flips a clause, where that is certain."""
    nodes = list(nodes_of(node))
    if any(isinstance(each, Attribute | InAudience) for each in nodes):
        return []
    if any(isinstance(each, Bucket) for each in nodes):
        return [so_far.then(_HOPELESS, Cannot(node, Obstacle.SHARE, node.at), so_far.after)]
    if _is_past(node, nodes, want=want):
        return [so_far.then(_HOPELESS, Cannot(node, Obstacle.PAST, node.at), so_far.after)]
    return []


def _is_past(node: Expression, nodes: list[Node], *, want: bool) -> bool:
    """Return whether rows that are there, and never leave, decide a clause."""
    rows = [each for each in nodes if isinstance(each, Rows)]
    if any(each.from_times or each.until_times or not _decided(each) for each in rows):
        return False
    match node:
        case Aggregate():
            return not want
        case Compare(left=Aggregate(fold=fold), right=Literal(value=int() as limit)):
            above = (limit, limit + 1, limit + MICRO, INT64_MAX)
            return fold in _TALLIES and not any(
                compare(node.comparison, value, limit) is want for value in above
            )
        case _:
            return False


def _ripens(node: Expression) -> bool:
    """Return whether a row may count only after a while."""
    return any(
        isinstance(each, Age | Anniversary)
        or (isinstance(each, Rows) and each.older_ms is not None)
        or (isinstance(each, Follow) and each.absent)
        for each in nodes_of(node)
    )


def _decided(rows: Rows) -> bool:
    """Return whether what comes can take no row away: an absence that held ended in time."""
    return all(
        not follow.then.follows and (follow.within_ms is not None or not follow.absent)
        for follow in rows.follows
    )


def _gap(node: Expression, trial: Trial) -> int:
    """Return how far the two sides of a comparison of numbers are from one another."""
    if not isinstance(node, Compare) or kind_of(node.left) is not Kind.NUMBER:
        return MICRO
    left, right = trial.value_of(node.left), trial.value_of(node.right)
    both = isinstance(left, int) and isinstance(right, int)
    return abs(int(str(left)) - int(str(right))) if both else MICRO


def _amount(wanted: Wanted, event: Event, after: Trial) -> int | None:
    """Return the number that an event made up brings, where its row gives one."""
    row = _row_made(wanted.rows, event, after)
    if row is None or wanted.operand is None or kind_of(wanted.operand) is not Kind.NUMBER:
        return None
    value = value_at(wanted.operand, after.moment, row)
    return value if isinstance(value, int) else None


def _key_of(rows: Rows, event: Event, after: Trial) -> Value:
    row = _row_made(rows, event, after)
    return None if row is None or rows.key is None else value_at(rows.key, after.moment, row)


def _row_made(rows: Rows, event: Event, after: Trial) -> Row | None:
    found = rows_found(rows, after.moment)
    return next((row for row in reversed(found) if row.event.event_id == event.event_id), None)
