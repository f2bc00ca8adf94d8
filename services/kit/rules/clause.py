"""The stretch of a rule's text that a node of the typed rule came from, for explanations."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from segcore.rule import Aggregate, Expression, Follow, Rows, Truth
from services.kit.rules import tree
from services.kit.rules.chains import is_chain
from services.kit.rules.environment import Complaint, Environment
from services.kit.rules.vocabulary import Vocabulary
from services.kit.rules.words import FOLDS, SEQUENCES

TEXTS_MAX = 64
"""Rules whose places are kept: explanations ask for every clause of one rule in turn."""

_Places = dict[int, tuple[int, int]]


def clause_text(text: str, node: Expression | Rows | Follow) -> str | None:
    """Return the clause of `text` that `node` came from, or None where it stands nowhere.

    Brackets around a clause are left out, and wheres that were joined stand nowhere as one.
    """
    place = clause_place(text, node)
    return None if place is None else text[place[0] : place[1]]


def clause_place(text: str, node: Expression | Rows | Follow) -> tuple[int, int] | None:
    """Return where the clause of a node begins and where it has ended."""
    try:
        folds, rows, others = _places(text)
    except Complaint:
        return None
    match node:
        case Aggregate(at=at) | Truth(operand=Aggregate(at=at)):
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
            case tree.Call(function=function) if is_chain(node) and function in FOLDS:
                folds[node.place.start] = span
            case tree.Call(function=function) if is_chain(node):
                # The chain grows call by call, and the longest is what stays.
                rows[node.place.start] = span
                if function in SEQUENCES:
                    others[node.place.point] = (node.place.point, node.place.end)
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
