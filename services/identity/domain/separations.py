"""Which identifiers an un-merge holds apart: no two of a pair are ever one person's.

Kept by identifiers and not by profiles: those merge, and their identifiers move, and it still
holds. Only a link that is asked for by name ends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from services.identity.domain.namespaces import Identifier

Pair = tuple[Identifier, Identifier]
"""Two identifiers, the lesser first."""


class Separations:
    """The pairs, and which of them changed since `clear_touched`."""

    def __init__(self) -> None:
        self._apart: dict[Identifier, set[Identifier]] = {}
        self.touched: dict[Pair, None] = {}

    def __bool__(self) -> bool:
        return bool(self._apart)

    def holds(self, pair: Pair) -> bool:
        """Tell whether the two are held apart."""
        return pair[1] in self._apart.get(pair[0], ())

    def between(self, left: Iterable[Identifier], right: Iterable[Identifier]) -> list[Pair]:
        """Return the pairs of which one is on either side."""
        if not self._apart:
            return []
        others = frozenset(right)
        return [
            _pair(one, other)
            for one in left
            for other in sorted(self._apart.get(one, frozenset()) & others)
        ]

    def separate(self, left: Iterable[Identifier], right: Iterable[Identifier]) -> None:
        """Hold each identifier of one side apart from each of the other."""
        others = tuple(right)
        for one in left:
            for other in others:
                self._apart.setdefault(one, set()).add(other)
                self._apart.setdefault(other, set()).add(one)
                self.touched[_pair(one, other)] = None

    def join(self, pairs: Iterable[Pair]) -> None:
        """Hold these pairs apart no more."""
        for one, other in pairs:
            for mine, its in ((one, other), (other, one)):
                held = self._apart.get(mine, set())
                held.discard(its)
                if not held:
                    self._apart.pop(mine, None)
            self.touched[one, other] = None

    def forget(self, identifiers: Iterable[Identifier]) -> None:
        """Hold identifiers apart from nothing any more: nobody has them."""
        self.join([_pair(one, other) for one in identifiers for other in self._apart.get(one, ())])

    def pairs(self) -> Iterator[Pair]:
        """Yield all pairs, in order."""
        for one in sorted(self._apart):
            yield from ((one, other) for other in sorted(self._apart[one]) if one < other)

    def load(self, pairs: Iterable[Pair]) -> None:
        """Take in what a store holds."""
        for one, other in pairs:
            self._apart.setdefault(one, set()).add(other)
            self._apart.setdefault(other, set()).add(one)


def _pair(one: Identifier, other: Identifier) -> Pair:
    return (one, other) if one < other else (other, one)
