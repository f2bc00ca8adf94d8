"""People who are no more: nobody has what they had, and nothing says that they had it."""

from __future__ import annotations

import random

import pytest
from identity_stages import (
    Workplace,
    erasure,
    event,
    handoff,
    identity,
    link,
    outcome,
    unlink,
)

from coterie.log.v1.inbound_pb2 import Inbound, InboundPack
from services.identity.domain.graph import partition_of
from services.kit.log.port import Entry


def holders(place: Workplace, *ids: str) -> list[int | None]:
    graph = place.derivation.state.graph
    return [graph.holder((one.namespace, one.value)) for one in map(identity, ids)]


def test_an_erased_person_is_nobody_and_the_identifiers_begin_anew(place: Workplace) -> None:
    place.take(event("e1", "crm:A", "email:a"), event("e2", "crm:B"))
    (told,) = place.take(erasure("x1", 1))
    assert (told.profile_id, told.WhichOneof("body")) == (1, "profile_erased")
    assert told.profile_erased.erasure_id
    assert holders(place, "crm:A", "email:a", "crm:B") == [None, None, 2]
    assert place.derivation.state.graph.live(1) is None
    told = place.take(event("e3", "email:a", "crm:A"))[-1]
    assert (told.profile_id, told.event.event_id) == (3, "e3")
    assert place.derivation.state.graph.profile_count() == 2


def test_ids_of_merged_profiles_are_erased_with_it_and_news_of_them_is_dropped(
    place: Workplace,
) -> None:
    place.take(event("e1", "ecid:D"), event("e2", "crm:A"), link("l1", "crm:A", "ecid:D"))
    (told,) = place.take(erasure("x1", 1))
    assert told.profile_id == 2
    assert place.take(outcome("m1", 1), outcome("m2", 2)) == []
    assert place.take(erasure("x2", 1), erasure("x3", 2), erasure("x4", 99)) == []


def test_no_table_names_the_erased_and_what_comes_later_stays(place: Workplace) -> None:
    place.take(event("e1", "crm:A", "email:a"), unlink("u1", "email:a"))
    place.tables()
    place.take(
        event("e2", "crm:A", "phone:p"), event("e3", "phone:q"), link("l", "crm:A", "phone:q")
    )
    place.take(erasure("x1", 1), event("e4", "phone:p", "email:b"))
    tables = place.tables()
    held = {(row[0], row[1]) for row in tables["identifiers"]}
    assert held == {("email", "a"), ("phone", "p"), ("email", "b")}
    assert tables["separations"] == []
    named = {row[8:10] for row in tables["journal"]} - {("", "")}
    assert named == {("email", "a"), ("phone", "p"), ("email", "b")}
    assert {row[6] for row in tables["journal"]} == {2, 4}


def test_who_is_on_the_way_is_erased_on_arrival() -> None:
    def name_in(namespace: str, partition: int) -> str:
        values = (f"{namespace[0]}{number}" for number in range(1_000))
        return next(one for one in values if partition_of((namespace, one), 2) == partition)

    place = Workplace(partitions=2)
    east, west = f"ecid:{name_in('ecid', 0)}", f"crm:{name_in('crm', 1)}"
    place.take(event("e1", east), event("w1", west))
    (leaves,) = place.take(link("l1", east, west))
    assert place.take(erasure("x1", 1), partition=1) == []
    told = place.take(handoff(leaves.departure.merge_id), partition=1)
    assert [fact.WhichOneof("body") for fact in told] == ["profiles_merged", "profile_erased"]
    assert holders(place, east, west) == [None, None]
    place.close()


def drawn(seed: int) -> list[Inbound]:
    drawing = random.Random(seed)
    ids = [f"{name}:{number}" for name in ("crm", "email", "ecid") for number in range(3)]
    inputs: list[Inbound] = []
    for number in range(80):
        some = drawing.sample(ids, drawing.choice([1, 2, 2, 3]))
        kind = drawing.choice(["event", "event", "event", "unlink", "erasure"])
        match kind:
            case "erasure":
                inputs.append(erasure(f"x{number}", drawing.randint(1, 14)))
            case "unlink":
                inputs.append(unlink(f"u{number}", *some))
            case _:
                inputs.append(event(f"e{number}", *some))
    return inputs


@pytest.mark.parametrize("seed", range(6))
def test_a_restart_anywhere_gives_the_same(seed: int) -> None:
    whole, broken = Workplace(), Workplace()
    for place in (whole, broken):
        for one in drawn(seed):
            place.inbound.append([Entry(InboundPack(inputs=[one]).SerializeToString())])
    whole.run()
    chance = random.Random(seed)
    while broken.stage.step(chance.randint(1, 7)):
        if chance.random() < 0.4:
            if chance.random() < 0.5:
                broken.tables()
            broken.restart()
    assert broken.payloads() == whole.payloads()
    assert broken.tables() == whole.tables()
    whole.restart()
    assert whole.derivation.state.state_hash() == broken.derivation.state.state_hash()
    kinds = [fact.WhichOneof("body") for pack in whole.packs() for fact in pack.facts]
    assert kinds.count("profile_erased") > 1
    whole.close()
    broken.close()
