"""The year as one ordered stream of inputs."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from operator import attrgetter

import numpy as np

from coterie.type.v1 import schema_pb2
from services.host.replay.cells import digest
from services.host.replay.completejourney import people, tables
from services.host.replay.completejourney.baskets import NAMESPACE, basket_inputs
from services.host.replay.declare import read_schema
from services.host.replay.shipped import shipped_text
from services.host.replay.source import SourceError, Tally
from services.host.replay.wire import Input

DAY_MS = 24 * 60 * 60 * 1000
SCHEMA_FILE = "completejourney.schema.yaml"


class CompleteJourney:
    """Households, products, baskets, visits, coupons.

    `limit` takes the first so many baskets, `households` only those of some.
    """

    name = "completejourney"
    noun = "baskets"
    namespaces = frozenset({NAMESPACE})

    def __init__(self, limit: int | None = None, households: frozenset[int] | None = None) -> None:
        self.fingerprint = f"{self.name} {tables.version()}"
        if households is not None:
            self.fingerprint += f" {digest(sorted(map(str, households)))}"
        self.tally = Tally()
        self._limit = limit
        self._households = households
        self._people: list[Input] = []
        self._baskets: tables.Baskets | None = None
        self._redemptions: list[Input] = []

    def schema(self) -> schema_pb2.Schema:
        """Return the shipped schema."""
        return read_schema(SCHEMA_FILE, shipped_text(SCHEMA_FILE))

    def prepare(self) -> int:
        """Read the tables; return how many inputs they give."""
        baskets = self._baskets = tables.read_baskets(self._households)
        count = self._count(baskets)
        from_ms, until_ms = self.span_ms()
        lines = baskets.line_count(count)
        bought = None
        if count < baskets.count or self._households is not None:
            # A quick try sends the products that it needs; the rest of the catalog changes nothing.
            bought = set(np.unique(baskets.products[:lines]).tolist())
        chosen = self._households
        self._people = [*people.demographics(from_ms, chosen), *people.products(from_ms, bought)]
        self._redemptions = people.redemptions(until_ms, chosen)
        self.tally.rows = self.tally.lines = lines
        self.tally.happenings = count
        self._note(baskets)
        return len(self._people) + len(self._redemptions) + 2 * count

    def span_ms(self) -> tuple[int, int]:
        """Return the beginning of the first day and the time of the last basket."""
        baskets = self._ready()
        last = self._count(baskets) - 1
        return int(baskets.times_ms[0]) // DAY_MS * DAY_MS, int(baskets.times_ms[last])

    def inputs(self) -> Iterator[Input]:
        """Yield households and products, then coupons, visits and purchases by time."""
        baskets = self._ready()
        behaviour = heapq.merge(
            self._redemptions,
            basket_inputs(baskets, self._count(baskets)),
            key=attrgetter("time_ms"),
        )
        return itertools.chain(self._people, behaviour)

    def _ready(self) -> tables.Baskets:
        if self._baskets is None:
            raise SourceError("the tables are not read yet: prepare comes first")
        return self._baskets

    def _count(self, baskets: tables.Baskets) -> int:
        return baskets.count if self._limit is None else min(baskets.count, self._limit)

    def _note(self, baskets: tables.Baskets) -> None:
        self.tally.notes.append("times are taken as UTC: the data names no zone")
        self.tally.notes.append(
            f"of the year's lines {baskets.zero_quantity:,} have quantity zero and are kept as zero"
            f" of the product; {baskets.zero_quantity_paid:,} of them cost something and count as"
            " one"
        )
