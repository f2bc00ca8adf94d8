from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from segcore._fact_writer import FactPart

class InboundReader:
    payload: bytes
    is_sound: bool
    now_ms: int
    duplicates: int
    def __init__(self, payload: bytes) -> None: ...
    def __len__(self) -> int: ...
    def event_ids(self) -> list[str]: ...
    def others(self) -> list[int]: ...
    def input(self, place: int) -> bytes: ...
    def pass_events(
        self,
        start: int,
        holders: dict[tuple[str, str], int],
        ranks: dict[str, int],
        noted: set[str],
        known: AbstractSet[str],
        now_ms: int,
        limit_ms: int,
        parts: Sequence[FactPart],
    ) -> int: ...
