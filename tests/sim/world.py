"""The simulation: clients, three hops and their owners, on one thread, in an order from a seed.

The stages are the shipped ones; the logs are in memory, the projection's database is real SQLite.
A pause at a call of a port lets the others go on in the middle of a step: whoever wakes up after
that may be a zombie with a memory of former times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from sqlalchemy.exc import OperationalError

from services.kit.log.port import Corrupt, Entry, LogError
from services.kit.log_stage import LogStage
from services.kit.sql import Database
from services.kit.sql_stage import SqlStage, create_positions, take_epoch
from tests.sim.faults import Crash, Fate, Faults, FaultyDatabase, FaultyLog
from tests.sim.hops import (
    TABLES,
    Identity,
    Poison,
    Segmentation,
    Snapshots,
    Tables,
    Timeline,
    Trouble,
    encode,
)
from tests.sim.memory_log import MemoryLog, Stored
from tests.sim.oracle import Disk, judge

TURNS = 35
ROUNDS_TO_REST = 150
PAUSES_DEEP = 2
OWNERS_OF_A_ROLE = 3

PEOPLE = ("anna", "ben", "cleo", "dora")
TROUBLE = tuple(
    f"{kind}{hop} {number}"
    for hop in ("identity", "segmentation", "profile")
    for kind, number in (("!", 1), ("?", 1), ("?", 5))
)
TROUBLED_WORLDS = 0.3
"""In these every fourth event makes one and the same hop fail."""

WIPE = (
    "DELETE FROM timeline",
    "DELETE FROM visits",
    "DELETE FROM dead",
    "DELETE FROM stage_positions",
)
REBUILD = (
    *(f"{statement} WHERE partition = ?" for statement in WIPE[:3]),
    "UPDATE stage_positions SET seq = 0 WHERE partition = ?",
)
ROWS = {
    "timeline": "SELECT * FROM timeline ORDER BY rowid",
    "visits": "SELECT * FROM visits",
    "dead": "SELECT * FROM dead",
}


@dataclass(frozen=True)
class Parts:
    """What the world is built of; a mutant replaces some of it."""

    log_stage: type[LogStage] = LogStage
    sql_stage: type[SqlStage] = SqlStage
    identity: type[Identity] = Identity
    projection: type[Timeline] = Timeline
    facts: type[FaultyLog] = FaultyLog
    transitions: type[FaultyLog] = FaultyLog
    tables_check_position: bool = True


@dataclass
class Owner:
    """One process that takes itself for the owner of a role."""

    role: str
    stage: LogStage | SqlStage
    running: bool = False
    # Of a former version: it may act on what it remembers, but is never started again.
    retired: bool = False


def prepared() -> Database:
    """Return a database for any number of worlds, one after another."""
    database = Database("sqlite://")
    create_positions(database)
    with database.write() as connection:
        for statement in TABLES:
            connection.exec_driver_sql(statement)
    return database


class World:
    """One run. `plan` replaces the faults that the seed would draw."""

    def __init__(
        self,
        seed: int,
        database: Database,
        parts: Parts | None = None,
        plan: Mapping[int, Fate] | None = None,
    ) -> None:
        self._rng = Random(seed)
        self._parts = parts or Parts()
        self._calm = plan is not None
        self.faults = Faults(None if plan is not None else Random(~seed), plan)
        self.faults.pause = self._pause
        self._depth = 0
        self._partitions = self._rng.choice((1, 2))
        self._trouble = Trouble(self._rng.randint(2, 6))
        troubled = self._rng.random() < TROUBLED_WORLDS
        trouble = (self._rng.choice(TROUBLE),) * 8 if troubled else TROUBLE
        self._identifiers = PEOPLE * (6 if troubled else 8) + trouble
        self._database = database
        self._wipe()
        self._stored: dict[str, Stored] = {}
        self._tables = Tables(check_position=self._parts.tables_check_position)
        self._snapshots = [Snapshots() for _ in range(self._partitions)]
        self._versions = [1] * self._partitions
        self._sent: list[list[list[str]]] = []
        self._unanswered: list[list[list[str]]] = []
        self._accepted: dict[int, list[list[str]]] = {}
        self.wrong: list[str] = []
        each = range(self._partitions)
        hops = [f"{hop}-{partition}" for hop in ("segmentation", "profile") for partition in each]
        self._roles = ["identity-0", *hops]
        self._owners = [self._owner(role) for role in self._roles]

    def run(self) -> list[str]:
        """Live through the turns, come to rest, and return what is wrong on disk."""
        for _ in range(TURNS):
            self._turn()
        self.faults.stop()
        while self._unanswered:
            self._send(self._unanswered.pop())
        self._rest()
        return self.wrong + judge(self._disk(), self._accepted)

    def _turn(self) -> None:
        draw = self._rng.random()
        if draw < 0.3:
            self._send(self._pack())
        elif draw < 0.95 or self._calm:
            idle = [owner for owner in self._owners if not owner.running]
            if idle:
                self._step(self._rng.choice(idle))
        elif draw < 0.985:
            self._take_over(self._rng.choice(self._roles))
        else:
            self._rebuild(self._rng.randrange(self._partitions))

    def _pause(self) -> None:
        if self._depth == PAUSES_DEEP:
            return
        self._depth += 1
        for _ in range(self._rng.randint(1, 6)):
            self._turn()
        self._depth -= 1

    def _pack(self) -> list[list[str]]:
        """Return a retry, a repetition, or something new, perhaps with something old in it."""
        draw = self._rng.random()
        if self._unanswered and draw < 0.5:
            return self._unanswered.pop(self._rng.randrange(len(self._unanswered)))
        if self._sent and draw > 0.9:
            return self._rng.choice(self._sent)
        pack = [
            [f"e{len(self._sent)}.{index}", self._rng.choice(self._identifiers)]
            for index in range(self._rng.randint(1, 3))
        ]
        if self._sent and draw > 0.75:
            pack.append(self._rng.choice(self._rng.choice(self._sent)))
        self._sent.append(pack)
        return pack

    def _send(self, pack: list[list[str]]) -> None:
        try:
            seq = self._log("inbound").append([Entry(encode(pack))])
        except (LogError, Crash):
            self._unanswered.append(pack)
        else:
            self._accepted[seq] = pack

    def _step(self, owner: Owner) -> bool:
        """Let an owner do one step; return whether it found nothing to do."""
        if owner.retired and not owner.stage._ready:
            self._owners.remove(owner)
            return False
        owner.running = True
        try:
            return owner.stage.step(self._rng.randint(1, 4)) == 0
        except Crash:
            self._owners.remove(owner)
            if not any(other.role == owner.role and not other.retired for other in self._owners):
                self._owners.append(self._owner(owner.role))
        except Corrupt as error:
            self.wrong.append(f"{owner.role}: {error}")
        except (LogError, Poison, OperationalError):
            pass
        finally:
            owner.running = False
        return False

    def _take_over(self, role: str) -> None:
        owners = [owner for owner in self._owners if owner.role == role]
        if len(owners) < OWNERS_OF_A_ROLE:
            self._owners.append(self._owner(role))

    def _rebuild(self, partition: int) -> None:
        """Begin the projection anew with other code, as a release that changes its tables does."""
        role = f"profile-{partition}"
        former = [owner for owner in self._owners if owner.role == role]
        if any(owner.running for owner in former):
            return
        with self._database.write() as connection:
            take_epoch(connection, "profile", partition)
            for statement in REBUILD:
                connection.exec_driver_sql(statement, (partition,))
        self._versions[partition] += 1
        for owner in former:
            owner.retired = True
        self._owners.append(self._owner(role))

    def _rest(self) -> None:
        """Let one owner of each role, whichever it is, finish the work with what it remembers."""
        self._rng.shuffle(self._owners)
        self._owners.sort(key=lambda owner: owner.retired)
        self._owners = list({owner.role: owner for owner in reversed(self._owners)}.values())
        for _ in range(ROUNDS_TO_REST):
            steps = [self._step(owner) for owner in list(self._owners)]
            if all(steps):
                return
        self.wrong.append("it does not come to rest")

    def _owner(self, role: str) -> Owner:
        hop, number = role.split("-")
        partition = int(number)
        source = self._log(f"facts-{partition}")
        match hop:
            case "identity":
                sinks = [self._log(f"facts-{sink}") for sink in range(self._partitions)]
                identity = self._parts.identity(
                    self._partitions, self._tables, self.faults, self._trouble, self._rng
                )
                stage = self._parts.log_stage(hop, 0, self._log("inbound"), sinks, identity)
                return Owner(role, stage)
            case "segmentation":
                segmentation = Segmentation(
                    self._snapshots[partition], self.faults, self._trouble, self._rng
                )
                sinks = [self._log(f"transitions-{partition}")]
                return Owner(
                    role, self._parts.log_stage(hop, partition, source, sinks, segmentation)
                )
            case _:
                database = FaultyDatabase(self._database, self.faults)
                version = self._versions[partition]
                timeline = self._parts.projection(partition, version, database, self._trouble)
                return Owner(
                    role, self._parts.sql_stage(hop, partition, source, database, timeline)
                )

    def _log(self, name: str) -> FaultyLog:
        log = MemoryLog(name, self._stored.setdefault(name, Stored()))
        kinds: dict[str, Callable[[MemoryLog, Faults], FaultyLog]] = {
            "facts": self._parts.facts,
            "transitions": self._parts.transitions,
        }
        return kinds.get(name.split("-", maxsplit=1)[0], FaultyLog)(log, self.faults)

    def _wipe(self) -> None:
        with self._database.write() as connection:
            for statement in WIPE:
                connection.exec_driver_sql(statement)

    def _disk(self) -> Disk:
        each = range(self._partitions)
        with self._database.read() as connection:
            rows = {
                table: [tuple(row) for row in connection.exec_driver_sql(query)]
                for table, query in ROWS.items()
            }
        return Disk(
            inbound=self._log("inbound").read(0, 10_000),
            facts=[self._log(f"facts-{partition}").read(0, 10_000) for partition in each],
            transitions=[self._log(f"transitions-{p}").read(0, 10_000) for p in each],
            versions=self._versions,
            **rows,
        )


def live(
    seeds: Sequence[int], database: Database, parts: Parts | None = None
) -> tuple[int, str] | None:
    """Run world after world; return the first seed that went wrong and how, None for none."""
    for seed in seeds:
        wrong = World(seed, database, parts).run()
        if wrong:
            return seed, wrong[0]
    return None
