"""People who go from one partition to another: their rows go along, whoever is behind."""

from __future__ import annotations

import random

from profile_inputs import EMAIL, IN, T0, attributes, consent, event, fact, record
from profile_tables import ADA, BOB, Fact, Tables

from services.kit.ids import profile_id
from services.profile.digest import state_hash

WEST = profile_id(1, 9)
FAR = profile_id(2, 5)


def _history(who: int, event_id: str) -> list[Fact]:
    return [
        fact(who, event(event_id), input_id=event_id),
        fact(who, attributes({"tier": event_id}, T0 + who % 7), input_id=f"a{event_id}"),
        fact(who, consent({EMAIL: IN}, as_of=T0), input_id=f"c{event_id}"),
    ]


def _leaves(who: int, into: int) -> Fact:
    made = Fact(profile_id=who, log_time_ms=T0)
    made.departure.merge_id, made.departure.into_profile_id = "m", into
    return made


def _arrives(who: int, into: int) -> Fact:
    made = Fact(profile_id=into, log_time_ms=T0)
    made.profiles_merged.merged_profile_id = who
    made.profiles_merged.arrival.guest_profile_id = into + 1_000
    return made


def test_the_order_of_the_partitions_does_not_show_in_merges_across_them() -> None:
    """Bob becomes part of Ada, Ada of one in the west, who goes on to the far side."""
    logs = {
        0: [
            *(record(1 + n, [one]) for n, one in enumerate(_history(ADA, "e1"))),
            record(4, _history(BOB, "e2")),
            record(5, [fact(ADA, BOB)]),
            record(6, [_leaves(ADA, WEST)]),
        ],
        1: [
            record(3, _history(WEST, "e3")),
            record(9, [_arrives(ADA, WEST), *_history(WEST, "e4")]),
            record(10, [_leaves(WEST, FAR)]),
        ],
        2: [record(7, _history(FAR, "e5")), record(12, [_arrives(WEST, FAR)])],
    }
    found = set()
    for seed in range(20):
        chance = random.Random(seed)
        known = Tables()
        left = {partition: list(records) for partition, records in logs.items()}
        while any(left.values()):
            partition = chance.choice([each for each, records in left.items() if records])
            taken = [left[partition].pop(0) for _ in range(min(2, len(left[partition])))]
            known.apply(taken, partition)
        for who in (ADA, BOB, WEST, FAR):
            assert known.store.destination(who) == FAR
            assert known.profile(who).merged_profile_ids == (ADA, BOB, WEST)
        assert set(known.event_ids(BOB)) == {"e1", "e2", "e3", "e4", "e5"}
        assert known.profile(FAR).event_count == 5
        found.add(state_hash(known.database))
        known.database.close()
    assert len(found) == 1


def test_who_leaves_is_read_where_the_person_goes() -> None:
    known = Tables()
    known.apply([record(1, _history(ADA, "e1"))])
    known.apply([record(2, [_leaves(ADA, WEST)], waiting_seq=2)])
    assert known.reached[0] == 1
    assert known.store.destination(ADA) == WEST
    assert known.event_ids(ADA) == ["e1"]
    known.apply([record(3, [])])
    assert known.reached[0] == 3
