"""Holds `segcore._decode` to Python over random and broken packs; says what it went through.

    python tests/fuzz/decoding.py [--packs 2000] [--changes 8] [--seed 1]

Every pack is read as it is, then with fields moved about, then with bytes broken. The decoder may
refuse only what protobuf refuses, and has to; what it takes has to be the same rows.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from itertools import pairwise

from google.protobuf.message import DecodeError

from coterie.log.v1 import facts_pb2
from segcore._batch import Batch
from segcore._catalog import Catalog
from segcore._decode import MalformedBytes, PackReader
from segcore._texts import Texts
from tests.fuzz import fact_packs
from tests.fuzz.fact_packs import Packs, Row
from tests.fuzz.wire_mutations import Mutations


def decode(payload: bytes) -> list[Row | None] | None:
    """Return what the kernel makes of a pack, as `fact_packs.rows_of` says it."""
    texts = Texts()
    catalog = Catalog(texts)
    for sku, known in fact_packs.CATALOG.items():
        catalog.put(sku, known.category, known.brand, known.price)
    batch = Batch(texts)
    rows: list[Row | None] = []
    try:
        reader = PackReader(payload)
        while not reader.done:
            if reader.read_events(batch, catalog):
                rows += batch.to_rows()
            for ranges in reader.others():
                assert all(before[1] < after[0] for before, after in pairwise(ranges))
                for start, end in ranges:
                    facts_pb2.Fact.FromString(payload[start:end])
                rows.append(None)
    except DecodeError:
        return None
    except MalformedBytes as error:
        return None if 0 <= error.offset <= len(payload) else rows
    return rows


def _told(payload: bytes, found: object, expected: object) -> str:
    return "\n".join(repr(each)[:3000] for each in (payload, found, expected))


def check(payload: bytes, *, whole: bool = False) -> str:
    """Compare the two on any bytes; return in one word what they were.

    Only of a pack as it was written is every plain event a kernel's: a message in two parts has the
    same meaning, and is left to Python.
    """
    expected = fact_packs.rows_of(payload)
    found = decode(payload)
    if found is None or expected is None:
        assert found is expected, _told(payload, found, expected)
        return "malformed"
    for row, wanted in zip(found, expected, strict=True):
        left = row is None and not whole
        assert left or row == wanted, _told(payload, row, wanted)
    return "plain" if any(found) else "other"


def run(packs: int, changes: int, seed: int) -> Counter[str]:
    """Check so many packs, each with so many changes; return how often each kind came."""
    chance = random.Random(seed)
    drawn, mutations = Packs(chance), Mutations(chance)
    seen: Counter[str] = Counter()
    for _ in range(packs):
        payload = drawn.pack().SerializeToString()
        seen[f"whole {check(payload, whole=True)}"] += 1
        for _ in range(changes):
            seen[f"moved {check(mutations.change_fields(payload))}"] += 1
            seen[f"broken {check(mutations.change_bytes(payload))}"] += 1
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packs", type=int, default=2000)
    parser.add_argument("--changes", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for what, times in sorted(run(given.packs, given.changes, given.seed).items()):
        print(f"{what:20} {times}")  # noqa: T201  what a run is for


if __name__ == "__main__":
    main()
