"""Who is in which audience, as far as journey has read: bitmaps of 65,536 people each.

What a step reads or changes stays here until the step writes it.
"""

from __future__ import annotations

from collections.abc import Iterable

from pyroaring import BitMap
from sqlalchemy import Connection, select

from services.journey import tables
from services.kit.ids import ordinal_of, partition_of
from services.kit.upserts import keep_last

CHUNK_BITS = 16
_LOW = (1 << CHUNK_BITS) - 1

Place = tuple[int, str]
"""A chunk and an audience."""


class Memberships:
    """The memberships of one partition, for one step."""

    def __init__(self, connection: Connection, partition: int) -> None:
        self._connection = connection
        self._partition = partition
        self._chunks: dict[Place, BitMap] = {}
        self._whole: set[int] = set()
        self._changed: dict[Place, None] = {}

    def contains(self, audience_id: str, profile_id: int) -> bool:
        """Return whether a person is in an audience."""
        ordinal = ordinal_of(profile_id)
        return ordinal & _LOW in self._chunk(ordinal >> CHUNK_BITS, audience_id)

    def put(self, audience_id: str, profile_id: int, *, member: bool) -> None:
        """Take a person into an audience, or out of it."""
        ordinal = ordinal_of(profile_id)
        place = (ordinal >> CHUNK_BITS, audience_id)
        chunk = self._chunk(*place)
        if member:
            chunk.add(ordinal & _LOW)
        else:
            chunk.discard(ordinal & _LOW)
        self._changed[place] = None

    def add_all(self, audience_id: str, ordinals: Iterable[int]) -> None:
        """Take many people in at once; the ordinals ascend."""
        for number, lows in _by_chunk(ordinals).items():
            self._chunk(number, audience_id).update(lows)
            self._changed[number, audience_id] = None

    def remove_all(self, audience_id: str, ordinals: Iterable[int]) -> None:
        """Take many people out at once; the ordinals ascend."""
        for number, lows in _by_chunk(ordinals).items():
            self._chunk(number, audience_id).difference_update(lows)
            self._changed[number, audience_id] = None

    def unite(self, winner: int, loser: int) -> None:
        """Let the winner be in whatever the loser was in; the loser is in nothing any more.

        A loser of another partition stays as that partition left it.
        """
        for audience_id in self._audiences_of(loser):
            self.put(audience_id, winner, member=True)
            if partition_of(loser) == self._partition:
                self.put(audience_id, loser, member=False)

    def write(self) -> None:
        """Write what has changed; the step goes on with what it has."""
        rows = [
            {
                "partition": self._partition,
                "chunk": number,
                "audience_id": audience_id,
                "members": self._chunks[number, audience_id].serialize(),
            }
            for number, audience_id in self._changed
        ]
        keep_last(self._connection, tables.memberships, rows)
        self._changed.clear()

    def _chunk(self, number: int, audience_id: str) -> BitMap:
        place = (number, audience_id)
        found = self._chunks.get(place)
        if found is None:
            stored = None if number in self._whole else self._stored(number, audience_id)
            found = BitMap() if stored is None else BitMap.deserialize(stored)
            self._chunks[place] = found
        return found

    def _stored(self, number: int, audience_id: str) -> bytes | None:
        table = tables.memberships
        found: bytes | None = self._connection.execute(
            select(table.c.members).where(
                table.c.partition == self._partition,
                table.c.chunk == number,
                table.c.audience_id == audience_id,
            )
        ).scalar_one_or_none()
        return found

    def _audiences_of(self, profile_id: int) -> list[str]:
        ordinal = ordinal_of(profile_id)
        number, low = ordinal >> CHUNK_BITS, ordinal & _LOW
        if partition_of(profile_id) == self._partition:
            self._load_whole(number)
            chunks = {a: chunk for (n, a), chunk in self._chunks.items() if n == number}
        else:
            chunks = self._all_stored(partition_of(profile_id), number)
        return sorted(audience_id for audience_id, chunk in chunks.items() if low in chunk)

    def _load_whole(self, number: int) -> None:
        if number not in self._whole:
            for audience_id, chunk in self._all_stored(self._partition, number).items():
                self._chunks.setdefault((number, audience_id), chunk)
            self._whole.add(number)

    def _all_stored(self, partition: int, number: int) -> dict[str, BitMap]:
        table = tables.memberships
        rows = self._connection.execute(
            select(table.c.audience_id, table.c.members).where(
                table.c.partition == partition, table.c.chunk == number
            )
        )
        return {row.audience_id: BitMap.deserialize(row.members) for row in rows}


def _by_chunk(ordinals: Iterable[int]) -> dict[int, BitMap]:
    """Return the low halves of ordinals by chunk."""
    by_chunk: dict[int, BitMap] = {}
    for ordinal in ordinals:
        by_chunk.setdefault(ordinal >> CHUNK_BITS, BitMap()).add(ordinal & _LOW)
    return by_chunk
