"""Rows: `events(...)` and `items(...)` with their filters, and sequences of them."""

from __future__ import annotations

from dataclasses import replace

from segcore.rule import Follow, Rows
from services.kit.rules import scalar
from services.kit.rules.chains import SOURCES, is_chain, links
from services.kit.rules.errors import RuleError
from services.kit.rules.names import call_mistake
from services.kit.rules.narrowing import narrowed
from services.kit.rules.spans import window_ms
from services.kit.rules.tree import Call, Constant, Node
from services.kit.rules.view import View, mistake, mistake_at_name
from services.kit.rules.vocabulary import Vocabulary
from services.kit.rules.words import FOLDS, NARROWING, SEQUENCES, TYPES_MAX, unknown


def rows_of(node: Node, view: View, vocabulary: Vocabulary, *, followed: bool = False) -> Rows:
    """Return the rows that a whole chain keeps; `followed` where it stands in a sequence.

    Filters commute, and each narrows. Raises RuleError.
    """
    rows = _rows(node, view, vocabulary)
    for follow in rows.follows:
        if (rows.key is None) is not (follow.then.key is None):
            name = "notFollowedBy" if follow.absent else "followedBy"
            raise RuleError(
                view.text,
                follow.at,
                f"`by` stands on one side of `{name}` alone: both sides have it or neither, as in"
                f' items("add_to_cart").by(item.sku).{name}(items("purchase").by(item.sku))',
                follow.at + len(name),
            )
    if rows.key is not None and not rows.follows and not followed:
        stray = next(link for link in links(node) if link.function == "by")
        raise mistake_at_name(
            view, stray, "`by` says what both sides of `followedBy` share: there is none here"
        )
    return rows


def entry_rows(node: Node, view: View, vocabulary: Vocabulary) -> Rows:
    """Return the rows of a chain that narrows them with `where` alone."""
    if not is_chain(node):
        scalar.expression(node, view)
        raise mistake(view, node, 'an entry is rows, such as events("purchase")')
    for link in links(node):
        if link.function in FOLDS:
            complaint = f"each row is an entry: leave out `.{link.function}()`"
            raise mistake_at_name(view, link, complaint)
        if link.function in NARROWING - {"where"}:
            complaint = f"a row enters when it comes: no `.{link.function}(...)`, only `where`"
            raise mistake_at_name(view, link, complaint)
    return rows_of(node, view, vocabulary)


def _rows(node: Node, view: View, vocabulary: Vocabulary) -> Rows:
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
    # What stands before it may hold an earlier mistake, which a reader meets first.
    rows = _rows(node.target, view, vocabulary)
    if node.function not in NARROWING:
        raise call_mistake(view, node)
    if node.function in SEQUENCES:
        return _sequence(rows, node, view, vocabulary)
    return narrowed(rows, node, view, vocabulary)


def _sequence(rows: Rows, node: Call, view: View, vocabulary: Vocabulary) -> Rows:
    name = node.function
    match node.arguments:
        case (then,):
            within_ms = None
        case (then, within):
            within_ms = window_ms(within, view)
        case _:
            example = f'.{name}(events("purchase"), days(3))'
            raise mistake(view, node, f"`{name}` takes rows, and at most one duration: {example}")
    if not is_chain(then):
        scalar.expression(then, view)
        raise mistake(view, then, f'`{name}` takes rows, such as events("purchase")')
    following = rows_of(then, view, vocabulary, followed=True)
    follow = Follow(following, within_ms, name == "notFollowedBy", node.place.point)
    return replace(rows, follows=(*rows.follows, follow))


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
