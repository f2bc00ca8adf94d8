"""Use cases of identity: who is this, how did that come about, these are one person, it is now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.identity.domain.changes import Assigned, Change, JournalEntry
from services.identity.domain.namespaces import Identifier, Namespaces
from services.identity.state import State
from services.kit.clock import Clock, ManualClock
from services.kit.errors import DomainError, FailedPrecondition, NotFound
from services.kit.ids import new_id

JOURNAL_LIMIT = 1_000
"""Entries of a journal that one answer shows, the newest: a kiosk's grows with each login."""


class Journal(Protocol):
    """What the tables remember."""

    def journal_of(self, profile_ids: Sequence[int], limit: int) -> list[JournalEntry]:
        """Return the newest `limit` entries of these profiles, oldest first."""


class Inbound(Protocol):
    """The way into the inbound log."""

    async def link(
        self, identifiers: Sequence[Identifier], input_id: str, received_ms: int, traceparent: str
    ) -> int:
        """Append a link; return its position."""

    async def unlink(
        self, identifiers: Sequence[Identifier], input_id: str, received_ms: int, traceparent: str
    ) -> int:
        """Append an un-merge; return its position."""

    async def tick(self, received_ms: int) -> int:
        """Append a tick; return its position."""


@dataclass(frozen=True, slots=True)
class GraphView:
    """One profile: its identifiers by priority, and the journal, oldest first."""

    profile_id: int
    identifiers: tuple[Identifier, ...]
    journal: tuple[JournalEntry, ...]


class People:
    """Reads the graph."""

    def __init__(
        self, state: Callable[[], State], journal: Journal, namespaces: Namespaces
    ) -> None:
        self._state = state
        self._journal = journal
        self._namespaces = namespaces

    def resolve(self, identifiers: Sequence[Identifier]) -> list[int]:
        """Return the profile of each identifier, 0 where nobody has it."""
        state = self._state()
        with state.lock:
            return [state.graph.holder(identifier) or 0 for identifier in identifiers]

    async def graph(self, who: Identifier | int) -> GraphView:
        """Return one profile with its journal; raises NotFound."""
        state = self._state()
        with state.lock:
            graph = state.graph
            found = graph.live(who) if isinstance(who, int) else graph.holder(who)
            if found is None:
                raise NotFound("PROFILE_NOT_FOUND", "no profile has this identifier or id")
            identifiers = graph.identifiers_of(found)
            profile_ids = (found, *graph.absorbed(found))
        # What is unsaved is copied before the tables are read: an entry moves from here to there,
        # and may be seen twice, but not missed.
        mine = frozenset(profile_ids)
        unsaved = [
            entry for entry in tuple(state.unsaved_journal) if entry.change.profile_id in mine
        ]
        saved = await asyncio.to_thread(self._journal.journal_of, profile_ids, JOURNAL_LIMIT)
        journal = {entry.key: entry for entry in (*saved, *unsaved)}
        newest = [journal[key] for key in sorted(journal)[-JOURNAL_LIMIT:]]
        ordered = sorted(identifiers, key=lambda one: (self._namespaces.rank(one), one))
        return GraphView(found, tuple(ordered), tuple(newest))

    def objection_to_unlink(self, identifiers: Sequence[Identifier]) -> DomainError | None:
        """Return why these identifiers cannot leave together, None where they can."""
        state = self._state()
        with state.lock:
            graph = state.graph
            holders = {graph.holder(identifier) for identifier in identifiers}
            if None in holders:
                return NotFound("PROFILE_NOT_FOUND", "no profile has one of these identifiers")
            if len(holders) > 1:
                return FailedPrecondition(
                    "IDENTIFIERS_APART",
                    f"expected identifiers of one profile, found those of {len(holders)}",
                )
            held = graph.identifiers_of(holders.pop() or 0)
        if len(held) == len(identifiers):
            return FailedPrecondition(
                "IDENTIFIERS_ALL",
                f"expected identifiers of a profile that has others besides, found all {len(held)}",
            )
        return None

    async def split_by(self, identifiers: Sequence[Identifier], request_id: str) -> int | None:
        """Return where a request has made these a profile, None where it has not."""
        holder = self.resolve(identifiers[:1])[0]
        if not request_id or not holder:
            return None
        view = await self.graph(holder)
        for entry in view.journal:
            if entry.input_id == request_id and _gives(entry.change, identifiers):
                return entry.seq
        return None


def _gives(change: Change, identifiers: Sequence[Identifier]) -> bool:
    return isinstance(change, Assigned) and bool(change.former) and change.identifier in identifiers


class Links:
    """Takes links and un-merges into the log."""

    def __init__(self, inbound: Inbound, now_ms: Callable[[], int], people: People) -> None:
        self._inbound = inbound
        self._now_ms = now_ms
        self._people = people

    async def link(
        self, identifiers: Sequence[Identifier], request_id: str, traceparent: str
    ) -> int:
        """Append a link; return its position. A request id that was used before has no effect."""
        input_id = request_id or new_id()
        return await self._inbound.link(identifiers, input_id, self._now_ms(), traceparent)

    async def unlink(
        self, identifiers: Sequence[Identifier], request_id: str, traceparent: str
    ) -> int:
        """Append an un-merge; return its position, that of the first where it is a repetition.

        Raises NotFound and FailedPrecondition for what cannot be divided as things are.
        """
        refusal = self._people.objection_to_unlink(identifiers)
        if refusal is not None:
            done = await self._people.split_by(identifiers, request_id)
            if done is None:
                raise refusal
            return done
        input_id = request_id or new_id()
        return await self._inbound.unlink(identifiers, input_id, self._now_ms(), traceparent)


class LogClock:
    """The time that this service stamps, and the ticks of a virtual clock."""

    def __init__(self, clock: Clock, state: Callable[[], State], inbound: Inbound) -> None:
        self._clock = clock
        self._virtual = clock if isinstance(clock, ManualClock) else None
        self._state = state
        self._inbound = inbound
        self._last_tick_ms = 0

    def now_ms(self) -> int:
        """Return the stamp of an input that arrives now."""
        if self._virtual is None:
            return self._clock.now_ms()
        return max(self._clock.now_ms(), self._state().time.now_ms)

    async def tick(self, time_ms: int) -> int:
        """Append a tick; return its position.

        Raises FailedPrecondition unless the clock is virtual, and for a time before the last tick.
        """
        if self._virtual is None:
            raise FailedPrecondition(
                "CLOCK_NOT_VIRTUAL",
                "only a deployment with a virtual clock is told the time, and this one has none",
            )
        last_ms = max(self._last_tick_ms, self._state().time.last_tick_ms or 0)
        if time_ms < last_ms:
            raise FailedPrecondition(
                "CLOCK_BEHIND",
                f"a virtual clock goes forward: its last tick is {last_ms} ms, asked for {time_ms}",
                {"log_time": str(last_ms)},
            )
        self._last_tick_ms = time_ms
        if self._virtual.now_ms() < time_ms:
            self._virtual.move_to(time_ms)
        return await self._inbound.tick(time_ms)
