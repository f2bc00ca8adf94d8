"""The protocol with one safeguard taken out at a time; `python -m tests.sim.mutants` prints.

Each has to be noticed by the oracle within a bounded number of seeds: a safeguard whose loss nobody
notices is either not needed, or not tested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click
from sqlalchemy import Connection

from services.kit.log.port import Entry, Record
from services.kit.log_stage import LogStage
from services.kit.sql_stage import SqlStage, move_position, positions
from tests.sim.disagreement import stories
from tests.sim.faults import FaultyLog
from tests.sim.hops import Identity, Timeline
from tests.sim.world import Parts, live, prepared

SEEDS = 600
"""How many worlds a mutant may live through."""

Outputs = Mapping[int, Sequence[Entry]]


class Unfenced(FaultyLog):
    def append(self, entries: Sequence[Entry], expected_last: int | None = None) -> int:
        del expected_last
        return super().append(entries)


class Repeating(LogStage):
    """Appends again what a replay gives again."""

    def recover(self) -> None:
        super().recover()
        for sink in self._sinks:
            sink.source = 0


class Stubborn(LogStage):
    """Goes on with what it has in memory after an error."""

    def step(self, limit: int) -> int:
        try:
            return super().step(limit)
        finally:
            self._ready = True


class Hasty(LogStage):
    """Stores its snapshot before its outputs are on disk."""

    def _plan(self, records: Sequence[Record]) -> list[list[list[Entry]]]:
        plan = super()._plan(records)
        self._derivation.save(records[-1].seq)
        return plan


class Anchorless(LogStage):
    """Takes what the sinks say together, and has no one log that orders what was set aside."""

    def _check_anchored(self, outputs: Outputs, records: Sequence[Record]) -> None:
        pass

    def recover(self) -> None:
        self._ready = False
        self._position = self._derivation.restore()
        self._set_aside = frozenset()
        for sink in self._sinks:
            sink.recover()
            start = sink.start_of(self._position)
            self._set_aside |= sink.dead_letters_after(start)
        self._settled = max([self._position, *(sink.source for sink in self._sinks)])
        self._ready = True


class Forgetful(LogStage):
    """Does not look for what was set aside before."""

    def recover(self) -> None:
        super().recover()
        self._set_aside = frozenset()


class Repentant(LogStage):
    """Sets aside what was applied before."""

    def recover(self) -> None:
        super().recover()
        self._settled = 0


class Unordered(SqlStage):
    """Moves the position whatever it was."""

    def _move(self, connection: Connection, new: int) -> None:
        mine = (positions.c.stage == self.name) & (positions.c.partition == self.partition)
        owned = mine & (positions.c.epoch == self._epoch)
        connection.execute(positions.update().where(owned).values(seq=new))


class Unowned(SqlStage):
    """Moves the position whoever the owner is."""

    def _move(self, connection: Connection, new: int) -> None:
        mine = (positions.c.stage == self.name) & (positions.c.partition == self.partition)
        epoch = connection.execute(positions.select().where(mine)).one().epoch
        move_position(connection, self.name, self.partition, self._position, new, epoch)


class Divided(SqlStage):
    """Moves the position in a transaction of its own, after the effect."""

    def _move(self, connection: Connection, new: int) -> None:
        pass

    def _step(self, limit: int) -> int:
        old = self._position
        applied = super()._step(limit)
        if applied:
            with self._database.write() as connection:
                new, epoch = self._position, self._epoch
                move_position(connection, self.name, self.partition, old, new, epoch)
        return applied


class Reluctant(SqlStage):
    """Goes on with what it has in memory after an error."""

    def step(self, limit: int) -> int:
        try:
            return super().step(limit)
        finally:
            self._ready = True


class Absorbed(Timeline):
    """Reads its memory from the rows once, when it is made."""

    def reset(self) -> None:
        if not self._counts:
            super().reset()


class Credulous(Identity):
    """Takes every event for a new one."""

    def is_new(self, _event_id: str) -> bool:
        return True


@dataclass(frozen=True)
class Mutant:
    """A safeguard that is missing, and the parts that miss it."""

    name: str
    parts: Parts


MUTANTS = (
    Mutant("facts are appended without a fence", Parts(facts=Unfenced)),
    Mutant("transitions are appended without a fence", Parts(transitions=Unfenced)),
    Mutant("a replay appends again", Parts(log_stage=Repeating)),
    Mutant("a log stage keeps its memory after an error", Parts(log_stage=Stubborn)),
    Mutant("a snapshot is stored before the outputs", Parts(log_stage=Hasty)),
    Mutant("a replay forgets what was set aside", Parts(log_stage=Forgetful)),
    Mutant("what was applied once is set aside later", Parts(log_stage=Repentant)),
    Mutant("an event id is not remembered", Parts(identity=Credulous)),
    Mutant("identity's tables move from any position", Parts(tables_check_position=False)),
    Mutant("a projection moves from any position", Parts(sql_stage=Unordered)),
    Mutant("a projection moves in any epoch", Parts(sql_stage=Unowned)),
    Mutant("the position moves in its own transaction", Parts(sql_stage=Divided)),
    Mutant("a SQL stage keeps its position after an error", Parts(sql_stage=Reluctant)),
    Mutant("a projection keeps its memory after an error", Parts(projection=Absorbed)),
)


@click.command(help=__doc__)
@click.option("--seeds", default=SEEDS, help="How many worlds a mutant may live through.")
def main(seeds: int) -> None:
    database = prepared()
    for mutant in MUTANTS:
        noticed = live(range(seeds), database, mutant.parts)
        seed, what = noticed or ("-", f"lived through {seeds} seeds")
        click.echo(f"{mutant.name:<48} {seed:>5}  {what}")
    told = stories(Anchorless, anchored=False)
    what = f"the logs tell {len(told)} stories of one record"
    click.echo(f"{'no sink is the anchor':<48} scene  {what}")


if __name__ == "__main__":
    main()
