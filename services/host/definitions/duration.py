"""Durations as files write them: ISO 8601 with days, hours, minutes, seconds, as elapsed time."""

from __future__ import annotations

import re

from google.protobuf.duration_pb2 import Duration

from services.host.definitions.document import Node

_FORM = re.compile(
    r"P(?=\d|T\d)(?:(\d{1,5})D)?(?:T(?=\d)(?:(\d{1,7})H)?(?:(\d{1,9})M)?(?:(\d{1,9})(\.\d{1,3})?S)?)?"
)
_EXPECTED = "a duration of days, hours, minutes and seconds, such as P3D, PT30M or P1DT12H"


def read_duration(node: Node) -> Duration:
    """Return the duration; raises DocumentError with its place."""
    found = _FORM.fullmatch(node.text())
    if found is None:
        raise node.wrong(_EXPECTED)
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups()[:4])
    made = Duration(seconds=((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    if found[5]:
        made.nanos = int(found[5][1:].ljust(9, "0"))
    return made
