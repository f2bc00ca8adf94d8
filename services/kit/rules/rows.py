"""Rows: `events(...)` and `items(...)` with their filters, and what a filter may see."""

from __future__ import annotations

from dataclasses import dataclass, replace

from segcore.instance import is_instance_word
from segcore.reference import nodes_of
from segcore.rule import (
    Aggregate,
    All,
    EventField,
    Expression,
    Fold,
    ItemField,
    Rows,
    Scope,
)
from services.kit.rules import fields, literals, scalar
from services.kit.rules.errors import RuleError
from services.kit.rules.names import call_mistake, member_mistake, root_mistake
from services.kit.rules.properties import property_kind
from services.kit.rules.scalar import View, mistake
from services.kit.rules.situation import (
    Situation,
    check_catalog,
    instance_word,
    is_catalog,
    since_of,
)
from services.kit.rules.tree import Call, Constant, Member, Node, Path
from services.kit.rules.vocabulary import Vocabulary
from services.kit.rules.words import DURATIONS, FOLDS, INSTANCE_NAMES, LATER, TYPES_MAX, unknown

SOURCES = {"events": Scope.EVENT, "items": Scope.ITEM}
NARROWING = frozenset(("where", "last", "since"))


@dataclass(frozen=True, slots=True)
class RowView:
    """What `where` and `sum` see: the row's event, its item where rows are items, and constants."""

    text: str
    vocabulary: Vocabulary
    scope: Scope
    types: tuple[str, ...]
    situation: Situation | None = None

    def path(self, node: Path) -> Expression:
        """Return a field of the row's event or item."""
        root, name = node.names[0], ".".join(node.names[1:])
        if root == "event":
            kind = property_kind(node, self, self.vocabulary, self.types)
            return EventField(name, kind, node.place.start)
        if root == "item":
            return self._item_field(node, name)
        if root in INSTANCE_NAMES:
            return instance_word(node, self, self.vocabulary)
        if root == "profile":
            raise mistake(
                self,
                node,
                "`where` and `sum` see the row alone, not the profile: test it outside, with `&&`",
            )
        known = {f"event.{p}" for t in self.types for p in self.vocabulary.event_types[t]}
        known.update(f"event.{name}" for name in fields.EVENT_FIELDS)
        if self.scope is Scope.ITEM:
            known.update(f"item.{name}" for name in fields.ITEM_FIELDS)
        raise root_mistake(self, node, known)

    def call(self, node: Call) -> Expression:
        """Refuse: no call but the operators' means anything over one row."""
        if is_chain(node) or node.function == "audience":
            raise mistake(
                self,
                node,
                "`where` and `sum` see the row alone, not other rows and audiences: test them"
                " outside, with `&&`",
            )
        if is_catalog(node):
            check_catalog(node, self)
            raise mistake(
                self,
                node,
                "`where` and `sum` see the row alone, not the catalog: test it outside, with `&&`",
            )
        if node.target is not None:
            scalar.expression(node.target, self)
        raise call_mistake(self, node)

    def member(self, node: Member) -> Expression:
        """Refuse: nothing that is called here has fields."""
        if is_catalog(node.owner):
            self.call(node.owner)
        raise member_mistake(self, node)

    def _item_field(self, node: Path, name: str) -> Expression:
        if self.scope is not Scope.ITEM:
            raise mistake(
                self, node, "`item` is there only under `items(...)`; these rows are events"
            )
        kind = fields.ITEM_FIELDS.get(name)
        if kind is None:
            if not name:
                raise mistake(
                    self, node, "`item` is no value: name one of its fields, such as `item.sku`"
                )
            raise mistake(self, node, unknown("item field", name, fields.ITEM_FIELDS))
        return ItemField(name, kind, node.place.start)


def is_chain(node: Node | None) -> bool:
    """Return whether a node is `events(...)` or `items(...)`, or something called on them."""
    while isinstance(node, Call):
        if node.target is None:
            return node.function in SOURCES
        node = node.target
    return False


def aggregate(node: Call, view: View, vocabulary: Vocabulary) -> Expression:
    """Return what a chain of rows comes to; raises RuleError where it ends as rows."""
    if node.function not in FOLDS or node.target is None:
        if node.function in {*SOURCES, *NARROWING}:
            rows_of(node, view, vocabulary)
            raise mistake(
                view, node, "these are rows: end with `.exists()`, `.count()` or `.sum(...)`"
            )
        raise call_mistake(view, node)
    rows = rows_of(node.target, view, vocabulary)
    found = _fold(node, rows, view, vocabulary)
    if rows.since is None and any(is_instance_word(part) for part in nodes_of(found)):
        raise mistake(
            view,
            node,
            "rows that are compared with `trigger` or `key` need `.since(trigger)` or"
            " `.since(entry)`: a journey looks only at what happens from then on",
        )
    return found


def _fold(node: Call, rows: Rows, view: View, vocabulary: Vocabulary) -> Aggregate:
    fold = Fold(node.function)
    if fold is not Fold.SUM:
        if node.arguments:
            raise mistake(
                view,
                node.arguments[0],
                f"`{fold}` takes nothing: narrow the rows with `.where(...)` before it",
            )
        return Aggregate(rows, fold, None, node.place.start)
    if len(node.arguments) != 1:
        raise mistake(
            view, node, "`sum` takes one number, such as .sum(item.price * item.quantity)"
        )
    inside = RowView(view.text, vocabulary, rows.scope, rows.types, view.situation)
    return Aggregate(rows, fold, scalar.number(node.arguments[0], inside), node.place.start)


