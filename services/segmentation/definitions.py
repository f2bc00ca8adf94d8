"""The definitions of one partition by audience: the version in use, the next one, and those before.

A deterministic function of the facts log. Versions are numbered from 1 and no number comes twice,
not even after an audience was removed: what the log says of a version is said once.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import cast

from segcore.rule import Expression, InAudience
from segcore.rule_json import from_json
from services.segmentation.domain import Definition, State

KEPT_PUBLICATIONS = 2
"""Of an audience that is published, so many former publications stay: each takes room a profile."""


class Definitions:
    """All definitions. `current` is live, or was never followed by one that is.

    `pending` is built beside the current one. `journeys` says by which audience each journey that
    can be entered is entered. The stage writes; reads may come from other threads.
    """

    def __init__(self) -> None:
        self.current: dict[str, Definition] = {}
        self.pending: dict[str, Definition] = {}
        self.former: dict[str, list[Definition]] = {}
        self.removed: dict[str, int] = {}
        self.journeys: dict[str, str] = {}

    def newest(self, audience_id: str) -> int:
        """Return the last version's number; 0 where the id was never used."""
        versions = [each.version for each in self.versions(audience_id)]
        return max(versions, default=self.removed.get(audience_id, 0))

    def versions(self, audience_id: str) -> list[Definition]:
        """Return all versions, newest first."""
        found = [*self.former.get(audience_id, ())]
        found += [each[audience_id] for each in (self.current, self.pending) if audience_id in each]
        return sorted(found, key=lambda each: each.version, reverse=True)

    def in_use(self) -> list[Definition]:
        """Return the version in use of each audience."""
        # The stage adds some meanwhile: a list is a copy made at one go.
        return list(self.current.values())

    def owned_by(self, prefix: str) -> list[str]:
        """Return the audiences of all owners whose names begin so."""
        return [each.audience_id for each in self.in_use() if each.owner.startswith(prefix)]

    def is_collected(self, definition: Definition) -> bool:
        """Tell whether a version is of a publication whose members are not kept any more."""
        return definition.publication_id in self.collected(definition.audience_id)

    def collected(self, audience_id: str) -> list[str]:
        """Return the publications of which nothing is kept: all but those used and the newest."""
        used = [each.get(audience_id) for each in (self.current, self.pending)]
        kept = {each.publication_id for each in used if each is not None}
        former = {each.publication_id: None for each in self.versions(audience_id)}
        others = [each for each in former if each and each not in kept]
        return others[KEPT_PUBLICATIONS:]

    def unbuilt(self) -> list[Definition]:
        """Return what is on its way to being live, parents first."""
        waiting = [each for each in self.in_use() if each.state is State.BACKFILLING]
        waiting += list(self.pending.values())
        return sorted(waiting, key=lambda each: each.create_ms)

    def admits(self, definition: Definition) -> bool:
        """Tell whether a proposal still fits: the next number, no cycle, nothing missing."""
        audience_id = definition.audience_id
        if definition.version != self.newest(audience_id) + 1:
            return False
        former = self.current.get(audience_id)
        if former is not None and former.owner != definition.owner:
            return False
        if definition.restored_version and self.is_collected(definition):
            return False
        references = references_of(definition.rule_json)
        return references <= self.current.keys() and not self.reaches(references, audience_id)

    def reaches(self, references: frozenset[str], audience_id: str) -> bool:
        """Tell whether a rule with these references leads, by whatever way, to an audience."""
        seen: set[str] = set()
        waiting = list(references)
        while waiting:
            each = waiting.pop()
            if each == audience_id:
                return True
            if each not in seen:
                seen.add(each)
                waiting += self._references(each)
        return False

    def propose(self, definition: Definition) -> Definition | None:
        """Keep a proposal that fits; return the one that it takes the place of, if any."""
        audience_id = definition.audience_id
        if audience_id not in self.current:
            self.current[audience_id] = definition
            return None
        discarded = self.pending.pop(audience_id, None)
        if discarded is not None:
            self._keep(discarded)
        self.pending[audience_id] = definition
        return discarded

    def coming(self, audience_id: str, version: int) -> Definition | None:
        """Return the version if it can go live."""
        for each in (self.current.get(audience_id), self.pending.get(audience_id)):
            if each is not None and (each.version, each.state) == (version, State.BACKFILLING):
                return each
        return None

    def activate(self, definition: Definition, at_ms: int) -> None:
        """Make a version the one that is live."""
        audience_id = definition.audience_id
        if self.pending.get(audience_id) == definition:
            del self.pending[audience_id]
            self._keep(self.current[audience_id])
        # A version that was live goes on being listed where it was: its place is its parents'.
        self.current[audience_id] = definition.activated(at_ms)

    def remove(self, audience_id: str) -> None:
        """Forget an audience; only its last number stays."""
        self.removed[audience_id] = self.newest(audience_id)
        self.current.pop(audience_id, None)
        self.pending.pop(audience_id, None)
        self.former.pop(audience_id, None)

    def users(self, audience_id: str) -> list[str]:
        """Return the names of all that refers to an audience, ordered."""
        found = {
            each.owner or f"audiences/{each.audience_id}"
            for each in [*self.in_use(), *list(self.pending.values())]
            if each.audience_id != audience_id and audience_id in references_of(each.rule_json)
        }
        found |= {
            f"journeys/{journey_id}"
            for journey_id, entered_by in list(self.journeys.items())
            if entered_by == audience_id
        }
        return sorted(found)

    def dependants(self, audience_id: str) -> list[str]:
        """Return the audiences that depend on one, parents first."""
        order: dict[str, None] = {}
        parents = {each: references_of(it.rule_json) for each, it in self.current.items()}

        def visit(parent: str) -> None:
            for each, references in parents.items():
                if parent in references and each not in order:
                    visit(each)
                    order[each] = None

        visit(audience_id)
        return list(reversed(order))

    def _references(self, audience_id: str) -> Iterator[str]:
        for each in (self.current.get(audience_id), self.pending.get(audience_id)):
            if each is not None:
                yield from references_of(each.rule_json)

    def _keep(self, definition: Definition) -> None:
        self.former.setdefault(definition.audience_id, []).append(definition.retired())


@functools.lru_cache(maxsize=4096)
def references_of(rule_json: str) -> frozenset[str]:
    """Return the audiences that a rule refers to."""
    return frozenset(_referred(from_json(rule_json)))


def references_in(rule: Expression) -> frozenset[str]:
    """Return the audiences that a rule refers to."""
    return frozenset(_referred(rule))


def _referred(node: object) -> Iterator[str]:
    if isinstance(node, InAudience):
        yield node.audience_id
    elif isinstance(node, tuple):
        for each in node:
            yield from _referred(each)
    elif dataclasses.is_dataclass(node) and not isinstance(node, type):
        for field in dataclasses.fields(node):
            yield from _referred(getattr(node, field.name))


def renamed(rule: Expression, names: Mapping[str, str]) -> Expression:
    """Return a rule that refers to the same audiences by other names."""
    return cast("Expression", _renamed(rule, names))


def _renamed(node: object, names: Mapping[str, str]) -> object:
    if isinstance(node, InAudience):
        return dataclasses.replace(node, audience_id=names.get(node.audience_id, node.audience_id))
    if isinstance(node, tuple):
        return tuple(_renamed(each, names) for each in node)
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        changed = {
            field.name: _renamed(getattr(node, field.name), names)
            for field in dataclasses.fields(node)
        }
        return dataclasses.replace(node, **changed)
    return node
