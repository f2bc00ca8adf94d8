"""The snapshot of one partition: segcore's sections and ours, in one framed file.

The histories lie beside it in files of their own, of which the snapshot says how long they were.

`capture` is quick, and all that has to happen while nothing else may: it copies what changes later.
`write` may take its time beside live traffic.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segcore import Engine, snapshot
from segcore._journal import Journal
from segcore.storage import wipe
from services.segmentation import saved_versions
from services.segmentation.domain import CatalogFacts
from services.segmentation.partition import Partition

FORMAT = 6
_ENGINE = "engine/"
_JOURNAL = "journal/"
_NO_PRICE = float("nan")


@dataclass(frozen=True, slots=True)
class Captured:
    """A partition's state at one position, which later facts do not change."""

    number: int
    facts_seq: int
    engine: Mapping[str, bytes]
    journal: Mapping[str, bytes]
    syncs: Sequence[Callable[[], None]]
    head: Mapping[str, object]
    catalog: Mapping[str, CatalogFacts]
    redirects: Mapping[int, int]
    departures: Mapping[int, int]


def capture(partition: Partition) -> Captured:
    """Copy the state; the caller holds the partition's lock."""
    head = {
        "inbound_seq": partition.inbound_seq,
        "settled_seq": partition.settled_seq,
        "facts_seq": partition.facts_seq,
        "log_time_ms": partition.log_time_ms,
        "last_ordinal": partition.last_ordinal,
        "definitions": saved_versions.capture(partition.versions),
        "records": partition.records.capture(),
        "schema": [extension.hex() for extension in partition.extensions],
    }
    return Captured(
        partition.number,
        partition.facts_seq,
        partition.engine.dump(),
        partition.records.journal.store.dump(),
        (partition.engine.columns.sync, partition.records.journal.store.sync),
        head,
        dict(partition.catalog),
        dict(partition.redirects),
        dict(partition.departures),
    )


def write(directory: Path, captured: Captured) -> None:
    """Write a captured state to disk, its histories first; the former snapshot is kept beside."""
    for sync in captured.syncs:
        sync()
    header = {
        "format": FORMAT,
        "partition": captured.number,
        "facts_seq": captured.facts_seq,
    }
    snapshot.write(_path(directory, captured.number), header, _sections(captured))


def read(directory: Path, number: int, zone: str = "UTC") -> Partition | None:
    """Return the newest state that can be read, or None: then the log is the way back."""
    for file, (header, sections) in snapshot.read_each(_path(directory, number)):
        if header.get("format") != FORMAT or header.get("partition") != number:
            continue
        try:
            return _load(directory, number, zone, sections)
        except (KeyError, TypeError, ValueError):  # whole as a file, and of other histories
            snapshot.set_aside(file)
    return None


def begin(directory: Path, number: int, zone: str = "UTC") -> Partition:
    """Return an empty state, and remove the histories that are there: the log has them."""
    histories, changes = _histories(directory, number), _changes(directory, number)
    wipe(histories)
    wipe(changes)
    return Partition(number, Engine(histories, number, zone), Journal(changes))


def _load(directory: Path, number: int, zone: str, sections: Mapping[str, bytes]) -> Partition:
    engine_sections = _of(sections, _ENGINE)
    engine = Engine.load(engine_sections, _histories(directory, number), number, zone)
    journal = Journal(_changes(directory, number))
    journal.store.load(_of(sections, _JOURNAL))
    partition = Partition(number, engine, journal)
    _restore(partition, sections)
    return partition


def _of(sections: Mapping[str, bytes], prefix: str) -> dict[str, bytes]:
    return {
        name.removeprefix(prefix): data
        for name, data in sections.items()
        if name.startswith(prefix)
    }


def state_hash(partition: Partition) -> str:
    """Return a digest of the whole state, which is the same however the state came to be."""
    digest = hashlib.blake2b(partition.engine.state_hash().encode(), digest_size=16)
    changes = dict(partition.records.journal.store.contents())
    captured = replace(capture(partition), engine={}, journal=changes)
    for name, content in sorted(_sections(captured).items()):
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _path(directory: Path, number: int) -> Path:
    return directory / f"segmentation-{number}.snapshot"


def _histories(directory: Path, number: int) -> Path:
    return directory / "segmentation" / f"history-{number}"


def _changes(directory: Path, number: int) -> Path:
    return directory / "segmentation" / f"changes-{number}"


def _sections(captured: Captured) -> dict[str, bytes]:
    """Return all sections; what there is one of for each person or item is in columns."""
    sections = {_ENGINE + name: data for name, data in captured.engine.items()}
    sections |= {_JOURNAL + name: data for name, data in captured.journal.items()}
    sections["head"] = json.dumps(captured.head).encode()
    catalog = captured.catalog
    sections["catalog.sku"] = _texts(catalog)
    sections["catalog.category"] = _texts(each.category or "" for each in catalog.values())
    sections["catalog.brand"] = _texts(each.brand or "" for each in catalog.values())
    prices = (_NO_PRICE if each.price is None else each.price for each in catalog.values())
    sections["catalog.price"] = array("d", prices).tobytes()
    sections["redirects.from"] = array("I", captured.redirects).tobytes()
    sections["redirects.to"] = array("I", captured.redirects.values()).tobytes()
    sections["departures.from"] = array("I", captured.departures).tobytes()
    sections["departures.into"] = array("Q", captured.departures.values()).tobytes()
    return sections


def _restore(partition: Partition, sections: Mapping[str, bytes]) -> None:
    head = json.loads(sections["head"])
    partition.inbound_seq = head["inbound_seq"]
    partition.settled_seq = head["settled_seq"]
    partition.facts_seq = head["facts_seq"]
    partition.log_time_ms = head["log_time_ms"]
    partition.last_ordinal = head["last_ordinal"]
    saved_versions.restore(partition.versions, head["definitions"])
    partition.records.restore(head["records"], partition.engine.event_count)
    for extension in head["schema"]:
        partition.extend_schema(bytes.fromhex(extension))
    for sku, known in _read_catalog(sections).items():
        partition.note_item(sku, known)
    merged, remaining = (array("I", sections[f"redirects.{way}"]) for way in ("from", "to"))
    partition.redirects = dict(zip(merged, remaining, strict=True))
    left, into = array("I", sections["departures.from"]), array("Q", sections["departures.into"])
    partition.departures = dict(zip(left, into, strict=True))


def _read_catalog(sections: Mapping[str, bytes]) -> dict[str, CatalogFacts]:
    columns = zip(
        _read_texts(sections["catalog.sku"]),
        _read_texts(sections["catalog.category"]),
        _read_texts(sections["catalog.brand"]),
        array("d", sections["catalog.price"]),
        strict=True,
    )
    return {
        sku: CatalogFacts(category or None, brand or None, None if price != price else price)  # noqa: PLR0124  NaN
        for sku, category, brand, price in columns
    }


def _texts(texts: Iterable[str]) -> bytes:
    """Return a column of texts: how many, their lengths in bytes, then all of them."""
    encoded = [text.encode() for text in texts]
    lengths = array("I", [len(encoded), *map(len, encoded)])
    return lengths.tobytes() + b"".join(encoded)


def _read_texts(column: bytes) -> list[str]:
    size = array("I").itemsize
    (count,) = array("I", column[:size])
    lengths = array("I", column[size : size * (count + 1)])
    texts, start = [], size * (count + 1)
    for length in lengths:
        texts.append(column[start : start + length].decode())
        start += length
    return texts
