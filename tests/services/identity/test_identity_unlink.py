"""Un-merges: who leaves whom, what the partition is told, and what joins them again."""

from __future__ import annotations

import random

import pytest
from identity_stages import (
    START_MS,
    Workplace,
    attributes,
    event,
    handoff,
    identity,
    link,
    outcome,
    tick,
    unlink,
)

from coterie.log.v1.facts_pb2 import Fact
from coterie.log.v1.inbound_pb2 import Inbound, InboundPack
from services.identity.domain.changes import Divided, Refused
from services.identity.domain.graph import partition_of
from services.kit.log.port import Entry


def bodies(facts: list[Fact]) -> list[str | None]:
    return [fact.WhichOneof("body") for fact in facts]


def holders(place: Workplace, *ids: str) -> list[int | None]:
    graph = place.derivation.state.graph
    return [graph.holder((one.namespace, one.value)) for one in map(identity, ids)]


def owners(facts: list[Fact]) -> list[int]:
    return [fact.profile_id for fact in facts if fact.HasField("event")]


def test_an_unmerge_gives_identifiers_a_profile_of_their_own(place: Workplace) -> None:
    place.take(event("e1", "crm:A", "email:a", "ecid:D"))
    told = place.take(unlink("u1", "email:a", "ecid:D"))
    assert bodies(told) == ["profile_divided", "identity_assigned", "identity_assigned"]
    assert [fact.profile_id for fact in told] == [1, 2, 2]
    assert {(fact.index, fact.input_id) for fact in told} == {(0, "u1")}
    divided = told[0].profile_divided
    assert divided.new_profile_id == 2
    assert divided.division_id
    assert list(divided.identities) == [identity("email:a"), identity("ecid:D")]
    assert [fact.identity_assigned.former_profile_id for fact in told[1:]] == [1, 1]
    assert holders(place, "crm:A", "email:a", "ecid:D") == [1, 2, 2]
    assert owners(place.take(event("e2", "ecid:D"), event("e3", "crm:A"))) == [2, 1]


def test_ids_of_profiles_that_were_merged_in_still_find_who_remains(place: Workplace) -> None:
    place.take(event("e1", "ecid:D"), event("e2", "crm:A"), event("e3", "crm:A", "ecid:D"))
    assert holders(place, "ecid:D") == [2]
    place.take(unlink("u1", "ecid:D"))
    assert holders(place, "crm:A", "ecid:D") == [2, 3]
    graph = place.derivation.state.graph
    assert [graph.live(one) for one in (1, 2, 3)] == [2, 2, 3]
    assert [fact.profile_id for fact in place.take(outcome("m1", 1))] == [2]


def test_what_cannot_be_divided_stays_as_it_is(place: Workplace) -> None:
    place.take(event("e1", "crm:A", "ecid:D"), event("e2", "crm:B"))
    before = place.derivation.state.state_hash()
    assert place.take(unlink("u1", "crm:A", "ecid:D")) == []
    assert place.take(unlink("u2", "crm:A", "crm:B")) == []
    assert place.take(unlink("u3", "crm:B")) == []
    assert place.take(unlink("u4", "crm:unknown")) == []
    assert place.derivation.state.state_hash() == before


def test_an_event_with_both_does_not_link_them_again(place: Workplace) -> None:
    place.take(event("e1", "crm:A", "email:a", "ecid:D"))
    place.take(unlink("u1", "email:a"))
    told = place.take(event("e2", "crm:A", "email:a"), event("e3", "email:a", "ecid:D"))
    assert bodies(told) == ["event", "event"]
    assert owners(told) == [1, 2]
    assert holders(place, "crm:A", "ecid:D", "email:a") == [1, 1, 2]
    state = place.derivation.state
    refused = [one.change for one in state.unsaved_journal if isinstance(one.change, Refused)]
    assert refused == [Refused(1, 2, "unlinked"), Refused(2, 1, "unlinked")]
    told = place.take(attributes("a1", "crm:A", email="a"))
    assert bodies(told) == ["attributes"]
    assert holders(place, "email:a") == [2]


def test_an_identifier_that_comes_later_does_not_link_them_either(place: Workplace) -> None:
    place.take(event("e1", "crm:A", "email:a"), unlink("u1", "email:a"))
    place.take(event("e2", "crm:A", "ecid:new"))
    assert owners(place.take(event("e3", "email:a", "ecid:new"))) == [2]
    assert holders(place, "crm:A", "ecid:new", "email:a") == [1, 1, 2]


def test_a_login_does_not_take_along_what_an_unmerge_holds_apart(place: Workplace) -> None:
    place.take(event("e1", "crm:A", "ecid:D"), unlink("u1", "ecid:D"))
    place.take(event("e2", "crm:B", "ecid:D"))
    assert holders(place, "crm:A", "crm:B", "ecid:D") == [1, 2, 2]
    # Two of a unique namespace: elsewhere the device would go to who logs in on it.
    assert owners(place.take(event("e3", "crm:A", "ecid:D"))) == [1]
    assert holders(place, "crm:A", "crm:B", "ecid:D") == [1, 2, 2]
    assert owners(place.take(event("e4", "crm:C", "ecid:D"))) == [3]
    assert holders(place, "ecid:D") == [3]


