"""What the state of this process takes of memory, by kind and by audience."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from dataclasses import dataclass

from segcore import Engine
from segcore._resident import resident
from services.segmentation.overview import Overview
from services.segmentation.partition import Partition

MERGED_BYTES = 104
"""Of where a merged profile leads: an entry of a dictionary, and its two numbers."""
MAPPED = "mapped/"
"""How the engine names what lies in mapped files."""


_KINDS = {
    "AttributeNode": "attributes",
    "PersonNode": "of one person's rows",
}


@dataclass(frozen=True, slots=True)
class Use:
    """What one kind of state takes."""

    kind: str
    resident_bytes: int
    mapped_bytes: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What all of it takes, the largest first; audiences are (id, bytes of their own)."""

    uses: tuple[Use, ...]
    audiences: tuple[tuple[str, int], ...]
    profile_count: int
    event_count: int


class MemoryUse:
    """The use case of who has to size a machine."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview

    async def read(self) -> Memory:
        """Return what the partitions of this process take."""
        return await asyncio.to_thread(self.count)

    def count(self) -> Memory:
        """Return the same, on this thread."""
        resident: Counter[str] = Counter()
        mapped: Counter[str] = Counter()
        audiences: Counter[str] = Counter()
        profiles = events = 0
        for partition in self._overview.partitions():
            with partition.lock:
                both = _engine_uses(partition.engine) | _own_uses(partition)
                for kind, size in both.items():
                    uses = mapped if kind.startswith(MAPPED) else resident
                    uses[kind.removeprefix(MAPPED)] += size
                audiences.update(_audience_uses(partition))
                profiles += partition.engine.profile_count
                events += partition.engine.event_count
        kinds = sorted(resident | mapped, key=lambda kind: (-resident[kind] - mapped[kind], kind))
        return Memory(
            tuple(Use(kind, resident[kind], mapped[kind]) for kind in kinds),
            tuple(audiences.most_common()),
            profiles,
            events,
        )


def _engine_uses(engine: Engine) -> dict[str, int]:
    """Return what the engine takes: histories by family, what decides rules by kind."""
    columns = engine.columns.memory()
    uses: Counter[str] = Counter({f"{MAPPED}histories": columns.pop("files", 0)})
    uses.update(columns)
    uses.update(resident(engine))
    others = engine.memory()
    uses.update({"timers": others["timers"], "members": others["audiences"]})
    uses["bits of clauses and audiences"] = others["truth"]
    for node in engine.nodes:
        if node is not None:
            kind = _KINDS.get(type(node).__name__)
            uses[f"clauses/{kind or node.kind}"] += node.memory()
    return {kind: size for kind, size in uses.items() if size}


def _own_uses(partition: Partition) -> dict[str, int]:
    """Return what else there is: when and why memberships changed, merges, the catalog."""
    kept, files = partition.records.journal.memory()
    return {
        "when and why": kept,
        f"{MAPPED}when and why": files,
        "merged profiles": (len(partition.redirects) + len(partition.departures)) * MERGED_BYTES,
        "catalog": sum(sys.getsizeof(each) for each in partition.catalog) * 3,
    }


def _audience_uses(partition: Partition) -> dict[str, int]:
    """Return what each audience takes of its own: a bit for everybody up to its last member."""
    found = partition.engine.audience_by_id
    shown = partition.versions.builds.current
    return {each: found[name].members.memory() for each, name in shown.items()}
