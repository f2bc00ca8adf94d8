"""The projection again: neither packs nor restarts nor a faster partition show."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import permutations
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from profile_inputs import (
    EMAIL,
    IN,
    T0,
    attributes,
    consent,
    event,
    fact,
    record,
    schema,
    stamp,
)
from profile_tables import ADA, BOB, CEM, DAN, ELA, Fact, Tables
from sqlalchemy import select

from coterie.log.v1 import facts_pb2
from coterie.type.v1 import change_pb2
from services.kit.ids import profile_id
from services.kit.log.port import Entry, Log, Record
from services.kit.log.sql import SqlLog, create_logs
from services.kit.sql import Database
from services.kit.sql_stage import SqlStage
from services.kit.telemetry import Tracing
from services.profile import tables
from services.profile.digest import state_hash
from services.profile.handing import Handing
from services.profile.stage import STAGE, FactsProjection
from tests.databases import Databases, Place


def _set(value: object, as_of: int | None = None, who: int = ADA, name: str = "tier") -> Fact:
    moment = None if as_of is None else T0 + as_of
    return fact(who, attributes({name: value}, moment), input_id=f"{value}@{as_of}")


def test_the_digest_does_not_depend_on_how_a_sender_orders_properties() -> None:
    names = [f"property_{n}" for n in range(40)]
    digests = {
        state_hash(Tables().tell(fact(ADA, event(properties=dict.fromkeys(order, 1.0)))).database)
        for order in (names, names[::-1])
    }
    assert len(digests) == 1


def _history(seed: int, people: int = 6, count: int = 300) -> list[Fact]:
    """Return facts as identity would tell them: nothing of a profile that was merged away."""
    rng = random.Random(seed)
    alive = [profile_id(n % 2, 1 + n // 2) for n in range(people)]
    facts: list[Fact] = []
    for number in range(count):
        who, at = rng.choice(alive), T0 + rng.randrange(0, 40)
        makers: list[Callable[[], Any]] = [
            lambda n=number, at=at: event(f"e-{n}", occurred_time=stamp(at)),  # type: ignore[misc]
            lambda at=at: attributes({rng.choice("ab"): rng.choice([None, 1.0, "x"])}, at),  # type: ignore[misc]
            lambda at=at: consent({rng.choice([1, 2]): rng.choice([1, 2])}, rng.choice([0, 1]), at),  # type: ignore[misc]
            lambda: f"ecid:{rng.randrange(20)}",
        ]
        facts.append(fact(who, rng.choice(makers)(), T0 + 50, f"i-{number}"))
        if len(alive) > 2 and rng.random() < 0.02:
            gone = rng.choice([one for one in alive if one != who])
            alive.remove(gone)
            facts.append(fact(who, gone, T0 + 50))
    return facts


def _logs(facts: Iterable[Fact], size: int) -> dict[int, list[Record]]:
    """Return the facts as the logs of two partitions, `size` facts to a pack of one input each."""
    logs: dict[int, list[Record]] = {0: [], 1: []}
    told = list(facts)
    for start in range(0, len(told), size):
        for partition, log in logs.items():
            pack = facts_pb2.FactPack(inbound_seq=start // size + 1)
            for index, one in enumerate(told[start : start + size]):
                if one.profile_id >> 32 == partition:
                    pack.facts.add().CopyFrom(one)
                    pack.facts[-1].index = index
            log.append(Record(len(log) + 1, pack.SerializeToString(), pack.inbound_seq))
    return logs


def _replayed(
    logs: dict[int, list[Record]],
    steps: Iterable[tuple[int, int]],
    database: Database | None = None,
) -> str:
    """Apply (partition, how many records) until all logs are read; return the digest."""
    known = Tables(database)
    done = dict.fromkeys(logs, 0)
    rest = [(partition, 10**6) for partition in logs]
    for partition, count in (*steps, *rest):
        chunk = logs[partition][done[partition] : done[partition] + count]
        done[partition] += len(chunk)
        if chunk:
            known.apply(chunk, partition)
    digest = state_hash(known.database)
    known.database.close()
    return digest


@pytest.mark.parametrize("seed", range(6))
def test_a_replay_gives_the_same_tables_whatever_the_steps_and_the_faster_partition(
    seed: int,
) -> None:
    logs = _logs(_history(seed), 7)
    rng = random.Random(seed)
    mixed = [(rng.randrange(2), rng.randrange(1, 6)) for _ in range(40)]
    in_order = [(partition, 1) for _ in logs[0] for partition in (0, 1)]
    digests = {
        _replayed(logs, in_order),
        _replayed(logs, [(1, 10**6)]),
        _replayed(logs, [(0, 10**6)]),
        _replayed(logs, mixed),
    }
    assert len(digests) == 1


def test_every_engine_comes_to_the_same_tables(databases: Databases) -> None:
    logs = _logs(_history(11), 7)
    steps = [(partition, 3) for _ in logs[0] for partition in (0, 1)]
    assert _replayed(logs, steps, databases.open("profile")) == _replayed(logs, steps)


def test_the_digest_sees_every_difference() -> None:
    base = [fact(ADA, "crm:1"), fact(ADA, event("e")), _set("gold", 1)]
    changes = [
        [],
        [fact(ADA, event("f"))],
        [_set("silver", 2)],
        [fact(ADA, consent({EMAIL: IN}))],
        [fact(0, change_pb2.CatalogItem(sku="s"))],
        [fact(0, schema({"tier": 1}))],
        [fact(BOB, "crm:2"), fact(ADA, BOB)],
    ]
    digests = [state_hash(Tables().tell(*base, *change).database) for change in changes]
    assert len(set(digests)) == len(changes)


def test_merges_in_one_step_come_out_as_in_steps_of_their_own() -> None:
    told = [fact(one, event(f"e-{one}")) for one in (ADA, BOB, CEM, DAN)]
    chain = [fact(BOB, ADA), fact(CEM, BOB), fact(DAN, CEM), fact(DAN, event("last"))]
    alone = Tables().tell(*told, *chain)
    records = [record(n, [one]) for n, one in enumerate([*told, *chain], 1)]
    for cut in range(len(records)):
        together = Tables()
        for part in (records[:cut], records[cut:]):
            if part:
                together.apply(part)
        assert state_hash(together.database) == state_hash(alone.database)


def test_the_order_of_partitions_does_not_decide_between_values() -> None:
    sources = {
        0: [record(1, [_set("gold", 1, ADA)], 3)],
        1: [record(1, [_set("silver", 1, ELA)], 2)],
        2: [record(1, [fact(profile_id(2, 1), ELA), fact(profile_id(2, 1), ADA)], 4)],
    }
    digests = set()
    for order in permutations(sources):
        known = Tables()
        for partition in order:
            known.apply(sources[partition], partition)
        assert known.values(profile_id(2, 1)) == {"tier": "gold"}
        digests.add(state_hash(known.database))
    assert len(digests) == 1


@pytest.fixture
def facts_log(databases: Databases) -> Log:
    database = databases.open("log")
    create_logs(database)
    return SqlLog(database, "facts-0")


def _projection(database: Database) -> FactsProjection:
    handing = Handing(0, database, lambda _: None, lambda now_ms: now_ms)
    return FactsProjection(0, database, Tracing(), lambda _: None, lambda _, __: None, handing)


def _run(log: Log, place: Place, limit: int, steps: int = 10**6) -> FactsProjection:
    """Run the stage on a database, as a process would from its start, for some steps."""
    database = place.open()
    database.create(tables.metadata)
    projection = _projection(database)
    stage = SqlStage(STAGE, 0, log, database, projection)
    stage.recover()
    while steps and stage.step(limit):
        steps -= 1
    database.close()
    return projection


def test_restarts_and_batch_sizes_do_not_show(facts_log: Log, databases: Databases) -> None:
    for one in _logs(_history(1), 5)[0]:
        facts_log.append([Entry(one.payload, one.source)])
    whole, broken = databases.place("whole"), databases.place("broken")
    _run(facts_log, whole, 1000)
    for limit in (1, 2, 3, 5, 8, 1000):
        projection = _run(facts_log, broken, limit, steps=3)
    assert state_hash(databases.open("whole")) == state_hash(databases.open("broken"))
    assert projection.inbound_seq == facts_log.last_seq()


def test_a_restart_knows_how_far_the_tables_had_come(facts_log: Log, databases: Databases) -> None:
    facts = [fact(ADA, event("e"), T0 + 9)]
    facts_log.append([Entry(record(1, facts, 12).payload, 12)])
    _run(facts_log, databases.place("profile"), 10)
    projection = _run(facts_log, databases.place("profile"), 10)
    assert (projection.inbound_seq, projection.log_time_ms) == (12, T0 + 9)


def test_a_record_that_cannot_be_read_is_set_aside_and_the_rest_goes_on(
    facts_log: Log, databases: Databases
) -> None:
    good = [record(n, [fact(ADA, event(f"e-{n}"))]) for n in (1, 2)]
    payloads = [good[0].payload, b"\xff\xff", good[1].payload]
    facts_log.append([Entry(payload, n) for n, payload in enumerate(payloads, 1)])
    database = databases.open("profile")
    database.create(tables.metadata)
    projection = _projection(database)
    stage = SqlStage(STAGE, 0, facts_log, database, projection)
    while stage.position < 3:
        with suppress(DecodeError):
            stage.step(10)
    assert stage.dead_letters == 1
    with database.read() as connection:
        letter = connection.execute(select(tables.dead_letters)).one()
        count = len(connection.execute(select(tables.timeline.c.number)).all())
    assert (letter.facts_seq, count, projection.inbound_seq) == (2, 2, 3)
