"""What each node of a rule comes to for one person at one instant, in plain Python.

Numbers are millionths, times are milliseconds, dates are days, None is missing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never
from zoneinfo import ZoneInfo

from segcore.bucket import bucket_of
from segcore.calendar import anniversary_in, first_ms, local_date, year_month_day, zone_named
from segcore.folds import fold_rows, fold_values
from segcore.history import Event, History, PropertyValue
from segcore.instance import Instance
from segcore.kinds import kind_of
from segcore.reading import attribute_of, event_field, item_field, of_kind
from segcore.row import Row, rows_of_event
from segcore.rule import (
    Age,
    Aggregate,
    All,
    Anniversary,
    AnyOf,
    Arithmetic,
    Attribute,
    Bucket,
    CatalogField,
    Compare,
    EventField,
    Expression,
    Follow,
    FormText,
    Has,
    InAudience,
    ItemField,
    KeyText,
    Kind,
    Literal,
    Not,
    OneOf,
    Rows,
    Shift,
    Size,
    TestText,
    TriggerField,
    Truth,
)
from segcore.scalar import (
    Value,
    calculate,
    compare,
    form_text,
    has_element,
    passes_test,
    shifted,
    size_of,
)

Membership = Callable[[str], bool]
"""Tells whether the person is in the audience of that id."""

ZONE_ATTRIBUTE = "zone"
"""The attribute that names a person's time zone."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What an expression is evaluated over: one person, or one instance of theirs, now.

    `zone` is the workspace's. `found` keeps the rows of each `Rows` by type and `where`, which do
    not change with time, and `read` what expressions read of rows: moments of one history share
    them. `values` keeps those of aggregates at this moment.
    """

    history: History
    now_ms: int
    in_audience: Membership
    settled: bool = True
    instance: Instance | None = None
    profile_id: int = 0
    zone: str = "UTC"
    found: dict[int, tuple[Rows, list[Row]]] = field(
        default_factory=dict, compare=False, repr=False
    )

    read: dict[int, tuple[Expression, dict[tuple[int, int], tuple[Event, Value]]]] = field(
        default_factory=dict, compare=False, repr=False
    )
    values: dict[int, tuple[Aggregate, Value]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @property
    def horizon_ms(self) -> int:
        """The last instant whose time changes have happened."""
        return self.now_ms if self.settled else self.now_ms - 1

    @property
    def local_zone(self) -> ZoneInfo:
        """The person's time zone: their attribute, where it names one, else the workspace's."""
        name = attribute_of(ZONE_ATTRIBUTE, self.history)
        own = zone_named(name) if isinstance(name, str) else None
        found = own or zone_named(self.zone)
        if found is None:
            raise ValueError(f"expected a zone of the tz database, found {self.zone!r}")
        return found

    @property
    def today(self) -> int:
        """The local date of the horizon."""
        return local_date(self.horizon_ms, self.local_zone)

    def at(self, instant_ms: int) -> Moment:
        """Return the same person after the time changes of another instant."""
        return replace(self, now_ms=instant_ms, settled=True, values={})

    def keeping(self, values: Mapping[int, tuple[Aggregate, Value]]) -> Moment:
        """Return the same moment with values of aggregates that it has for certain."""
        return replace(self, values=dict(values))

    def after(self, event: Event) -> Moment:
        """Return the same person at and after an event that is the newest of all."""
        place = len(self.history.events)
        history = replace(self.history, events=(*self.history.events, event))
        found = {
            known: (rows, [*before, *_brought(rows, event, place, self)])
            for known, (rows, before) in self.found.items()
        }
        return replace(
            self, history=history, now_ms=event.occurred_ms, settled=True, found=found, values={}
        )

    def among(self, in_audience: Membership) -> Moment:
        """Return the same moment with other memberships."""
        return replace(self, in_audience=in_audience)


def value_at(expression: Expression, moment: Moment, row: Row | None = None) -> Value:  # noqa: C901, PLR0911, PLR0912
    """Return the value of one node; `row` is there below `where`, `key` and operands."""

    def of(part: Expression) -> Value:
        return value_at(part, moment, row)

    match expression:
        case Literal():
            return expression.value
        case Attribute():
            return of_kind(attribute_of(expression.name, moment.history), expression.kind)
        case EventField():
            assert row is not None, "event fields stand below rows only"  # noqa: S101
            return of_kind(event_field(expression.name, row.event), expression.kind)
        case ItemField():
            assert row is not None, "item fields stand below rows only"  # noqa: S101
            return of_kind(item_field(expression.name, row.item), expression.kind)
        case Arithmetic():
            return calculate(expression.operator, of(expression.left), of(expression.right))
        case Compare():
            return compare(expression.comparison, of(expression.left), of(expression.right))
        case OneOf():
            operand = of(expression.operand)
            return operand is not None and operand in [o.value for o in expression.options]
        case TestText():
            return passes_test(expression.test, of(expression.operand), expression.argument)
        case FormText():
            return form_text(expression.form, of(expression.operand))
        case Size():
            return size_of(of(expression.operand))
        case Has():
            return has_element(of(expression.element), of(expression.operand))
        case Shift():
            return shifted(of(expression.operand), expression.span_ms)
        case Age():
            return _age(of(expression.operand), moment)
        case Anniversary():
            return _is_anniversary(expression, moment)
        case Bucket():
            return bucket_of(expression.salt, moment.profile_id)
        case Truth():
            return of(expression.operand) is True
        case Not():
            return of(expression.operand) is not True
        case All():
            return all(of(part) is True for part in expression.operands)
        case AnyOf():
            return any(of(part) is True for part in expression.operands)
        case Aggregate():
            return _aggregate(expression, moment)
        case InAudience():
            return moment.in_audience(expression.audience_id)
        case TriggerField() | KeyText() | CatalogField():
            return _of_instance(expression, moment)
        case _:
            assert_never(expression)


def rows_at(rows: Rows, moment: Moment) -> list[Row]:
    """Return the rows that are kept at the moment, oldest first."""
    found = rows_found(rows, moment)
    first, before = _bounds(rows, moment)
    start = bisect_left(found, first, key=_occurred)
    kept = found[start : max(start, bisect_left(found, before, key=_occurred))]
    if rows.since is not None:
        instance = _instance(moment)
        kept = [row for row in kept if instance.counts(row.event, rows.since)]
    for follow in rows.follows:
        kept = _following(kept, rows, follow, moment)
    return kept


def rows_found(rows: Rows, moment: Moment) -> list[Row]:
    """Return the rows that type and `where` keep, at any time, oldest first."""
    known = moment.found.get(id(rows))
    if known is None:
        kept: list[Row] = []
        for place, event in enumerate(moment.history.events):
            kept += _brought(rows, event, place, moment)
        known = rows, sorted(kept, key=lambda row: row.newness)
        moment.found[id(rows)] = known
    return known[1]


def rows_of(rows: Rows, event: Event) -> list[Row]:
    """Return the rows that one event brings, of those that `rows` names: by type and `where` alone.

    This is what enters a journey; filters by time have no part in it.
    """
    return _brought(rows, event, 0, Moment(History(), event.received_ms, lambda _: False))


def _brought(rows: Rows, event: Event, place: int, moment: Moment) -> list[Row]:
    if event.type not in rows.types:
        return []
    return [
        row
        for row in rows_of_event(rows.scope, event, place)
        if rows.where is None or value_at(rows.where, moment, row) is True
    ]


def _occurred(row: Row) -> int:
    return row.event.occurred_ms


_EVER = float("inf")


def _bounds(rows: Rows, moment: Moment) -> tuple[float, float]:
    """Return the first instant of the rows that time keeps, and the first one after them."""
    first, before = [-_EVER], [_EVER]
    if rows.last_ms is not None or rows.calendar_days is not None:
        before.append(moment.now_ms + 1)
    if rows.last_ms is not None:
        first.append(moment.horizon_ms - rows.last_ms + 1)
    if rows.calendar_days is not None:
        first.append(first_ms(moment.today - rows.calendar_days + 1, moment.local_zone))
    if rows.older_ms is not None:
        before.append(moment.horizon_ms - rows.older_ms + 1)
    starts = [value_at(expression, moment) for expression in rows.from_times]
    ends = [value_at(expression, moment) for expression in rows.until_times]
    if None in starts or None in ends:
        return _EVER, _EVER
    first += [start for start in starts if isinstance(start, int)]
    before += [end for end in ends if isinstance(end, int)]
    return max(first), min(before)


def read_of(expression: Expression, rows: list[Row], moment: Moment) -> list[Value]:
    """Return what an expression, which knows no time, reads of each row."""
    _, known = moment.read.setdefault(id(expression), (expression, {}))
    values: list[Value] = []
    for row in rows:
        place = id(row.event), row.line
        if place not in known:
            known[place] = row.event, value_at(expression, moment, row)
        values.append(known[place][1])
    return values


def _following(kept: list[Row], rows: Rows, follow: Follow, moment: Moment) -> list[Row]:
    """Return those of `kept` that pass the test of `follow`; a missing key equals no key."""
    later: defaultdict[Value, tuple[list[int], list[Row]]] = defaultdict(lambda: ([], []))
    then = rows_at(follow.then, moment)
    for row, key in zip(then, _keys(follow.then, follow, then, moment), strict=True):
        if key is not None:
            times, having = later[key]
            times.append(row.event.occurred_ms)
            having.append(row)
    keys = _keys(rows, follow, kept, moment)
    return [
        row
        for row, key in zip(kept, keys, strict=True)
        if _passes(row, *later.get(key, ([], [])), follow, moment.horizon_ms)
    ]


def _keys(rows: Rows, follow: Follow, kept: list[Row], moment: Moment) -> list[Value]:
    """Return the key of each row, of a follow without keys the same for all."""
    if rows.key is None or follow.then.key is None:
        return [True] * len(kept)
    return read_of(rows.key, kept, moment)


def _passes(row: Row, times: list[int], later: list[Row], follow: Follow, horizon_ms: int) -> bool:
    """Return whether the rows of the same key, oldest first, let a row pass."""
    occurred_ms = row.event.occurred_ms
    until = _EVER if follow.within_ms is None else occurred_ms + follow.within_ms
    if not follow.absent:
        place = bisect_right(times, occurred_ms)
        return place < len(times) and times[place] <= until
    if follow.within_ms is not None and until > horizon_ms:
        return False
    place = bisect_left(times, occurred_ms)
    while place < len(later) and later[place].is_same(row):
        place += 1
    return place == len(times) or times[place] > until


def _aggregate(aggregate: Aggregate, moment: Moment) -> Value:
    known = moment.values.get(id(aggregate))
    if known is None:
        known = moment.values[id(aggregate)] = aggregate, _folded(aggregate, moment)
    return known[1]


def _folded(aggregate: Aggregate, moment: Moment) -> Value:
    rows = rows_at(aggregate.rows, moment)
    if aggregate.operand is None:
        return fold_rows(aggregate.fold, rows)
    return fold_values(aggregate.fold, read_of(aggregate.operand, rows, moment))


def _age(since: Value, moment: Moment) -> int | None:
    return moment.horizon_ms - since if isinstance(since, int) else None


def _is_anniversary(anniversary: Anniversary, moment: Moment) -> bool:
    born = born_on(anniversary, moment)
    if born is None:
        return False
    today = moment.today
    return anniversary_in(born, year_month_day(today)[0]) == today


def born_on(anniversary: Anniversary, moment: Moment) -> int | None:
    """Return the date whose anniversary it is: of a time its local date."""
    found = value_at(anniversary.operand, moment)
    if not isinstance(found, int):
        return None
    return (
        local_date(found, moment.local_zone) if kind_of(anniversary.operand) is Kind.TIME else found
    )


def _instance(moment: Moment) -> Instance:
    if moment.instance is None:
        raise ValueError("expected an instance of a journey to speak of, found none")
    return moment.instance


def _of_instance(expression: TriggerField | KeyText | CatalogField, moment: Moment) -> Value:
    match expression:
        case TriggerField():
            return of_kind(_trigger_field(expression.name, moment), expression.kind)
        case KeyText():
            return _instance(moment).key
        case CatalogField():
            return of_kind(_instance(moment).catalog_field(expression.name), expression.kind)


def _trigger_field(name: str, moment: Moment) -> PropertyValue | None:
    instance = _instance(moment)
    if instance.trigger is None:
        return None
    return instance.triggered_as if name == "type" else event_field(name, instance.trigger)
