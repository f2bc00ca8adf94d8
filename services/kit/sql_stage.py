"""A stage whose effect is rows: profile, messaging, journey.

The effect and the position are one transaction. The statement that moves the position is fence,
order and protection from repetition at once: it finds no row where another owner has been there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    insert,
    select,
    update,
)

from services.kit.failpoints import failpoint
from services.kit.log.port import Fenced, Record, Source
from services.kit.sql import Database
from services.kit.stage import Failures, check_not_regressed

HOLD_EVERY = 1000
"""How many records a stage applies before it lets trim have them: each time costs a write."""

_metadata = MetaData()

positions = Table(
    "stage_positions",
    _metadata,
    Column("stage", String(100), primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
)


_mine = (positions.c.stage == bindparam("of_stage")) & (
    positions.c.partition == bindparam("of_partition")
)
_held = _mine & (positions.c.seq == bindparam("old")) & (positions.c.epoch == bindparam("of_epoch"))

# Built once: building a statement costs more than running it.
_TAKE = (
    update(positions)
    .where(_mine)
    .values(epoch=positions.c.epoch + 1)
    .returning(positions.c.seq, positions.c.epoch)
)
_MOVE = update(positions).where(_held).values(seq=bindparam("new"))
_LOOK = select(positions.c.seq, positions.c.epoch).where(_mine)


def create_positions(database: Database) -> None:
    """Create the table of positions where it is missing."""
    database.create(_metadata)


def take_epoch(connection: Connection, stage: str, partition: int) -> tuple[int, int]:
    """Become the owner: return the position and the new epoch, under which alone it now moves."""
    mine = {"of_stage": stage, "of_partition": partition}
    taken = connection.execute(_TAKE, mine).one_or_none()
    if taken is not None:
        return taken.seq, taken.epoch
    row = {"stage": stage, "partition": partition, "seq": 0, "epoch": 1}
    connection.execute(insert(positions).values(row))
    return 0, 1


def move_position(  # noqa: PLR0913, PLR0917  # one row, column by column
    connection: Connection, stage: str, partition: int, old: int, new: int, epoch: int
) -> None:
    """Move the position, in the caller's transaction.

    Raises Fenced where it is not `old` under `epoch`.
    """
    mine = {"of_stage": stage, "of_partition": partition}
    move = {**mine, "old": old, "new": new, "of_epoch": epoch}
    if connection.execute(_MOVE, move).rowcount != 1:
        found = connection.execute(_LOOK, mine).one_or_none()
        raise Fenced(
            f"stage {stage}, partition {partition}: expected position {old} in epoch {epoch}, "
            f"found {tuple(found) if found else 'none'}"
        )


class Projection(Protocol):
    """Rows as a function of a log."""

    def apply(self, connection: Connection, records: Sequence[Record]) -> None:
        """Write the effect of whole records, in order, in the stage's transaction."""

    def committed(self, records: Sequence[Record]) -> None:
        """The transaction of these records is on disk: refresh caches, wake who waits."""

    def reset(self) -> None:
        """Drop memory; what is in the database is so, and nobody else changes it from here on."""

    def dead_letter(self, connection: Connection, record: Record, error: str) -> None:
        """Keep a row for a record that cannot be applied."""


class SqlStage:
    """Runs a projection of one log into a database. One thread at a time may call it."""

    def __init__(
        self, name: str, partition: int, source: Source, database: Database, projection: Projection
    ) -> None:
        self.name = name
        self.partition = partition
        self._source = source
        self._database = database
        self._projection = projection
        self._failures = Failures()
        self._ready = False
        self._position = 0
        self._epoch = 0
        self._held = 0
        self._dead_letters = 0
        create_positions(database)

    @property
    def position(self) -> int:
        """The last input record whose effect is on disk."""
        return self._position

    @property
    def tail(self) -> int:
        """The last input record that exists; asks the log."""
        return self._source.last_seq()

    @property
    def dead_letters(self) -> int:
        """How many records were set aside since the process began."""
        return self._dead_letters

    def recover(self) -> None:
        """Drop memory, become the owner and read the position back.

        Raises Corrupt where the input ends before what this stage has already read from it.
        """
        self._ready = False
        with self._database.write() as connection:
            position, self._epoch = take_epoch(connection, self.name, self.partition)
        # Only now: what the projection reads here no former owner can change any more.
        self._projection.reset()
        reader = f"{self.name}-{self.partition}"
        check_not_regressed(self._source, position, reader)
        self._position = position
        self._hold()
        self._ready = True

    def step(self, limit: int) -> int:
        """Apply up to `limit` records in one transaction; return how many, 0 where there are none.

        After any error the next call recovers first.
        """
        if not self._ready:
            self.recover()
        self._ready = False
        applied = self._step(limit)
        self._ready = True
        return applied

    def wait(self, timeout_s: float) -> bool:
        """Return True once there is a record to apply, False after the timeout."""
        return not self._ready or self._source.wait(self._position, timeout_s)

    def _step(self, limit: int) -> int:
        records = self._source.read(self._position, self._failures.limit(self._position, limit))
        if not records:
            return 0
        set_aside = self._failures.verdict(records)
        new = records[-1].seq
        try:
            with self._database.write() as connection:
                self._move(connection, new)
                if set_aside is None:
                    self._projection.apply(connection, records)
                else:
                    self._projection.dead_letter(connection, records[0], set_aside)
        except Exception as error:
            self._failures.note(records, error)
            raise
        failpoint(f"{self.name}.committed")
        self._position = new
        self._dead_letters += set_aside is not None
        self._projection.committed(records)
        if new - self._held >= HOLD_EVERY:
            self._hold()
        return len(records)

    def _move(self, connection: Connection, new: int) -> None:
        move_position(
            connection, self.name, self.partition, old=self._position, new=new, epoch=self._epoch
        )

    def _hold(self) -> None:
        self._source.hold(f"{self.name}-{self.partition}", self._position)
        self._held = self._position
