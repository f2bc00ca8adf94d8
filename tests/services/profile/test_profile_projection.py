"""The projection: who wins, and what a merge does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
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
from profile_tables import ADA, BOB, CEM, DAN, ELA, Fact, Tables
from sqlalchemy import select

from coterie.type.v1 import change_pb2
from services.profile import domain, tables
from services.profile.schema import SchemaView
from tests.databases import SERVER, made


@pytest.fixture(params=["memory", SERVER])
def known(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tables]:
    memory = request.param == "memory"
    tables_ = Tables(None if memory else made(request, tmp_path).open("profile"))
    yield tables_
    tables_.database.close()


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
        if connection.dialect.name == "sqlite":
            search, sort = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all()
            assert "timeline_latest (profile_id=? AND occurred_ms<" in search[3]
            # Only those of one instant are put in order, one instant after the other.
            assert sort[3] != "USE TEMP B-TREE FOR ORDER BY"
            return
        # An empty table would be read whole: without that way the plan is the one for a large one.
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN (COSTS OFF) {query}").scalars())
        assert "Index Scan Backward using timeline_latest on timeline" in plan
        assert "Presorted Key: occurred_ms" in plan
        assert "Index Cond: ((profile_id = 1) AND (occurred_ms <=" in plan


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
    assert known.store.destination(ADA) == CEM


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


def test_intake_knows_an_extension_before_the_projection_does() -> None:
    view = SchemaView()
    view.accept(schema({"age": 2}), 7)
    view.project(schema({"tier": 1}), 6)
    assert set(view.declared().attributes) == {"age", "tier"}
    view.project(schema({"tier": 1}), 7)
    assert set(view.declared().attributes) == {"tier"}
    view.project(schema({"older": 1}), 5)
    assert set(view.declared().attributes) == {"tier"}
