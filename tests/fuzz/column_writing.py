"""Holds columns written at once to the same rows as messages, over random and broken columns.

    python tests/fuzz/column_writing.py [--packs 500] [--changes 8] [--seed 1]

Columns are taken as they are made, then with bytes broken: what intake's two ways make of them has
to be the same record, or the same refusal.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter

from google.protobuf.message import DecodeError

from coterie.log.v1 import inbound_pb2
from coterie.profile.v1 import columns_pb2
from services.host.event_columns import Lines, event_columns
from services.kit.errors import InvalidArgument
from services.profile.checks import DeclaredKinds, check_event
from services.profile.column_packs import sheet
from services.profile.columns import expand
from tests.fuzz.fact_packs import NAMES, NUMBERS, TEXTS
from tests.fuzz.wire_mutations import Mutations

RECEIVED_MS = 1_700_000_000_000


def drawn(chance: random.Random) -> columns_pb2.EventColumns:
    """Return a few rows of which most are right."""
    count = chance.randrange(1, 9)
    texts = [*TEXTS, *TEXTS, None, "nul\0"]
    counts = [chance.randrange(3) for _ in range(count)]
    total = sum(counts)
    return event_columns(
        [f"event-{number}" for number in range(count)],
        [chance.choice(("purchase", "view", "view", "No type")) for _ in range(count)],
        {"crm": ["1"] * count, "email": [chance.choice(texts) for _ in range(count)]},
        occurred=[chance.choice((None, 0, -7, RECEIVED_MS, 1 << 41)) for _ in range(count)],
        properties={
            name: [chance.choice(NUMBERS if number % 2 else texts) for _ in range(count)]
            for number, name in enumerate(NAMES)
        },
        lines=Lines(
            counts=counts,
            skus=[chance.choice(TEXTS) for _ in range(total)],
            brands=[chance.choice(texts) for _ in range(total)],
            prices=[chance.choice((None, *NUMBERS)) for _ in range(total)],
        ),
    )


def by_rows(columns: columns_pb2.EventColumns) -> inbound_pb2.InboundPack | str:
    """Return the record of the rows that pass, or why the batch is refused."""
    pack = inbound_pb2.InboundPack()
    try:
        rows = expand(columns)
    except InvalidArgument as error:
        return error.message
    for row in rows:
        try:
            check_event(row.event, RECEIVED_MS, DeclaredKinds())
        except InvalidArgument:
            continue
        pack.inputs.add(input_id=row.event.event_id, received_ms=RECEIVED_MS, event=row.event)
    return pack


def at_once(columns: columns_pb2.EventColumns) -> inbound_pb2.InboundPack | str:
    """Return the same by the kernel."""
    try:
        payload = sheet(columns, RECEIVED_MS, DeclaredKinds()).payload(RECEIVED_MS, "")
    except InvalidArgument as error:
        return error.message
    return inbound_pb2.InboundPack.FromString(payload)


def check(content: bytes) -> str:
    """Compare the two on any columns; return in one word what they were."""
    try:
        columns = columns_pb2.EventColumns.FromString(content)
    except DecodeError:
        return "malformed"
    columns.received_time_ms = b""  # such a batch goes by rows
    columns.DiscardUnknownFields()
    expected, found = by_rows(columns), at_once(columns)
    if isinstance(expected, str) or isinstance(found, str):
        assert isinstance(expected, type(found)), f"{content!r}\n{expected}\n{found}"
        return "refused"
    assert found == expected, f"{content!r}\n{expected}\n{found}"
    return "taken"


def run(packs: int, changes: int, seed: int) -> Counter[str]:
    """Check so many batches, each with so many changes; return how often each kind came."""
    chance = random.Random(seed)
    mutations = Mutations(chance)
    seen: Counter[str] = Counter()
    for _ in range(packs):
        content = drawn(chance).SerializeToString()
        seen[f"whole {check(content)}"] += 1
        for _ in range(changes):
            seen[f"broken {check(mutations.change_bytes(content))}"] += 1
            seen[f"moved {check(mutations.change_fields(content))}"] += 1
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packs", type=int, default=500)
    parser.add_argument("--changes", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for what, times in sorted(run(given.packs, given.changes, given.seed).items()):
        print(f"{what:20} {times}")  # noqa: T201  what a run is for


if __name__ == "__main__":
    main()
