"""Order lines to bytes, a column at a time.

There are ten to a basket: an object each would cost more than all the rest of a replay's client.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Texts = NDArray[np.bytes_]
Numbers = NDArray[np.float64]

ITEMS = 6 << 3 | 2
SKU = 1 << 3 | 2
QUANTITY = 2 << 3 | 1
PRICE = 3 << 3 | 1
"""The tags of `Event.items` and of the fields of `coterie.type.v1.LineItem`."""

NUMBER_BYTES = 9
"""A tag and a double."""
HEAD_BYTES = 2
MAX_SKU_BYTES = 100
"""So that the length of a line fits into one byte."""


class Encoded(NamedTuple):
    """The lines as fields of an `Event`: line `i` is `data[ends[i - 1]:ends[i]]`."""

    data: bytes
    ends: NDArray[np.int64]


def encode_lines(skus: Texts, quantities: Numbers, prices: Numbers) -> Encoded:
    """Return lines as fields of an `Event`. A quantity of one is left out: absent means one.

    Each line is laid out in a row of one width: tag, length, quantity, price, SKU. What a line does
    not use is masked, and the rest is the message.
    """
    sku_bytes = skus.dtype.itemsize
    if sku_bytes > MAX_SKU_BYTES:
        raise ValueError(f"expected SKUs of at most {MAX_SKU_BYTES} bytes, found {sku_bytes}")
    count = len(skus)
    sku_at = HEAD_BYTES + 2 * NUMBER_BYTES + 2
    rows = np.zeros((count, sku_at + sku_bytes), dtype=np.uint8)
    used = np.ones(rows.shape, dtype=np.bool_)
    lengths = np.char.str_len(skus)
    rows[:, 0] = ITEMS
    _put_number(rows, HEAD_BYTES, QUANTITY, quantities)
    _put_number(rows, HEAD_BYTES + NUMBER_BYTES, PRICE, prices)
    rows[:, sku_at - 2] = SKU
    rows[:, sku_at - 1] = lengths
    rows[:, sku_at:] = np.ascontiguousarray(skus).view(np.uint8).reshape(count, sku_bytes)
    used[:, HEAD_BYTES : HEAD_BYTES + NUMBER_BYTES] = (quantities != 1)[:, None]
    used[:, sku_at:] = np.arange(sku_bytes) < lengths[:, None]
    whole = used.sum(axis=1)
    rows[:, 1] = whole - HEAD_BYTES
    return Encoded(rows[used].tobytes(), np.cumsum(whole))


def _put_number(rows: NDArray[np.uint8], at: int, tag: int, values: Numbers) -> None:
    rows[:, at] = tag
    doubles = np.ascontiguousarray(values, dtype="<f8").view(np.uint8)
    rows[:, at + 1 : at + NUMBER_BYTES] = doubles.reshape(len(values), 8)
