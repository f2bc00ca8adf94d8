"""What identity says beside the facts of a pack, for packs that a test makes itself."""

from __future__ import annotations

from coterie.log.v1.facts_pb2 import FactPack
from services.kit.facts import body_numbers


def describe_contents(pack: FactPack) -> None:
    """Say in the pack what is in it."""
    pack.ClearField("contents")
    contents = pack.contents
    contents.SetInParent()
    contents.bodies.extend(sorted(body_numbers({f.WhichOneof("body") or "" for f in pack.facts})))
    contents.event_types.extend(sorted({f.event.type for f in pack.facts if f.HasField("event")}))
    if pack.facts:
        contents.log_time_ms = pack.facts[-1].log_time_ms
