"""The engine as services use it: the live kernel, and its state as sections of bytes.

What is written are the histories, or how long their files are, the memberships, the definitions and
the clock. Nodes, timers and the hash table of texts are built anew on load, by the kernels that run
live.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from segcore._batch import Batch
from segcore._definitions import DefinitionEngine
from segcore.changes import Change, Definition, Departed, Merged
from segcore.frozen import SLICE_BLOCKS, FrozenQuestion
from segcore.history import Event, PropertyValue
from segcore.rule import Expression
from segcore.rule_json import from_json, to_json

FORMAT = 2
"""The version of what `dump` writes."""


class Engine(DefinitionEngine):
    """The state of one partition; see `LiveEngine` for what comes in and what is asked.

    `PeopleEngine` says how a person leaves it for another partition's, and comes;
    `DefinitionEngine` how audiences come to be. Before a person changes the questions that are
    `open` hear of it.
    """

    __slots__ = ("open",)

    def __init__(
        self, directory: Path | None = None, partition: int = 0, zone: str = "UTC"
    ) -> None:
        del directory, partition, zone  # `__cinit__` has taken them
        self.open: list[FrozenQuestion] = []

    def ask(
        self, rule: Expression, at_ms: int | None = None, blocks: int = SLICE_BLOCKS
    ) -> FrozenQuestion:
        """Return a question that is answered as of now, whatever comes; see there."""
        question = FrozenQuestion(self, rule, at_ms, blocks)
        self.open.append(question)
        return question

    def close(self, question: FrozenQuestion) -> None:
        """Let a question be over, answered or not."""
        self.open.remove(question)

    def _touch(self, *ordinals: int) -> None:
        for question in self.open:
            question.touch(ordinals)

    def forget_attributes(self, names: Iterable[str]) -> None:
        """Let nobody have attributes any more that no audience speaks of; nobody moves by it."""
        for question in self.open:
            question.spoil()
        self.attributes.forget_names(names)

    def ensure_profile(self, ordinal: int) -> list[Change]:
        """Do as `LiveEngine`."""
        self._touch(ordinal)
        return super().ensure_profile(ordinal)

    def add_event(self, ordinal: int, event: Event) -> list[Change]:
        """Do as `LiveEngine`."""
        self._touch(ordinal)
        return super().add_event(ordinal, event)

    def apply(self, batch: Batch, first: int = 0, end: int | None = None) -> NDArray[np.void]:
        """Do as `LiveEngine`."""
        for question in self.open:
            question.touch_run(batch)
        return super().apply(batch, first, end)

    def set_attributes(
        self,
        ordinal: int,
        values: Mapping[str, PropertyValue | None],
        as_of_ms: int,
        arrival: int = 0,
        came_with: str = "",
    ) -> list[Change]:
        """Do as `LiveEngine`."""
        self._touch(ordinal)
        return super().set_attributes(ordinal, values, as_of_ms, arrival, came_with)

    def merge(self, winner: int, loser: int) -> Merged:
        """Do as `PeopleEngine`."""
        self._touch(winner, loser)
        return super().merge(winner, loser)

    def divide(self, ordinal: int, new_ordinal: int, identifiers: Iterable[str]) -> list[Change]:
        """Do as `PeopleEngine`."""
        self._touch(ordinal, new_ordinal)
        return super().divide(ordinal, new_ordinal, identifiers)

    def erase(self, ordinal: int) -> list[Change]:
        """Do as `PeopleEngine`."""
        self._touch(ordinal)
        return super().erase(ordinal)

    def forget(self, ordinal: int) -> Departed:
        """Do as `PeopleEngine`."""
        self._touch(ordinal)
        return super().forget(ordinal)

    def take_in(self, ordinal: int, departed: Departed) -> None:
        """Do as `PeopleEngine`."""
        self._touch(ordinal)
        super().take_in(ordinal, departed)

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
