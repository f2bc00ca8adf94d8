from typing import TypeAlias

EventRow: TypeAlias = tuple[int, int, int, str, str, bytes, str]

class FactReader:
    payload: bytes
    is_sound: bool
    inbound_seq: int
    waiting_seq: int
    def __init__(self, payload: bytes) -> None: ...
    def __len__(self) -> int: ...
    @property
    def log_time_ms(self) -> int: ...
    def fact(self, place: int) -> bytes: ...
    def pass_events(
        self,
        start: int,
        rows: list[EventRow],
        profiles: dict[int, int],
        traceparents: list[str],
    ) -> int: ...
