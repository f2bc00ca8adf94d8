"""The snapshot of one partition: segcore's sections and ours, in one framed file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from segcore import Engine, snapshot
from services.segmentation import domain
from services.segmentation.domain import CatalogFacts, Cause, Definition, State
from services.segmentation.partition import Partition

FORMAT = 1
_ENGINE = "engine/"


def write(directory: Path, partition: Partition) -> None:
    """Write the partition's state to disk; the former snapshot is kept beside it."""
    sections = {_ENGINE + name: data for name, data in partition.engine.dump().items()}
    sections["service"] = _service_section(partition)
    header = {"format": FORMAT, "partition": partition.number, "facts_seq": partition.facts_seq}
    snapshot.write(_path(directory, partition.number), header, sections)


def read(directory: Path, number: int) -> Partition | None:
    """Return the newest state that can be read, or None: then the log is the way back."""
    found = snapshot.read_newest(_path(directory, number))
    if found is None:
        return None
    header, sections = found
    if header.get("format") != FORMAT or header.get("partition") != number:
        return None
    engine_sections = {
        name.removeprefix(_ENGINE): data
        for name, data in sections.items()
        if name.startswith(_ENGINE)
    }
    partition = Partition(number, Engine.load(engine_sections))
    _restore_service(partition, sections["service"])
    return partition


def state_hash(partition: Partition) -> str:
    """Return a digest of the whole state, which is the same however the state came to be."""
    digest = hashlib.blake2b(_service_section(partition), digest_size=16)
    digest.update(partition.engine.state_hash().encode())
    return digest.hexdigest()


def _path(directory: Path, number: int) -> Path:
    return directory / f"segmentation-{number}.snapshot"


def _service_section(partition: Partition) -> bytes:
    content = {
        "inbound_seq": partition.inbound_seq,
        "facts_seq": partition.facts_seq,
        "log_time_ms": partition.log_time_ms,
        "last_ordinal": partition.last_ordinal,
        "definitions": [asdict(each) for each in partition.definitions.values()],
        "catalog": {
            sku: (known.category, known.brand, known.price)
            for sku, known in partition.catalog.items()
        },
        "records": {
            audience_id: [
                (ordinal, it.enter_ms, it.exit_ms, it.cause, it.cause_id, it.version)
                for ordinal, it in records.items()
            ]
            for audience_id, records in partition.records.items()
        },
        "sequences": list(partition.sequences.items()),
        "redirects": list(partition.redirects.items()),
        "schema": [extension.hex() for extension in partition.extensions],
    }
    return json.dumps(content, separators=(",", ":")).encode()


def _restore_service(partition: Partition, section: bytes) -> None:
    content = json.loads(section)
    partition.inbound_seq = content["inbound_seq"]
    partition.facts_seq = content["facts_seq"]
    partition.log_time_ms = content["log_time_ms"]
    partition.last_ordinal = content["last_ordinal"]
    for fields in content["definitions"]:
        definition = Definition(**{**fields, "state": State(fields["state"])})
        partition.definitions[definition.audience_id] = definition
    for sku, known in content["catalog"].items():
        partition.catalog[sku] = CatalogFacts(*known)
    for audience_id, rows in content["records"].items():
        partition.records[audience_id] = {
            ordinal: domain.Change(enter_ms, exit_ms, Cause(cause), cause_id, version)
            for ordinal, enter_ms, exit_ms, cause, cause_id, version in rows
        }
    partition.sequences = dict(content["sequences"])
    partition.redirects = dict(content["redirects"])
    for extension in content["schema"]:
        partition.extend_schema(bytes.fromhex(extension))
