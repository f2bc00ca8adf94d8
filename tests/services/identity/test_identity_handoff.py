"""Merges across partitions: who waits, for how long, and what the partitions are told."""

import random
from collections.abc import Iterator
from contextlib import suppress

import pytest
from google.protobuf.message import DecodeError
from identity_stages import (
    START_MS,
    Workplace,
    attributes,
    event,
    handoff,
    link,
    outcome,
    tick,
)

from coterie.log.v1.facts_pb2 import Fact
from coterie.log.v1.inbound_pb2 import Inbound, InboundPack
from services.identity import applying, stage
from services.identity.domain.graph import partition_of
from services.kit.log.port import Entry
from tests.databases import Databases

PARTITIONS = 3


def names(namespace: str, partition: int) -> Iterator[str]:
    for number in range(1_000):
        value = f"{namespace[0]}{number}"
        if partition_of((namespace, value), PARTITIONS) == partition:
            yield f"{namespace}:{value}"


EAST, EAST2 = (name for name, _ in zip(names("ecid", 0), range(2), strict=False))
WEST, WEST2 = (name for name, _ in zip(names("crm", 1), range(2), strict=False))
FAR = next(names("email", 2))
FRESH = "ecid:fresh"
EAST_ID, WEST_ID, FAR_ID = 1, 1 << 32 | 1, 2 << 32 | 1


@pytest.fixture
def world() -> Iterator[Workplace]:
    made = Workplace(partitions=PARTITIONS)
    made.take(event("e1", EAST), event("w1", WEST), event("f1", FAR))
    yield made
    made.close()


def bodies(facts: list[Fact]) -> list[str | None]:
    return [fact.WhichOneof("body") for fact in facts]


def departures(place: Workplace) -> list[Fact]:
    """Return who was told to leave, in every partition, in the order of inbound."""
    found = [
        (pack.inbound_seq, fact.index, fact)
        for partition in range(place.partitions)
        for pack in place.packs(partition)
        for fact in pack.facts
        if fact.HasField("departure")
    ]
    return [fact for _, _, fact in sorted(found, key=lambda one: one[:2])]


def crossing(place: Workplace, count: int = 1) -> str:
    """Return the id of the newest merge on its way; there have been `count`."""
    told = departures(place)
    assert len(told) == count
    return told[-1].departure.merge_id


def who(place: Workplace, name: str) -> int | None:
    namespace, _, value = name.partition(":")
    return place.derivation.state.graph.holder((namespace, value))


def test_the_partition_that_is_left_is_told_and_everything_else_waits(world: Workplace) -> None:
    east = world.take(event("e2", EAST, WEST))
    (leaves,) = east
    assert leaves.profile_id == EAST_ID
    assert leaves.departure.into_profile_id == WEST_ID
    assert leaves.input_id == "e2"
    assert world.take(event("e3", EAST), event("w2", WEST), partition=1) == []
    assert (who(world, EAST), who(world, WEST)) == (EAST_ID, WEST_ID)
    assert world.derivation.in_flight == 4


def test_once_it_is_handed_over_the_two_are_one_and_what_waited_happens(world: Workplace) -> None:
    world.take(event("e2", EAST, WEST, at_ms=START_MS + 5))
    world.take(tick(START_MS + 1_000), event("e3", EAST, at_ms=START_MS + 900))
    merge_id = crossing(world)
    west = world.take(handoff(merge_id), event("w9", WEST, at_ms=START_MS + 990), partition=1)
    assert bodies(west) == ["profiles_merged", "event", "event", "event"]
    assert [fact.index for fact in west] == [2, 3, 4, 5]
    assert {fact.profile_id for fact in west} == {WEST_ID}
    assert {fact.log_time_ms for fact in west} == {START_MS + 1_000}
    assert [fact.received_ms - START_MS for fact in west[1:]] == [5, 900, 990]
    assert [fact.input_id for fact in west] == ["e2", "e2", "e3", "w9"]
    merged = west[0].profiles_merged
    assert (merged.merge_id, merged.merged_profile_id) == (merge_id, EAST_ID)
    assert merged.arrival.handoffs[0].state == b"all"
    assert merged.arrival.guest_profile_id == 1 << 32 | 2
    graph = world.derivation.state.graph
    assert graph.live(merged.arrival.guest_profile_id) == graph.live(EAST_ID) == WEST_ID
    assert (who(world, EAST), who(world, WEST)) == (WEST_ID, WEST_ID)
    assert world.derivation.in_flight == 0
    assert bodies(world.take(event("e4", EAST), partition=1)) == ["event"]


