"""The definitions of one partition in its snapshot, as plain values of the head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from services.segmentation.domain import Definition, State
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
