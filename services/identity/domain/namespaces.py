"""Namespaces: which identifiers name a person best, and which name only one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

Identifier = tuple[str, str]
"""A namespace and a value in it."""


@dataclass(frozen=True, slots=True)
class Namespaces:
    """The configured namespaces, highest priority first, and those of which a person has one value.

    A namespace that is not configured is allowed: it ranks below all configured ones, is not
    unique, and such namespaces are ordered by name.
    """

    order: tuple[str, ...]
    unique: frozenset[str]
    _ranks: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(set(self.order)) != len(self.order):
            raise ValueError(f"a namespace has one priority, found one twice in {self.order}")
        if not self.unique <= set(self.order):
            stray = sorted(self.unique - set(self.order))
            raise ValueError(f"a unique namespace needs a priority, found none for {stray}")
        ranks = {namespace: rank for rank, namespace in enumerate(self.order)}
        object.__setattr__(self, "_ranks", ranks)

    @property
    def ranks(self) -> dict[str, int]:
        """The place of each configured namespace, from the highest on."""
        return self._ranks

    def rank(self, identifier: Identifier) -> tuple[int, str]:
        """Return a key that sorts identifiers of a higher priority first."""
        namespace = identifier[0]
        return self._ranks.get(namespace, len(self.order)), namespace

    def ranked(self, identifiers: Iterable[Identifier]) -> list[Identifier]:
        """Return the identifiers by priority, each once; within a namespace as they came."""
        return sorted(dict.fromkeys(identifiers), key=self.rank)