def test_a_handoff_counts_once_and_only_where_it_is_waited_for(world: Workplace) -> None:
    assert world.take(handoff("nobody-asked"), partition=1) == []
    world.take(link("l1", EAST, WEST))
    merge_id = crossing(world)
    assert world.take(handoff(merge_id, "somebody-else"), partition=1) == []
    assert bodies(world.take(handoff(merge_id), handoff(merge_id), partition=1)) == [
        "profiles_merged"
    ]
    assert world.take(handoff(merge_id), partition=1) == []


def test_nothing_is_waited_for_where_both_live_in_one_partition(world: Workplace) -> None:
    world.take(event("e2", EAST2))
    assert bodies(world.take(link("l1", EAST, EAST2))) == ["profiles_merged"]
    assert departures(world) == []


def test_others_go_on_and_so_do_ticks_and_definitions(world: Workplace) -> None:
    world.take(link("l1", EAST, WEST))
    schema = Inbound(input_id="s1", received_ms=START_MS)
    schema.schema.SetInParent()
    assert bodies(world.take(event("f2", FAR), partition=2)) == ["event"]
    assert bodies(world.take(tick(START_MS + 1), schema, partition=0)) == ["tick", "schema"]


def test_who_is_named_by_what_waits_waits_too_also_who_is_not_known_yet(
    world: Workplace,
) -> None:
    world.take(link("l1", EAST, WEST))
    assert world.take(event("x1", EAST, FAR, FRESH), partition=2) == []
    assert world.take(event("f2", FAR), partition=2) == []
    assert world.take(event("n1", FRESH), partition=2) == []
    assert who(world, FRESH) is None
    world.take(handoff(crossing(world)))
    # Now the second input joins the third person, whose partition is left in turn.
    assert who(world, FRESH) == FAR_ID
    far = departures(world)[-1]
    assert (far.profile_id, far.departure.into_profile_id) == (FAR_ID, WEST_ID)
    west = world.take(handoff(far.departure.merge_id), partition=1)
    assert bodies(west) == ["profiles_merged", "event", "event", "event"]
    assert [fact.input_id for fact in west] == ["x1", "x1", "f2", "n1"]


def test_three_people_of_three_partitions_become_one_one_after_the_other(
    world: Workplace,
) -> None:
    world.take(event("x1", EAST, WEST, FAR))
    world.take(handoff(crossing(world)))
    world.take(handoff(crossing(world, 2)))
    assert {who(world, name) for name in (EAST, WEST, FAR)} == {WEST_ID}
    inputs = [fact.input_id for pack in world.packs(1) for fact in pack.facts]
    assert inputs.count("x1") == 3
    assert world.derivation.in_flight == 0


def test_two_merges_are_on_their_way_at_once_and_end_in_any_order(world: Workplace) -> None:
    world.take(event("w2", WEST2), event("e2", EAST2))
    world.take(link("l1", EAST, WEST), link("l2", EAST2, WEST2), event("e3", EAST))
    first, second = (fact.departure.merge_id for fact in departures(world))
    west = world.take(handoff(second), partition=1)
    assert [fact.input_id for fact in west] == ["l2"]
    west = world.take(handoff(first), partition=1)
    assert [fact.input_id for fact in west] == ["l1", "e3"]


