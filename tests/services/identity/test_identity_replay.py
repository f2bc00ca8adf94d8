"""The same log gives the same facts and tables, however it is cut and wherever a process dies."""

import random
from collections.abc import Iterator

import pytest
from identity_stages import START_MS, Workplace, attributes, event, link, tick

from coterie.log.v1.inbound_pb2 import Inbound
from services.identity import stage
from services.kit.log.port import Entry
from tests.databases import Databases


def history(seed: int, count: int) -> Iterator[list[Inbound]]:
    """Packs of a small crowd that shares devices, logs in, repeats itself and is told apart."""
    chance = random.Random(seed)
    at_ms = START_MS
    for number in range(count):
        at_ms += chance.choice((0, 1, 900, 5_000))
        pack = [tick(at_ms)] if chance.random() < 0.2 else []
        for index in range(chance.randrange(4)):
            ids = {
                "crm": chance.randrange(6),
                "loyalty": chance.randrange(6),
                "email": chance.randrange(8),
                "ecid": chance.randrange(10),
            }
            names = chance.sample(sorted(ids), chance.randint(1, 3))
            named = [f"{name}:{ids[name]}" for name in names]
            input_id = f"i{number if chance.random() < 0.9 else 0}-{index}"
            make = chance.choice((event, event, event, link, attributes))
            pack.append(make(input_id, *named, at_ms=at_ms + chance.randrange(9_000)))
            if make is attributes:
                pack[-1].attributes.attributes["email"].text = str(chance.randrange(8))
        yield pack


def outcome(place: Workplace) -> tuple[object, ...]:
    return place.payloads(), place.tables(), place.derivation.state.state_hash()


@pytest.mark.parametrize("partitions", [1, 3])
def test_steps_of_any_size_give_the_same_facts_and_tables(partitions: int) -> None:
    outcomes = []
    for limit in (1, 7, 1_000):
        place = Workplace(partitions=partitions)
        for pack in history(seed=1, count=150):
            place.feed(*pack)
        place.run(limit)
        outcomes.append(outcome(place))
        place.close()
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_packs_of_any_size_give_the_same_people() -> None:
    hashes = []
    for size in (1, 10, 1_000):
        place = Workplace()
        inputs = [message for pack in history(seed=2, count=150) for message in pack]
        for start in range(0, len(inputs), size):
            place.feed(*inputs[start : start + size])
        place.run()
        hashes.append(place.derivation.state.state_hash())
        place.close()
    assert len(set(hashes)) == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_process_that_dies_anywhere_gives_the_same_facts(
    seed: int, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = Workplace()
    for pack in history(seed, count=60):
        undisturbed.feed(*pack)
    undisturbed.run(3)
    expected = outcome(undisturbed)
    undisturbed.close()

    chance = random.Random(seed)
    monkeypatch.setattr(stage, "SAVE_RECORDS", 7)
    place = Workplace(databases)
    for pack in history(seed, count=60):
        place.feed(*pack)
        place.run(chance.randint(1, 9))
        if chance.random() < 0.3:
            place.restart()
    place.run()
    assert outcome(place) == expected
    place.close()


def test_facts_that_were_appended_but_not_saved_are_not_appended_again() -> None:
    place = Workplace()
    place.feed(event("e1", "crm:A"))
    place.feed(event("e2", "crm:A", "ecid:D"))
    place.run()
    before = place.payloads()
    place.restart()
    assert place.stage.position == 0
    place.run()
    assert place.payloads() == before
    place.close()


def test_an_append_that_fails_is_as_if_it_had_never_been_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = Workplace()
    place.feed(event("e1", "crm:A"))
    place.run()
    place.feed(event("e2", "crm:A", "ecid:D"))
    working = place.facts[0].append

    def fail(entries: list[Entry], expected_last: int | None = None) -> int:
        monkeypatch.setattr(place.facts[0], "append", working)
        raise OSError("disk full")

    monkeypatch.setattr(place.facts[0], "append", fail)
    with pytest.raises(OSError, match="disk full"):
        place.run()
    place.run()
    assert [len(pack.facts) for pack in place.packs()] == [2, 2]
    place.close()


def test_a_restored_state_is_the_state_that_was_saved(databases: Databases) -> None:
    place = Workplace(databases, partitions=2)
    for pack in history(seed=3, count=120):
        place.feed(*pack)
    place.run()
    before = place.derivation.state.state_hash()
    place.tables()
    place.restart()
    assert place.stage.position == 120
    assert place.derivation.state.state_hash() == before
    place.close()
