"""The simulation's own hops, small and deterministic, with the state and traps of the real ones.

identity: drops repeated event ids, resolves identifiers, counts visits; tables written by delta.
segmentation: a profile enters at 3 events and leaves at 5; snapshots now and then.
profile: a timeline and a count by profile, with a memory of the counts in front of the rows.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from sqlalchemy import Connection

from services.kit.log.port import Entry, Fenced, LogError, Record
from services.kit.sql import Database
from tests.sim.faults import Faults

FLAKY_ATTEMPTS = 40
"""After so many attempts nothing is flaky any more, so that a world comes to rest."""


class Poison(ValueError):
    """A record that cannot be applied."""


class Trouble:
    """Identifiers that make a hop fail: `!hop` always, `?hop` now and then, in the end no more."""

    def __init__(self, flaky_failures: int) -> None:
        self._attempts: Counter[str] = Counter()
        self._flaky_failures = flaky_failures

    def check(self, hop: str, identifier: str) -> None:
        if identifier.startswith(f"!{hop}"):
            raise Poison(identifier)
        if identifier.startswith(f"?{hop}") and self._attempts[hop] < FLAKY_ATTEMPTS:
            self._attempts[hop] += 1
            if self._attempts[hop] % (self._flaky_failures + 1):
                raise Poison(identifier)


def encode(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def partition_of(identifier: str, partitions: int) -> int:
    return zlib.crc32(identifier.encode()) % partitions


@dataclass
class Tables:
    """Identity's tables: written by delta, with the position, by one owner at a time."""

    rows: dict[str, dict[str, int]] = field(
        default_factory=lambda: {"seen": {}, "profiles": {}, "visits": {}}
    )
    position: int = 0
    epoch: int = 0
    check_position: bool = True

    def take(self) -> tuple[dict[str, dict[str, int]], int, int]:
        self.epoch += 1
        rows = {table: dict(rows) for table, rows in self.rows.items()}
        return rows, self.position, self.epoch

    def write(self, delta: dict[str, dict[str, int]], old: int, new: int, epoch: int) -> None:
        if self.check_position and (old, epoch) != (self.position, self.epoch):
            raise Fenced(f"tables: {(old, epoch)} is not {(self.position, self.epoch)}")
        for table, rows in delta.items():
            self.rows[table].update(rows)
        self.position = new


class Identity:
    """From packs of [event id, identifier] to packs of [event id, identifier, profile, visit]."""

    def __init__(
        self, partitions: int, tables: Tables, faults: Faults, trouble: Trouble, rng: Random
    ) -> None:
        self._partitions = partitions
        self._tables = tables
        self._faults = faults
        self._trouble = trouble
        self._rng = rng
        self._position = self._epoch = 0
        self._rows: dict[str, dict[str, int]] = {}
        self._delta: dict[str, dict[str, int]] = defaultdict(dict)

    def restore(self) -> int:
        self._rows, self._position, self._epoch = self._faults.call(self._tables.take, _lost)
        self._delta.clear()
        return self._position

    def apply(self, records: Sequence[Record]) -> Mapping[int, Sequence[Entry]]:
        outputs: dict[int, list[Entry]] = defaultdict(list)
        for record in records:
            packs: dict[int, list[Any]] = defaultdict(list)
            for event_id, identifier in json.loads(record.payload):
                self._trouble.check("identity", identifier)
                if self.is_new(event_id):
                    fact = self._fact(event_id, identifier)
                    packs[partition_of(identifier, self._partitions)].append(fact)
            for partition in {0, *packs} if packs else range(self._partitions):
                pack = {"at": record.seq, "facts": packs.get(partition, [])}
                outputs[partition].append(Entry(encode(pack), record.seq))
        return outputs

    def save(self, position: int) -> None:
        if self._rng.random() < 0.3:
            return
        old, delta = self._position, dict(self._delta)
        self._faults.call(lambda: self._tables.write(delta, old, position, self._epoch), _lost)
        self._position = position
        self._delta.clear()

    def dead_letter(self, record: Record, _error: str) -> Mapping[int, Sequence[Entry]]:
        dead = [Entry(encode({"at": record.seq, "facts": []}), record.seq)]
        return dict.fromkeys(range(self._partitions), dead)

    def is_new(self, event_id: str) -> bool:
        if event_id in self._rows["seen"]:
            return False
        self._set("seen", event_id, 1)
        return True

    def _fact(self, event_id: str, identifier: str) -> list[Any]:
        profiles = self._rows["profiles"]
        if identifier not in profiles:
            self._set("profiles", identifier, len(profiles) + 1)
        visit = self._rows["visits"].get(identifier, 0) + 1
        self._set("visits", identifier, visit)
        return [event_id, identifier, profiles[identifier], visit]

    def _set(self, table: str, key: str, value: int) -> None:
        self._rows[table][key] = self._delta[table][key] = value


