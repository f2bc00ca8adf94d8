"""What one step has read and changed of people's instances, until it writes it.

A stage's step is one transaction: rows are read once, changed here as often as inputs ask for it,
and written at its end.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable

from sqlalchemy import ColumnElement, Connection, delete, func, select, update

from segcore.history import Event
from services.journey import codec, tables
from services.journey.domain.instance import Instance
from services.kit.sql import IN_LIMIT, chunks
from services.kit.upserts import keep_first, keep_last

KEPT = 20_000
"""Instances in memory: a jump of time may fire more than fit."""

_table = tables.instances
_events = tables.events


class Working:
    """The instances and noted events of one partition, for one step.

    `until_ms` is how far time comes in the step: what is due by then is known in its order.
    """

    def __init__(self, connection: Connection, partition: int, until_ms: int) -> None:
        self._connection = connection
        self._partition = partition
        self._until_ms = until_ms
        self._instances: dict[str, Instance] = {}
        self._of_person: dict[int, dict[str, None]] = {}
        self._complete: set[int] = set()
        self._of_message: dict[str, str] = {}
        self._entries: dict[tuple[int, str, str], int] = {}
        self._events: dict[int, tuple[Event, ...]] = {}
        self._changed: dict[str, None] = {}
        self._noted: list[codec.Row] = []
        self._due = self._load_due()

    def prefetch(self, profile_ids: Iterable[int]) -> None:
        """Read the live instances of many people at once."""
        wanted = [each for each in dict.fromkeys(profile_ids) if each not in self._complete]
        for chunk in chunks(wanted):
            self._read(_table.c.profile_id.in_(chunk) & _table.c.live)
            self._complete.update(chunk)

    def live_of(self, profile_id: int) -> list[Instance]:
        """Return a person's live instances, by id."""
        self.prefetch([profile_id])
        found = (self._instances[each] for each in sorted(self._of_person.get(profile_id, ())))
        return [each for each in found if each.live]

    def live_of_key(self, key: str) -> list[Instance]:
        """Return the live instances with this key, by id."""
        self.write()
        return self._read((_table.c.key == key) & _table.c.live)

    def live_of_journey(self, journey_id: str, after: str, limit: int) -> list[Instance]:
        """Return up to `limit` live instances of all versions of a journey, by id."""
        self.write()
        later = _table.c.instance_id > after
        return self._read((_table.c.journey_id == journey_id) & _table.c.live & later, limit)

    def awaiting(self, message: str) -> Instance | None:
        """Return the live instance that waits for this message."""
        instance_id = self._of_message.get(message)
        if instance_id is None:
            self._read((_table.c.message == message) & _table.c.live)
            instance_id = self._of_message.get(message)
        instance = self._instances.get(instance_id or "")
        return instance if instance is not None and instance.message == message else None

    def last_entry_ms(self, profile_id: int, journey_id: str, key: str) -> int | None:
        """Return when a person last entered any version of a journey with this key."""
        latest = self._connection.execute(
            select(func.max(_table.c.entry_ms)).where(
                _table.c.profile_id == profile_id,
                _table.c.journey_id == journey_id,
                _table.c.key == key,
            )
        ).scalar_one()
        here = self._entries.get((profile_id, journey_id, key))
        return max((each for each in (latest, here) if each is not None), default=None)

    def put(self, instance: Instance) -> None:
        """Take an instance as it is from now on."""
        self._keep(instance)
        self._changed[instance.instance_id] = None
        place = (instance.profile_id, instance.journey_id, instance.key)
        self._entries[place] = max(self._entries.get(place, 0), instance.entry_ms)
        if instance.next_ms is not None and instance.next_ms <= self._until_ms:
            heapq.heappush(self._due, (instance.next_ms, instance.instance_id))

    @property
    def anything_due(self) -> bool:
        """Whether anything known is due by the end of the step."""
        return bool(self._due)

    def pop_due(self, before_ms: int) -> Instance | None:
        """Return the next instance that is due before an instant, None where there is none."""
        while self._due and self._due[0][0] < before_ms:
            due_ms, instance_id = self._due[0]
            if instance_id not in self._instances:
                self._load_next()
            heapq.heappop(self._due)
            instance = self._instances.get(instance_id)
            if instance is not None and instance.next_ms == due_ms:
                return instance
        return None

    def note(self, profile_id: int, event: Event) -> None:
        """Keep an event that conditions may have to look at."""
        text = codec.event_text(event)
        self._noted.append({"profile_id": profile_id, "event_id": event.event_id, "event": text})
        if profile_id in self._events:
            self._events[profile_id] += (event,)

    def events_of(self, profile_id: int) -> tuple[Event, ...]:
        """Return the noted events of a person, in order of arrival."""
        if profile_id not in self._events:
            self._write_noted()
            rows = self._connection.execute(
                select(_events.c.event).where(_events.c.profile_id == profile_id)
            )
            found = [codec.event_of(text) for text in rows.scalars()]
            found.sort(key=lambda event: (event.received_ms, event.event_id))
            self._events[profile_id] = tuple(found)
        return self._events[profile_id]

    def depart(self, profile_id: int) -> None:
        """Let a person's rows be nobody's until another partition takes them."""
        self.write()
        self._connection.execute(
            update(_table)
            .where(_table.c.profile_id == profile_id)
            .values(partition=tables.DEPARTED, next_ms=None)
        )
        self._forget(profile_id)

    def unite(self, winner: int, loser: int) -> None:
        """Give the loser's rows to the winner, wherever the loser was."""
        self.write()
        self._connection.execute(
            update(_table)
            .where(_table.c.profile_id == loser)
            .values(profile_id=winner, partition=self._partition)
        )
        self._connection.execute(
            update(_events).where(_events.c.profile_id == loser).values(profile_id=winner)
        )
        self._forget(loser)
        self._forget(winner)
        for instance in self.live_of(winner):
            self.put(instance)  # its timer is of this partition now

    def divide(self, former: int, created: int, came_with: Collection[str]) -> None:
        """Give a new profile the instances and events that came with some identifiers."""
        self.write()
        for chunk in chunks(came_with):
            self._connection.execute(
                update(_table)
                .where(_table.c.profile_id == former, _table.c.came_with.in_(chunk))
                .values(profile_id=created)
            )
        rows = self._connection.execute(
            select(_events.c.event_id, _events.c.event).where(_events.c.profile_id == former)
        )
        moved = [row.event_id for row in rows if codec.event_of(row.event).came_with in came_with]
        for chunk in chunks(moved):
            self._connection.execute(
                update(_events)
                .where(_events.c.profile_id == former, _events.c.event_id.in_(chunk))
                .values(profile_id=created)
            )
        self._forget(former)
        for place in [place for place in self._entries if place[0] == former]:
            del self._entries[place]
        # Who waits for a message is looked for by it: they have to be known.
        self.prefetch((former, created))

    def erase(self, profile_id: int) -> None:
        """Forget what a person did; of instances, which have ended, by what they came to be."""
        self.write()
        self._connection.execute(
            update(_table)
            .where(_table.c.profile_id == profile_id)
            .values(key="", trigger_event=None, trigger_original=None, came_with="", traceparent="")
        )
        self._connection.execute(delete(_events).where(_events.c.profile_id == profile_id))
        self._forget(profile_id)

    def write(self) -> None:
        """Write what has changed; the step goes on with what it has."""
        rows = [
            codec.instance_row(self._instances[each], self._partition) for each in self._changed
        ]
        keep_last(self._connection, _table, rows)
        self._changed.clear()
        self._write_noted()

    def bound(self) -> None:
        """Write and drop what is in memory where that has become too much."""
        if len(self._instances) > KEPT:
            self.write()
            self._instances.clear()
            self._of_person.clear()
            self._complete.clear()
            self._of_message.clear()
            self._events.clear()
            self._entries.clear()

    def _read(self, wanted: ColumnElement[bool], limit: int | None = None) -> list[Instance]:
        """Return what is stored and matches, by id; where it has changed here, as it is here."""
        statement = select(_table).where(_table.c.partition == self._partition, wanted)
        rows = self._connection.execute(statement.order_by(_table.c.instance_id).limit(limit))
        found = []
        for row in rows.mappings():
            instance = self._instances.get(row["instance_id"])
            if instance is None:
                instance = codec.instance_of(row)
                self._keep(instance)
            if instance.live:
                found.append(instance)
        return found

    def _keep(self, instance: Instance) -> None:
        self._instances[instance.instance_id] = instance
        self._of_person.setdefault(instance.profile_id, {})[instance.instance_id] = None
        if instance.message:
            self._of_message[instance.message] = instance.instance_id

    def _forget(self, profile_id: int) -> None:
        for instance_id in self._of_person.pop(profile_id, ()):
            del self._instances[instance_id]
        self._complete.discard(profile_id)
        self._events.pop(profile_id, None)

    def _load_due(self) -> list[tuple[int, str]]:
        rows = self._connection.execute(
            select(_table.c.next_ms, _table.c.instance_id)
            .where(_table.c.partition == self._partition, _table.c.next_ms <= self._until_ms)
            .order_by(_table.c.next_ms, _table.c.instance_id)
        )
        return [(row.next_ms, row.instance_id) for row in rows]

    def _load_next(self) -> None:
        """Read what is due next: the front of a heap is near its order."""
        wanted = [i for _, i in self._due[:IN_LIMIT] if i not in self._instances]
        self._read(_table.c.instance_id.in_(wanted))

    def _write_noted(self) -> None:
        keep_first(self._connection, _events, self._noted)
        self._noted.clear()


def next_due_ms(connection: Connection, partition: int) -> int | None:
    """Return the least instant at which something is due, of what is written."""
    found: int | None = connection.execute(
        select(_table.c.next_ms)
        .where(_table.c.partition == partition, _table.c.next_ms.is_not(None))
        .order_by(_table.c.next_ms)
        .limit(1)
    ).scalar_one_or_none()
    return found
