"""The graph: which profile holds which identifier, and where merged profiles went.

A plain store of what holds now, with the few moves that keep it whole: an identifier has one
holder, and every redirect ends at a live profile. Whether a move is right is decided in `linking`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

from services.identity.domain.changes import Assigned, Divided, Erased, Merged, Refused
from services.identity.domain.namespaces import Identifier
from services.identity.domain.separations import Separations

ERASED = -1
"""Where the table of profiles says that an erased profile went."""

ORDINAL_BITS = 32
"""A profile id is the partition above this many bits of ordinal."""


class Graph:
    """Identifiers, profiles and redirects, and which of them changed since `clear_touched`."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._holders: dict[Identifier, int] = {}
        self._identifiers: dict[int, tuple[Identifier, ...]] = {}
        self._redirects: dict[int, int] = {}
        self._absorbed: dict[int, tuple[int, ...]] = {}
        self._last_ordinals = [0] * partitions
        self._refusals: set[Refused] = set()
        self._erased: set[int] = set()
        self.separations = Separations()
        self.touched_identifiers: dict[Identifier, None] = {}
        self.touched_profiles: dict[int, None] = {}

    @property
    def partitions(self) -> int:
        """How many partitions there are."""
        return self._partitions

    @property
    def holders(self) -> dict[Identifier, int]:
        """Who holds each identifier: to be read alone."""
        return self._holders

    def holder(self, identifier: Identifier) -> int | None:
        """Return the live profile that holds the identifier, None where nobody does."""
        return self._holders.get(identifier)

    def common_holder(self, identifiers: Sequence[Identifier]) -> int | None:
        """Return the profile that holds all of them, None where there is no such one."""
        if len(identifiers) == 1:
            return self._holders.get(identifiers[0])
        holders = {self._holders.get(identifier) for identifier in identifiers}
        return holders.pop() if len(holders) == 1 else None

    def identifiers_of(self, profile_id: int) -> tuple[Identifier, ...]:
        """Return the identifiers of a live profile."""
        return self._identifiers.get(profile_id, ())

    def live(self, profile_id: int) -> int | None:
        """Return the profile that this id finds now, None for one never given out, or erased."""
        partition, ordinal = profile_id >> ORDINAL_BITS, profile_id & (1 << ORDINAL_BITS) - 1
        if partition >= self._partitions or not 0 < ordinal <= self._last_ordinals[partition]:
            return None
        found = self._redirects.get(profile_id, profile_id)
        return None if found in self._erased else found

    def absorbed(self, profile_id: int) -> tuple[int, ...]:
        """Return the profiles that were merged into this live one, directly or not, by id."""
        return tuple(sorted(self._absorbed.get(profile_id, ())))

    def profile_count(self) -> int:
        """Return how many live profiles there are."""
        return sum(self._last_ordinals) - len(self._redirects) - len(self._erased)

    def create(self, first: Identifier) -> Assigned:
        """Make a profile for an identifier that nobody holds, in the partition of its hash."""
        return self.assign(first, self._found(partition_of(first, self._partitions)))

    def _found(self, partition: int) -> int:
        """Return the id of a new profile, which holds nothing yet."""
        self._last_ordinals[partition] += 1
        profile_id = partition << ORDINAL_BITS | self._last_ordinals[partition]
        self._identifiers[profile_id] = ()
        self.touched_profiles[profile_id] = None
        return profile_id

    def assign(self, identifier: Identifier, profile_id: int) -> Assigned:
        """Give the identifier to a live profile, whoever held it before."""
        former = self._holders.get(identifier, 0)
        if former:
            kept = tuple(one for one in self._identifiers[former] if one != identifier)
            self._identifiers[former] = kept
        self._holders[identifier] = profile_id
        self._identifiers[profile_id] = (*self._identifiers[profile_id], identifier)
        self.touched_identifiers[identifier] = None
        return Assigned(profile_id, identifier, former)

    def merge(self, winner: int, loser: int) -> Merged:
        """Make one live profile part of another; all ids that found the loser find the winner."""
        moved = self._identifiers.pop(loser)
        for identifier in moved:
            self._holders[identifier] = winner
            self.touched_identifiers[identifier] = None
        self._identifiers[winner] = (*self._identifiers[winner], *moved)
        gone = (loser, *self._absorbed.pop(loser, ()))
        for profile_id in gone:
            self._redirects[profile_id] = winner
            self.touched_profiles[profile_id] = None
        self._absorbed[winner] = (*self._absorbed.get(winner, ()), *gone)
        return Merged(winner, loser)

    def divide(self, profile_id: int, leaving: Sequence[Identifier]) -> Divided:
        """Give identifiers of a live profile a profile of their own, in the same partition.

        Whatever ids found the former profile still find it. The two are held apart from now on.
        """
        created = self._found(profile_id >> ORDINAL_BITS)
        for identifier in leaving:
            self.assign(identifier, created)
        self.separations.separate(leaving, self._identifiers[profile_id])
        return Divided(profile_id, created, tuple(leaving))

    def erase(self, profile_id: int) -> Erased:
        """Let a live profile be nobody: what it held is as if it had never been seen."""
        gone = self._identifiers.pop(profile_id)
        for identifier in gone:
            del self._holders[identifier]
            self.touched_identifiers[identifier] = None
        self.separations.forget(gone)
        self._erased.add(profile_id)
        self.touched_profiles[profile_id] = None
        numbers = frozenset((profile_id, *self._absorbed.pop(profile_id, ())))
        self._refusals = {one for one in self._refusals if one.profile_id not in numbers}
        return Erased(numbers, frozenset(gone))

    def add_guest(self, host: int) -> int:
        """Return a new id in the partition of a live profile, which belongs to nobody and finds it.

        Under it that partition takes in who comes from another one.
        """
        partition = host >> ORDINAL_BITS
        self._last_ordinals[partition] += 1
        guest = partition << ORDINAL_BITS | self._last_ordinals[partition]
        self._redirects[guest] = host
        self._absorbed[host] = (*self._absorbed.get(host, ()), guest)
        self.touched_profiles[guest] = None
        return guest

    def refuse(self, refused: Refused) -> bool:
        """Note a refusal; return whether it is news."""
        if refused in self._refusals:
            return False
        self._refusals.add(refused)
        return True

    def clear_touched(self) -> None:
        """Say that all changes so far are stored."""
        self.touched_identifiers.clear()
        self.touched_profiles.clear()
        self.separations.touched.clear()

    def redirect_of(self, profile_id: int) -> int:
        """Return where a merged profile went, 0 for a live one, ERASED for one that is no more."""
        return ERASED if profile_id in self._erased else self._redirects.get(profile_id, 0)

    def load_profiles(self, rows: Iterable[tuple[int, int]]) -> None:
        """Take in all profiles of a store as (profile id, merged into or 0)."""
        absorbed: dict[int, list[int]] = {}
        for profile_id, merged_into in rows:
            partition = profile_id >> ORDINAL_BITS
            ordinal = profile_id & (1 << ORDINAL_BITS) - 1
            self._last_ordinals[partition] = max(self._last_ordinals[partition], ordinal)
            if merged_into == ERASED:
                self._erased.add(profile_id)
            elif merged_into:
                self._redirects[profile_id] = merged_into
                absorbed.setdefault(merged_into, []).append(profile_id)
            else:
                self._identifiers[profile_id] = ()
        self._absorbed.update(
            (winner, tuple(gone)) for winner, gone in absorbed.items() if winner not in self._erased
        )

    def load_identifiers(self, rows: Iterable[tuple[str, str, int]]) -> None:
        """Take in all identifiers of a store as (namespace, value, holder), after the profiles."""
        grouped: dict[int, list[Identifier]] = {}
        names: dict[str, str] = {}
        for namespace, value, profile_id in rows:
            identifier = (names.setdefault(namespace, namespace), value)
            self._holders[identifier] = profile_id
            grouped.setdefault(profile_id, []).append(identifier)
        self._identifiers.update((key, tuple(group)) for key, group in grouped.items())

    def load_refusals(self, refusals: Iterable[Refused]) -> None:
        """Take in the refusals that the journal of a store tells."""
        self._refusals.update(refusals)

    def state_hash(self) -> str:
        """Return a digest of what holds now, independent of how it came about. O(n log n)."""
        digest = hashlib.blake2b(digest_size=16)
        for line in self._lines():
            digest.update(line.encode() + b"\n")
        return digest.hexdigest()

    def _lines(self) -> Iterator[str]:
        yield f"ordinals {self._last_ordinals}"
        yield from (f"{key!r} {self._holders[key]}" for key in sorted(self._holders))
        yield from (f"{key} > {self._redirects[key]}" for key in sorted(self._redirects))
        yield f"erased {sorted(self._erased)}"
        yield from (f"{one!r} | {other!r}" for one, other in self.separations.pairs())
        refusals = sorted((one.profile_id, one.other, one.reason) for one in self._refusals)
        yield from map(repr, refusals)


def partition_of(identifier: Identifier, partitions: int) -> int:
    """Return the partition in which a person first known by this identifier lives for ever."""
    if partitions == 1:
        return 0
    text = "\0".join(identifier).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") % partitions