@dataclass
class Snapshots:
    """The two newest snapshots of one partition; the newest may turn out to be damaged."""

    kept: list[tuple[int, dict[int, int]]] = field(default_factory=list)

    def write(self, position: int, counts: dict[int, int]) -> None:
        self.kept = sorted([*self.kept, (position, dict(counts))], key=lambda kept: kept[0])[-2:]

    def newest(self, rng: Random) -> tuple[int, dict[int, int]]:
        if len(self.kept) > 1 and rng.random() < 0.2:
            self.kept.pop()
        position, counts = self.kept[-1] if self.kept else (0, {})
        return position, dict(counts)


class Segmentation:
    """Fact packs to transitions."""

    def __init__(self, snapshots: Snapshots, faults: Faults, trouble: Trouble, rng: Random) -> None:
        self._snapshots = snapshots
        self._faults = faults
        self._trouble = trouble
        self._rng = rng
        self._counts: dict[int, int] = {}

    def restore(self) -> int:
        position, self._counts = self._faults.call(lambda: self._snapshots.newest(self._rng), _lost)
        return position

    def apply(self, records: Sequence[Record]) -> Mapping[int, Sequence[Entry]]:
        entries = []
        for record in records:
            changes = []
            for event_id, identifier, profile, _ in json.loads(record.payload)["facts"]:
                self._trouble.check("segmentation", identifier)
                count = self._counts[profile] = self._counts.get(profile, 0) + 1
                if count in {3, 5}:
                    changes.append([profile, count == 3, event_id])
            pack = {"at": record.seq, "changes": changes}
            entries.append(Entry(encode(pack), record.seq))
        return {0: entries}

    def save(self, position: int) -> None:
        if self._rng.random() < 0.4:
            counts = dict(self._counts)
            self._faults.call(lambda: self._snapshots.write(position, counts), _lost)

    def dead_letter(self, record: Record, _error: str) -> Mapping[int, Sequence[Entry]]:
        return {0: [Entry(encode({"at": record.seq, "changes": []}), record.seq)]}


TABLES = (
    "CREATE TABLE timeline (partition, seq, event_id, profile, visit, version)",
    "CREATE TABLE visits (partition, profile, count, version, PRIMARY KEY (partition, profile))",
    "CREATE TABLE dead (partition, seq)",
)


class Timeline:
    """Facts to rows. `version` stands for its code: after a rebuild every row is of the new one."""

    def __init__(self, partition: int, version: int, database: Database, trouble: Trouble) -> None:
        self._partition = partition
        self._version = version
        self._database = database
        self._trouble = trouble
        self._counts: dict[int, int] = {}

    def reset(self) -> None:
        query = "SELECT profile, count FROM visits WHERE partition = ?"
        with self._database.read() as connection:
            rows = connection.exec_driver_sql(query, (self._partition,)).all()
        self._counts = dict(map(tuple, rows))

    def apply(self, connection: Connection, records: Sequence[Record]) -> None:
        timeline = []
        touched = {}
        for record in records:
            for event_id, identifier, profile, visit in json.loads(record.payload)["facts"]:
                self._trouble.check("profile", identifier)
                self._counts[profile] = self._counts.get(profile, 0) + 1
                touched[profile] = self._counts[profile]
                row = (self._partition, record.seq, event_id, profile, visit, self._version)
                timeline.append(row)
        if timeline:
            connection.exec_driver_sql("INSERT INTO timeline VALUES (?, ?, ?, ?, ?, ?)", timeline)
            connection.exec_driver_sql(
                "INSERT INTO visits VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET count = excluded.count, version = excluded.version",
                [(self._partition, *pair, self._version) for pair in touched.items()],
            )

    def committed(self, records: Sequence[Record]) -> None:
        pass

    def dead_letter(self, connection: Connection, record: Record, _error: str) -> None:
        row = (self._partition, record.seq)
        connection.exec_driver_sql("INSERT INTO dead VALUES (?, ?)", row)


def _lost() -> LogError:
    return LogError("the store: no answer")