def test_a_chain_waits_for_its_first_link(world: Workplace) -> None:
    world.take(link("l1", FAR, EAST), link("l2", EAST, WEST))
    assert [fact.profile_id for fact in departures(world)] == [EAST_ID]
    world.take(handoff(crossing(world)))
    assert [fact.profile_id for fact in departures(world)] == [EAST_ID, FAR_ID]
    world.take(handoff(crossing(world, 2)))
    assert {who(world, name) for name in (EAST, WEST, FAR)} == {WEST_ID}
    graph = world.derivation.state.graph
    assert graph.live(EAST_ID) == graph.live(FAR_ID) == WEST_ID


def test_what_became_of_a_message_waits_and_goes_where_the_person_went(
    world: Workplace,
) -> None:
    world.take(link("l1", EAST, WEST))
    world.take(outcome("m1", EAST_ID), outcome("m2", WEST_ID), outcome("m3", 9 << 32))
    west = world.take(handoff(crossing(world)), partition=1)
    assert [(fact.input_id, fact.profile_id) for fact in west[1:]] == [
        ("m1", WEST_ID),
        ("m2", WEST_ID),
    ]


def test_new_identifiers_are_given_out_before_the_wait(world: Workplace) -> None:
    world.take(attributes("a1", EAST, WEST, phone="555"))
    assert who(world, "phone:555") == WEST_ID
    west = world.take(handoff(crossing(world)), partition=1)
    assert bodies(west) == ["profiles_merged", "attributes"]


def test_who_differs_in_a_unique_value_or_breaks_a_limit_does_not_cross(
    world: Workplace,
) -> None:
    other = next(names("crm", 0))
    world.take(event("o1", other))
    world.take(link("l1", other, WEST))
    assert departures(world) == []


def test_readers_wait_for_what_waits_and_go_on_in_every_partition(world: Workplace) -> None:
    before = world.freshness.position
    world.take(link("l1", EAST, WEST))
    assert world.freshness.position == before
    world.take(event("f2", FAR), partition=2)
    assert world.packs(2)[-1].waiting_seq == before + 1
    world.take(handoff(crossing(world)))
    assert world.freshness.position == before + 3
    for partition in range(PARTITIONS):
        last = world.packs(partition)[-1]
        assert (last.inbound_seq, last.waiting_seq) == (before + 3, 0)


def test_the_journal_tells_a_merge_by_the_input_that_caused_it(world: Workplace) -> None:
    world.take(link("l1", EAST, WEST))
    world.take(handoff(crossing(world)))
    (told,) = [row for row in world.tables()["journal"] if row[5] == "merged"]
    assert (told[3], told[6], told[7]) == ("l1", WEST_ID, EAST_ID)


def test_what_one_record_releases_is_bounded_and_the_rest_keeps_its_order(
    world: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "RELEASE_INPUTS", 2)
    stirred: list[int] = []
    world.derivation.on_stirred = lambda: stirred.append(1)
    world.take(link("l1", EAST, WEST), *(event(f"x{n}", EAST) for n in range(4)))
    west = world.take(handoff(crossing(world)), event("x4", WEST), partition=1)
    assert [fact.input_id for fact in west] == ["l1", "x0"]
    assert stirred
    assert [fact.input_id for fact in world.take(event("x5", EAST), partition=1)] == ["x1", "x2"]
    assert [fact.input_id for fact in world.take(Inbound(), partition=1)] == ["x3", "x4"]
    assert [fact.input_id for fact in world.take(Inbound(), partition=1)] == ["x5"]
    assert world.derivation.in_flight == 0


def test_people_who_bring_much_arrive_one_a_record(
    world: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "RELEASE_BYTES", 100)
    world.take(event("w2", WEST2), event("e2", EAST2))
    world.take(link("l1", EAST, WEST), link("l2", EAST2, WEST2))
    first, second = (fact.departure.merge_id for fact in departures(world))
    much = b"x" * 90
    west = world.take(handoff(first, state=much), handoff(second, state=much), partition=1)
    assert bodies(west) == ["profiles_merged"]
    assert bodies(world.take(Inbound(), partition=1)) == ["profiles_merged"]


