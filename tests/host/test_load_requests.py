"""The requests of a load: a function of the seed alone, and such as the API takes."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from pathlib import Path

import pytest

from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.segmentation.v1 import segmentation_service_pb2 as segmentation_pb
from services.host.definitions.document import DocumentError
from services.host.load.maker import MakerError, Order, made_ahead
from services.host.load.mix_file import load_mix, read_mix
from services.host.load.requests import Requests

SMALL = """
attributes: {tier: {text: [gold, none]}}
catalog: {skus: 10, categories: [a], brands: [b], price: [1, 2]}
events: {buy: {weight: 1, items: [1, 2], properties: {total: total}}}
values: {days: ["1", "7"]}
audiences: ['events("buy").last(days({days})).exists()']
"""


def _requests(seed: int = 1, run: str = "1") -> Requests:
    return Requests(load_mix(None), seed, run, profiles=1000, audiences=20)


def _all(requests: Requests) -> bytes:
    parts = [requests.batch(number, 50) for number in range(10)]
    parts += [requests.people(0, 100), requests.probe(3)]
    parts += [requests.read(number) for number in range(10)]
    parts += [requests.read_many(number, 20, list(range(1, 500))) for number in range(3)]
    parts += [requests.mix.rule(number).encode() for number in range(100)]
    return b"".join(parts)


def test_the_same_seed_gives_the_same_bytes_in_every_version() -> None:
    assert _all(_requests()) == _all(_requests())
    digest = hashlib.sha256(_all(_requests())).hexdigest()
    assert digest[:16] == "bec3a17040d0adc5", "reports of before cannot be compared"


def test_another_seed_is_another_load_and_another_run_only_other_names() -> None:
    assert _requests(2).batch(0, 50) != _requests(1).batch(0, 50)
    one, two = (
        profile_pb.IngestBatchRequest.FromString(_requests(run=run).batch(0, 50))
        for run in ("1", "2")
    )
    assert one != two
    for each in (*one.inputs, *two.inputs):
        each.event.event_id = ""
    assert one == two


def test_a_process_of_its_own_makes_the_same_batches() -> None:
    order = Order(None, seed=5, run="x", profiles=100, audiences=2, size=7, count=12)

    async def made() -> list[bytes]:
        async with made_ahead(order, ready_count=3) as batches:
            return [await batches.next() for _ in range(order.count)]

    requests = order.requests(load_mix(None))
    assert asyncio.run(made()) == [requests.batch(number, 7) for number in range(12)]


def test_a_maker_that_dies_is_an_error_and_no_wait(tmp_path: Path) -> None:
    mix = tmp_path / "gone.yaml"
    order = Order(mix, seed=5, run="x", profiles=10, audiences=2, size=5, count=3)

    async def take() -> None:
        async with made_ahead(order, ready_count=1) as batches:
            await batches.next()

    with pytest.raises(MakerError, match="ended before its time"):
        asyncio.run(take())


def test_a_retailer_has_twelve_types_by_their_weights_and_lines_that_add_up() -> None:
    batch = b"".join(_requests().batch(number, 1000) for number in range(5))
    found = profile_pb.IngestBatchRequest.FromString(batch)
    types = Counter(each.event.type for each in found.inputs)
    assert len(types) == 12
    assert 1500 < types["page_view"] < 1900
    assert 180 < types["purchase"] < 320
    for event in (each.event for each in found.inputs if each.event.type == "purchase"):
        assert 1 <= len(event.items) <= 5
        total = sum(line.price * line.quantity for line in event.items)
        assert event.properties["total"].number == pytest.approx(total, abs=0.005)
    assert len({each.event.event_id for each in found.inputs}) == 5000
    assert not any(each.event.HasField("occurred_time") for each in found.inputs)


def test_reads_name_people_and_audiences_that_there_are() -> None:
    requests = _requests()
    one = segmentation_pb.GetMembershipRequest.FromString(requests.read(7))
    assert one.audience.startswith("audiences/load-00")
    many = segmentation_pb.BatchCheckMembershipRequest.FromString(
        requests.read_many(0, 30, [11, 12])
    )
    assert len(many.profile_ids) == 30
    assert set(many.profile_ids) == {11, 12}
    assert len(many.audiences) == 20


def test_a_mix_of_ones_own_is_read() -> None:
    mix = read_mix("own.yaml", SMALL)
    assert (mix.name, mix.namespace) == ("own", "crm")
    assert {mix.rule(n) for n in range(50)} == {
        f'events("buy").last(days({days})).exists()' for days in (1, 7)
    }
    assert [each.type for each in mix.schema().event_types] == ["buy", "load.probe"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("weight: 1", "weight: 0", "own.yaml:4: events.buy.weight: expected a positive number"),
        ("weight: 1, ", "", "own.yaml:4: events.buy: 'weight' is missing"),
        ("[1, 2], p", "[2, 1], p", "expected the least number of lines before the greatest"),
        ("total: total", "total: sum", "expected total, found 'sum'"),
        ("{text: [gold, none]}", "{txt: [gold]}", "unknown key 'txt'"),
        ("{text: [gold, none]}", "{flag: 2}", "expected a share from 0 to 1, found '2'"),
        ("{text: [gold, none]}", "{number: [5, 1]}", "expected the lesser number first"),
        ("{text: [gold, none]}", "{date: [2000, 1990]}", "expected the first year before"),
        ("skus: 10", "skus: ten", "expected a whole number from 1 to 10,000,000, found 'ten'"),
        ("days({days})", "days({weeks})", "own.yaml:6: audiences[0]: {weeks} has no entry"),
        ("attributes: {tier: {text: [gold, none]}}", "attributes: {}", "at least one attribute"),
        ("brands: [b]", "brands: []", "expected 1 to 64 texts, found 0"),
    ],
)
def test_a_mistake_in_a_mix_is_named_with_its_place(old: str, new: str, message: str) -> None:
    assert old in SMALL
    with pytest.raises(DocumentError) as found:
        read_mix("own.yaml", SMALL.replace(old, new))
    assert message in str(found.value)
