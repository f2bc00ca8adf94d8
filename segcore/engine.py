"""The engine as services use it: the live kernel, and its state as sections of bytes.

What is written are the histories, the memberships, the definitions and the clock. Leaves, timers
and the hash table of texts are built anew on load, by the kernels that run live.
"""

from __future__ import annotations

import hashlib
import json
import sys
from array import array
from collections.abc import Mapping
from typing import Self

from segcore._handover import HandoverEngine
from segcore.rule_json import from_json, to_json

FORMAT = 2
"""The version of what `dump` writes."""


class Engine(HandoverEngine):
    """The state of one partition; see `LiveEngine` for what comes in and what is asked.

    `HandoverEngine` says how a person leaves it for another partition's, and comes.
    """

    __slots__ = ()

    def dump(self) -> dict[str, bytes]:
        """Return the whole state in named sections."""
        head = {
            "format": FORMAT,
            "byte_order": sys.byteorder,
            "now_ms": self.now_ms,
            "horizon_ms": self.horizon_ms,
            "arrivals": self.arrivals,
            "layout": self._layout(),
            "audiences": [
                {
                    "audience_id": audience.audience_id,
                    "version": audience.version,
                    "rule": to_json(audience.rule),
                    "active": audience.active,
                }
                for audience in self.audiences()
            ],
        }
        sections = {"engine": json.dumps(head, sort_keys=True).encode()}
        for name, column in self._columns().items():
            sections[name] = column.to_bytes()
        for audience in self.audiences():
            sections[f"members.{audience.audience_id}"] = self._ordinals(
                audience.audience_id
            ).tobytes()
        return sections

    def state_hash(self) -> str:
        """Return a hash of the state: a function of the calls in their order alone.

        Packs, restarts, slices of a build and the process take no part.
        """
        digest = hashlib.blake2b(digest_size=16)
        for name, content in sorted(self.dump().items()):
            digest.update(f"{name} {len(content)}\n".encode())
            digest.update(content)
        return digest.hexdigest()

    @classmethod
    def load(cls, sections: Mapping[str, bytes]) -> Self:
        """Return an engine with the state that `dump` gave; builds begin anew.

        Raises ValueError or KeyError where the sections are not of one dump.
        """
        head = json.loads(sections["engine"])
        if head["format"] != FORMAT or head["byte_order"] != sys.byteorder:
            raise ValueError(
                f"expected format {FORMAT}, {sys.byteorder} endian; "
                f"found {head['format']}, {head['byte_order']}"
            )
        engine = cls()
        engine._lay_out(head["layout"])
        for name, column in engine._columns().items():
            column.load(sections[name])
        engine._restore(head["now_ms"], head["horizon_ms"], head["arrivals"])
        for kept in head["audiences"]:
            engine.add_audience(kept["audience_id"], kept["version"], from_json(kept["rule"]))
            if kept["active"]:
                members = array("I")
                members.frombytes(sections[f"members.{kept['audience_id']}"])
                engine._reopen(kept["audience_id"], members)
        return engine
