"""Profiles that come apart: each half is what it would have been, had it been alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from profile_inputs import (
    EMAIL,
    IN,
    OUT,
    SMS,
    T0,
    attributes,
    consent,
    event,
    fact,
    identity,
    record,
)
from profile_tables import ADA, BOB, CEM, Fact, Tables
from sqlalchemy import select

from services.profile import domain, tables
from services.profile.digest import state_hash
from tests.databases import SERVER, made

LEAVING = ("email:a", "ecid:d")
STAYING = ("crm:ada", "ecid:e", "")


@pytest.fixture(params=["memory", SERVER])
def known(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    memory = request.param == "memory"
    tables_ = Tables(None if memory else made(request, tmp_path).open("profile"))
    yield tables_
    tables_.database.close()


def came(who: int, came_with: str, body: Any, input_id: str = "i", at_ms: int = T0) -> Fact:
    told = fact(who, body, at_ms, input_id)
    if came_with:
        told.came_with.CopyFrom(identity(came_with))
    return told


def division(who: int, into: int, leaving: Sequence[str], at_ms: int = T0) -> list[Fact]:
    told = Fact(profile_id=who, log_time_ms=at_ms, received_ms=at_ms, input_id="u")
    told.profile_divided.new_profile_id = into
    told.profile_divided.identities.extend(map(identity, leaving))
    return [told, *(fact(into, one, at_ms) for one in leaving)]


def test_what_came_with_an_identifier_goes_with_it(known: Tables) -> None:
    known.tell(fact(ADA, "crm:ada"), fact(ADA, "email:a"))
    known.tell(
        came(ADA, "crm:ada", event("e1")),
        came(ADA, "email:a", event("e2")),
        came(ADA, "crm:ada", attributes({"city": "Malmö", "tier": "gold"}, T0 + 1)),
        came(ADA, "email:a", attributes({"city": "Lund", "name": "Bea"}, T0 + 2)),
        came(ADA, "crm:ada", consent({EMAIL: OUT, SMS: IN}, EMAIL, T0 + 1)),
        came(ADA, "email:a", consent({EMAIL: IN}, SMS, T0 + 2)),
    )
    assert known.values() == {"city": "Lund", "name": "Bea", "tier": "gold"}
    assert known.consents() == {EMAIL: IN, SMS: IN}
    known.apply([record(20, division(ADA, BOB, ["email:a"], T0 + 7))])
    assert known.values(ADA) == {"city": "Malmö", "tier": "gold"}
    assert known.values(BOB) == {"city": "Lund", "name": "Bea"}
    assert (known.consents(ADA), known.consents(BOB)) == ({EMAIL: OUT, SMS: IN}, {EMAIL: IN})
    assert (known.event_ids(ADA), known.event_ids(BOB)) == (["e1"], ["e2"])
    ada, bob = known.profile(ADA), known.profile(BOB)
    assert (ada.event_count, bob.event_count) == (1, 1)
    assert (ada.preferred_channel, bob.preferred_channel) == (EMAIL, SMS)
    assert ada.identities == (domain.Identity("crm", "ada"),)
    assert bob.identities == (domain.Identity("email", "a"),)
    assert (bob.create_ms, bob.merged_profile_ids) == (T0 + 7, ())


def test_a_division_and_then_a_merge_give_back_what_there_was(known: Tables) -> None:
    known.apply([record(1, _told(ADA, seed=3))])
    before = _seen(known, ADA)
    known.apply([record(2, [*division(ADA, BOB, LEAVING)])])
    assert _seen(known, ADA) != before
    known.apply([record(3, [fact(ADA, BOB)])])
    assert _seen(known, ADA) == before


def _told(who: int, seed: int, count: int = 80) -> list[Fact]:
    """Return what is said of one person, by any of its identifiers."""
    rng = random.Random(seed)
    facts = []
    for number in range(count):
        at, came_with = T0 + rng.randrange(6), rng.choice([*LEAVING, *STAYING])
        body = rng.choice(
            [
                event(f"e-{number}"),
                attributes({rng.choice("abc"): rng.choice([None, 1.0, "x", "y"])}, at),
                consent({rng.choice([1, 2]): rng.choice([1, 2])}, rng.choice([0, 1, 2]), at),
            ]
        )
        facts.append(came(who, came_with, body, f"i-{number}", T0 + 50))
    return facts


def _seen(known: Tables, who: int) -> tuple[object, ...]:
    found = known.profile(who)
    return (
        known.values(who),
        {one.name: (one.as_of_ms, one.change_id) for one in found.attributes},
        found.consents,
        found.preferred_channel,
        found.event_count,
        sorted(known.event_ids(who)),
    )


@pytest.mark.parametrize("seed", range(8))
def test_each_half_is_what_it_would_have_been_alone(seed: int) -> None:
    facts = _told(ADA, seed)
    together, apart = Tables(), Tables()
    together.apply([record(1, facts)])
    together.apply([record(2, division(ADA, BOB, LEAVING))])
    for one in facts:
        leaves = f"{one.came_with.namespace}:{one.came_with.value}" in LEAVING
        one.profile_id = BOB if leaves else ADA
    apart.apply([record(1, facts)])
    for who in (ADA, BOB):
        assert _seen(together, who) == _seen(apart, who)
    for each in (together, apart):
        each.database.close()


@pytest.mark.parametrize("seed", range(4))
def test_the_steps_do_not_show(seed: int) -> None:
    rng = random.Random(seed)
    facts = _told(ADA, seed)
    facts[30:30] = division(ADA, BOB, LEAVING)
    facts[50:50] = [*_told(BOB, seed + 100, 5), fact(BOB, ADA), *division(BOB, CEM, ["crm:ada"])]
    for one in facts[50:]:
        if one.profile_id == ADA:
            one.profile_id = BOB
    records = [record(1 + n, facts[5 * n : 5 * n + 5]) for n in range(-(-len(facts) // 5))]
    digests = set()
    for _ in range(4):
        known, left = Tables(), list(records)
        while left:
            count = rng.randrange(1, 9)
            known.apply(left[:count])
            del left[:count]
        digests.add(state_hash(known.database))
        known.database.close()
    assert len(digests) == 1


def test_who_leaves_is_handed_over_once_all_is_written(known: Tables) -> None:
    leaves = Fact(profile_id=ADA, log_time_ms=T0)
    leaves.departure.merge_id, leaves.departure.into_profile_id = "m1", 1 << 32 | 9
    known.apply([record(1, [came(ADA, "crm:ada", event("e1")), leaves])])
    assert [(one.merge_id, one.service) for one in known.handoffs] == [("m1", "profile")]
    known.apply([record(2, [])])
    known.projection().reset()
    assert len(known.handoffs) == 1


def test_who_was_perhaps_not_handed_over_is_so_at_the_next_start(known: Tables) -> None:
    leaves = Fact(profile_id=ADA, log_time_ms=T0)
    leaves.departure.merge_id = "m1"
    projection = known.projection()
    with known.database.write() as connection:
        projection.apply(connection, [record(1, [leaves])])
    assert known.handoffs == []
    known.projection().reset()
    assert [one.merge_id for one in known.handoffs] == ["m1"]


def test_who_leaves_by_a_record_that_is_set_aside_is_handed_over_all_the_same(
    known: Tables,
) -> None:
    leaves = Fact(profile_id=ADA, log_time_ms=T0)
    leaves.departure.merge_id = "m1"
    letter = record(1, [leaves])
    projection = known.projection()
    with known.database.write() as connection:
        projection.dead_letter(connection, letter, "ValueError")
    known.projection().committed([letter])
    assert [one.merge_id for one in known.handoffs] == ["m1"]


def _erased(who: int) -> Fact:
    made = Fact(profile_id=who, log_time_ms=T0 + 9)
    made.profile_erased.SetInParent()
    return made


def test_nothing_is_held_of_who_is_erased(known: Tables) -> None:
    known.tell(fact(ADA, "crm:ada"), fact(BOB, "crm:bob"), fact(ADA, BOB))
    known.apply([record(10, [*_told(ADA, 1), _erased(ADA), *_told(CEM, 2, 5)])])
    assert known.store.find(ADA) is None
    assert known.store.list_events(BOB, (), None, 9) is None
    assert [known.store.nameable(one) for one in (ADA, BOB, CEM, 99)] == [ADA, ADA, CEM, 0]
    known.apply([record(11, [fact(CEM, "crm:ada")])])
    assert known.profile(CEM).identities == (domain.Identity("crm", "ada"),)
    with known.database.read() as connection:
        for table in (tables.attributes, tables.consents, tables.preferences, tables.timeline):
            found = connection.execute(select(table.c.profile_id).distinct()).scalars()
            assert ADA not in set(found)
