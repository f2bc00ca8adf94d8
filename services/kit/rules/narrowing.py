"""Filters of rows, each apart: they commute, and each keeps some of the rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from segcore.kinds import kind_of
from segcore.rule import All, Expression, Kind, Rows
from services.kit.rules import literals, scalar
from services.kit.rules.row_view import RowView
from services.kit.rules.situation import is_instant_name, since_of
from services.kit.rules.spans import window_ms
from services.kit.rules.times import bound
from services.kit.rules.tree import Call, Constant
from services.kit.rules.values import spoken
from services.kit.rules.view import View, mistake, mistake_at_name
from services.kit.rules.vocabulary import Vocabulary
from services.kit.rules.words import DURATIONS

DAYS_MAX = literals.WINDOW_MAX_MS // DURATIONS["days"]


def narrowed(rows: Rows, node: Call, view: View, vocabulary: Vocabulary) -> Rows:
    """Return the rows that one filter, no sequence, keeps of `rows`; raises RuleError."""
    return _FILTERS[node.function](rows, node, view, vocabulary)


def row_view(rows: Rows, word: str, view: View, vocabulary: Vocabulary) -> RowView:
    """Return what `word` sees of each row."""
    return RowView(view.text, vocabulary, rows.scope, rows.types, word, view.situation)


def _where(rows: Rows, node: Call, view: View, vocabulary: Vocabulary) -> Rows:
    if len(node.arguments) != 1:
        raise mistake(
            view, node, '`where` takes one condition, such as .where(event.channel == "store")'
        )
    inside = row_view(rows, "where", view, vocabulary)
    return replace(rows, where=_both(rows.where, scalar.condition(node.arguments[0], inside)))


def _both(former: Expression | None, added: Expression) -> Expression:
    if former is None:
        return added
    parts = (
        part
        for side in (former, added)
        for part in (side.operands if isinstance(side, All) else (side,))
    )
    # Two wheres stand nowhere as one clause.
    return All(tuple(parts), -1)


def _last(rows: Rows, node: Call, view: View, _: Vocabulary) -> Rows:
    length_ms = _window(node, view)
    shortest = length_ms if rows.last_ms is None else min(rows.last_ms, length_ms)
    return replace(rows, last_ms=shortest)


def _older(rows: Rows, node: Call, view: View, _: Vocabulary) -> Rows:
    return replace(rows, older_ms=max(rows.older_ms or 0, _window(node, view)))


def _window(node: Call, view: View) -> int:
    if len(node.arguments) != 1:
        name = node.function
        raise mistake(view, node, f"`{name}` takes one duration, such as .{name}(days(30))")
    return window_ms(node.arguments[0], view)


def _calendar_days(rows: Rows, node: Call, view: View, _: Vocabulary) -> Rows:
    match node.arguments:
        case (Constant(value=int(days)) as argument,) if not isinstance(days, bool):
            if not 1 <= days <= DAYS_MAX:
                raise mistake(
                    view,
                    argument,
                    f"`calendarDays` takes a whole number from 1 to {DAYS_MAX:,}, found {days}",
                )
            fewest = days if rows.calendar_days is None else min(rows.calendar_days, days)
            return replace(rows, calendar_days=fewest)
    raise mistake(
        view, node, "`calendarDays` takes one constant whole number, such as .calendarDays(7)"
    )


def _between(rows: Rows, node: Call, view: View, _: Vocabulary) -> Rows:
    if len(node.arguments) != 2:  # noqa: PLR2004 - from one instant until another
        raise mistake(
            view, node, "`between` takes two times: rows from the first on and before the second"
        )
    start, end = (bound(argument, "between", view) for argument in node.arguments)
    return replace(rows, from_times=(*rows.from_times, start), until_times=(*rows.until_times, end))


def _since(rows: Rows, node: Call, view: View, _: Vocabulary) -> Rows:
    if len(node.arguments) != 1:
        raise mistake(view, node, "`since` takes one time, such as .since(profile.signup_at)")
    (argument,) = node.arguments
    if not is_instant_name(argument):
        return replace(rows, from_times=(*rows.from_times, bound(argument, "since", view)))
    since = since_of(argument, view)
    if rows.since not in {None, since}:
        complaint = f"`.since({since})` and `.since({rows.since})` do not go together: keep one"
        raise mistake_at_name(view, node, complaint)
    return replace(rows, since=since)


def _by(rows: Rows, node: Call, view: View, vocabulary: Vocabulary) -> Rows:
    if len(node.arguments) != 1:
        raise mistake(view, node, "`by` takes one text of each row, such as .by(item.sku)")
    if rows.key is not None:
        raise mistake_at_name(view, node, "rows have one key: keep one `.by(...)`")
    key = scalar.expression(node.arguments[0], row_view(rows, "by", view, vocabulary))
    if kind_of(key) is not Kind.TEXT:
        found = spoken(kind_of(key))
        raise mistake(view, node.arguments[0], f"`by` takes a text of each row, found {found}")
    return replace(rows, key=key)


_FILTERS: dict[str, Callable[[Rows, Call, View, Vocabulary], Rows]] = {
    "where": _where,
    "last": _last,
    "olderThan": _older,
    "calendarDays": _calendar_days,
    "between": _between,
    "since": _since,
    "by": _by,
}
