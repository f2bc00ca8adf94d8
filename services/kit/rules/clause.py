"""The stretch of a rule's text that a node of the typed rule came from, for explanations."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from segcore.rule import Aggregate, Expression, Rows
from services.kit.rules import tree
from services.kit.rules.environment import Complaint, Environment
from services.kit.rules.rows import NARROWING, SOURCES
from services.kit.rules.vocabulary import Vocabulary
from services.kit.rules.words import FOLDS

TEXTS_MAX = 64
"""Rules whose places are kept: explanations ask for every clause of one rule in turn."""

_Places = dict[int, tuple[int, int]]


def clause_text(text: str, node: Expression | Rows) -> str | None:
    """Return the clause of `text` that `node` came from, or None where it stands nowhere.

    Brackets around a clause are left out, and wheres that were joined stand nowhere as one.
    """
    place = clause_place(text, node)
    return None if place is None else text[place[0] : place[1]]


def clause_place(text: str, node: Expression | Rows) -> tuple[int, int] | None:
    """Return where the clause of a node begins and where it has ended."""
    try:
        folds, rows, others = _places(text)
    except Complaint:
        return None
    match node:
        case Aggregate(at=at):
            return folds.get(at)
        case Rows(at=at):
            return rows.get(at)
        case _:
            return others.get(node.at)


@functools.lru_cache(maxsize=TEXTS_MAX)
def _places(text: str) -> tuple[_Places, _Places, _Places]:
    # Spans by `at`. An aggregate begins where its rows do, hence one table each.
    folds: _Places = {}
    rows: _Places = {}
    others: _Places = {}
    parsed = _parser().parse(text)
    for node in _walk(tree.TreeBuilder(text, parsed.positions).build(parsed.expr)):
        span = (node.place.start, node.place.end)
        match node:
            case tree.Call(function=function, target=target) if target and function in FOLDS:
                folds[node.place.start] = span
                rows[node.place.start] = (target.place.start, target.place.end)
            case tree.Call(function=function) if function in SOURCES or function in NARROWING:
                pass
            case tree.Call():
                others[node.place.point] = span
            case _:
                others[node.place.start] = span
    return folds, rows, others


@functools.cache
def _parser() -> Environment:
    return Environment(Vocabulary({}, {}))


def _walk(node: tree.Node) -> Iterator[tree.Node]:
    # Children first, so that what encloses a node and begins where it does is what stays.
    for child in tree.children(node):
        yield from _walk(child)
    yield node
