"""What the two kinds of stage promise, scene by scene; `tests/sim` has the rest by the thousand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, insert, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from services.kit.log.port import APPEND_LIMIT_BYTES, Corrupt, Entry, Fenced, LogError, Record
from services.kit.log_stage import LogStage
from services.kit.sql import Database
from services.kit.sql_stage import SqlStage, create_positions, move_position, take_epoch
from services.kit.stage import ContractBroken, Failures, describe
from tests.databases import SERVER, made
from tests.sim.memory_log import MemoryLog, Stored

metadata = MetaData()
rows = Table("seen", metadata, Column("seq", Integer), Column("text", String(20)))


def log(name: str, count: int = 0) -> MemoryLog:
    made = MemoryLog(name, Stored())
    for number in range(1, count + 1):
        made.append([Entry(f"{number}".encode())])
    return made


class Copier:
    """Copies records; fails at the ones that it is told to."""

    def __init__(self, poisoned: Sequence[int] = ()) -> None:
        self.poisoned = set(poisoned)
        self.snapshot = 0
        self.outputs: Callable[[Record], Mapping[int, Sequence[Entry]]] = lambda record: {
            0: [Entry(record.payload, record.seq)]
        }
        self.batches: list[list[int]] = []

    def restore(self) -> int:
        return self.snapshot

    def apply(self, records: Sequence[Record]) -> Mapping[int, Sequence[Entry]]:
        self.batches.append([record.seq for record in records])
        for record in records:
            if record.seq in self.poisoned:
                raise ValueError(f"personal data of {record.seq}")
        outputs: dict[int, list[Entry]] = {}
        for record in records:
            for index, entries in self.outputs(record).items():
                outputs.setdefault(index, []).extend(entries)
        return outputs

    def save(self, position: int) -> None:
        self.snapshot = position

    def dead_letter(self, record: Record, error: str) -> Mapping[int, Sequence[Entry]]:
        return {0: [Entry(f"dead: {error}".encode(), record.seq)]}


class Rows:
    """Keeps a row of each record; fails at the ones that it is told to."""

    def __init__(self, poisoned: Sequence[int] = ()) -> None:
        self.poisoned = set(poisoned)
        self.told: list[int] = []
        self.resets = 0

    def apply(self, connection: Connection, records: Sequence[Record]) -> None:
        for record in records:
            connection.execute(insert(rows).values(seq=record.seq, text=record.payload.decode()))
            if record.seq in self.poisoned:
                raise ValueError(record.seq)

    def committed(self, records: Sequence[Record]) -> None:
        self.told += [record.seq for record in records]

    def reset(self) -> None:
        self.resets += 1

    def dead_letter(self, connection: Connection, record: Record, error: str) -> None:
        connection.execute(insert(rows).values(seq=record.seq, text=error.split(maxsplit=1)[0]))


class Failing(Rows):
    """Keeps rows once the database works."""

    def __init__(self, failure: Exception | None) -> None:
        super().__init__()
        self.failure = failure

    def apply(self, connection: Connection, records: Sequence[Record]) -> None:
        if self.failure is not None:
            raise self.failure
        super().apply(connection, records)


@pytest.fixture(params=["memory", SERVER])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    memory = request.param == "memory"
    opened = Database("sqlite://") if memory else made(request, tmp_path).open()
    opened.create(metadata)
    create_positions(opened)
    yield opened
    opened.close()


def run(stage: LogStage | SqlStage, limit: int = 10, tries: int = 20) -> int:
    """Step until there is nothing left; return how many steps failed."""
    failed = 0
    for _ in range(tries):
        try:
            if stage.step(limit) == 0:
                return failed
        except ValueError:
            failed += 1
    raise AssertionError("it does not come to an end")


def stored(database: Database) -> list[tuple[int, str]]:
    with database.read() as connection:
        return [(row.seq, row.text) for row in connection.execute(select(rows))]


def test_a_log_stage_copies_and_says_how_far_it_is() -> None:
    source, sink = log("inbound", 5), log("facts-0")
    stage = LogStage("identity", 0, source, [sink], Copier())
    assert stage.step(3) == 3
    assert (stage.position, stage.tail, stage.dead_letters) == (3, 5, 0)
    assert run(stage) == 0
    assert [record.source for record in sink.read(0)] == [1, 2, 3, 4, 5]
    assert not stage.wait(0)
    source.append([Entry(b"6")])
    assert stage.wait(0)


def test_a_replay_from_an_older_snapshot_appends_nothing_again() -> None:
    source, sink, copier = log("inbound", 5), log("facts-0"), Copier()
    run(LogStage("identity", 0, source, [sink], copier))
    copier.snapshot = 2
    source.append([Entry(b"6")])
    run(LogStage("identity", 0, source, [sink], copier))
    assert [record.source for record in sink.read(0)] == [1, 2, 3, 4, 5, 6]


def test_a_poisoned_record_costs_itself_only() -> None:
    source, sink = log("inbound", 7), log("facts-0")
    stage = LogStage("identity", 0, source, [sink], Copier(poisoned=[3, 6]))
    failed = run(stage)
    assert [record.seq for record in sink.read(0) if record.dead_letter] == [3, 6]
    assert [record.source for record in sink.read(0)] == [1, 2, 3, 4, 5, 6, 7]
    assert stage.dead_letters == 2
    # Once with the others, and three times alone; record 6 was among the suspects already.
    assert failed == 1 + 3 + 3


def test_a_dead_letter_names_the_error_and_no_personal_data() -> None:
    sink = log("facts-0")
    run(LogStage("identity", 0, log("inbound", 1), [sink], Copier(poisoned=[1])))
    (record,) = sink.read(0)
    assert record.payload.startswith(b"dead: ValueError in test_stages, line ")


def test_a_replay_sets_aside_what_was_set_aside_though_it_would_succeed_now() -> None:
    source, sink, copier = log("inbound", 4), log("facts-0"), Copier(poisoned=[2])
    run(LogStage("identity", 0, source, [sink], copier))
    healed = Copier()
    stage = LogStage("identity", 0, source, [sink], healed)
    run(stage)
    assert [seq for batch in healed.batches for seq in batch] == [1, 3, 4]
    assert len(sink.read(0)) == 4


def test_what_was_applied_before_is_never_set_aside() -> None:
    source, sink = log("inbound", 3), log("facts-0")
    run(LogStage("identity", 0, source, [sink], Copier()))
    broken = LogStage("identity", 0, source, [sink], Copier(poisoned=[2]))
    with pytest.raises(AssertionError, match="come to an end"):
        run(broken)
    assert broken.dead_letters == 0
    assert broken.position < 2


def test_errors_of_the_surroundings_set_nothing_aside() -> None:
    class Unplugged(Copier):
        def apply(self, _records: Sequence[Record]) -> Mapping[int, Sequence[Entry]]:
            raise OSError("no disk")

    sink = log("facts-0")
    stage = LogStage("identity", 0, log("inbound", 1), [sink], Unplugged())
    for _ in range(10):
        with pytest.raises(OSError, match="no disk"):
            stage.step(1)
    assert sink.last_seq() == 0


def test_outputs_are_cut_between_input_records_at_the_limit_of_an_append() -> None:
    third = b"x" * (APPEND_LIMIT_BYTES // 3)
    copier, sink = Copier(), log("facts-0")
    copier.outputs = lambda record: {0: [Entry(third, record.seq)] * 2}
    assert run(LogStage("identity", 0, log("inbound", 3), [sink], copier)) == 0
    assert [record.source for record in sink.read(0)] == [1, 1, 2, 2, 3, 3]


def test_outputs_of_one_record_beyond_the_limit_set_it_aside() -> None:
    copier, sink = Copier(), log("facts-0")
    large = Entry(b"x" * (APPEND_LIMIT_BYTES + 1), 2)
    copier.outputs = lambda record: {0: [large if record.seq == 2 else Entry(b"", record.seq)]}
    run(LogStage("identity", 0, log("inbound", 3), [sink], copier))
    assert [record.dead_letter for record in sink.read(0)] == [False, True, False]


def test_a_record_that_gives_the_first_sink_nothing_is_a_mistake_of_the_derivation() -> None:
    copier = Copier()
    copier.outputs = lambda record: {1: [Entry(b"", record.seq)]}
    sinks = [log("facts-0"), log("facts-1")]
    stage = LogStage("identity", 0, log("inbound", 1), sinks, copier)
    for _ in range(5):
        with pytest.raises(ContractBroken, match="facts-0"):
            stage.step(1)
    assert [sink.last_seq() for sink in sinks] == [0, 0]


def test_an_owner_whose_place_is_taken_writes_nothing() -> None:
    source, sink = log("inbound", 1), log("facts-0")
    old, new = (LogStage("identity", 0, source, [sink], Copier()) for _ in range(2))
    old.recover()
    assert new.step(1) == 1
    with pytest.raises(Fenced):
        old.step(1)
    assert run(old) == 0
    assert sink.last_seq() == 1


@pytest.mark.parametrize("lost", ["inbound", "facts-0"])
def test_a_log_that_lost_its_end_stops_the_stage(lost: str) -> None:
    source, sink, copier = log("inbound", 3), log("facts-0"), Copier()
    run(LogStage("identity", 0, source, [sink], copier))
    logs = {"inbound": source, "facts-0": sink}
    logs[lost] = log(lost, 2)
    if lost == "facts-0":
        logs[lost] = log(lost)
        logs[lost].append([Entry(b"1", 1), Entry(b"2", 2)])
    stage = LogStage("identity", 0, logs["inbound"], [logs["facts-0"]], copier)
    for _ in range(3):
        with pytest.raises(Corrupt, match=f"log {lost}: it ends"):
            stage.step(10)


def test_trim_keeps_what_a_stage_would_replay() -> None:
    source, sink, copier = log("inbound", 5), log("facts-0"), Copier()
    run(LogStage("identity", 0, source, [sink], copier))
    copier.snapshot = 3
    LogStage("identity", 0, source, [sink], copier).recover()
    assert source.trim(4) == sink.trim(4) == 3
    for each in (source, sink):
        with pytest.raises(LogError):
            each.trim(5)


def test_a_sql_stage_moves_effect_and_position_together(database: Database) -> None:
    projection = Rows()
    stage = SqlStage("profile", 0, log("facts-0", 5), database, projection)
    assert stage.step(3) == 3
    assert (stage.position, stage.tail, projection.told) == (3, 5, [1, 2, 3])
    run(stage)
    again = SqlStage("profile", 0, log("facts-0", 5), database, Rows())
    assert again.step(10) == 0
    assert again.position == 5
    assert [seq for seq, _ in stored(database)] == [1, 2, 3, 4, 5]


def test_a_failed_transaction_leaves_nothing_and_costs_the_poisoned_record_only(
    database: Database,
) -> None:
    projection = Rows(poisoned=[2])
    stage = SqlStage("profile", 0, log("facts-0", 3), database, projection)
    assert run(stage) == 4
    assert stored(database) == [(1, "1"), (2, "ValueError"), (3, "3")]
    assert stage.dead_letters == 1
    assert projection.resets == 5


@pytest.mark.parametrize(
    "failure",
    [DatabaseError("", {}, Exception("malformed")), PoolTimeout("no connection in 30 s")],
    ids=["damaged", "no connection"],
)
def test_a_database_that_fails_sets_nothing_aside(database: Database, failure: Exception) -> None:
    projection = Failing(failure)
    stage = SqlStage("profile", 0, log("facts-0", 2), database, projection)
    for _ in range(10):
        with pytest.raises(type(failure)):
            stage.step(1)
    projection.failure = None
    run(stage)
    assert stored(database) == [(1, "1"), (2, "2")]


def test_a_former_owner_of_a_sql_stage_is_fenced(database: Database) -> None:
    source = log("facts-0", 2)
    old, new = (SqlStage("profile", 0, source, database, Rows()) for _ in range(2))
    old.recover()
    new.recover()
    with pytest.raises(Fenced, match="epoch"):
        old.step(1)
    assert stored(database) == []
    run(new)
    assert [seq for seq, _ in stored(database)] == [1, 2]


def test_a_facts_log_that_lost_its_end_stops_the_projection(database: Database) -> None:
    run(SqlStage("profile", 0, log("facts-0", 3), database, Rows()))
    stage = SqlStage("profile", 0, log("facts-0", 2), database, Rows())
    with pytest.raises(Corrupt, match="it ends at 2"):
        stage.step(1)


def test_partitions_and_stages_have_positions_of_their_own(database: Database) -> None:
    with database.write() as connection:
        assert take_epoch(connection, "profile", 0) == (0, 1)
        assert take_epoch(connection, "profile", 1) == (0, 1)
        move_position(connection, "profile", 0, old=0, new=7, epoch=1)
        assert take_epoch(connection, "profile", 0) == (7, 2)
        for old, epoch in ((7, 1), (6, 2)):
            with pytest.raises(Fenced):
                move_position(connection, "profile", 0, old=old, new=8, epoch=epoch)
        assert take_epoch(connection, "profile", 1) == (0, 2)


def test_suspects_go_one_at_a_time_and_others_stop_before_them() -> None:
    failures = Failures()
    failures.note([Record(seq, b"") for seq in (4, 5, 6)], ValueError())
    limits = [failures.limit(position, 10) for position in range(8)]
    assert limits == [3, 2, 1, 1, 1, 1, 10, 10]


def test_an_error_is_described_by_its_type_and_place() -> None:
    with pytest.raises(ValueError, match=r"anna@example\.org") as caught:
        int("anna@example.org")
    assert describe(caught.value).startswith("ValueError in test_stages, line ")
    assert describe(ValueError("x")) == "ValueError"