def test_a_restart_knows_who_is_on_the_way_and_what_waits(databases: Databases) -> None:
    place = Workplace(databases, partitions=PARTITIONS)
    place.take(event("e1", EAST), event("w1", WEST))
    place.take(event("x1", EAST, WEST), event("e2", EAST), event("n1", "email:new", EAST))
    place.take(outcome("m1", EAST_ID))
    before = place.derivation.state.state_hash()
    place.tables()
    place.restart()
    assert place.derivation.state.state_hash() == before
    assert place.take(event("n2", "email:new"), partition=2) == []
    west = place.take(handoff(crossing(place)), partition=1)
    assert [fact.input_id for fact in west] == ["x1", "x1", "e2", "n1", "n1", "m1", "n2"]
    place.tables()
    place.restart()
    assert place.derivation.in_flight == 0
    assert place.tables()["parked_inputs"] == place.tables()["transits"] == []
    place.close()


def crowd(seed: int, count: int) -> Workplace:
    """Live through a crowd whose people meet across partitions, and hand over now and then."""
    chance = random.Random(seed)
    place = Workplace(partitions=PARTITIONS)
    handed: set[str] = set()
    for number in range(count):
        pack = []
        for index in range(chance.randint(1, 4)):
            named = chance.sample(("email", "ecid", "phone"), chance.randint(1, 2))
            named += ["crm"] * (chance.random() < 0.2)
            ids = [f"{name}:{chance.randrange(30)}" for name in named]
            make = chance.choice((event, event, link, attributes))
            pack.append(make(f"i{number}-{index}", *ids))
        waiting = [one.departure.merge_id for one in departures(place)]
        for merge_id in waiting:
            if merge_id not in handed and chance.random() < 0.4:
                handed.add(merge_id)
                pack.insert(chance.randrange(len(pack) + 1), handoff(merge_id))
        place.feed(*pack)
        place.run()
    while waiting := {one.departure.merge_id for one in departures(place)} - handed:
        handed |= waiting
        place.feed(*(handoff(merge_id) for merge_id in sorted(waiting)))
        place.run()
    return place


@pytest.mark.parametrize("seed", range(4))
def test_everybody_arrives_each_input_counts_once_and_packs_ascend(seed: int) -> None:
    place = crowd(seed, 60)
    assert len(departures(place)) > 3
    assert place.derivation.in_flight == 0
    told: list[str] = []
    for partition in range(PARTITIONS):
        for pack in place.packs(partition):
            indexes = [fact.index for fact in pack.facts]
            assert indexes == sorted(indexes)
            told += [f.input_id for f in pack.facts if f.HasField("event")]
            for fact in pack.facts:
                if fact.profile_id:
                    assert fact.profile_id >> 32 == partition
    assert len(told) == len(set(told))
    place.close()


@pytest.mark.parametrize("seed", range(3))
def test_a_process_that_dies_on_the_way_gives_the_same_facts(
    seed: int, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    lived = crowd(seed, 50)
    records = [record.payload for record in lived.inbound.read(0, 10_000)]
    expected = lived.payloads(), lived.tables(), lived.derivation.state.state_hash()
    lived.close()
    monkeypatch.setattr(stage, "SAVE_RECORDS", 5)
    chance = random.Random(seed)
    place = Workplace(databases, partitions=PARTITIONS)
    for payload in records:
        place.feed(*InboundPack.FromString(payload).inputs)
        place.run(chance.randint(1, 5))
        if chance.random() < 0.3:
            place.restart()
    assert (place.payloads(), place.tables(), place.derivation.state.state_hash()) == expected
    place.close()


def test_a_record_that_was_set_aside_leaves_what_waits_as_it_is(world: Workplace) -> None:
    world.take(link("l1", EAST, WEST))
    world.inbound.append([Entry(b"\xff")])
    for _ in range(4):
        with suppress(DecodeError):
            world.run()
    assert world.stage.dead_letters == 1
    assert bodies(world.take(handoff(crossing(world)), partition=1)) == ["profiles_merged"]
