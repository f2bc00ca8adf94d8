"""Baskets to inputs: a `store_visit` and a `purchase` each, at the second of the basket."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from coterie.type.v1 import event_pb2, identity_pb2, value_pb2
from services.host.replay.completejourney.lines import encode_lines
from services.host.replay.completejourney.tables import Baskets
from services.host.replay.wire import EVENT_ID, INPUT_EVENT, Input, field, timestamp

NAMESPACE = "loyalty"
CHUNK_BASKETS = 2_000
"""Baskets that are encoded at once: some 20,000 lines, a megabyte or two."""
OCCURRED_TIME = 5
PROPERTIES = 7

_double = struct.Struct("<d").pack


def basket_inputs(baskets: Baskets, count: int) -> Iterator[Input]:
    """Yield the inputs of the first `count` baskets: of each the visit, then the purchase."""
    for start in range(0, count, CHUNK_BASKETS):
        yield from _chunk(baskets, start, min(start + CHUNK_BASKETS, count))


def _chunk(baskets: Baskets, start: int, end: int) -> Iterator[Input]:
    bounds = baskets.starts[start : end + 1]
    chosen = slice(int(bounds[0]), int(bounds[-1]))
    lines = encode_lines(
        baskets.products[chosen].astype("S"), baskets.quantities[chosen], baskets.prices[chosen]
    )
    cuts = np.append(0, lines.ends)[bounds - bounds[0]].tolist()
    columns = zip(
        baskets.basket_ids[start:end].tolist(),
        baskets.households[start:end].tolist(),
        baskets.stores[start:end].tolist(),
        baskets.times_ms[start:end].tolist(),
        baskets.totals[start:end].tolist(),
        np.diff(bounds).tolist(),
        baskets.coupon_discounts[start:end].tolist(),
        cuts[:-1],
        cuts[1:],
        strict=True,
    )
    for basket_id, household, store, time_ms, total, count, discount, left, right in columns:
        shared = field(OCCURRED_TIME, timestamp(time_ms)) + _identity(household) + _store(store)
        visit = field(EVENT_ID, b"visit-%d" % basket_id) + _VISIT + shared
        yield Input(time_ms, field(INPUT_EVENT, visit))
        purchase = b"".join(
            (
                field(EVENT_ID, b"basket-%d" % basket_id),
                _PURCHASE,
                shared,
                lines.data[left:right],
                _TOTAL,
                _double(total),
                _LINES,
                _double(count),
                _COUPON_DISCOUNT,
                _double(discount),
            )
        )
        yield Input(time_ms, field(INPUT_EVENT, purchase))


def _number_property(name: str) -> bytes:
    """Return a property of type number without the eight bytes of the number, which come last."""
    zero = value_pb2.Value(number=0.0).SerializeToString()
    whole = field(PROPERTIES, field(1, name.encode()) + field(2, zero))
    return whole[: -len(_double(0.0))]


@lru_cache(maxsize=1_000)
def _store(store: int) -> bytes:
    return event_pb2.Event(
        properties={"store": value_pb2.Value(text=str(store))}
    ).SerializeToString()


@lru_cache(maxsize=10_000)
def _identity(household: int) -> bytes:
    identity = identity_pb2.Identity(namespace=NAMESPACE, value=str(household))
    return event_pb2.Event(identities=[identity]).SerializeToString()


_VISIT = event_pb2.Event(type="store_visit").SerializeToString()
_PURCHASE = event_pb2.Event(type="purchase").SerializeToString()
_TOTAL = _number_property("total")
_LINES = _number_property("lines")
_COUPON_DISCOUNT = _number_property("coupon_discount")
