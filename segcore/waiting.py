"""When time alone changes what a rule comes to: the instants that matter, tried one by one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from segcore.calendar import anniversary_in, day_edges, local_date, year_month_day
from segcore.evaluation import Moment, rows_found, value_at
from segcore.kinds import kind_of
from segcore.nodes import Node, audiences_in, children_of
from segcore.rule import (
    Age,
    Aggregate,
    Anniversary,
    Compare,
    Expression,
    Kind,
    Literal,
    Rows,
    Shift,
)
from segcore.scalar import Value, shifted

_YEARS_TO_COME = 3
"""The next anniversary is at most so many years away: a date's own year is left out."""


def next_change_of(
    expression: Expression, moment: Moment, rules: Mapping[str, Expression] | None = None
) -> int | None:
    """Return the next instant at which time alone changes the value, or None for never.

    `rules` is that of `reference.next_change_ms`.
    """
    if kind_of(expression) is Kind.SPAN:
        return None  # an age grows all the time
    future = Future((expression,), moment, rules)
    current = value_at(expression, future.now)
    for later in future.moments():
        if value_at(expression, later) != current:
            return later.now_ms
    return None


class Future:
    """What comes when nothing happens to a person, as far as some expressions can tell."""

    def __init__(
        self,
        expressions: Sequence[Expression],
        moment: Moment,
        rules: Mapping[str, Expression] | None,
    ) -> None:
        self._rules = rules or {}
        self._outside = moment.in_audience
        self._followed = _followed(expressions, self._rules)
        self._roots = (*expressions, *(self._rules[each] for each in self._followed))
        self.now = self._with_members(moment)

    def moments(self) -> Iterator[Moment]:
        """Return the instants after the horizon at which a value can change, in order.

        An aggregate keeps its value until one of its own instants.
        """
        horizon_ms = self.now.horizon_ms
        touched: defaultdict[int, set[int]] = defaultdict(set)
        instants = set[int]().union(*(self._touch(root, touched) for root in self._roots))
        values = self.now.values
        for instant_ms in sorted(each for each in instants if each > horizon_ms):
            kept = {
                each: value for each, value in values.items() if each not in touched[instant_ms]
            }
            later = self._with_members(self.now.at(instant_ms).keeping(kept))
            yield later
            values = later.values

    def _touch(self, node: Node, touched: defaultdict[int, set[int]]) -> set[int]:
        """Return the instants of a node and all below, noting each aggregate at its own."""
        found = _instants(node, self.now)
        for child in children_of(node):
            found |= self._touch(child, touched)
        if isinstance(node, Aggregate):
            for instant_ms in found:
                touched[instant_ms].add(id(node))
        return found

    def _with_members(self, moment: Moment) -> Moment:
        """Return the moment with the memberships that the known rules have at it."""
        inside: dict[str, bool] = {}

        def member(audience_id: str) -> bool:
            known = audience_id in self._rules
            return inside[audience_id] if known else self._outside(audience_id)

        found = moment.among(member)
        for audience_id in self._followed:
            inside[audience_id] = value_at(self._rules[audience_id], found) is True
        return found


def _followed(expressions: Sequence[Expression], rules: Mapping[str, Expression]) -> list[str]:
    """Return the audiences of `rules` that these refer to, each once and after its own parents."""
    order: dict[str, None] = {}
    pending = [(found, False) for each in expressions for found in audiences_in(each)]
    while pending:
        audience_id, parents_done = pending.pop()
        if parents_done:
            order[audience_id] = None
        elif audience_id in rules and audience_id not in order:
            pending.append((audience_id, True))
            pending += [(parent, False) for parent in audiences_in(rules[audience_id])]
    return list(order)


def _instants(node: Node, moment: Moment) -> set[int]:
    """Return every instant at which this node may change by itself, and perhaps more."""
    match node:
        case Rows():
            return _of_rows(node, moment)
        case Compare(left=Age() as age, right=Literal(value=int() as span_ms)):
            return _thresholds(age, span_ms, moment)
        case Compare(left=Literal(value=int() as span_ms), right=Age() as age):
            return _thresholds(age, span_ms, moment)
        case Anniversary():
            return _of_anniversary(node, moment)
        case _:
            return set()


def _of_rows(rows: Rows, moment: Moment) -> set[int]:
    """Return when rows leave by age or by day, become old enough, or end their absence."""
    times = {row.event.occurred_ms for row in rows_found(rows, moment)}
    spans = [rows.last_ms, rows.older_ms]
    spans += [follow.within_ms for follow in rows.follows if follow.absent]
    instants = {time + span for time in times for span in spans if span is not None}
    if rows.calendar_days is not None:
        zone = moment.local_zone
        days = {local_date(time, zone) + rows.calendar_days for time in times}
        near = {day + step for day in days for step in (-1, 0, 1)}
        instants |= {edge for day in near for edge in day_edges(day, zone)}
    return instants


def _thresholds(age: Age, span_ms: int, moment: Moment) -> set[int]:
    """Return when an age reaches a span, and when it is beyond it."""
    reached = {time + span_ms for time in _times(age.operand, moment)}
    return reached | {instant + 1 for instant in reached}


def _of_anniversary(anniversary: Anniversary, moment: Moment) -> set[int]:
    zone = moment.local_zone
    times = _times(anniversary.operand, moment)
    is_time = kind_of(anniversary.operand) is Kind.TIME
    days = {local_date(time, zone) for time in times} if is_time else times
    this_year = year_month_day(moment.today)[0]
    years = range(this_year, this_year + _YEARS_TO_COME + 1)
    coming = {anniversary_in(day, year) for day in days for year in years}
    return {edge for day in coming if day is not None for edge in day_edges(day, zone)}


def _times(operand: Expression, moment: Moment) -> set[int]:
    """Return every time or date that an expression of the person may come to, now or later."""
    match operand:
        case Shift():
            values: list[Value] = [
                shifted(time, operand.span_ms) for time in _times(operand.operand, moment)
            ]
        case Aggregate(operand=None):
            values = [row.event.occurred_ms for row in rows_found(operand.rows, moment)]
        case Aggregate(operand=inner) if inner is not None:
            rows = rows_found(operand.rows, moment)
            values = [value_at(inner, moment, row) for row in rows]
        case _:
            values = [value_at(operand, moment)]
    return {value for value in values if isinstance(value, int)}
