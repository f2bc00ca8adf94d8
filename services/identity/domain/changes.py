"""What one input can change in the graph. The journal and the facts are made of these."""

from __future__ import annotations

from dataclasses import dataclass

from services.identity.domain.namespaces import Identifier


@dataclass(frozen=True, slots=True)
class Assigned:
    """An identifier is the profile's from now on; `former` held it before, 0 where nobody did."""

    profile_id: int
    identifier: Identifier
    former: int


@dataclass(frozen=True, slots=True)
class Merged:
    """`loser` is part of `profile_id` from now on."""

    profile_id: int
    loser: int


@dataclass(frozen=True, slots=True)
class Refused:
    """`profile_id` was not linked with `other` (0: an identifier that nobody holds).

    `reason` is the unique namespace in which they differ, or a limit (`limit:email`,
    `limit:total`). The same refusal is told once, however often it is tried.
    """

    profile_id: int
    other: int
    reason: str


@dataclass(frozen=True, slots=True)
class Divided:
    """`identifiers` of `profile_id` are those of the new profile `created` from now on."""

    profile_id: int
    created: int
    identifiers: tuple[Identifier, ...] = ()


@dataclass(frozen=True, slots=True)
class Erased:
    """A profile that is no more, by all numbers that found it, and what it held.

    It is no entry of a journal: what the journal says of these goes.
    """

    profile_ids: frozenset[int]
    identifiers: frozenset[Identifier]

    def concerns(self, entry: JournalEntry) -> bool:
        """Whether an entry is of the profile, or names an identifier that it held."""
        change = entry.change
        named = isinstance(change, Assigned) and change.identifier in self.identifiers
        return named or change.profile_id in self.profile_ids


Change = Assigned | Merged | Refused | Divided


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One change with its cause: the input `index` of inbound record `seq`, and log time.

    `number` orders the changes of one input.
    """

    seq: int
    index: int
    number: int
    input_id: str
    log_time_ms: int
    change: Change

    @property
    def key(self) -> tuple[int, int, int]:
        """Order of the journal, and identity of an entry."""
        return self.seq, self.index, self.number