def rows_of(node: Node, view: View, vocabulary: Vocabulary) -> Rows:
    """Return the rows that a chain keeps; filters commute, and each narrows."""
    if not isinstance(node, Call):
        raise mistake(view, node, 'expected rows, such as events("purchase")')
    if node.target is None:
        if node.function not in SOURCES:
            raise call_mistake(view, node)
        return _source(node, view, vocabulary)
    if node.function in FOLDS:
        raise mistake(
            view, node, f"`{node.function}` ends a chain: nothing can be called on what it gives"
        )
    if node.function not in NARROWING:
        # What stands before it may hold an earlier mistake, which a reader meets first.
        rows_of(node.target, view, vocabulary)
        raise call_mistake(view, node)
    rows = rows_of(node.target, view, vocabulary)
    if node.function == "since":
        return _with_since(rows, node, view)
    if node.function == "last":
        length_ms = _window_ms(node, view)
        if rows.since is not None:
            raise _both_times(node, view)
        shortest = length_ms if rows.last_ms is None else min(rows.last_ms, length_ms)
        return replace(rows, last_ms=shortest)
    if len(node.arguments) != 1:
        raise mistake(
            view, node, '`where` takes one condition, such as .where(event.channel == "store")'
        )
    inside = RowView(view.text, vocabulary, rows.scope, rows.types, view.situation)
    return replace(rows, where=_both(rows.where, scalar.condition(node.arguments[0], inside)))


def entry_rows(node: Node, view: View, vocabulary: Vocabulary) -> Rows:
    """Return the rows of a chain that narrows them with `where` alone."""
    if not is_chain(node):
        scalar.expression(node, view)
        raise mistake(view, node, 'an entry is rows, such as events("purchase")')
    link: Node | None = node
    while isinstance(link, Call):
        if link.function in FOLDS:
            complaint = f"each row is an entry: leave out `.{link.function}()`"
            raise _at_name(link, view, complaint)
        if link.function in NARROWING - {"where"}:
            complaint = f"a row enters when it comes: no `.{link.function}(...)`, only `where`"
            raise _at_name(link, view, complaint)
        link = link.target
    return rows_of(node, view, vocabulary)


def _with_since(rows: Rows, node: Call, view: View) -> Rows:
    since = since_of(node, view)
    if rows.last_ms is not None:
        raise _both_times(node, view)
    if rows.since not in {None, since}:
        raise _at_name(
            node, view, f"`.since({since})` and `.since({rows.since})` do not go together: keep one"
        )
    return replace(rows, since=since)


def _both_times(node: Call, view: View) -> RuleError:
    return _at_name(
        node,
        view,
        "`since` and `last` do not go together: rows since an instant never leave by time",
    )


def _at_name(node: Call, view: View, complaint: str) -> RuleError:
    start = node.place.point
    return RuleError(view.text, start, complaint, start + len(node.function))


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


def _source(node: Call, view: View, vocabulary: Vocabulary) -> Rows:
    if not 1 <= len(node.arguments) <= TYPES_MAX:
        raise mistake(
            view,
            node,
            f"`{node.function}` takes 1 to {TYPES_MAX} event types, found {len(node.arguments)}",
        )
    types = [_event_type(argument, view, vocabulary) for argument in node.arguments]
    distinct = tuple(dict.fromkeys(types))
    return Rows(SOURCES[node.function], distinct, at=node.place.start)


def _event_type(node: Node, view: View, vocabulary: Vocabulary) -> str:
    if not isinstance(node, Constant) or not isinstance(node.value, str):
        raise mistake(view, node, 'an event type is a constant text, such as "purchase"')
    if node.value not in vocabulary.event_types:
        raise mistake(view, node, unknown("event type", node.value, vocabulary.event_types))
    return node.value


def _window_ms(node: Call, view: View) -> int:
    if len(node.arguments) != 1:
        raise mistake(view, node, "`last` takes one duration, such as .last(days(30))")
    argument = node.arguments[0]
    try:
        return literals.window_ms(_duration_ms(argument, view))
    except ValueError as error:
        raise mistake(view, argument, str(error)) from None


def _duration_ms(node: Node, view: View) -> int:
    match node:
        case Call(
            function=function, target=None, arguments=(Constant(value=int(whole)) as part,)
        ) if function in DURATIONS and not isinstance(whole, bool):
            if whole < 1:
                raise mistake(
                    view, part, f"`{function}` takes a whole number from 1 on, found {whole}"
                )
            return whole * DURATIONS[function]
        case Call(function="duration", target=None, arguments=(Constant(value=str(written)),)):
            return literals.duration_ms(written)
        case Call(function=function) if function in DURATIONS:
            raise mistake(
                view, node, f"`{function}` takes one constant whole number, such as {function}(30)"
            )
        case Call(function=function) if function in LATER:
            raise call_mistake(view, node)
    raise mistake(
        view, node, 'expected a constant duration: days(30), hours(24) or duration("72h")'
    )
