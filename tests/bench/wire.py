"""How fast events come from their bytes: rows by the kernel, rows by Python, columns.

    python tests/bench/wire.py [--packs 20] [--rounds 7]

One event of a pack of 1,000 has a type, an identifier, a time and one line of an item; `five texts`
adds five properties, of which each value is new. All are read in the same run, in turn: `first` has
to bring everything near that the others have driven out, `again` comes right after it, as in a
stream of packs.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from coterie.log.v1 import facts_pb2
from segcore._batch import Batch
from segcore._catalog import Catalog
from segcore._decode import PackReader
from segcore._texts import Texts
from segcore.event_columns import EventColumns, ItemColumns, TextColumn
from services.segmentation import wire
from services.segmentation.domain import CatalogFacts

PACK = 1000
PEOPLE = 1_000_000
SKUS = 20_000
TYPES = ("product_view", "add_to_cart", "purchase", "return", "store_entry", "email_open")
NAMES = ("session", "device", "store", "campaign", "channel")


def fact_pack(chance: random.Random, *, five_texts: bool) -> bytes:
    """Return one pack of events as identity writes it."""
    pack = facts_pb2.FactPack(inbound_seq=1)
    for index in range(PACK):
        person = 1 + int(PEOPLE * chance.random() ** 1.8)  # some come often, as in the workload
        now_ms = 1_760_000_000_000 + index
        event_id = f"{chance.getrandbits(64):016x}"
        fact = pack.facts.add(
            index=index,
            log_time_ms=now_ms,
            received_ms=now_ms,
            profile_id=person,
            input_id=event_id,
        )
        fact.came_with.namespace, fact.came_with.value = "crm", str(person)
        event = fact.event
        event.event_id, event.type = event_id, chance.choice(TYPES)
        event.identities.add(namespace="crm", value=str(person))
        event.occurred_time.FromMilliseconds(now_ms - 250)
        sku = int(SKUS * chance.random() ** 3)
        event.items.add(
            sku=f"SKU-{sku:06}", category=f"cat-{sku % 40}", brand=f"brand-{sku % 300}", price=9.5
        )
        if five_texts:
            for name in NAMES:
                event.properties[name].text = f"v{chance.getrandbits(30):x}"
    return pack.SerializeToString()


def columns(chance: random.Random) -> EventColumns:
    """Return the same events as columns of known ordinals."""
    ids = [f"{chance.getrandbits(64):016x}" for _ in range(PACK)]
    skus = np.array([chance.randrange(SKUS) for _ in range(PACK)], np.uint32)
    people = np.array([chance.randrange(1, PEOPLE) for _ in range(PACK)], np.uint32)
    instants = np.arange(PACK) + 1_760_000_000_000
    return EventColumns(
        ordinals=people,
        types=TextColumn(people % len(TYPES), TYPES),
        came_with=TextColumn(people % 1, ("crm:1",)),
        occurred_ms=instants - 250,
        received_ms=instants,
        log_ms=instants,
        ids="".join(ids).encode(),
        id_ends=np.arange(1, PACK + 1) * 16,
        items=ItemColumns(
            ends=np.arange(1, PACK + 1),
            skus=TextColumn(skus % 300, [f"SKU-{sku:06}" for sku in range(300)]),
            categories=TextColumn(skus % 40, [f"cat-{each}" for each in range(40)]),
            brands=TextColumn(skus % 300, [f"brand-{each}" for each in range(300)]),
            prices=np.full(PACK, 9_500_000),
            quantities=np.full(PACK, 1_000_000),
        ),
    )


class Kernel:
    """Reads packs as segmentation does."""

    def __init__(self) -> None:
        texts = Texts()
        self._catalog = Catalog(texts)
        self.batch = Batch(texts)
        for sku in range(SKUS):
            self._catalog.put(f"SKU-{sku:06}", "cat", "brand", 1.0)

    def read(self, payload: bytes) -> None:
        """Fill the batch with all events."""
        found = PackReader(payload).read_events(self.batch, self._catalog)
        assert found == PACK

    def take(self, given: EventColumns) -> None:
        """Make a batch of columns."""
        assert len(Batch.from_columns(self.batch.texts, given)) == PACK


KNOWN = {f"SKU-{sku:06}": CatalogFacts("cat", "brand", 1.0) for sku in range(SKUS)}


def parse(payload: bytes) -> None:
    """Parse with upb and touch nothing."""
    facts_pb2.FactPack.FromString(payload)


def read_in_python(payload: bytes) -> None:
    """Make an event of each fact, as segmentation does without the kernel."""
    for fact in facts_pb2.FactPack.FromString(payload).facts:
        wire.event_of(fact, KNOWN)


Figures = dict[str, tuple[float, float]]


def measure(rounds: int, packs: int) -> Figures:
    """Return nanoseconds of CPU an event, first and again: medians of rounds, all kinds in turn."""
    chance = random.Random(7)
    rows = [fact_pack(chance, five_texts=False) for _ in range(packs)]
    wide = [fact_pack(chance, five_texts=True) for _ in range(packs)]
    cols = [columns(chance) for _ in range(packs)]
    kernel = Kernel()
    print(f"bytes an event: {len(rows[0]) / PACK:.0f}, five texts {len(wide[0]) / PACK:.0f}")

    kinds: dict[str, tuple[Callable[[Any], None], Sequence[Any]]] = {
        "rows: kernel": (kernel.read, rows),
        "rows: upb alone": (parse, rows),
        "rows: upb + Python": (read_in_python, rows),
        "five texts: kernel": (kernel.read, wide),
        "five texts: upb alone": (parse, wide),
        "five texts: upb + Python": (read_in_python, wide),
        "columns of known ordinals": (kernel.take, cols),
    }
    first: dict[str, list[float]] = {kind: [] for kind in kinds}
    again: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, (read, payloads) in kinds.items():
            for taken in (first, again):
                start = time.thread_time_ns()
                for payload in payloads:
                    read(payload)
                taken[kind].append((time.thread_time_ns() - start) / packs / PACK)
    return {
        kind: (statistics.median(first[kind]), statistics.median(again[kind])) for kind in kinds
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packs", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    found = measure(given.rounds, given.packs)
    for kind, (first, again) in found.items():
        print(f"{kind:28} first {first:8.1f}, again {again:8.1f} ns an event")
    for kind in ("rows", "five texts"):
        times = found[f"{kind}: upb + Python"][1] / found[f"{kind}: kernel"][1]
        print(f"{kind}: the kernel is {times:.1f} times upb + Python")


if __name__ == "__main__":
    main()
