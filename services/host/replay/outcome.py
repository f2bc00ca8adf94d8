"""What a replay came to: numbers for the report and for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from coterie.segmentation.v1.segmentation_service_pb2 import ExplainResponse
from services.host.replay.sender import Sent
from services.host.replay.source import Tally


class Phase(StrEnum):
    """What a replay does, one after the other."""

    READ = "reading the data"
    START = "starting the services"
    DECLARE = "schema and audiences"
    SEND = "sending through Ingest"
    SETTLE = "letting the stages finish"
    ASK = "asking who is in"


@dataclass(slots=True)
class AudienceOutcome:
    """One audience at the end, with the entries and exits of the whole log."""

    audience_id: str
    display_name: str
    size: int = 0
    entered: int = 0
    left: int = 0
    by_time_alone: int = 0
    last_by_time: LastByTime | None = None


@dataclass(frozen=True, slots=True)
class LastByTime:
    """The latest change that nobody's doing brought about."""

    profile_id: int
    entered: bool
    time_ms: int
    who: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """One membership with its reasons, as the API explains it."""

    who: str
    audience_id: str
    explanation: ExplainResponse


@dataclass(slots=True)
class Outcome:
    """A whole run. `stood_ms` is the log's time before it, 0 for a new directory."""

    source: str
    noun: str
    data_dir: Path
    span_ms: tuple[int, int]
    tally: Tally
    sent: Sent
    audiences: Sequence[AudienceOutcome]
    phases_ms: Mapping[Phase, int]
    stood_ms: int = 0
    repeats: int = 0
    new_transitions: int = 0
    dead_letters: int = 0
    limited: bool = False
    example: Example | None = None

    @property
    def played_ms(self) -> int:
        """How long it took from the first input until every stage had applied the last one."""
        return self.phases_ms.get(Phase.SEND, 0) + self.phases_ms.get(Phase.SETTLE, 0)
