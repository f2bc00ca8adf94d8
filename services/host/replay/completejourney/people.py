"""The package's smaller tables to inputs: demographics, products, redeemed coupons."""

from __future__ import annotations

import calendar
from collections import Counter
from collections.abc import Container, Iterator

from coterie.profile.v1 import profile_service_pb2 as pb
from coterie.type.v1 import change_pb2, event_pb2, identity_pb2, value_pb2
from services.host.replay.completejourney.baskets import NAMESPACE
from services.host.replay.completejourney.tables import read_rows
from services.host.replay.wire import Input
from services.kit.rpc.times import timestamp

DEMOGRAPHICS = (
    "age",
    "income",
    "home_ownership",
    "marital_status",
    "household_size",
    "household_comp",
    "kids_count",
)


def demographics(from_ms: int, households: frozenset[int] | None) -> Iterator[Input]:
    """Yield the attributes of each household that has any, all as of one time."""
    for household, *values in read_rows("demographics", ("household_id", *DEMOGRAPHICS)):
        if households is not None and household not in households:
            continue
        known = {
            name: value_pb2.Value(text=value)
            for name, value in zip(DEMOGRAPHICS, values, strict=True)
            if value is not None
        }
        change = change_pb2.AttributeChange(
            identities=[_identity(household)], attributes=known, as_of_time=timestamp(from_ms)
        )
        body = pb.IngestInput(
            attributes=pb.AttributesInput(change_id=f"demographics-{household}", change=change)
        )
        yield Input(from_ms, body.SerializeToString())


def products(from_ms: int, wanted: Container[int] | None) -> Iterator[Input]:
    """Yield the catalog: all products, or the wanted ones.

    The category is the product's own, else its department.
    """
    columns = ("product_id", "department", "brand", "product_category", "product_type")
    for product, department, brand, category, kind in read_rows("products", columns):
        if wanted is not None and product not in wanted:
            continue
        item = change_pb2.CatalogItem(
            sku=str(product),
            name=kind or "",
            category=category or department or "",
            brand=brand or "",
        )
        body = pb.IngestInput(
            catalog_item=pb.CatalogInput(change_id=f"product-{product}", item=item)
        )
        yield Input(from_ms, body.SerializeToString())


def redemptions(until_ms: int, households: frozenset[int] | None) -> list[Input]:
    """Return the coupons that were redeemed up to a time, each at the beginning of its day."""
    columns = ("redemption_date", "household_id", "coupon_upc", "campaign_id")
    rows = sorted(
        (calendar.timegm(date.timetuple()) * 1000, household, coupon, campaign)
        for date, household, coupon, campaign in read_rows("coupon_redemptions", columns)
        if households is None or household in households
    )
    repeats: Counter[tuple[int, ...]] = Counter()
    found = []
    for row in rows:
        repeats[row] += 1
        if row[0] <= until_ms:
            found.append(_redemption(*row, repeats[row]))
    return found


def _redemption(day_ms: int, household: int, coupon: int, campaign: int, copy: int) -> Input:
    event = event_pb2.Event(
        event_id=f"coupon-{household}-{coupon}-{campaign}-{day_ms // 1000}-{copy}",
        type="coupon_redeemed",
        identities=[_identity(household)],
        occurred_time=timestamp(day_ms),
        properties={
            "coupon": value_pb2.Value(text=str(coupon)),
            "campaign": value_pb2.Value(text=str(campaign)),
        },
    )
    return Input(day_ms, pb.IngestInput(event=event).SerializeToString())


def _identity(household: int) -> identity_pb2.Identity:
    return identity_pb2.Identity(namespace=NAMESPACE, value=str(household))
