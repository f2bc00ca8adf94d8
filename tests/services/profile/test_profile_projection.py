"""The projection: who wins, what a merge does, and that neither packs nor restarts show."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from profile_inputs import (
    EMAIL,
    IN,
    OUT,
    PUSH,
    SMS,
    T0,
    attributes,
    consent,
    event,
    fact,
    record,
    schema,
    stamp,
)
from sqlalchemy import select

from coterie.log.v1 import facts_pb2
from coterie.type.v1 import change_pb2, value_pb2
from services.kit.ids import profile_id
from services.kit.log.port import Entry, Log, Record
from services.kit.log.sql import SqlLog, create_logs
from services.kit.sql import Database
from services.kit.sql_stage import SqlStage
from services.kit.telemetry import Tracing
from services.profile import domain, tables
from services.profile.digest import state_hash
from services.profile.schema import SchemaView
from services.profile.stage import STAGE, FactsProjection
from services.profile.store import ProfileStore

ADA, BOB, CEM, DAN = (profile_id(0, n) for n in (1, 2, 3, 4))
ELA = profile_id(1, 1)
Fact = facts_pb2.Fact


class Tables:
    """The tables of one database in memory, written by projections without a log."""

    def __init__(self) -> None:
        self.database = Database("sqlite://")
        self.database.create(tables.metadata)
        self.store = ProfileStore(self.database)
        self.schema = SchemaView()
        self._projections: dict[int, FactsProjection] = {}
        self.reached: dict[int, int] = {}

    def projection(self, partition: int = 0) -> FactsProjection:
        if partition not in self._projections:

            def reached(seq: int) -> None:
                self.reached[partition] = seq

            made = FactsProjection(
                partition, self.database, Tracing(), reached, self.schema.project
            )
            made.reset()
            self._projections[partition] = made
        return self._projections[partition]

    def apply(self, records: Sequence[Record], partition: int = 0) -> None:
        projection = self.projection(partition)
        with self.database.write() as connection:
            projection.apply(connection, records)
        projection.committed(records)

    def tell(self, *facts: Fact) -> Tables:
        """Apply each fact as a pack and a step of its own."""
        for one in facts:
            self.apply([record(self.reached.get(0, 0) + 1, [one])])
        return self

    def profile(self, who: int = ADA) -> domain.Profile:
        found = self.store.find(who)
        assert found is not None
        return found

    def values(self, who: int = ADA) -> dict[str, Any]:
        parsed = {
            one.name: value_pb2.Value.FromString(one.value) for one in self.profile(who).attributes
        }
        return {
            name: getattr(value, value.WhichOneof("kind") or "") for name, value in parsed.items()
        }

    def consents(self, who: int = ADA) -> dict[int, int]:
        return {one.channel: one.status for one in self.profile(who).consents}

    def event_ids(self, who: int = ADA, types: Sequence[str] = ()) -> list[str]:
        found = self.store.list_events(who, types, None, 1000)
        assert found is not None
        return [one.moment.event_id for one in found]


@pytest.fixture
def known() -> Iterator[Tables]:
    made = Tables()
    yield made
    made.database.close()


def _set(value: object, as_of: int | None = None, who: int = ADA, name: str = "tier") -> Fact:
    moment = None if as_of is None else T0 + as_of
    return fact(who, attributes({name: value}, moment), input_id=f"{value}@{as_of}")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([("silver", 1), ("gold", 2)], "gold"),
        ([("gold", 2), ("silver", 1)], "gold"),
        ([("silver", 1), ("gold", 1)], "gold"),
        ([("silver", 1), ("gold", 1), ("bronze", 0)], "gold"),
        ([("gold", 1), (None, 2)], None),
        ([(None, 2), ("gold", 1)], None),
        ([(None, 1), ("gold", 1)], "gold"),
        ([(None, 2), ("gold", 1), ("silver", 3)], "silver"),
        ([("gold", -5), ("silver", None)], "silver"),
        ([("gold", 5), ("silver", None)], "gold"),
    ],
)
def test_of_an_attribute_the_latest_stands_and_of_equal_ones_the_later_arrival(
    known: Tables, told: list[tuple[str | None, int | None]], expected: str | None
) -> None:
    known.tell(*(_set(value, as_of) for value, as_of in told))
    assert known.values().get("tier") == expected


def test_an_attribute_names_its_source(known: Tables) -> None:
    known.tell(_set("gold", 1), _set("old", 0))
    (found,) = known.profile().attributes
    assert (found.name, found.as_of_ms, found.change_id) == ("tier", T0 + 1, "gold@1")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([(IN, 1), (OUT, 2)], OUT),
        ([(OUT, 1), (IN, 2)], IN),
        ([(OUT, 2), (IN, 1)], OUT),
        ([(IN, 2), (OUT, 1)], IN),
        ([(IN, 1), (OUT, 1)], OUT),
        ([(OUT, 1), (IN, 1)], OUT),
        ([(OUT, 1), (IN, 1), (IN, 2)], IN),
    ],
)
def test_of_consent_the_latest_stands_and_of_equal_ones_out(
    known: Tables, told: list[tuple[int, int]], expected: int
) -> None:
    known.tell(*(fact(ADA, consent({EMAIL: said}, as_of=T0 + at)) for said, at in told))
    assert known.consents() == {EMAIL: expected}


def test_channels_and_the_preference_are_apart(known: Tables) -> None:
    known.tell(
        fact(ADA, consent({EMAIL: IN, SMS: OUT}, preferred=PUSH, as_of=T0 + 5)),
        fact(ADA, consent({SMS: IN}, preferred=SMS, as_of=T0 + 3)),
        fact(ADA, consent({PUSH: OUT}, as_of=T0 + 9)),
    )
    assert known.consents() == {EMAIL: IN, SMS: OUT, PUSH: OUT}
    assert known.profile().preferred_channel == PUSH


def test_out_stands_where_one_change_says_both(known: Tables) -> None:
    known.tell(fact(ADA, consent([(EMAIL, OUT), (EMAIL, IN)])))
    assert known.consents() == {EMAIL: OUT}


def test_a_timeline_has_the_latest_first_and_no_time_after_receipt(known: Tables) -> None:
    known.tell(
        fact(ADA, event("b", occurred_time=stamp(T0 - 10)), T0),
        fact(ADA, event("a", occurred_time=stamp(T0 - 10)), T0),
        fact(ADA, event("ahead", occurred_time=stamp(T0 + 5000)), T0 + 1),
        fact(ADA, event("early", occurred_time=stamp(T0 - 90)), T0 + 2),
        fact(ADA, event("received later", occurred_time=stamp(T0 - 10)), T0 + 3),
        fact(ADA, event("none", type="view"), T0 + 4),
    )
    assert known.event_ids() == ["none", "ahead", "received later", "b", "a", "early"]
    assert known.event_ids(types=["view"]) == ["none"]
    assert known.profile().event_count == 6
    found = known.store.list_events(ADA, ["purchase"], None, 1)
    assert found is not None
    assert found[0].moment == domain.Moment(T0 + 1, T0 + 1, "ahead")


def test_a_page_of_a_timeline_reads_no_more_than_the_page(known: Tables) -> None:
    query = (
        "SELECT event FROM timeline WHERE profile_id = 1"
        " AND (occurred_ms, received_ms, event_id) < (5, 5, 'e')"
        " ORDER BY occurred_ms DESC, received_ms DESC, event_id DESC LIMIT 50"
    )
    with known.database.read() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all()
    assert len(plan) == 1
    assert "timeline_latest (profile_id=? AND (occurred_ms,received_ms,event_id)<" in plan[0][3]


def test_a_profile_has_its_identifiers_and_the_time_of_its_first_fact(known: Tables) -> None:
    known.tell(fact(ADA, "email:a@x", T0), fact(ADA, "crm:1", T0 + 5), fact(BOB, "ecid:9"))
    known.tell(fact(BOB, "email:a@x"))
    assert known.profile().identities == (domain.Identity("crm", "1"),)
    assert known.profile().create_ms == T0
    assert [one.namespace for one in known.profile(BOB).identities] == ["ecid", "email"]


def test_a_merge_unites_all_that_is_known(known: Tables) -> None:
    known.tell(
        fact(BOB, "ecid:9", T0 - 7),
        fact(BOB, event("b-1", occurred_time=stamp(T0 - 5))),
        _set("gold", 5, BOB),
        _set(31.0, 1, BOB, "age"),
        fact(BOB, consent({EMAIL: OUT, SMS: IN}, preferred=SMS, as_of=T0 + 3)),
        fact(ADA, "crm:1"),
        fact(ADA, event("a-1", occurred_time=stamp(T0 - 6))),
        _set("silver", 4, ADA),
        _set(None, 2, ADA, "age"),
        fact(ADA, consent({EMAIL: IN, PUSH: IN}, preferred=PUSH, as_of=T0 + 3)),
        fact(ADA, BOB),
    )
    assert known.values() == {"tier": "gold"}
    assert known.consents() == {EMAIL: OUT, SMS: IN, PUSH: IN}
    assert known.event_ids() == ["b-1", "a-1"]
    ada = known.profile()
    assert [one.namespace for one in ada.identities] == ["crm", "ecid"]
    assert (ada.event_count, ada.create_ms, ada.preferred_channel) == (2, T0 - 7, PUSH)
    assert ada.merged_profile_ids == (BOB,)
    assert known.profile(BOB) == ada


def test_chains_of_merges_lead_to_one_profile(known: Tables) -> None:
    people = (ADA, BOB, CEM, DAN)
    known.tell(*(fact(one, event(f"e-{one}")) for one in people))
    known.tell(fact(BOB, ADA), fact(CEM, BOB), fact(CEM, DAN))
    assert {known.profile(one).profile_id for one in people} == {CEM}
    assert known.profile().merged_profile_ids == (ADA, BOB, DAN)
    assert known.profile().event_count == 4
    assert known.store.current_id(ADA) == CEM


def test_what_a_slower_partition_says_of_a_merged_profile_goes_where_it_went(
    known: Tables,
) -> None:
    known.tell(fact(ADA, event("a")), fact(ADA, ELA))
    known.apply([record(1, [fact(ELA, "ecid:9"), fact(ELA, event("e"))])], partition=1)
    assert known.event_ids() == ["e", "a"]
    assert known.profile(ELA).profile_id == ADA
    assert known.profile().event_count == 2


def test_the_catalog_keeps_the_last_item_of_a_sku(known: Tables) -> None:
    items = [change_pb2.CatalogItem(sku="s", price=price) for price in (10, 8)]
    known.apply([record(1, [fact(0, items[0])]), record(2, [fact(0, items[1])])])
    # A slower partition tells the same again.
    known.apply([record(1, [fact(0, items[0])])], partition=1)
    with known.database.read() as connection:
        stored = connection.execute(select(tables.catalog_items.c.item)).scalar_one()
    assert change_pb2.CatalogItem.FromString(stored).price == 8


def test_of_two_extensions_that_exclude_each_other_the_first_stands(known: Tables) -> None:
    number, text = 2, 1
    first, second = schema({"age": number}), schema({"age": text, "tier": text})
    known.tell(fact(0, first), fact(0, second), fact(0, schema({}, {"purchase": {"n": text}})))
    expected = schema({"age": number}, {"purchase": {"n": text}})
    assert known.store.schema() == expected == known.schema.current
    known.apply([record(1, [fact(0, first)]), record(2, [fact(0, second)])], partition=1)
    assert known.store.schema() == expected
    assert str(known.schema.declared().attributes["age"]) == "number"


def test_a_slower_partition_does_not_bring_an_older_description_back(known: Tables) -> None:
    extensions = [schema({"age": 2}), schema({"age": 2})]
    for extension, text in zip(extensions, ("years", "full years"), strict=True):
        extension.attributes[0].description = text
    records = [record(n, [fact(0, one)]) for n, one in enumerate(extensions, 1)]
    known.apply(records)
    known.apply(records[:1], partition=1)
    assert known.store.schema().attributes[0].description == "full years"


def test_the_digest_does_not_depend_on_how_a_sender_orders_properties() -> None:
    names = [f"property_{n}" for n in range(40)]
    digests = {
        state_hash(Tables().tell(fact(ADA, event(properties=dict.fromkeys(order, 1.0)))).database)
        for order in (names, names[::-1])
    }
    assert len(digests) == 1


def test_intake_knows_an_extension_before_the_projection_does() -> None:
    view = SchemaView()
    view.accept(schema({"age": 2}), 7)
    view.project(schema({"tier": 1}), 6)
    assert set(view.declared().attributes) == {"age", "tier"}
    view.project(schema({"tier": 1}), 7)
    assert set(view.declared().attributes) == {"tier"}
    view.project(schema({"older": 1}), 5)
    assert set(view.declared().attributes) == {"tier"}


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


def _replayed(logs: dict[int, list[Record]], steps: Iterable[tuple[int, int]]) -> str:
    """Apply (partition, how many records) until all logs are read; return the digest."""
    known = Tables()
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
def facts_log(tmp_path: Path) -> Iterator[Log]:
    database = Database(f"sqlite:///{tmp_path / 'log.db'}")
    create_logs(database)
    yield SqlLog(database, "facts-0")
    database.close()


def _run(log: Log, path: Path, limit: int, steps: int = 10**6) -> FactsProjection:
    """Run the stage on a database file, as a process would from its start, for some steps."""
    database = Database(f"sqlite:///{path}")
    database.create(tables.metadata)
    projection = FactsProjection(0, database, Tracing(), lambda _: None, lambda _, __: None)
    stage = SqlStage(STAGE, 0, log, database, projection)
    stage.recover()
    while steps and stage.step(limit):
        steps -= 1
    database.close()
    return projection


def test_restarts_and_batch_sizes_do_not_show(facts_log: Log, tmp_path: Path) -> None:
    for one in _logs(_history(1), 5)[0]:
        facts_log.append([Entry(one.payload, one.source)])
    whole, broken = tmp_path / "whole.db", tmp_path / "broken.db"
    _run(facts_log, whole, 1000)
    for limit in (1, 2, 3, 5, 8, 1000):
        projection = _run(facts_log, broken, limit, steps=3)
    assert state_hash(Database(f"sqlite:///{whole}")) == state_hash(Database(f"sqlite:///{broken}"))
    assert projection.inbound_seq == facts_log.last_seq()


def test_a_restart_knows_how_far_the_tables_had_come(facts_log: Log, tmp_path: Path) -> None:
    facts = [fact(ADA, event("e"), T0 + 9)]
    facts_log.append([Entry(record(1, facts, 12).payload, 12)])
    _run(facts_log, tmp_path / "p.db", 10)
    projection = _run(facts_log, tmp_path / "p.db", 10)
    assert (projection.inbound_seq, projection.log_time_ms) == (12, T0 + 9)


def test_a_record_that_cannot_be_read_is_set_aside_and_the_rest_goes_on(
    facts_log: Log, tmp_path: Path
) -> None:
    good = [record(n, [fact(ADA, event(f"e-{n}"))]) for n in (1, 2)]
    payloads = [good[0].payload, b"\xff\xff", good[1].payload]
    facts_log.append([Entry(payload, n) for n, payload in enumerate(payloads, 1)])
    database = Database(f"sqlite:///{tmp_path / 'p.db'}")
    database.create(tables.metadata)
    projection = FactsProjection(0, database, Tracing(), lambda _: None, lambda _, __: None)
    stage = SqlStage(STAGE, 0, facts_log, database, projection)
    while stage.position < 3:
        with suppress(DecodeError):
            stage.step(10)
    assert stage.dead_letters == 1
    with database.read() as connection:
        letter = connection.execute(select(tables.dead_letters)).one()
        count = connection.execute(select(tables.profiles.c.event_count)).scalar_one()
    assert (letter.facts_seq, count, projection.inbound_seq) == (2, 2, 3)
    database.close()
