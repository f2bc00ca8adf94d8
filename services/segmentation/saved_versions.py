"""Definitions and swaps of one partition in its snapshot: values for the head, and bitmaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pyroaring import BitMap

from services.segmentation.domain import Definition, State
from services.segmentation.records import Records, Swap
from services.segmentation.versions import Versions


def capture(versions: Versions) -> dict[str, Any]:
    """Return all definitions as plain values."""
    library, builds = versions.library, versions.builds
    return {
        "current": [asdict(each) for each in library.current.values()],
        "pending": [asdict(each) for each in library.pending.values()],
        "former": [asdict(each) for kept in library.former.values() for each in kept],
        "removed": dict(library.removed),
        "journeys": dict(library.journeys),
        "engine_current": dict(builds.current),
        "engine_pending": dict(builds.pending),
        "builds": builds.count,
    }


def restore(versions: Versions, head: Mapping[str, Any]) -> None:
    """Take back what `capture` gave, over an engine that was loaded."""
    library = versions.library
    for place in ("current", "pending"):
        kept: dict[str, Definition] = getattr(library, place)
        kept.update((each.audience_id, each) for each in map(_definition, head[place]))
    for each in map(_definition, head["former"]):
        library.former.setdefault(each.audience_id, []).append(each)
    library.removed.update(head["removed"])
    library.journeys.update(head["journeys"])
    versions.builds.restore(head["engine_current"], head["engine_pending"], head["builds"])


def _definition(fields: Mapping[str, Any]) -> Definition:
    return Definition(**{**fields, "state": State(fields["state"])})


def swap_heads(records: Records) -> list[tuple[str, int, int]]:
    """Return audience, version and instant of every swap, in order."""
    return [
        (audience_id, swap.version, swap.at_ms)
        for audience_id, swaps in records.swaps.items()
        for swap in swaps
    ]


def swap_sections(records: Records) -> dict[str, bytes]:
    """Return the bitmaps of every swap; they are copied here, and change later."""
    swaps = [swap for each in records.swaps.values() for swap in each]
    return {
        f"swaps.{place}.{way}": people.serialize()
        for place, swap in enumerate(swaps)
        for way, people in (("entered", swap.entered), ("exited", swap.exited))
    }


def restore_swaps(
    records: Records, heads: Sequence[tuple[str, int, int]], sections: Mapping[str, bytes]
) -> None:
    """Take back what `swap_heads` and `swap_sections` gave."""
    for place, (audience_id, version, at_ms) in enumerate(heads):
        entered, exited = (
            BitMap.deserialize(sections[f"swaps.{place}.{way}"]) for way in ("entered", "exited")
        )
        records.swaps.setdefault(audience_id, []).append(Swap(version, at_ms, entered, exited))
