"""The engine as services use it: the live kernel, and its state as sections of bytes.

What is written are the histories, or how long their files are, the memberships, the definitions and
the clock. Nodes, timers and the hash table of texts are built anew on load, by the kernels that run
live.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from segcore._definitions import DefinitionEngine
from segcore.changes import Definition
from segcore.rule_json import from_json, to_json

FORMAT = 2
"""The version of what `dump` writes."""


class Engine(DefinitionEngine):
    """The state of one partition; see `LiveEngine` for what comes in and what is asked.

    `PeopleEngine` says how a person leaves it for another partition's, and comes;
    `DefinitionEngine` how audiences come to be.
    """

    __slots__ = ()

    def dump(self) -> dict[str, bytes]:
        """Return the whole state in named sections; what lies in files is there by its length."""
        return {"engine": self._head(), **self.dump_columns(), **self._members()}

    def _head(self) -> bytes:
        head = {
            "format": FORMAT,
            "byte_order": sys.byteorder,
            "partition": self.partition,
            "now_ms": self.now_ms,
            "horizon_ms": self.horizon_ms,
            "arrivals": self.arrivals,
            "layout": self.layout(),
            "audiences": [_kept(audience) for audience in self.audiences()],
        }
        return json.dumps(head, sort_keys=True).encode()

    def _members(self) -> dict[str, bytes]:
        return {
            f"members.{audience.audience_id}": self.members(audience.audience_id).serialize()
            for audience in self.audiences()
            if audience.active
        }

    def state_hash(self) -> str:
        """Return a hash of the state: a function of the calls in their order alone.

        Packs, restarts, slices of a build and the process take no part.
        """
        digest = hashlib.blake2b(digest_size=16)
        everything = {"engine": self._head(), **self.contents(), **self._members()}
        for name, content in sorted(everything.items()):
            digest.update(f"{name} {len(content)}\n".encode())
            digest.update(content)
        return digest.hexdigest()

    @classmethod
    def load(
        cls,
        sections: Mapping[str, bytes],
        directory: Path | None = None,
        partition: int = 0,
        zone: str = "UTC",
    ) -> Self:
        """Return an engine with the state that `dump` gave; builds begin anew.

        Raises ValueError or KeyError where the sections are not of one dump, or not of what lies in
        the directory.
        """
        head = json.loads(sections["engine"])
        if head["format"] != FORMAT or head["byte_order"] != sys.byteorder:
            raise ValueError(
                f"expected format {FORMAT}, {sys.byteorder} endian; "
                f"found {head['format']}, {head['byte_order']}"
            )
        if head["partition"] != partition:
            raise ValueError(f"expected partition {partition}, found {head['partition']}")
        engine = cls(directory, partition, zone)
        engine.load_columns(sections, head["layout"])
        engine.set_clock(head["now_ms"], head["horizon_ms"], head["arrivals"])
        for kept in head["audiences"]:
            engine.restore_audience(
                kept["audience_id"],
                kept["version"],
                from_json(kept["rule"]),
                sections[f"members.{kept['audience_id']}"] if kept["active"] else None,
            )
        return engine


def _kept(audience: Definition) -> dict[str, object]:
    return {
        "audience_id": audience.audience_id,
        "version": audience.version,
        "rule": to_json(audience.rule),
        "active": audience.active,
    }