def test_a_link_that_is_asked_for_joins_them_again_for_good(place: Workplace) -> None:
    place.take(event("e1", "crm:A", "email:a", "ecid:D"), unlink("u1", "email:a"))
    told = place.take(link("l1", "email:a", "ecid:D"))
    assert bodies(told) == ["profiles_merged"]
    assert not place.derivation.state.graph.separations
    place.take(unlink("u2", "ecid:D"), link("l2", "crm:A", "ecid:D"))
    assert bodies(place.take(event("e2", "crm:A", "ecid:D"))) == ["event"]
    assert len(set(holders(place, "crm:A", "ecid:D", "email:a"))) == 1


def test_a_link_of_two_of_a_unique_namespace_is_refused_all_the_same(place: Workplace) -> None:
    place.take(
        event("e1", "crm:A", "ecid:D"), unlink("u1", "ecid:D"), event("e2", "crm:B", "ecid:D")
    )
    place.take(link("l1", "crm:A", "crm:B"))
    assert holders(place, "crm:A", "crm:B") == [1, 2]
    place.take(link("l2", "crm:A", "ecid:D"))
    assert holders(place, "crm:A", "crm:B", "ecid:D") == [1, 2, 1]


def test_a_repeated_unmerge_has_no_effect(place: Workplace) -> None:
    place.take(event("e1", "crm:A", "email:a"), unlink("u1", "email:a"))
    place.take(link("l1", "crm:A", "email:a"))
    assert place.take(unlink("u1", "email:a")) == []
    assert place.derivation.duplicates == 1


def test_the_journal_of_both_says_how_they_came_apart(place: Workplace) -> None:
    place.take(event("e1", "crm:A", "email:a"), tick(START_MS + 9), unlink("u1", "email:a"))
    place.tables()
    mine = place.store.journal_of([1], 100)[-1]
    assert (mine.change, mine.input_id, mine.log_time_ms) == (Divided(1, 2), "u1", START_MS + 9)
    (its,) = place.store.journal_of([2], 100)
    assert its.input_id == "u1"


def told_by(place: Workplace, inputs: list[Inbound]) -> None:
    for one in inputs:
        place.inbound.append([Entry(InboundPack(inputs=[one]).SerializeToString())])


def drawn(seed: int) -> list[Inbound]:
    """Return inputs of few people who meet, part and are joined again."""
    drawing = random.Random(seed)
    ids = [f"{name}:{number}" for name in ("crm", "email", "ecid") for number in range(3)]
    inputs: list[Inbound] = []
    for number in range(60):
        some = drawing.sample(ids, drawing.choice([1, 2, 2, 3]))
        kind = drawing.choice([event, event, link, unlink])
        if kind is link and len(some) == 1:
            kind = event
        inputs.append(kind(f"{kind.__name__}{number}", *some))
    return inputs


@pytest.mark.parametrize("seed", range(6))
def test_a_restart_anywhere_gives_the_same(seed: int) -> None:
    inputs = drawn(seed)
    whole, broken = Workplace(), Workplace()
    for place in (whole, broken):
        told_by(place, inputs)
    whole.run()
    drawing = random.Random(seed)
    while broken.stage.step(drawing.randint(1, 7)):
        if drawing.random() < 0.4:
            if drawing.random() < 0.5:
                broken.tables()
            broken.restart()
    assert broken.payloads() == whole.payloads()
    assert broken.derivation.state.state_hash() == whole.derivation.state.state_hash()
    assert broken.tables() == whole.tables()
    whole.restart()
    assert whole.derivation.state.state_hash() == broken.derivation.state.state_hash()
    kinds = {fact.WhichOneof("body") for pack in whole.packs() for fact in pack.facts}
    assert "profile_divided" in kinds
    whole.close()
    broken.close()


def name_in(namespace: str, partition: int) -> str:
    values = (f"{namespace[0]}{number}" for number in range(1_000))
    found = next(one for one in values if partition_of((namespace, one), 2) == partition)
    return f"{namespace}:{found}"


def test_an_unmerge_of_who_is_on_the_way_waits_and_is_of_the_new_partition() -> None:
    place = Workplace(partitions=2)
    east, west = name_in("ecid", 0), name_in("crm", 1)
    place.take(event("e1", east), event("w1", west))
    (leaves,) = place.take(link("l1", east, west))
    assert place.take(unlink("u1", east), partition=1) == []
    west_id = 1 << 32 | 1
    told = place.take(handoff(leaves.departure.merge_id), partition=1)
    assert bodies(told) == ["profiles_merged", "profile_divided", "identity_assigned"]
    # The number after the guest's: the new profile stays where the old one is.
    assert holders(place, east, west) == [1 << 32 | 3, west_id]
    assert owners(place.take(event("e2", east, west), partition=1)) == [west_id]
    place.close()
